"""Mimics lie where they arise.

Scars on the pleura, along it or inwards from it; mucus plugs in the airways; crossings on vessels that meet.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from lesions import Nodule, PlacementError, insert, place
from lesions.crossings import blood_of, meetings_of, vessels_of
from lesions.plugs import plug_radius_mm
from twins import Structure, material

from .synthetic_thorax import CROSSING, FORK, VESSEL_FORK, airway_lines, airway_tree, vessel_lines, vessel_trees


@pytest.fixture(scope="module")
def with_airways(lung_only):
    return replace(lung_only, airways=airway_tree())


@pytest.fixture(scope="module")
def with_vessels(lung_only):
    arteries, veins = vessel_trees()
    return replace(lung_only, arteries=arteries, veins=veins)


def crossing(**fields) -> Nodule:
    return Nodule(**{"id": "c", "key": 4, "equivalent_diameter_mm": 6.0, "kind": "vessel_crossing", **fields})


def plug(**fields) -> Nodule:
    return Nodule(**{"id": "p", "key": 4, "equivalent_diameter_mm": 11.0, "kind": "mucus_plug", **fields})


def test_a_plug_follows_the_airways_from_a_fork_at_exact_volume(with_airways):
    (placed,) = place(with_airways, [plug()], rng=np.random.default_rng(1))
    np.testing.assert_allclose(placed.centre_mm, FORK, atol=1e-4)
    found = insert(with_airways, [placed])[1].nodules[0]
    assert found.volume_mm3 == pytest.approx(plug().target_volume_mm3, rel=1e-5)
    assert found.is_mimic
    points = found.grid.index_to_world(np.stack(np.nonzero(found.occupancy > 0.5), axis=1))
    dense = np.concatenate([np.linspace(a, b, 40) for line in airway_lines() for a, b in pairwise(line)])
    away = np.sqrt(((points[::7, None] - dense) ** 2).sum(axis=2)).min(axis=1)
    radius = plug_radius_mm(plug().target_volume_mm3)
    assert away.max() < 1.6 * radius  # knobs, waves and joints stand out a little
    # Both branches and the bronchus itself are filled.
    for at in ((30.0, -10.0, 20.0), (45.0, -10.0, 25.0), (45.0, -10.0, 15.0)):
        k, j, i = (round(float(c)) for c in found.grid.world_to_index(at))
        assert found.occupancy[k, j, i] == 1


def test_a_plug_that_fills_no_airway_is_refused_by_name(with_airways, lung_only):
    with pytest.raises(PlacementError, match="needs a twin with an airway tree"):
        place(lung_only, [plug()], rng=np.random.default_rng(1))
    with pytest.raises(PlacementError, match=r"radius of 8\.\d mm and fills airways"):
        place(with_airways, [plug(equivalent_diameter_mm=32.0)], rng=np.random.default_rng(1))
    with pytest.raises(PlacementError, match="of 0 forks in RIGHT_LOWER_LOBE"):
        place(with_airways, [plug(lobe="RIGHT_LOWER_LOBE")], rng=np.random.default_rng(1))
    with pytest.raises(ValueError, match="needs a fork of the airways within 1 mm of it, the nearest is 10"):
        insert(with_airways, [plug(centre_mm=(40.0, 0.0, 20.0))])
    with pytest.raises(ValueError, match="only a mucus_plug"):
        Nodule(id="n", key=1, equivalent_diameter_mm=8, attachment="airway")


def test_vessels_meet_where_they_cross_and_where_they_fork(with_vessels):
    found = meetings_of(vessels_of(with_vessels), crossing().target_volume_mm3)
    at = {tuple(np.round(p, 3)): int(n) for p, n in zip(found.at_mm, found.n_arms, strict=True)}
    assert at == {CROSSING: 4, VESSEL_FORK: 3}
    np.testing.assert_allclose(found.radius_mm, 1.5, rtol=1e-6)
    # 3.8 mm apart, they do not touch.
    veins, up = with_vessels.veins, np.array([0.0, 0.0, 1.0])
    veins = replace(veins, start_mm=veins.start_mm + up, end_mm=veins.end_mm + up)
    found = meetings_of(vessels_of(replace(with_vessels, veins=veins)), crossing().target_volume_mm3)
    assert found.n_arms.tolist() == [3]


def test_a_crossing_is_a_piece_of_the_vessels_that_meet_at_exact_volume(with_vessels):
    lines = [line for lines in vessel_lines() for line in lines]
    dense = np.concatenate([np.linspace(a, b, 40) for line in lines for a, b in pairwise(line)])
    drawn = [place(with_vessels, [crossing(key=k)], rng=np.random.default_rng(1))[0] for k in range(8)]
    assert {tuple(np.round(placed.centre_mm, 3)) for placed in drawn} == {CROSSING, VESSEL_FORK}
    for at in (CROSSING, VESSEL_FORK):
        placed = crossing(centre_mm=at)
        found = insert(with_vessels, [placed])[1].nodules[0]
        assert found.volume_mm3 == pytest.approx(crossing().target_volume_mm3, rel=1e-5)
        points = found.grid.index_to_world(np.stack(np.nonzero(found.occupancy > 0.5), axis=1))
        away = np.sqrt(((points[::5, None] - dense) ** 2).sum(axis=2)).min(axis=1)
        assert away.max() < 1.5 + 0.3  # nowhere thicker than the vessels, but for rounded joints
        # Arms of V / (n pi r^2) each, that end in half balls: a blob across them, long tubes along them.
        arm = crossing().target_volume_mm3 / ((4 if at == CROSSING else 3) * np.pi * 1.5**2)
        wide = 2 * arm if at == CROSSING else arm * (1 + np.sqrt(0.5))
        assert found.extent_y_mm == pytest.approx(wide + 1.5, abs=1.6)
        assert found.extent_z_mm < 7.0 < found.extent_y_mm


def test_a_crossing_where_no_vessels_meet_is_refused_by_name(with_vessels, lung_only):
    rng = np.random.default_rng(1)
    with pytest.raises(PlacementError, match="needs a twin with trees of vessels"):
        place(lung_only, [crossing()], rng=rng)
    with pytest.raises(PlacementError, match="0 places in the lungs have vessels that meet"):
        place(with_vessels, [crossing(equivalent_diameter_mm=20.0)], rng=rng)
    with pytest.raises(PlacementError, match="0 places in LEFT_LOWER_LOBE"):
        place(with_vessels, [crossing(lobe="LEFT_LOWER_LOBE")], rng=rng)
    with pytest.raises(ValueError, match="cross or fork within 1 mm of it, the nearest is 5"):
        insert(with_vessels, [crossing(centre_mm=(-45.0, -20.0, 24.0))])


def test_a_crossing_is_made_of_the_blood_that_its_vessels_hold(with_vessels, twin):
    spec = crossing(centre_mm=CROSSING)
    assert blood_of(spec, with_vessels) is None  # no voxel of vessel there: soft tissue
    materials = (*twin.materials[:3], replace(material("blood"), name="blood with iodine", density_g_cm3=1.08))
    vessel = replace(twin, materials=materials, arteries=with_vessels.arteries, veins=with_vessels.veins)
    index = tuple(np.rint(vessel.grid.world_to_index(CROSSING)).astype(int))
    structure, matter = vessel.structure.copy(), vessel.material_a.copy()
    structure[index], matter[index] = Structure.PULMONARY_VEIN, 3
    vessel = replace(vessel, structure=structure, material_a=matter)
    vessel.fraction_b[index] = 0
    assert blood_of(spec, vessel).name == "blood with iodine"
    assert blood_of(crossing(centre_mm=CROSSING, solid_hu=10.0), vessel) is None
    (inset,) = insert(vessel, [spec])[0].insets
    middle = tuple(np.rint(inset.grid.world_to_index((-40.0, -20.0, 22.6))).astype(int))
    names = [m.name for m in inset.materials]
    gained = inset.delta_g_cm3[(slice(None), *middle)]
    assert gained[names.index("blood with iodine")] > 0.9


def test_a_scar_touches_the_pleura_and_runs_inwards_or_along_it(lung_only):
    ratios = []
    for key in range(8):
        spec = Nodule(id="s", key=key, equivalent_diameter_mm=8.0, kind="scar")
        (placed,) = place(lung_only, [spec], rng=np.random.default_rng(key))
        found = insert(lung_only, [placed])[1].nodules[0]
        assert found.volume_mm3 == pytest.approx(spec.target_volume_mm3, rel=1e-5)
        assert found.distance_to_pleura_mm <= 1.5
        # The block's walls are flat: the pleura's normal is the axis on which the scar's centroid lies nearest to one.
        gaps = np.array([49.0, 51.0, 71.0]) - np.abs(found.centre_mm[::-1])
        extent = np.array([found.extent_z_mm, found.extent_y_mm, found.extent_x_mm])
        along = int(np.argmin(np.abs(gaps)))
        ratios.append(extent[along] / np.delete(extent, along).max())
    assert min(ratios) < 0.6  # some lie along it
    assert max(ratios) > 1.2  # some stand on it
