"""Virtual trials in a study: which nodules an entry's twins get, crossed with the twins (:mod:`lesions.trials`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from lesions import Nodule
from lesions.cohorts import COHORTS
from lesions.trials import equalised, factorial, twin_cross


class Design(BaseModel):
    """The nodules of a virtual trial: every twin of the entry gets every nodule, with one key in all of them."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    factors: dict[str, tuple[Any, ...]] | None = Field(
        default=None, description="Levels by field of a nodule; every combination is made [values]"
    )
    fixed: dict[str, Any] = Field(default={}, description="Fields that all nodules of factors share [values]")
    classes: dict[str, tuple[Any, ...]] | None = Field(
        default=None,
        description="Classes by column of the entry's cohort (lidc unless named): values, or ranges of two numbers; as "
        "many nodules are drawn in every combination [values]",
    )
    replicates: int = Field(default=1, ge=1, le=250, description="Nodules per combination [1]")
    per_twin: int | None = Field(
        default=None,
        ge=1,
        le=250,
        description="Nodules that share one scan; none: all. With fewer, each twin is scanned with several groups of "
        "them, which rotate from twin to twin [1]",
    )

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        if (self.factors is None) == (self.classes is None):
            raise ValueError("needs exactly one of 'factors' and 'classes'")
        if self.classes is not None and self.fixed:
            raise ValueError("fixed belongs to factors: nodules of classes are drawn")
        return self

    def nodules(
        self, rng: np.random.Generator, *, cohort: str | None, diameter_mm: tuple[float, float]
    ) -> tuple[Nodule, ...]:
        """The nodules of the design, ``d001``...

        Raises
        ------
        ValueError
            If a combination contradicts itself, the cohort has none of it, or the cohort is a file.
        """
        if self.factors is not None:
            cells = factorial(rng, self.factors, fixed=self.fixed, replicates=self.replicates, name="d{:03d}")
            return tuple(nodule for cell in cells for nodule in cell.nodules)
        assert self.classes is not None
        if cohort is not None and cohort not in COHORTS:
            raise ValueError(f"classes are drawn from a cohort that comes with the package, got the file {cohort}")
        classes = {name: tuple(_range_or_value(v) for v in values) for name, values in self.classes.items()}
        table = equalised(rng, classes, self.replicates, cohort=cohort or "lidc", diameter_mm=diameter_mm)
        fields = None if "lobe" in classes else {"lobe": None}
        return tuple(table.nodules(name="d{:03d}", fields=fields))

    def cases(self, nodules: Sequence[Nodule], twins: Sequence[str]) -> list[tuple[str, str, tuple[Nodule, ...]]]:
        """(case, twin, nodules): one case per twin and group of nodules; with one group the case has the twin's name.

        Raises
        ------
        ValueError
            If ``per_twin`` does not divide the number of nodules, or a twin gets more than 250.
        """
        crossed = twin_cross(nodules, twins, per_twin=self.per_twin)
        if max(len(members) for _, members in crossed) > 250:
            raise ValueError(f"{len(nodules)} nodules, at most 250 a twin: give per_twin")
        groups = len(crossed) // len(twins)
        names = [twin if groups == 1 else f"{twin}-g{k % groups + 1:02d}" for k, (twin, _) in enumerate(crossed)]
        return [(name, twin, members) for name, (twin, members) in zip(names, crossed, strict=True)]


def _range_or_value(value: Any) -> Any:
    is_range = isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(v, int | float) for v in value)
    return tuple(value) if is_range else value
