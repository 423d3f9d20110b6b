"""DICOM: dciodvfy finds no error, pydicom, SimpleITK and highdicom read back HU, geometry, masks and measures."""

import subprocess
from collections import defaultdict

import numpy as np
import pytest
import SimpleITK as sitk

hd = pytest.importorskip("highdicom")
pydicom = pytest.importorskip("pydicom")


@pytest.fixture
def root(exported):
    return exported("dicom")


def folder_of(root, image):
    return root / image.row["twin_id"] / image.row["scan_id"]


def test_simpleitk_reads_the_same_hu_on_the_same_lattice(source, root):
    for image in source.images:
        folder = folder_of(root, image) / "CT"
        reader = sitk.ImageSeriesReader()
        (series,) = reader.GetGDCMSeriesIDs(str(folder))
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder), series))
        volume = reader.Execute()
        hu, grid = image.hu()
        np.testing.assert_array_equal(sitk.GetArrayFromImage(volume), hu)
        np.testing.assert_allclose(volume.GetOrigin(), grid.origin_mm, atol=1e-9)
        np.testing.assert_allclose(volume.GetSpacing()[::-1], grid.spacing_mm, atol=1e-9)
        np.testing.assert_allclose(volume.GetDirection(), grid.direction, atol=1e-9)


def test_slices_go_from_head_to_feet_and_say_that_they_are_simulated(source, root):
    image = source.images[0]
    slices = [pydicom.dcmread(path) for path in sorted((folder_of(root, image) / "CT").iterdir())]
    assert [ds.InstanceNumber for ds in slices] == list(range(1, len(slices) + 1))
    assert np.all(np.diff([ds.ImagePositionPatient[2] for ds in slices]) == -image.grid().spacing_mm[0])
    ds = slices[0]
    assert "simulated" in ds.Manufacturer
    assert ds.ImageType[:2] == ["DERIVED", "SECONDARY"]
    assert "not for use on patients" in ds.ImageComments
    assert (ds.PatientID, ds.PatientSex, ds.PatientAge, ds.PatientSize) == ("made-ann", "F", "063Y", 1.7)
    assert ds.PatientWeight == pytest.approx(25 * 1.7**2, abs=0.005)
    assert (ds.KVP, ds.Exposure, ds.ExposureTime, ds.XRayTubeCurrent) == (120, 60, 500, 120)
    assert (ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType) == (1, 0, "HU")


def test_objects_of_a_twin_are_one_study_in_one_frame_and_uids_are_unique(root):
    studies, frames, uids = defaultdict(set), defaultdict(set), []
    for path in root.rglob("*.dcm"):
        ds = pydicom.dcmread(path, stop_before_pixels=True)
        studies[ds.PatientID].add(ds.StudyInstanceUID)
        if "FrameOfReferenceUID" in ds:
            frames[ds.PatientID].add(ds.FrameOfReferenceUID)
        uids.append(ds.SOPInstanceUID)
        assert ds.SOPInstanceUID.is_valid
    assert [len(found) for found in (*studies.values(), *frames.values())] == [1] * 6
    assert len(set(uids)) == len(uids) == 6 * 24 + 4 * 2


def test_no_uid_or_moment_was_drawn(root):
    for path in [*root.rglob("seg.dcm"), *root.rglob("sr.dcm"), next(root.rglob("0001.dcm"))]:
        for element in pydicom.dcmread(path).iterall():
            if element.VR in ("DA", "DT", "TM") and element.value:
                assert str(element.value) in ("20000101", "000000", "20000101000000")
            if element.VR == "UI":
                assert str(element.value).startswith(("2.25.", "1.2.840.10008."))


def test_the_segments_are_the_instances_and_lie_on_the_nodules(source, root):
    for image in source.images:
        path = folder_of(root, image) / "seg.dcm"
        nodules = image.nodules(mimics=False)
        assert path.exists() == bool(nodules)
        if not nodules:
            continue
        seg = hd.seg.segread(path)
        assert [d.segment_label for d in map(seg.get_segment_description, seg.segment_numbers)] == [
            nodule.id for nodule in nodules
        ]
        volume = seg.get_volume(combine_segments=True)
        # frames without a segment are not stored: the volume covers those that are
        labels, affine = volume.array, volume.affine
        instances, grid = image.instances(), image.grid()
        for number, nodule in zip(seg.segment_numbers, nodules, strict=True):
            index = np.argwhere(labels == number)
            world = index @ affine[:3, :3].T + affine[:3, 3]
            expected = grid.index_to_world(np.argwhere(instances == nodule.mask_value))
            order, wanted = np.lexsort(world.round(3).T), np.lexsort(expected.round(3).T)
            np.testing.assert_allclose(world[order], expected[wanted], atol=1e-6)
            spacing = np.array(grid.spacing_mm[::-1])
            assert np.all(np.abs(world.mean(axis=0) - nodule.centre_mm) < 0.5 * spacing)


def test_the_report_holds_the_exact_measures_of_the_segments(source, root):
    for image in source.images:
        nodules = image.nodules(mimics=False)
        if not nodules:
            continue
        report = hd.sr.srread(folder_of(root, image) / "sr.dcm")
        seg = pydicom.dcmread(folder_of(root, image) / "seg.dcm", stop_before_pixels=True)
        groups = report.content.get_volumetric_roi_measurement_groups()
        assert len(groups) == len(nodules)
        for number, (group, nodule) in enumerate(zip(groups, nodules, strict=True), start=1):
            assert group.tracking_identifier == f"{image.row['twin_id']}/{nodule.id}"
            values = {m.name.meaning: (m.value, m.unit.value) for m in group.get_measurements()}
            assert values["Volume"][0] == pytest.approx(nodule.number("volume_mm3"), rel=1e-6)
            assert values["Long Axis"] == (nodule.number("long_axis_mm"), "mm")
            assert values["Attenuation Coefficient"] == (nodule.number("mean_hu"), "[hnsf'U]")
            assert values["Probability of cancer"] == (100 * nodule.number("probability"), "%")
            segment = group.referenced_segment
            assert segment.referenced_sop_instance_uid == seg.SOPInstanceUID
            assert segment.referenced_segment_numbers == [number] or segment.referenced_segment_numbers == number
            found = {e.name.meaning: e.value.meaning for e in group.get_qualitative_evaluations()}
            assert found["Attenuation type"] == nodule.row["type"].replace("_", " ")
            assert found["Drawn outcome"] == nodule.row["label"]


def test_a_nodule_keeps_its_tracking_uid_in_all_scans_of_its_twin(source, root):
    seen = defaultdict(set)
    for image in source.images:
        if image.nodules(mimics=False):
            seg = hd.seg.segread(folder_of(root, image) / "seg.dcm")
            for number in seg.segment_numbers:
                description = seg.get_segment_description(number)
                seen[description.tracking_id].add(description.tracking_uid)
    assert set(seen) == {"ann/big", "ann/small", "bob/only"}
    assert all(len(uids) == 1 for uids in seen.values())
    assert len(set.union(*seen.values())) == 3


def test_hard_negatives_are_lesions_and_no_nodules(exported):
    seg = hd.seg.segread(exported("dicom", mimics=True) / "ann/low/seg.dcm")
    kinds = [seg.get_segment_description(n).segmented_property_type.meaning for n in seg.segment_numbers]
    assert kinds == ["Nodule", "Nodule", "Lesion"]


def test_the_standards_checker_finds_no_error(root, system_tool):
    tool = system_tool("dciodvfy", "dicom3tools")
    objects = [*root.rglob("seg.dcm"), *root.rglob("sr.dcm"), *root.rglob("CT/0001.dcm")]
    assert len(objects) == 4 + 4 + 6
    for path in objects:
        done = subprocess.run([tool, "-new", str(path)], capture_output=True, encoding="utf-8")
        errors = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]
        assert not errors, (path, errors)


def test_the_standards_checker_finds_the_objects_of_a_study_consistent(root, system_tool):
    tool = system_tool("dcentvfy", "dicom3tools")
    for folder in ("ann/low", "bob/high"):
        files = [str(path) for path in sorted((root / folder).rglob("*.dcm"))]
        done = subprocess.run([tool, *files], capture_output=True, encoding="utf-8")
        errors = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]
        assert not errors, errors
