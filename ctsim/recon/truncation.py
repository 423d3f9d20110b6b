"""Bodies wider than the fan: rows that end inside the body are extended to zero before they are filtered.

A row cut off at the value e with the slope s (outwards) goes on as the shadow of the water cylinder that has both there
(Hsieh et al., Med Phys 31:2385, 2004, doi:10.1118/1.1776673):

    p(x) = 2 mu sqrt(R^2 - (d + x)^2),    d = -s e / (4 mu^2),    R^2 = (e / (2 mu))^2 + d^2

with x from the end of the row and d, the end's distance from the cylinder's middle, at least 0 (a row still rising at
its end goes on as if at its highest). The paper's last step, that all views sum to the same, is left out. Rows that end
below ``LEAST_WATER_MM`` of water have left the body and are extended with zeros.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

LEAST_WATER_MM = 5.0
"""Readings of less water at a row's end count as air (design default)."""

LARGEST_MM = 300.0
"""Longest extension; what is wider falls to zero there (design default)."""

_VALUE_MM, _SLOPE_MM = 3.0, 12.0
"""Lengths at a row's end over which its value and slope are averaged (design default)."""

_END_COLUMNS = 8


def beyond_mm(line_integral: NDArray[np.float32], water_per_mm: float) -> float:
    """How far rows must be extended [mm]; 0 if no row ends inside the body.

    Parameters
    ----------
    line_integral
        ``(view, row, column)``.
    water_per_mm
        Attenuation of water [1/mm].
    """
    n = min(_END_COLUMNS, line_integral.shape[2])
    highest = max(float(line_integral[..., :n].mean(axis=-1).max()), float(line_integral[..., -n:].mean(axis=-1).max()))
    if highest <= LEAST_WATER_MM * water_per_mm:
        return 0.0
    return min(LARGEST_MM, highest / (2 * water_per_mm))  # R - d is at most that


def extended(rows: NDArray[np.float32], place_mm: float, n_beyond: int, water_per_mm: float) -> NDArray[np.float32]:
    """Rows ``(..., Q)`` with ``n_beyond`` places more at either end.

    Parameters
    ----------
    rows
        Line integrals of equally spaced parallel rays.
    place_mm
        Distance of the places [mm].
    n_beyond
        Places to add at either end.
    water_per_mm
        Attenuation of water [1/mm].
    """
    n = rows.shape[-1]
    out = np.zeros((*rows.shape[:-1], n + 2 * n_beyond), np.float32)
    out[..., n_beyond : n_beyond + n] = rows
    x = place_mm * np.arange(1, n_beyond + 1)
    # for a cylinder wider than the extension
    fall = 0.5 + 0.5 * np.cos(np.pi * x / (x[-1] + place_mm))
    for end, target in ((rows, out[..., n_beyond + n :]), (rows[..., ::-1], out[..., :n_beyond][..., ::-1])):
        value, slope = _value_and_slope(end, place_mm)
        cut = value > LEAST_WATER_MM * water_per_mm
        e, s = value[cut][:, None], slope[cut][:, None]
        half = e / (2 * water_per_mm)
        d = np.maximum(-s * half / (2 * water_per_mm), 0.0)
        square = half**2 + d**2 - (d + x) ** 2
        shadow = 2 * water_per_mm * np.sqrt(np.maximum(square, 0.0))
        too_wide = half**2 + d**2 > (d + x[-1] + place_mm) ** 2
        target[cut] = np.where(too_wide, shadow * fall, shadow)
    return out


def _value_and_slope(rows: NDArray[np.float32], place_mm: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Value at the last place of each row and slope there [per mm], from a straight line and a mean."""
    n_slope = min(max(4, math.ceil(_SLOPE_MM / place_mm)), rows.shape[-1])
    n_value = min(max(2, math.ceil(_VALUE_MM / place_mm)), n_slope)
    x = place_mm * (np.arange(n_slope) - 0.5 * (n_slope - 1))
    slope = rows[..., -n_slope:].astype(np.float64) @ (x / (x @ x))
    middle = rows[..., -n_value:].mean(axis=-1, dtype=np.float64)
    return middle + slope * (0.5 * (n_value - 1) * place_mm), slope
