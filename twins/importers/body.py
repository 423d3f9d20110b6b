"""Where the body is: its outline, without table, clothes and blankets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..grid import Triple

SOLID_HU = -250.0
"""Above this a voxel belongs to skin or what lies within, table and blankets too (design default)."""

OPENING_MM = 6.0
"""Table tops and folds of cloth thinner than twice this are cut off (design default)."""


def find_body(hu: NDArray[np.float32], spacing_mm: Triple) -> NDArray[np.bool_]:
    """Mask of the body with all that it encloses, ``(z, y, x)``.

    Solid voxels are opened with a ball, so that the table top and cloth fall off; the largest connected piece is kept,
    grown back within the solid, and everything that air from the sides of the image cannot reach is filled.

    Raises
    ------
    ValueError
        If nothing solid of at least 1 litre is found.
    """
    solid = ndimage.uniform_filter(hu, (1, 3, 3)) > SOLID_HU
    core = ndimage.distance_transform_edt(_padded_z(solid), sampling=spacing_mm)[1:-1] > OPENING_MM
    label, n = ndimage.label(core)
    if n == 0:
        raise ValueError("no body found: nothing solid is thicker than a table top")
    largest = label == 1 + int(np.argmax(np.bincount(label.ravel())[1:]))
    body = solid & (ndimage.distance_transform_edt(~largest, sampling=spacing_mm) <= OPENING_MM + 1.5)
    outside, _ = ndimage.label(~body)
    rim = np.unique(
        np.concatenate(
            [outside[:, side].ravel() for side in (0, -1)] + [outside[:, :, side].ravel() for side in (0, -1)]
        )
    )
    filled = ~np.isin(outside, rim[rim > 0])
    litres = filled.sum() * float(np.prod(spacing_mm)) / 1e6
    if litres < 1:
        raise ValueError(f"no body found: the largest solid piece has {litres:.2f} L, expected at least 1 L")
    return np.asarray(filled)


def _padded_z(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The end slices once more, so that the ends of the scan do not count as surfaces."""
    return np.pad(mask, ((1, 1), (0, 0), (0, 0)), mode="edge")
