"""Fixtures that all rooms share: the real CT, and system tools."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("lungtwin", deadline=None, max_examples=50, derandomize=True)
settings.load_profile("lungtwin")

ROOT = Path(__file__).resolve().parent.parent


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
