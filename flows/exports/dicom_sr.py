"""Measurements of an image's nodules as a structured report: TID 1500 in a Comprehensive 3D SR (PS3.16, PS3.3 A.35.13).

All values are exact truth, not measured on the image: volume, diameters and mean attenuation of the nodule as it was
put into the twin, and the probability of cancer that the study's risk model gives it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..store import package_version
from .dicom_ct import MANUFACTURER
from .dicom_seg import code, finding, laterality, site, tracking_uid
from .source import SourceImage, SourceNodule
from .uids import make_uid, series_uid

MEASURES = (
    ("volume_mm3", ("118565006", "SCT", "Volume"), ("mm3", "UCUM", "cubic millimeter")),
    ("long_axis_mm", ("103339001", "SCT", "Long Axis"), ("mm", "UCUM", "millimeter")),
    ("short_axis_mm", ("103340004", "SCT", "Short Axis"), ("mm", "UCUM", "millimeter")),
    ("mean_hu", ("112031", "DCM", "Attenuation Coefficient"), ("[hnsf'U]", "UCUM", "Hounsfield unit")),
)
"""Column of nodules.csv, what it is, and its unit."""


def report(image: SourceImage, slices: Sequence[Any], seg: Any, *, mimics: bool, series_number: int) -> Any:
    """The SR object of an image's nodules.

    Parameters
    ----------
    image
        The image.
    slices
        Its CT series.
    seg
        Its segmentation, to which the measurements refer.
    mimics
        Whether hard negatives are measured too; as in ``seg``.
    series_number
        Number of the series within the study.
    """
    import highdicom as hd
    from highdicom import sr

    device = sr.ObserverContext(
        observer_type=code("121007", "DCM", "Device"),
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=make_uid("device"), name="lungtwin", manufacturer_name=MANUFACTURER, model_name="lungtwin"
        ),
    )
    groups = [_group(image, nodule, number, seg) for number, nodule in enumerate(image.nodules(mimics=mimics), start=1)]
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=device),
        procedure_reported=code("363679005", "SCT", "Imaging procedure"),
        imaging_measurements=groups,
        title=code("126000", "DCM", "Imaging Measurement Report"),
    )
    uid = series_uid(image.source, image)
    identity = [str(seg.SOPInstanceUID), image.source.seal_sha256]
    document = hd.sr.Comprehensive3DSR(
        evidence=[*slices, seg],
        content=content[0],
        series_instance_uid=make_uid("sr series", uid, *identity),
        series_number=series_number,
        sop_instance_uid=make_uid("sr", uid, *identity),
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        is_final=True,
        is_verified=False,
        series_description="Simulated nodules, exact measures",
    )
    document.ManufacturerModelName = "lungtwin"
    document.SoftwareVersions = f"lungtwin {package_version()}"[:64]
    return document


def _group(image: SourceImage, nodule: SourceNodule, number: int, seg: Any) -> Any:
    from highdicom import sr

    measurements = [
        sr.Measurement(
            name=code(*name),
            value=float(f"{nodule.number(column):.7g}"),
            unit=code(*unit),
            derivation=code("373098007", "SCT", "Mean") if column == "mean_hu" else None,
        )
        for column, name, unit in MEASURES
        if nodule.row.get(column)
    ]
    if nodule.row.get("probability"):
        percent = float(f"{100 * nodule.number('probability'):.7g}")
        name, unit = code("111047", "DCM", "Probability of cancer"), code("%", "UCUM", "percent")
        measurements.append(sr.Measurement(name=name, value=percent, unit=unit))
    evaluations = [
        sr.QualitativeEvaluation(
            code(f"{what}", "99LUNGTWIN", meaning), code(value, "99LUNGTWIN", value.replace("_", " "))
        )
        for what, meaning, value in (
            ("type", "Attenuation type", nodule.row["type"]),
            ("kind", "Class of lesion", nodule.kind),
            ("label", "Drawn outcome", nodule.row["label"]),
        )
        if value
    ]
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=tracking_uid(image, nodule), identifier=f"{image.row['twin_id']}/{nodule.id}"
        ),
        referenced_segment=sr.ReferencedSegment(
            sop_class_uid=str(seg.SOPClassUID),
            sop_instance_uid=str(seg.SOPInstanceUID),
            segment_number=number,
            source_series=sr.SourceSeriesForSegmentation(series_uid(image.source, image)),
        ),
        finding_type=finding(nodule),
        finding_sites=[sr.FindingSite(anatomic_location=site(nodule), laterality=laterality(nodule))],
        measurements=measurements,
        qualitative_evaluations=evaluations,
    )
