"""The content key of an artefact: a SHA-256 over everything that its bytes depend on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

SOURCES = frozenset({".py", ".cu", ".yaml", ".yml", ".json", ".npz", ".csv"})
"""Suffixes of the files in a package that decide what it computes."""

LIBRARIES = ("numpy", "scipy", "numba", "llvmlite", "h5py", "SimpleITK")
"""Distributions whose versions are part of every key."""

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)


def content_key(
    stage: str,
    stage_version: int,
    *,
    path: str,
    spec: Any,
    inputs: Mapping[str, str],
    backend: str,
    rooms: Sequence[str] = (),
) -> str:
    """The key (64 hex digits) of what a stage makes.

    Parameters
    ----------
    stage, stage_version
        Name of the stage, and a number that is raised when its wiring changes what it makes.
    path
        Where in the dataset the file lies: equal files at two places are two artefacts.
    spec
        JSON-able account of all its parameters.
    inputs
        SHA-256 of each artefact that it reads, by name.
    backend
        ``"cpu"`` or ``"gpu"``: bytes are promised per backend.
    rooms
        Packages that the stage runs: their sources count, so that edited code never meets results of the old.

    Raises
    ------
    TypeError
        If ``spec`` is not JSON-able (sets, arrays and clocks are not).
    """
    account = {
        "stage": stage,
        "stage_version": stage_version,
        "path": path,
        "spec": spec,
        "inputs": dict(inputs),
        "backend": backend,
        "package": package_version(),
        "libraries": library_versions(),
        "code": {room: code_digest(room) for room in sorted(rooms)},
    }
    return sha256(canonical(account)).hexdigest()


def canonical(data: Any) -> bytes:
    """JSON with one spelling: keys sorted, no spaces, no NaN."""
    return _ENCODER.encode(data).encode()


@cache
def package_version() -> str:
    """Version of the installed distribution."""
    try:
        return version("lungtwin")
    except PackageNotFoundError:
        return "0+unknown"


@cache
def library_versions() -> dict[str, str]:
    """Versions of the libraries whose arithmetic or file formats the bytes hang on."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


@cache
def code_digest(room: str) -> str:
    """SHA-256 over the source and data files of one package (names and bytes)."""
    home = import_module(room).__file__
    if home is None:
        raise ValueError(f"package {room!r} has no files: is another folder of that name on the path?")
    root = Path(home).parent
    hasher = sha256()
    for path in sorted(p for p in root.rglob("*") if p.suffix in SOURCES and "__pycache__" not in p.parts):
        name = path.relative_to(root).as_posix().encode()
        data = path.read_bytes()
        hasher.update(len(name).to_bytes(4, "little") + name + len(data).to_bytes(8, "little") + data)
    return hasher.hexdigest()
