"""Nodules at a visit: each where it lay at the first one, carried along by the breath, grown by its law.

Places and labels are those of the first visit, where every nodule is as its spec says. A growth that nobody gave is
drawn by the label (:func:`lesions.growth.draw_growth`), so that what a series shows and what it is labelled agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from lesions import Nodule, Truth
from lesions.clearance import Clearance
from lesions.growth import Growth, draw_growth, follow, largest
from lesions.shape import shape_of
from lesions.sizing import sized
from twins import LOBES, Structure, Twin
from twins.pose import carried

from ..study import Case

LARGEST_DRAWN_MM = 30.0
"""A drawn growth that makes a nodule larger than this within the visits is drawn again: it would have been found and
treated (design default)."""

N_TRIES = 200

SEARCH_MM = 15.0
"""How far from where the breath carries it a nodule may be moved to have room [mm] (design default)."""


def growth_of(case: Case, nodule: Nodule, asked: Growth | None, *, malignant: bool) -> Growth:
    """How a nodule of a case grows: as asked, else drawn by its label; hard negatives stay as they are."""
    if asked is not None:
        return asked
    if nodule.is_mimic:
        return Growth(model="stable")
    rng = np.random.Generator(np.random.Philox(key=np.array([case.growth_key, nodule.key], dtype=np.uint64)))
    for _ in range(N_TRIES):
        growth = draw_growth(rng, nodule, malignant=malignant)
        volumes = [growth.volume_mm3(nodule.target_volume_mm3, day) for day in case.days]
        if max(volumes) <= max(nodule.target_volume_mm3, np.pi / 6 * LARGEST_DRAWN_MM**3):
            return growth
    return Growth(model="stable")


def at_their_largest(case: Case) -> tuple[Nodule, ...]:
    """The nodules to find places for: at the largest that they may become, so that each has room at every visit.

    One that is attached to something is placed as its spec says, and grows away from there.
    """
    found = []
    for nodule, asked in zip(case.nodules, case.growths, strict=True):
        if nodule.attributes.attachment != "none":
            found.append(nodule)
            continue
        stages = [nodule]
        for malignant in (True, False):
            visits = follow(nodule, growth_of(case, nodule, asked, malignant=malignant), case.days)
            stages += [largest(visits)] if any(visit.nodule is not None for visit in visits) else []
        found.append(max(stages, key=lambda stage: stage.target_volume_mm3))
    return tuple(found)


def at_visit(case: Case, home: Truth, labels: Mapping[str, str | None], twin: Twin) -> tuple[Nodule, ...]:
    """The nodules of a case that are there at its visit, with their places in ``twin``.

    Parameters
    ----------
    case
        The case.
    home
        The truth of :attr:`flows.study.Case.home`.
    labels
        Label by nodule.
    twin
        The person at the visit.

    Raises
    ------
    ValueError
        If a nodule outgrows what can be described.
    """
    assert case.day is not None
    places = _places(case, home)
    where: Clearance | None = None
    found = []
    for truth, asked, place in zip(home.nodules, case.growths, places, strict=True):
        growth = growth_of(case, truth.nodule, asked, malignant=labels.get(truth.id) == "malignant")
        (visit,) = follow(truth.nodule, growth, [case.day])
        if visit.nodule is None:
            continue
        nodule = visit.nodule
        if case.at_first is not None:
            where = where or Clearance(twin)
            place = _with_room(where, nodule, truth.lobe, place)
        found.append(nodule.at((float(place[0]), float(place[1]), float(place[2]))))
    return tuple(found)


def growth_rows(case: Case, home: Truth, labels: Mapping[str, str | None]) -> Iterator[tuple[str, Growth]]:
    """Nodule and how it grows, for the tables."""
    for truth, asked in zip(home.nodules, case.growths, strict=True):
        yield truth.id, growth_of(case, truth.nodule, asked, malignant=labels.get(truth.id) == "malignant")


def _places(case: Case, home: Truth) -> NDArray[np.float64]:
    """Where the breath of the visit carries the places of the first one, ``(n, 3)``."""
    places = np.array([truth.nodule.centre_mm for truth in home.nodules], dtype=np.float64).reshape(-1, 3)
    if case.at_first is None or case.population is None or not len(places):
        return places
    lobes = np.array([LOBES.index(Structure[str(truth.lobe)]) for truth in home.nodules])
    return carried(places, lobes, case.at_first, case.population)


def _with_room(where: Clearance, nodule: Nodule, lobe: str | None, place: NDArray[np.float64]) -> NDArray[np.float64]:
    """The place, or the nearest one in the same lobe with room, where the map of the lobe leaves too little."""
    free = nodule.attributes.attachment == "none"
    need = shape_of(sized(nodule)).reach_mm() if free else 0.5 * float(min(where.grid.spacing_mm))
    allowed = (where.structure == Structure[str(lobe)]) & (where.pleura_mm() >= need)
    if free:
        allowed &= where.lobe_edge_mm() >= need
    index = tuple(np.rint(where.grid.world_to_index(place)).astype(int))
    inside = all(0 <= i < n for i, n in zip(index, where.grid.shape, strict=True))
    if inside and allowed[index]:
        return place
    points = where.grid.index_to_world(np.argwhere(allowed)).reshape(-1, 3)
    away = np.linalg.norm(points - place, axis=1)
    if not len(points) or away.min() > SEARCH_MM:
        raise ValueError(
            f"nodule {nodule.id!r}: no place with {need:.1f} mm to the pleura within {SEARCH_MM:g} mm of where the "
            f"breath carries it, {tuple(round(float(v), 1) for v in place)} mm"
        )
    return np.asarray(points[int(away.argmin())])
