"""A tiny dataset, built once by the real chain."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows import Dataset, build_dataset

TINY = Path(__file__).parent / "tiny.yaml"


@pytest.fixture(scope="session")
def tiny() -> Path:
    return TINY


@pytest.fixture(scope="session")
def dataset(tmp_path_factory) -> Dataset:
    return build_dataset(TINY, tmp_path_factory.mktemp("tiny") / "out")
