"""Where the body is: its outline, without table, clothes and blankets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..grid import Triple

SOLID_HU = -250.0
"""Above this a voxel belongs to skin or what lies within, table and blankets too (design default)."""

OPENINGS_MM = (6.0, 3.0, 1.5)
"""Table tops and folds of cloth thinner than twice the first are cut off; the others are for chest walls as thin
(design defaults)."""

AIRY_HU, AIRY_SHARE, LEAK = -500.0, 0.05, 1.15
"""A body with less of its volume in air may have leaked: if a finer opening gives so many times the volume, it had."""


def find_body(hu: NDArray[np.float32], spacing_mm: Triple) -> NDArray[np.bool_]:
    """Mask of the body with all that it encloses, ``(z, y, x)``.

    Solid voxels are opened with a ball, so that the table top and cloth fall off; the largest connected piece is kept,
    grown back within the solid, and everything that air from the sides of the image cannot reach is filled. Where that
    leaves hardly any air inside, a chest wall thinner than the opening may have let it out: finer openings are tried.

    Raises
    ------
    ValueError
        If nothing solid of at least 1 litre is found.
    """
    solid = ndimage.uniform_filter(hu, (1, 3, 3)) > SOLID_HU
    depth = ndimage.distance_transform_edt(_padded_z(solid), sampling=spacing_mm)[1:-1]
    filled = _filled(solid, depth, OPENINGS_MM[0], spacing_mm)
    for opening in OPENINGS_MM[1:]:
        if np.mean(hu[filled] < AIRY_HU) >= AIRY_SHARE:
            break
        finer = _filled(solid, depth, opening, spacing_mm)
        if finer.sum() > LEAK * filled.sum():
            filled = finer
    litres = filled.sum() * float(np.prod(spacing_mm)) / 1e6
    if litres < 1:
        raise ValueError(f"no body found: the largest solid piece has {litres:.2f} L, expected at least 1 L")
    return np.asarray(filled)


def _filled(
    solid: NDArray[np.bool_], depth: NDArray[np.float64], opening_mm: float, spacing_mm: Triple
) -> NDArray[np.bool_]:
    """The largest piece of what is solid after an opening, with all that it encloses."""
    label, n = ndimage.label(depth > opening_mm)
    if n == 0:
        raise ValueError("no body found: nothing solid is thicker than a table top")
    largest = label == 1 + int(np.argmax(np.bincount(label.ravel())[1:]))
    body = solid & (ndimage.distance_transform_edt(~largest, sampling=spacing_mm) <= opening_mm + 1.5)
    outside, _ = ndimage.label(~body)
    rim = np.unique(
        np.concatenate(
            [outside[:, side].ravel() for side in (0, -1)] + [outside[:, :, side].ravel() for side in (0, -1)]
        )
    )
    return ~np.isin(outside, rim[rim > 0])


def _padded_z(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The end slices once more, so that the ends of the scan do not count as surfaces."""
    return np.pad(mask, ((1, 1), (0, 0), (0, 0)), mode="edge")
