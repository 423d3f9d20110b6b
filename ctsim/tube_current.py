"""Tube current modulation: from a topogram and what the operator asks for to the mAs of every view.

The body is a water ellipse at every z, with the area and the ratio of thicknesses that the topogram shows there and the
couch added to its diameters (:meth:`ctsim.topogram.Topogram.ellipse_mm`), averaged over the width of the beam. L(beta)
is its chord through the middle, D_w its mean diameter, p(L) the polychromatic attenuation of that much water on the
central ray. With the mean m(z) of a rotation

    reference_mas:          m = mas_ref exp(k (p(D_w) - p(D_ref)))                   k of the slim or obese branch
    dose_right_index:       m = mas_ref (1 + step)^(index - reference) exp(k (p(D_w) - p(D_ref)))
    noise_index, target_sd: the m whose expected noise is that asked for, <q(L) / g> / m + <e(L) / g^2> / m^2, means
                            over the views, of the water thickness (:mod:`ctsim.water_noise`)

and the shape of a rotation ``g = exp(p(L) / 2) / <exp(p(L) / 2)>`` (Gies 1999; 1 without angular modulation) a view
gets ``m g``, within what generator, focal spot and protocol allow. Without longitudinal modulation m is its mean over
the scan. The tube follows at once: no delay and no limit of its slope.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .exposure_control import EXPONENT, DoseRightIndex, FixedCurrent, NoiseIndex, ReferenceMas, TargetSd, TubeCurrent
from .protocol import Protocol, current_limits_ma
from .water_noise import WaterBeam, image_variance_hu2_per_mm2, water_beam

if TYPE_CHECKING:
    from .geometry import Geometry
    from .scanner import Scanner
    from .topogram import Topogram

__all__ = [
    "EXPONENT",
    "DoseRightIndex",
    "FixedCurrent",
    "Modulation",
    "NoiseIndex",
    "ReferenceMas",
    "TargetSd",
    "TubeCurrent",
    "mas_per_view",
    "mean_mas_per_rotation",
    "modulate",
]

GIES_EXPONENT = 0.5
"""Of mA ~ exp(p / 2): the least noise for the same mAs."""

_N_ANGLES = 60
"""View angles over half a turn that stand for a rotation."""


@dataclass(frozen=True, slots=True, eq=False)
class Modulation:
    """Tube current of a scan.

    Parameters
    ----------
    mas
        ``(views,)`` float64: tube current x rotation time in every view, within the limits [mAs].
    asked_mas
        ``(views,)`` float64: the same before it was clipped [mAs].
    """

    mas: NDArray[np.float64]
    asked_mas: NDArray[np.float64]

    @property
    def clipped_fraction(self) -> float:
        """Part of the views that did not get what was asked for [1]."""
        return float(np.mean(self.mas != self.asked_mas))


def mas_per_view(
    protocol: Protocol, topogram: Topogram | None, geometry: Geometry, scanner: Scanner
) -> NDArray[np.float64]:
    """Tube current x rotation time in every view, ``(views,)`` [mAs]; parameters and errors as :func:`modulate`."""
    return modulate(protocol, topogram, geometry, scanner).mas


def mean_mas_per_rotation(mas: NDArray[np.float64]) -> float:
    """Mean over the scan of :func:`mas_per_view`: what CTDIvol is stated for (IEC 60601-2-44) [mAs]."""
    return float(np.mean(mas))


def modulate(protocol: Protocol, topogram: Topogram | None, geometry: Geometry, scanner: Scanner) -> Modulation:
    """Choose the tube current of every view.

    Parameters
    ----------
    protocol
        What is asked for.
    topogram
        Of the same scan; may be None with a fixed current.
    geometry
        Its views.
    scanner
        What generator and tube can give, and how noisy its images are.

    Raises
    ------
    ValueError
        If there is no topogram to follow, or the noise is asked for in slices thinner than a row.
    """
    style = protocol.tube_current
    n_views = geometry.shape[0]
    if isinstance(style, FixedCurrent):
        mas = np.full(n_views, float(protocol.mas_per_rotation))
        return Modulation(mas, mas)
    if topogram is None:
        raise ValueError(f"tube_current.style = {style.style!r} follows a topogram, got none")
    water = water_beam(scanner, protocol)
    size = _smoothed_ellipse_mm(topogram, geometry)
    shape_mean, quantum, electronic = _rotation(water, *size, is_shaped=style.modulation != "longitudinal")
    if isinstance(style, NoiseIndex | TargetSd):
        thickness_mm = style.slice_thickness_mm or protocol.reconstruction.slice_thickness_mm
        to_image = image_variance_hu2_per_mm2(scanner, protocol, style.kernel, thickness_mm)
        half = quantum * to_image / (2 * style.asked_hu**2)
        mean = half + np.sqrt(half**2 + electronic * to_image / style.asked_hu**2)
    else:
        mean = _relative_mas(style, water, np.sqrt(size[0] * size[1])) * protocol.mas_per_rotation
    here = [np.interp(geometry.source_z_mm, topogram.z_mm, values) for values in (mean, *size, shape_mean)]
    asked = here[0] if style.modulation != "angular" else np.full(n_views, float(here[0].mean()))
    if style.modulation != "longitudinal":
        chord = _chord_mm(here[1], here[2], geometry.view_angle_rad)
        asked = asked * np.exp(GIES_EXPONENT * water.attenuation(chord)) / here[3]
    low, high = (limit * protocol.rotation_s for limit in current_limits_ma(scanner, protocol))
    if isinstance(style, NoiseIndex | TargetSd):
        high = min(high, protocol.mas_per_rotation)
        if style.smallest_ma is not None:
            low = max(low, style.smallest_ma * protocol.rotation_s)
    return Modulation(np.clip(asked, low, max(low, high)), asked)


def _relative_mas(
    style: ReferenceMas | DoseRightIndex, water: WaterBeam, diameter_mm: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Share m / mas_ref of water discs, shape of ``diameter_mm`` [1]."""
    excess = water.attenuation(diameter_mm) - water.attenuation(style.reference_diameter_mm)
    if isinstance(style, DoseRightIndex):
        better = (1 + style.step) ** (style.index - style.reference_index)
        return np.asarray(better * np.exp(style.exponent * excess))
    return np.asarray(np.exp(np.where(excess < 0, EXPONENT[style.slim], EXPONENT[style.obese]) * excess))


def _smoothed_ellipse_mm(topogram: Topogram, geometry: Geometry) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Diameters along x and y of the body, each line the mean over the width of the beam at the axis, ``(lines,)``."""
    z = topogram.z_mm
    beam_mm = len(geometry.row_offset_mm) * geometry.row_pitch_mm
    beam_mm *= geometry.source_distance_mm / geometry.detector_distance_mm
    step = float(z[1] - z[0]) if len(z) > 1 else beam_mm
    edge = np.append(z - step / 2, z[-1] + step / 2)
    low, high = np.maximum(z - beam_mm / 2, edge[0]), np.minimum(z + beam_mm / 2, edge[-1])
    smooth = []
    for diameter in topogram.ellipse_mm(with_couch=True):
        total = np.append(0.0, np.cumsum(diameter * step))
        smooth.append((np.interp(high, edge, total) - np.interp(low, edge, total)) / (high - low))
    return smooth[0], smooth[1]


def _chord_mm(
    along_x_mm: NDArray[np.float64], along_y_mm: NDArray[np.float64], beta_rad: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Chord through the middle of ellipses along the central rays of view angles, broadcast [mm]."""
    across = np.hypot(np.cos(beta_rad) * along_y_mm, np.sin(beta_rad) * along_x_mm)
    return np.divide(along_x_mm * along_y_mm, across, out=np.zeros_like(across), where=across > 0)


def _rotation(
    water: WaterBeam, along_x_mm: NDArray[np.float64], along_y_mm: NDArray[np.float64], *, is_shaped: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """<exp(p / 2)>, <q / g> [mm^2 mAs] and <e / g^2> [mm^2 mAs^2] over the views of a rotation, each ``(lines,)``."""
    beta = np.pi * (np.arange(_N_ANGLES) + 0.5) / _N_ANGLES
    chord = _chord_mm(along_x_mm[:, None], along_y_mm[:, None], beta)
    shape = np.exp(GIES_EXPONENT * water.attenuation(chord))
    mean = shape.mean(axis=1)
    g = shape / mean[:, None] if is_shaped else np.ones_like(shape)
    return mean, (water.quantum(chord) / g).mean(axis=1), (water.electronic(chord) / g**2).mean(axis=1)
