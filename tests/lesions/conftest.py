"""A small synthetic thorax, with and without a vessel and an airway."""

from __future__ import annotations

import pytest

from twins import Twin

from .synthetic_thorax import block


@pytest.fixture(scope="session")
def twin() -> Twin:
    return block()


@pytest.fixture(scope="session")
def lung_only() -> Twin:
    return block(vessel=False)
