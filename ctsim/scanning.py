"""Taking a scan: exposure, then dose, noise, air calibration, logarithm and water correction."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from twins import Twin

from .correction import log_loss, water_correction
from .dose import ctdi_vol_mgy
from .exposure import Exposure, expose
from .kernels.noise import detect as draw_signal
from .protocol import Protocol
from .sampling import Sampling
from .scanner import Scanner
from .signal import MEAN_ENERGY_STEP_KEV, beam_of
from .sinogram import Sinogram
from .trajectory import n_merged


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
    return detect(exposure, protocol, key=key)


def detect(exposure: Exposure, protocol: Protocol, *, key: int | None) -> Sinogram:
    """Detect an exposure at a protocol's dose.

    Parameters
    ----------
    exposure
        Noise-free moments per mAs.
    protocol
        With the exposure's acquisition; says the mAs.
    key
        64-bit key that fixes the noise; None for a scan without noise.

    Returns
    -------
    Sinogram
        Water-corrected line integrals. Same exposure, protocol and key, same bytes, for any number of threads.

    Raises
    ------
    ValueError
        If the protocol is another acquisition, or the key has more than 64 bits.
    """
    scanner, sampling = exposure.scanner, exposure.sampling
    protocol.check_on(scanner)
    if protocol.acquisition() != exposure.acquisition:
        other = exposure.acquisition.model_dump()
        changed = [name for name, value in protocol.acquisition().model_dump().items() if value != other[name]]
        raise ValueError(
            f"protocol {protocol.name!r} is another acquisition than the exposure: {', '.join(changed)} differ"
        )
    if key is not None and not 0 <= key < 2**64:
        raise ValueError(f"key must be a whole number from 0 to 2**64 - 1, got {key}")
    mas = protocol.mas_per_rotation
    if key is None:
        signal = exposure.signal_kev_per_mas * np.float32(mas)
    else:
        signal = np.empty_like(exposure.signal_kev_per_mas)
        noise_kev = scanner.detector.electronic_noise_kev * n_merged(scanner, sampling) ** 0.5
        low, high = np.uint32(key & 0xFFFFFFFF), np.uint32(key >> 32)
        draw_signal(
            exposure.signal_kev_per_mas,
            exposure.mean_energy,
            MEAN_ENERGY_STEP_KEV,
            float(mas),
            float(noise_kev),
            low,
            high,
            signal,
        )
    beam = beam_of(scanner, protocol.kvp, protocol.bowtie, sampling)
    correction = water_correction(beam)
    log_loss(signal, exposure.air_kev_per_mas * float(mas), beam.mean_energy_kev)
    correction.apply(signal)
    return Sinogram(
        exposure.geometry,
        signal,
        correction.mu_water_per_mm,
        scanner,
        protocol,
        sampling,
        key,
        ctdi_vol_mgy(scanner, protocol),
        {"z_range_mm": list(exposure.scan_range_mm), "backend": exposure.backend},
    )
