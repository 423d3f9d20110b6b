"""Splits by lineage: what shares a twin, a host CT or a lesion goes to one side, and every side looks alike.

Images are nodes, and share an edge when they share a twin (by name, file or key), the CT that a patient twin comes
from, or a lesion (by the key that fixes its form). Connected groups are never parted. Groups are dealt one by one,
the most unusual first, to the side where the counts of all strata then deviate least from what the fractions ask for
(chi-square); this is the greedy rule of scikit-learn's ``StratifiedGroupKFold``, for fractions and several strata.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from ..study.keys import make_key

SHARED = ("lineage_id", "twin_id", "twin_key", "twin_sha256", "original_sha256")
"""Columns of manifest.csv: two images that agree in one of them are of one lineage."""

SIZES_MM = (0.0, 6.0, 8.0, 15.0, 30.0)
"""Lower limits of the classes of mean axial diameter that are strata [mm]: Lung-RADS v2022 for solid nodules, 30 mm."""


class SplitSpec(BaseModel):
    """How to deal the images of a dataset.

    Examples
    --------
    >>> SplitSpec.parse("train=0.8,test=0.2").fractions
    {'train': 0.8, 'test': 0.2}
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fractions: dict[str, float] = Field(min_length=2, description="Share of the images for each side, sum 1 [1]")
    seed: int = Field(default=0, ge=0, lt=2**63, description="Decides between groups that are alike [1]")

    @field_validator("fractions")
    @classmethod
    def _sum_to_one(cls, value: dict[str, float]) -> dict[str, float]:
        for name, share in value.items():
            if not name.isidentifier() or not 0 < share < 1:
                raise ValueError(f"fractions must be names with shares between 0 and 1, got {name}={share:g}")
        if abs(sum(value.values()) - 1) > 1e-6:
            raise ValueError(f"fractions must sum to 1, got {sum(value.values()):g} for {value}")
        return value

    @classmethod
    def parse(cls, text: str, *, seed: int = 0) -> SplitSpec:
        """A spec from ``train=0.7,val=0.1,test=0.2``, or ``folds=5`` for five equal sides ``fold_0`` to ``fold_4``.

        Raises
        ------
        ValueError
            If the text is neither.
        """
        shares: dict[str, float] = {}
        for item in text.split(","):
            name, _, value = (part.strip() for part in item.partition("="))
            try:
                shares[name] = float(value)
            except ValueError:
                raise ValueError(f"split must read like train=0.8,test=0.2 or folds=5, got {text!r}") from None
        n = shares.get("folds")
        if n is not None and len(shares) == 1:
            if n != int(n) or not 2 <= n <= 100:
                raise ValueError(f"folds must be a whole number from 2 to 100, got {n:g}")
            shares = {f"fold_{i}": 1 / n for i in range(int(n))}
        return cls(fractions=shares, seed=seed)


def lineages(manifest: Sequence[Mapping[str, str]], nodules: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """The group of every image: the least image id that it is connected with.

    Parameters
    ----------
    manifest, nodules
        Rows of ``manifest.csv`` and ``nodules.csv``.
    """
    parent = {row["image_id"]: row["image_id"] for row in manifest}

    def find(image: str) -> str:
        while parent[image] != image:
            parent[image] = parent[parent[image]]
            image = parent[image]
        return image

    first: dict[tuple[str, str], str] = {}
    marks = [(row["image_id"], column, row[column]) for row in manifest for column in SHARED if row.get(column)]
    marks += [(row["image_id"], "lesion", row["spec_key"]) for row in nodules if row.get("spec_key")]
    for image, column, value in marks:
        a, b = find(image), find(first.setdefault((column, value), image))
        if a != b:
            parent[max(a, b)] = min(a, b)
    return {image: find(image) for image in parent}


def strata(manifest: Sequence[Mapping[str, str]], nodules: Iterable[Mapping[str, str]]) -> dict[str, dict[str, float]]:
    """Counts of an image that a split is to share out: itself, label and sex of the person, size, type, label."""
    counts: dict[str, dict[str, float]] = {}
    for row in manifest:
        own = counts.setdefault(row["image_id"], {})
        for name in ("image", f"person {row.get('participant_label', '')}", f"sex {row.get('sex', '')}"):
            own[name] = 1.0
        if row.get("n_nodules") == "0":
            own["no nodule"] = 1.0
    for row in nodules:
        size = int(np.searchsorted(SIZES_MM, float(row["mean_diameter_mm"]), side="right")) - 1
        own = counts[row["image_id"]]
        for name in (
            f"size {size}",
            f"type {row['type']}",
            f"label {row['label']}",
            f"kind {row.get('spec_kind', '')}",
        ):
            own[name] = own.get(name, 0.0) + 1.0
    return counts


def split(
    manifest: Sequence[Mapping[str, str]], nodules: Sequence[Mapping[str, str]], spec: SplitSpec
) -> dict[str, str]:
    """The side of every image; the same tables and spec always give the same.

    Parameters
    ----------
    manifest, nodules
        Rows of ``manifest.csv`` and ``nodules.csv``.
    spec
        Sides, shares and seed.

    Raises
    ------
    ValueError
        If there are fewer lineages than sides.
    """
    group_of, counts = lineages(manifest, nodules), strata(manifest, nodules)
    groups = sorted(set(group_of.values()))
    sides = list(spec.fractions)
    if len(groups) < len(sides):
        raise ValueError(f"{len(groups)} lineages cannot be dealt to {len(sides)} sides ({', '.join(sides)})")
    names = sorted({name for own in counts.values() for name in own})
    column = {name: i for i, name in enumerate(names)}
    table = np.zeros((len(groups), len(names)))
    place = {group: i for i, group in enumerate(groups)}
    for image, own in counts.items():
        for name, n in own.items():
            table[place[group_of[image]], column[name]] += n
    total = table.sum(axis=0)
    wanted = np.array([spec.fractions[side] for side in sides])[:, None] * total
    # unusual first: groups that hold much of what is rare; keys decide among equals
    weight = (table / total).sum(axis=1)
    order = sorted(place, key=lambda group: (-weight[place[group]], make_key(spec.seed, "split", group)))
    held, size, side_of = np.zeros_like(wanted), np.zeros(len(sides), np.int64), {}
    for n_left, group in zip(range(len(order), 0, -1), order, strict=True):
        row = table[place[group]]
        cost = (((held + row - wanted) ** 2 - (held - wanted) ** 2) / wanted).sum(axis=1)
        if np.count_nonzero(size == 0) >= n_left:
            cost[size > 0] = np.inf  # none may stay empty
        best = int(np.argmin(cost))
        held[best] += row
        size[best] += 1
        side_of[group] = sides[best]
    return {image: side_of[group] for image, group in group_of.items()}
