"""Patches of known content: a ball of an organ in something else, with white noise, in any order of axes."""

from __future__ import annotations

import numpy as np


def organ_patch(n=64, *, level=-850.0, outside=40.0, noise=20.0, spacing=0.8, key=1, dtype=np.float32):
    """Image [HU] and mask of an organ of radius 0.46 n voxels, ``(z, y, x)``."""
    at = np.arange(n) - (n - 1) / 2
    mask = at[:, None, None] ** 2 + at[:, None] ** 2 + at**2 < (0.46 * n) ** 2
    image = np.where(mask, level, outside) + noise * np.random.default_rng(key).standard_normal((n, n, n))
    return (np.rint(image) if np.issubdtype(dtype, np.integer) else image).astype(dtype), mask


def affine(spacing=(0.8, 0.8, 0.8), origin=(0.0, 0.0, 0.0), direction=((1, 0, 0), (0, 1, 0), (0, 0, 1))):
    """Affine of steps along the three axes of an array; columns of ``direction`` are their world directions."""
    out = np.eye(4)
    out[:3, :3] = np.asarray(direction) * spacing
    out[:3, 3] = origin
    return out


ZYX = np.eye(3)[:, ::-1]
"""Directions of an array (z, y, x) in LPS."""
