"""Things finer than a phantom's voxels, each on a lattice of its own: wires, edges, foils, small balls.

They are insets: the difference to the material that they displace. As line integrals add, they are as exact as their
own lattice, which can be much finer than any whole body's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..grid import Point, Triple
from ..materials import Material
from ..solids import Cylinder
from ..twin import Inset, Twin
from .bodies import cylinder
from .parts import AIR, Part, described, part_to_dict
from .voxels import lattice


def with_fine_part(twin: Twin, part: Part, host: Part, *, spacing_mm: Triple, name: str) -> Twin:
    """The phantom with a part as an inset.

    Parameters
    ----------
    twin
        A phantom; ``path_lengths_mm`` then counts the part too.
    part
        What is put in.
    host
        The part that it lies wholly within, whose material it displaces.
    spacing_mm
        Voxel size of the inset along (z, y, x) [mm]. Rays interpolate linearly between its slices, so that a part that
        is long in z needs at least a few of them.
    name
        Of the inset.

    Raises
    ------
    ValueError
        If the twin is no phantom or has an inset of that name.
    """
    if name in {inset.name for inset in twin.insets}:
        raise ValueError(f"name must differ from those of the twin's insets, got {name!r}")
    low, high = (np.asarray(corner) for corner in part.solid.bounds_mm)
    grid = lattice(low, high, spacing_mm, margin_mm=min(spacing_mm))
    share = part.solid.volume_fractions(grid)
    delta = np.stack([share * part.density, -share * host.density]).astype(np.float32)
    entry: dict[str, Any] = {"fills": part_to_dict(part), "of": host.substance.name}
    if host.density_g_cm3 is not None:
        entry["of_relative_density"] = host.density / host.substance.density_g_cm3
    made = twin.with_insets((Inset(name, grid, (part.substance, host.substance), delta),))
    return replace(made, provenance={**twin.provenance, "body": [*described(twin), entry]})


def with_wire(
    twin: Twin,
    diameter_mm: float,
    length_mm: float,
    material: str | Material = "tungsten",
    *,
    at_mm: Point = (0.0, 0.0, 0.0),
    slope: tuple[float, float] = (0.0, 0.0),
    host: str | Material = AIR,
    spacing_mm: float | None = None,
) -> Twin:
    """The phantom with a thin wire, as an inset on its own fine grid (any density).

    Parameters
    ----------
    twin
        A phantom; ``path_lengths_mm`` then counts the wire too.
    diameter_mm, length_mm, material
        The wire, along z [mm].
    at_mm
        World point of its middle [mm].
    slope
        How far it leans along x and y per millimetre of z.
    host
        The material that it displaces: it must lie wholly in that material at natural density.
    spacing_mm
        In-plane voxel size of the inset; ``None`` means a quarter of the diameter [mm].
    """
    part = Part(Cylinder(at_mm, (diameter_mm / 2,) * 2, length_mm, slope), material)
    h = diameter_mm / 4 if spacing_mm is None else spacing_mm
    hz = length_mm / np.ceil(length_mm / 1.0) if slope == (0.0, 0.0) else h
    n = sum(inset.name.startswith("wire") for inset in twin.insets)
    return with_fine_part(twin, part, Part(part.solid, host), spacing_mm=(float(hz), h, h), name=f"wire {n + 1}")


def wire(
    diameter_mm: float = 0.2,
    *,
    material: str | Material = "hydroxyapatite",
    at_mm: tuple[float, float] = (3.3, -2.1),
    length_mm: float = 60.0,
    body_mm: float = 100.0,
    spacing_mm: float = 5.0,
) -> Twin:
    """A straight wire along z in a cylinder of water: the point spread function in the plane.

    Catphan's is tungsten in plastic; this one is of a material that the two-basis projector can stand for, and thin
    enough (about 0.03 of line integral) for its own transmission to be linear.

    Parameters
    ----------
    diameter_mm, material
        Of the wire [mm].
    at_mm
        World (x, y) of the wire; off the axis by no simple fraction of a pixel, so that pixels sample it evenly [mm].
    length_mm, body_mm
        Length of wire and cylinder, diameter of the cylinder [mm].
    spacing_mm
        Voxel size of the water [mm].
    """
    body = cylinder(body_mm, length_mm, spacing_mm=spacing_mm)
    return with_wire(body, diameter_mm, length_mm, material, at_mm=(*at_mm, 0.0), host="water")


def edge(
    diameter_mm: float = 20.0,
    *,
    material: str | Material = "pmma",
    at_mm: tuple[float, float] = (3.3, -2.1),
    length_mm: float = 60.0,
    body_mm: float = 100.0,
    spacing_mm: float = 5.0,
    fine_mm: float = 0.05,
) -> Twin:
    """A plastic rod in water with an edge on a fine lattice, as for the task transfer function (AAPM TG-233, 2019).

    Parameters
    ----------
    diameter_mm, material, at_mm
        The rod and where its axis is in world (x, y); around the isocentre itself every view would sample its edge
        alike [mm].
    length_mm, body_mm, spacing_mm
        As in :func:`wire` [mm].
    fine_mm
        In-plane voxel size of the rod's lattice; voxels blur it like squares of that size [mm].
    """
    body = cylinder(body_mm, length_mm, spacing_mm=spacing_mm)
    part = Part(Cylinder((*at_mm, 0.0), (diameter_mm / 2,) * 2, length_mm), material)
    return with_fine_part(
        body, part, Part(part.solid, "water"), spacing_mm=(length_mm / 4, fine_mm, fine_mm), name="edge"
    )


def foil(
    thickness_mm: float = 0.1,
    *,
    diameter_mm: float = 5.0,
    material: str | Material = "teflon",
    at_mm: Point = (0.0, 0.0, 0.0),
    length_mm: float = 60.0,
    body_mm: float = 100.0,
    spacing_mm: float = 5.0,
) -> Twin:
    """A thin disc across z in water: the slice sensitivity profile, as with the gold disc of IEC 61223-3-5 (2019).

    Plastic in place of gold, so that its transmission is linear: 5 mm of PTFE against water is 0.1 of line integral.

    Parameters
    ----------
    thickness_mm, diameter_mm, material
        The disc [mm].
    at_mm
        World point of its middle [mm].
    length_mm, body_mm, spacing_mm
        As in :func:`wire` [mm].
    """
    body = cylinder(body_mm, length_mm, centre_mm=(0.0, 0.0, at_mm[2]), spacing_mm=spacing_mm)
    part = Part(Cylinder(at_mm, (diameter_mm / 2,) * 2, thickness_mm), material)
    h = diameter_mm / 25
    return with_fine_part(body, part, Part(part.solid, "water"), spacing_mm=(thickness_mm / 2, h, h), name="foil")
