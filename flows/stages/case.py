"""One case from end to end. Nothing here computes; everything here wires."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..store import Artefact
from ..study import Case
from .growth import follow_nodules, grow_nodules
from .imaging import ImageRecord, make_images
from .labels import assign_labels
from .site import Site
from .twin import keep_original, make_twin


@dataclass(frozen=True, slots=True)
class CaseRecord:
    """The files of one case; ``home`` are those of the person at the first visit, where there are visits."""

    twin_id: str
    twin: Artefact
    original: Artefact | None
    truth: Artefact
    outcomes: Artefact
    images: tuple[ImageRecord, ...]
    home: tuple[Artefact, ...] = ()

    def artefacts(self) -> Iterator[Artefact]:
        """All its files."""
        yield from (self.twin, self.truth, self.outcomes, *self.home)
        if self.original is not None:
            yield self.original
        for image in self.images:
            yield from (image.image, image.mask)
            yield from (kept for kept in (image.mimics, image.anatomy) if kept is not None)


def build_case(site: Site, case: Case) -> CaseRecord:
    """Twin, nodules, labels, images, in this order; what the store has is not made again.

    Labels come before the images: what a risk model refuses is known before the long work.
    """
    home = case.home
    home_file, home_twin = make_twin(site, home)
    truth_file, truth, affected = grow_nodules(site, home, home_file, home_twin)
    outcomes = assign_labels(site, home, home_file, truth_file, truth, home_twin)
    twin_file, twin = home_file, home_twin
    kept: tuple[Artefact, ...] = ()
    if home is not case:
        twin_file, twin = make_twin(site, case)
        kept = (home_file, truth_file)
        truth_file, truth, affected = follow_nodules(site, case, twin_file, twin, truth_file, truth, outcomes)
    original = keep_original(site, case)
    images = make_images(site, case, twin_file, truth_file, truth, twin, affected)
    return CaseRecord(case.twin_id, twin_file, original, truth_file, outcomes, tuple(images), kept)


def case_weight(case: Case) -> float:
    """Sum of the weights of the parts that :func:`build_case` reports [s, rough]."""
    groups = {scan.group: scan.exposure_s for scan in case.scans}
    return 1.2 * case.twin_s + sum(groups.values()) + sum(1.1 * scan.image_s for scan in case.scans)
