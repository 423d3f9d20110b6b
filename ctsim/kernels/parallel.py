"""How kernels are made parallel."""

from __future__ import annotations

from typing import Any

LOOPS_ONLY: Any = {  # Numba takes a dict here; its type hints know only bool
    "prange": True,
    **dict.fromkeys(("comprehension", "fusion", "inplace_binop", "numpy", "reduction", "setitem", "stencil"), False),
}
"""For ``parallel=``: only the loops that say so; array expressions in and around them are small, and to make them
parallel too takes as long to compile as the kernel."""
