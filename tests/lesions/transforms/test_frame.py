"""Axes in any order and direction: what an affine says is where things are."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from lesions.transforms.frame import Frame

from .phantoms import affine

SHAPE = (4, 5, 6)


def signed_orders():
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            yield np.eye(3)[:, list(order)] * signs


@pytest.mark.parametrize("direction", list(signed_orders()))
def test_every_voxel_keeps_its_world_point(direction):
    lattice = affine((0.7, 1.1, 2.5), (3.0, -4.0, 5.0), direction)
    frame = Frame.of(lattice, SHAPE)
    array = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    turned = frame.zyx(array)
    assert frame.grid.is_axis_aligned
    for index in ((0, 0, 0), (1, 2, 3), tuple(n - 1 for n in turned.shape)):
        at = np.argwhere(array == turned[index])[0]
        np.testing.assert_allclose(frame.grid.index_to_world(index), (lattice @ [*at, 1])[:3], atol=1e-9)
        np.testing.assert_allclose(frame.index(np.array(index, float)), at, atol=1e-9)
    one = np.zeros(SHAPE, int)
    frame.zyx(one)[1:3, 0:2, 2:4] = 1
    filled = np.argwhere(one)
    np.testing.assert_array_equal(
        frame.corners((1, 0, 2), (3, 2, 4)), np.concatenate((filled.min(axis=0), filled.max(axis=0) + 1))
    )


def test_an_oblique_array_keeps_its_place_in_the_world_and_lies_upright_in_its_own():
    c, s = np.cos(0.2), np.sin(0.2)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    lattice = affine((1.0, 1.0, 2.0), (10.0, 20.0, 30.0), turn)
    frame = Frame.of(lattice, SHAPE)
    assert not frame.grid.is_axis_aligned
    assert frame.local.is_axis_aligned
    np.testing.assert_allclose(frame.grid.index_to_world((3, 2, 1)), (lattice @ [1, 2, 3, 1])[:3], atol=1e-9)


def test_shear_and_nonsense_are_refused():
    sheared = affine()
    sheared[0, 1] = 0.2
    with pytest.raises(ValueError, match="affine is sheared"):
        Frame.of(sheared, SHAPE)
    with pytest.raises(ValueError, match="every axis a length"):
        Frame.of(np.zeros((4, 4)), SHAPE)
    with pytest.raises(ValueError, match="finite 4 x 4"):
        Frame.of(np.eye(3), SHAPE)
