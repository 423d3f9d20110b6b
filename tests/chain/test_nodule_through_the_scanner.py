"""A nodule through the whole chain: what the image shows of it is what the truth says."""

from __future__ import annotations

from dataclasses import replace

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

import ctsim
import lesions
from ctsim.attenuation import ENERGY_KEV, mass_attenuation
from twins import Grid, Structure, Twin, material, phantoms

PROFILE = ctsim.load_profile("siemens_definition_as")
SAMPLING = ctsim.Sampling(views_per_rotation=360, column_binning=2, row_binning=2, rays_per_reading=1)


def chest() -> Twin:
    """A water cylinder with a large rod of lung, called a lobe, so that nodules may grow in it."""
    lung = phantoms.rod(160.0, 120.0, "lung_tissue", at_mm=(10.0, -20.0), density_g_cm3=0.2)
    twin = phantoms.cylinder(240.0, 120.0, inserts=[lung], spacing_mm=2.0)
    z, y, x = np.meshgrid(*twin.grid.axes_mm(), indexing="ij")
    inside = (np.hypot(x - 10, y + 20) < 80) & (abs(z) < 60)
    structure = np.where(inside, Structure.RIGHT_LUNG, Structure.SOFT_TISSUE).astype(np.uint16)
    return replace(twin, structure=structure)


@pytest.fixture(scope="module", params=["axial", "screening_low_dose"])
def seen(request):
    """Noise-free images without and with two nodules, and the truth."""
    base = chest()
    even = {"texture_sd_hu": 0.0}  # a small region then reads what the whole does
    nodules = (
        lesions.Nodule(
            id="solid", type="solid", equivalent_diameter_mm=12, centre_mm=(-20.0, -40.0, 3.0), key=1, **even
        ),
        lesions.Nodule(
            id="haze", type="ground_glass", equivalent_diameter_mm=16, centre_mm=(40.0, 5.0, -4.0), key=2, **even
        ),
    )
    twin, truth = lesions.insert(base, nodules)
    protocol = PROFILE.protocol(request.param).model_copy(update={"scan_range_mm": (-17.0, 17.0)})
    grid = Grid((35, 224, 224), (1.0, 1.25, 1.25), (-139.0, -139.0, -17.0))
    images = [
        ctsim.reconstruct(
            ctsim.scan(body, PROFILE.scanner, protocol, key=None, sampling=SAMPLING),
            kernel=PROFILE.kernel("B30f"), grid=grid,
        )
        for body in (base, twin)
    ]  # fmt: skip
    return images, truth


def around(image, centre_mm, reach_mm):
    z, y, x = np.meshgrid(*image.grid.axes_mm(), indexing="ij")
    return np.sqrt((x - centre_mm[0]) ** 2 + (y - centre_mm[1]) ** 2 + (z - centre_mm[2]) ** 2) < reach_mm


def test_a_nodule_adds_to_the_image_what_it_adds_to_the_twin(seen):
    (without, with_nodules), truth = seen
    gain_hu = with_nodules.hu.astype(float) - without.hu
    tissue, water = (np.interp(65, ENERGY_KEV, mass_attenuation(material(name))) for name in ("muscle", "water"))
    for nodule in truth.nodules:
        reach_mm = nodule.equivalent_diameter_mm
        water_equivalent_mm3 = gain_hu[around(without, nodule.centre_mm, reach_mm)].sum() / 1000 * 1.25**2
        added_mm3 = nodule.added_mass_mg * float(tissue / water)
        # 3 %: beam hardening by a body of 240 mm, 8-bit rounding of HU over a shell as thick as the nodule
        assert water_equivalent_mm3 == pytest.approx(added_mm3, rel=0.03), nodule.nodule.id


def test_a_nodule_is_seen_where_the_truth_says_by_other_peoples_readers(seen, tmp_path):
    (without, with_nodules), truth = seen
    gain = np.clip(with_nodules.hu.astype(np.int32) - without.hu, 30, 3000) - 30
    path = tmp_path / "gain.nii.gz"
    ctsim.CT(without.grid, gain.astype(np.int16), {}).save(path)
    for nodule in truth.nodules:
        weight = gain * around(without, nodule.centre_mm, nodule.equivalent_diameter_mm)
        middle = [float((weight * index).sum() / weight.sum()) for index in np.indices(weight.shape)]
        itk = sitk.ReadImage(str(path))
        np.testing.assert_allclose(
            itk.TransformContinuousIndexToPhysicalPoint(middle[::-1]), nodule.centre_mm, atol=0.3
        )  # a quarter voxel
        ras = nibabel.load(path).affine @ [*middle[::-1], 1]
        np.testing.assert_allclose(ras[:3] * [-1, -1, 1], nodule.centre_mm, atol=0.3)
        index = with_nodules.grid.world_to_index(nodule.centre_mm)
        labels = truth.labels(with_nodules.grid)
        assert (
            labels[tuple(np.rint(index).astype(int))]
            == [n.nodule.id for n in truth.nodules].index(nodule.nodule.id) + 1
        )


def test_the_middle_of_a_nodule_reads_its_own_density(seen):
    (without, with_nodules), truth = seen
    solid, haze = truth.nodules
    # clear of the edge's blur; 5 HU: beam hardening, and rounding of 27 voxels
    assert with_nodules.hu[around(with_nodules, solid.centre_mm, 2.0)].mean() == pytest.approx(40.0, abs=5)
    # -600 HU in lung of -850 HU is a share of 250 / 890 soft tissue, added to what the same scan shows without it
    bare = without.hu[around(without, haze.centre_mm, 3.0)].mean()
    assert with_nodules.hu[around(with_nodules, haze.centre_mm, 3.0)].mean() == pytest.approx(
        bare + 250 / 890 * (40 - bare), abs=10
    )
