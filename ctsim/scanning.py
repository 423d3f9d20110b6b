"""Taking a scan: exposure, readout, correction."""

from __future__ import annotations

from collections.abc import Callable

from twins import Twin

from .backends import choose
from .correction import correct
from .exposure import BLOCK_BYTES, Exposure, expose
from .protocol import Protocol
from .readout import read_out, read_out_on_device
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
    block_bytes: int = BLOCK_BYTES,
    progress: Callable[[float], None] | None = None,
) -> Sinogram:
    """Scan a twin: :func:`detect` of its :func:`ctsim.expose`; the parameters and errors are theirs."""
    exposure = expose(
        twin, scanner, protocol, sampling=sampling, backend=backend, block_bytes=block_bytes, progress=progress
    )
    return detect(exposure, protocol, key=key, overwrite=True, backend=backend, block_bytes=block_bytes)


def detect(
    exposure: Exposure,
    protocol: Protocol,
    *,
    key: int | None,
    overwrite: bool = False,
    backend: str = "auto",
    block_bytes: int = BLOCK_BYTES,
) -> Sinogram:
    """Detect an exposure at a protocol's dose: :func:`ctsim.correct` of its :func:`ctsim.read_out`.

    Parameters
    ----------
    exposure
        Noise-free moments per mAs.
    protocol
        With the exposure's acquisition; says tube current, rotation time and corrections.
    key
        64-bit key that fixes the noise; None for a scan without noise.
    overwrite
        Use up the exposure's own memory for the sinogram; the exposure is worthless afterwards.
    backend
        "auto", "cpu" or "gpu".
    block_bytes
        See :func:`ctsim.expose` [bytes].

    Returns
    -------
    Sinogram
        Water-corrected line integrals. Same exposure, protocol and key, same bytes, for any number of threads.

    Raises
    ------
    ValueError
        If the protocol is another acquisition, the key has more than 64 bits, or ``block_bytes`` is below 1.
    RuntimeError
        If backend "gpu" is asked for and cannot be had.
    """
    if choose(backend) == "gpu":
        raw = read_out_on_device(exposure, protocol, key=key, overwrite=overwrite, block_bytes=block_bytes)
    else:
        raw = read_out(exposure, protocol, key=key, overwrite=overwrite, block_bytes=block_bytes)
    return correct(raw, overwrite=True, backend=backend, block_bytes=block_bytes)
