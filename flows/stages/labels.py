"""The outcomes of a case: one seeded draw per nodule from a published risk model."""

from __future__ import annotations

from typing import Any

import labeling
from lesions import Truth
from twins import Twin

from ..store import Artefact, content_key
from ..study import Case
from .site import Held, Site

VERSION = 2


def assign_labels(
    site: Site, case: Case, twin_file: Artefact, truth_file: Artefact, truth: Held[Truth], twin: Held[Twin]
) -> Artefact:
    """The file ``outcomes/TWIN.json``.

    Raises
    ------
    ValueError
        If the model needs what is not known about the patient or the nodules, and the study does not say to impute.
    """
    path = f"outcomes/{case.twin_id}.json"
    model = labeling.get(case.label_model)
    options: dict[str, Any] = {
        "mode": case.label_mode,
        "threshold": case.label_threshold,
        "n_draws": case.label_draws,
        "shift": case.label_shift,
        "visible_only": case.label_visible_only,
        "impute": case.label_impute,
    }
    spec = {"model": case.label_model, "hash": model.hash(), "key": case.label_key, **options}
    key = content_key(
        "labels",
        VERSION,
        path=path,
        spec=spec,
        inputs={"twin": twin_file.sha256, "truth": truth_file.sha256},
        backend="cpu",
        rooms=("twins", "lesions", "labeling"),
    )

    def write(part: Any) -> None:
        outcomes = labeling.assign(
            truth.get(),
            twin.get().patient,
            model=model,
            key=case.label_key,
            **options,
        )
        labeling.save(outcomes, part)

    return site.store.make(key, path, write)
