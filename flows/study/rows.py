"""The plan table: one row per image with every factor, written as CSV, from which the same images are built again."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Self

from .cases import Case, Scan


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One image of the plan table.

    ``row_key`` is a digest of all that fixes the image; ``nodules`` are the ids of those that may be seen (a growing
    one may be too small yet at a visit).
    """

    image_id: str
    twin_id: str
    person: str
    visit: int | None
    day: float | None
    left_out: str
    kind: str
    sex: str | None
    age_y: float | None
    height_cm: float | None
    bmi: float | None
    smoking: str | None
    emphysema_percent: float | None
    n_nodules: int
    n_mimics: int
    nodules: str
    scan_id: str
    raw: str
    profile: str
    manufacturer: str
    protocol: str
    mode: str
    kvp: float
    mas_per_rotation: float
    tube_current: str
    pitch: float | None
    spectral_filter: str | None
    flying_focal_spot: str | None
    bowtie: str
    kernel: str
    iterative_strength: int
    fov_mm: float
    matrix: int
    slice_thickness_mm: float
    increment_mm: float
    exposure_group: str
    scan_key: int
    row_key: str
    estimated_s: float
    estimated_mb: float
    estimated_memory_mb: float

    @classmethod
    def of(
        cls,
        case: Case,
        scan: Scan,
        *,
        row_key: str,
        estimated_s: float,
        estimated_mb: float,
        estimated_memory_mb: float,
    ) -> Self:
        """The row of a scan of a case."""
        who, protocol, image = case.population or case.patient, scan.protocol, scan.protocol.reconstruction
        there = [nodule for nodule in case.nodules if nodule.id not in case.left_out]
        return cls(
            image_id=scan.image_id,
            twin_id=case.twin_id,
            person=case.person,
            visit=case.visit,
            day=case.day,
            left_out=" ".join(case.left_out),
            kind=case.kind,
            **{name: getattr(who, name) for name in ("sex", "age_y", "height_cm", "bmi", "smoking")},
            emphysema_percent=None if case.population is None else case.population.emphysema_percent,
            n_nodules=sum(not nodule.is_mimic for nodule in there),
            n_mimics=sum(nodule.is_mimic for nodule in there),
            nodules=" ".join(nodule.id for nodule in there),
            scan_id=scan.scan_id,
            raw=scan.raw,
            profile=scan.profile,
            manufacturer=scan.scanner.manufacturer,
            protocol=scan.protocol_name,
            tube_current=protocol.tube_current.style,
            **{
                name: getattr(protocol, name)
                for name in (
                    "mode",
                    "kvp",
                    "mas_per_rotation",
                    "pitch",
                    "spectral_filter",
                    "flying_focal_spot",
                    "bowtie",
                )
            },
            **{
                name: getattr(image, name)
                for name in (
                    "kernel",
                    "iterative_strength",
                    "fov_mm",
                    "matrix",
                    "slice_thickness_mm",
                    "increment_mm",
                )
            },
            exposure_group=scan.group,
            scan_key=scan.key,
            row_key=row_key,
            estimated_s=round(estimated_s, 1),
            estimated_mb=round(estimated_mb, 1),
            estimated_memory_mb=round(estimated_memory_mb, 1),
        )


COLUMNS = tuple(field.name for field in fields(PlanRow))

values_of = attrgetter(*COLUMNS)
"""The values of a row, in the order of the columns."""

ESTIMATES = ("estimated_s", "estimated_mb", "estimated_memory_mb")
"""Columns that may differ from plan to plan of the same study."""


def table(rows: Sequence[PlanRow], *, study: str, preview: bool) -> str:
    """The table as CSV text; every row names its study, so that any row can be built by itself."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, "study", "preview"])
    ends = [study, spelled(preview)]
    writer.writerows([*map(spelled, values_of(row)), *ends] for row in rows)
    return text.getvalue()


def spelled(value: Any) -> str:
    """A value as text: nothing for None, ``true`` and ``false``, nine significant digits."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.9g}" if isinstance(value, float) else str(value)
