"""Noise of images, predicted through the chain: weights are the reconstruction's own, variances those of images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ctsim import Protocol, Sampling, detect, expose, load_profile
from ctsim.detector import Afterglow
from ctsim.protocol import Corrections, Reconstruction
from ctsim.quality.theory import expected_spectrum, reading_noise, variance
from ctsim.quality.weights import voxel_weights, weights_of
from ctsim.recon.chain import geometric_chain
from ctsim.recon.fdk import fdk
from ctsim.recon.kernels import Kernel
from ctsim.recon.wfbp import wfbp
from tests.ctsim.scans import centred, geometry
from twins.phantoms import water

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


def small_scan(**detector):
    """Exposure of 100 mm of water by a small scanner, and its protocol."""
    scanner = load_profile("siemens_definition_as").scanner
    cells = {"n_columns": 96, "column_pitch_mm": 5.0, "isocentre_column": 47.75, "n_rows": 8, "row_pitch_iso_mm": 2.0}
    made = scanner.detector.model_copy(update={**cells, "grid": None, "saturation_kev": None, **detector})
    scanner = scanner.model_copy(
        update={"detector": made, "views_per_rotation": 120, "collimations_rows": (8,), "dose_indices": ()}
    )  # no dose is asked for: what the table lacks would be simulated
    protocol = Protocol(
        name="test", kvp=120, mode="axial", collimation_rows=8, bowtie=scanner.bowties[0].name, rotation_s=1.0,
        mas_per_rotation=20.0, with_couch=False, isocentre_mm=(0.0, 0.0), scan_range_mm=(-1.0, 1.0), source="test",
        corrections=Corrections(scatter=False, starvation=False), status="estimated",
        reconstruction=Reconstruction(kernel="soft", fov_mm=100.0, matrix=32, slice_thickness_mm=3.0, increment_mm=3.0),
    )  # fmt: skip
    sampling = Sampling(rays_per_reading=1, scatter=False)
    return expose(water(100.0, 60.0, spacing_mm=(10.0, 2.0, 2.0)), scanner, protocol, sampling=sampling), protocol


DETECTORS = {
    "ideal": {
        "electronic_noise_kev": 0.0, "optical_crosstalk": (0.0, 0.0), "xray_crosstalk": (0.0, 0.0), "afterglow": (),
    },
    "with electronic noise": {"electronic_noise_kev": 20000.0},
    "with crosstalk and afterglow": {
        "optical_crosstalk": (0.15, 0.15), "xray_crosstalk": (0.05, 0.05),
        "afterglow": (Afterglow(fraction=0.4, time_constant_ms=15.0),),
    },
}  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("ideal", marks=pytest.mark.slow),
        pytest.param("with electronic noise", marks=pytest.mark.slow),
        "with crosstalk and afterglow",
    ],
)
def test_predicted_noise_is_that_of_many_images(name):
    exposure, protocol = small_scan(**DETECTORS[name])
    kernel = Kernel(name="soft", mtf50_per_mm=0.12, mtf10_per_mm=0.22)
    quiet = detect(exposure, protocol, key=None)
    noise = reading_noise(exposure, protocol)
    grid = centred((1, 5, 5), (1.0, 6.0, 6.0))
    scans = [detect(exposure, protocol, key=k).line_integral - quiet.line_integral for k in range(60)]
    for index in ((0, 3, 4), (0, 0, 1)):
        weights = voxel_weights(quiet, kernel, grid, index, 3.0)
        values = [np.vdot(weights.astype(np.float64), scan) for scan in scans]
        # 60 samples of one voxel: standard deviation to 9 %
        predicted = np.sqrt(variance(noise, weights))
        assert np.sqrt(np.mean(np.square(values))) == pytest.approx(predicted, rel=0.25)
        assert abs(np.mean(values)) < 4 * predicted / 60**0.5


def test_mixing_light_lowers_and_colours_the_noise():
    ideal, mixed = (reading_noise(*small_scan(**DETECTORS[name])) for name in ("ideal", "with crosstalk and afterglow"))
    one = np.zeros(ideal.slope_per_kev.shape, np.float32)
    one[60, 4, 48] = 1.0
    own, spread = ideal.covariance_with(one), mixed.covariance_with(one)
    assert np.count_nonzero(own) == 1
    assert spread[60, 4, 48] < 0.5 * own[60, 4, 48]
    assert spread[60, 4, 49] > 0 < spread[61, 4, 48]
    assert spread.sum() == pytest.approx(float(own.sum()), rel=0.1)  # light is kept: low frequencies are as noisy


def test_noise_cannot_be_predicted_through_a_scatter_correction():
    exposure, protocol = small_scan()
    asked = protocol.model_copy(update={"corrections": Corrections(scatter=True)})
    with pytest.raises(ValueError, match="without scatter correction"):
        reading_noise(replace(exposure, scatter=object()), asked)


def test_the_expected_spectrum_is_the_transform_of_the_covariance():
    n, pixel, sigma = 65, 0.7, 0.45
    shift = (np.arange(2 * n - 1) - (n - 1)) * pixel
    covariance = 400 * np.exp(-(shift[:, None] ** 2 + shift**2) / (4 * sigma**2))
    found = expected_spectrum(covariance, (pixel, pixel), n_rings=16)
    f = found.frequency_per_mm
    gaussian = 400 * 4 * np.pi * sigma**2 * np.exp(-((2 * np.pi * sigma * f) ** 2))
    # rings are 0.045 1/mm wide; beyond 0.5 1/mm what pixels alias adds to it
    np.testing.assert_allclose(found.nps_hu2_mm2[:11], gaussian[:11], rtol=0.03)
    assert found.sd_hu == pytest.approx(20.0, rel=1e-6)
