"""Fissures: where lobes are parted by pleura, where they have grown together, and what some people have besides.

A fissure is a signed distance and a gate, positive where the sheet is there. Incomplete fissures end towards the hilum,
where lobes are merged (they do in 48 % of right and 43 % of left major, 63 % of minor fissures). Variants: azygos
fissure 1.2 %, inferior accessory 8.6 %, left minor 6.1 %, minor fissure absent in 2-3 %. Places of the variants are
design defaults, unverified.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .fields import Field, noise, stream

if TYPE_CHECKING:
    from .lungs import Chest
    from .population import TwinSpec

FISSURE_MM = 0.22
"""Tissue of a fissure, both pleurae [mm]. Design default, unverified: seen as a line of some 150 HU over 1 mm."""

LINGULA_SHARE = 0.32
"""Share of the left upper lobe below a left minor fissure. Design default, unverified."""


def sheets(spec: TwinSpec, chest: Chest) -> list[tuple[Field, Field]]:
    """Distances [mm] and gates [mm, positive: present] of all fissures; the first two are the major and the minor."""
    ragged = noise(chest.lattice, 30.0, stream(spec.key, "fissures"))
    right = chest.side < 0
    z, y, x = (a.astype(np.float32) for a in chest.lattice.axes_mm())
    # how far from the hilum a place is [mm]: what is near it merges first
    away = np.hypot(np.abs(x)[None, None, :] - 25, 0.5 * z[:, None, None] + 10) + 9 * ragged
    major = np.where(
        right,
        _gate(chest, chest.major, right, away, spec.right_major_completeness),
        _gate(chest, chest.major, ~right, away, spec.left_major_completeness),
    )
    above = np.minimum(-chest.side, chest.major)
    if "absent_minor_fissure" in spec.variants:
        minor = np.full_like(away, -10.0)
    else:
        minor = np.minimum(_gate(chest, chest.minor, right & (chest.major > 0), away, spec.minor_completeness), above)
    found = [(chest.major, major), (chest.minor, minor)]
    Z, Y, X = z[:, None, None], y[None, :, None], x[None, None, :]
    level = chest.cage.level(z)[:, None, None].astype(np.float32)
    if "left_minor_fissure" in spec.variants:
        sheet = Z + 0.0016 * ((X - 75) ** 2 + (Y + 20) ** 2) - 2 * ragged
        inside = (chest.lung < 0) & ~right & (chest.major > 0)
        sheet = sheet - np.quantile(sheet[inside], LINGULA_SHARE)
        found.append((sheet, np.minimum(np.minimum(chest.side, chest.major), away - 45)))
    if "azygos_fissure" in spec.variants:
        # a curtain on the arch of the azygos vein, bulging outwards, from the apex to a finger above the carina
        at = 0.5 * float(chest.cage.half_width(chest.cage.apex_mm - 30))
        middle = np.float32(chest.cage.centre(chest.cage.apex_mm - 30))
        sheet = (-X - at - 10 + 0.006 * (Y - middle) ** 2 - 2 * ragged) * np.float32(0.97)
        gate = np.minimum(Z - (chest.cage.apex_mm - 0.75 * (chest.cage.apex_mm - 12)), above)
        found.append((sheet, np.minimum(gate, chest.minor)))
    if "inferior_accessory_fissure" in spec.variants:
        # cuts the medial basal segment off: from the inner back of the base forwards and outwards
        base_y = float(chest.cage.centre(chest.cage.base_mm + 60))
        sheet = np.asarray(
            0.80 * (-X - 62) + 0.55 * (Y - base_y) - 0.25 * (Z - chest.cage.base_mm - 50) - 2 * ragged, np.float32
        )
        gate = np.minimum(np.minimum(-chest.side, -chest.major), (0.34 - level) * chest.cage.height_mm)
        found.append((sheet, gate))
    return [(d.astype(np.float32), np.clip(g, -10, 10).astype(np.float32)) for d, g in found]


def _gate(chest: Chest, sheet: Field, region: np.ndarray, away: Field, completeness: float) -> Field:
    """Positive on the share ``completeness`` of a fissure, the part away from the hilum [mm]."""
    if completeness >= 1:
        return np.full_like(away, 10.0)
    near = region & (np.abs(sheet) < chest.lattice.spacing_mm[0]) & (chest.lung < 0)
    if not near.any():
        return np.full_like(away, 10.0)
    return np.asarray(away - np.quantile(away[near], 1 - completeness), np.float32)
