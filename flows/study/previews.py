"""The preview of a study: the same people and scans, few and coarse."""

from __future__ import annotations

from typing import Any

from ctsim import load_profile
from twins.specfile import SpecError

from .resolution import protocol_of
from .scans import ScanEntry
from .spec import Preview, StudySpec


def preview_of(study: StudySpec) -> StudySpec:
    """The preview that a study asks for: a study of its own, named ``NAME-preview``.

    Its people are the first ones of the whole study, in coarse voxels, with the same nodules.

    Raises
    ------
    SpecError
        If the study is a preview, or a scan asks for what its profile does not have.
    """
    small = study.preview
    if small is None:
        raise SpecError(f"{study.name}: has no preview: it is one already, or says 'preview: null'")
    most = small.twins
    return study.model_copy(
        update={
            "name": f"{study.name[:40]}-preview",
            "twin_spacing_mm": max(small.twin_spacing_mm, study.twin_spacing_mm),
            "sampling": small.sampling,
            "preview": None,
            "twins": tuple(
                twin.model_copy(update={"first": min(twin.count, most, twin.first or most)}) for twin in study.twins
            ),
            "scans": tuple(_scan(scan, small) for scan in study.scans),
        }
    )


def _scan(scan: ScanEntry, small: Preview) -> ScanEntry:
    image = protocol_of(scan, load_profile(scan.profile)).reconstruction
    thickness = max(image.slice_thickness_mm, small.slice_mm)
    changed: dict[str, Any] = {
        "sampling": None,
        "matrix": min(image.matrix, small.matrix),
        "slice_thickness_mm": thickness,
        "increment_mm": min(max(image.increment_mm, small.slice_mm), thickness),
    }
    return scan.model_copy(update=changed)
