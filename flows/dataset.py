"""A finished dataset on disk: what the report, the checks and every export read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lesions import Truth
from twins import Twin

from .store import SEAL as SEAL
from .study import StudySpec, load_study
from .tables import read_table

DRAWS = "outcome_draws.csv"
"""One row per nodule and set of labels, where a study draws more than one."""

TARGETS = "targets.csv"
"""Achieved beside target, where a study draws from cohorts (:mod:`flows.study.targets`)."""


@dataclass(frozen=True)
class Dataset:
    """A dataset folder.

    Parameters
    ----------
    root
        The folder.

    Raises
    ------
    ValueError
        If the folder holds no finished dataset.
    """

    root: Path

    def __post_init__(self) -> None:
        if not (self.root / SEAL).is_file():
            what = "its build has not finished: run it again" if (self.root / ".store").is_dir() else "no dataset"
            raise ValueError(f"{self.root}: {what if self.root.is_dir() else 'no such folder'}")

    @classmethod
    def open(cls, root: str | os.PathLike[str]) -> Dataset:
        """The finished dataset in a folder; ValueError where there is none."""
        return cls(Path(root))

    @cached_property
    def manifest(self) -> list[dict[str, str]]:
        """One row per image."""
        return read_table(self.root / "manifest.csv")

    @cached_property
    def nodules(self) -> list[dict[str, str]]:
        """One row per image and nodule."""
        return read_table(self.root / "nodules.csv")

    @cached_property
    def draws(self) -> list[dict[str, str]]:
        """One row per nodule and set of drawn labels; empty where one set is drawn."""
        return read_table(self.root / DRAWS) if (self.root / DRAWS).is_file() else []

    @cached_property
    def targets(self) -> list[dict[str, str]]:
        """One row per figure of a cohort that the study draws from; empty where it draws from none."""
        return read_table(self.root / TARGETS) if (self.root / TARGETS).is_file() else []

    @cached_property
    def study(self) -> StudySpec:
        """The resolved study."""
        return load_study(self.root / "study.yaml")

    @property
    def report(self) -> Path:
        """The report's page."""
        return self.root / "report" / "index.html"

    def digests(self) -> dict[str, str]:
        """SHA-256 by path, as sealed."""
        lines = (self.root / SEAL).read_text(encoding="utf-8").splitlines()
        return {path: digest for digest, path in (line.split("  ", 1) for line in lines if line)}

    def nodules_of(self, image_id: str) -> list[dict[str, str]]:
        """Rows of one image's nodules, in the order of their mask values."""
        return [row for row in self.nodules if row["image_id"] == image_id]

    def by_twin(self) -> Iterator[tuple[str, list[dict[str, str]]]]:
        """Rows of the manifest, twin by twin."""
        for twin_id in dict.fromkeys(row["twin_id"] for row in self.manifest):
            yield twin_id, [row for row in self.manifest if row["twin_id"] == twin_id]

    def twin(self, row: dict[str, str]) -> Twin:
        """The twin of a manifest row, without nodules."""
        import twins

        return twins.load(self.root / row["twin_file"])

    def truth(self, row: dict[str, str]) -> Truth:
        """The truth about the nodules of a manifest row."""
        import lesions

        return lesions.load(self.root / row["truth_file"])
