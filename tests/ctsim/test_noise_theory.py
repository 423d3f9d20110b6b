"""Noise of images, predicted through the chain: weights are the reconstruction's own, variances those of images."""

from __future__ import annotations

import numpy as np
import pytest

from ctsim.quality.weights import fdk_transfer, voxel_weights
from ctsim.recon.fdk import fdk
from ctsim.recon.filtering import Chain
from ctsim.recon.kernels import Kernel
from tests.ctsim.scans import geometry

SOFT = Kernel(name="soft", mtf50_per_mm=0.15, mtf10_per_mm=0.27)
BOX_MM = 3.0


def chain(g):
    return Chain(g.column_pitch_rad * g.source_distance_mm, True)


@pytest.mark.parametrize("point", [(0.0, 0.0, 0.0), (31.3, -17.9, 1.0), (-55.0, 20.0, -3.3)])
def test_weights_are_those_of_the_reconstruction(point):
    g = geometry(views=90, rows=8, columns=120)
    readings = np.random.default_rng(5).normal(1.0, 1.0, g.shape).astype(np.float32)
    axes = tuple(np.array([c, c + 1.5]) for c in point[::-1])
    image = fdk(readings, g, SOFT, chain(g), axes, BOX_MM, 85.0)
    weights = voxel_weights(g, fdk_transfer(g, SOFT, chain(g)), point, BOX_MM)
    spread = float(np.linalg.norm(weights.full()))  # standard deviation for readings of unit variance
    # float32 filtering; nodes along the rays interpolate what is worked here directly
    assert weights.value(readings) == pytest.approx(image[0, 0, 0], abs=0.02 * spread)
    assert weights.value(readings) == pytest.approx(np.vdot(weights.full(), readings), rel=1e-4)
