"""What makes tissue of one kind uneven: septa in fat, fat in muscle, trabeculae in marrow; and iodine in the blood.

Texture is power-law noise, ``P(f) ~ f^-2.5`` over 0.02-0.5 /mm (design default, unverified; trabecular bone shows power
laws), fixed in world coordinates and averaged over the voxel. It moves volume between two materials, so that every
voxel stays
a mixture that could be: fat holds up to a quarter of septa and twigs, muscle fat between its bundles, marrow holds the
mineral that brings trabecular bone to ``240 - 1.9 age +- 35`` HU at 120 kVp (unverified), less than none being fat.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from .canvas import INK, PALETTE, Canvas
from .fields import periodic, power_law, stream
from .materials import Material, material
from .structures import Structure
from .twin import DENSITY_STEP_G_CM3, FRACTION_STEP

if TYPE_CHECKING:
    from .spec import TwinSpec

Array = NDArray[Any]

TILE_STEP_MM = 0.9
"""Pitch of the periodic texture [mm]."""

_TILE = 128

SPONGIOSA_SPINE_HU, CORTICAL_BONE_HU = 90.0, 1561.0
"""CT numbers at 70 keV of the spongiosa of ICRP 110 and of cortical bone [HU]."""

_TISSUE_SHARE = {"lung_tissue": 0.35, "liver": 0.25, "heart_muscle": 0.15, "muscle": 0.03, "gut_wall": 0.08}
"""Iodine of an enhanced tissue / that of the blood, early after injection [1]: that of the lung is its capillary blood.
Design defaults, unverified."""


def paint_texture(canvas: Canvas, spec: TwinSpec) -> None:
    """Make fat, muscle and marrow uneven, and give blood the density that its iodine brings."""
    rng = stream(spec.key, "tissue")
    tile = power_law(rng, _TILE, TILE_STEP_MM, canvas.spacing_mm, exponent=2.5, corner=0.02, band=(0.0, 0.5))
    mineral = (240 - 1.9 * spec.age_y + 35 * float(np.clip(rng.normal(), -2, 2)) - SPONGIOSA_SPINE_HU) / (
        CORTICAL_BONE_HU - SPONGIOSA_SPINE_HU
    )
    lean = 0.015 + 0.0008 * max(0.0, spec.age_y - 50) + 0.002 * max(0.0, spec.bmi - 25)
    # material: taking it in above zero, and below; mean, gains of the fine and the coarse texture, limit
    rules = {
        "adipose": ("muscle", "adipose", 0.02, 0.045, 0.035, 0.25),
        "muscle": ("adipose", "muscle", lean, 0.030, 0.050, 0.35),
        "breast_gland": ("adipose", "breast_gland", 0.25, 0.25, 0.15, 0.8),
        "spongiosa_spine": ("cortical_bone", "adipose", mineral, 0.040, 0.020, 0.25),
        "spongiosa_ribs": ("cortical_bone", "adipose", 0.5 * mineral - 0.22, 0.090, 0.040, 0.5),
    }
    table = np.zeros((len(PALETTE), 8))
    table[:, 0] = -1
    for name, (above, below, mean, fine, coarse, limit) in rules.items():
        table[INK[name]] = (INK[above], material(above).density_g_cm3, INK[below], material(below).density_g_cm3,
                            mean, fine, coarse, limit)  # fmt: skip
    natural = np.array([material(name).density_g_cm3 for name in PALETTE])
    swell = np.ones(len(PALETTE))
    for name, c in _iodine(spec).items():
        swell[INK[name]] = 1 + c * _G_PER_MG_ML / material(name).density_g_cm3
    _mottle(
        *canvas.arrays, np.asarray(canvas.grid.origin_mm), canvas.spacing_mm, tile, TILE_STEP_MM, table, natural,
        swell, rng.uniform(0, _TILE, 3),
    )  # fmt: skip


def enhanced(materials: tuple[Material, ...], spec: TwinSpec) -> tuple[Material, ...]:
    """The palette with the iodine of the spec in blood and perfused tissue.

    Blood of c mg/mL holds c mg of iodine in a mL and weighs ``1.06 + 0.000675 c`` g/mL (solutions of contrast agents,
    40 mg/mL at 1.087); tissues have a share of it.
    """
    doses = _iodine(spec)
    made = []
    for m in materials:
        c = doses.get(m.name, 0.0)
        if c <= 0:
            made.append(m)
            continue
        density = m.density_g_cm3 + _G_PER_MG_ML * c
        iodine = 1e-3 * c / density
        rest = tuple((e, f * (1 - iodine)) for e, f in m.mass_fractions)
        source = f"{m.source}, with {c:.3g} mg iodine per mL"
        name = f"{m.name}_with_{1000 * c:.0f}_ug_ml_iodine"
        made.append(replace(m, name=name, density_g_cm3=density, mass_fractions=(*rest, ("I", iodine)), source=source))
    return tuple(made)


def _iodine(spec: TwinSpec) -> dict[str, float]:
    """Iodine of each material that holds some [mg/mL]."""
    if spec.blood_iodine_mg_ml <= 0:
        return {}
    return {"blood": spec.blood_iodine_mg_ml, **{k: v * spec.blood_iodine_mg_ml for k, v in _TISSUE_SHARE.items()}}


_G_PER_MG_ML = 0.027 / 40


@njit(parallel=True, cache=True, error_model="numpy")
def _mottle(
    structure: Array, material_a: Array, material_b: Array, fraction_b: Array, density: Array, origin: Array,
    spacing: Any, tile: Array, step: Any, table: Array, natural: Array, swell: Array, offset: Array,
) -> None:  # fmt: skip
    """Voxel by voxel: exchange volume of the heavier material as the texture has it; let iodine add its mass.

    A voxel whose other material is neither its partner nor less than 2 % of its mass is a surface and stays.
    """
    nz, ny, nx = structure.shape
    for k in prange(nz):
        z = (origin[2] + k * spacing) / step + offset[2]
        for j in range(ny):
            y = (origin[1] + j * spacing) / step + offset[1]
            for i in range(nx):
                if structure[k, j, i] == S_OUTSIDE:
                    continue
                a, b = material_a[k, j, i], material_b[k, j, i]
                share = fraction_b[k, j, i] * FRACTION_STEP
                if a == b:
                    share = 0.0
                rho = density[k, j, i] * DENSITY_STEP_G_CM3
                mass_a, mass_b = rho * (1.0 - share), rho * share
                if mass_b > mass_a:
                    a, b = b, a
                    mass_a, mass_b = mass_b, mass_a
                changed = False
                row = table[a]
                if row[0] >= 0.0:
                    x = (origin[0] + i * spacing) / step + offset[0]
                    n = row[4] + row[5] * periodic(tile, x, y, z)
                    n += row[6] * periodic(tile, 0.31 * x + 17.0, 0.31 * y + 5.0, 0.31 * z + 41.0)
                    to, dense = (row[0], row[1]) if n > 0.0 else (row[2], row[3])
                    f = min(row[7], abs(n))
                    c = np.uint8(to)
                    if c != a and (mass_b < 0.02 * rho or b == c):
                        volume = f * mass_a / natural[a]
                        if mass_b < 0.02 * rho and b != c:
                            mass_a += mass_b
                            mass_b = 0.0
                        mass_b += volume * dense
                        mass_a -= volume * natural[a]
                        b = c
                        changed = True
                if swell[a] != 1.0 or swell[b] != 1.0:
                    mass_a *= swell[a]
                    mass_b *= swell[b]
                    changed = True
                if changed:
                    rho = mass_a + mass_b
                    material_a[k, j, i] = a
                    material_b[k, j, i] = b if mass_b > 0.0 else a
                    fraction_b[k, j, i] = np.uint16(math.floor(mass_b / rho / FRACTION_STEP + 0.5))
                    density[k, j, i] = np.uint16(math.floor(rho / DENSITY_STEP_G_CM3 + 0.5))


S_OUTSIDE = int(Structure.OUTSIDE)
