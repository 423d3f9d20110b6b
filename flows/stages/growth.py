"""The nodules of a case: placed in its twin, inserted as insets, with the truth about them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

import labeling
import lesions
from lesions import Nodule, Truth
from twins import Twin

from ..store import Artefact, content_key
from ..study import Case
from .following import at_their_largest, at_visit
from .site import Held, Site

VERSION = 1


def grow_nodules(
    site: Site, case: Case, twin_file: Artefact, twin: Held[Twin]
) -> tuple[Artefact, Held[Truth], Held[Twin]]:
    """The truth file ``truth/TWIN.h5``, the truth, and the twin with its nodules (both made only if asked for).

    Those that a case leaves out are placed like the others, and not inserted.

    Raises
    ------
    ValueError
        If a nodule finds no place (:class:`lesions.PlacementError`) or two of them overlap.
    """
    spec = {
        "nodules": [n.model_dump(mode="json") for n in case.nodules],
        "placement_key": case.placement_key,
        "left_out": list(case.left_out),
        "growths": [growth and growth.model_dump(mode="json") for growth in case.growths] if case.days else [],
        "growth_key": case.growth_key if case.days else None,
        "days": list(case.days),
    }

    def nodules() -> tuple[Nodule, ...]:
        rng = np.random.Generator(np.random.Philox(key=case.placement_key))
        where = site.ground.of(twin_file, twin)
        if not case.days:
            placed = lesions.place(where.twin, case.nodules, rng=rng, clearance=where)
            return tuple(nodule for nodule in placed if nodule.id not in case.left_out)
        roomy = lesions.place(where.twin, at_their_largest(case), rng=rng, clearance=where)
        places = [nodule.centre_mm for nodule in roomy]
        return tuple(own.at(place) for own, place in zip(case.nodules, places, strict=True) if place is not None)

    made = _inserted(site, case, spec, {"twin": twin_file.sha256}, twin, nodules)
    if not case.base_comes_again:
        site.ground.leave()
    return made


def follow_nodules(
    site: Site,
    case: Case,
    twin_file: Artefact,
    twin: Held[Twin],
    home_file: Artefact,
    home: Held[Truth],
    outcomes: Artefact,
) -> tuple[Artefact, Held[Truth], Held[Twin]]:
    """The same for a visit: what has become of the nodules of ``home``, the truth at the first one.

    Raises
    ------
    ValueError
        If a nodule outgrows what can be described, or has no room where the breath carries it.
    """
    spec = {
        "growths": [growth and growth.model_dump(mode="json") for growth in case.growths],
        "growth_key": case.growth_key,
        "days": list(case.days),
        "visit": case.visit,
        "at_first": case.at_first and case.at_first.model_dump(mode="json"),
    }
    inputs = {"twin": twin_file.sha256, "home": home_file.sha256, "outcomes": outcomes.sha256}

    def nodules() -> tuple[Nodule, ...]:
        labels = {o.nodule_id: o.label for o in labeling.load(site.store.root / outcomes.path)}
        return at_visit(case, home.get(), labels, twin.get())

    return _inserted(site, case, spec, inputs, twin, nodules)


def _inserted(
    site: Site,
    case: Case,
    spec: dict[str, object],
    inputs: dict[str, str],
    twin: Held[Twin],
    nodules: Callable[[], tuple[Nodule, ...]],
) -> tuple[Artefact, Held[Truth], Held[Twin]]:
    path = f"truth/{case.twin_id}.h5"
    truth: Held[Truth] = Held(lambda: lesions.load(site.store.root / path))
    affected: Held[Twin] = Held(lambda: lesions.insert(twin.get(), tuple(n.nodule for n in truth.get().nodules))[0])
    key = content_key(
        "nodules", VERSION, path=path, spec=spec, inputs=inputs, backend="cpu", rooms=("twins", "lesions")
    )

    def write(part: Path) -> None:
        changed, known = lesions.insert(twin.get(), nodules())
        lesions.save(known, part)
        truth.set(known)
        affected.set(changed)

    with site.meter.part(f"{case.twin_id}: nodules", 0.2 * case.twin_s):
        return site.store.make(key, path, write), truth, affected
