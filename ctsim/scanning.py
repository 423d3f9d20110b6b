"""Taking a scan: exposure, readout, correction."""

from __future__ import annotations

from collections.abc import Callable

from twins import Twin

from .correction import correct
from .exposure import Exposure, expose
from .protocol import Protocol
from .readout import read_out
from .sampling import Sampling
from .scanner import Scanner
from .sinogram import Sinogram


def scan(
    twin: Twin,
    scanner: Scanner,
    protocol: Protocol,
    *,
    key: int | None,
    sampling: Sampling | None = None,
    backend: str = "auto",
    progress: Callable[[float], None] | None = None,
) -> Sinogram:
    """Scan a twin: :func:`detect` of its :func:`ctsim.expose`; the parameters and errors are theirs."""
    exposure = expose(twin, scanner, protocol, sampling=sampling, backend=backend, progress=progress)
    return detect(exposure, protocol, key=key, backend=backend)


def detect(exposure: Exposure, protocol: Protocol, *, key: int | None, backend: str = "auto") -> Sinogram:
    """Detect an exposure at a protocol's dose: :func:`ctsim.correct` of its :func:`ctsim.read_out`.

    Parameters
    ----------
    exposure
        Noise-free moments per mAs.
    protocol
        With the exposure's acquisition; says tube current, rotation time and corrections.
    key
        64-bit key that fixes the noise; None for a scan without noise.
    backend
        "auto", "cpu" or "gpu".

    Returns
    -------
    Sinogram
        Water-corrected line integrals. Same exposure, protocol and key, same bytes, for any number of threads.

    Raises
    ------
    ValueError
        If the protocol is another acquisition, or the key has more than 64 bits.
    RuntimeError
        If backend "gpu" is asked for and cannot be had.
    """
    return correct(read_out(exposure, protocol, key=key, backend=backend), overwrite=True, backend=backend)
