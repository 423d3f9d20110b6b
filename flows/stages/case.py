"""One case from end to end. Nothing here computes; everything here wires."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..store import Artefact
from ..study import Case
from .growth import grow_nodules
from .imaging import ImageRecord, make_images
from .labels import assign_labels
from .site import Site
from .twin import keep_original, make_twin


@dataclass(frozen=True, slots=True)
class CaseRecord:
    """The files of one case."""

    twin_id: str
    twin: Artefact
    original: Artefact | None
    truth: Artefact
    outcomes: Artefact
    images: tuple[ImageRecord, ...]

    def artefacts(self) -> Iterator[Artefact]:
        """All its files."""
        yield from (self.twin, self.truth, self.outcomes)
        if self.original is not None:
            yield self.original
        for image in self.images:
            yield from (image.image, image.mask)
            if image.anatomy is not None:
                yield image.anatomy


def build_case(site: Site, case: Case) -> CaseRecord:
    """Twin, nodules, labels, images, in this order; what the store has is not made again.

    Labels come before the images: what a risk model refuses is known before the long work.
    """
    twin_file, twin = make_twin(site, case)
    truth_file, truth, affected = grow_nodules(site, case, twin_file, twin)
    outcomes = assign_labels(site, case, twin_file, truth_file, truth, twin)
    original = keep_original(site, case)
    images = make_images(site, case, twin_file, truth_file, truth, twin, affected)
    return CaseRecord(case.twin_id, twin_file, original, truth_file, outcomes, tuple(images))


def case_weight(case: Case) -> float:
    """Sum of the weights of the parts that :func:`build_case` reports [s, rough]."""
    groups = {scan.group: scan.exposure_s for scan in case.scans}
    return 1.2 * case.twin_s + sum(groups.values()) + sum(1.1 * scan.image_s for scan in case.scans)
