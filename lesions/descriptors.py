"""Shape descriptors of a nodule as readers outline it, slice by slice, with the conventions of LIDC-IDRI.

A reader's contour runs through the centres of the first pixels *outside* the nodule (LIDC-IDRI); the nodule's pixels
are those strictly inside. Lengths are therefore those of the contour less one pixel, volume and moments are those of
the inner pixels, circularity and solidity those of the contour as a polygon.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .isosurface import isosurface

Points = NDArray[np.float64]

# Moore neighbours, clockwise in (row, column)
_STEPS = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))
FEWEST_SLICES = 3

SMOOTHING_PIXELS = 1.0
"""Of the distances before the surface is laid through them, so that a voxelised sphere has a sphericity of 0.97-0.98,
the highest among LIDC-IDRI nodules; without it the steps of the pixels count as surface (0.91-0.95)."""


@dataclass(frozen=True, slots=True)
class Descriptors:
    """Shape of an outlined nodule, as tabulated for LIDC-IDRI.

    Parameters
    ----------
    long_mm, short_mm
        Largest caliper of the contour on the slice of largest area, and its extent across; each less one pixel [mm].
    volume_mm3, equivalent_diameter_mm
        Inner pixels times pixel area times slice spacing, and the diameter of the sphere that has it.
    elongation, flatness
        Square roots of the second and third to the first principal second moment, 1 = round [1].
    circularity
        4 pi area / perimeter^2 of the contour on that slice [1].
    solidity
        Area of the contour to that of its convex hull, same slice [1].
    sphericity
        ``pi^(1/3) (6 V)^(2/3) / S`` of the surface through the slices; None below three slices, and where too
        little is inside for a surface [1].
    """

    long_mm: float
    short_mm: float
    volume_mm3: float
    equivalent_diameter_mm: float
    elongation: float
    flatness: float
    circularity: float
    solidity: float
    sphericity: float | None

    @property
    def mean_diameter_mm(self) -> float:
        """Mean of the long and the short axis [mm]."""
        return 0.5 * (self.long_mm + self.short_mm)

    @property
    def axial_ratio(self) -> float:
        """Short to long axis [1]."""
        return self.short_mm / self.long_mm if self.long_mm else 1.0


def outer_contour(inside: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The first pixels outside the largest connected part of a slice, as a closed chain ``(n, 2)`` of (row, column).

    Steps of the chain are to one of eight neighbours; the last pixel leads to the first. Indices may be -1 or beyond
    the slice where the nodule touches its border. Empty where nothing is inside.
    """
    from scipy.ndimage import binary_dilation, label

    parts, n = label(inside)
    if n == 0:
        return np.zeros((0, 2), np.int64)
    largest = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    grown = binary_dilation(np.pad(largest, 2))
    start = np.argwhere(grown)[0]
    chain = [(int(start[0]), int(start[1]))]
    heading = 6  # came from above: nothing lies there
    at = chain[0]
    first_heading = -1
    while True:
        for turn in range(8):
            direction = (heading + 6 + turn) % 8
            row, column = at[0] + _STEPS[direction][0], at[1] + _STEPS[direction][1]
            if grown[row, column]:
                break
        if at == chain[0] and len(chain) > 1 and direction == first_heading:
            break
        if first_heading < 0:
            first_heading = direction
        at, heading = (row, column), direction
        chain.append(at)
    return np.array(chain[:-1], np.int64) - 2


def describe(inside: NDArray[np.bool_], spacing_mm: tuple[float, float, float]) -> Descriptors:
    """Descriptors of the pixels inside a nodule.

    Parameters
    ----------
    inside
        ``(z, y, x)`` pixels strictly inside the contours.
    spacing_mm
        Slice spacing and pixel size along (z, y, x) [mm]; pixels are square.

    Raises
    ------
    ValueError
        If nothing is inside.
    """
    if not inside.any():
        raise ValueError("inside holds no pixel: there is nothing to describe")
    dz, pixel = spacing_mm[0], spacing_mm[1]
    area = inside.sum(axis=(1, 2))
    contour = outer_contour(inside[int(np.argmax(area))]).astype(np.float64) * pixel
    long_mm, short_mm = _calipers(contour)
    volume = float(inside.sum()) * dz * spacing_mm[1] * spacing_mm[2]
    points = np.argwhere(inside) * np.asarray(spacing_mm)
    moments = np.sort(np.linalg.eigvalsh(np.cov(points.T, bias=True) if len(points) > 1 else np.zeros((3, 3))))[::-1]
    ratios = np.sqrt(np.maximum(moments, 0) / moments[0]) if moments[0] > 0 else np.ones(3)
    closed = np.concatenate((contour, contour[:1]))
    perimeter = float(np.linalg.norm(np.diff(closed, axis=0), axis=1).sum())
    shoelace = _polygon_area(contour)
    slices = int(np.count_nonzero(area))
    return Descriptors(
        long_mm=max(long_mm - pixel, 0.0),
        short_mm=max(short_mm - pixel, 0.0),
        volume_mm3=volume,
        equivalent_diameter_mm=(6 / math.pi * volume) ** (1 / 3),
        elongation=float(ratios[1]),
        flatness=float(ratios[2]),
        circularity=4 * math.pi * shoelace / perimeter**2,
        solidity=shoelace / _polygon_area(_hull(contour)),
        sphericity=_sphericity(inside, spacing_mm) if slices >= FEWEST_SLICES else None,
    )


def _calipers(contour: Points) -> tuple[float, float]:
    hull = _hull(contour)
    apart = hull[:, None] - hull[None]
    distance = np.hypot(apart[..., 0], apart[..., 1])
    i, j = np.unravel_index(np.argmax(distance), distance.shape)
    long = float(distance[i, j])
    if long == 0:
        return 0.0, 0.0
    along = apart[i, j] / long
    across = hull @ np.array([-along[1], along[0]])
    return long, float(across.max() - across.min())


def _polygon_area(points: Points) -> float:
    a, b = points, np.roll(points, -1, axis=0)
    return 0.5 * abs(float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()))


def _hull(points: Points) -> Points:
    """Convex hull (Andrew's monotone chain)."""
    order = sorted(map(tuple, points))

    def half(chain: list[tuple[float, ...]]) -> list[tuple[float, ...]]:
        hull: list[tuple[float, ...]] = []
        for p in chain:
            while (
                len(hull) > 1
                and (
                    (hull[-1][0] - hull[-2][0]) * (p[1] - hull[-2][1])
                    - (hull[-1][1] - hull[-2][1]) * (p[0] - hull[-2][0])
                )
                <= 0
            ):
                hull.pop()
            hull.append(p)
        return hull[:-1]

    return np.array(half(order) + half(order[::-1]))


def _sphericity(inside: NDArray[np.bool_], spacing_mm: tuple[float, float, float]) -> float | None:
    """Of the zero level of the slices' signed distances, interpolated between slices to cubic voxels."""
    from scipy.ndimage import distance_transform_edt, gaussian_filter, zoom

    padded = np.pad(inside, 2)
    step = spacing_mm[0] / spacing_mm[1]
    empty = ~padded.any(axis=(1, 2))
    distance = np.zeros(padded.shape)
    for k in np.flatnonzero(~empty):
        # at pixel centres on either side of the edge +1/2 and -1/2
        distance[k] = distance_transform_edt(padded[k]) - distance_transform_edt(~padded[k])
        distance[k] -= 0.5 * np.sign(distance[k])
    for k in np.flatnonzero(empty):
        near = distance[np.flatnonzero(~empty)[np.argmin(np.abs(np.flatnonzero(~empty) - k))]]
        distance[k] = np.minimum(-near, -0.5) if near.max() > 0.5 else -np.abs(near)
    n = max(2, round((len(padded) - 1) * step) + 1)
    fine = zoom(distance, (n / len(padded), 1, 1), order=1)
    fine = gaussian_filter(fine, SMOOTHING_PIXELS)
    surface, volume = isosurface(fine, ((len(padded) - 1) * step / (n - 1), 1.0, 1.0))
    return math.pi ** (1 / 3) * (6 * volume) ** (2 / 3) / surface if surface > 0 else None
