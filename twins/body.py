"""The body around the lungs: skin, fat, muscles in layers, breasts, and the top of the abdomen.

Layers follow distances: skin of 1.8 mm under the outline, fat by body mass index (design default, unverified), muscles
and the fat between them down to the cage; inside the cage fat, below the domes muscle of 3.5 mm and the abdomen.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit, prange

from .abdomen import liver, mesentery, organs, paint_stomach
from .cage import RIB_LAYER_MM, SKIN_MM
from .canvas import INK, Canvas, coverage, deposit
from .fields import Field, interpolated_row, locate, noise, smooth_max, smooth_min, stream
from .lungs import Chest, superellipse
from .musculature import muscles
from .shapes import Blob, Coat, Tube, curve, frame_along, paint, unite
from .structures import Structure

if TYPE_CHECKING:
    from .population import TwinSpec
from numpy.typing import NDArray

Array = NDArray[Any]

PRESSED_MM = 8.0
"""How far the table presses the hindmost part of the back in, and a fifth of the fat more [mm]. Design default."""

DIAPHRAGM_MM = 3.5
"""Thickness of the diaphragm [mm] (3.1-6.5 at total lung capacity)."""


def paint_body(canvas: Canvas, spec: TwinSpec, chest: Chest) -> None:
    """Paint everything of the trunk but bones, mediastinum and lungs."""
    fields = tuple(np.ascontiguousarray(f, np.float32) for f in _fields(spec, chest))
    _layers(
        *canvas.arrays,
        np.asarray(canvas.grid.origin_mm),
        canvas.spacing_mm,
        fields,
        np.asarray(chest.lattice.origin_mm),
        chest.lattice.spacing_mm[0],
        SKIN_MM,
    )
    if not chest.cage.is_male:
        paint(canvas, _glands(spec, chest))
    paint(canvas, mesentery(spec, chest))
    paint_stomach(canvas, spec, chest)
    paint(canvas, organs(spec, chest))


def _breasts(spec: TwinSpec, chest: Chest, shrink: float = 1.0) -> list[Blob]:
    cage = chest.cage
    z = 0.42 * cage.height_mm - 0.67 * cage.height_mm
    size = spec.breast_scale * math.sqrt(max(0.5, spec.bmi / 27)) * shrink
    out = []
    for side in (-1.0, 1.0):
        x = side * 0.305 * cage.width_mm
        y = float(cage.body_front(z)) + 24
        out.append(
            Blob(
                (x, y, z),
                (64 * size, 42 * size, 62 * size),
                Coat("adipose", Structure.BREAST),
                frame_along((0, 0.15, 1.0), (1, side * 0.35, 0)),
            )
        )
    return out


def _glands(spec: TwinSpec, chest: Chest) -> list[Blob | Tube]:
    """Gland: lobes that fan out from behind the nipple, more and thicker ones in a denser breast (10-30 % of it)."""
    rng = stream(spec.key, "glands")
    dense = rng.uniform(0.55, 1.25) * (1.15 - 0.006 * (spec.age_y - 40))
    coat = Coat("breast_gland", Structure.BREAST)
    bodies: list[Blob | Tube] = []
    for breast in _breasts(spec, chest):
        c, semi = np.asarray(breast.centre_mm), np.asarray(breast.semi_mm)
        side = float(np.sign(c[0]))
        nipple = c + np.array([side * 0.10, -0.80, -0.05]) * semi
        for _ in range(30):
            u = rng.normal(size=3) * [1.0, 0.35, 0.9] + [side * 0.35, 1.0, 0.0]
            reach = rng.uniform(0.35, 0.95) * u / np.linalg.norm(u) * semi * [0.95, 1.15, 0.95]
            bend = rng.normal(0, 4.0, 3)
            line = curve([nipple + 0.06 * reach, nipple + 0.5 * reach + bend, nipple + reach], 8)
            width = rng.uniform(1.5, 5.0) * dense
            radius = width * np.array([0.5, 0.8, 1.0, 1.05, 1.0, 0.8, 0.55, 0.3])
            bodies.append(Tube(line, np.maximum(radius, 0.6), coat))
    return bodies


def _fields(spec: TwinSpec, chest: Chest) -> list[Field]:
    """Outline, fascia, wall, muscle, diaphragm, liver, folds, lungs."""
    cage, lattice, f = chest.cage, chest.lattice, np.float32
    z, y, x = (v.astype(f) for v in lattice.axes_mm())
    step = lattice.spacing_mm[0]
    rng = stream(spec.key, "body")
    level = cage.level(z).astype(f)
    bumps = noise(lattice, 34.0, rng)
    waves = noise(lattice, 24.0, rng)
    broad = noise(lattice, 90.0, rng)
    np.clip(broad, -2, 2, out=broad)
    bare = _trunk(chest)
    bare += np.exp(-((x / 13) ** 2))[None, None, :] * (y > 0)[None, :, None] * f(5.0)  # the furrow of the spine
    bare += f(1.5) * bumps
    bare += np.multiply(broad, f(2.2), out=broad)
    pectorals = [
        Blob(
            cage.section(math.radians(136), 0.06 * cage.height_mm, side, np.asarray(9.0)),
            (60, 21 if cage.is_male else 17, 68),
            Coat("muscle", Structure.MUSCLE),
            frame_along((0, 0.42, 1), (1, side * 0.45, 0)),
        )
        for side in (-1.0, 1.0)
    ]
    unite(bare, lattice.origin_mm, step, pectorals, blend_mm=20.0, grow_mm=0.6 * cage.fat_mm)
    outline = bare
    if not cage.is_male:
        outline = bare.copy()
        unite(outline, lattice.origin_mm, step, _breasts(spec, chest), blend_mm=16.0)
    sides = np.abs(x)[None, None, :] / cage.body_half_width(z).astype(f)[:, None, None]
    thin_top = 1 - 0.35 * np.clip((level - 0.7) / 0.3, 0, 1)[:, None, None]
    depth = cage.fat_mm * (0.72 + 0.38 * sides**2) * thin_top  # (z, 1, x)
    fascia = f(0.14) * waves
    fascia += f(1.0)
    fascia *= depth
    fascia += bare
    fascia += f(SKIN_MM)
    np.maximum(fascia, outline + f(SKIN_MM + 3.0), out=fascia)
    layer = muscles(chest, fascia, bumps)
    under = chest.diaphragm + f(DIAPHRAGM_MM + 0.6)
    return [
        outline,
        fascia,
        chest.wall,
        layer,
        -chest.diaphragm,
        liver(chest, under, bumps),
        np.multiply(waves, f(10), out=waves),
        chest.lung,
    ]


def _trunk(chest: Chest) -> Field:
    """First-order distance to the outline without pectorals and breasts: superellipses, above widest at the back.

    Above the axillae the girdle stands out behind and the outline recedes beside the pectorals; nowhere does it come
    nearer to the ribs than a thin layer of muscle and fat.
    """
    cage = chest.cage
    z, _, _ = chest.lattice.axes_mm()
    front, back = cage.body_front(z), cage.body_back(z)
    rise = np.clip((cage.level(z) - 0.50) / 0.25, 0, 1)
    high = rise * rise * (3 - 2 * rise)
    narrow = 1 - 0.02 * high
    trunk = superellipse(
        chest.lattice, cage.body_half_width(z) * narrow, 0.5 * (front + back), 0.5 * (back - front),
        2.35 - 0.15 * high, (0.02 + 0.13 * high) / narrow, 0.6,
    )  # fmt: skip
    # the table, a hollow of 450 mm radius, presses the back flat where it is hindmost
    _, y, x = (v.astype(np.float32) for v in chest.lattice.axes_mm())
    table = np.float32(back.max() - PRESSED_MM - 0.2 * cage.fat_mm) - x**2 / np.float32(900.0)
    trunk = smooth_max(trunk, y[None, :, None] - table[None, None, :], 12.0)
    least = np.float32(RIB_LAYER_MM + 4 + 0.7 * cage.fat_mm + SKIN_MM)
    return smooth_min(trunk, chest.wall - least, 8.0)


@njit(parallel=True, cache=True, error_model="numpy")
def _layers(
    structure: Array,
    material_a: Array,
    material_b: Array,
    fraction_b: Array,
    density: Array,
    origin: Array,
    spacing: Any,
    fields: tuple[Array, ...],
    corner: Array,
    step: Any,
    skin: Any,
) -> None:
    """Paint the layers of every voxel that the lungs do not fill; ``fields`` (k, j, i) as listed in ``_fields``."""
    nz, ny, nx = structure.shape
    mz, my, mx = fields[0].shape
    inks = (np.uint8(INK_SKIN), np.uint8(INK_FAT), np.uint8(INK_MUSCLE), np.uint8(INK_LIVER))
    for k in prange(nz):
        cz, w = locate((origin[2] + k * spacing - corner[2]) / step, mz)
        row = np.zeros((8, mx), np.float32)
        value = np.zeros(8, np.float32)
        for j in range(ny):
            cy, v = locate((origin[1] + j * spacing - corner[1]) / step, my)
            interpolated_row(fields, row, cz, np.float32(w), cy, np.float32(v))
            for i in range(nx):
                cx, u = locate((origin[0] + i * spacing - corner[0]) / step, mx)
                f = coverage((1 - u) * row[0, cx] + u * row[0, cx + 1], spacing)
                if f <= 0.0 or (1 - u) * row[7, cx] + u * row[7, cx + 1] < -spacing:
                    continue
                for c in range(7):
                    value[c] = (1 - u) * row[c, cx] + u * row[c, cx + 1]
                outline, fascia, wall, layer, under, organ_edge, folds = value[:7]
                skin_inner = min(f, coverage(outline + skin, spacing))
                muscle = min(skin_inner, coverage(fascia, spacing))
                marbling: Any = min(0.10, max(0.0, 0.03 + 0.003 * folds))
                fat_plane = 1.0 - coverage(layer, spacing) * (1.0 - marbling)
                inner = min(muscle, coverage(wall, spacing))
                below = inner * coverage(under, spacing)
                abdomen = inner * coverage(under + 3.5, spacing)
                organ = min(abdomen, coverage(organ_edge, spacing))
                m_skin = (f - skin_inner) * 1.09
                fat = (skin_inner - muscle) + (muscle - inner) * fat_plane + (inner - below) + (abdomen - organ)
                meat = (muscle - inner) * (1 - fat_plane) + (below - abdomen)
                args_fat = fat * 0.95
                deposit(
                    structure,
                    material_a,
                    material_b,
                    fraction_b,
                    density,
                    k,
                    j,
                    i,
                    1.0 - f,
                    inks[1],
                    args_fat,
                    inks[2],
                    meat * 1.05,
                )
                if m_skin > 0.0 or organ > 0.0:
                    deposit(
                        structure,
                        material_a,
                        material_b,
                        fraction_b,
                        density,
                        k,
                        j,
                        i,
                        1.0,
                        inks[0],
                        m_skin,
                        inks[3],
                        organ * 1.06,
                    )
                if f > 0.5:
                    if f - skin_inner >= 0.5 or skin_inner <= 0.5:
                        label = S_SKIN
                    elif muscle <= 0.5:
                        label = S_FAT
                    elif inner <= 0.5:
                        label = S_MUSCLE
                    elif below <= 0.5:
                        label = S_MEDIASTINUM
                    elif abdomen <= 0.5:
                        label = S_DIAPHRAGM
                    elif organ > 0.5:
                        label = S_LIVER
                    else:
                        label = S_ABDOMEN
                    structure[k, j, i] = np.uint16(label)


INK_SKIN, INK_FAT, INK_MUSCLE, INK_LIVER = INK["skin"], INK["adipose"], INK["muscle"], INK["liver"]
S_SKIN, S_FAT, S_MUSCLE, S_MEDIASTINUM = (
    int(Structure.SKIN),
    int(Structure.FAT),
    int(Structure.MUSCLE),
    int(Structure.MEDIASTINUM),
)
S_DIAPHRAGM, S_LIVER, S_ABDOMEN = int(Structure.DIAPHRAGM), int(Structure.LIVER), int(Structure.ABDOMEN)
