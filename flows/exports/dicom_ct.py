"""The CT series of an image: one CT Image Storage object per slice (DICOM PS3.3 A.3), HU stored as they are."""

from __future__ import annotations

from typing import Any

import numpy as np

from twins import Grid

from ..store import package_version
from .source import SourceImage
from .uids import make_uid, series_uid, study_uid

DATE, TIME = "20000101", "000000"
"""Of everything that must have a date; no clock is read."""

MANUFACTURER = "lungtwin (simulated)"

WINDOWS = ((-600, 1600, "LUNG"), (40, 400, "MEDIASTINUM"))
"""Centre, width [HU] and name of the windows offered to viewers."""

SMOKES = {"current": "YES", "former": "NO", "never": "NO"}


def ct_series(image: SourceImage, *, series_number: int) -> list[Any]:
    """The slices of an image, head first, as pydicom datasets that are ready to be written.

    Parameters
    ----------
    image
        The image; its lattice must be that of a reconstruction (index axes along +x, +y, +z).
    series_number
        Number of the series within the study.

    Raises
    ------
    ValueError
        If the lattice is turned.
    """
    hu, grid = image.hu()
    if not grid.is_axis_aligned:
        raise ValueError(f"{image.id}: DICOM export needs an axis-aligned image, direction is {grid.direction}")
    n = grid.shape[0]
    return [_slice(image, hu[n - 1 - i], grid, n - 1 - i, i + 1, series_number) for i in range(n)]


def _slice(image: SourceImage, hu: np.ndarray, grid: Grid, k: int, number: int, series_number: int) -> Any:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

    series = series_uid(image.source, image)
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = UID(make_uid("slice", series, str(k)))
    ds.file_meta.ImplementationClassUID = UID(make_uid("implementation"))
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
    ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID
    _person(ds, image)
    _place_in_study(ds, image, series, series_number)
    _acquisition(ds, image, grid)
    ds.InstanceNumber = number
    _plane_and_pixels(ds, image, hu, grid, k)
    return ds


def _person(ds: Any, image: SourceImage) -> None:
    row = image.row
    ds.PatientName = f"{row['twin_id']}^SIMULATED"
    ds.PatientID = f"{row['study']}-{row['twin_id']}"[:64]
    ds.PatientBirthDate = ""
    ds.PatientSex = {"female": "F", "male": "M"}.get(row["sex"], "O")
    ds.PatientIdentityRemoved = "YES"
    ds.DeidentificationMethod = "Simulated: no person was scanned"
    if row.get("age_y"):
        ds.PatientAge = f"{int(float(row['age_y'])):03d}Y"
    if row.get("height_cm"):
        height_m = float(row["height_cm"]) / 100
        ds.PatientSize = _ds(height_m)
        if row.get("bmi"):
            ds.PatientWeight = _ds(round(float(row["bmi"]) * height_m**2, 2))
    if row.get("smoking") in SMOKES:
        ds.SmokingStatus = SMOKES[row["smoking"]]


def _place_in_study(ds: Any, image: SourceImage, series: str, series_number: int) -> None:
    row = image.row
    ds.StudyInstanceUID = study_uid(image.source, image)
    ds.StudyDate, ds.StudyTime, ds.StudyID, ds.AccessionNumber = DATE, TIME, row["twin_id"][:16], ""
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = f"Simulated chest CT, dataset {row['study']}"[:64]
    ds.Modality, ds.SeriesInstanceUID, ds.SeriesNumber = "CT", series, series_number
    ds.SeriesDescription = f"Simulated {row['protocol']} {row['kernel']} {row['slice_thickness_mm']} mm"[:64]
    ds.ProtocolName = row["protocol"][:64]
    ds.BodyPartExamined, ds.PatientPosition = "CHEST", "HFS"
    ds.FrameOfReferenceUID = make_uid("frame", str(ds.StudyInstanceUID))
    ds.PositionReferenceIndicator = ""
    ds.Manufacturer = MANUFACTURER
    ds.ManufacturerModelName = f"{row['manufacturer']} {row['scanner']} (simulated)"[:64]
    ds.SoftwareVersions = f"lungtwin {package_version()}"[:64]
    ds.ImageComments = "Simulated image of a computational phantom; not for use on patients"


def _acquisition(ds: Any, image: SourceImage, grid: Grid) -> None:
    from pydicom.sr.codedict import codes

    row = image.row
    ds.ScanOptions = "HELICAL" if row["mode"] == "helical" else "AXIAL"
    ds.KVP = _ds(float(row["kvp"]))
    ds.AcquisitionNumber = 1
    rotation_s, mas = float(row["rotation_s"]), float(row["mean_mas_per_rotation"] or row["mas_per_rotation"])
    ds.ExposureTime = round(1000 * rotation_s)
    ds.XRayTubeCurrent = round(mas / rotation_s)
    ds.Exposure = round(mas)
    ds.GantryDetectorTilt = _ds(0.0)
    ds.ConvolutionKernel = row["kernel"][:16]
    ds.DataCollectionDiameter = ds.ReconstructionDiameter = _ds(grid.shape[2] * grid.spacing_mm[2])
    ds.RevolutionTime = rotation_s
    if row.get("pitch") and row["mode"] == "helical":
        ds.SpiralPitchFactor = float(row["pitch"])
    if row.get("ctdi_vol_mgy"):
        phantom = codes.DCM.IECBodyDosimetryPhantom
        ds.CTDIvol = float(row["ctdi_vol_mgy"])
        ds.CTDIPhantomTypeCodeSequence = [_code(phantom.value, phantom.scheme_designator, phantom.meaning)]


def _plane_and_pixels(ds: Any, image: SourceImage, hu: np.ndarray, grid: Grid, k: int) -> None:
    position = grid.index_to_world((k, 0, 0))
    ds.ImagePositionPatient = [_ds(float(c)) for c in position]
    ds.ImageOrientationPatient = [_ds(v) for v in (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)]
    ds.PixelSpacing = [_ds(grid.spacing_mm[1]), _ds(grid.spacing_mm[2])]
    ds.SliceThickness = _ds(float(image.row["slice_thickness_mm"]))
    ds.SliceLocation = _ds(float(position[2]))
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = hu.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = _ds(0.0), _ds(1.0), "HU"
    ds.WindowCenter = [_ds(float(centre)) for centre, _, _ in WINDOWS]
    ds.WindowWidth = [_ds(float(width)) for _, width, _ in WINDOWS]
    ds.WindowCenterWidthExplanation = [name for _, _, name in WINDOWS]
    ds.LossyImageCompression = "00"
    ds.BurnedInAnnotation = "NO"
    ds.PixelData = np.ascontiguousarray(hu, dtype="<i2").tobytes()


def _ds(value: float) -> Any:
    """A decimal string of at most 16 characters, as exact as those allow."""
    from pydicom.valuerep import DSfloat

    return DSfloat(value, auto_format=True)


def _code(value: str, scheme: str, meaning: str) -> Any:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item
