"""The common work items: scanner, bodies whose line integrals are known exactly, and how far a result is from them.

Third-generation scanner, SID 595 mm, SDD 1085.6 mm, 900 columns over 50 degrees, rows of 0.6 mm at the axis, in the
coordinates of ``docs/conventions.md``. Needs NumPy alone, as the peers' Python has little more.

Body of projector and reconstruction: an elliptic cylinder of value 1 and a ball that adds 1, so that an integral is a
length in mm. Body of the full chain: the cylinder of water, the ball and twelve rods of 10 mm of bone in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

SID_MM, SDD_MM, COLUMNS = 595.0, 1085.6, 900
COLUMN_RAD = math.radians(50) / COLUMNS
ROW_MM = 0.6 * SDD_MM / SID_MM
"""Height of a row at the detector [mm]."""
VIEWS_OF_A_SCANNER = 1152
"""Views per rotation of a real scanner, where the length of a view matters."""


@dataclass(frozen=True)
class Item:
    """A work item: ``n`` x ``n`` x ``n_z`` voxels of ``voxel_mm``, ``views`` of one rotation with ``rows`` rows."""

    n: int
    n_z: int
    voxel_mm: float
    rows: int
    views: int

    @property
    def width_mm(self) -> float:
        return self.n * self.voxel_mm

    @property
    def angles(self) -> Array:
        return 2 * np.pi * np.arange(self.views) / self.views

    @property
    def readings(self) -> int:
        return self.views * self.rows * COLUMNS

    def axis_mm(self, n: int) -> Array:
        return (np.arange(n) - (n - 1) / 2) * self.voxel_mm

    def lit_slices(self) -> Array:
        """Slices in the beam on the source's side of the body too: those that a full rotation shows whole."""
        reach = 0.3 * self.rows * (1 - self.width_mm / 2 / SID_MM)
        return np.flatnonzero(np.abs(self.axis_mm(self.n_z)) < reach)


ITEMS = {
    "v256": Item(256, 256, 0.7, 64, 180),
    "v512": Item(512, 128, 0.7, 64, 88),
    "error": Item(512, 64, 0.7, 4, 4),
}


def item_of(name: str, tiny: bool = False, **changes: Any) -> Item:
    """An item by name; tiny: the same scene in few voxels, rows and views, to try the harness out."""
    item = ITEMS[name]
    if tiny:
        item = Item(96, 32, item.width_mm / 96, min(item.rows, 16), min(item.views, 12))
    return replace(item, **changes)


@dataclass(frozen=True)
class Cylinder:
    """Elliptic cylinder along z without ends: half axes and middle in the plane [mm]."""

    a: float
    b: float
    x: float = 0.0
    y: float = 0.0


@dataclass(frozen=True)
class Ball:
    """A ball: radius and middle [mm]."""

    r: float
    x: float
    y: float
    z: float


Solid = Cylinder | Ball


def trunk(width_mm: float) -> tuple[Cylinder, Ball]:
    """The cylinder and the ball in it."""
    w = width_mm
    return Cylinder(0.44 * w, 0.33 * w), Ball(0.11 * w, 0.14 * w, 0.06 * w, 0.01 * w)


def rods(width_mm: float) -> tuple[Cylinder, ...]:
    """Twelve rods of 10 mm, unevenly spread near the surface of the cylinder, clear of the ball."""
    turn = 2 * np.pi * (np.arange(12) + 0.3 * np.sin(np.arange(12))) / 12
    at = 0.9 * np.array([0.44, 0.33])[:, None] * width_mm * np.array([np.cos(turn), np.sin(turn)])
    return tuple(Cylinder(5.0, 5.0, float(x), float(y)) for x, y in at.T)


def bones(width_mm: float) -> tuple[Solid, ...]:
    """All that is bone in the body of the full chain."""
    return (trunk(width_mm)[1], *rods(width_mm))


def chords(solid: Solid, source: Array, cell_xy: Array, cell_z: Array) -> Array:
    """Lengths ``(rows, columns)`` inside a solid, from ``source`` (x, y, z) to the cells' middles [mm]."""
    d = cell_xy - source[:2]
    flat_mm = np.hypot(d[:, 0], d[:, 1])
    ux, uy = d[:, 0] / flat_mm, d[:, 1] / flat_mm
    climb = (cell_z - source[2])[:, None] / flat_mm
    slant = np.sqrt(1 + climb**2)
    x, y = source[0] - solid.x, source[1] - solid.y
    if isinstance(solid, Ball):
        z = source[2] - solid.z
        towards = ((ux * x + uy * y) + climb * z) / slant
        return 2 * np.sqrt(np.maximum(towards**2 - (x * x + y * y + z * z - solid.r**2), 0))
    square = (ux / solid.a) ** 2 + (uy / solid.b) ** 2
    half = x * ux / solid.a**2 + y * uy / solid.b**2
    rest = (x / solid.a) ** 2 + (y / solid.b) ** 2 - 1
    return 2 * np.sqrt(np.maximum(half * half - square * rest, 0)) / square * slant


def cells(beta: float, rows: int, across: float = 0.0, up: float = 0.0, *, flat: bool = False) -> tuple[Array, Array]:
    """Points ``(columns, 2)`` and heights ``(rows,)`` of the cells in a view, moved by parts of a cell [mm].

    flat: a flat detector of the same fan instead of the cylinder.
    """
    place = np.arange(COLUMNS) - (COLUMNS - 1) / 2 + across
    height = (np.arange(rows) - (rows - 1) / 2 + up) * ROW_MM
    if flat:
        u = place * flat_column_mm()
        inwards, sideways = np.full(COLUMNS, SDD_MM), u
    else:
        inwards, sideways = SDD_MM * np.cos(place * COLUMN_RAD), SDD_MM * np.sin(place * COLUMN_RAD)
    c, s = math.cos(beta), math.sin(beta)
    return np.stack([(SID_MM - inwards) * c - sideways * s, (SID_MM - inwards) * s + sideways * c], axis=1), height


def flat_column_mm() -> float:
    """Width of a column of the flat detector [mm]."""
    return 2 * SDD_MM * math.tan(math.radians(25)) / COLUMNS


def source_mm(beta: float, spot_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Array:
    """World point of the source, moved on the spot: tangential, towards the axis, along z [mm]."""
    out, side = SID_MM - spot_mm[1], spot_mm[0]
    c, s = math.cos(beta), math.sin(beta)
    return np.array([out * c - side * s, out * s + side * c, spot_mm[2]])


def exact(item: Item, angles: Array, sub: int = 1, *, flat: bool = False) -> Array:
    """Integrals ``(views, rows, columns)`` over cylinder plus ball, averaged over sub x sub points of a cell [mm]."""
    out = np.zeros((len(angles), item.rows, COLUMNS), np.float32)
    places = (np.arange(sub) + 0.5) / sub - 0.5
    for i, beta in enumerate(angles):
        source = source_mm(beta)
        for across in places:
            for up in places:
                xy, z = cells(beta, item.rows, across, up, flat=flat)
                for solid in trunk(item.width_mm):
                    out[i] += chords(solid, source, xy, z) / sub**2
    return out


def shares(solid: Solid, item: Item, sub: int = 8) -> Array:
    """Share of every voxel that a solid fills, ``(z, y, x)`` float32, from sub^3 points (a cylinder: sub^2)."""
    inner = (np.arange(sub) + 0.5) / sub - 0.5
    v = item.voxel_mm
    half_x, half_y = (solid.r, solid.r) if isinstance(solid, Ball) else (solid.a, solid.b)
    columns, lines = (
        np.flatnonzero(np.abs(item.axis_mm(item.n) - middle) < half + v)
        for middle, half in ((solid.x, half_x), (solid.y, half_y))
    )
    out = np.zeros((item.n_z, item.n, item.n), np.float32)
    part = out[:, lines[0] : lines[-1] + 1, columns[0] : columns[-1] + 1]
    x, y = ((item.axis_mm(item.n)[places][:, None] + inner * v).ravel() for places in (columns, lines))

    def flat(inside: Array) -> Array:
        return inside.reshape(len(lines), sub, len(columns), sub).mean((1, 3), dtype=np.float32)

    across, along = x - solid.x, y - solid.y
    if isinstance(solid, Cylinder):
        part[:] = flat((across / solid.a) ** 2 + (along[:, None] / solid.b) ** 2 <= 1)
        return out
    near = (across**2 + along[:, None] ** 2).astype(np.float32)
    for k, middle in enumerate(item.axis_mm(item.n_z)):
        for s in inner:
            square = solid.r**2 - (middle + s * v - solid.z) ** 2
            if square > 0:
                part[k] += flat(near <= np.float32(square)) / sub
    return out


def voxels(item: Item, sub: int = 8) -> Array:
    """Values of cylinder plus ball, ``(z, y, x)`` float32."""
    cylinder, ball = trunk(item.width_mm)
    return shares(cylinder, item, sub) + shares(ball, item, sub)


def projection_error(got: Array, truth: Array) -> dict[str, float]:
    """Root mean square and mean error of integrals, relative to their mean, where they exceed 20 mm."""
    seen = truth > 20
    off = got[seen].astype(np.float64) - truth[seen]
    mean = float(truth[seen].mean())
    return {"relative_rmse": float(np.sqrt((off**2).mean())) / mean, "relative_bias": float(off.mean()) / mean}


def image_error(middle: Array, item: Item) -> dict[str, float]:
    """Mean and RMS error of the middle slice ``(y, x)`` of a reconstruction of exact data, in its even part."""
    cylinder, ball = trunk(item.width_mm)
    x = item.axis_mm(item.n)
    even = (x / cylinder.a) ** 2 + (x[:, None] / cylinder.b) ** 2 < 0.85**2
    even &= np.hypot(x - ball.x, x[:, None] - ball.y) > 1.25 * ball.r
    value = middle[even].astype(np.float64)
    return {"mean": float(value.mean()), "rmse": float(np.sqrt(((value - 1) ** 2).mean()))}


@dataclass(frozen=True)
class Beamlet:
    """One of the rays that a reading is the mean of: spot [mm], view angle, place in the cell [cells]."""

    spot_mm: tuple[float, float, float]
    turn_rad: float
    across: float
    up: float


def beamlets(n: int, spot_mm: float, anode_deg: float) -> Iterator[Beamlet]:
    """n rays spread evenly over a square spot, the time of a view and a cell, by the R5 sequence.

    Roberts' additive recurrence with the root of x^6 = x + 1, http://extremelearning.com.au (2018).
    """
    root = 1.0
    for _ in range(60):
        root = (1 + root) ** (1 / 6)
    step = np.array([root ** -(axis + 1) for axis in range(5)])
    for k in range(n):
        side, along, when, across, up = (0.5 + (k + 0.5) * step) % 1.0 - 0.5
        z = along * spot_mm
        inwards = z / math.tan(math.radians(anode_deg))
        yield Beamlet(
            (float(side * spot_mm), float(inwards), float(z)),
            float(when) * 2 * math.pi / VIEWS_OF_A_SCANNER,
            float(across),
            float(up),
        )


def lengths(item: Item, angles: Array, ray: Beamlet) -> tuple[Array, Array]:
    """Lengths in water and in bone ``(views, rows, columns)`` of one ray of every reading [mm]."""
    water, bone = np.zeros((2, len(angles), item.rows, COLUMNS))
    for i, beta in enumerate(angles + ray.turn_rad):
        source = source_mm(beta, ray.spot_mm)
        xy, z = cells(beta, item.rows, ray.across, ray.up)
        water[i] = chords(trunk(item.width_mm)[0], source, xy, z)
        for solid in bones(item.width_mm):
            bone[i] += chords(solid, source, xy, z)
    return water - bone, bone


def transmission_error(got: Array, truth: Array) -> dict[str, float]:
    """RMS and mean of the relative error of transmissions, where there is a body in the way [1]."""
    hit = truth < 0.7
    off = got[hit].astype(np.float64) / truth[hit] - 1
    return {"relative_rmse": float(np.sqrt((off**2).mean())), "relative_bias": float(off.mean())}


def angles_of(item: Item, first_view: int) -> Array:
    """The item's views as neighbouring ones of a real scanner's rotation [rad]."""
    return 2 * np.pi * (first_view + np.arange(item.views)) / VIEWS_OF_A_SCANNER


def transmissions(item: Item, mu_per_mm: list[float], first_view: int, rays: Iterable[Beamlet]) -> Array:
    """Transmissions ``(views, rows, columns)`` of water and bone, each the mean over these rays."""
    angles = angles_of(item, first_view)
    total, count = np.zeros((item.views, item.rows, COLUMNS)), 0
    for ray in rays:
        water, bone = lengths(item, angles, ray)
        total += np.exp(-mu_per_mm[0] * water - mu_per_mm[1] * bone)
        count += 1
    return total / count
