"""Sums along one axis at a time (Numba), each output in one fixed order: the same bytes for any number of threads.

Matrix libraries split and reorder such sums by the number of their threads; here zeros are skipped and the rest is
added in order.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray


def apply_along(matrix: NDArray[np.floating], volume: NDArray[np.floating], axis: int) -> NDArray[np.floating]:
    """``out[..., i, ...] = sum_n matrix[i, n] volume[..., n, ...]`` along ``axis``, in the volume's own precision."""
    front = np.ascontiguousarray(np.moveaxis(volume, axis, 0))
    flat = front.reshape(front.shape[0], -1)
    out = np.zeros((matrix.shape[0], flat.shape[1]), volume.dtype)
    _apply(np.ascontiguousarray(matrix, volume.dtype), flat, out)
    return np.moveaxis(out.reshape(matrix.shape[0], *front.shape[1:]), 0, axis)


@njit(cache=True, parallel=True, error_model="numpy")
def _apply(matrix, flat, out):  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Add to ``out`` (I, R) the product of ``matrix`` (I, N) and ``flat`` (N, R), all of one floating type."""
    for i in prange(out.shape[0]):
        for n in range(matrix.shape[1]):
            weight = matrix[i, n]
            if weight != 0:
                for r in range(out.shape[1]):
                    out[i, r] += weight * flat[n, r]
