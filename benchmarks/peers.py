"""The peers' own Python, ``.peers/``: itk-rtk and XCIST from wheels, made when it is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from .sides import ROOT

FOLDER = ROOT / ".peers"

PEERS = {
    # requirement, what must be importable
    "itk-rtk": ("itk-rtk>=2.7", "from itk import RTK"),
    "gecatsim": ("gecatsim>=1.6", "import gecatsim"),
}
"""Wheels alone: XCIST's newest source release does not build on Linux, its newest wheel is older."""

NOT_INSTALLABLE = {
    "LEAP": "no package on PyPI, and its CPU build fails from a fresh checkout (its issue 188)",
    "ASTRA": "its cone-beam projectors and FDK need a CUDA device",
    "TIGRE": "CUDA alone; its only release on PyPI is of 2019",
}
"""Peers that cannot be measured on a CPU, and why."""


def find(*, install: bool) -> tuple[dict[str, Path], dict[str, str]]:
    """The peers' Python by peer, and why some are missing."""
    python = FOLDER / "bin" / "python"
    if install and not python.exists():
        print(f"Making {FOLDER} for the peers (once)", flush=True)
        made = subprocess.run(
            [sys.executable, "-m", "venv", str(FOLDER)], capture_output=True, encoding="utf-8", check=False
        )
        if made.returncode:
            return {}, dict.fromkeys(PEERS, "no virtual environment: " + _last_line(made.stderr + made.stdout))
    there: dict[str, Path] = {}
    missing: dict[str, str] = {}
    for name, (requirement, statement) in PEERS.items():
        problem = _imports(python, statement)
        if problem and install:
            print(f"Installing {requirement} for the bench (once)", flush=True)
            pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
            made = subprocess.run([str(python), *pip, requirement], capture_output=True, encoding="utf-8", check=False)
            problem = _imports(python, statement) and _last_line(made.stderr or "does not import")
        if problem:
            missing[name] = problem
        else:
            there[name] = python
    return there, missing


def _imports(python: Path, statement: str) -> str:
    """Why a statement fails in that Python; empty if it does not."""
    if not python.exists():
        return "not installed"
    done = subprocess.run([str(python), "-c", statement], capture_output=True, encoding="utf-8", check=False)
    return _last_line(done.stderr) if done.returncode else ""


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "unknown reason"
