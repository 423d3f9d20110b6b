"""Volumes whose axes are turned against the patient's."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from twins.importers.oblique import Stack, straightened
from twins.importers.volume import read_volume


def ball_image(direction, spacing=(1.2, 1.5, 2.0), n=(70, 60, 50), centre=(10.0, -20.0, 30.0)):
    """A ball of 20 mm (40 HU, a bone core) in air, sampled on a turned lattice through its middle."""
    direction = np.asarray(direction, float)
    origin = np.asarray(centre) - direction @ (np.asarray(spacing) * (np.asarray(n) - 1) / 2)
    i, j, k = np.meshgrid(*(np.arange(m) for m in n), indexing="ij")
    at = np.einsum("ab,bijk->aijk", direction, np.stack([i, j, k]) * np.asarray(spacing)[:, None, None, None])
    r = np.linalg.norm(at + (origin - np.asarray(centre))[:, None, None, None], axis=0)
    hu = np.where(r < 20, 40.0, -1000.0)
    hu[r < 6] = 500.0
    image = sitk.GetImageFromArray(hu.transpose(2, 1, 0).astype(np.float32))
    image.SetSpacing(spacing)
    image.SetOrigin(origin.tolist())
    image.SetDirection(direction.ravel().tolist())
    return image


def turn(degrees, axis):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    out = np.eye(3)
    a, b = [i for i in range(3) if i != axis]
    out[a, a] = out[b, b] = c
    out[a, b], out[b, a] = -s, s
    return out


@pytest.mark.parametrize(
    "direction", [turn(8, 2), turn(-10, 0), turn(6, 1) @ turn(7, 2), np.diag([-1, -1, 1]) @ turn(5, 0)]
)
def test_an_oblique_ball_keeps_its_place_and_volume(tmp_path, direction):
    path = tmp_path / "ball.mha"
    sitk.WriteImage(ball_image(direction), str(path))
    with pytest.raises(ValueError, match=r"ball\.mha: oblique volumes are not supported: its axes are turned by"):
        read_volume(path)
    volume = read_volume(path, straighten=True)
    assert volume.grid.is_axis_aligned
    solid = volume.hu > -480
    ml = solid.sum() * volume.grid.voxel_volume_mm3
    assert ml == pytest.approx(4 / 3 * np.pi * 20**3, rel=0.02)
    middle = volume.grid.index_to_world(np.argwhere(solid).mean(axis=0))
    np.testing.assert_allclose(middle, (10.0, -20.0, 30.0), atol=0.25)
    assert volume.mended["turned_deg"] > 4


def test_slices_that_miss_part_of_the_patient_are_left_out():
    """A column of tissue through a stack turned by 20 degrees: only slices that hold all of it stay."""
    direction = turn(20, 0)
    array = np.full((60, 50, 20), 40.0, np.float32)
    array[:, :10], array[:, -10:] = -1000, -1000
    out, _, account = straightened(Stack(array, np.zeros(3), direction * 2.0), "x")
    assert account["slices_left_out"] > 10
    solid = (out > -300).any(axis=0)
    assert (out[:, solid] > -1024).all()
    with pytest.raises(ValueError, match=r"x: its axes are turned by 40\.0 degrees.*only 0 slices"):
        straightened(Stack(array[:12], np.zeros(3), turn(40, 0) * 2.0), "x")
