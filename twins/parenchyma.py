"""Aerated lung: tissue of constant mass over the inflated volume, denser towards the back, with texture and emphysema.

``rho(p) = rho_0 exp(g (y - y_mean)) (1 + texture)``: rho_0 is solved so that the lung holds the tissue mass of the spec
(``rho = m / V``: mass is conserved over inflation). The gradient g grows as the lung deflates: 1.5 HU/cm at full
inspiration, 5 at
65 % (design default). Texture is power-law noise, ``P(f) ~ f^-3`` over 0.03-0.6 /mm (design default), averaged over
the voxel in the
Fourier domain, on top of cells of the size of secondary lobules. Emphysema is a set of spherical holes (centrilobular:
log-normal radii, median 2.2 mm; upper zones first) of 0.03 g/cm3 that fill the given share of the lung.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from .canvas import INK, Canvas, coverage, deposit
from .fields import Field, locate, noise, sample, stream
from .lungs import Chest
from .structures import LOBES

if TYPE_CHECKING:
    from .population import TwinSpec

Array = NDArray[Any]

TILE_STEP_MM = 0.8
"""Pitch of the texture tile [mm]."""

HOLE_DENSITY_G_CM3 = 0.03
"""Density inside emphysema (0.02-0.05) [g/cm3]."""

FISSURE_MM = 0.3
"""Tissue of a fissure, both pleurae [mm]."""

_TILE = 144


def paint_lungs(canvas: Canvas, spec: TwinSpec, chest: Chest) -> None:
    """Paint parenchyma with its fissures; structure ids are the lobes."""
    lattice = chest.lattice
    step = lattice.spacing_mm[0]
    relative = _relative_density(spec, chest)
    inside = np.clip(0.5 - chest.lung / step, 0, 1)
    volume_cm3 = float(inside.sum(dtype=np.float64)) * step**3 * 1e-3
    holes, hole_share = _holes(spec, chest)
    mean = float((inside * relative).sum(dtype=np.float64) / inside.sum(dtype=np.float64))
    gaps = _gaps(spec, chest)
    near = (np.abs(chest.major) < step / 2) | ((chest.side < 0) & (chest.major > 0) & (np.abs(chest.minor) < step / 2))
    sheets_cm3 = float((inside * near * np.clip(3 * gaps, 0, 1)).sum(dtype=np.float64)) * step**2 * FISSURE_MM * 1e-3
    left_over = spec.target_tissue_mass_g() - hole_share * volume_cm3 * HOLE_DENSITY_G_CM3 - 0.88 * sheets_cm3
    rho = left_over / (volume_cm3 * (1 - hole_share) * mean)
    fields = np.stack([chest.lung, chest.side, chest.major, chest.minor, relative * np.float32(rho), gaps], axis=-1)
    tile = _tile(stream(spec.key, "texture"), canvas.spacing_mm)
    order = np.argsort(holes[:, 2], kind="stable")
    holes = np.ascontiguousarray(holes[order])
    _fill(
        *canvas.arrays,
        np.asarray(canvas.grid.origin_mm),
        canvas.spacing_mm,
        fields,
        np.asarray(lattice.origin_mm),
        step,
        tile,
        holes,
        float(holes[:, 3].max(initial=0.0)),
    )


def _relative_density(spec: TwinSpec, chest: Chest) -> Field:
    z, y, _ = chest.lattice.axes_mm()
    slope_hu_cm = float(np.interp(spec.inflation, [0.65, 0.85, 0.95, 1.1], [5.0, 3.2, 2.2, 1.8]))
    density = spec.target_tissue_mass_g() / (spec.target_volume_l() * 1000)
    g = slope_hu_cm / 995 / density / 10
    patches = noise(chest.lattice, 22.0, stream(spec.key, "patches"))
    level = chest.cage.level(z)
    field = np.exp(g * y)[None, :, None] * (1.06 - 0.12 * level)[:, None, None] * (1 + 0.035 * patches)
    # pleura with the alveoli pressed against it
    return np.asarray(field * (1 + 0.25 * np.exp(np.minimum(chest.lung, 0) / 2.0)), np.float32)


def _gaps(spec: TwinSpec, chest: Chest) -> Field:
    """Positive where a fissure is complete; fissures end before the hilum in about half of the lungs."""
    field = noise(chest.lattice, 55.0, stream(spec.key, "fissures"))
    _, _, x = chest.lattice.axes_mm()
    return np.asarray(field + 0.5 + np.clip((np.abs(x)[None, None, :] - 55) / 30, -1, 1.2), np.float32)


def _tile(rng: np.random.Generator, spacing_mm: float) -> NDArray[np.float32]:
    """Periodic multiplicative texture (mean 1), as voxels of ``spacing_mm`` average it."""
    import scipy.fft

    white = rng.standard_normal((_TILE, _TILE, _TILE), dtype=np.float32)
    f = scipy.fft.fftfreq(_TILE, TILE_STEP_MM)
    fz, fy = f[:, None, None], f[None, :, None]
    fx = scipy.fft.rfftfreq(_TILE, TILE_STEP_MM)[None, None, :]
    radius = np.sqrt(fz**2 + fy**2 + fx**2)
    amplitude = np.where(radius > 0.012, np.maximum(radius, 0.03) ** -1.5, 0) * (radius < 0.62)
    spectrum = scipy.fft.rfftn(white, workers=1) * amplitude
    pattern = scipy.fft.irfftn(spectrum, s=white.shape, workers=1)
    gain = 0.17 / pattern.std()
    voxel = np.sinc(fz * spacing_mm) * np.sinc(fy * spacing_mm) * np.sinc(fx * spacing_mm)
    pattern = scipy.fft.irfftn(spectrum * voxel, s=white.shape, workers=1) * gain
    return np.asarray(np.maximum(1 + pattern, 0.25), np.float32)


def _holes(spec: TwinSpec, chest: Chest) -> tuple[NDArray[np.float32], float]:
    """Centres and radii ``(n, 4)`` of emphysema, and the share of the lung that they fill [1]."""
    share = spec.emphysema_percent / 100
    if share <= 0.0005:
        return np.zeros((0, 4), np.float32), 0.0
    rng = stream(spec.key, "emphysema")
    lattice = chest.lattice
    z, _, _ = lattice.axes_mm()
    cells = np.argwhere(chest.lung < -2.0)
    count = int(min(4e5, 40 + 1.5 * share * spec.target_volume_l() * 1e6 / 95))
    weight = np.exp(2.0 * chest.cage.level(z))[cells[:, 0]]
    cluster = noise(lattice, 26.0, rng)[tuple(cells.T)]
    cumulative = np.cumsum(weight * np.exp(1.2 * cluster))
    picked = cells[np.searchsorted(cumulative, rng.random(count) * cumulative[-1])]
    index = picked + rng.random((count, 3)) - 0.5
    radius = np.clip(2.2 * np.exp(0.45 * rng.standard_normal(count)), 1.0, 9.0)
    lung = spec.target_volume_l() * 1e6
    # overlapping holes: the share that random spheres fill is 1 - exp(-sum / V)
    filled = 1 - np.exp(-np.cumsum(4 / 3 * math.pi * radius**3) / (lung * 0.8))
    n = int(np.searchsorted(filled, min(share / 0.8, 0.9)))
    holes = np.column_stack([lattice.index_to_world(index), radius])[:n]
    return holes.astype(np.float32), share


@njit(parallel=True, cache=True, error_model="numpy")
def _fill(
    structure: Array,
    material_a: Array,
    material_b: Array,
    fraction_b: Array,
    density: Array,
    origin: Array,
    spacing: Any,
    fields: Array,
    corner: Array,
    step: Any,
    tile: Array,
    holes: Array,
    hole_reach: Any,
) -> None:
    """Lung tissue per voxel; ``fields`` (k, j, i, 6): lung, side, major, minor, density, completeness of fissures."""
    nz, ny, nx = structure.shape
    size = tile.shape[0]
    scale = 1.0 / TILE_STEP_MM
    for k in prange(nz):
        z = origin[2] + k * spacing
        cz, w = locate((z - corner[2]) / step, fields.shape[0])
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
        value = np.zeros(6, np.float32)
        for j in range(ny):
            y = origin[1] + j * spacing
            cy, v = locate((y - corner[1]) / step, fields.shape[1])
            for i in range(nx):
                x = origin[0] + i * spacing
                cx, u = locate((x - corner[0]) / step, fields.shape[2])
                if fields[cz, cy, cx, 0] > 6.0 * step:
                    continue
                value[:] = 0.0
                for a in range(2):
                    for b in range(2):
                        wab = (w if a else 1 - w) * (v if b else 1 - v)
                        for c in range(6):
                            value[c] += wab * (
                                (1 - u) * fields[cz + a, cy + b, cx, c] + u * fields[cz + a, cy + b, cx + 1, c]
                            )
                lung, side, major, minor, rho, complete = value
                f = coverage(lung, spacing)
                if f <= 0.0:
                    continue
                # texture: the tile read at two scales, turned against each other
                tx, ty, tz = x * scale, y * scale, z * scale
                fine = _tiled(tile, tx, ty, tz, size)
                coarse = _tiled(tile, 0.31 * tx + 0.12 * ty + 41.0, 0.31 * ty - 0.12 * tx + 7.0, 0.33 * tz + 19.0, size)
                rho *= fine * (0.4 + 0.6 * coarse)
                rho += (HOLE_DENSITY_G_CM3 - rho) * empty[j, i]
                sheet = _sheet(major, spacing)
                if side < 0.0 and major > 0.0:
                    sheet = max(sheet, _sheet(minor, spacing))
                if complete > 0.0:
                    rho += (1.0 - rho) * sheet * min(1.0, 3.0 * complete)
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
                    if side < 0.0:
                        lobe = RIGHT_LOWER if major <= 0.0 else (RIGHT_MIDDLE if minor <= 0.0 else RIGHT_UPPER)
                    else:
                        lobe = LEFT_LOWER if major <= 0.0 else LEFT_UPPER
                    structure[k, j, i] = np.uint16(lobe)


@njit(cache=True, inline="always")
def _sheet(distance: Any, spacing: Any) -> Any:
    """Volume fraction of a sheet of ``FISSURE_MM`` at a signed distance."""
    return coverage(distance - 0.5 * FISSURE_MM, spacing) - coverage(distance + 0.5 * FISSURE_MM, spacing)


@njit(cache=True)
def _tiled(tile: Array, x: Any, y: Any, z: Any, size: Any) -> Any:
    i, j, k = math.floor(x), math.floor(y), math.floor(z)
    u, v, w = x - i, y - j, z - k
    i0, j0, k0 = i % size, j % size, k % size
    i1, j1, k1 = (i + 1) % size, (j + 1) % size, (k + 1) % size
    low = (tile[k0, j0, i0] * (1 - u) + tile[k0, j0, i1] * u) * (1 - v) + (
        tile[k0, j1, i0] * (1 - u) + tile[k0, j1, i1] * u
    ) * v
    high = (tile[k1, j0, i0] * (1 - u) + tile[k1, j0, i1] * u) * (1 - v) + (
        tile[k1, j1, i0] * (1 - u) + tile[k1, j1, i1] * u
    ) * v
    return low * (1 - w) + high * w


INK_LUNG = INK["lung_tissue"]
RIGHT_UPPER, RIGHT_MIDDLE, RIGHT_LOWER, LEFT_UPPER, LEFT_LOWER = (int(lobe) for lobe in LOBES)

__all__ = ["paint_lungs", "sample"]
