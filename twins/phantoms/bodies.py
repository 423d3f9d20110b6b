"""Single bodies in room air: cylinders, spheres, slabs, with inserts."""

from __future__ import annotations

from collections.abc import Sequence

from ..grid import Grid, Point, Triple
from ..materials import Material
from ..solids import Box, Cylinder, Ellipsoid
from ..structures import Structure
from ..twin import Twin
from .parts import AIR, Part
from .voxels import build_body


def cylinder(
    diameter_mm: float | tuple[float, float],
    length_mm: float,
    material: str | Material = "water",
    *,
    inserts: Sequence[Part] = (),
    spacing_mm: float | Triple = 1.0,
    centre_mm: Point = (0.0, 0.0, 0.0),
    density_g_cm3: float | None = None,
    margin_mm: float = 10.0,
    grid: Grid | None = None,
) -> Twin:
    """A cylinder along z in room air, round or elliptic, with inserts.

    Parameters
    ----------
    diameter_mm
        Diameter, or diameters along x and y [mm].
    length_mm
        Length along z [mm].
    material, density_g_cm3
        What it is made of; the density of natural packing unless given [g/cm3].
    inserts
        Parts wholly inside, that do not touch each other; see :func:`rod` and :func:`ball`.
    spacing_mm
        Voxel size, one number or along (z, y, x) [mm].
    centre_mm
        World point of its middle [mm].
    margin_mm
        Air around it [mm].
    grid
        The lattice, instead of the one made from ``spacing_mm`` and ``margin_mm``; it may cut the body.

    Raises
    ------
    ValueError
        If a length is not positive, a material is unknown, or a voxel would hold more than two materials.

    Examples
    --------
    >>> twin = cylinder(200.0, 40.0, inserts=[rod(20.0, 40.0, "cortical_bone", at_mm=(50.0, 0.0))], spacing_mm=4.0)
    >>> lengths = path_lengths_mm(twin, (-500.0, 0.0, 0.0), (500.0, 0.0, 0.0))
    >>> round(float(lengths["cortical_bone"]), 6)
    20.0
    """
    dx, dy = (diameter_mm, diameter_mm) if isinstance(diameter_mm, int | float) else diameter_mm
    shape = Cylinder(centre_mm, (dx / 2, dy / 2), length_mm)
    return build_body(
        [Part(shape, material, density_g_cm3), *inserts], spacing_mm=spacing_mm, margin_mm=margin_mm, grid=grid
    )


def sphere(
    diameter_mm: float,
    material: str | Material = "water",
    *,
    inserts: Sequence[Part] = (),
    spacing_mm: float | Triple = 1.0,
    centre_mm: Point = (0.0, 0.0, 0.0),
    density_g_cm3: float | None = None,
    margin_mm: float = 10.0,
    grid: Grid | None = None,
) -> Twin:
    """A sphere in room air; parameters as in :func:`cylinder`."""
    part = Part(Ellipsoid(centre_mm, (diameter_mm / 2,) * 3), material, density_g_cm3)
    return build_body([part, *inserts], spacing_mm=spacing_mm, margin_mm=margin_mm, grid=grid)


def slab(
    size_mm: Triple,
    material: str | Material = "water",
    *,
    inserts: Sequence[Part] = (),
    spacing_mm: float | Triple = 1.0,
    centre_mm: Point = (0.0, 0.0, 0.0),
    density_g_cm3: float | None = None,
    margin_mm: float = 10.0,
    grid: Grid | None = None,
) -> Twin:
    """A box of ``size_mm`` along (x, y, z) in room air; other parameters as in :func:`cylinder`."""
    part = Part(Box(centre_mm, size_mm), material, density_g_cm3)
    return build_body([part, *inserts], spacing_mm=spacing_mm, margin_mm=margin_mm, grid=grid)


def air(size_mm: Triple = (100.0, 100.0, 100.0), *, spacing_mm: float | Triple = 1.0) -> Twin:
    """Nothing but room air in a box of ``size_mm`` along (x, y, z)."""
    part = Part(Box((0.0, 0.0, 0.0), size_mm), AIR, structure=Structure.OUTSIDE)
    return build_body([part], spacing_mm=spacing_mm, margin_mm=0.0)
