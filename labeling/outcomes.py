"""Outcomes: a label per nodule, drawn from a published model's probability with a number that is the nodule's own.

``label = malignant if u < p``, u uniform from Philox4x64 keyed by (key, hash of the nodule's id): adding, removing or
reordering nodules changes no other nodule's u, and the same u under another model or prevalence gives a comparable
label. Labels are draws from a model; they make no clinical claim.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from lesions import Truth
from twins import Patient
from twins.files import replacing

from .covariates import nodule_covariates
from .model import ModelSpec, Value, get

FORMAT = "lungtwin.outcomes/1"

HINTS = {
    "upper_lobe": "the twin knows only whole lungs: name the lobe in the nodule",
    "age_y": "set it in the twin's patient",
    "sex": "set it in the twin's patient",
    "family_history": "set it in the twin's patient",
    "emphysema": "set it in the twin's patient",
}


class Outcome(BaseModel):
    """What a nodule turned out to be, and all that led there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    nodule_id: str = Field(description="Nodule")
    model_id: str = Field(description="Risk model")
    model_hash: str = Field(description="sha256 of the model's content")
    inputs: dict[str, Value] = Field(description="Covariates that the model used, imputed ones included")
    imputed: tuple[str, ...] = Field(description="Covariates that were not known and set to the model's reference")
    extrapolated: tuple[str, ...] = Field(description="Covariates outside the range the model was developed on")
    logit: float = Field(description="Log odds of malignancy [1]")
    probability: float = Field(ge=0, le=1, description="Probability of malignancy [1]")
    draw: float = Field(ge=0, lt=1, description="Uniform number of this nodule [1]")
    label: Literal["malignant", "benign"] = Field(description="malignant where draw < probability")


def assign(
    truth: Truth,
    patient: Patient,
    *,
    model: str | ModelSpec = "brock-2b",
    key: int,
    impute: Literal["reference"] | None = None,
) -> tuple[Outcome, ...]:
    """Draw one outcome per nodule, independent given the covariates.

    Parameters
    ----------
    truth, patient
        Where the covariates come from.
    model
        Id of a model that comes with the package, or one of the user's.
    key
        Fixes the draws [64-bit integer].
    impute
        "reference": covariates that are not known take the model's reference value, and the outcome says which.

    Raises
    ------
    ValueError
        If the model needs what is not known and ``impute`` is None, or a value is outside what the model accepts.
    """
    if impute not in (None, "reference"):
        raise ValueError(f"impute must be None or 'reference', got {impute!r}")
    spec = get(model) if isinstance(model, str) else model
    return tuple(
        _outcome(nodule.id, nodule_covariates(nodule, truth, patient), spec, key, impute is not None)
        for nodule in truth.nodules
    )


def uniform(key: int, nodule_id: str) -> float:
    """The number in [0, 1) that decides a nodule's label, a function of key and id alone."""
    if not 0 <= key < 2**64:
        raise ValueError(f"key must be a 64-bit integer, 0 to 2^64 - 1, got {key}")
    word = int.from_bytes(blake2b(b"label:" + nodule_id.encode(), digest_size=8).digest(), "little")
    return float(np.random.Generator(np.random.Philox(key=np.array([key, word], dtype=np.uint64))).random())


def save(outcomes: Sequence[Outcome], path: str | os.PathLike[str]) -> None:
    """Write outcomes as JSON; the same outcomes give the same bytes."""
    data = {"format": FORMAT, "outcomes": [outcome.model_dump(mode="json") for outcome in outcomes]}
    with replacing(path) as part:
        part.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def load(path: str | os.PathLike[str]) -> tuple[Outcome, ...]:
    """Read what :func:`save` wrote.

    Raises
    ------
    ValueError
        If the file is not one of outcomes.
    """
    data = json.loads(Path(path).read_text(encoding="utf-8"))
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ValueError(f"{path}: not a file of outcomes (format {FORMAT!r})")
    return tuple(Outcome.model_validate(outcome) for outcome in data["outcomes"])


def _outcome(nodule_id: str, known: dict[str, Value | None], spec: ModelSpec, key: int, fill: bool) -> Outcome:
    missing = [c for c in spec.covariates if known[c.name] is None]
    if missing and not fill:
        details = "; ".join(f"{c.name} ({HINTS.get(c.name, c.meaning)})" for c in missing)
        raise ValueError(
            f"nodule {nodule_id!r}: model {spec.id!r} needs covariates that are not known: {details}. "
            "impute='reference' takes the model's reference values instead, and records it"
        )
    inputs: dict[str, Value] = {}
    for c in spec.covariates:
        value = known[c.name]
        inputs[c.name] = c.reference if value is None else value
    logit = float(spec.logit([inputs])[0])
    probability = float(spec.probability([inputs])[0])
    u = uniform(key, nodule_id)
    return Outcome(
        nodule_id=nodule_id,
        model_id=spec.id,
        model_hash=spec.hash(),
        inputs=inputs,
        imputed=tuple(c.name for c in missing),
        extrapolated=tuple(c.name for c in spec.covariates if c.is_extrapolated(inputs[c.name])),
        logit=logit,
        probability=probability,
        draw=u,
        label="malignant" if u < probability else "benign",
    )
