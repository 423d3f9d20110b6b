"""The dataset card: how the labels were made, how far they can be learned, and what may be said of them.

``CARD.md`` for people, ``card.json`` for programs; both say the same, and are sealed with the dataset.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

import labeling
from twins.files import replacing

from .card_text import markdown
from .store import package_version
from .study import Plan

CARD = ("CARD.md", "card.json")
FORMAT = "lungtwin.dataset_card/1"

SIZES_MM = (0.0, 6.0, 8.0, 15.0, 30.0, float("inf"))
"""Classes of mean axial diameter [mm]: the limits of solid nodules in Lung-RADS v2022, and 30 mm."""

MAY_BE_SAID = {
    "bernoulli": "Labels are Bernoulli draws from {kind} risk model {title} ({citation}).",
    "threshold": "Labels say whether the probability by {kind} risk model {title} ({citation}) reaches "
    "{threshold:g}; they are a function of the covariates.",
    "soft": "Probabilities are those of {kind} risk model {title} ({citation}); no labels were drawn.",
}

MUST_NOT_BE_SAID = (
    "that labels come from patients, from pathology or from follow-up",
    "that labels are trained on, validated on or calibrated to the NLST or any other cohort",
    "that a result on these labels is clinical performance; nothing here is for use on patients",
)


def card_facts(plan: Plan, rows: Sequence[Mapping[str, Any]], draws: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What a dataset's card says, as plain data.

    Parameters
    ----------
    plan
        What was built.
    rows
        Rows of nodules.csv; a nodule counts once, however many images show it, and a mimic as no nodule.
    draws
        Rows of outcome_draws.csv.
    """
    study = plan.study
    model = labeling.get(study.label_model)
    # as it is at the first visit that shows it
    all_lesions = list({row["lesion_id"]: row for row in sorted(rows, key=lambda row: -(row["day"] or 0))}.values())
    lesions = [row for row in all_lesions if not row["is_mimic"]]
    said = MAY_BE_SAID[study.label_mode].format(
        kind="the published" if model.published else "an unpublished",
        title=model.title,
        citation=model.citation,
        threshold=study.label_threshold or 0.0,
    )
    return {
        "format": FORMAT,
        "dataset": study.name,
        "version": package_version(),
        "labels": {
            "model": model.id,
            "model_version": model.version,
            "model_hash": model.hash(),
            "title": model.title,
            "citation": model.citation,
            "population": model.population,
            "outcome": model.outcome,
            "horizon": model.horizon,
            "status": model.status,
            "mode": study.label_mode,
            "threshold": study.label_threshold,
            "n_draws": study.label_draws,
            "shift": study.label_shift,
            "visible_only": study.label_visible_only,
            "impute": study.label_impute,
            "seed": study.seed,
            "interval": next((row["label_interval_basis"] for row in lesions), None),
        },
        "counts": {
            "twins": plan.n_persons,
            "images": len(plan.rows),
            "nodules": len(lesions),
            "mimics": len(all_lesions) - len(lesions),
            **_totals(lesions, plan.n_persons),
            "by_size": _by_size(lesions),
            "by_type": _cross([str(row["type"]) for row in lesions], lesions),
            "imputed": _names(lesions, "label_imputed"),
            "held": _names(lesions, "label_held"),
            "extrapolated": _names(lesions, "label_extrapolated"),
            "unchecked": _names(lesions, "label_unchecked"),
            "excluded": sum(bool(row["label_excluded"]) for row in lesions),
        },
        "ceiling": _ceiling(lesions, study.label_mode),
        "redraws": _redraws(lesions, draws),
        "may_be_said": said,
        "must_not_be_said": list(MUST_NOT_BE_SAID),
    }


def write_card(facts: Mapping[str, Any], root: Path) -> None:
    """Write ``CARD.md`` and ``card.json`` into a dataset; the same facts give the same bytes."""
    for name, text in zip(CARD, (markdown(facts), json.dumps(facts, indent=1, allow_nan=False) + "\n"), strict=True):
        with replacing(root / name) as part:
            part.write_text(text, encoding="utf-8")


def _totals(lesions: Sequence[Mapping[str, Any]], n_twins: int) -> dict[str, Any]:
    labels = [row["label"] for row in lesions]
    drawn = bool(labels) and None not in labels
    malignant = labels.count("malignant") if drawn else None
    p = np.array([row["probability"] for row in lesions], dtype=np.float64)
    twins = [row["lineage_id"] for row in lesions]
    with_cancer = len({t for t, label in zip(twins, labels, strict=True) if label == "malignant"}) if drawn else None
    expected = float(labeling.any_malignant_probability(p, twins)[1].sum()) if lesions else 0.0
    return {
        "malignant": malignant,
        "expected": float(p.sum()),
        "mean_probability": float(p.mean()) if lesions else None,
        "prevalence": None if malignant is None else malignant / len(lesions),
        "twins_malignant": with_cancer,
        "twins_expected": expected,
        "twins_prevalence": None if with_cancer is None else with_cancer / n_twins,
    }


def _by_size(lesions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    names = []
    for low, high in pairwise(SIZES_MM):
        text = f"{low:g} to below {high:g} mm" if np.isfinite(high) else f"{low:g} mm and more"
        names.append(text if low else f"below {high:g} mm")
    kinds = np.searchsorted(SIZES_MM, [row["mean_diameter_mm"] for row in lesions], side="right") - 1
    return _cross([names[kind] for kind in kinds], lesions, names)


def _cross(
    classes: Sequence[str], lesions: Sequence[Mapping[str, Any]], order: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    rows = []
    for name in order or sorted(set(classes)):
        inside = [row for row, kind in zip(lesions, classes, strict=True) if kind == name]
        labels = Counter(row["label"] or "none" for row in inside)
        counts = {label: labels[label] for label in ("malignant", "benign", "none")}
        rows.append({"class": name, **counts, "expected": float(sum(row["probability"] for row in inside))})
    return rows


def _names(lesions: Sequence[Mapping[str, Any]], column: str) -> dict[str, int]:
    return dict(sorted(Counter(name for row in lesions for name in row[column]).items()))


def _ceiling(lesions: Sequence[Mapping[str, Any]], mode: str) -> dict[str, Any]:
    """The best AUCs on labels drawn from these probabilities; None with the reason where there is none."""
    if mode == "threshold":
        return {"reason": "labels are cut, not drawn: who knows the covariates reaches 1"}
    p = [row["probability"] for row in lesions]
    seen = [-np.inf if row["visible_logit"] is None else row["visible_logit"] for row in lesions]
    try:
        return {
            "all_covariates": labeling.expected_auc(p),
            "visible_only": labeling.expected_auc(p, seen),
            "size_only": labeling.expected_auc(p, [row["long_axis_mm"] for row in lesions]),
        }
    except ValueError as error:
        return {"reason": str(error)}


def _redraws(lesions: Sequence[Mapping[str, Any]], draws: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """How the AUC of the probability itself and the number of malignant nodules scatter over the sets of labels."""
    if not draws:
        return None
    p = {(row["lineage_id"], row["nodule_id"]): row["probability"] for row in lesions}
    sets: dict[int, list[tuple[float, bool]]] = {}
    for row in draws:
        if (row["lineage_id"], row["nodule_id"]) not in p:
            continue  # never seen: too small at every visit
        pair = (p[row["lineage_id"], row["nodule_id"]], row["label"] == "malignant")
        sets.setdefault(row["draw"], []).append(pair)
    counts = np.array([sum(y for _, y in pairs) for pairs in sets.values()])
    aucs = [
        labeling.expected_auc([float(y) for _, y in pairs], [p for p, _ in pairs])
        for pairs in sets.values()
        if 0 < sum(y for _, y in pairs) < len(pairs)
    ]
    return {
        "n": len(sets),
        "malignant_mean": float(counts.mean()),
        "malignant_sd": float(counts.std(ddof=1)),
        "n_with_auc": len(aucs),
        "auc_mean": float(np.mean(aucs)) if aucs else None,
        "auc_sd": float(np.std(aucs, ddof=1)) if len(aucs) > 1 else None,
    }
