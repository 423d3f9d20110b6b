"""Slices of the thickness asked for.

A row's aperture and the reading of whole rows give a triangular slice profile with the full width at half maximum
(FWHM) of one row pitch at the axis. Averaging over a slab of thickness b (a box in z) makes it

    profile = triangle(row pitch) * box(b),

whose FWHM is b itself once b exceeds two row pitches; for thinner slices b follows by bisection. No slice can be
thinner than a row.
"""

from __future__ import annotations

import numpy as np

_THINNEST_BOX = 0.05
"""Share of the row pitch that stands for no averaging at all."""


def profile_fwhm_mm(row_mm: float, box_mm: float) -> float:
    """FWHM of a triangle of FWHM ``row_mm`` averaged over ``box_mm`` [mm].

    Examples
    --------
    >>> round(profile_fwhm_mm(0.6, 2.0), 3)
    2.0
    """
    z = np.linspace(0.0, 0.5 * box_mm + row_mm, 4001)

    def area(t: np.ndarray) -> np.ndarray:  # integral of the triangle up to t
        u = np.clip(t / row_mm, -1.0, 1.0)
        return row_mm * (0.5 + u - 0.5 * u * np.abs(u))

    profile = area(z + 0.5 * box_mm) - area(z - 0.5 * box_mm)
    return float(2 * np.interp(-0.5 * profile[0], -profile, z))


def box_for(thickness_mm: float, row_mm: float) -> float:
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
    for _ in range(50):
        middle = 0.5 * (low + high)
        if profile_fwhm_mm(row_mm, middle) < thickness_mm:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)
