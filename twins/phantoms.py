"""Test bodies as twins: cylinders, spheres, rods, wires and slabs with exact volume fractions and exact line integrals.

A body is a list of parts: the first fills room air, each further one takes its own volume out of the first. Voxels
carry the exact share of each part (see :mod:`twins.solids`), so the only errors left are the voxel's size and the
rounding of density and mass fraction. The body is written into the twin's provenance, from where
:func:`path_lengths_mm` computes the truth for any ray.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import ArrayLike, NDArray

from .grid import Grid, Point, Triple
from .materials import Material, material
from .solids import Box, Cylinder, Ellipsoid, Solid, solid_from_dict, solid_to_dict
from .structures import Structure
from .twin import DENSITY_STEP_G_CM3, FRACTION_STEP, Inset, Twin

AIR = "air"
"""What surrounds every phantom."""

_TRACE_G_CM3 = 0.00125
"""Partial density up to which a third material in a voxel (air, as a rule) is counted as the first; 1 HU at most."""

_EXCESS = 2e-4
"""Share of a voxel by which inserts may overlap or stick out: rounding, not geometry."""


@dataclass(frozen=True, slots=True)
class Part:
    """A solid filled evenly with one material.

    Parameters
    ----------
    solid
        Where.
    material
        Name of a built-in material, or a material.
    density_g_cm3
        Its density here; ``None`` means that of its natural packing [g/cm3].
    structure
        What its voxels are called.
    """

    solid: Solid
    material: str | Material
    density_g_cm3: float | None = None
    structure: Structure = Structure.SOFT_TISSUE

    def __post_init__(self) -> None:
        if self.density_g_cm3 is not None and not 0 < self.density_g_cm3 < 25:
            raise ValueError(f"density_g_cm3 must lie between 0 and 25, got {self.density_g_cm3}")

    @property
    def substance(self) -> Material:
        """The material itself."""
        return material(self.material) if isinstance(self.material, str) else self.material

    @property
    def density(self) -> float:
        """Density of the part [g/cm3]."""
        return self.substance.density_g_cm3 if self.density_g_cm3 is None else self.density_g_cm3


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


def rod(
    diameter_mm: float | tuple[float, float],
    length_mm: float,
    material: str | Material,
    *,
    at_mm: tuple[float, float] = (0.0, 0.0),
    z_mm: float = 0.0,
    density_g_cm3: float | None = None,
    structure: Structure = Structure.SOFT_TISSUE,
) -> Part:
    """A rod along z for ``inserts``, with its middle at world (x, y) = ``at_mm`` and z = ``z_mm`` [mm]."""
    dx, dy = (diameter_mm, diameter_mm) if isinstance(diameter_mm, int | float) else diameter_mm
    return Part(Cylinder((*at_mm, z_mm), (dx / 2, dy / 2), length_mm), material, density_g_cm3, structure)


def ball(
    diameter_mm: float,
    material: str | Material,
    *,
    at_mm: Point = (0.0, 0.0, 0.0),
    density_g_cm3: float | None = None,
    structure: Structure = Structure.SOFT_TISSUE,
) -> Part:
    """A ball for ``inserts``, centred at world point ``at_mm`` [mm]."""
    return Part(Ellipsoid(at_mm, (diameter_mm / 2,) * 3), material, density_g_cm3, structure)


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
    displaced = Part(part.solid, host)
    h = diameter_mm / 4 if spacing_mm is None else spacing_mm
    hz = length_mm / np.ceil(length_mm / 1.0) if slope == (0.0, 0.0) else h
    low, high = (np.asarray(corner) for corner in part.solid.bounds_mm)
    grid = _lattice(low, high, (float(hz), h, h), margin_mm=h)
    share = part.solid.volume_fractions(grid)
    delta = np.stack([share * part.density, -share * displaced.density]).astype(np.float32)
    n = sum(inset.name.startswith("wire") for inset in twin.insets)
    described = [*_described(twin), {"fills": _part_to_dict(part), "of": displaced.substance.name}]
    made = twin.with_insets((Inset(f"wire {n + 1}", grid, (part.substance, displaced.substance), delta),))
    return replace(made, provenance={**twin.provenance, "body": described})


def build_body(
    parts: Sequence[Part],
    *,
    spacing_mm: float | Triple = 1.0,
    margin_mm: float = 10.0,
    grid: Grid | None = None,
) -> Twin:
    """Voxels of a body in room air: ``parts[0]``, out of which each further part takes its own volume.

    Raises
    ------
    ValueError
        If there is no part, parts overlap or stick out of the first one, a voxel would hold more than two materials
        (a thin layer: use smaller voxels or keep parts apart), or a density exceeds what a voxel can hold.
    """
    if not parts:
        raise ValueError("parts must hold at least one part")
    if grid is None:
        spacing = (float(spacing_mm),) * 3 if isinstance(spacing_mm, int | float) else spacing_mm
        low, high = (np.asarray(corner) for corner in parts[0].solid.bounds_mm)
        grid = _lattice(low, high, spacing, margin_mm)
    surround = Part(parts[0].solid, AIR)
    everything = [surround, *parts]
    names = list(dict.fromkeys(part.substance for part in everything))
    which = np.array([names.index(part.substance) for part in everything], np.int64)
    density = np.array([part.density for part in everything])
    label = np.array([int(Structure.OUTSIDE), *(int(part.structure) for part in parts)], np.uint16)
    arrays: dict[str, Any] = {
        "structure": np.zeros(grid.shape, np.uint16),
        "material_a": np.zeros(grid.shape, np.uint8),
        "material_b": np.zeros(grid.shape, np.uint8),
        "fraction_b": np.zeros(grid.shape, np.uint16),
        "density": np.zeros(grid.shape, np.uint16),
    }
    nz, ny, nx = grid.shape
    for start in range(0, nz, 16):
        stop = min(start + 16, nz)
        share = _shares(everything, grid.crop((start, 0, 0), (stop - start, ny, nx)))
        worst = np.zeros((stop - start, 3))
        outputs = [array[start:stop] for array in arrays.values()]
        _mix(
            share, which, density, label, len(names), outputs[0], outputs[1], outputs[2], outputs[3], outputs[4], worst
        )
        _check_mixture(worst.max(axis=0))
    return Twin(
        grid=grid,
        materials=tuple(names),
        provenance={"kind": "phantom", "body": [_part_to_dict(part) for part in parts]},
        **arrays,
    )


def path_lengths_mm(twin: Twin, source_mm: ArrayLike, target_mm: ArrayLike) -> dict[str, NDArray[np.float64]]:
    """Exact length of rays in each material of a phantom: the truth for projectors.

    Parameters
    ----------
    twin
        A twin made here (also one that was saved and loaded).
    source_mm, target_mm
        World points ``(..., 3)`` in (x, y, z) between which the rays run, broadcast against each other [mm].

    Returns
    -------
    dict
        Material name -> ``(...)`` float64 [mm]. Room air around the body is not counted.

    Notes
    -----
    Lengths are geometric. For a part with a density other than natural the returned length is multiplied by the ratio
    of the densities, so that length times the material's attenuation at natural density is the line integral.
    """
    body = _described(twin)
    total: dict[str, NDArray[np.float64]] = {}
    first = body[0]
    for i, entry in enumerate(body):
        part = entry.get("fills", entry)
        chord = solid_from_dict(part["at"]).chord_mm(source_mm, target_mm)
        _add(total, part["material"], chord * part["relative_density"])
        if "of" in entry:
            _add(total, entry["of"], -chord)
        elif i > 0:
            _add(total, first["material"], -chord * first["relative_density"])
    return total


def line_integrals(
    twin: Twin, source_mm: ArrayLike, target_mm: ArrayLike, mu_per_mm: Mapping[str, float]
) -> NDArray[np.float64]:
    """Exact line integrals of a phantom with ``mu_per_mm`` (material name -> 1/mm at natural density) [1].

    Raises
    ------
    ValueError
        If ``mu_per_mm`` lacks a material of the phantom.
    """
    lengths = path_lengths_mm(twin, source_mm, target_mm)
    missing = sorted(set(lengths) - set(mu_per_mm))
    if missing:
        raise ValueError(f"mu_per_mm lacks {', '.join(missing)}")
    return np.asarray(sum(mu_per_mm[name] * length for name, length in lengths.items()), dtype=np.float64)


def _add(total: dict[str, NDArray[np.float64]], name: str, length: NDArray[np.float64]) -> None:
    total[name] = total[name] + length if name in total else length


def _described(twin: Twin) -> list[dict[str, Any]]:
    body = twin.provenance.get("body")
    if twin.provenance.get("kind") != "phantom" or not isinstance(body, list | tuple):
        raise ValueError(f"only phantoms have exact path lengths; this twin is of kind {twin.provenance.get('kind')!r}")
    return list(body)


def _part_to_dict(part: Part) -> dict[str, Any]:
    return {
        "at": solid_to_dict(part.solid),
        "material": part.substance.name,
        "relative_density": part.density / part.substance.density_g_cm3,
    }


def _lattice(low: NDArray[np.float64], high: NDArray[np.float64], spacing_mm: Triple, margin_mm: float) -> Grid:
    """Voxels of that size around the box, centred on it."""
    spacing = np.asarray(spacing_mm, dtype=np.float64)
    shape = np.ceil((high - low + 2 * margin_mm)[::-1] / spacing - 1e-6).astype(int)
    origin = (low + high) / 2 - ((shape - 1) / 2 * spacing)[::-1]
    nz, ny, nx = (int(n) for n in np.maximum(shape, 1))
    return Grid((nz, ny, nx), spacing_mm, (float(origin[0]), float(origin[1]), float(origin[2])))


def _shares(everything: Sequence[Part], grid: Grid) -> NDArray[np.float64]:
    """Volume share of every part in every voxel, ``(parts, z, y, x)``; row 0 is the room air around."""
    share = np.zeros((len(everything), *grid.shape))
    share[1] = everything[1].solid.volume_fractions(grid)
    share[0] = 1 - share[1]
    z = grid.axes_mm()[0]
    half = grid.spacing_mm[0] / 2
    for i, part in enumerate(everything[2:], start=2):
        low, high = part.solid.bounds_mm
        near = np.flatnonzero((z + half > low[2]) & (z - half < high[2]))
        if near.size:
            block = grid.crop((int(near[0]), 0, 0), (near.size, *grid.shape[1:]))
            share[i, near[0] : near[-1] + 1] = part.solid.volume_fractions(block)
    share[1] -= share[2:].sum(axis=0)
    return share


def _check_mixture(worst: NDArray[np.float64]) -> None:
    outside, third, density = (float(v) for v in worst)
    if outside > _EXCESS:
        raise ValueError(
            "inserts must lie inside the first part and must not overlap: "
            f"in a voxel they claim {outside:.3g} of its volume more than there is"
        )
    if third > _TRACE_G_CM3:
        raise ValueError(
            f"a voxel would hold more than two materials (the third with {third:.3g} g/cm3); "
            "keep parts at least one voxel diagonal apart, or use smaller voxels"
        )
    if density / DENSITY_STEP_G_CM3 > 65535:
        raise ValueError(f"a voxel holds at most {65535 * DENSITY_STEP_G_CM3} g/cm3, got {density:.4g}; see with_wire")


@njit(parallel=True, cache=True, error_model="numpy")
def _mix(share, which, density, label, n_materials, structure, material_a, material_b, fraction_b, packed, worst):  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Turn volume shares into two-material voxels (one iteration = one slice).

    share (P, z, y, x) volume shares, summing to 1; which (P,) material of each part; density (P,) [g/cm3]; label (P,)
    structure ids; outputs (z, y, x) as in Twin; worst (z, 3) largest negative share, partial density of a third
    material, density.
    """
    n_parts = which.size
    for k in prange(share.shape[1]):
        mass = np.empty(n_materials)
        for j in range(share.shape[2]):
            for i in range(share.shape[3]):
                mass[:] = 0.0
                top = 0
                for p in range(n_parts):
                    s = share[p, k, j, i]
                    worst[k, 0] = max(worst[k, 0], -s)
                    mass[which[p]] += max(s, 0.0) * density[p]
                    if s > share[top, k, j, i]:
                        top = p
                a = 0
                for m in range(1, n_materials):
                    if mass[m] > mass[a]:
                        a = m
                b = a
                for m in range(n_materials):
                    if m != a and mass[m] > 0.0 and (b == a or mass[m] > mass[b]):
                        b = m
                for m in range(n_materials):
                    if m not in (a, b):
                        worst[k, 1] = max(worst[k, 1], mass[m])
                        mass[a] += mass[m]
                if b < a:
                    a, b = b, a
                total = mass[a] + (mass[b] if b != a else 0.0)
                worst[k, 2] = max(worst[k, 2], total)
                structure[k, j, i] = label[top]
                material_a[k, j, i] = a
                material_b[k, j, i] = b
                packed[k, j, i] = int(min(total / DENSITY_STEP_G_CM3 + 0.5, 65535.0))
                if b != a and total > 0.0:
                    fraction_b[k, j, i] = int(mass[b] / total / FRACTION_STEP + 0.5)
