"""The instance mask of an image as DICOM Segmentation (PS3.3 A.51): binary, one segment per nodule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..store import package_version
from .dicom_ct import MANUFACTURER
from .source import SourceImage, SourceNodule
from .uids import make_uid, series_uid, study_uid

SITES = {
    "RIGHT_UPPER_LOBE": ("45653009", "Upper lobe of lung", "right"),
    "RIGHT_MIDDLE_LOBE": ("72481006", "Middle lobe of right lung", "right"),
    "RIGHT_LOWER_LOBE": ("90572001", "Lower lobe of lung", "right"),
    "LEFT_UPPER_LOBE": ("45653009", "Upper lobe of lung", "left"),
    "LEFT_LOWER_LOBE": ("90572001", "Lower lobe of lung", "left"),
    "RIGHT_LUNG": ("39607008", "Lung", "right"),
    "LEFT_LUNG": ("39607008", "Lung", "left"),
}
"""SNOMED CT code, name and side of where a nodule is."""


def segmentation(image: SourceImage, slices: Sequence[Any], *, mimics: bool, series_number: int) -> Any:
    """The SEG object of an image's nodules; needs at least one.

    Parameters
    ----------
    image
        The image.
    slices
        Its CT series, in any order.
    mimics
        Whether hard negatives are segments too.
    series_number
        Number of the series within the study.
    """
    import highdicom as hd
    from highdicom.color import CIELabColor

    nodules = image.nodules(mimics=mimics)
    segment_of = np.zeros(256, np.uint8)
    for number, nodule in enumerate(nodules, start=1):
        segment_of[nodule.mask_value] = number
    labels = segment_of[image.instances(mimics=mimics)]
    low = image.grid().origin_mm[2]
    step = image.grid().spacing_mm[0]
    order = [round((float(ds.ImagePositionPatient[2]) - low) / step) for ds in slices]
    uid = series_uid(image.source, image)
    identity = [image.row["mask_sha256"], "mimics" if mimics else "nodules"]
    return hd.seg.Segmentation(
        source_images=list(slices),
        pixel_array=labels[order],
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            hd.seg.SegmentDescription(
                segment_number=number,
                segment_label=nodule.id,
                segmented_property_category=code("49755003", "SCT", "Morphologically Abnormal Structure"),
                segmented_property_type=finding(nodule),
                algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
                algorithm_identification=hd.AlgorithmIdentificationSequence(
                    name="lungtwin exact truth",
                    version=package_version(),
                    family=code("simulation", "99LUNGTWIN", "Simulation"),
                ),
                tracking_uid=tracking_uid(image, nodule),
                tracking_id=f"{image.row['twin_id']}/{nodule.id}",
                anatomic_regions=[site(nodule)],
                display_color=CIELabColor(60.0, 60.0, 40.0),
            )
            for number, nodule in enumerate(nodules, start=1)
        ],
        series_instance_uid=make_uid("seg series", uid, *identity),
        series_number=series_number,
        sop_instance_uid=make_uid("seg", uid, *identity),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name="lungtwin",
        software_versions=f"lungtwin {package_version()}"[:64],
        device_serial_number="none",
        content_description="Exact masks of simulated nodules",
        content_label="NODULES",
        content_creator_name="lungtwin^",
        series_description="Simulated nodules, exact masks",
    )


def code(value: str, scheme: str, meaning: str) -> Any:
    """A coded concept."""
    from highdicom.sr import CodedConcept

    return CodedConcept(value, scheme, meaning)


def finding(nodule: SourceNodule) -> Any:
    """What a segment shows: a nodule, or for a hard negative just a lesion."""
    if nodule.name_of_class == "nodule":
        return code("27925004", "SCT", "Nodule")
    return code("52988006", "SCT", "Lesion")


def site(nodule: SourceNodule) -> Any:
    """Where it is: the lobe where known, else lung; the side is said in the report."""
    value, meaning, _ = SITES.get(nodule.row.get("lobe", ""), ("39607008", "Lung", ""))
    return code(value, "SCT", meaning)


def laterality(nodule: SourceNodule) -> Any:
    """Right or left; None where not known."""
    side = SITES.get(nodule.row.get("lobe", ""), ("", "", ""))[2]
    return {"right": code("24028007", "SCT", "Right"), "left": code("7771000", "SCT", "Left")}.get(side)


def tracking_uid(image: SourceImage, nodule: SourceNodule) -> str:
    """The same for a nodule in all scans of its twin."""
    return make_uid("nodule", study_uid(image.source, image), nodule.id)
