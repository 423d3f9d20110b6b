"""Trees grown into lungs that came without them."""

from __future__ import annotations

import numpy as np
import pytest

from twins import Grid, Structure, material
from twins.importers.growing import grow_trees
from twins.importers.phantom import Part, phantom_twin
from twins.structures import AERATED

SPACING_MM = 3.0
LUNGS = (int(Structure.RIGHT_LUNG), int(Structure.LEFT_LUNG))


@pytest.fixture(scope="module")
def phantom():
    """Two ellipsoids of lung of one density in a block of muscle: 1.5 L each."""
    z, y, x = np.meshgrid(*(np.arange(-n, n + 0.1, SPACING_MM) for n in (130, 90, 130)), indexing="ij")
    numbers = np.zeros(z.shape, np.uint8)
    numbers[(np.abs(y) < 84) & (np.abs(x) < 124)] = 1
    for number, side in ((2, -1), (3, 1)):
        numbers[(z / 110) ** 2 + (y / 70) ** 2 + ((x - 60 * side) / 48) ** 2 < 1] = number
    grid = Grid(numbers.shape, (SPACING_MM,) * 3, (-130.0, -90.0, -130.0))
    lung = material("lung_tissue")
    parts = {
        0: Part(Structure.OUTSIDE, material("air"), 0.0012),
        1: Part(Structure.MUSCLE, material("muscle"), 1.05),
        2: Part(Structure.RIGHT_LUNG, lung, 0.2),
        3: Part(Structure.LEFT_LUNG, lung, 0.2),
    }
    return phantom_twin(numbers, grid, parts, name="block", provenance={"kind": "patient"})


@pytest.fixture(scope="module")
def grown(phantom):
    return grow_trees(phantom, key=11)


def test_trees_fill_both_lungs_and_stay_inside(phantom, grown):
    for tree, least in ((grown.airways, 8000), (grown.arteries, 15000), (grown.veins, 8000)):
        inner = tree.lobe > 0
        assert set(tree.lobe[inner]) == set(LUNGS)
        assert inner.sum() > least
        ends = tree.end_mm[inner & (tree.start_radius_mm < 1.0)]
        index = np.clip(np.rint(phantom.grid.world_to_index(ends)).astype(int), 0, np.array(phantom.grid.shape) - 1)
        assert np.isin(phantom.structure[tuple(index.T)], LUNGS).mean() > 0.995
        # every cube of 2 cm that lies wholly in a lung has a branch
        cells = set(map(tuple, np.floor(ends / 20).astype(int)))
        centres = np.argwhere(np.isin(phantom.structure, LUNGS))
        cubes, counts = np.unique(
            np.floor(phantom.grid.index_to_world(centres) / 20).astype(int), axis=0, return_counts=True
        )
        whole = cubes[counts > 0.9 * 20**3 / SPACING_MM**3]
        assert len(whole) > 100
        assert all(tuple(c) in cells for c in whole)


def test_the_lungs_keep_their_mass_and_get_two_to_four_percent_of_vessels(phantom, grown):
    lung = phantom.is_any(AERATED)
    masses = [t.density[lung].sum(dtype=float) for t in (phantom, grown)]
    assert masses[1] == pytest.approx(masses[0], rel=1e-3)
    vessels = 0.0
    for tree in (grown.arteries, grown.veins):
        inner = tree.lobe > 0
        length = np.linalg.norm(tree.end_mm - tree.start_mm, axis=1)[inner]
        vessels += float((np.pi * length * tree.start_radius_mm[inner] ** 2).sum())
    assert 0.02 < vessels / (lung.sum() * SPACING_MM**3) < 0.06
    outside = ~lung & ~np.isin(grown.structure, (23, 24, 22, 21))
    np.testing.assert_allclose(grown.density[outside], phantom.density[outside], atol=1)


@pytest.mark.slow
def test_the_key_decides_and_nothing_else(phantom, grown):
    same, other = grow_trees(phantom, key=11), grow_trees(phantom, key=12)
    np.testing.assert_array_equal(same.density, grown.density)
    assert len(other.airways) != len(grown.airways) or not np.allclose(other.airways.end_mm, grown.airways.end_mm)


def test_what_has_no_two_lungs_or_flat_voxels_is_refused(phantom):
    from dataclasses import replace

    single = phantom.structure.copy()
    single[single == Structure.LEFT_LUNG] = Structure.MUSCLE
    with pytest.raises(ValueError, match="two lungs of at least 60 mL, one has 0 mL"):
        grow_trees(replace(phantom, structure=single), key=1)
    flat = replace(phantom, grid=Grid(phantom.grid.shape, (5.0, 3.0, 3.0)))
    with pytest.raises(ValueError, match="needs cubic voxels"):
        grow_trees(flat, key=1)
