"""The population twin: a parametric thorax built from its spec, the same anatomy at every voxel size.

Fields on a lattice of 2.5 mm carry the large surfaces (cage, lungs, domes, fissures, skin); bones, heart, vessels and
trees are
analytic bodies painted at the voxels. Painting order: body, mediastinum, lungs, bones, veins, arteries, airways.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from .body import paint_body
from .bronchovascular import grow_trees, paint_trees
from .canvas import Canvas, palette
from .card import calibration
from .grid import Grid, Point
from .lungs import Chest, solve
from .mediastinum import paint_mediastinum, tracheal_rings
from .parenchyma import paint_lungs
from .pose import pose
from .skeleton import paint_skeleton
from .spec import TwinSpec
from .tissue import enhanced, paint_texture
from .twin import Twin

GENERATOR = "lungtwin-population-5"
"""Version of the anatomy: the same spec and version make the same bytes."""

MARGIN_MM = 20.0
"""Room below the lowest point of the lungs [mm]."""


def build(spec: TwinSpec, *, spacing_mm: float = 1.0) -> Twin:
    """Build the thorax of a population spec.

    Parameters
    ----------
    spec
        Who; see :func:`twins.draw`.
    spacing_mm
        Voxel size, 0.4 to 6 [mm].

    Raises
    ------
    ValueError
        If ``spacing_mm`` is out of range, or no chest of the person's size holds the lung volume.
    """
    if not 0.4 <= spacing_mm <= 6:
        raise ValueError(f"spacing_mm must lie in 0.4 ... 6, got {spacing_mm}")
    chest = solve(spec)
    canvas = Canvas.of_air(grid_of(chest, spacing_mm))
    paint_body(canvas, spec, chest)
    paint_mediastinum(canvas, spec, chest)
    posed = pose(spec, chest)
    trees = grow_trees(spec, chest, posed)
    paint_lungs(canvas, spec, chest, posed)
    paint_skeleton(canvas, spec, chest)
    paint_trees(canvas, chest, trees, spec.wall_thickness_scale, tracheal_rings(spec, chest))
    paint_texture(canvas, spec)
    twin = Twin(
        canvas.grid,
        *(canvas.structure, canvas.material_a, canvas.material_b, canvas.fraction_b, canvas.density),
        materials=enhanced(palette(), spec),
        patient=spec.patient(),
        airways=trees.airways,
        arteries=trees.arteries,
        veins=trees.veins,
        landmarks_mm=_landmarks(chest),
        provenance={"kind": "population", "spec": spec.model_dump(mode="json"), "generator": GENERATOR},
    )
    reached = [
        {"name": t.name, "target": round(t.target, 5), "measured": round(t.measured, 5), "unit": t.unit}
        for t in calibration(twin)
    ]
    return replace(twin, provenance={**twin.provenance, "calibration": reached})


def grid_of(chest: Chest, spacing_mm: float) -> Grid:
    """Voxels over the chest: faces on the same corner at every spacing."""
    lattice = chest.lattice
    z, y, x = lattice.axes_mm()
    low = z[np.flatnonzero((chest.lung < 0).any((1, 2)))[0]] - MARGIN_MM - lattice.spacing_mm[0]
    low = max(low, z[0])
    size = np.array([z[-1] - low, y[-1] - y[0], x[-1] - x[0]])
    shape = tuple(int(n) for n in np.ceil(size / spacing_mm - 1e-6))
    half = 0.5 * spacing_mm
    return Grid(shape, (float(spacing_mm),) * 3, (float(x[0]) + half, float(y[0]) + half, float(low) + half))  # type: ignore[arg-type]


def _landmarks(chest: Chest) -> dict[str, Point]:
    z, y, x = chest.lattice.axes_mm()
    centre, cage = chest.mediastinum, chest.cage
    found: dict[str, Point] = {"carina": _point(centre.at((0, 16, 0)))}
    for name, mask in (("right", chest.side < 0), ("left", chest.side > 0)):
        inside = (chest.lung < 0) & mask
        for place, k in (
            ("apex", np.flatnonzero(inside.any((1, 2)))[-1]),
            ("lung_base", np.flatnonzero(inside.any((1, 2)))[0]),
        ):
            j, i = np.argwhere(inside[k]).mean(0)
            found[f"{name}_{place}"] = (float(x[0] + i * (x[1] - x[0])), float(y[0] + j * (y[1] - y[0])), float(z[k]))
    found["left_ventricle"] = _point(centre.at((44, 58, -92)))
    found["aortic_arch_top"] = _point(centre.at((4, 29, 31)))
    found["sternal_notch"] = (0.0, float(cage.front(46.0)) - 9.0, 46.0 * cage.stature)
    assert all(math.isfinite(v) for p in found.values() for v in p)
    return found


def _point(values: np.ndarray) -> Point:
    x, y, z = (float(v) for v in values)
    return (x, y, z)


__all__ = ["GENERATOR", "build", "grid_of"]
