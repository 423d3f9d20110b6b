"""A cohort: which nodules there are. Tables in ``*.yaml``, each with its source."""

from __future__ import annotations

from functools import cache, lru_cache
from importlib.resources import files
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from twins.specfile import parse_spec

from ..nodule import Lobe
from .copula import MEAN_TO_EQUIVALENT

COHORTS = ("lidc", "lidc_consensus", "screening", "incidental_uk", "uniform_log")
"""Cohorts that come with the package."""

_STRICT = ConfigDict(frozen=True, extra="forbid")


class SizeLaw(BaseModel):
    """Density of the diameter proportional to ``d^-exponent`` between two diameters."""

    model_config = _STRICT

    law: Literal["power"] = Field(description="Kind of the law")
    exponent: float = Field(ge=0, le=8, description="Exponent a of the density d^-a; 1 is uniform in ln d [1]")
    low_mm: float = Field(ge=3, le=40, description="Smallest diameter [mm]")
    high_mm: float = Field(ge=3, le=40, description="Largest diameter [mm]")
    diameter: Literal["mean", "equivalent"] = Field(description="Which diameter the law is of")

    @model_validator(mode="after")
    def _agree(self) -> SizeLaw:
        if self.high_mm <= self.low_mm:
            raise ValueError(f"high_mm {self.high_mm} must exceed low_mm {self.low_mm}")
        return self

    @property
    def per_equivalent(self) -> float:
        """Diameter of this law per equivalent diameter [1]."""
        return MEAN_TO_EQUIVALENT if self.diameter == "mean" else 1.0

    def quantile_mm(self, share: NDArray[np.float64]) -> NDArray[np.float64]:
        """Diameter below which the share of nodules lies [mm]."""
        power = 1 - self.exponent
        if power == 0:
            return np.asarray(self.low_mm * (self.high_mm / self.low_mm) ** share)
        low, high = self.low_mm**power, self.high_mm**power
        return np.asarray((low + (high - low) * share) ** (1 / power))


class SharesBySize(BaseModel):
    """A share that steps with the mean diameter."""

    model_config = _STRICT

    from_mm: tuple[float, ...] = Field(min_length=1, description="Lower ends of the bins of mean diameter [mm]")
    shares: tuple[float, ...] = Field(min_length=1, description="Share in each bin [1]")

    @model_validator(mode="after")
    def _agree(self) -> SharesBySize:
        if len(self.from_mm) != len(self.shares) or np.any(np.diff(self.from_mm) <= 0):
            raise ValueError("from_mm must ascend and have one entry per share")
        if min(self.shares) < 0 or max(self.shares) > 1:
            raise ValueError(f"shares must lie within 0-1, got {self.shares}")
        return self

    def at(self, mean_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """The share at each diameter; below the first bin that of the first."""
        index = np.searchsorted(self.from_mm, mean_mm, side="right") - 1
        return np.asarray(self.shares)[np.clip(index, 0, None)]


class SpiculatedBySize(BaseModel):
    """Share of nodules with spiculation 3 or more, of benign and of malignant ones."""

    model_config = _STRICT

    benign: SharesBySize = Field(description="Of benign nodules")
    malignant: SharesBySize = Field(description="Of malignant nodules")


class LobeShares(BaseModel):
    """Lobes of a class of nodules; a class left open holds both."""

    model_config = _STRICT

    malignant: bool | None = Field(default=None, description="Malignant, benign, or either")
    spiculated: bool | None = Field(default=None, description="Spiculation 3 or more, less, or either")
    shares: dict[Lobe, float] = Field(min_length=1, description="Relative frequency by lobe [1]")


class AttachedShares(BaseModel):
    """How many nodules of a class touch pleura, vessel or fissure; what is left of 1 is free."""

    model_config = _STRICT

    type: Literal["solid", "part_solid", "ground_glass"] | None = Field(default=None, description="Type, or any")
    spiculated: bool | None = Field(default=None, description="Spiculation 3 or more, less, or either")
    below_mm: float = Field(default=40.0, ge=3, le=40, description="Up to this equivalent diameter [mm]")
    shares: dict[Literal["pleura", "vessel", "fissure"], Annotated[float, Field(ge=0, le=1)]] = Field(
        min_length=1, description="Share of the class [1]"
    )

    @model_validator(mode="after")
    def _agree(self) -> AttachedShares:
        if (total := sum(self.shares.values())) > 1:
            raise ValueError(f"shares must sum to 1 at most, got {total:g}")
        return self


class Counts(BaseModel):
    """Nodules per person: a table, or a negative binomial law with variance ``mean + mean^2 / dispersion``."""

    model_config = _STRICT

    scans: tuple[float, ...] | None = Field(default=None, description="Relative frequency of 0, 1, 2... nodules [1]")
    mean: float | None = Field(default=None, ge=0, le=30, description="Mean of the negative binomial [1]")
    dispersion: float | None = Field(default=None, gt=0, le=1e4, description="Its dispersion k [1]")

    @model_validator(mode="after")
    def _agree(self) -> Counts:
        law = self.mean is not None and self.dispersion is not None
        if (self.scans is None) == (not law) or (self.mean is None) != (self.dispersion is None):
            raise ValueError("counts are given either as scans, or as mean and dispersion")
        return self

    def shares(self) -> NDArray[np.float64]:
        """Probability of 0, 1, 2... nodules, up to 250 at most."""
        if self.scans is not None:
            return np.asarray(self.scans) / np.sum(self.scans)
        assert self.mean is not None
        assert self.dispersion is not None
        return np.array(_negative_binomial(self.mean, self.dispersion))


@lru_cache(maxsize=128)
def _negative_binomial(mean: float, dispersion: float) -> tuple[float, ...]:
    from scipy.special import betaln, xlog1py, xlogy  # scipy.stats takes a second to import

    count, success = np.arange(251), dispersion / (dispersion + mean)
    choices = -np.log(dispersion + count) - betaln(count + 1, dispersion)
    p = np.exp(choices + xlogy(dispersion, success) + xlog1py(count, -success))
    return tuple((p[: int(np.flatnonzero(p > 1e-9).max()) + 1] / p[p > 1e-9].sum()).tolist())


class Cohort(BaseModel):
    """What the nodules of a cohort are like: size, ratings, type, calcium, lobe, and how many a person has.

    Whatever is not given here follows the LIDC-IDRI copula, given what is.
    """

    model_config = _STRICT

    description: str = Field(min_length=1, description="One line")
    source: str = Field(min_length=1, description="Where the numbers come from")
    copula: Literal["readings", "nodules"] = Field(description="LIDC-IDRI single readings, or medians over readers")
    size: SizeLaw | None = Field(default=None, description="Law of the diameter; none: that of the copula")
    types: dict[Literal["solid", "part_solid", "ground_glass"], float] | None = Field(
        default=None, description="Relative frequency by attenuation type [1]; none: by texture rating"
    )
    malignant: SharesBySize | None = Field(default=None, description="Malignant share by size; none: not known")
    spiculated: SpiculatedBySize | None = Field(default=None, description="Spiculated share by size and malignancy")
    calcified: dict[float, float] = Field(description="Calcified share of solid nodules by malignancy rating [1]")
    calcification: dict[int, float] = Field(description="Relative frequency of LIDC patterns 1-5 if calcified [1]")
    internal: dict[int, float] = Field(description="Relative frequency of LIDC internal structure 1-4 [1]")
    lobes: tuple[LobeShares, ...] = Field(min_length=1, description="Lobes by class of nodule")
    attached: tuple[AttachedShares, ...] = Field(
        default=(), description="What nodules touch; the first row that fits a nodule counts; none: all are free"
    )
    counts: Counts = Field(description="Nodules per person")

    @model_validator(mode="after")
    def _agree(self) -> Cohort:
        if self.spiculated is not None and self.malignant is None:
            raise ValueError("spiculated is by malignancy, so malignant must be given")
        for malignant in (False, True):
            for spiculated in (False, True):
                n = sum(
                    row.malignant in (None, malignant) and row.spiculated in (None, spiculated) for row in self.lobes
                )
                if n != 1:
                    raise ValueError(
                        f"lobes: {n} rows are for malignant = {malignant}, spiculated = {spiculated}; one is wanted"
                    )
        return self


@cache
def load_cohort(name: str) -> Cohort:
    """One of :data:`COHORTS`.

    Raises
    ------
    ValueError
        If there is no such cohort.
    """
    if name not in COHORTS:
        raise ValueError(f"cohort {name!r} is not known; there are {', '.join(COHORTS)}")
    data: Any = files(__package__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    return parse_spec(data, Cohort, name=f"{name}.yaml")
