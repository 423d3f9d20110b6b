"""From an exposure to what the detector reads: tube current, scatter, crosstalk, counting, afterglow, electronics.

In this order, each step on all readings of a block of views before the next:

1. Mean energy moments M1 and M2 of primary and scatter, times the view's mAs (:mod:`ctsim.tube_current`).
2. X-ray crosstalk: a cell passes a share of its photons to its neighbours, which mixes both moments before counting.
3. Counting: ``S = Ebar n`` with ``n ~ Poisson(M1 / Ebar)``, ``Ebar = M2 / M1`` (:mod:`ctsim.kernels.noise`).
4. Afterglow over the views of each cell (:mod:`ctsim.kernels.afterglow`). The detector is taken to have been in the
   mean light of the first view for ever when the scan begins.
5. Optical crosstalk: mixes light after counting, and so correlates the noise of neighbours.
6. Gain error that calibration has left, the same in every scan of one scanner: rings (:func:`ctsim.cells.gain_of`).
7. Electronic noise, saturation, step of the analogue-to-digital converter.

Order of steps after De Man et al., CatSim, Proc SPIE 6510 (2007) 65102G. Dark signal is zero. Without a key the
readings are the mean ones: steps 3 and electronic noise fall away, and so does rounding to converter steps, which is
noise too.

Merged readings: see :mod:`ctsim.cells`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .backends import ReadingSteps, choose
from .cells import crosstalk_shares, electronic_noise_kev, gain_of, key_words
from .exposure import BLOCK_BYTES, Exposure
from .kernels.afterglow import glow
from .kernels.crosstalk import mix
from .kernels.noise import add_electronic, count
from .kernels.readings import convert, moments
from .protocol import Protocol
from .raw import RawScan
from .sampling import Sampling
from .scanner import Scanner
from .signal import MEAN_ENERGY_STEP_KEV
from .trajectory import n_merged
from .tube_current import Modulation, modulate

if TYPE_CHECKING:
    from .backends.gpu import Gpu

S_PER_MS = 1e-3

_BLOCK_ARRAYS = 3
"""Arrays as large as a block that are held beside the readings: M2, scatter and its energies."""

_N_DIAMETERS = 33
"""Places along z whose water-equivalent diameters are averaged."""


def read_out(
    exposure: Exposure,
    protocol: Protocol,
    *,
    key: int | None,
    with_truth: bool = False,
    overwrite: bool = False,
    backend: str = "auto",
    block_bytes: int = BLOCK_BYTES,
) -> RawScan:
    """Read an exposure out at a protocol's dose.

    Parameters
    ----------
    exposure
        Noise-free moments per mAs.
    protocol
        With the exposure's acquisition; says tube current and rotation time.
    key
        64-bit key that fixes the noise; None for a scan without noise.
    with_truth
        Keep the noise-free means of primary and scatter beside the readings (as large again, each).
    overwrite
        Use up ``exposure.signal_kev_per_mas`` instead of new memory; the exposure is worthless afterwards.
    backend
        "auto", "cpu" or "gpu".
    block_bytes
        Most memory that a block of views may take while it is worked on, beside exposure and readings (one view at
        least); results do not depend on it [bytes].

    Returns
    -------
    RawScan
        Same exposure, protocol and key, same bytes, for any number of threads.

    Raises
    ------
    ValueError
        If the protocol is another acquisition, the key has more than 64 bits, or ``block_bytes`` is below 1.
    RuntimeError
        If backend "gpu" is asked for and cannot be had.
    """
    if choose(backend) == "gpu":
        from .backends.gpu import Gpu

        return _read_out(exposure, protocol, key, with_truth, overwrite, block_bytes, Gpu())
    return _read_out(exposure, protocol, key, with_truth, overwrite, block_bytes, None)


def read_out_on_device(
    exposure: Exposure, protocol: Protocol, *, key: int | None, overwrite: bool, block_bytes: int
) -> RawScan:
    """Read out on the device, for :func:`ctsim.correct` alone: there the readings stay, if they fit.

    Parameters and errors are those of :func:`read_out`.
    """
    from .backends.gpu import Gpu

    gpu = Gpu()
    room = gpu.room_for(exposure.geometry.shape)
    return _read_out(exposure, protocol, key, False, overwrite, block_bytes, gpu, room)


def _read_out(
    exposure: Exposure,
    protocol: Protocol,
    key: int | None,
    with_truth: bool,
    overwrite: bool,
    block_bytes: int,
    gpu: Gpu | None,
    room: Any = None,
) -> RawScan:
    """Read out on the CPU, or on ``gpu``, there into ``room`` if it is given."""
    scanner, sampling, geometry = exposure.scanner, exposure.sampling, exposure.geometry
    protocol.check_on(scanner)
    _check_same_acquisition(exposure, protocol)
    words = key_words(key)
    if block_bytes < 1:
        raise ValueError(f"block_bytes must be at least 1, got {block_bytes}")
    current = modulate(protocol, exposure.topogram, geometry, scanner)
    mas = np.ascontiguousarray(current.mas, dtype=np.float64)
    primary, scatter = _truth(exposure, mas, block_bytes) if with_truth else (None, None)
    signal = room
    if room is None:
        signal = exposure.signal_kev_per_mas if overwrite else np.empty(geometry.shape, np.float32)
    drawn = None if key is None else words
    if gpu is not None:
        gpu.read_out(exposure, mas, _steps(exposure, protocol), drawn, signal, block_bytes=block_bytes)
    else:
        _on_cpu(exposure, protocol, mas, drawn, signal, block_bytes)
    air = np.ascontiguousarray(exposure.air_kev_per_mas, dtype=np.float32)[None].copy()
    for share in (scanner.detector.xray_crosstalk, scanner.detector.optical_crosstalk):
        mix(air, *crosstalk_shares(share, sampling))
    return RawScan(
        geometry,
        signal,
        mas,
        air[0].astype(np.float64),
        np.zeros(geometry.shape[1:]),
        scanner,
        protocol,
        sampling,
        key,
        primary,
        scatter,
        _meta(exposure, current),
    )


def _on_cpu(
    exposure: Exposure,
    protocol: Protocol,
    mas: NDArray[np.float64],
    key: tuple[np.uint32, np.uint32] | None,
    signal: NDArray[np.float32],
    block_bytes: int,
) -> None:
    """Overwrite ``signal`` with the readings; it may be the exposure's own."""
    scanner, sampling, geometry = exposure.scanner, exposure.sampling, exposure.geometry
    n_views, n_rows, n_columns = geometry.shape
    per_block = max(1, block_bytes // (_BLOCK_ARRAYS * 4 * n_rows * n_columns))
    mean_square = np.empty((min(per_block, n_views), n_rows, n_columns), np.float32)
    first_view_kev = np.zeros((n_rows, n_columns), np.float32)
    for first in range(0, n_views, per_block):
        block = slice(first, min(first + per_block, n_views))
        n = block.stop - first
        scattered, scatter_energy = _scatter(exposure, first, n)
        moments(
            exposure.signal_kev_per_mas[block],
            exposure.mean_energy[block],
            MEAN_ENERGY_STEP_KEV,
            exposure.scatter is not None,
            scattered,
            scatter_energy,
            mas[block],
            signal[block],
            mean_square[:n],
        )
        shares = crosstalk_shares(scanner.detector.xray_crosstalk, sampling)
        mix(signal[block], *shares)
        if first == 0:
            first_view_kev[:] = signal[0]
        if key is not None:
            mix(mean_square[:n], *shares)
            count(signal[block], mean_square[:n], first, *key)
    collect_light(signal, first_view_kev, scanner, protocol, sampling, geometry.views_per_rotation)
    if scanner.detector.gain_spread > 0:
        signal *= gain_of(scanner, sampling, n_rows).astype(np.float32)
    noise_kev = electronic_noise_kev(scanner, sampling)
    if key is not None and noise_kev > 0:
        add_electronic(signal, noise_kev, 0, 0, *key)
    convert_all(signal, scanner, sampling, rounded=key is not None)


def _truth(
    exposure: Exposure, mas: NDArray[np.float64], block_bytes: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Noise-free means of primary and scatter [keV]."""
    n_views, n_rows, n_columns = exposure.geometry.shape
    per_view = mas[:, None, None].astype(np.float32)
    scatter = np.empty(exposure.geometry.shape, np.float32)
    per_block = max(1, block_bytes // (_BLOCK_ARRAYS * 4 * n_rows * n_columns))
    for first in range(0, n_views, per_block):
        block = slice(first, min(first + per_block, n_views))
        scatter[block] = _scatter(exposure, first, block.stop - first)[0] * per_view[block]
    return exposure.signal_kev_per_mas * per_view, scatter


def collect_light(
    signal: NDArray[np.float32],
    before: NDArray[np.float32],
    scanner: Scanner,
    protocol: Protocol,
    sampling: Sampling,
    views_per_rotation: int,
) -> None:
    """Afterglow, then optical crosstalk of ``(view, row, column)``, in place.

    ``before`` ``(row, column)`` is what had gone on for ever before the first view.
    """
    components = scanner.detector.afterglow
    if components:
        glow(
            signal,
            before,
            np.array([part.fraction for part in components]),
            np.array([part.time_constant_ms * S_PER_MS for part in components]),
            protocol.rotation_s / views_per_rotation,
        )
    mix(signal, *crosstalk_shares(scanner.detector.optical_crosstalk, sampling))


def convert_all(signal: NDArray[np.float32], scanner: Scanner, sampling: Sampling, *, rounded: bool = True) -> None:
    """Saturation and converter steps of ``(view, row, column)``, in place."""
    limit, step = _converter_kev(scanner, sampling)
    step = step if rounded else 0.0
    if np.isfinite(limit) or step > 0:
        convert(signal, limit, step)


def _converter_kev(scanner: Scanner, sampling: Sampling) -> tuple[float, float]:
    """Saturation (infinity: none) and step of a simulated reading [keV]."""
    detector, merged = scanner.detector, n_merged(scanner, sampling)
    limit = np.inf if detector.saturation_kev is None else detector.saturation_kev * merged
    return float(limit), float(detector.step_kev * merged**0.5)


def _steps(exposure: Exposure, protocol: Protocol) -> ReadingSteps:
    """What readings go through, in numbers."""
    scanner, sampling, geometry = exposure.scanner, exposure.sampling, exposure.geometry
    detector = scanner.detector
    limit_kev, step_kev = _converter_kev(scanner, sampling)
    view_s = protocol.rotation_s / geometry.views_per_rotation
    return ReadingSteps(
        crosstalk_shares(detector.xray_crosstalk, sampling),
        crosstalk_shares(detector.optical_crosstalk, sampling),
        np.array([part.fraction for part in detector.afterglow]),
        np.array([part.time_constant_ms * S_PER_MS for part in detector.afterglow]) / view_s,
        gain_of(scanner, sampling, geometry.shape[1]).astype(np.float32),
        electronic_noise_kev(scanner, sampling),
        limit_kev,
        step_kev,
    )


def _scatter(exposure: Exposure, first: int, n: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Scattered signal per mAs and its mean energy in a block of views; zeros where there is none."""
    if exposure.scatter is None:
        return np.zeros((n, 1, 1), np.float32), np.ones((n, 1, 1), np.float32)
    return exposure.scatter.block(first, n)


def _check_same_acquisition(exposure: Exposure, protocol: Protocol) -> None:
    if protocol.acquisition() == exposure.acquisition:
        return
    other = exposure.acquisition.model_dump()
    changed = [name for name, value in protocol.acquisition().model_dump().items() if value != other[name]]
    raise ValueError(
        f"protocol {protocol.name!r} is another acquisition than the exposure: {', '.join(changed)} differ"
    )


def _meta(exposure: Exposure, current: Modulation) -> dict[str, object]:
    """What is told about a scan beside its specs, see :class:`ctsim.raw.RawScan`."""
    meta: dict[str, object] = {
        "z_range_mm": list(exposure.scan_range_mm),
        "backend": exposure.backend,
        "device": exposure.device,
        "has_scatter": exposure.scatter is not None,
        "clipped_current_fraction": current.clipped_fraction,
    }
    if exposure.topogram is not None:
        z = np.linspace(*exposure.scan_range_mm, _N_DIAMETERS)
        meta["water_diameter_mm"] = float(np.mean(exposure.topogram.water_equivalent_diameter_mm(z)))
    return meta
