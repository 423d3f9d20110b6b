"""Area and volume of the zero level of a field on a lattice, by marching tetrahedra.

Every cube of eight lattice points is cut into six tetrahedra about its diagonal; in each the field is linear, so the
level is a triangle or a quadrangle and the enclosed volume is exact (Guezic and Hummel, IEEE Trans. Vis. Comput. Graph.
1 (1995) 328).
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def isosurface(field: NDArray[np.floating], step: tuple[float, float, float]) -> tuple[float, float]:
    """Area of the surface ``field = 0`` and volume of ``field > 0``.

    Parameters
    ----------
    field
        ``(z, y, x)`` values; none above zero on the border, or the surface is cut there.
    step
        Lattice steps along (z, y, x); area and volume come in their square and cube.
    """
    values = np.where(field == 0, -1e-9, field).astype(np.float64)
    mixed = np.zeros(tuple(n - 1 for n in values.shape), np.int8)
    corners = [(a, b, c) for a in (0, 1) for b in (0, 1) for c in (0, 1)]

    def at(corner: tuple[int, int, int]) -> Array:
        return values[tuple(slice(k, n - 1 + k) for k, n in zip(corner, values.shape, strict=True))]

    for corner in corners:
        mixed += at(corner) > 0
    whole = float(np.count_nonzero(mixed == 8)) * float(np.prod(step))
    cells = np.nonzero((mixed > 0) & (mixed < 8))
    cube = {corner: at(corner)[cells] for corner in corners}
    area, volume = 0.0, whole
    for order in permutations(range(3)):
        path = [(0, 0, 0)]
        for axis in order:
            path.append(tuple(v + (k == axis) for k, v in enumerate(path[-1])))  # type: ignore[arg-type]
        tetrahedron_area, tetrahedron_volume = _tetrahedra(
            np.stack([cube[p] for p in path], axis=1), np.array(path, float) * np.asarray(step)
        )
        area, volume = area + tetrahedron_area, volume + tetrahedron_volume
    return area, volume


def _tetrahedra(values: Array, points: Array) -> tuple[float, float]:
    """Area of the level and volume above it in tetrahedra ``(n, 4)`` of values; ``(4, 3)`` corners for all."""
    full = abs(float(np.linalg.det(points[1:] - points[0]))) / 6
    order = np.argsort(-values, axis=1, kind="stable")
    v = np.take_along_axis(values, order, axis=1)
    p = points[order]
    n_above = (v > 0).sum(axis=1)

    def cut(rows: NDArray[np.bool_], i: int, j: int) -> tuple[Array, Array]:
        t = v[rows, i] / (v[rows, i] - v[rows, j])
        return t, p[rows, i] + t[:, None] * (p[rows, j] - p[rows, i])

    area = 0.0
    volume = full * float(np.count_nonzero(n_above == 4))
    one, two, three = (n_above == k for k in (1, 2, 3))
    for rows, tip, others, sign in ((one, 0, (1, 2, 3), 1.0), (three, 3, (0, 1, 2), -1.0)):
        if not rows.any():
            continue
        (a, first), (b, second), (c, third) = (
            cut(rows, tip, k) if sign > 0 else _reversed(cut(rows, k, tip)) for k in others
        )
        area += _triangles(first, second, third)
        part = full * float((a * b * c).sum())
        volume += part if sign > 0 else full * float(rows.sum()) - part
    if two.any():
        (s, ac), (t, ad), (u, bc), (w, bd) = (cut(two, i, j) for i, j in ((0, 2), (0, 3), (1, 2), (1, 3)))
        area += _triangles(ac, ad, bc) + _triangles(bc, ad, bd)
        # what lies above is the tetrahedron (a, b, ac, ad) and the pieces between it and b's cuts
        volume += full * float((s * t * (1 - w) + s * w * (1 - u) + u * w).sum())
    return area, volume


def _reversed(found: tuple[Array, Array]) -> tuple[Array, Array]:
    return 1 - found[0], found[1]


def _triangles(a: Array, b: Array, c: Array) -> float:
    return 0.5 * float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum())
