"""Mimics lie where they arise: scars on the pleura, along it or inwards from it, mucus plugs in the airways."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from lesions import Nodule, PlacementError, insert, place
from lesions.plugs import plug_radius_mm

from .synthetic_thorax import FORK, airway_lines, airway_tree


@pytest.fixture(scope="module")
def with_airways(lung_only):
    return replace(lung_only, airways=airway_tree())


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
