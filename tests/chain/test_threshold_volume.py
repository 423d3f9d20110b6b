"""A solid ball measured in a scan by the usual threshold is too small, by what the scan's own sharpness foretells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import ndtr

import ctsim
import lesions
from ctsim.quality import slice_profile, wire_mtf
from tests.chain.test_nodules_read_their_matter import SPHERE
from tests.chain.threshold_volume import blurred_ball, transform_of, volume_above_half_mm3
from twins import Grid, Inset, Structure, Twin, material, phantoms
from twins.solids import Cylinder

PROFILE = ctsim.load_profile("siemens_definition_as")
SAMPLING = ctsim.Sampling(views_per_rotation=720, rays_per_reading=1, scatter=False)
LUNG_DENSITY = 0.16
DIAMETERS_MM = (3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0)
VOXEL_MM = 0.5

CENTRES = {d: (22.0 * np.cos(a) + 0.13, 22.0 * np.sin(a) - 0.21, 0.17) for d, a in
           zip(DIAMETERS_MM[:6], np.arange(6) * np.pi / 3, strict=True)} | {12.0: (0.1, -0.2, 0.1)}  # fmt: skip
DISC_MM = 0.1
DISC_Z_MM = (0.0, 0.15, 0.3, 0.45)
"""Places of thin discs within a row of 0.6 mm, of which a slice sees one or another."""


def chest() -> Twin:
    """A water cylinder with a rod of lung, called a lung."""
    lung = phantoms.rod(110.0, 120.0, "lung_tissue", density_g_cm3=LUNG_DENSITY)
    twin = phantoms.cylinder(160.0, 120.0, inserts=[lung], spacing_mm=2.0)
    z, y, x = np.meshgrid(*twin.grid.axes_mm(), indexing="ij")
    inside = (np.hypot(x, y) < 55) & (abs(z) < 60)
    return replace(twin, structure=np.where(inside, Structure.RIGHT_LUNG, Structure.SOFT_TISSUE).astype(np.uint16))


def added(name, solid, spacing_mm, density_g_cm3, like="lung_tissue") -> Inset:
    """Matter of a density on top of what is there, on a lattice of its own."""
    low, high = (np.asarray(corner) for corner in solid.bounds_mm)
    n = np.ceil((high - low)[::-1] / spacing_mm).astype(int) + 2
    origin = 0.5 * (low + high) - 0.5 * (n[::-1] - 1) * np.asarray(spacing_mm)[::-1]
    grid = Grid(tuple(int(k) for k in n), spacing_mm, tuple(float(c) for c in origin))
    share = solid.volume_fractions(grid)
    return Inset(name, grid, (material(like),), (share * density_g_cm3)[None].astype(np.float32))


@pytest.fixture(scope="module")
def lines():
    """Line integrals that the balls, a wire along z and thin discs across it add to those of the chest."""
    base = chest()
    protocol = PROFILE.protocol("axial").model_copy(
        update={"with_couch": False, "isocentre_mm": (0.0, 0.0), "collimation_rows": 32, "scan_range_mm": (-9.0, 9.0)}
    )
    exposure = ctsim.expose(base, PROFILE.scanner, protocol, sampling=SAMPLING)
    without = ctsim.detect(exposure, protocol, key=None)
    specs = [lesions.Nodule(id=f"d{d:g}", key=1, equivalent_diameter_mm=d, centre_mm=CENTRES[d], **SPHERE)
             for d in DIAMETERS_MM]  # fmt: skip
    balls, truth = lesions.insert(base, specs)
    for nodule, d in zip(truth.nodules, DIAMETERS_MM, strict=True):
        assert nodule.volume_mm3 == pytest.approx(np.pi / 6 * d**3, rel=1e-6)
    wire = added("wire", Cylinder((3.3, -2.1, 0.0), (0.1, 0.1), 40.0), (4.0, 0.05, 0.05), 3.0)
    places = [(15.0 * np.cos(a), 15.0 * np.sin(a)) for a in np.arange(4) * np.pi / 2 + 0.4]
    discs = [added(f"disc {k}", Cylinder((*at, z), (4.0, 4.0), DISC_MM), (DISC_MM / 2, 0.25, 0.25), 1.0)
             for k, (at, z) in enumerate(zip(places, DISC_Z_MM, strict=True))]  # fmt: skip
    made = {}
    for name, twin in (
        ("balls", balls),
        ("wire", base.with_insets((wire,))),
        ("discs", base.with_insets(tuple(discs))),
    ):
        seen = ctsim.detect(ctsim.add_insets(exposure, twin), protocol, key=None)
        made[name] = replace(seen, line_integral=seen.line_integral - without.line_integral)
    return made, places


def contrast(sinogram, kernel, grid, thickness_mm, gain=1.0) -> np.ndarray:
    """What line integrals add to an image [HU], in steps of 1 / gain."""
    raised = replace(sinogram, line_integral=np.float32(gain) * sinogram.line_integral)
    image = ctsim.reconstruct(raised, kernel=PROFILE.kernel(kernel), grid=grid, slice_thickness_mm=thickness_mm)
    return (image.hu + 1000.0) / gain


def square(centre_mm, half_mm, pixel_mm, z_mm) -> Grid:
    n = 2 * int(half_mm / pixel_mm) + 1
    corner = [c - (n - 1) / 2 * pixel_mm for c in centre_mm]
    step = float(z_mm[1] - z_mm[0]) if len(z_mm) > 1 else 1.0
    return Grid((len(z_mm), n, n), (step, pixel_mm, pixel_mm), (*corner, float(z_mm[0])))


def sharpness(lines, kernel, thickness_mm):
    """In-plane MTF and transform of the slice profile, both measured in the scan."""
    made, places = lines
    image = contrast(made["wire"], kernel, square((3.3, -2.1), 14.0, 0.2, [0.0]), thickness_mm, 4.0)[0]
    wire = wire_mtf(image, (0.2, 0.2), wire_diameter_mm=0.2)
    z = np.linspace(-2.2 * thickness_mm, 2.2 * thickness_mm, 41)
    total = np.zeros(len(z))
    for at, z_disc in zip(places, DISC_Z_MM, strict=True):
        image = contrast(made["discs"], kernel, square(at, 2.0, 0.5, z + z_disc), thickness_mm, 4.0)
        total += image[:, 2:-2, 2:-2].mean(axis=(1, 2)) / len(places)
    profile = slice_profile(total, z)
    mtf = lambda f: np.interp(f, wire.frequency_per_mm, wire.mtf, right=0.0)  # noqa: E731
    return mtf, transform_of(profile.z_mm, np.clip(profile.sensitivity, 0, None))


def biases(lines, kernel, thickness_mm):
    """Per diameter the measured and the foretold bias of the volume above half contrast [percent]."""
    mtf, slice_mtf = sharpness(lines, kernel, thickness_mm)
    spacing = (VOXEL_MM,) * 3
    images = {}
    for d, (x, y, _) in CENTRES.items():
        half = d / 2 + 2.5
        grid = square((x - 0.07, y + 0.11), half, VOXEL_MM, np.arange(-half, half + 0.01, VOXEL_MM))
        images[d] = grid, contrast(lines[0]["balls"], kernel, grid, thickness_mm)
    found, heights = [], None
    for d in sorted(images, reverse=True):
        grid, image = images[d]
        at = grid.world_to_index(CENTRES[d])
        both = image, blurred_ball(grid.shape, spacing, at, d, mtf, slice_mtf)
        if heights is None:  # half of the contrast that the middle of the largest ball has
            heights = [a[tuple(np.rint(at).astype(int))] for a in both]
        true = np.pi / 6 * d**3
        volumes = [volume_above_half_mm3(a / h, spacing) for a, h in zip(both, heights, strict=True)]
        found.append([d, *(100 * (v / true - 1) for v in volumes)])
    return np.array(sorted(found))


@pytest.mark.slow
@pytest.mark.parametrize(("kernel", "thickness_mm"), [("B30f", 1.0), ("B30f", 3.0), ("B60f", 1.0)])
def test_the_bias_of_a_threshold_volume_is_that_of_the_scans_own_sharpness(lines, kernel, thickness_mm):
    found = biases(lines, kernel, thickness_mm)
    np.testing.assert_allclose(found[:, 1], found[:, 2], atol=2.0)


GAUSSIAN_BIAS = {
    (3, 0.8): -15.4, (3, 1.2): -33.6, (4, 0.8): -8.8, (4, 1.6): -33.7, (5, 1.2): -12.2, (6, 2.0): -23.6,
    (8, 1.2): -4.9, (8, 2.0): -13.4, (10, 1.6): -5.5,
}  # fmt: skip
"""Percent bias of the volume above half contrast of a ball of diameter d mm behind an isotropic Gaussian of FWHM mm."""


@pytest.mark.parametrize(("diameter_mm", "fwhm_mm"), GAUSSIAN_BIAS)
def test_what_is_foretold_for_a_gaussian_is_the_closed_form(diameter_mm, fwhm_mm):
    sigma = fwhm_mm / np.sqrt(8 * np.log(2))
    mtf = lambda f: np.exp(-2 * (np.pi * sigma * f) ** 2)  # noqa: E731
    step = 0.5 if fwhm_mm > 1 else 0.25  # the Gaussian vanishes at their Nyquist frequency
    n = 2 * int((diameter_mm / 2 + 2.5) / step) + 1
    at = (n // 2 + 0.3, n // 2 - 0.2, n // 2 + 0.1)
    image = blurred_ball((n, n, n), (step,) * 3, at, diameter_mm, mtf, mtf)
    found = 100 * (volume_above_half_mm3(image, (step,) * 3) / (np.pi / 6 * diameter_mm**3) - 1)
    # the closed form of a ball behind a Gaussian, its radius at half height found by bisection
    r = np.linspace(1e-3, diameter_mm, 200_001)
    low, high = (diameter_mm / 2 - r) / sigma, (diameter_mm / 2 + r) / sigma
    profile = ndtr(high) - ndtr(-low)
    profile += (np.exp(-0.5 * high**2) - np.exp(-0.5 * low**2)) * sigma / (r * np.sqrt(2 * np.pi))
    exact = 100 * ((2 * r[np.flatnonzero(profile > 0.5)[-1]] / diameter_mm) ** 3 - 1)
    assert exact == pytest.approx(GAUSSIAN_BIAS[diameter_mm, fwhm_mm], abs=1.0)
    assert found == pytest.approx(exact, abs=0.3)
