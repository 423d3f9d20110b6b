"""What is installed and works on this machine, and how to get what is missing."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

Verdict = Literal["fine", "missing", "trouble"]

EXTRAS: Mapping[str, str] = {
    "dicom": "only for export -f dicom",
    "monai": "only for lesions.transforms with MONAI",
    "torchio": "only for lesions.transforms with TorchIO",
    "dask": "only for builds on a Dask cluster",
    "ray": "only for builds on a Ray cluster",
    "postgres": "only for a Prefect server with PostgreSQL",
    "spectra": "only to bake the tables of spectra anew",
    "docs": "only to make the pages of this documentation",
    "test": "only for make test",
    "browser": "only for the tests that open the report",
}
"""What each extra of the distribution is for; those of the GPU are told with the GPU."""

TOOLS: Mapping[str, tuple[str, str]] = {
    "dciodvfy": ("apt install dicom3tools", "checks exported DICOM in the tests"),
    "nifti_tool": ("apt install nifti-bin", "reads exported NIfTI in the tests"),
    "g++": ("apt install g++", "runs the GPU's arithmetic on the CPU in the tests"),
    "chromium": ("apt install chromium", "opens the report in the tests"),
}
"""Programs that only tests use: how to get each, and what for."""


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
    checks += [_threads(), _compiled(), _prefect(), _gpu(), _memory(), _disk("disk here", Path.cwd())]
    checks += [_disk("temporary files", Path(tempfile.gettempdir())), _terminal(), _fonts()]
    return [*checks, *_extras(), *(_tool(name) for name in TOOLS)]


def _python() -> Check:
    fine = sys.version_info >= (3, 11)
    return Check(
        "Python",
        "fine" if fine else "trouble",
        f"{platform.python_version()} on {platform.system()}",
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


def _threads() -> Check:
    import numba

    used, cores = numba.get_num_threads(), len(os.sched_getaffinity(0))
    if used >= cores:
        return Check("threads", "fine", f"{used} on {cores} cores")
    return Check("threads", "missing", f"{used} on {cores} cores", f"export NUMBA_NUM_THREADS={cores} to use all")


def _compiled() -> Check:
    """Compiled kernels are kept beside the sources, or where Numba is told to keep them."""
    from .study.compilation import compiling_s

    seconds = compiling_s()
    if seconds == 0:
        return Check("compiled loops", "fine", "kept from an earlier run")
    home = Path(os.environ.get("NUMBA_CACHE_DIR") or Path(__file__).parent)
    found = f"the first scan compiles them, about {seconds:.0f} s"
    if os.access(home, os.W_OK) or not home.exists():
        return Check("compiled loops", "fine", found)
    return Check(
        "compiled loops",
        "missing",
        f"{found}, each time anew: {home} cannot be written",
        "export NUMBA_CACHE_DIR=FOLDER that can",
    )


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


def _gpu() -> Check:
    """A GPU takes three things: a device with its driver, CuPy, and both of one CUDA version."""
    from ctsim.backends import choose

    not_needed = "not needed: everything runs on the CPU"
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return Check("GPU", "missing", "no NVIDIA driver (libcuda.so.1 cannot be loaded)", not_needed)
    try:
        choose("gpu")
    except (ValueError, RuntimeError, ImportError) as error:
        reason = str(error).splitlines()[0].removesuffix("; or use backend 'cpu'")
        return Check("GPU", "missing", reason, not_needed)
    return Check("GPU", "fine", f"ready, CuPy {import_module('cupy').__version__}")


def _memory() -> Check:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (ValueError, OSError):
        return Check("memory", "missing", "unknown")
    fine = total >= 4
    return Check("memory", "fine" if fine else "trouble", f"{total:.0f} GiB", "" if fine else "4 GiB are needed")


def _disk(name: str, folder: Path) -> Check:
    free = shutil.disk_usage(folder).free / 2**30
    if not os.access(folder, os.W_OK):
        return Check(name, "missing", f"{folder} cannot be written", "give --out a folder that can")
    fine = free >= 2
    return Check(name, "fine" if fine else "trouble", f"{free:.0f} GiB free in {folder}", "" if fine else "make room")


def _terminal() -> Check:
    """Files are UTF-8 everywhere; only what is printed depends on the terminal."""
    encoding = getattr(sys.stdout, "encoding", None) or "unknown"
    if encoding.lower().replace("-", "") == "utf8":
        return Check("terminal", "fine", encoding)
    return Check("terminal", "missing", f"{encoding}: tables are drawn in plain characters", "export LANG=C.UTF-8")


def _fonts() -> Check:
    """Matplotlib brings the font that the pictures of the reports use."""
    from matplotlib.font_manager import findfont

    try:
        return Check("fonts", "fine", Path(findfont("DejaVu Sans", fallback_to_default=False)).name)
    except ValueError:
        return Check("fonts", "trouble", "DejaVu Sans is not there", "pip install --force-reinstall matplotlib")


def _extras() -> list[Check]:
    """One check per extra that this distribution declares; nothing where it was not installed by pip."""
    try:
        declared = requires("lungtwin") or []
    except PackageNotFoundError:
        return [Check("extras", "missing", "lungtwin is not installed by pip", "pip install -e . in the checkout")]
    packages: dict[str, list[str]] = {}
    for line in declared:
        named = re.match(r"([A-Za-z0-9._-]+).*extra == [\"']([a-z0-9]+)[\"']", line)
        if named is not None and named[2] in EXTRAS and not line.startswith("lungtwin"):
            packages.setdefault(named[2], []).append(named[1])
    return [_extra(name, packages[name]) for name in EXTRAS if name in packages]


def _extra(name: str, packages: list[str]) -> Check:
    there, lacking = [], []
    for package in packages:
        try:
            there.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            lacking.append(package)
    if not lacking:
        return Check(f"extra {name}", "fine", ", ".join(there[:4]) + (", ..." if len(there) > 4 else ""))
    how = f"pip install 'lungtwin[{name}]' ({EXTRAS[name]})"
    return Check(f"extra {name}", "missing", "without " + ", ".join(lacking), how)


def _tool(name: str) -> Check:
    path, (how, what_for) = shutil.which(name), TOOLS[name]
    if path is None:
        return Check(name, "missing", "not found", f"{how} ({what_for})")
    return Check(name, "fine", path)
