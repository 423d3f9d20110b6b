"""Noise of images, predicted through the chain: weights are the reconstruction's own, variances those of images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ctsim.quality.weights import weights_of
from ctsim.recon.chain import geometric_chain
from ctsim.recon.fdk import fdk
from ctsim.recon.kernels import Kernel
from ctsim.recon.wfbp import wfbp
from tests.ctsim.scans import geometry

SOFT = Kernel(name="soft", mtf50_per_mm=0.15, mtf10_per_mm=0.27)
BOX_MM = 3.0


def scans():
    axial = geometry(views=92, rows=8, columns=120)
    helix = geometry(views=92, rows=8, columns=120, rotations=3, feed_mm=14.0, start_z_mm=-21.0)
    flying = replace(axial, deflection_mm=np.array([[0.4, 0.0, 0.0], [-0.4, 0.0, 0.0]]))
    both = replace(helix, deflection_mm=np.array([[0.0, 1.5, 0.3], [0.0, -1.5, -0.3]]))
    return {"axial": axial, "helical": helix, "flying in the plane": flying, "flying along z, helical": both}


@pytest.mark.parametrize("name", scans())
@pytest.mark.parametrize("point", [(0.0, 0.0, 0.0), (31.3, -17.9, 1.0), (-55.0, 20.0, -2.1)])
def test_weights_are_those_of_the_reconstruction(name, point):
    g = scans()[name]
    chain = geometric_chain(g)
    readings = np.random.default_rng(5).normal(1.0, 1.0, g.shape).astype(np.float32)
    axes = tuple(np.array([c, c + 1.5]) for c in point[::-1])
    image, seen = (wfbp if g.is_helical else fdk)(readings, g, SOFT, chain, axes, BOX_MM, 85.0)
    weights = weights_of(g, SOFT, chain, axes, (0, 0, 0), BOX_MM, 85.0)
    assert seen[0, 0, 0] == g.views_per_rotation // len(g.deflection_mm) // 2
    spread = float(np.linalg.norm(weights))  # standard deviation for readings of unit variance
    found = float(np.vdot(weights.astype(np.float64), readings))
    assert found == pytest.approx(float(image[0, 0, 0]), abs=0.02 * spread)
