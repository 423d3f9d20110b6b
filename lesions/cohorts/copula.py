"""Ratings and size of LIDC-IDRI nodules, jointly: a Gaussian copula.

``z ~ N(0, R)``; each rating is its z cut at thresholds, the diameter its z through the normal CDF and a table of
quantiles. Variables are drawn one after the other (Cholesky), so that size, spiculation or texture may follow another
law while all others keep their LIDC distribution *given* these.
"""

from __future__ import annotations

from functools import cache, cached_property
from importlib.resources import files
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy.special import ndtr, ndtri

from twins.specfile import parse_spec

RATINGS = ("subtlety", "sphericity", "margin", "lobulation", "spiculation", "texture", "malignancy")
ORDER = ("ln_diameter", "spiculation", "texture", "malignancy", "subtlety", "sphericity", "margin", "lobulation")
"""Drawn in this order: each may depend on those before it."""

MEAN_TO_EQUIVALENT = 1.094
"""Median ratio of axial mean to equivalent diameter, LIDC-IDRI nodules marked by three or more readers."""

Draws = NDArray[np.float64]


class Copula(BaseModel):
    """The table behind one copula (``copula_*.yaml``)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field(min_length=1, description="Where these numbers come from")
    variables: tuple[str, ...] = Field(description="Order of the correlation matrix: seven ratings, ln_diameter")
    correlation: tuple[tuple[float, ...], ...] = Field(description="Latent (polychoric) correlation [1]")
    values: tuple[float, ...] = Field(min_length=2, description="Values that a rating takes, ascending [1-5]")
    thresholds: dict[str, tuple[float, ...]] = Field(description="Where z is cut between the values, by rating [1]")
    diameter: Literal["mean", "equivalent"] = Field(description="Which diameter the quantiles are of")
    quantiles_percent: tuple[float, ...] = Field(description="Levels of the quantiles, ascending [%]")
    diameter_mm: tuple[float, ...] = Field(description="Quantiles of the diameter [mm]")

    @model_validator(mode="after")
    def _agree(self) -> Copula:
        if set(self.variables) != set(ORDER):
            raise ValueError(f"variables must be {', '.join(ORDER)}, got {self.variables}")
        matrix = np.array(self.correlation)
        if matrix.shape != (len(ORDER),) * 2 or np.any(matrix != matrix.T) or np.linalg.eigvalsh(matrix).min() <= 0:
            raise ValueError("correlation must be a symmetric positive definite 8 x 8 matrix")
        for name in RATINGS:
            cuts = np.array(self.thresholds.get(name, ()))
            if len(cuts) != len(self.values) - 1 or np.any(np.diff(cuts) < 0):
                raise ValueError(f"thresholds.{name} must be {len(self.values) - 1} ascending numbers, got {cuts}")
        if len(self.quantiles_percent) != len(self.diameter_mm) or np.any(np.diff(self.diameter_mm) <= 0):
            raise ValueError("diameter_mm must ascend and have one entry per level of quantiles_percent")
        return self

    @cached_property
    def factor(self) -> Draws:
        """Lower Cholesky factor of the correlation in the order of ``ORDER``."""
        index = [self.variables.index(name) for name in ORDER]
        return np.asarray(np.linalg.cholesky(np.array(self.correlation)[np.ix_(index, index)]))

    @property
    def per_equivalent(self) -> float:
        """Diameter of this table per equivalent diameter [1]."""
        return MEAN_TO_EQUIVALENT if self.diameter == "mean" else 1.0

    def equivalent_diameter_mm(self, z: Draws) -> Draws:
        """Equivalent diameter [mm] at latent sizes; beyond the outermost quantiles the outermost."""
        ln = np.interp(100 * ndtr(z), self.quantiles_percent, np.log(self.diameter_mm))
        return np.asarray(np.exp(ln) / self.per_equivalent)

    def latent_size(self, equivalent_mm: Draws) -> Draws:
        """Latent size of an equivalent diameter [mm]; outside the table its outermost quantile (0.5 % at least)."""
        ln = np.log(np.asarray(equivalent_mm) * self.per_equivalent)
        return np.asarray(ndtri(np.interp(ln, np.log(self.diameter_mm), self.quantiles_percent).clip(0.5, 99.5) / 100))

    def rating(self, name: str, z: Draws) -> Draws:
        """Ratings at latent values."""
        return np.asarray(self.values)[np.searchsorted(self.thresholds[name], z, side="right")]

    def cut(self, name: str, rating: float) -> float:
        """Latent value from which a rating is at least ``rating``."""
        return self.thresholds[name][self.values.index(rating) - 1]


class Latent:
    """Latent values drawn one variable after the other from uniform numbers."""

    def __init__(self, copula: Copula) -> None:
        self.copula = copula
        self._normals: list[Draws] = []

    def given_size(self, equivalent_mm: Draws) -> None:
        """Take the sizes as they are [mm]."""
        self._normals = [self.copula.latent_size(equivalent_mm)]

    def next(self, uniform: Draws, low: Any = -np.inf, high: Any = np.inf) -> Draws:
        """Values ``(n,)`` of the next variable given those before, between ``low`` and ``high``."""
        k = len(self._normals)
        row = self.copula.factor[k]
        mean = sum((row[j] * e for j, e in enumerate(self._normals)), np.zeros(len(uniform)))
        bottom, top = ndtr((low - mean) / row[k]), ndtr((high - mean) / row[k])
        # 1e-300 keeps a far tail finite
        normal = ndtri(np.clip(bottom + (top - bottom) * uniform, 1e-300, 1 - 1e-16))
        self._normals.append(normal)
        return np.asarray(mean + row[k] * normal)


@cache
def load_copula(name: str) -> Copula:
    """The copula ``readings`` (single readings) or ``nodules`` (medians over readers)."""
    file = files(__package__).joinpath(f"copula_{name}.yaml")
    return parse_spec(file.read_text(encoding="utf-8"), Copula, name=f"copula_{name}.yaml")
