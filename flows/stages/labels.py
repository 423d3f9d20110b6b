"""The outcomes of a case: one seeded draw per nodule from a published risk model."""

from __future__ import annotations

from typing import Any, cast

import labeling
from lesions import Truth
from twins import Twin

from ..store import Artefact, content_key
from ..study import Case
from .site import Held, Site

VERSION = 1


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
    spec = {"model": case.label_model, "hash": model.hash(), "impute": case.label_impute, "key": case.label_key}
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
            impute=cast("Any", case.label_impute),
        )
        labeling.save(outcomes, part)

    return site.store.make(key, path, write)
