"""The filter between sinogram and back projection, designed from the image MTF that a kernel promises.

    H(f) = |f| W(f),    W(f) = MTF_target(f) / MTF_system(f)

with MTF_system of :mod:`ctsim.recon.chain`. The ramp is the transform of its band-limited samples (Ram &
Lakshminarayanan, PNAS 68:2236, 1971; Kak & Slaney, Principles of Computerized Tomographic Imaging, 1988, eq. 3.75), so
that the mean is kept; rows are zero-padded to twice their length.

W is at most ``LARGEST_GAIN`` (a design choice) and is tapered to zero over the last tenth below the highest frequency
that is sampled; a kernel whose 10 % point would need more is refused, or softened on demand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numba
import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray

from .chain import Chain

if TYPE_CHECKING:
    from .kernels import Kernel

LARGEST_GAIN = 12.0
"""Largest W (design default)."""

_ROWS_TOGETHER = 256
"""Rows filtered at a time, so that their spectra stay in the processor's cache (measured: three times faster)."""

_SHORTEST = 32


def window(kernel: Kernel, chain: Chain, frequency_per_mm: ArrayLike) -> NDArray[np.float64]:
    """W(f) of a kernel at image frequencies at the axis [1/mm].

    Raises
    ------
    ValueError
        If the kernel needs frequencies that are not sampled, or more gain than :data:`LARGEST_GAIN`.
    """
    if not is_reachable(kernel, chain):
        help_ = "a softer kernel" if chain.n_merged > 1 else "a softer kernel or an in-plane flying focal spot"
        raise ValueError(
            f"kernel {kernel.name!r} asks for MTF 10 % at mtf10_per_mm = {kernel.mtf10_per_mm} 1/mm, but rays "
            f"{chain.sample_mm:.3f} mm apart {'with' if chain.is_interleaved else 'without'} interleaved opposite rays "
            f"allow {_reach_per_mm(kernel, chain):.2f} 1/mm for its shape; take {help_}"
        )
    f = np.abs(np.asarray(frequency_per_mm, dtype=np.float64))
    system = np.maximum(chain.mtf(f), 1e-3)
    taper = 0.5 + 0.5 * np.cos(np.pi * np.clip((f / chain.limit_per_mm - 0.9) / 0.1, 0, 1))
    return np.minimum(kernel.mtf(f) / system, LARGEST_GAIN) * taper


def is_reachable(kernel: Kernel, chain: Chain) -> bool:
    """Whether a kernel's 50 % and 10 % points lie within sampling and gain."""
    f = np.linspace(0, kernel.mtf10_per_mm, 65)
    within = kernel.mtf10_per_mm <= 0.95 * chain.limit_per_mm
    return bool(within and np.all(kernel.mtf(f) <= LARGEST_GAIN * np.maximum(chain.mtf(f), 1e-3)))


def softened(kernel: Kernel, chain: Chain) -> Kernel:
    """The kernel itself where it is reachable, else one of the same form with frequencies lowered until it is."""
    if is_reachable(kernel, chain):
        return kernel
    factor = _reach_per_mm(kernel, chain) / kernel.mtf10_per_mm
    return kernel.model_copy(
        update={
            "mtf50_per_mm": factor * kernel.mtf50_per_mm,
            "mtf10_per_mm": factor * kernel.mtf10_per_mm,
            "source": f"{kernel.source}; softened by {factor:.3f} to fit coarse sampling",
            "status": "estimated",
        }
    )


def parallel_filter(kernel: Kernel, chain: Chain, n_places: int) -> NDArray[np.float32]:
    """Transfer function of equally spaced parallel rays for :func:`filter_rows` [1/mm]."""
    step = chain.place_mm
    n = _padded(n_places)
    k = _sample_numbers(n)
    odd = k % 2 == 1
    ramp = np.where(odd, -1 / (np.pi * np.where(odd, k, 1) * step) ** 2, 0.0)
    ramp[0] = 1 / (4 * step**2)
    transfer = np.fft.rfft(ramp).real * step
    return (transfer * window(kernel, chain, np.fft.rfftfreq(n, step))).astype(np.float32)


def filter_rows(rows: NDArray[np.float32], transfer: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows ``(..., n)`` convolved along their last axis with a filter made for ``n`` places."""
    n = rows.shape[-1]
    workers = numba.get_num_threads()
    length = _padded(n)
    flat = rows.reshape(-1, n)
    out = np.empty_like(flat)
    for start in range(0, len(flat), _ROWS_TOGETHER):
        spectrum = scipy.fft.rfft(flat[start : start + _ROWS_TOGETHER], length, axis=-1, workers=workers)
        spectrum *= transfer
        out[start : start + _ROWS_TOGETHER] = scipy.fft.irfft(spectrum, length, axis=-1, workers=workers)[:, :n]
    return out.reshape(rows.shape)


def _sample_numbers(n: int) -> NDArray[np.int64]:
    """0, 1, ... and the negative ones, in the order of the discrete transform; whole, so that odd ones are known."""
    k = np.arange(n)
    return np.where(k < (n + 1) // 2, k, k - n)


def _padded(n: int) -> int:
    """The least product of 2 and 3, with at most two threes, that holds ``n`` places twice."""
    least = max(2 * n, _SHORTEST)
    return min(threes * 2 ** math.ceil(math.log2(least / threes)) for threes in (1, 3, 9))


@dataclass(frozen=True, slots=True, eq=False)
class RowFilter:
    """A filter of rows, ready for :func:`ctsim.kernels.convolve.filter_and_cumulate`; see there.

    Parameters
    ----------
    transfer, cos, sin, radices
        Arguments of the same names.
    """

    transfer: NDArray[np.float32]
    cos: NDArray[np.float32]
    sin: NDArray[np.float32]
    radices: NDArray[np.int64]


def row_filter(transfer: NDArray[np.float32]) -> RowFilter:
    """What a transfer function of :func:`parallel_filter` becomes for the kernel."""
    length = 2 * (len(transfer) - 1)
    radices = []
    rest = length
    for radix in (4, 2, 3):
        while rest % radix == 0:
            radices.append(radix)
            rest //= radix
    if rest != 1:
        raise ValueError(f"the transfer function's length must be that of a product of 2 and 3, got {length}")
    # a pass of radix r leaves the frequencies k, k + r, k + 2 r, ... in its k-th part
    order = np.zeros(1, np.int64)
    for radix in reversed(radices):
        order = np.concatenate([k + radix * order for k in range(radix)])
    angle = 2 * np.pi * np.arange(length) / length
    return RowFilter(
        transfer=(transfer[np.minimum(order, length - order)] / length).astype(np.float32),
        cos=np.cos(angle).astype(np.float32),
        sin=np.sin(angle).astype(np.float32),
        radices=np.array(radices),
    )


def _reach_per_mm(kernel: Kernel, chain: Chain) -> float:
    """Largest 10 % frequency that a kernel of this shape can have here [1/mm]."""
    low, high = 0.0, 1.0
    for _ in range(40):
        factor = 0.5 * (low + high)
        scaled = {"mtf50_per_mm": factor * kernel.mtf50_per_mm, "mtf10_per_mm": factor * kernel.mtf10_per_mm}
        if is_reachable(kernel.model_copy(update=scaled), chain):
            low = factor
        else:
            high = factor
    return low * kernel.mtf10_per_mm
