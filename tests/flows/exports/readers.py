"""The interpreter in which heavy foreign readers (PyTorch and what needs it) are installed."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@cache
def _has(python: str, package: str) -> bool:
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
    return subprocess.run([python, "-c", code], capture_output=True).returncode == 0


def reader_python(package: str) -> str:
    """A Python that has ``package``: that of LUNGTWIN_READERS, of ``.readers`` (``make readers``), or this one."""
    named = os.environ.get("LUNGTWIN_READERS")
    for python in ([named] if named else []) + [str(ROOT / ".readers/bin/python"), sys.executable]:
        if Path(python).exists() and _has(python, package):
            return python
    pytest.skip(f"{package} is not installed: run `make readers`, or name a Python that has it in LUNGTWIN_READERS")
