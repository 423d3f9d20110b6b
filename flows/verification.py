"""Checks of a finished dataset against itself: digests, geometry, masks against truth, labels against draws."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

import labeling
from lesions import Truth
from twins import Grid

from .dataset import Dataset
from .image_checks import Each, Pictures
from .progress import Report
from .stages.imaging import mimic_labels
from .store import sha256_of
from .study.keys import make_key
from .tables import spelled
from .volumes import read_volume

T = TypeVar("T")

HU_RANGE = (-1024, 8191)
"""What an image may hold [HU]."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check, and what it found; no problems means that it passed."""

    check: str
    n_checked: int
    problems: tuple[str, ...]


def verify(root: str | os.PathLike[str], *, progress: Report | None = None) -> list[Finding]:
    """Check a dataset folder; one finding per check.

    Raises
    ------
    ValueError
        If the folder holds no finished dataset.
    """
    dataset = Dataset.open(root)
    steps = _Steps(progress)
    pictures = Pictures(dataset, steps.each)
    checks: list[tuple[str, Callable[[Dataset, Each], tuple[int, list[str]]]]] = [
        ("files have their sealed digests", _digests),
        ("manifest digests are the sealed ones", _manifest_digests),
        ("image, mask and anatomy share one geometry, as in the manifest", _geometry),
        ("images are int16 HU in range", _hounsfield),
        ("air, lung and soft tissue have their HU", lambda *_: pictures.tissues()),
        ("nodules stand out from the lung around them, where the mask is", lambda *_: pictures.contrasts()),
        ("images of different lineages are no copies of each other", lambda *_: pictures.duplicates()),
        ("nodules.csv agrees with the truth files", _truth),
        ("masks agree with the exact truth", masks),
        ("labels follow from the model, its inputs and the study's seed", _outcomes),
        ("nodules.csv and manifest.csv agree with the outcome files", _labels),
        ("sets of labels agree with the outcome files", _draws),
        ("no twin occurs under two lineages", _lineage),
    ]
    findings = []
    for i, (name, check) in enumerate(checks):
        steps.begin(i / len(checks), (i + 1) / len(checks), name)
        try:
            n_checked, problems = check(dataset, steps.each)
        except (ValueError, KeyError, OSError) as error:
            n_checked, problems = 0, [f"could not be checked: {error}"]
        findings.append(Finding(name, n_checked, tuple(problems)))
    return findings


class _Steps:
    """Turns the items of one check after the other into one progress."""

    def __init__(self, progress: Report | None) -> None:
        self._progress = progress
        self._low, self._high, self._what = 0.0, 0.0, ""

    def begin(self, low: float, high: float, what: str) -> None:
        """A check begins, which takes the progress from ``low`` to ``high``."""
        self._low, self._high, self._what = low, high, what
        self._tell(0.0)

    def each(self, items: Sequence[T]) -> Iterator[T]:
        """The items, telling how far the check is."""
        for i, item in enumerate(items):
            self._tell(i / len(items))
            yield item

    def _tell(self, share: float) -> None:
        if self._progress is not None:
            self._progress(self._low + share * (self._high - self._low), self._what)


def _digests(dataset: Dataset, each: Each) -> tuple[int, list[str]]:
    problems = []
    sealed = dataset.digests()
    for path, digest in each(list(sealed.items())):
        file = dataset.root / path
        if not file.is_file():
            problems.append(f"{path}: missing")
        elif sha256_of(file) != digest:
            problems.append(f"{path}: changed since the build")
    return len(sealed), problems


def _manifest_digests(dataset: Dataset, each: Each) -> tuple[int, list[str]]:
    sealed, problems, n = dataset.digests(), [], 0
    for row in each(dataset.manifest):
        for column in (name for name in row if name.endswith("_sha256") and row[name]):
            n += 1
            path = row[column.removesuffix("_sha256") + "_file"]
            if sealed.get(path) != row[column]:
                problems.append(f"{row['image_id']}: {column} is not the digest of {path}")
    return n, problems


def _geometry(dataset: Dataset, each: Each) -> tuple[int, list[str]]:
    problems = []
    for row in each(dataset.manifest):
        listed = _grid_of(row)
        for name in ("image", "mask", "mimics", "anatomy"):
            if row[f"{name}_file"]:
                grid = read_volume(dataset.root / row[f"{name}_file"])[1]
                if not grid.same_as(listed):
                    problems.append(f"{row[f'{name}_file']}: geometry differs from the manifest's")
    return len(dataset.manifest), problems


def _hounsfield(dataset: Dataset, each: Each) -> tuple[int, list[str]]:
    problems = []
    for row in each(dataset.manifest):
        hu = read_volume(dataset.root / row["image_file"])[0]
        if hu.dtype != np.int16:
            problems.append(f"{row['image_file']}: {hu.dtype}, expected int16")
        elif int(hu.min()) < HU_RANGE[0] or int(hu.max()) > HU_RANGE[1]:
            problems.append(f"{row['image_file']}: {hu.min()} to {hu.max()} HU is outside {HU_RANGE}")
        elif hu.std() < 1:
            problems.append(f"{row['image_file']}: has no contrast (SD {hu.std():.2f} HU)")
    return len(dataset.manifest), problems


def _truth(dataset: Dataset, each: Each) -> tuple[int, list[str]]:
    problems, n = [], 0
    for row in each(dataset.manifest):
        truth: Truth = dataset.truth(row)
        listed = dataset.nodules_of(row["image_id"])
        if [line["nodule_id"] for line in listed] != [nodule.id for nodule in truth.nodules]:
            problems.append(f"{row['image_id']}: nodules.csv lists other nodules than {row['truth_file']}")
            continue
        for line, nodule in zip(listed, truth.nodules, strict=True):
            n += 1
            place = [float(line[f"{axis}_lps_mm"]) for axis in "xyz"]
            # nine digits are written: 1e-6 mm at 1 m
            if not np.allclose(place, nodule.centre_mm, rtol=0, atol=1e-5):
                problems.append(f"{row['image_id']} {nodule.id}: position differs from the truth")
            if not np.isclose(float(line["volume_mm3"]), nodule.volume_mm3, rtol=1e-7):
                problems.append(f"{row['image_id']} {nodule.id}: volume differs from the truth")
            facts = {"type": nodule.type, "kind": nodule.kind, "is_mimic": nodule.nodule.is_mimic} | nodule.record()
            for name in facts.keys() & line.keys() - {"volume_mm3", "nodule", "grid", "centre_mm"}:
                if line[name] != spelled(facts[name]):
                    listed_as, known = line[name] or "empty", spelled(facts[name]) or "empty"
                    problems.append(f"{row['image_id']} {nodule.id}: {name} is {listed_as}, the truth says {known}")
    return n, problems


def masks(dataset: Dataset, each: Each) -> tuple[int, list[str]]:
    """How many nodules were looked for in the masks, and what is wrong with them."""
    problems, n = [], 0
    for row in each(dataset.manifest):
        truth = dataset.truth(row)
        mask, grid = read_volume(dataset.root / row["mask_file"])
        by_kind = {"false": mask, "true": np.zeros_like(mask)}
        painted = [(row["mask_file"], mask, truth.labels(grid))]
        if row["mimics_file"]:
            by_kind["true"] = read_volume(dataset.root / row["mimics_file"])[0]
            painted.append((row["mimics_file"], by_kind["true"], mimic_labels(truth, grid)))
        elif any(nodule.is_mimic for nodule in truth.nodules):
            problems.append(f"{row['image_id']}: has hard negatives, but mimics_file is empty")
        for name, found, expected in painted:
            if not np.array_equal(found, expected):
                problems.append(f"{name}: differs from what the truth gives on this geometry")
        for line in dataset.nodules_of(row["image_id"]):
            n += 1
            mask = by_kind[line["is_mimic"]]
            value, count = int(line["mask_value"]), int(line["n_voxels"])
            if int((mask == value).sum()) != count:
                problems.append(f"{row['image_id']} {line['nodule_id']}: n_voxels is not that of the mask")
            index = np.rint([float(line[f"index_{axis}"]) for axis in "zyx"]).astype(int)
            centre = [float(line[f"{axis}_lps_mm"]) for axis in "xyz"]
            if np.abs(grid.world_to_index(centre) - [float(line[f"index_{axis}"]) for axis in "zyx"]).max() > 0.01:
                problems.append(f"{row['image_id']} {line['nodule_id']}: voxel index and world position disagree")
            elif line["in_image"] == "true" and count and not _near(mask == value, index):
                problems.append(f"{row['image_id']} {line['nodule_id']}: the mask is not where the nodule is")
    return n, problems


def _near(inside: np.ndarray, index: np.ndarray) -> bool:
    """Whether a mask has a voxel at ``index`` or beside it (a bent nodule's centroid may lie just outside of it)."""
    window = tuple(slice(max(0, i - 1), i + 2) for i in index)
    return bool(inside[window].any())


def _outcomes(dataset: Dataset, each: Each) -> tuple[int, list[str]]:
    problems, n, study = [], 0, dataset.study
    for twin_id, rows in each(list(dataset.by_twin())):
        key = int(rows[0]["label_key"])
        if key != make_key(study.seed, "twin", rows[0]["lineage_id"], "label"):
            problems.append(f"{twin_id}: label_key is not that of the study's seed {study.seed}")
        for outcome in labeling.load(dataset.root / rows[0]["outcomes_file"]):
            n += 1
            name = f"{rows[0]['outcomes_file']} {outcome.nodule_id}"
            problems += [f"{name}: {problem}" for problem in labeling.problems_of(outcome, key)]
            asked = (study.label_model, study.label_mode, study.label_threshold, study.label_shift)
            if (outcome.model_id, outcome.mode, outcome.threshold, outcome.shift) != asked:
                problems.append(f"{name}: was labelled otherwise than the study says")
    return n, problems


def _labels(dataset: Dataset, each: Each) -> tuple[int, list[str]]:
    problems, n = [], 0
    for row in each(dataset.manifest):
        outcomes = {o.nodule_id: o for o in labeling.load(dataset.root / row["outcomes_file"])}
        if row["participant_label"] != (labeling.participant_label(list(outcomes.values())) or ""):
            problems.append(f"{row['image_id']}: participant_label does not follow from the nodules' labels")
        for line in dataset.nodules_of(row["image_id"]):
            n += 1
            name = f"{row['image_id']} {line['nodule_id']}"
            outcome = outcomes.get(line["nodule_id"])
            if line["is_mimic"] == "true":
                if outcome is not None or line["label"]:
                    problems.append(f"{name}: is a mimic, but has a label")
                continue
            if outcome is None:
                problems.append(f"{name}: no outcome in {row['outcomes_file']}")
                continue
            if (outcome.label or "") != line["label"]:
                problems.append(f"{name}: label is {line['label']}, the outcome file says {outcome.label}")
            for column, value in (("probability", outcome.probability), ("logit", outcome.logit), ("u", outcome.u)):
                if line[column] != spelled(value):
                    problems.append(f"{name}: {column} is {line[column]}, the outcome file says {spelled(value)}")
    return n, problems


def _draws(dataset: Dataset, each: Each) -> tuple[int, list[str]]:
    """Every set of labels; where a study draws one set, that there is no table of them."""
    if dataset.study.label_draws == 1:
        return 1, ["outcome_draws.csv: the study draws one set of labels"] if dataset.draws else []
    drawn: dict[tuple[str, str, int], dict[str, str]] = {}
    for _, rows in each(list(dataset.by_twin())):
        person = rows[0]["lineage_id"]
        for outcome in labeling.load(dataset.root / rows[0]["outcomes_file"]):
            for draw, u in enumerate(outcome.draws):
                label = labeling.expected_label(outcome.mode, outcome.probability, u, outcome.threshold)
                row = {"lineage_id": person, "nodule_id": outcome.nodule_id, "draw": draw, "u": u, "label": label}
                drawn[person, outcome.nodule_id, draw] = {name: spelled(value) for name, value in row.items()}
    listed = sorted(dataset.draws, key=lambda row: (row["lineage_id"], row["nodule_id"], int(row["draw"])))
    expected = [drawn[mark] for mark in sorted(drawn)]
    if len(listed) != len(expected):
        return len(listed), [f"outcome_draws.csv: {len(listed)} rows, {len(expected)} draws in the outcome files"]
    wrong = [f"outcome_draws.csv: {a} should be {b}" for a, b in zip(listed, expected, strict=True) if a != b]
    return len(listed), wrong


def _lineage(dataset: Dataset, each: Each) -> tuple[int, list[str]]:
    seen: dict[str, str] = {}
    problems = []
    for row in each(dataset.manifest):
        first = seen.setdefault(row["twin_sha256"], row["lineage_id"])
        if first != row["lineage_id"]:
            problems.append(f"{row['twin_file']}: the same twin as lineage {first}")
    return len(dataset.manifest), problems


def _grid_of(row: dict[str, str]) -> Grid:
    return Grid(
        tuple(int(row[f"n_{axis}"]) for axis in "zyx"),  # type: ignore[arg-type]
        tuple(float(row[f"spacing_{axis}_mm"]) for axis in "zyx"),  # type: ignore[arg-type]
        tuple(float(row[f"origin_{axis}_lps_mm"]) for axis in "xyz"),  # type: ignore[arg-type]
    )
