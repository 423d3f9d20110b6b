"""DICOM: for every image a CT series, a segmentation (SEG) and a report of measurements (SR, TID 1500).

One patient per twin, one study per twin, one frame of reference for all its scans; every object says that it is
simulated. UIDs follow from content (:mod:`flows.exports.uids`). No clock is read: where the standard asks for a date,
it is 2000-01-01, 00:00:00, and means nothing. An image without a nodule has neither SEG nor SR.
"""

from __future__ import annotations

from typing import Any

from ..tables import write_table
from .dicom_ct import DATE, TIME, ct_series
from .dicom_seg import segmentation
from .dicom_sr import report
from .job import Job
from .uids import make_uid

HIGHDICOM_ROOT = "1.2.826.0.1.3680043.10.511.3."
"""Prefix of the UIDs that highdicom draws at random; they are replaced by UIDs that follow from content."""


def write(job: Job) -> None:
    """Write ``<twin>/<scan>/CT/*.dcm``, ``seg.dcm``, ``sr.dcm`` and ``series.csv``."""
    rows = []
    numbers: dict[str, int] = {}
    for image in job.images():
        home = f"{image.row['twin_id']}/{image.row['scan_id']}"
        number = numbers[image.row["twin_id"]] = numbers.get(image.row["twin_id"], 0) + 1
        slices = ct_series(image, series_number=10 * number)
        folder = job.folder(f"{home}/CT")
        for ds in slices:
            ds.save_as(folder / f"{int(ds.InstanceNumber):04d}.dcm", enforce_file_format=True)
        row = {"image_id": image.id, "folder": home, "StudyInstanceUID": slices[0].StudyInstanceUID}
        row |= {"SeriesInstanceUID": slices[0].SeriesInstanceUID, "n_slices": len(slices)}
        if image.nodules(mimics=job.options.mimics):
            seg = segmentation(image, slices, mimics=job.options.mimics, series_number=10 * number + 1)
            settle(seg)
            seg.save_as(job.root / home / "seg.dcm", enforce_file_format=True)
            sr = report(image, slices, seg, mimics=job.options.mimics, series_number=10 * number + 2)
            settle(sr)
            sr.save_as(job.root / home / "sr.dcm", enforce_file_format=True)
            row |= {"seg_SOPInstanceUID": seg.SOPInstanceUID, "sr_SOPInstanceUID": sr.SOPInstanceUID}
        rows.append(row)
    write_table(job.root / "series.csv", rows)


def settle(ds: Any) -> None:
    """Replace every moment and every random UID that highdicom put in by one that follows from the object's UID."""
    known: dict[str, str] = {}
    fixed = {"DA": DATE, "TM": TIME, "DT": DATE + TIME}
    for element in ds.iterall():
        if element.VR in fixed and element.value:
            element.value = fixed[element.VR]
        elif element.VR == "UI" and str(element.value).startswith(HIGHDICOM_ROOT):
            uid = known.setdefault(str(element.value), make_uid("inner", str(ds.SOPInstanceUID), str(len(known))))
            element.value = uid
