"""A tiny dataset, built once by the real chain."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows import Dataset, build_dataset

from .manyhands import small_study

TINY = Path(__file__).parent / "tiny.yaml"


@pytest.fixture(scope="session")
def tiny() -> Path:
    return TINY


@pytest.fixture(scope="session")
def dataset(tmp_path_factory) -> Dataset:
    return build_dataset(TINY, tmp_path_factory.mktemp("tiny") / "out")


@pytest.fixture(scope="session")
def families(tmp_path_factory) -> Dataset:
    """A dataset of three families, built in one piece; for slow proofs."""
    return build_dataset(small_study(TINY), tmp_path_factory.mktemp("small") / "out")
