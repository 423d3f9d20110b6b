"""What does the projecting: the CPU (Numba), for now. A GPU projector is not part of this version."""

from __future__ import annotations

from importlib.util import find_spec

KNOWN = ("auto", "cpu", "gpu")


def choose(backend: str) -> str:
    """Name of the backend that will work: "cpu".

    Parameters
    ----------
    backend
        "auto" (the best there is), "cpu" or "gpu".

    Raises
    ------
    ValueError
        If the name is unknown.
    RuntimeError
        If "gpu" is asked for; the message says what to do instead.

    Examples
    --------
    >>> choose("auto")
    'cpu'
    """
    if backend not in KNOWN:
        raise ValueError(f"backend must be one of {', '.join(KNOWN)}, got {backend!r}")
    if backend == "gpu":
        if find_spec("cupy") is None:
            raise RuntimeError(
                "backend 'gpu' needs CuPy, which is not installed, and a GPU projector, which this version does "
                "not have; use backend 'cpu' or 'auto'"
            )
        raise RuntimeError(
            "backend 'gpu': CuPy is installed, but this version has no GPU projector; use backend 'cpu' or 'auto'"
        )
    return "cpu"
