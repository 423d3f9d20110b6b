"""What is installed and works on this machine, and how to get what is missing."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

Verdict = Literal["fine", "missing", "trouble"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing: what was found, and what to do where it is not fine. ``missing`` is optional, ``trouble`` is not."""

    name: str
    verdict: Verdict
    found: str
    remedy: str = ""


def examine() -> list[Check]:
    """All checks, in the order in which troubles are best mended."""
    checks = [_python(), _rooms()]
    checks += [_package(name) for name in ("numpy", "scipy", "numba", "h5py", "SimpleITK", "pydantic", "matplotlib")]
    return [*checks, _compiler(), _prefect(), _dicom(), _gpu(), _memory(), _disk()]


def _python() -> Check:
    fine = sys.version_info >= (3, 11)
    return Check(
        "Python",
        "fine" if fine else "trouble",
        platform.python_version(),
        "" if fine else "install Python 3.11 or newer",
    )


def _rooms() -> Check:
    """The import names are common words: another package of that name on the path would be taken instead."""
    home = Path(__file__).resolve().parent.parent
    strangers = []
    for name in ("twins", "lesions", "ctsim", "labeling"):
        file = import_module(name).__file__
        if file is None or Path(file).resolve().parent.parent != home:
            strangers.append(f"{name} comes from {file}")
    if strangers:
        return Check("packages", "trouble", "; ".join(strangers), f"all five must lie in {home}: mend PYTHONPATH")
    return Check("packages", "fine", f"twins, lesions, ctsim, labeling, flows in {home}")


def _package(name: str) -> Check:
    try:
        import_module(name)
        return Check(name, "fine", version(name))
    except (ImportError, PackageNotFoundError) as error:
        return Check(name, "trouble", str(error), f"pip install {name}")


def _compiler() -> Check:
    import numba

    return Check("compiled loops", "fine", f"{numba.get_num_threads()} threads")


def _prefect() -> Check:
    """Prefect 3.8 allows newer FastAPI, but its server does not start with 0.151 and later."""
    try:
        prefect, fastapi = version("prefect"), version("fastapi")
    except PackageNotFoundError as error:
        return Check("Prefect", "missing", str(error), "pip install prefect 'fastapi<0.151' (only for served builds)")
    numbers = tuple(int(part) for part in fastapi.split(".")[:2])
    if numbers >= (0, 151):
        return Check("Prefect", "trouble", f"{prefect} with FastAPI {fastapi}", "pip install 'fastapi<0.151'")
    return Check("Prefect", "fine", f"{prefect} with FastAPI {fastapi}")


def _dicom() -> Check:
    try:
        found = f"pydicom {version('pydicom')}, highdicom {version('highdicom')}"
    except PackageNotFoundError as error:
        return Check("DICOM export", "missing", str(error), "pip install 'lungtwin[dicom]' (only for export -f dicom)")
    return Check("DICOM export", "fine", found)


def _gpu() -> Check:
    from ctsim.backends import choose

    try:
        choose("gpu")
        return Check("GPU", "fine", "ready")
    except (ValueError, RuntimeError, ImportError) as error:
        return Check("GPU", "missing", str(error).splitlines()[0], "not needed: everything runs on the CPU")


def _memory() -> Check:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (ValueError, OSError):
        return Check("memory", "missing", "unknown")
    fine = total >= 4
    return Check("memory", "fine" if fine else "trouble", f"{total:.0f} GiB", "" if fine else "4 GiB are needed")


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    fine = free >= 2
    return Check("disk here", "fine" if fine else "trouble", f"{free:.0f} GiB free", "" if fine else "make room")
