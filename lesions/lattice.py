"""The signed distances of a form on a lattice of its own, and the part of that lattice which it fills."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twins import Grid

from .distance import body_distance, join_segments
from .shape import Body, Shape

RIM = 2
"""Empty voxels that a lattice keeps around a form."""

FAR_MM = 1e3
""""Far outside" where no tube is near."""


def box_of(
    low: NDArray[np.float64], high: NDArray[np.float64], step_mm: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """First voxel ``(x, y, z)`` [mm] and voxels along them of a lattice that holds a box, centred on it."""
    count = np.ceil((high - low) / step_mm).astype(np.int64) + 1
    origin = 0.5 * (low + high) - 0.5 * (count - 1) * step_mm
    return origin, count


@dataclass(slots=True, eq=False)
class Field:
    """Signed distances of a form on its lattice, ``scale`` times as large; worked out again only to be known farther.

    Parameters
    ----------
    shape
        Body and spicules, or a form of tubes.
    origin, count, step
        Its lattice before it is scaled: first voxel ``(x, y, z)`` [mm], voxels along them, spacing [mm].
    pad
        How far from spicules and tubes distances are worked out [mm].
    """

    shape: Shape
    origin: NDArray[np.float64]
    count: NDArray[np.int64]
    step: float
    pad: float
    scale: float = 1.0
    _known_mm: float = 0.0
    _fields: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None

    def distances(self, near_mm: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """To the body, and to body and spicules [mm]; true up to ``near_mm``, beyond a bound of them."""
        if self._fields is None or near_mm > self._known_mm * self.scale:
            # Spicules make the form smaller afterwards: what is known of it then reaches less far.
            self._known_mm = near_mm / self.scale * (1.3 if len(self.shape.spicules) else 1.0)
            # Of spicules no more is known than asked for, nor than the lattice has room for.
            pad = min(self.pad, self._known_mm)
            self._fields = _distances(self.shape, self.origin, self.count, self.step, pad, self._known_mm)
        body, whole = self._fields
        if self.scale == 1:
            return body, whole
        return body * np.float32(self.scale), whole * np.float32(self.scale)


def _distances(
    shape: Shape, origin: NDArray[np.float64], count: NDArray[np.int64], step: float, pad: float, near: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Signed distance to the body, and to body and spicules; the same for a form of tubes."""
    if shape.body is None:
        tubes = np.full((count[2], count[1], count[0]), -FAR_MM, np.float32)
        join_segments(shape.spicules, pad, origin, step, tubes)
        return tubes, tubes
    body = _distance(shape.body, origin, count, step, near)
    if not len(shape.spicules):
        return body, body
    whole = body.copy()
    join_segments(shape.spicules, pad, origin, step, whole)
    return body, whole


def _distance(
    body: Body, origin: NDArray[np.float64], count: NDArray[np.int64], step: float, near: float
) -> NDArray[np.float32]:
    out = np.empty((count[2], count[1], count[0]), np.float32)
    body_distance(body.radius_mm, body.slope, body.rotation, body.centre_mm, origin, step, near, out)
    return out


def lattice(origin: NDArray[np.float64], count: NDArray[np.int64], step: float) -> Grid:
    """That lattice as a grid."""
    n_x, n_y, n_z = (int(n) for n in count)
    x, y, z = (float(c) for c in origin)
    return Grid((n_z, n_y, n_x), (step, step, step), (x, y, z))


def filled_part(
    profile: NDArray[np.float32], origin: NDArray[np.float64], step: float
) -> tuple[tuple[slice, ...], NDArray[np.float64], NDArray[np.int64]]:
    """The part of a lattice that a form fills, with ``RIM`` voxels around it: window ``(z, y, x)``, origin, count."""
    box = [
        slice(max(0, b.start - RIM), min(n, b.stop + RIM))
        for b, n in zip(filled_box(profile > 0), profile.shape, strict=True)
    ]
    first = np.array([b.start for b in box[::-1]])
    return tuple(box), origin + step * first, np.array([b.stop - b.start for b in box[::-1]])


def filled_box(mask: NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    """The box ``(z, y, x)`` that holds all of a mask, which is not empty."""
    flat = np.any(mask, axis=0)
    slices = np.any(mask.reshape(len(mask), -1), axis=1)
    z, y, x = (np.flatnonzero(m) for m in (slices, np.any(flat, axis=1), np.any(flat, axis=0)))
    return (
        slice(int(z[0]), int(z[-1]) + 1),
        slice(int(y[0]), int(y[-1]) + 1),
        slice(int(x[0]), int(x[-1]) + 1),
    )
