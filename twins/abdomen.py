"""The top of the abdomen: liver, spleen, stomach, gut, kidneys and the vessels in front of the spine.

The liver fills the right dome and thins out to the left under the heart; its left edge runs backwards to the inferior
vena cava. Gas lies in front, as in a supine patient. Sizes after ICRP 110 (liver 1.7/1.3 L, spleen 0.2 L, of which only
the top is in view); places are design defaults (unverified) after general anatomy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .fields import Field, smooth_max, stream
from .shapes import Blob, Coat, Tube, curve, frame_along
from .structures import Structure

if TYPE_CHECKING:
    from .lungs import Chest
    from .population import TwinSpec

_FAT = Coat("adipose", Structure.ABDOMEN)
_KIDNEY = Coat("liver", Structure.ABDOMEN, core_density=1.05)
_SPLEEN = Coat("liver", Structure.SPLEEN, core_density=1.055)
_STOMACH = Coat("gut_wall", Structure.STOMACH, core_density=1.03)
_GUT = Coat("gut_wall", Structure.ABDOMEN, core_density=1.02)
_CRUS = Coat("muscle", Structure.DIAPHRAGM)


def liver(chest: Chest, under: Field, bumps: Field) -> Field:
    """Signed distance of the liver on the lattice [mm]; ``under`` is the depth below the diaphragm [mm]."""
    cage = chest.cage
    z, y, x = (a.astype(np.float32) for a in chest.lattice.axes_mm())
    Z, Y, X = z[:, None, None], y[None, :, None], x[None, None, :]
    top = cage.base_mm + 62
    across = cage.width_mm / 272
    back = (Y - np.float32(cage.centre(top))) / np.float32(cage.half_depth(top))
    depth = np.clip(under, 0, 80)
    # the left lobe reaches under the heart; behind, the edge recedes to the vena cava; below, to the gall bladder
    reach = (-2 + 58 * np.exp(-depth / 24)) * np.exp(-np.maximum(back + 0.25, 0) * 1.4) - 26 * np.clip(
        back, 0, 1.2
    ) ** 1.5
    reach = reach - 0.22 * np.clip(top - 20 - Z, 0, 90) - 10 * np.exp(-(((back + 0.55) / 0.16) ** 2)) * (depth > 0)
    edge = (X - across * reach + 5 * bumps) * np.float32(0.8)
    # the hollow of the right kidney and the colon behind and below
    floor = (top - 112 - Z + 26 * np.clip(back, -0.5, 1.0) - 0.30 * (X + 60)) * np.float32(0.8)
    room = smooth_max((-under).astype(np.float32), (chest.wall + 2.5).astype(np.float32), 6.0)
    return smooth_max(smooth_max(room, edge.astype(np.float32), 16.0), floor.astype(np.float32), 24.0)


def organs(spec: TwinSpec, chest: Chest) -> list[Blob | Tube]:
    """Spleen, stomach with food and gas, gut, kidneys in their fat, crura and vena cava, in painting order."""
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
    fundus = frame_along((0.30, 0.35, 1), (1, 0.3, 0))
    bodies += wrapped(Blob((0.36 * wide, yc - 0.02 * room, base + 30), (38 * s, 34 * s, 32), _STOMACH, fundus), 2.5)
    bodies.append(Blob((0.28 * wide, yc - 0.24 * room, base + 8), (36 * s, 30 * s, 40), _STOMACH, fundus))
    gas = Coat("air", Structure.STOMACH)
    bodies.append(Blob((0.29 * wide, yc - 0.40 * room, base + 10), (25 * s, 9 * s, 24), gas, fundus))
    bodies.append(Blob((0.36 * wide, yc - 0.22 * room, base + 38), (18 * s, 7 * s, 14), gas, fundus))
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
    # loops of small bowel and vessels of the mesentery in the fat of the left half
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
    cava = [(-24, 26, -104), (-25, 22, -130), (-24, 16, -165), (-22, 10, -240)]
    bodies.append(centre.tube(cava, 11.0, Coat("blood", Structure.INFERIOR_VENA_CAVA), flat=0.85))
    return bodies


__all__ = ["liver", "organs"]
