"""Slices of the thickness asked for.

A row's aperture and the reading of whole rows give a triangular slice profile with the full width at half maximum
(FWHM) of one row pitch at the axis. The focal spot's length and crosstalk along rows blur it, and averaging over a slab
of thickness b (a box in z) widens it:

    profile = triangle(row pitch) * focal spot * crosstalk * box(b),

with the spot's points scaled to the axis by 1 - SID / SDD. Its FWHM is b itself once b is much the largest; for thinner
slices b follows by bisection. A slice asked to be thinner than the profile without a box is given that profile, but no
slice can be asked to be thinner than a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ..sinogram import Sinogram

_THINNEST_BOX = 0.05
"""Share of the row pitch that stands for no averaging at all."""

Blur = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Shifts along z at the axis [mm] and their shares, which add up to 1."""

NO_BLUR: Blur = (np.zeros(1), np.ones(1))


def blur_of(sinogram: Sinogram) -> Blur:
    """What focal spot and crosstalk along rows do to a slice profile at the axis."""
    from ..rays import ray_points

    geometry, sampling, detector = sinogram.geometry, sinogram.sampling, sinogram.scanner.detector
    points = ray_points(sinogram.scanner, sinogram.protocol, sampling)
    to_axis = geometry.source_distance_mm / geometry.detector_distance_mm
    shift, weight = (1 - to_axis) * points.spot_mm[:, 2], points.weight
    row_mm = geometry.row_pitch_mm * to_axis
    for share in (detector.xray_crosstalk[1], detector.optical_crosstalk[1]):
        leak = share / sampling.row_binning
        shift = (shift[:, None] + row_mm * np.array([-1.0, 0.0, 1.0])).ravel()
        weight = (weight[:, None] * np.array([leak, 1 - 2 * leak, leak])).ravel()
    return shift, weight


def profile_fwhm_mm(row_mm: float, box_mm: float, blur: Blur = NO_BLUR) -> float:
    """FWHM of a triangle of FWHM ``row_mm``, blurred and averaged over ``box_mm`` [mm].

    Examples
    --------
    >>> round(profile_fwhm_mm(0.6, 2.0), 3)
    2.0
    """
    shift, weight = blur
    shift, weight = shift[weight > 0], weight[weight > 0]
    reach = 0.5 * box_mm + row_mm + float(np.abs(shift).max())
    z = np.linspace(-reach, reach, 2001)

    def area(t: NDArray[np.float64]) -> NDArray[np.float64]:  # integral of the triangle up to t
        u = np.clip(t / row_mm, -1.0, 1.0)
        return np.asarray(row_mm * (0.5 + u - 0.5 * u * np.abs(u)))

    profile = np.zeros_like(z)
    for s, w in zip(shift, weight, strict=True):
        profile += w * (area(z - s + 0.5 * box_mm) - area(z - s - 0.5 * box_mm))
    top, half = int(profile.argmax()), 0.5 * float(profile.max())
    upper = np.interp(-half, -profile[top:], z[top:])
    lower = np.interp(half, profile[: top + 1], z[: top + 1])
    return float(upper - lower)


def box_for(thickness_mm: float, row_mm: float, blur: Blur = NO_BLUR) -> float:
    """Thickness of the box that makes slices of FWHM ``thickness_mm`` from rows of ``row_mm`` [mm].

    Raises
    ------
    ValueError
        If slices shall be thinner than a row at the axis.
    """
    if thickness_mm < 0.99 * row_mm:
        raise ValueError(
            f"slice_thickness_mm must be at least the row pitch at the axis, {row_mm:.3f} mm, got {thickness_mm}"
        )
    low, high = _THINNEST_BOX * row_mm, thickness_mm
    for _ in range(30):
        middle = 0.5 * (low + high)
        if profile_fwhm_mm(row_mm, middle, blur) < thickness_mm:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)
