"""The tables of a dataset: rows in a fixed order, numbers spelled in one way, so that equal facts give equal bytes."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import labeling
import lesions
from lesions import Nodule
from twins import Grid, Patient, Structure
from twins.files import replacing

from .stages import CaseRecord, ImageRecord
from .stages.following import growth_rows
from .store import Store, package_version
from .study import Case, Plan, Scan

OUTCOME_COLUMNS = {
    **{name: name for name in ("label", "probability", "probability_low", "probability_high", "logit")},
    **{name: name for name in ("visible_logit", "u")},
    **{f"label_{name}": name for name in ("mode", "threshold", "shift", "visible_only")},
    "label_model": "model_id",
    **{f"label_{name}": name for name in ("model_version", "model_hash")},
    **{f"label_{name}": name for name in ("imputed", "held", "extrapolated", "excluded", "unchecked")},
    "label_interval_basis": "interval_basis",
}
"""Columns of nodules.csv and the fields of :class:`labeling.Outcome` that they hold; empty for mimics."""


def write_table(path: str | os.PathLike[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as CSV (UTF-8, comma, LF). Columns: those of all rows, in order of first appearance."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([spelled(row.get(name)) for name in columns] for row in rows)


def read_table(path: str | os.PathLike[str]) -> list[dict[str, str]]:
    """Rows of a CSV file, all values as text; empty text where nothing is known."""
    with Path(path).open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def spelled(value: Any) -> str:
    """A value as text: nine significant digits, ``true``/``false``, nothing for None, blanks between items."""
    if value is None:
        return ""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating):
        return f"{float(value):.9g}"
    if isinstance(value, list | tuple):
        return " ".join(spelled(item) for item in value)
    return str(value)


def anatomy_rows() -> list[dict[str, Any]]:
    """Number and name of every structure that anatomy labels can hold."""
    return [{"value": int(structure), "name": structure.name} for structure in sorted(Structure)]


def manifest_rows(
    store: Store, plan: Plan, records: Sequence[CaseRecord], patients: Sequence[Patient], backend: str
) -> list[dict[str, Any]]:
    """One row per image: who, how, from what, and the digests of all files; sorted by image."""
    rows = []
    for case, record, patient in zip(plan.cases, records, patients, strict=True):
        outcomes = outcomes_of(store, record)
        there = [truth.nodule for truth in lesions.load(store.root / record.truth.path).nodules]
        participant = {
            "participant_label": labeling.participant_label(outcomes),
            "participant_probability": labeling.participant_probability(outcomes),
            "label_mode": case.label_mode,
        }
        for scan, image in zip(case.scans, record.images, strict=True):
            rows.append(_manifest_row(plan, case, record, patient, there, scan, image, backend) | participant)
    return sorted(rows, key=lambda row: str(row["image_id"]))


def nodule_rows(store: Store, plan: Plan, records: Sequence[CaseRecord]) -> list[dict[str, Any]]:
    """One row per image and nodule: the exact truth, the outcome, and where in the image it is; sorted.

    Mimics have rows too, with ``is_mimic``; they have no outcome, and their voxels are those of their own mask.
    """
    rows = []
    for case, record in zip(plan.cases, records, strict=True):
        truth = lesions.load(store.root / record.truth.path)
        outcomes = {outcome.nodule_id: outcome for outcome in outcomes_of(store, record)}
        growths = _growths(store, case, record)
        for image in record.images:
            grid = Grid.from_dict(image.image.facts["grid"])
            counts = {False: image.mask.facts["n_voxels"]}
            if image.mimics is not None:
                counts[True] = image.mimics.facts["n_voxels"]
            for i, nodule in enumerate(truth.nodules):
                outcome = None if nodule.is_mimic else outcomes[nodule.id]
                rows.append(
                    {
                        "image_id": image.image_id,
                        "twin_id": case.twin_id,
                        "nodule_id": nodule.id,
                        "lesion_id": f"{case.person}:{nodule.id}",
                        "lineage_id": case.person,
                        "visit": case.visit,
                        "day": case.day,
                        "mask_value": i + 1,
                        **_place(nodule.centre_mm, grid),
                        "n_voxels": counts[nodule.is_mimic][i],
                        "type": nodule.type,
                        "kind": nodule.kind,
                        "is_mimic": nodule.is_mimic,
                        **nodule.measures(),
                        **_outcome_columns(outcome),
                        **growths.get(nodule.id, {}),
                        **{
                            f"spec_{name}": value
                            for name, value in nodule.nodule.model_dump(mode="json").items()
                            if name not in {"id", "type", "centre_mm"}
                        },
                    }
                )
    return sorted(rows, key=lambda row: (str(row["image_id"]), int(row["mask_value"])))


def draw_rows(store: Store, plan: Plan, records: Sequence[CaseRecord]) -> list[dict[str, Any]]:
    """One row per lesion and set of drawn labels, in the order of the plan; none where one set is drawn."""
    rows: dict[tuple[str, str, int], dict[str, Any]] = {}
    for case, record in zip(plan.cases, records, strict=True):
        for outcome in outcomes_of(store, record):
            for draw, u in enumerate(outcome.draws if len(outcome.draws) > 1 else ()):
                label = labeling.expected_label(outcome.mode, outcome.probability, u, outcome.threshold)
                row = {"lineage_id": case.person, "nodule_id": outcome.nodule_id, "draw": draw, "u": u, "label": label}
                rows.setdefault((case.person, outcome.nodule_id, draw), row)
    return list(rows.values())


def outcomes_of(store: Store, record: CaseRecord) -> tuple[labeling.Outcome, ...]:
    """The outcomes of a case's nodules."""
    return labeling.load(store.root / record.outcomes.path)


def _growths(store: Store, case: Case, record: CaseRecord) -> dict[str, dict[str, Any]]:
    """True growth of each nodule of a visit, in columns."""
    if case.visit is None:
        return {}
    labels = {outcome.nodule_id: outcome.label for outcome in outcomes_of(store, record)}
    home = lesions.load(store.root / record.home[1].path)
    return {
        name: {f"growth_{field}": value for field, value in growth.model_dump(mode="json").items()}
        for name, growth in growth_rows(case, home, labels)
    }


def _outcome_columns(outcome: labeling.Outcome | None) -> dict[str, Any]:
    if outcome is None:
        return dict.fromkeys(OUTCOME_COLUMNS)
    return {
        **{column: getattr(outcome, field) for column, field in OUTCOME_COLUMNS.items()},
        **outcome.rules,
        **{f"p_{name}": p for name, p in sorted(outcome.by_model.items())},
        **{f"input_{name}": value for name, value in sorted(outcome.inputs.items())},
    }


def _place(centre_mm: tuple[float, float, float], grid: Grid) -> dict[str, Any]:
    index = grid.world_to_index(centre_mm)
    place: dict[str, Any] = {f"{axis}_lps_mm": float(v) for axis, v in zip("xyz", centre_mm, strict=True)}
    place |= {f"index_{axis}": float(v) for axis, v in zip("zyx", index, strict=True)}
    return place | {"in_image": bool(grid.contains(centre_mm))}


def _manifest_row(
    plan: Plan,
    case: Case,
    record: CaseRecord,
    patient: Patient,
    there: Sequence[Nodule],
    scan: Scan,
    image: ImageRecord,
    backend: str,
) -> dict[str, Any]:
    grid = Grid.from_dict(image.image.facts["grid"])
    protocol, part = scan.protocol, scan.protocol.reconstruction
    files = {
        "image": image.image,
        "mask": image.mask,
        "mimics": image.mimics,
        "anatomy": image.anatomy,
        "twin": record.twin,
        "truth": record.truth,
        "outcomes": record.outcomes,
        "original": record.original,
    }
    return {
        "image_id": image.image_id,
        "study": plan.study.name,
        "twin_id": case.twin_id,
        "lineage_id": case.person,
        "visit": case.visit,
        "day": case.day,
        "left_out": list(case.left_out),
        "kind": case.kind,
        **patient.model_dump(mode="json"),
        "n_nodules": sum(not nodule.is_mimic for nodule in there),
        "n_mimics": sum(nodule.is_mimic for nodule in there),
        "scan_id": scan.scan_id,
        "raw": scan.raw,
        "profile": scan.profile,
        "manufacturer": scan.scanner.manufacturer,
        "scanner": scan.scanner.model,
        "protocol": scan.protocol_name,
        "mode": protocol.mode,
        "kvp": protocol.kvp,
        "mas_per_rotation": protocol.mas_per_rotation,
        "mean_mas_per_rotation": image.image.facts["mean_mas_per_rotation"],
        "tube_current": protocol.tube_current.style,
        "rotation_s": protocol.rotation_s,
        "pitch": protocol.pitch,
        "collimation_rows": protocol.collimation_rows,
        "bowtie": protocol.bowtie,
        "spectral_filter": protocol.spectral_filter,
        "focal_spot": scan.scanner.focal_spot(protocol.focal_spot).name,
        "flying_focal_spot": protocol.flying_focal_spot,
        "water_diameter_mm": image.image.facts["water_diameter_mm"],
        **{name: image.image.facts[name] for name in ("ctdi_vol_mgy", "dlp_mgy_cm", "ssde_mgy", "dose_is_predicted")},
        "kernel": part.kernel,
        "iterative_strength": part.iterative_strength,
        "kernel_mtf50_per_mm": scan.kernel.mtf50_per_mm,
        "kernel_mtf10_per_mm": scan.kernel.mtf10_per_mm,
        "slice_thickness_mm": image.image.facts["slice_thickness_mm"],
        **{f"n_{axis}": n for axis, n in zip("zyx", grid.shape, strict=True)},
        **{f"spacing_{axis}_mm": s for axis, s in zip("zyx", grid.spacing_mm, strict=True)},
        **{f"origin_{axis}_lps_mm": o for axis, o in zip("xyz", grid.origin_mm, strict=True)},
        "mu_water_per_mm": image.image.facts["mu_water_per_mm"],
        "views_per_rotation": scan.sampling.views_per_rotation or scan.scanner.views_per_rotation,
        "column_binning": scan.sampling.column_binning,
        "row_binning": scan.sampling.row_binning,
        "rays_per_reading": scan.sampling.rays_per_reading,
        "row_parts": scan.sampling.row_parts,
        "column_parts": scan.sampling.column_parts,
        "scatter": scan.sampling.scatter,
        "n_readings": image.image.facts["n_readings"],
        "exposure_group": scan.group,
        "seed": plan.study.seed,
        "twin_key": None if case.population is None else case.population.key,
        "placement_key": case.placement_key,
        "scan_key": scan.key,
        "label_key": case.label_key,
        "label_model": case.label_model,
        "backend": backend,
        "device": image.image.facts.get("device"),
        "version": package_version(),
        **{f"{name}_file": None if artefact is None else artefact.path for name, artefact in files.items()},
        **{f"{name}_sha256": None if artefact is None else artefact.sha256 for name, artefact in files.items()},
        "image_content_key": image.image.key,
    }
