"""The nodules of a case: placed in its twin, inserted as insets, with the truth about them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import lesions
from lesions import Truth
from twins import Twin

from ..store import Artefact, content_key
from ..study import Case
from .site import Held, Site

VERSION = 1


def grow_nodules(
    site: Site, case: Case, twin_file: Artefact, twin: Held[Twin]
) -> tuple[Artefact, Held[Truth], Held[Twin]]:
    """The truth file ``truth/TWIN.h5``, the truth, and the twin with its nodules (both made only if asked for).

    Raises
    ------
    ValueError
        If a nodule finds no place (:class:`lesions.PlacementError`) or two of them overlap.
    """
    path = f"truth/{case.twin_id}.h5"
    truth: Held[Truth] = Held(lambda: lesions.load(site.store.root / path))
    affected: Held[Twin] = Held(lambda: lesions.insert(twin.get(), tuple(n.nodule for n in truth.get().nodules))[0])
    key = content_key(
        "nodules",
        VERSION,
        path=path,
        spec={"nodules": [n.model_dump(mode="json") for n in case.nodules], "placement_key": case.placement_key},
        inputs={"twin": twin_file.sha256},
        backend="cpu",
        rooms=("twins", "lesions"),
    )

    def write(part: Path) -> None:
        rng = np.random.Generator(np.random.Philox(key=case.placement_key))
        placed = lesions.place(twin.get(), case.nodules, rng=rng)
        changed, known = lesions.insert(twin.get(), placed)
        lesions.save(known, part)
        truth.set(known)
        affected.set(changed)

    with site.meter.part(f"{case.twin_id}: nodules", 0.2 * case.twin_s):
        return site.store.make(key, path, write), truth, affected
