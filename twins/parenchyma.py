"""Aerated lung: tissue of constant mass over the inflated volume, denser towards the back, with texture and disease.

``rho(p) = rho_0 exp(g (y - y_mean)) (1 + texture)``: rho_0 is solved so that the lung holds the tissue mass of the spec
(``rho = m / V``: mass is conserved over inflation), with its septa, fissures, emphysema, caps and bands. The gradient g
grows as the lung deflates: 1.8 HU/cm at full inspiration, 5 at 65 % (design default). Texture is power-law noise,
``P(f) ~ f^-3`` over 0.03-0.6 /mm (design default), averaged over the voxel in the Fourier domain, on top of secondary
lobules (:mod:`.lobules`) and of all branches of the trees that are thinner than a voxel.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from .canvas import INK, Canvas, coverage, deposit
from .emphysema import HOLE_DENSITY_G_CM3, emphysema, points_in
from .fields import Field, interpolated_row, locate, noise, periodic, power_law, stream
from .fissures import FISSURE_MM, sheets
from .lobules import CONTRAST, PITCH_MM, SEPTUM_MM, lobule_at, lobules
from .lungs import Chest
from .pose import Pose, pose
from .shapes import Blob, Coat, direction, frame_along, paint
from .structures import LOBES, Structure

if TYPE_CHECKING:
    from .population import TwinSpec

Array = NDArray[Any]

TILE_STEP_MM = 0.8
"""Pitch of the texture tile [mm]."""

TEXTURE = 0.17
"""SD of the power-law texture, relative [1]. Design default."""

BAND_G_CM3, BAND_MM = 0.15, 20.0
"""Dependent atelectasis at its fullest: +150 HU, 20 mm deep. Design default."""

CAP_G_CM3 = 0.8
"""Density that an apical cap adds [g/cm3]. Design default."""

SCAR_G_CM3 = 0.6
"""Density of scars [g/cm3]. Design default."""

_TILE = 128


def paint_lungs(canvas: Canvas, spec: TwinSpec, chest: Chest, posed: Pose | None = None) -> None:
    """Paint parenchyma with its fissures, septa, emphysema, bands and scars; structure ids are the lobes.

    ``posed`` is what :func:`twins.pose.pose` makes of spec and chest, for those who have it already.
    """
    posed = posed or pose(spec, chest)
    lattice = chest.lattice
    step = lattice.spacing_mm[0]
    table = lobules(stream(spec.key, "lobules"))
    points = points_in(spec, chest)
    relative = _relative_density(spec, chest)
    gone = emphysema(spec, chest, posed, points, relative, table)
    in_hole = gone.covers(points)
    if gone.left is not None:
        relative = relative * gone.left
    added = _added_density(spec, chest)
    parted = sheets(spec, chest)
    # the mass that is left for rho_0
    volume_cm3 = float(np.clip(0.5 - chest.lung / step, 0, 1).sum(dtype=np.float64)) * step**3 * 1e-3
    here = np.where(in_hole, 0, relative[points.cell]).mean(dtype=np.float64)
    fixed = np.where(in_hole, HOLE_DENSITY_G_CM3, added[points.cell]).mean(dtype=np.float64)
    fixed += 0.9 * float(_septa(points.world_mm, chest.lung[points.cell].astype(np.float64), table).mean())
    sheets_cm3 = sum(_area_mm2(chest, d, gate) for d, gate in parted) * FISSURE_MM * 1e-3
    rho = (spec.target_tissue_mass_g() - fixed * volume_cm3 - 0.88 * sheets_cm3) / (volume_cm3 * here)
    if rho <= 0:
        raise ValueError(
            f"tissue_mass_g: {spec.target_tissue_mass_g():.0f} g is less than fissures, septa, caps and bands weigh, "
            f"{fixed * volume_cm3 + 0.88 * sheets_cm3:.0f} g"
        )
    added += relative * np.float32(rho)
    fields = (chest.lung, chest.side, chest.major, chest.minor, added, parted[0][1], parted[1][1])
    others = [f for pair in parted[2:] for f in pair]
    rng = stream(spec.key, "texture")
    pattern = power_law(rng, _TILE, TILE_STEP_MM, canvas.spacing_mm, exponent=3.0, corner=0.03, band=(0.012, 0.62))
    tile = np.maximum(1 + np.float32(TEXTURE * spec.texture_scale) * pattern, np.float32(0.25))
    holes = gone.holes[np.argsort(gone.holes[:, 2], kind="stable")]
    _fill(
        *canvas.arrays,
        np.asarray(canvas.grid.origin_mm),
        canvas.spacing_mm,
        tuple(np.ascontiguousarray(f, np.float32) for f in fields),
        np.asarray(others, np.float32).reshape(-1, *lattice.shape),
        np.asarray(lattice.origin_mm),
        step,
        tile,
        table,
        CONTRAST * spec.texture_scale,
        posed.backward_rows(),
        np.ascontiguousarray(holes),
        float(holes[:, 3].max(initial=0.0)),
    )
    paint(canvas, _scars(spec, chest))


def _relative_density(spec: TwinSpec, chest: Chest) -> Field:
    f = np.float32
    z, y, _ = (v.astype(f) for v in chest.lattice.axes_mm())
    slope_hu_cm = float(np.interp(spec.inflation, [0.65, 0.85, 0.95, 1.1], [5.0, 3.2, 2.2, 1.8]))
    density = spec.target_tissue_mass_g() / (spec.target_volume_l() * 1000)
    g = slope_hu_cm / 995 / density / 10
    patches = noise(chest.lattice, 22.0, stream(spec.key, "patches"))
    level = chest.cage.level(z).astype(f)
    patches *= f(0.035 * spec.texture_scale)
    patches += f(1.0)
    patches *= np.exp(f(g) * y)[None, :, None] * (f(1.06) - f(0.12) * level)[:, None, None]
    # pleura with the alveoli pressed against it
    pressed = np.minimum(chest.lung, f(0.0))
    pressed *= f(0.5)
    np.exp(pressed, out=pressed)
    pressed *= f(0.25)
    pressed += f(1.0)
    return np.multiply(patches, pressed, out=patches)


def _added_density(spec: TwinSpec, chest: Chest) -> Field:
    """Density of bands of dependent atelectasis and of apical caps, on top of the rest [g/cm3]."""
    added = np.zeros_like(chest.lung)
    depth = -chest.lung
    if spec.dependent_atelectasis > 0:
        slope = np.gradient(chest.lung, chest.lattice.spacing_mm[0])
        backward = np.clip(slope[1] / np.maximum(np.sqrt(sum(g * g for g in slope)), 1e-3) * 2 - 0.6, 0, 1)
        z, y, _ = chest.lattice.axes_mm()
        level = chest.cage.level(z)[:, None, None]
        behind = (y[None, :] - chest.cage.centre(z)[:, None]) / chest.cage.half_depth(z)[:, None]
        backward = backward * np.clip(behind * 3, 0, 1)[:, :, None]
        ragged = 1 + 0.45 * noise(chest.lattice, 18.0, stream(spec.key, "atelectasis"))
        reach = np.float32(BAND_MM * spec.dependent_atelectasis**0.5) * np.maximum(ragged, 0.1)
        band = np.clip(1 - depth / reach, 0, 1) * backward * np.clip((0.85 - level) / 0.15, 0, 1)
        added += np.float32(BAND_G_CM3 * spec.dependent_atelectasis**0.5) * band.astype(np.float32)
    if spec.apical_cap_mm > 0:
        rng = stream(spec.key, "caps")
        z = chest.lattice.axes_mm()[0][:, None, None]
        ragged = noise(chest.lattice, 12.0, rng)
        for mask in (chest.side < 0, chest.side > 0):
            top = z[np.flatnonzero(((chest.lung < 0) & mask).any((1, 2)))[-1], 0, 0]
            # thickest at the top, gone 30 mm below it
            thick = spec.apical_cap_mm * np.clip(1 - (top - z) / 30, 0, 1) * np.maximum(1 + 0.45 * ragged, 0)
            added += np.where(mask, CAP_G_CM3 * np.clip((thick - depth) / 2 + 0.5, 0, 1) * (thick > 0.3), 0)
    return added.astype(np.float32)


def _scars(spec: TwinSpec, chest: Chest) -> list[Blob]:
    """Scars: thin plates that reach inwards from the pleura."""
    if spec.n_scars == 0:
        return []
    rng = stream(spec.key, "scars")
    lattice = chest.lattice
    cells = np.argwhere((chest.lung < -3.0) & (chest.lung > -6.0))
    slope = np.gradient(chest.lung, lattice.spacing_mm[0])
    bodies = []
    for k, j, i in cells[rng.integers(len(cells), size=spec.n_scars)]:
        inward = -direction([slope[2][k, j, i], slope[1][k, j, i], slope[0][k, j, i]])
        axes = frame_along(inward + 0.5 * rng.standard_normal(3), rng.standard_normal(3))
        semi = (rng.uniform(0.5, 1.1), rng.uniform(2.5, 7.0), rng.uniform(5.0, 14.0))
        centre = lattice.index_to_world([k, j, i]) + axes[2] * (semi[2] - 5.0)
        if chest.side[k, j, i] < 0:
            lobe = LOBES[2] if chest.major[k, j, i] <= 0 else (LOBES[1] if chest.minor[k, j, i] <= 0 else LOBES[0])
        else:
            lobe = LOBES[4] if chest.major[k, j, i] <= 0 else LOBES[3]
        bodies.append(Blob(centre, semi, Coat("lung_tissue", Structure(lobe), core_density=SCAR_G_CM3), axes))
    return bodies


def _area_mm2(chest: Chest, sheet: Field, gate: Field) -> float:
    """Area of a fissure within the lungs [mm2]."""
    step = chest.lattice.spacing_mm[0]
    near = (np.abs(sheet) < step / 2) & (gate > 0)
    inside = np.clip(0.5 - chest.lung[near] / step, 0, 1)
    return float((inside * np.clip(gate[near], 0, 1)).sum(dtype=np.float64)) * step**2


@njit(cache=True, inline="always")
def _septum(there: Any, lung: Any) -> Any:
    """How much of a septum is seen at a signed distance from the pleura: most within 15 mm of it."""
    return there * (0.12 + 0.88 * math.exp(min(lung, 0.0) / 10.0))


@njit(cache=True)
def _septa(points: Array, lung: Array, table: Array) -> Array:
    """Volume fraction of septa about each point: the sheet as a cube of half a lobule sees it."""
    out = np.empty(len(points))
    for p in range(len(points)):
        _, distance, there = lobule_at(table, points[p, 0], points[p, 1], points[p, 2])
        out[p] = _sheet(distance, SEPTUM_MM, 0.2 * PITCH_MM) * _septum(there, lung[p])
    return out


@njit(parallel=True, cache=True, error_model="numpy")
def _fill(
    structure: Array,
    material_a: Array,
    material_b: Array,
    fraction_b: Array,
    density: Array,
    origin: Array,
    spacing: Any,
    fields: tuple[Array, ...],
    others: Array,
    corner: Array,
    step: Any,
    tile: Array,
    table: Array,
    contrast: Any,
    backward: Array,
    holes: Array,
    hole_reach: Any,
) -> None:
    """Lung tissue per voxel.

    ``fields`` (k, j, i): lung, side, major, minor, density, gates of major and minor; ``others`` (n, k, j, i): pairs of
    sheet and gate; ``backward`` (5, 3, 4) takes places in each lobe to where they are at full effort.
    """
    nz, ny, nx = structure.shape
    mz, my, mx = fields[0].shape
    n, m_others = len(fields), others.shape[0]
    scale = 1.0 / TILE_STEP_MM
    for k in prange(nz):
        z = origin[2] + k * spacing
        cz, w = locate((z - corner[2]) / step, mz)
        empty = np.zeros((ny, nx), np.float32)
        for h in range(np.searchsorted(holes[:, 2], z - hole_reach - spacing), holes.shape[0]):
            if holes[h, 2] > z + hole_reach + spacing:
                break
            r = holes[h, 3] + spacing
            if abs(holes[h, 2] - z) > r:
                continue
            y0 = max(0, math.ceil((holes[h, 1] - r - origin[1]) / spacing))
            y1 = min(ny - 1, math.floor((holes[h, 1] + r - origin[1]) / spacing))
            x0 = max(0, math.ceil((holes[h, 0] - r - origin[0]) / spacing))
            x1 = min(nx - 1, math.floor((holes[h, 0] + r - origin[0]) / spacing))
            for j in range(y0, y1 + 1):
                for i in range(x0, x1 + 1):
                    dx = origin[0] + i * spacing - holes[h, 0]
                    dy = origin[1] + j * spacing - holes[h, 1]
                    dz = z - holes[h, 2]
                    f = coverage(math.sqrt(dx * dx + dy * dy + dz * dz) - holes[h, 3], spacing)
                    if f > empty[j, i]:
                        empty[j, i] = f
        value = np.zeros(n, np.float32)
        row = np.zeros((n, mx), np.float32)
        more = np.zeros((m_others, mx), np.float32)
        for j in range(ny):
            y = origin[1] + j * spacing
            cy, v = locate((y - corner[1]) / step, my)
            interpolated_row(fields, row, cz, np.float32(w), cy, np.float32(v))
            interpolated_row(others, more, cz, np.float32(w), cy, np.float32(v))
            for i in range(nx):
                x = origin[0] + i * spacing
                cx, u = locate((x - corner[0]) / step, mx)
                f = coverage((1 - u) * row[0, cx] + u * row[0, cx + 1], spacing)
                if f <= 0.0:
                    continue
                for c in range(n):
                    value[c] = (1 - u) * row[c, cx] + u * row[c, cx + 1]
                lung, side, major, minor, rho = value[0], value[1], value[2], value[3], value[4]
                if major <= 0.0:
                    lobe = 2 if side < 0.0 else 4
                elif side < 0.0:
                    lobe = 1 if minor <= 0.0 else 0
                else:
                    lobe = 3
                m = backward[lobe]
                fx = m[0, 0] * x + m[0, 1] * y + m[0, 2] * z + m[0, 3]
                fy = m[1, 0] * x + m[1, 1] * y + m[1, 2] * z + m[1, 3]
                fz = m[2, 0] * x + m[2, 1] * y + m[2, 2] * z + m[2, 3]
                # texture: the tile read at two scales, turned against each other
                tx, ty, tz = fx * scale, fy * scale, fz * scale
                fine = periodic(tile, tx, ty, tz)
                coarse = periodic(tile, 0.31 * tx + 0.12 * ty + 41.0, 0.31 * ty - 0.12 * tx + 7.0, 0.33 * tz + 19.0)
                relative, apart, there = lobule_at(table, fx, fy, fz)
                rho *= fine * (0.4 + 0.6 * coarse) * (1.0 + contrast * relative)
                rho += (HOLE_DENSITY_G_CM3 - rho) * empty[j, i]
                sheet = _sheet(apart, SEPTUM_MM, spacing) * _septum(there, lung)
                sheet = max(sheet, _sheet(major, FISSURE_MM, spacing) * min(1.0, max(0.0, value[5])))
                sheet = max(sheet, _sheet(minor, FISSURE_MM, spacing) * min(1.0, max(0.0, value[6])))
                for c in range(0, m_others, 2):
                    distance = (1 - u) * more[c, cx] + u * more[c, cx + 1]
                    gate = (1 - u) * more[c + 1, cx] + u * more[c + 1, cx + 1]
                    sheet = max(sheet, _sheet(distance, FISSURE_MM, spacing) * min(1.0, max(0.0, gate)))
                rho += (1.0 - rho) * min(1.0, sheet)
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
                    np.uint8(INK_LUNG),
                    f * rho,
                    np.uint8(INK_LUNG),
                    0.0,
                )
                if f > 0.5:
                    structure[k, j, i] = np.uint16(FIRST_LOBE + lobe)


@njit(cache=True, inline="always")
def _sheet(distance: Any, thickness: Any, spacing: Any) -> Any:
    """Volume fraction of a sheet at a signed distance."""
    return coverage(distance - 0.5 * thickness, spacing) - coverage(distance + 0.5 * thickness, spacing)


INK_LUNG = INK["lung_tissue"]
FIRST_LOBE = int(LOBES[0])

__all__ = ["paint_lungs"]
