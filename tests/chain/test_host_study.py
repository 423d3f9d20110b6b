"""A study that names a patient's own CT: imported, scanned and given back on the CT's own voxels, to the last slice."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from flows import build_dataset
from flows.verification import verify
from tests.twins.test_import_ct import synthetic_chest, write

STUDY = """
name: host
seed: 3
sampling: {views_per_rotation: 96, column_binning: 4, row_binning: 16, rays_per_reading: 1}
twins:
  - id: me
    patient: {ct: ct.nii.gz, sex: male, age_y: 71, family_history: false, emphysema: false}
    nodules: [{id: a, type: solid, equivalent_diameter_mm: 9}]
scans: [{profile: siemens_definition_as, protocol: screening_low_dose}]
label_impute: reference
"""


def test_a_persons_ct_becomes_a_dataset_on_its_own_voxels(tmp_path):
    write(synthetic_chest(), tmp_path / "ct.nii.gz")
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    dataset = build_dataset(tmp_path / "study.yaml", tmp_path / "out")
    assert not [problem for finding in verify(dataset.root) for problem in finding.problems]
    original = sitk.ReadImage(str(tmp_path / "ct.nii.gz"))
    (image_file,) = (dataset.root / "images").glob("*.nii.gz")
    image = sitk.ReadImage(str(image_file))
    assert image.GetSize() == original.GetSize()
    np.testing.assert_allclose(image.GetSpacing(), original.GetSpacing(), atol=1e-5)
    np.testing.assert_allclose(image.GetOrigin(), original.GetOrigin(), atol=1e-3)
    hu, was = sitk.GetArrayFromImage(image).astype(float), sitk.GetArrayFromImage(original).astype(float)
    inside = (was > -30) & (was < 100)
    inside[:, 125:] = False  # the table, which is taken away
    for z in (0, len(hu) // 2, len(hu) - 1):  # the ends are scanned as the middle is
        # coarse sampling: 2.4 mm columns and 96 views cost tens of HU, a slice that was not scanned hundreds
        assert abs(hu[z][inside[z]].mean() - was[z][inside[z]].mean()) < 60
    assert "simulated" in dataset.report.read_text(encoding="utf-8")
