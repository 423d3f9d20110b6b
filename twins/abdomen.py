"""The top of the abdomen: liver, spleen, stomach, gut, kidneys and the vessels in front of the spine.

The liver fills the right dome and thins out to the left under the heart; its left edge runs backwards to the inferior
vena cava. Gas lies in front, as in a supine patient. Sizes after ICRP 110 (liver 1.7/1.3 L, spleen 0.2 L, of which only
the top is in view); places are design defaults (unverified) after general anatomy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .canvas import Canvas
from .fields import Field, smooth_max, smooth_min, stream
from .grid import Grid
from .nested import Layer, paint_nested
from .shapes import Blob, Coat, Tube, curve, frame_along
from .structures import Structure

if TYPE_CHECKING:
    from .lungs import Chest
    from .population import TwinSpec

_FAT = Coat("adipose", Structure.ABDOMEN)
_KIDNEY = Coat("liver", Structure.ABDOMEN, core_density=1.05)
_SPLEEN = Coat("liver", Structure.SPLEEN, core_density=1.055)
_WRAP, _WALL = Layer("adipose", Structure.ABDOMEN), Layer("gut_wall", Structure.STOMACH)
_FOOD, _GAS = Layer("gut_wall", Structure.STOMACH, 1.015), Layer("air", Structure.STOMACH)
_GUT = Coat("gut_wall", Structure.ABDOMEN, core_density=1.02)
_CRUS = Coat("muscle", Structure.DIAPHRAGM)


def liver(chest: Chest, under: Field, bumps: Field) -> Field:
    """Signed distance of the liver on the lattice [mm]; ``under`` is the depth below the diaphragm [mm]."""
    # slices above the domes hold none of it
    lower = int(np.flatnonzero((under > -10).any((1, 2)))[-1]) + 1
    out = np.full(chest.lattice.shape, 30.0, np.float32)
    out[:lower] = _liver(chest, under[:lower], bumps[:lower])
    return out


def _liver(chest: Chest, under: Field, bumps: Field) -> Field:
    """As :func:`liver`, for the lowest slices of the lattice."""
    cage = chest.cage
    z, y, x = (a.astype(np.float32) for a in chest.lattice.axes_mm())
    z = z[: len(under)]
    Z, Y, X = z[:, None, None], y[None, :, None], x[None, None, :]
    top = cage.base_mm + 62
    across = cage.width_mm / 272
    back = (Y - np.float32(cage.centre(top))) / np.float32(cage.half_depth(top))
    depth = np.clip(under, 0, 80)
    # the left lobe reaches under the heart; behind, the edge recedes to the vena cava; below, to the gall bladder
    reach = (
        (2 + 54 * np.exp(-depth / 30)) * np.exp(-np.maximum(back + 0.25, 0) * 1.4)
        - 34 * back
        - 20 * np.clip(back, 0, 1.2) ** 1.5
    )
    reach = reach - 0.22 * np.clip(top - 20 - Z, 0, 90) - 10 * np.exp(-(((back + 0.55) / 0.16) ** 2)) * (depth > 0)
    edge = (X - across * reach + 7 * bumps) * np.float32(0.8)
    # the hollow of the right kidney and the colon behind and below
    floor = (top - 112 - Z + 26 * np.clip(back, -0.5, 1.0) - 0.30 * (X + 60)) * np.float32(0.8)
    room = smooth_max(-under, chest.wall[: len(under)] + np.float32(2.5), 6.0)
    return smooth_max(smooth_max(room, edge.astype(np.float32), 16.0), floor.astype(np.float32), 24.0)


def paint_stomach(canvas: Canvas, spec: TwinSpec, chest: Chest) -> None:
    """Stomach under the left dome: wall with folds, food, and gas above a level, as in a supine person.

    Fundus, body and antrum join smoothly and follow dome and flank; how full it is and how much gas it holds differ
    from person to person.
    """
    cage, lattice = chest.cage, chest.lattice
    rng = stream(spec.key, "stomach")
    base, s = cage.base_mm, cage.width_mm / 272
    full, gas_mm, tilt = rng.uniform(0.82, 1.12), rng.uniform(6, 34), rng.uniform(-0.15, 0.2)
    phases = rng.uniform(0, 2 * np.pi, 3)
    yc, room = float(cage.centre(base + 40)), float(cage.half_depth(base + 40))
    wide = float(cage.half_width(base + 40))
    low, high = (-0.35 * wide, yc - 0.95 * room, base - 60), (0.95 * wide, yc + 0.75 * room, base + 95)
    axes = lattice.axes_mm()
    cut = tuple(slice(*np.searchsorted(v, (a, b))) for v, a, b in zip(axes, low[::-1], high[::-1], strict=True))
    z, y, x = (v[c].astype(np.float32) for v, c in zip(axes, cut, strict=True))
    Z, Y, X = z[:, None, None], y[None, :, None], x[None, None, :]
    parts = (
        ((0.44 * wide, yc + 0.10 * room, base + 34), (36, 38, 34)),
        ((0.40 * wide, yc - 0.18 * room, base + 6), (30, 34, 42)),
        ((0.22 * wide, yc - 0.42 * room, base - 22), (38, 24, 26)),
        ((-0.04 * wide, yc - 0.46 * room, base - 34), (30, 18, 18)),
    )
    outer: Field | None = None
    for (cx, cy, cz), semi in parts:
        a, b, c = (np.float32(v * s * full) for v in semi)
        u, v, w = (X - cx) / a, (Y - cy - tilt * (Z - cz)) / b, (Z - cz) / c
        gauge = np.sqrt(u * u + v * v + w * w)
        slope = np.sqrt((u / a) ** 2 + (v / b) ** 2 + (w / c) ** 2)
        d = ((gauge - 1) * gauge / np.maximum(slope, np.float32(1e-4))).astype(np.float32)
        outer = d if outer is None else smooth_min(outer, d, 16.0)
    assert outer is not None
    outer = smooth_max(outer, (5.0 - chest.diaphragm[cut]).astype(np.float32), 5.0)
    outer = smooth_max(outer, chest.wall[cut] + np.float32(3.0), 5.0)
    folds = np.sin(0.42 * X + 0.2 * Z + phases[0]) * np.sin(0.38 * Y + phases[1]) * np.sin(0.30 * Z + phases[2])
    lumen = (outer + 4.0 + 2.2 * folds).astype(np.float32)
    front = float(y[np.argwhere(lumen < 0)[:, 1].min()]) if (lumen < 0).any() else 0.0
    gas = np.maximum(lumen, Y - np.float32(front + gas_mm)).astype(np.float32)
    corner = tuple(float(v[0]) for v in (x, y, z))
    grid = Grid(outer.shape, lattice.spacing_mm, corner)  # type: ignore[arg-type]
    wrap = smooth_max((outer - 2.5).astype(np.float32), (4.2 - chest.diaphragm[cut]).astype(np.float32), 2.0)
    paint_nested(canvas, grid, (outer, wrap, wrap), 0.0, (_WRAP, _WRAP, _WRAP, _WALL))
    paint_nested(canvas, grid, (gas, lumen, outer), 0.0, (_WALL, _WALL, _FOOD, _GAS))


def mesentery(spec: TwinSpec, chest: Chest) -> list[Tube]:
    """Loops of small bowel and vessels in the fat of the left half, behind stomach and colon in painting order."""
    cage = chest.cage
    base = cage.base_mm
    yc, room = float(cage.centre(base + 40)), float(cage.half_depth(base + 40))
    wide = float(cage.half_width(base + 40))
    rng = stream(spec.key, "mesentery")
    bodies: list[Tube] = []
    for _ in range(5):
        knot = np.array(
            [rng.uniform(0.15, 0.62) * wide, yc + rng.uniform(-0.45, 0.15) * room, base - rng.uniform(40, 60)]
        )
        loop = knot + np.cumsum(rng.normal(0, 17, (5, 3)), 0) * [1, 0.8, 0.3]
        bodies.append(Tube(curve(loop, 24), np.full(24, rng.uniform(9, 12)), _GUT))
    for _ in range(14):
        start = np.array(
            [rng.uniform(0.1, 0.5) * wide, yc + rng.uniform(-0.5, 0.35) * room, base + rng.uniform(-40, 35)]
        )
        twig = start + np.cumsum(rng.normal(0, 9, (4, 3)), 0)
        bodies.append(
            Tube(curve(twig, 14), np.linspace(rng.uniform(1.2, 2.6), 0.8, 14), Coat("blood", Structure.ABDOMEN))
        )
    return bodies


def organs(spec: TwinSpec, chest: Chest) -> list[Blob | Tube]:
    """Spleen, gut, kidneys in their fat, crura and vena cava, in painting order."""
    cage, centre = chest.cage, chest.mediastinum
    base = cage.base_mm
    s = cage.width_mm / 272
    yc, room = float(cage.centre(base + 40)), float(cage.half_depth(base + 40))
    wide = float(cage.half_width(base + 40))
    spine = float(cage.spine(base))
    rng = stream(spec.key, "gut")

    def wrapped(blob: Blob, fat_mm: float) -> list[Blob | Tube]:
        semi = np.asarray(blob.semi_mm, float) + fat_mm
        return [Blob(blob.centre_mm, semi, _FAT, blob.axes, blob.power), blob]

    bodies: list[Blob | Tube] = []
    for side, z in ((1.0, base - 36), (-1.0, base - 54)):
        tilt = frame_along((side * 0.25, 0.2, 1), (1, -side * 0.8, 0))
        kidney = Blob((side * 0.44 * wide, spine + 16, z), (31 * s, 24 * s, 54), _KIDNEY, tilt)
        bodies += wrapped(kidney, 7.0)
        bodies.append(Blob((side * 0.40 * wide, spine + 6, z), (11 * s, 12 * s, 26), _FAT, tilt))
        crus = [(side * 13, spine - 4, base + 52), (side * 17, spine + 2, base + 10), (side * 15, spine + 4, base - 70)]
        bodies.append(Tube(curve(crus, 16), np.interp(np.linspace(0, 1, 16), [0, 0.4, 1], [4, 7, 4]), _CRUS))
        adrenal = [
            (side * 24, spine - 2, base + 14),
            (side * 30, spine + 10, base + 10),
            (side * 36, spine + 20, base + 6),
        ]
        bodies.append(Tube(curve(adrenal, 10), np.full(10, 2.6), _GUT))
    spleen = Blob(
        (0.68 * wide, yc + 0.40 * room, base + 16), (20 * s, 48 * s, 46), _SPLEEN,
        frame_along((0.25, 0.25, 1), (1, 0.75, 0)), 2.3,
    )  # fmt: skip
    bodies += wrapped(spleen, 3.0)
    # colon: left flexure and transverse part, half full of gas, haustra as beads
    path = [(0.86 * wide, yc - 0.02 * room, base - 14), (0.80 * wide, yc - 0.30 * room, base + 10),
            (0.62 * wide, yc - 0.56 * room, base - 6), (0.20 * wide, yc - 0.72 * room, base - 34),
            (-0.25 * wide, yc - 0.70 * room, base - 52)]  # fmt: skip
    n = 60
    line = curve(path, n)
    beads = 1 + 0.16 * np.sin(np.arange(n) * 1.05 + 6 * rng.random())
    bodies.append(Tube(line, 18 * s * beads, _FAT))
    bodies.append(Tube(line, 15 * s * beads, _GUT))
    filled = np.clip(0.72 + 0.35 * np.sin(np.arange(n) * 0.33 + 6 * rng.random()), 0.05, 0.86)
    gas = Coat("air", Structure.BOWEL_GAS)
    bodies.append(Tube(line - np.array([0, 2.0, 0]), 15 * s * beads * filled, gas))
    cava = [(-24, 26, -104), (-25, 22, -130), (-24, 16, -165), (-22, 10, -240)]
    bodies.append(centre.tube(cava, 11.0, Coat("blood", Structure.INFERIOR_VENA_CAVA), flat=0.85))
    return bodies


__all__ = ["liver", "mesentery", "organs", "paint_stomach"]
