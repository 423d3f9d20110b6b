"""A real chest CT becomes a twin; the simulated scan of the twin reads what the original reads."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

import ctsim
import lesions
from twins import Grid, Patient, Structure
from twins.importers.ct import from_ct

AORTA_MM = (28.0, -98.0)
"""Descending aorta in the slices below the carina, world x, y: read off this CT."""


@pytest.fixture(scope="module")
def scanned(real_ct):
    """The original, the twin, and the scan of the twin with two nodules, on the original's voxels."""
    original = sitk.GetArrayFromImage(sitk.ReadImage(str(real_ct))).astype(float)
    twin = from_ct(real_ct, patient=Patient(sex="male", age_y=71))
    nodules = (
        lesions.Nodule(id="a", type="solid", equivalent_diameter_mm=9, key=1),
        lesions.Nodule(id="b", type="ground_glass", equivalent_diameter_mm=14, key=2),
    )
    with_nodules, truth = lesions.insert(twin, lesions.place(twin, nodules, rng=np.random.default_rng(1)))
    profile = ctsim.load_profile("siemens_definition_as")
    protocol = profile.protocol("screening_low_dose").model_copy(
        update={"mas_per_rotation": 100.0, "scan_range_mm": (-268.0, 38.0), "with_couch": False}
    )
    sampling = ctsim.Sampling(views_per_rotation=360, row_binning=4, rays_per_reading=1)
    sinogram = ctsim.scan(with_nodules, profile.scanner, protocol, key=3, sampling=sampling)
    host = Grid.from_dict(twin.provenance["host_grid"])
    return original, twin, truth, ctsim.reconstruct(sinogram, grid=host, slice_thickness_mm=3.0)


def within(twin, grid, structures):
    """Voxels of ``grid`` whose place in the twin is well inside the structures."""
    inside = ndimage.binary_erosion(twin.is_any(structures), iterations=2)
    index = [np.rint((axis - origin) / step).astype(int) for axis, origin, step in zip(
        grid.axes_mm(), twin.grid.origin_mm[::-1], twin.grid.spacing_mm, strict=True
    )]  # fmt: skip
    return inside[np.ix_(*(np.clip(i, 0, n - 1) for i, n in zip(index, inside.shape, strict=True)))]


@pytest.mark.slow
@pytest.mark.data
def test_tissues_of_the_scan_read_as_in_the_original(scanned):
    original, twin, truth, ct = scanned
    clear = truth.labels(ct.grid) == 0
    clear[[0, -1]] = False
    bars = {"lung": (15, [Structure.RIGHT_LUNG, Structure.LEFT_LUNG]), "fat": (10, [Structure.FAT])} | {
        "muscle": (10, [Structure.MUSCLE])
    }
    for name, (bar_hu, structures) in bars.items():
        voxels = within(twin, ct.grid, structures) & clear
        assert voxels.sum() > 50_000
        assert ct.hu[voxels].mean() == pytest.approx(original[voxels].mean(), abs=bar_hu), name
    z, y, x = np.meshgrid(*ct.grid.axes_mm(), indexing="ij")
    aorta = (np.hypot(x - AORTA_MM[0], y - AORTA_MM[1]) < 7) & (z > -110) & (z < -70)
    assert original[aorta].mean() > 90  # the place is the aorta: contrast
    assert ct.hu[aorta].mean() == pytest.approx(original[aorta].mean(), abs=10)


@pytest.mark.slow
@pytest.mark.data
def test_the_scan_lies_on_the_original_and_the_table_is_gone(scanned, real_ct):
    original, twin, truth, ct = scanned
    image = sitk.ReadImage(str(real_ct))
    np.testing.assert_allclose(ct.grid.index_to_world((0, 0, 0)), image.GetOrigin(), atol=1e-3)
    assert ct.hu.shape == original.shape
    bone = original > 300
    assert np.corrcoef(original[bone], ct.hu[bone])[0, 1] > 0.5
    outside = ~ndimage.binary_dilation(within(twin, ct.grid, [s for s in Structure if s]), iterations=8)
    assert (original[outside] > -300).sum() > 1000  # the table
    assert (ct.hu[outside] > -300).mean() < 1e-4
    assert {lobe for n in truth.nodules for lobe in [n.lobe]} <= {"RIGHT_LUNG", "LEFT_LUNG"}
