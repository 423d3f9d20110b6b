"""A scan at less dose out of a noisy one: its readings scaled down, and the noise added that is then missing.

A reading of mean M, energy per count E and electronic noise s_e has the variance ``E M + s_e^2``. Scaled by the share
a < 1 of the dose it has ``a^2 (E M + s_e^2)``; a scan at that dose has ``a E M + s_e^2``. What is added is

    a (1 - a) E M  of counting noise  and  (1 - a^2) s_e^2  of electronic noise,

with the reading itself for M (0 where it is negative), and E that of water with the reading's total attenuation. The
counting noise passes through afterglow and optical crosstalk as light does, so that neighbours are correlated as in a
scan. After Zabic et al., Med Phys 40 (2013) 031102; Yu et al., J Comput Assist Tomogr 36 (2012) 477.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .cells import electronic_noise_kev, key_words
from .correction import LONGEST_MM
from .kernels.noise import add_electronic, thin
from .raw import RawScan
from .readout import collect_light, convert_all
from .signal import Beam, beam_of
from .voxels import water_per_mm_g_cm2

_BLOCK_VIEWS = 64


def lower_dose(raw: RawScan, mas_per_rotation: float, *, key: int) -> RawScan:
    """The scan as it would be at less mAs per rotation; a modulated tube current keeps its shape.

    Parameters
    ----------
    raw
        A noisy scan.
    mas_per_rotation
        Mean mAs per rotation wanted, at most that of the scan [mAs].
    key
        64-bit key of the noise that is added.

    Returns
    -------
    RawScan
        With the new mAs in ``mas`` and in the protocol, and the new key.

    Raises
    ------
    ValueError
        If the scan has no noise (read its exposure out instead), the mAs is not between 0 and that of the scan, or the
        key has more than 64 bits.
    """
    if raw.key is None:
        raise ValueError("raw.key is None: a scan without noise cannot be lowered, read its exposure out at less mAs")
    mean_mas = float(raw.mas.mean())
    if not 0 < mas_per_rotation <= mean_mas:
        raise ValueError(f"mas_per_rotation must lie in 0 to {mean_mas:g} mAs of the scan, got {mas_per_rotation}")
    share = mas_per_rotation / mean_mas
    key_low, key_high = key_words(key)
    beam = beam_of(raw.scanner, raw.protocol, raw.sampling)
    offset = raw.offset_kev.astype(np.float32)
    signal = raw.signal_kev - offset
    loss, energy_kev = _energy_of_loss(beam)
    open_kev = beam.gain * beam.moments_kev(np.zeros((2, 1)))[0]
    for first in range(0, len(signal), _BLOCK_VIEWS):
        block = slice(first, first + _BLOCK_VIEWS)
        seen = np.maximum(signal[block] / (raw.mas[block, None, None] * open_kev), np.exp(-loss[-1]))
        photon_kev = np.interp(-np.log(seen), loss, energy_kev).astype(np.float32)
        thin(signal[block], photon_kev, share, first, key_low, key_high)
    nothing = np.zeros(signal.shape[1:], np.float32)
    collect_light(signal, nothing, raw.scanner, raw.protocol, raw.sampling, raw.geometry.views_per_rotation)
    scaled = np.float32(share)
    for view, before in zip(signal, raw.signal_kev, strict=True):
        view += scaled * (before - offset)
    noise_kev = electronic_noise_kev(raw.scanner, raw.sampling) * (1.0 - share**2) ** 0.5
    if noise_kev > 0:
        add_electronic(signal, noise_kev, 1, 0, key_low, key_high)
    convert_all(signal, raw.scanner, raw.sampling)
    signal += offset
    protocol = raw.protocol.model_copy(update={"mas_per_rotation": raw.protocol.mas_per_rotation * share})
    return replace(
        raw,
        signal_kev=signal,
        mas=raw.mas * share,
        protocol=protocol,
        key=key,
        primary_kev=None if raw.primary_kev is None else raw.primary_kev * scaled,
        scatter_kev=None if raw.scatter_kev is None else raw.scatter_kev * scaled,
    )


def _energy_of_loss(beam: Beam) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Energy of a count [keV] as a function of -ln of the signal behind flat filters alone, for water in the beam."""
    length_mm = np.linspace(0.0, 1.5 * LONGEST_MM, 181)
    first, second = beam.moments_kev(water_per_mm_g_cm2()[:, None] * length_mm)
    return -np.log(first / first[0]), second / first
