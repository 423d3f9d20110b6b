"""DICOM series as scanners, archives and people leave them: shuffled, flipped, tilted, with gaps, mixed."""

from __future__ import annotations

import numpy as np
import pytest

from twins.importers.ct import _who
from twins.importers.volume import read_volume
from twins.patient import Patient

pydicom = pytest.importorskip("pydicom")

N_Z, N_Y, N_X = 24, 40, 48
DZ, DXY = 2.5, 1.5


def phantom():
    """Blocks at odd places, so that no flip goes unseen [HU]."""
    hu = np.full((N_Z, N_Y, N_X), -1000, np.int16)
    hu[4:20, 8:32, 8:40] = 40
    hu[6:18, 12:20, 12:20] = -850
    hu[10:14, 22:28, 30:36] = 700
    return hu


def write_series(
    folder, hu, *, uid="1.2.3.4", z_mm=None, order=1, shear=0.0, row=(1, 0, 0), column=(0, 1, 0), skip=(), **tags
):
    """One file per slice, names in no order of space; ``shear`` mm of y per slice tilts the stack."""
    from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    folder.mkdir(exist_ok=True)
    z_mm = DZ * np.arange(len(hu)) if z_mm is None else z_mm
    names = np.random.default_rng(4).permutation(len(hu))
    for k, plane in enumerate(hu):
        if k in skip:
            continue
        meta = FileMetaDataset()
        meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[uid, str(k)])
        name = folder / f"{uid}_{names[k]:03d}.dcm"
        ds = FileDataset(str(name), Dataset(), file_meta=meta, preamble=b"\0" * 128)
        ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        ds.Modality, ds.SeriesInstanceUID, ds.StudyInstanceUID = "CT", uid, "1.2.3"
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.Rows, ds.Columns = plane.shape
        ds.PixelSpacing, ds.SliceThickness = [DXY, DXY], DZ
        ds.ImageOrientationPatient = [float(v) for v in (*row, *column)]
        ds.ImagePositionPatient = [-30.0, -20.0 + shear * k, float(order * z_mm[k])]
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
        ds.RescaleIntercept, ds.RescaleSlope = -1024, 1
        for key, value in tags.items():
            setattr(ds, key, value)
        ds.PixelData = (plane.astype(np.int32) + 1024).astype("<u2").tobytes()
        ds.save_as(name)
    return folder


def test_shuffled_files_come_in_the_order_of_space(tmp_path):
    hu = phantom()
    found = read_volume(write_series(tmp_path / "a", hu))
    np.testing.assert_array_equal(found.hu, hu)
    assert found.grid.spacing_mm == (DZ, DXY, DXY)
    assert found.grid.origin_mm == (-30.0, -20.0, 0.0)
    assert found.mended == {}
    down = read_volume(write_series(tmp_path / "b", hu[::-1], order=-1))  # feet last
    np.testing.assert_array_equal(down.hu, hu)
    assert down.grid.origin_mm == (-30.0, -20.0, -DZ * (N_Z - 1))
    turned = read_volume(write_series(tmp_path / "c", hu[:, ::-1, ::-1], row=(-1, 0, 0), column=(0, -1, 0)))
    np.testing.assert_array_equal(np.sort(turned.hu.ravel()), np.sort(hu.ravel()))
    np.testing.assert_array_equal(turned.hu, hu)


def test_the_header_says_who_and_at_what_voltage(tmp_path):
    folder = write_series(
        tmp_path / "a", phantom(), KVP=100, PatientSex="F", PatientAge="063Y", PatientSize=1.65, PatientWeight=68.0
    )
    volume = read_volume(folder)
    assert volume.header == {"kvp": 100.0, "sex": "female", "age_y": 63.0, "height_cm": 165.0, "bmi": 25.0}
    assert _who(Patient(age_y=64), volume) == Patient(sex="female", age_y=64, height_cm=165.0, bmi=25.0)
    odd = read_volume(write_series(tmp_path / "b", phantom(), PatientAge="005M", PatientSex="O", PatientSize=0.0))
    assert odd.header == {}


def test_one_missing_slice_is_interpolated_and_a_hole_is_refused(tmp_path):
    hu = phantom()
    found = read_volume(write_series(tmp_path / "a", hu, skip=(10,)))
    assert found.hu.shape == hu.shape
    np.testing.assert_allclose(found.hu[10], (hu[9].astype(float) + hu[11]) / 2, atol=0.5)
    np.testing.assert_array_equal(found.hu[11], hu[11])
    assert found.mended == {"uneven_slices_mm": [2.5, 5.0], "slices_interpolated": 1}
    with pytest.raises(ValueError, match=r"slices are missing between .*: 7\.50 mm apart, the others 2\.50 mm"):
        read_volume(write_series(tmp_path / "b", hu, skip=(10, 11)))


def test_slices_of_uneven_distance_are_put_on_an_even_lattice(tmp_path):
    ramp = np.full((N_Z, N_Y, N_X), -900, np.int16)
    z_mm = np.cumsum(np.tile([2.0, 3.0], N_Z // 2)) - 2.0
    ramp[:, 10:30, 10:30] = np.rint(10 * z_mm)[:, None, None]
    ramp[:, 5, 5] = 400
    found = read_volume(write_series(tmp_path / "a", ramp, z_mm=z_mm))
    z = found.grid.axes_mm()[0]
    np.testing.assert_allclose(found.hu[:, 20, 20], 10 * z, atol=0.6)


@pytest.mark.parametrize("degrees", [5.0, -12.0])
def test_a_tilted_gantry_is_set_upright(tmp_path, degrees):
    """Slices tilted about x, moved along z by the table: a rod along z stays a rod along z."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    n_z, n_y, n_x = 60, 40, 24
    column = np.array([0, c, s])
    i, j, k = np.meshgrid(np.arange(n_x), np.arange(n_y), np.arange(n_z), indexing="ij")
    world = np.array([-18.0, -30.0, 0.0])[:, None, None, None] + np.stack(
        [DXY * i, DXY * j * column[1], DXY * j * column[2] + DZ * k]
    )
    hu = np.where((world[0] ** 2 + world[1] ** 2) < 12**2, 200, -1000).transpose(2, 1, 0).astype(np.int16)
    folder = tmp_path / "a"
    write_series(folder, hu, row=(1, 0, 0), column=column)
    for file in folder.iterdir():
        ds = pydicom.dcmread(file)
        ds.ImagePositionPatient = [-18.0, -30.0, ds.ImagePositionPatient[2]]
        ds.save_as(file)
    with pytest.raises(ValueError, match=rf"axes are turned by {abs(degrees):.2f} degrees"):
        read_volume(folder)
    found = read_volume(folder, straighten=True)
    assert found.mended["tilt_deg"] == pytest.approx(abs(degrees), abs=0.01)
    z, y, x = found.grid.axes_mm()
    assert len(z) >= 40
    solid = found.hu > -400
    area = solid.sum(axis=(1, 2)) * found.grid.spacing_mm[1] * found.grid.spacing_mm[2]
    np.testing.assert_allclose(area, np.pi * 12**2, rtol=0.08)
    for axis, along in ((1, y), (2, x)):
        middle = (solid.sum(axis=3 - axis) * along).sum(axis=1) / solid.sum(axis=(1, 2))
        np.testing.assert_allclose(middle, 0.0, atol=0.5)


def test_two_series_must_be_told_apart(tmp_path):
    folder = write_series(tmp_path / "a", phantom(), SeriesDescription="lung 1.25")
    write_series(folder, phantom() + 5, uid="1.2.3.5", SeriesDescription="soft")
    write_series(folder, phantom()[:1], uid="1.2.3.6", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    with pytest.raises(
        ValueError, match=r"one DICOM series, found 2; name one of them: 1\.2\.3\.4 \(24 slices, lung 1\.25\)"
    ):
        read_volume(folder)
    found = read_volume(folder, series="1.2.3.5")
    np.testing.assert_array_equal(found.hu, phantom() + 5)
    assert found.mended == {"passed_over": {"scout image": 1}}
    with pytest.raises(ValueError, match=r"no CT series 9\.9; there are: 1\.2\.3\.4"):
        read_volume(folder, series="9.9")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hu": phantom()[:2, :36]}, "2 different sizes"),
        ({"column": (0, 0.99619, 0.08716)}, "2 different orientations"),
        ({"PixelSpacing": [1.0, 1.0]}, "2 different pixel sizes"),
        ({"hu": phantom()[3:5], "z_mm": np.array([7.5, 10.0])}, "lie twice at one place"),
    ],
)
def test_a_series_that_is_two_is_refused(tmp_path, change, message):
    folder = write_series(tmp_path / "a", phantom())
    extra = {"hu": phantom()[-2:], "z_mm": DZ * np.array([N_Z, N_Z + 1]), **change}
    write_series(tmp_path / "b", extra.pop("hu"), **extra)
    for n, file in enumerate((tmp_path / "b").iterdir()):
        file.rename(folder / f"other{n}.dcm")
    with pytest.raises(ValueError, match=message):
        read_volume(folder)


def test_what_is_no_ct_series_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="must hold one DICOM series, found none"):
        read_volume(tmp_path / "empty")
    with pytest.raises(ValueError, match="found only 24 x MR"):
        read_volume(write_series(tmp_path / "mr", phantom(), Modality="MR"))
    single = write_series(tmp_path / "one", phantom()[:1])
    with pytest.raises(ValueError, match="single slice"):
        read_volume(single)
