"""Twins that several files of tests look at: built once per worker."""

from __future__ import annotations

import numba
import pytest

from twins import Twin, build
from twins.lungs import Chest, solve

from .people import MAN, WOMAN


@pytest.fixture(scope="session")
def man() -> Twin:
    return build(MAN, spacing_mm=3.0)


@pytest.fixture(scope="session")
def woman() -> Twin:
    threads = numba.get_num_threads()
    numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    twin = build(WOMAN, spacing_mm=3.0)
    numba.set_num_threads(threads)
    return twin


@pytest.fixture(scope="session")
def chest() -> Chest:
    return solve(MAN)
