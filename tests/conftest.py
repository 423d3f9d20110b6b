"""What all rooms share: how tests run side by side, the real CT, and system tools."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("lungtwin", deadline=None, max_examples=50, derandomize=True)
settings.load_profile("lungtwin")

ROOT = Path(__file__).resolve().parent.parent


WORKER_GIB = 3.0
"""Memory that one worker may need."""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Workers of ``-n auto``: one per core, as far as memory goes."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return max(1, min(len(os.sched_getaffinity(0)), int(memory_gib / WORKER_GIB)))


LONGEST = ("test_qa.py", "test_dataset.py", "test_docs.py", "test_prefect.py", "test_host_study.py")
"""Files of a minute and more: they begin first, so that no worker is left alone with one.

The first needs no twins and the second begins with them: two workers on a clean clone then compile different kernels.
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(LONGEST)))


@pytest.fixture(scope="session", autouse=True)
def _share_of_the_cores() -> None:
    """Workers that run side by side share the cores; tests that need more threads than that ask for them."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1:
        import numba

        numba.set_num_threads(max(1, min(len(os.sched_getaffinity(0)) // workers, numba.config.NUMBA_NUM_THREADS)))


@pytest.fixture
def on_one_and_all_threads():
    """Calls a function on one thread and on all of Numba's, and gives both results."""
    import numba

    def both(make):
        before = numba.get_num_threads()
        found = []
        try:
            for n in (1, numba.config.NUMBA_NUM_THREADS):
                numba.set_num_threads(n)
                found.append(make())
        finally:
            numba.set_num_threads(before)
        return found

    return both


def _data_folder() -> Path | None:
    named = os.environ.get("LUNGTWIN_TEST_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    return folder if folder.is_dir() else None


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with real CTs that are not part of the project."""
    folder = _data_folder()
    if folder is None:
        pytest.skip("no real CT: neither LUNGTWIN_TEST_DATA nor ../shared/data exists")
    return folder


@pytest.fixture(scope="session")
def real_ct(real_data: Path) -> Path:
    """A real chest CT with contrast, 512 x 512 x 102, 0.883 x 0.883 x 3 mm (CPTAC-PDA, TCIA, CC BY 3.0)."""
    path = real_data / "chest_ct_cptac.nii.gz"
    if not path.is_file():
        pytest.skip(f"no real CT: {path.name} is not in the data folder")
    return path


@pytest.fixture(scope="session")
def system_tool():
    """Path of a system tool; a test that asks for one skips where it is missing, and fails in CI."""

    def find(name: str, package: str) -> str:
        path = shutil.which(name)
        if path is None:
            reason = f"{name} is not installed (Debian package {package})"
            if os.environ.get("CI") == "true":
                pytest.fail(reason)
            pytest.skip(reason)
        return path

    return find
