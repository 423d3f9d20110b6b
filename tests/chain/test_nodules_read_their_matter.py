"""Ground glass, a part-solid core, calcium and fat read in a noise-free scan what their matter attenuates."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

import ctsim
import lesions
from ctsim.attenuation import ENERGY_KEV, mass_attenuation
from ctsim.basis import basis_curves
from ctsim.projection import project
from ctsim.signal import beam_of
from ctsim.trajectory import plan_geometry
from ctsim.voxels import basis_insets, pack
from lesions.surroundings import matter_on
from tests.chain.material_model import Disc, hounsfield_at, single_energy
from twins import Grid, Inset, Structure, Twin, material, phantoms

PROFILE = ctsim.load_profile("siemens_definition_as")
SAMPLING = ctsim.Sampling(views_per_rotation=576, column_binning=2, row_binning=8, rays_per_reading=1, scatter=False)
KERNEL = PROFILE.kernel("B30f")
LUNG_DENSITY = 0.16

CLEAR_MM = 5.0
"""Three widths of the point spread function in the plane (1.5 mm), and all that a slice of 4.8 mm reaches."""

SPHERE = {"sh_sd": 0.0, "sh_sd_l2": 0.0, "margin_mm": 0.0, "texture_sd_hu": 0.0}
NODULES = {
    "ground_glass": {"type": "ground_glass", "ground_glass_hu": -600.0, "centre_mm": (38.0, 0.0, 0.5)},
    "core": {"type": "part_solid", "solid_core_ratio": 0.75, "solid_hu": 30.0, "centre_mm": (0.0, 38.0, 0.0)},
    "calcium": {"calcification": "central", "calcium_fraction": 0.5, "calcium_hu": 500.0,
                "centre_mm": (-38.0, 0.0, -0.5)},
    "fat": {"kind": "fat_containing", "fat_fraction": 0.97, "centre_mm": (0.0, -38.0, 0.3)},
}  # fmt: skip
NOMINAL_HU = {"ground_glass": None, "core": 30.0, "calcium": 500.0, "fat": -90.0}


def chest() -> Twin:
    """A water cylinder with a rod of lung, called a lung."""
    lung = phantoms.rod(150.0, 160.0, "lung_tissue", density_g_cm3=LUNG_DENSITY)
    twin = phantoms.cylinder(220.0, 160.0, inserts=[lung], spacing_mm=2.0)
    z, y, x = np.meshgrid(*twin.grid.axes_mm(), indexing="ij")
    inside = (np.hypot(x, y) < 75) & (abs(z) < 80)
    return replace(twin, structure=np.where(inside, Structure.RIGHT_LUNG, Structure.SOFT_TISSUE).astype(np.uint16))


@dataclass(frozen=True)
class Region:
    """What fills a nodule on its fine lattice, and the voxels that are clear of edges.

    ``deep`` lies in the part of interest, ``shell`` in what surrounds it (empty where the part is all of the nodule);
    ``whole`` and ``inside`` are centre (x, y) and radius of the balls that hold them [mm].
    """

    inset: Inset
    partial: np.ndarray
    hu: np.ndarray
    deep: np.ndarray
    shell: np.ndarray
    whole: tuple
    inside: tuple

    @classmethod
    def of(cls, base, nodule, inset):
        host = matter_on(base, inset.grid)
        partial = inset.delta_g_cm3.astype(float)
        partial[: len(host.materials)] += host.partial_g_cm3
        hu = lesions.hounsfield_equivalent(inset.materials, partial)
        full = nodule.occupancy >= 0.999
        part = full
        if nodule.id == "core":
            part = nodule.core_occupancy >= 0.999
        elif nodule.id == "calcium":
            part = full & (hu > 270)
        parts = part.sum() * inset.grid.voxel_volume_mm3
        centre = inset.grid.index_to_world(np.argwhere(part).mean(axis=0))
        middle = abs(inset.grid.axes_mm()[0] - centre[2]) < 2.5  # where the slice through the balls stands for them
        deep = (depth_mm(part, inset.grid) > CLEAR_MM) & middle[:, None, None]
        assert deep.sum() * inset.grid.voxel_volume_mm3 > 150
        shell = full & (depth_mm(~part, inset.grid) > 0.7) & (depth_mm(full, inset.grid) > 0.7)
        whole = (nodule.centre_mm[:2], 0.5 * nodule.equivalent_diameter_mm)
        return cls(inset, partial, hu, deep, shell, whole, (tuple(centre[:2]), (parts * 3 / 4 / np.pi) ** (1 / 3)))

    def mean(self, where):
        return self.partial[:, where].mean(axis=1) if where.any() else None


def depth_mm(mask, grid):
    return distance_transform_edt(np.pad(mask, 1), sampling=grid.spacing_mm)[1:-1, 1:-1, 1:-1]


@pytest.fixture(scope="module")
def body():
    """The twin without and with its nodules, and what fills each of them."""
    specs = [lesions.Nodule(**{"id": n, "key": 3, "equivalent_diameter_mm": 28.0, **SPHERE, **fields})
             for n, fields in NODULES.items()]  # fmt: skip
    base = chest()
    twin, truth = lesions.insert(base, specs)
    return base, twin, {n.id: Region.of(base, n, inset) for n, inset in zip(truth.nodules, twin.insets, strict=True)}


def line_integrals_at(twin, protocol, kev):
    """A scan by photons of one energy: projected densities times their attenuation, on the Hounsfield scale of it."""
    geometry = plan_geometry(twin, PROFILE.scanner, protocol, SAMPLING)
    path = np.empty((2, *geometry.shape), np.float32)
    project(pack(twin), basis_insets(twin), geometry, 0, path)
    line = sum(np.interp(kev, ENERGY_KEV, curve) * p for curve, p in zip(basis_curves(), path, strict=False))
    water = material("water")
    mu = float(mass_attenuation(water, kev)) * water.density_g_cm3 / 10
    return ctsim.Sinogram(geometry, line.astype(np.float32), mu, PROFILE.scanner, protocol, SAMPLING)


@pytest.fixture(scope="module", params=["one energy", "spectrum"])
def scanned(request, body):
    protocol = PROFILE.protocol("axial").model_copy(update={"with_couch": False, "isocentre_mm": (0.0, 0.0)})
    if request.param == "spectrum":
        return request.param, ctsim.scan(body[1], PROFILE.scanner, protocol, key=None, sampling=SAMPLING)
    return request.param, line_integrals_at(body[1], protocol, 70.0)


def read(sinogram, inset, deep):
    """Mean HU of the voxels whose centres lie in the region."""
    index = np.argwhere(deep)
    low, high = (inset.grid.index_to_world(f(axis=0)) for f in (index.min, index.max))
    low, high = np.minimum(low, high), np.maximum(low, high)
    n = np.floor((high - low) / 1.0).astype(int) + 1
    grid = Grid((int(n[2]), int(n[1]), int(n[0])), (1.0, 1.0, 1.0), tuple(float(c) for c in low))
    image = ctsim.reconstruct(sinogram, kernel=KERNEL, grid=grid, slice_thickness_mm=4.8).hu
    world = grid.index_to_world(np.stack(np.meshgrid(*(np.arange(k) for k in grid.shape), indexing="ij"), axis=-1))
    at = np.rint(inset.grid.world_to_index(world)).astype(int)
    inside = deep[tuple(np.moveaxis(np.clip(at, 0, np.array(deep.shape) - 1), -1, 0))]
    return image[inside].mean()


@pytest.fixture(scope="module")
def expected(body, scanned):
    """Mean HU of each region: as its matter attenuates at 70 keV, or behind the scan's spectrum with exact chords."""
    kind, sinogram = scanned
    regions = body[2]
    if kind == "one energy":
        # the rooms' own scale: HU at 70 keV of the partial densities that the twin holds
        return {name: region.hu[region.deep].mean() for name, region in regions.items()}
    beam = beam_of(sinogram.scanner, sinogram.protocol, sinogram.sampling)
    rows, columns = beam.gain.shape
    path = beam.path_g_cm2[:, rows // 2, columns // 2] @ basis_curves()[:2]
    detected = beam.photons_per_mas * beam.energy_kev * np.exp(-path)
    rng = np.random.default_rng(1)
    points = [
        region.inset.grid.index_to_world(rng.choice(np.argwhere(region.deep), 200))[:, :2]
        for region in regions.values()
    ]
    hu = hounsfield_at(np.concatenate(points), slice_of(regions), detected)
    parts = np.split(hu, np.cumsum([len(p) for p in points])[:-1])
    return {name: part.mean() for name, part in zip(regions, parts, strict=True)}


def slice_of(regions):
    """The slice through all nodules: water, lung, and each nodule as a ball, a part inside it as another."""
    water, lung = material("water"), material("lung_tissue")
    discs = [Disc((0, 0), 110.0, ((water, water.density_g_cm3),)),
             Disc((0, 0), 75.0, ((water, -water.density_g_cm3), (lung, LUNG_DENSITY)))]  # fmt: skip
    for region in regions.values():
        host = np.array([LUNG_DENSITY if m.name == "lung_tissue" else 0.0 for m in region.inset.materials])
        outer, inner = region.mean(region.shell), region.mean(region.deep)
        balls = [(region.whole, outer - host)] if region.shell.any() else [(region.whole, inner - host)]
        if region.shell.any():
            balls.append((region.inside, inner - outer))
        for (centre_mm, radius_mm), change in balls:
            discs.append(Disc(centre_mm, radius_mm, tuple(zip(region.inset.materials, change, strict=True))))
    return discs


@pytest.mark.parametrize("name", NODULES)
def test_clear_of_edges_a_nodule_reads_what_its_matter_attenuates(name, body, scanned, expected):
    kind, sinogram = scanned
    region = body[2][name]
    found = read(sinogram, region.inset, region.deep)
    assert found == pytest.approx(expected[name], abs=3.0)
    if kind == "one energy" and NOMINAL_HU[name] is not None:
        assert expected[name] == pytest.approx(NOMINAL_HU[name], abs=0.5 if name != "fat" else 5.0)


def test_the_material_model_reads_plain_discs_right():
    lung = material("lung_tissue")
    plain = [Disc((0, 0), 110.0, ((material("water"), 1.0),)),
             Disc((30.0, 0), 20.0, ((material("water"), -1.0), (lung, 0.5)))]  # fmt: skip
    x, y = np.meshgrid(np.arange(-4.0, 5.0), np.arange(-4.0, 5.0))
    around = np.stack((x.ravel(), y.ravel()), axis=1)
    found = [hounsfield_at(around + at, plain, single_energy(69.5)).mean() for at in ((30.0, 2.0), (-40.0, 5.0))]
    ratio = float(mass_attenuation(lung, 69.5) / mass_attenuation(material("water"), 69.5))
    np.testing.assert_allclose(found, [1000 * (0.5 * ratio - 1), 0.0], atol=0.3)
