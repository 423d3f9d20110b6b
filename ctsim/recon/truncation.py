"""Bodies wider than the fan: rows that end inside the body are extended to zero before they are filtered.

A row that is cut off goes on as the shadow of a water cylinder that has its value and slope there (Hsieh et al., Med
Phys 31:2385, 2004, doi:10.1118/1.1776673):

    (p(x) / (2 mu))^2 = R^2 - (d + x)^2

with x from the end of the row. The left side is a parabola, so that R and d follow without error from its mean and its
slope over the last places. d, the end's distance from the cylinder's middle, is at least 0 (a row still rising at its
end goes on as if at its highest). The paper's last step, that all views sum to the same, is left out. Rows that end
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
    out = np.empty((*rows.shape[:-1], n + 2 * n_beyond), np.float32)
    out[..., n_beyond : n_beyond + n] = rows
    out[..., :n_beyond], out[..., n_beyond + n :] = beyond_ends(rows, place_mm, n_beyond, water_per_mm)
    return out


def beyond_ends(
    rows: NDArray[np.float32], place_mm: float, n_beyond: int, water_per_mm: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What :func:`extended` adds before the first and after the last place, ``(..., n_beyond)`` each."""
    x = place_mm * np.arange(1, n_beyond + 1)
    # for a cylinder wider than the extension
    fall = 0.5 + 0.5 * np.cos(np.pi * x / (x[-1] + place_mm))
    found = []
    for end in (rows[..., ::-1], rows):
        square, d, cut = _cylinder(end, place_mm, water_per_mm)
        square, d = square[cut][:, None], d[cut][:, None]
        shadow = 2 * water_per_mm * np.sqrt(np.maximum(square - (d + x) ** 2, 0.0))
        target = np.zeros((*rows.shape[:-1], n_beyond), np.float32)
        target[cut] = np.where(square > (d + x[-1] + place_mm) ** 2, shadow * fall, shadow)
        found.append(target)
    return found[0][..., ::-1], found[1]


def _cylinder(
    rows: NDArray[np.float32], place_mm: float, water_per_mm: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """R^2 and d of the cylinder at the last place of each row [mm2, mm], and whether the row ends inside the body."""
    n_slope = min(max(4, math.ceil(_SLOPE_MM / place_mm)), rows.shape[-1])
    n_value = min(max(2, math.ceil(_VALUE_MM / place_mm)), n_slope)
    half = rows[..., -n_slope:].astype(np.float64) / (2 * water_per_mm)
    x = place_mm * np.arange(1 - n_slope, 1)
    from_middle = x - x.mean()
    square = half * np.abs(half)  # readings below 0 are noise
    d = np.maximum(-(square @ from_middle) / (2 * (from_middle @ from_middle)) - x.mean(), 0.0)
    last = (d[..., None] + x[-n_value:]) ** 2
    cut = 2 * half[..., -n_value:].mean(axis=-1) > LEAST_WATER_MM
    return square[..., -n_value:].mean(axis=-1) + last.mean(axis=-1), d, cut
