"""Each class of lesion differs from a plain solid nodule in what makes it that class, and keeps its exact volume."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import label

from lesions import Nodule, hounsfield_equivalent, insert, place
from lesions.attachment import lung_around
from lesions.classes import CLASSES, examples
from lesions.parts import parts_of
from lesions.raster import rasterise
from lesions.shape import shape_of
from lesions.surroundings import matter_on

from .synthetic_thorax import airway_tree, block, vessel_trees

PLACE = (40.3, -20.2, 24.6)
WALL = 79.0 - 8.0 + 1.0
"""Inner face of the block's right wall: x of the last voxel's centre, less the wall, and half a voxel of 2 mm."""


def nodule(d=12.0, **fields) -> Nodule:
    return Nodule(**{"id": "a", "key": 3, "equivalent_diameter_mm": d, "centre_mm": PLACE, **fields})


def inserted(twin, spec):
    """Truth, and HU equivalent of the twin with the nodule on its lattice."""
    changed, truth = insert(twin, [spec])
    (inset,) = changed.insets
    base = matter_on(twin, inset.grid)
    partial = inset.delta_g_cm3.copy()
    names = [m.name for m in inset.materials]
    for m, rows in zip(base.materials, base.partial_g_cm3, strict=True):
        partial[names.index(m.name)] += rows
    assert partial.min() > -1e-5  # no matter is taken away twice
    return truth.nodules[0], hounsfield_equivalent(inset.materials, partial), inset


def test_every_class_has_its_exact_volume_wherever_it_grows(twin):
    arteries, veins = vessel_trees()
    twin = replace(twin, airways=airway_tree(), arteries=arteries, veins=veins)
    specs = list(examples(6.0).values())
    for spec, placed in zip(specs, place(twin, specs, rng=np.random.default_rng(1)), strict=True):
        found, _, _ = inserted(twin, placed)
        assert found.volume_mm3 == pytest.approx(spec.target_volume_mm3, rel=1e-6)
        assert found.kind == spec.kind


@pytest.mark.parametrize("d", [3.0, 30.0])
@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "hamartoma"},
        {"calcification": "laminated"},
        {"kind": "cystic"},
        {"necrosis_ratio": 0.8},
        {"kind": "mucus_plug"},
        {"kind": "vessel_crossing"},
        {"kind": "scar"},
    ],
)
def test_parts_and_volume_are_exact_on_any_lattice(d, fields):
    for h in (d / 30, d / 18):
        spec = nodule(d, **fields, **({"texture_correlation_mm": 2.0}))
        raster = rasterise(spec, spacing_mm=h)
        voxel = raster.grid.voxel_volume_mm3
        volume = spec.target_volume_mm3
        assert raster.occupancy.sum(dtype=float) * voxel == pytest.approx(volume, rel=1e-5)
        parts, said = parts_of(spec, raster), spec.attributes
        for part, share in (
            (parts.calcium, said.calcium_fraction),
            (parts.fat, said.fat_fraction),
            (parts.fluid, said.necrosis_ratio**3),
        ):
            found = 0.0 if part is None else part.sum(dtype=float) * voxel / volume
            assert found == pytest.approx(share, abs=1e-5)
        total = sum(p for p in (parts.calcium, parts.fat, parts.fluid, parts.air) if p is not None)
        assert np.all(total <= raster.profile + 1e-5)


@pytest.mark.parametrize("fields", [{"kind": "hamartoma"}, {"kind": "mucus_plug"}, {"kind": "cavitary"}])
def test_truth_is_the_same_on_every_lattice(lung_only, fields):
    spec = nodule(9.0, **fields)
    rasters = [rasterise(spec, spacing_mm=h) for h in (0.2, 0.4)]
    air = [p.sum(dtype=float) * r.grid.voxel_volume_mm3 for r in rasters if (p := parts_of(spec, r).air) is not None]
    volumes = [r.occupancy.sum(dtype=float) * r.grid.voxel_volume_mm3 for r in rasters]
    assert volumes[0] == pytest.approx(volumes[1], rel=1e-6)
    if air:
        assert air[0] == pytest.approx(air[1], rel=0.02)  # a ramp over a curved wall errs by h^2 / (4 R^2)


def test_calcium_reads_its_hu_and_a_plain_nodule_has_none(lung_only):
    found, hu, _ = inserted(lung_only, nodule(20.0, calcification="central", calcium_hu=700.0, margin_mm=0.1))
    middle = tuple(n // 2 for n in hu.shape)
    assert hu[middle] == pytest.approx(700, abs=20)  # texture of 10 HU in its soft share
    assert found.calcium_volume_mm3 == pytest.approx(0.2 * found.volume_mm3, rel=1e-4)
    plain, plain_hu, _ = inserted(lung_only, nodule(20.0))
    assert plain.calcium_volume_mm3 == 0
    assert plain_hu.max() < 120


def test_patterns_of_calcium_lie_where_their_names_say():
    def radii(pattern):
        spec = nodule(20.0, calcification=pattern, sh_sd=0.0, sh_sd_l2=0.0)
        raster = rasterise(spec)
        calcium = parts_of(spec, raster).calcium
        z, y, x = np.meshgrid(*raster.grid.axes_mm(), indexing="ij")
        total = calcium.sum()
        centre = np.array([(calcium * a).sum() / total for a in (x, y, z)])
        return np.linalg.norm(centre), float((calcium * np.sqrt(x**2 + y**2 + z**2)).sum() / total), calcium

    central, diffuse, laminated, eccentric, popcorn = (
        radii(p) for p in ("central", "diffuse", "laminated", "eccentric", "popcorn")
    )
    # A ball of a fifth of the volume has radius 10 * 0.2^(1/3) mm and a mean distance of 3/4 of it.
    assert central[1] == pytest.approx(0.75 * 10 * 0.2 ** (1 / 3), rel=0.02)
    assert diffuse[1] == pytest.approx(0.75 * 10 * 0.85 ** (1 / 3), rel=0.02)
    assert eccentric[0] == pytest.approx(5.0, rel=0.05)
    assert central[0] < 0.1
    # Blobs: spread wider about their middle than one ball of as much calcium.
    assert popcorn[0] + popcorn[1] > 1.2 * 0.75 * 10 * 0.15 ** (1 / 3)
    middle = laminated[2][laminated[2].shape[0] // 2, laminated[2].shape[1] // 2]
    assert np.count_nonzero(np.diff((middle > 0.5).astype(int)) == 1) >= 6  # shells crossed along a diameter


def test_fat_is_darker_than_soft_tissue_and_brighter_than_lung(lung_only):
    found, hu, inset = inserted(lung_only, nodule(20.0, kind="fat_containing", margin_mm=0.1, texture_sd_hu=0.0))
    assert "adipose" in [m.name for m in inset.materials]
    deep = found.occupancy == 1
    fatty = np.abs(hu[deep] + 90) < 1
    assert fatty.mean() == pytest.approx(0.3, abs=0.06)  # less the partial voxels of the blobs
    assert found.fat_volume_mm3 == pytest.approx(0.3 * found.volume_mm3, rel=1e-4)


def test_a_cavity_is_air_behind_a_wall_of_its_thickness(lung_only):
    even = {"cavity_irregularity": 0.0, "sh_sd": 0.0, "sh_sd_l2": 0.0, "margin_mm": 0.0, "texture_sd_hu": 0.0}
    spec = nodule(20.0, kind="cavitary", cavity_wall_mm=3.0, **even)
    found, hu, _ = inserted(lung_only, spec)
    assert found.air_volume_mm3 == pytest.approx(np.pi / 6 * 14**3, rel=0.01)
    line = hu[hu.shape[0] // 2, hu.shape[1] // 2]
    step = found.grid.spacing_mm[2]
    assert np.count_nonzero(line > -480) * step == pytest.approx(6.0, abs=2 * step)
    assert line[len(line) // 2] == pytest.approx(-998.9, abs=0.1)  # air of 0.0012 g/cm3
    assert found.volume_mm3 == pytest.approx(spec.target_volume_mm3, rel=1e-6)  # the cavity counts


def test_an_uneven_wall_leaves_as_much_air_and_strays_as_asked():
    ball = {"sh_sd": 0.0, "sh_sd_l2": 0.0, "margin_mm": 0.0, "cavity_wall_mm": 3.0}
    depths, volumes = [], []
    for strays in (0.0, 0.3):
        spec = nodule(20.0, kind="cavitary", cavity_irregularity=strays, **ball)
        raster = rasterise(spec)
        air = parts_of(spec, raster).air
        volumes.append(air.sum(dtype=float) * raster.grid.voxel_volume_mm3)
        rim = (air > 0.3) & (air < 0.7)
        depths.append(raster.body_mm[rim])
    assert volumes[1] == pytest.approx(volumes[0], rel=1e-4)
    assert depths[0].std() < 0.15  # a voxel of 0.5 mm, 0.3 to 0.7 filled
    assert depths[1].std() == pytest.approx(0.3 * 3.0, rel=0.45)  # a few dozen bumps, the thinnest cut


def test_a_cyst_has_a_thin_wall(lung_only):
    found, _, _ = inserted(lung_only, nodule(14.0, kind="cystic"))
    # Wall 0.08 d on either side: (1 - 0.16)^3 = 0.59 of a sphere.
    assert found.air_volume_mm3 / found.volume_mm3 == pytest.approx(0.59, abs=0.06)


def test_necrosis_is_fluid_in_the_middle(lung_only):
    found, hu, _ = inserted(lung_only, nodule(20.0, necrosis_ratio=0.7, necrosis_hu=5.0, texture_sd_hu=0.0))
    assert found.fluid_volume_mm3 == pytest.approx(0.343 * found.volume_mm3, rel=1e-4)
    assert hu[tuple(n // 2 for n in hu.shape)] == pytest.approx(5, abs=0.1)


def test_bubbles_and_bronchograms_are_air_inside(lung_only):
    for fields, least in (({"n_bubbles": 6, "bubble_mm": 2.0}, 6), ({"n_bronchograms": 1}, 8)):
        found, hu, _ = inserted(lung_only, nodule(18.0, **fields, texture_sd_hu=0.0))
        assert found.air_volume_mm3 > least
        assert hu[found.occupancy == 1].min() < -900
    # One tube that forks is one piece, longer than half of the nodule.
    found, hu, inset = inserted(lung_only, nodule(18.0, n_bronchograms=1, texture_sd_hu=0.0))
    pieces, _ = label((hu < -400) & (found.occupancy == 1), np.ones((3, 3, 3)))
    largest = np.stack(np.nonzero(pieces == 1 + np.argmax(np.bincount(pieces[pieces > 0])[1:])), axis=1)
    assert np.linalg.norm(np.ptp(largest, axis=0)) * inset.grid.spacing_mm[0] > 9


def test_a_halo_surrounds_the_body_and_is_no_part_of_it(lung_only):
    with_halo, hu, inset = inserted(lung_only, nodule(12.0, halo_mm=3.0, halo_hu=-600.0, sh_sd=0.0, sh_sd_l2=0.0))
    plain, _, _ = inserted(lung_only, nodule(12.0, sh_sd=0.0, sh_sd_l2=0.0))
    assert with_halo.volume_mm3 == pytest.approx(plain.volume_mm3, rel=1e-6)
    z, y, x = np.meshgrid(*inset.grid.axes_mm(), indexing="ij")
    r = np.sqrt((x - PLACE[0]) ** 2 + (y - PLACE[1]) ** 2 + (z - PLACE[2]) ** 2)
    assert hu[(r > 6.8) & (r < 7.5)].mean() == pytest.approx(-600, abs=10)
    assert hu[r > 9.2].mean() == pytest.approx(-850, abs=12)


def test_pleural_tags_reach_the_wall(lung_only):
    spec = nodule(10.0, n_pleural_tags=1, sh_sd=0.0, sh_sd_l2=0.0, centre_mm=(WALL - 13.0, -20.0, 24.0))
    _, hu, inset = inserted(lung_only, spec)
    for x in np.arange(WALL - 7.0, WALL - 1.0, 1.0):
        k, j, i = (round(float(c)) for c in inset.grid.world_to_index((x, -20.0, 24.0)))
        assert hu[k - 2 : k + 3, j - 2 : j + 3, i].max() > -500
    with pytest.raises(ValueError, match="n_pleural_tags 1 need pleura"):
        insert(lung_only, [nodule(5.0, n_pleural_tags=1, centre_mm=(5.0, 0.5, 10.0))])


def test_displacement_moves_a_vessel_by_the_shift_of_an_incompressible_medium(twin):
    # The 8 mm vessel runs along x at y = z = 1 mm; a 10 mm ball sits 12 mm above it.
    def height(kappa):
        spec = nodule(10.0, sh_sd=0.0, sh_sd_l2=0.0, centre_mm=(30.0, 1.0, 12.0), displacement=kappa)
        _, hu, inset = inserted(twin, spec)
        z, y, x = inset.grid.axes_mm()
        near = (np.abs(x - 30) < 0.3, np.abs(y - 1) < 0.3, (z > 0) & (z < 6.5))
        line = hu[np.ix_(near[2], near[1], near[0])].mean(axis=(1, 2))
        return float(np.interp(-400, -line[::-1] * -1, z[near[2]][::-1]))

    pushed, plain, drawn = height(0.6), height(1e-9), height(-0.4)
    assert pushed < plain - 0.1
    assert drawn > plain + 0.1


def test_a_nodule_at_the_pleura_is_cut_by_it_at_exact_volume(lung_only):
    spec = nodule(12.0, attachment="pleura", centre_mm=(WALL - 3.0, -20.0, 24.0), margin_mm=0.1)
    found, _, inset = inserted(lung_only, spec)
    assert found.volume_mm3 == pytest.approx(spec.target_volume_mm3, rel=1e-6)
    x = inset.grid.axes_mm()[2]
    outside = found.occupancy[:, :, x > WALL + 0.7].sum(dtype=float) * inset.grid.voxel_volume_mm3
    assert outside < 1e-3 * found.volume_mm3
    assert found.distance_to_pleura_mm <= 1.0
    assert found.centre_mm[0] < spec.centre_mm[0]  # the centroid of what is left lies farther inside
    base = found.occupancy[:, :, np.argmin(np.abs(x - (WALL - 0.5)))].sum() * inset.grid.spacing_mm[0] ** 2
    assert base > 50  # it sits on the wall broadly: pi 5.5^2 / 2
    with pytest.raises(ValueError, match="too little of it lies inside the pleura"):
        insert(lung_only, [spec.at((WALL + 14.0, -20.0, 24.0))])


def test_half_a_ball_at_the_pleura_has_the_radius_of_twice_the_volume(lung_only):
    spec = nodule(12.0, attachment="pleura", sh_sd=0.0, sh_sd_l2=0.0, centre_mm=(WALL, -20.0, 24.0), margin_mm=0.0)
    found, _, _ = inserted(lung_only, spec)
    assert found.extent_x_mm == pytest.approx(6 * 2 ** (1 / 3), abs=0.6)
    assert found.extent_y_mm == pytest.approx(12 * 2 ** (1 / 3), abs=0.8)


def test_a_nodule_at_a_fissure_stays_in_its_lobe():
    twin = block((60, 60, 70), 1.0, vessel=False)  # lobes meet at z = 0
    for kind, d in (("nodule", 10.0), ("perifissural", 8.0)):
        spec = nodule(d, kind=kind, attachment="fissure", centre_mm=(18.0, 0.0, 2.0))
        found, _, inset = inserted(twin, spec)
        assert found.on_fissure
        assert found.lobe == "LEFT_UPPER_LOBE"
        beyond = found.occupancy[inset.grid.axes_mm()[0] < -0.7].sum(dtype=float) * inset.grid.voxel_volume_mm3
        assert beyond < 1e-3 * found.volume_mm3
    # A perifissural nodule lies flat: its shortest extent stands on the fissure.
    assert found.extent_z_mm < min(found.extent_x_mm, found.extent_y_mm)


@pytest.mark.parametrize("attachment", ["pleura", "fissure"])
def test_placed_nodules_touch_what_they_are_attached_to(attachment):
    twin = block((60, 60, 70), 1.5, vessel=False)
    for seed in range(4):
        (placed,) = place(twin, [nodule(9.0, attachment=attachment, centre_mm=None)], rng=np.random.default_rng(seed))
        truth = insert(twin, [placed])[1].nodules[0]
        gap = truth.distance_to_pleura_mm if attachment == "pleura" else truth.distance_to_fissure_mm
        assert gap <= 1.5


def test_lymph_nodes_lie_near_the_pleura_and_plaques_lie_flat_on_it(lung_only):
    for seed in range(4):
        (node,) = place(
            lung_only,
            [nodule(8.0, kind="lymph_node", max_distance_to_pleura_mm=6.0, centre_mm=None)],
            rng=np.random.default_rng(seed),
        )
        assert insert(lung_only, [node])[1].nodules[0].distance_to_pleura_mm <= 6 + 4  # thin way out, 2 mm grid
    found, _, _ = inserted(lung_only, nodule(12.0, kind="pleural_plaque", centre_mm=(WALL - 1.0, -20.0, 24.0)))
    assert found.extent_x_mm < 0.55 * min(found.extent_y_mm, found.extent_z_mm)


def test_a_scar_is_a_band_and_tubes_are_long(lung_only):
    plain, _, _ = inserted(lung_only, nodule(12.0))
    assert plain.max_diameter_mm < 1.7 * plain.equivalent_diameter_mm
    scar, _, _ = inserted(lung_only, nodule(12.0, kind="scar", axis=(1.0, 0.0, 0.0)))
    assert scar.max_diameter_mm > 1.7 * scar.equivalent_diameter_mm
    assert scar.extent_x_mm > 0.85 * scar.max_diameter_mm  # along the axis asked for
    for kind in ("mucus_plug", "vessel_crossing"):
        tube, _, _ = inserted(lung_only, nodule(12.0, kind=kind, attachment="none"))
        # A tube of nine radii holds 9 pi r^3: its length is 2.4 equivalent diameters.
        assert tube.max_diameter_mm > 2.2 * tube.equivalent_diameter_mm
        assert tube.nodule.is_mimic


def test_a_granuloma_is_round_and_calcified_and_a_hamartoma_holds_fat_and_popcorn(lung_only):
    plain, plain_hu, _ = inserted(lung_only, nodule(12.0))
    granuloma, hu, _ = inserted(lung_only, nodule(12.0, kind="granuloma"))
    assert granuloma.mean_hu > plain.mean_hu + 200
    assert granuloma.calcium_volume_mm3 > 0.8 * granuloma.volume_mm3
    assert plain.calcium_volume_mm3 == plain.fat_volume_mm3 == 0

    def roundness(kind):
        specs = [nodule(12.0, key=k, kind=kind) for k in range(10)]
        bodies = [shape_of(spec).body.radius_mm for spec in specs]
        return np.median([body.std() / body.mean() for body in bodies])

    assert roundness("granuloma") < 0.85 * roundness("nodule")  # rated 5, not 4: exp(-0.4) in degree 2
    hamartoma, hu, _ = inserted(lung_only, nodule(12.0, kind="hamartoma"))
    assert hamartoma.fat_volume_mm3 == pytest.approx(0.2 * hamartoma.volume_mm3, rel=1e-3)
    assert hamartoma.calcium_volume_mm3 == pytest.approx(0.15 * hamartoma.volume_mm3, rel=1e-3)
    inside = hamartoma.occupancy == 1
    assert np.count_nonzero(hu[inside] > 200) > 0.05 * np.count_nonzero(inside)
    assert np.mean(np.abs(hu[inside] + 90) < 1) > 0.05
    assert np.mean(np.abs(plain_hu[plain.occupancy == 1] + 90) < 1) < 0.002  # the edge passes through it


def test_diameters_follow_the_rules_of_their_guidelines(lung_only):
    found, _, _ = inserted(lung_only, nodule(8.0, lobulation=3.0))
    mean = 0.5 * (found.long_axis_mm + found.short_axis_mm)
    assert abs(found.lung_rads_mean_diameter_mm - mean) <= 0.05
    assert found.lung_rads_mean_diameter_mm == round(found.lung_rads_mean_diameter_mm, 1)
    assert abs(found.fleischner_diameter_mm - mean) <= 0.5
    assert found.recist_diameter_mm == found.long_axis_mm


def test_the_room_at_a_flat_wall_is_the_distance_to_it(lung_only):
    room = lung_around(lung_only, np.array([WALL - 6.0, -20.0, 24.0]), 12.0)
    for depth in (1.5, 4.0, 9.0):
        assert room.at(np.array([WALL - depth, -20.0, 24.0])) == pytest.approx(depth, abs=0.35)
    np.testing.assert_allclose(room.inward(np.array([WALL - 4.0, -20.0, 24.0])), [-1, 0, 0], atol=1e-6)


def test_every_class_of_the_list_is_there():
    kinds = {spec.kind for spec in examples().values()}
    assert len(CLASSES) == 31
    assert len(kinds) == 13
