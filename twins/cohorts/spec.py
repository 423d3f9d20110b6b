"""A cohort of persons: margins of the fields of a :class:`twins.TwinSpec` and how some of them go together."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..specfile import SpecError, check_spec, parse_spec, read_spec, suggestion
from .laws import By, Margin

COHORTS = ("nlst", "general", "copd", "uniform")
"""Cohorts that come with the package."""

START = "smoking_start_y"
"""A margin that is no field of a spec: the age at which smoking began, from which its duration follows [years]."""

ORDER = (
    "age_y", "sex", "height_cm", "bmi", "smoking", "pack_years", "years_since_quit_y", START, "family_history",
    "extrathoracic_cancer_over_5y", "emphysema_percent", "copd", "lung_volume_l", "inflation", "tissue_mass_g",
    "heart_scale", "chest_width_scale", "chest_depth_scale", "right_share", "right_middle_share", "right_lower_share",
    "left_lower_share", "breast_scale", "emphysema_type", "paraseptal_share", "emphysema_upper",
    "right_major_completeness", "left_major_completeness", "minor_completeness", "diaphragm_shift_mm", "kyphosis_deg",
    "wall_thickness_scale", "texture_scale", "dependent_atelectasis", "apical_cap_mm", "n_scars", "n_lymph_nodes",
    "coronary_calcium", "aortic_calcium", "costal_calcification", "blood_iodine_mg_ml",
)  # fmt: skip
"""Order of drawing: a margin may depend on fields that stand before it. New fields are appended."""

NEEDED = ("sex", "age_y", "height_cm", "bmi", "smoking", "pack_years", "years_since_quit_y", START, "emphysema_percent")
"""Margins that every cohort gives; a field without a margin follows the anatomy's defaults (see ``docs/twins.md``)."""


class Cohort(BaseModel):
    """Who is in a population.

    Fields without a margin are drawn from the anatomy's defaults, given age, sex and history. Lung volume follows the
    GLI prediction and chest size the body mass index in every cohort.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str = Field(min_length=1, description="One line")
    source: str = Field(min_length=1, description="Where the numbers come from")
    margins: dict[str, Margin] = Field(description="Law by field of a TwinSpec, or smoking_start_y")
    correlations: dict[str, dict[str, float]] = Field(
        default={},
        description="Correlation of the normal scores of a field with those of other fields, which are independent of "
        "each other and have margins here [1]",
    )

    @model_validator(mode="after")
    def _fits_a_person(self) -> Self:
        for name, margin in self.margins.items():
            if name not in ORDER:
                raise ValueError(f"margins: no field {name!r}{suggestion(name, ORDER)}")
            if isinstance(margin, By) and margin.by not in ORDER[: ORDER.index(name)]:
                raise ValueError(f"margins.{name}: by {margin.by!r}, which is not drawn before it")
        if missing := [name for name in NEEDED if name not in self.margins]:
            raise ValueError(f"margins: {', '.join(missing)} required, but not given")
        for name, with_others in self.correlations.items():
            for other, value in with_others.items():
                if name not in self.margins or other not in self.margins:
                    raise ValueError(f"correlations.{name}.{other}: both must have margins here")
                if ORDER.index(other) >= ORDER.index(name):
                    raise ValueError(f"correlations.{name}.{other}: {other} is not drawn before {name}")
                if not -1 < value < 1:
                    raise ValueError(f"correlations.{name}.{other}: must lie between -1 and 1, got {value}")
            if sum(value**2 for value in with_others.values()) >= 1:
                raise ValueError(f"correlations.{name}: squares must sum to less than 1, got {with_others}")
        return self


def load_cohort(name: str | Path) -> Cohort:
    """A cohort of the package by name, or of a user's file.

    Parameters
    ----------
    name
        One of ``COHORTS``; or a YAML file with the fields of :class:`Cohort`; or a CSV file with the columns ``field``,
        ``value`` and ``quantile`` (for numbers: the share of people below the value, from 0 to 1) or ``share`` (for
        choices), which replaces margins of ``nlst``.

    Raises
    ------
    SpecError
        If there is no such cohort or file, or the file is wrong; the message names file, line and field.
    """
    text = str(name)
    if text in COHORTS:
        return _shipped(text)
    path = Path(name)
    if path.suffix.lower() not in (".yaml", ".yml", ".csv"):
        raise SpecError(
            f"cohort: neither a file (.yaml, .csv) nor a cohort: {text!r}{suggestion(text, list(COHORTS))}; "
            f"known: {', '.join(COHORTS)}"
        )
    if not path.is_file():
        raise SpecError(f"cohort: no such file: {path}")
    if path.suffix.lower() == ".csv":
        return _from_csv(path)
    return read_spec(path, Cohort)


@cache
def _shipped(name: str) -> Cohort:
    text = files(__package__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    return parse_spec(text, Cohort, name=f"{name}.yaml")


def _from_csv(path: Path) -> Cohort:
    """Margins of a CSV file in place of those of ``nlst``; correlations and other margins are kept."""
    margins: dict[str, dict[str, Any]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        columns = set(rows.fieldnames or ())
        if not {"field", "value"} <= columns or columns - {"field", "value", "quantile", "share"}:
            raise SpecError(
                f"{path}:1: columns must be field, value, quantile, share; got {', '.join(sorted(columns))}"
            )
        for row in rows:
            place = f"{path}:{rows.line_num}"
            quantile, share = (row.get("quantile") or "").strip(), (row.get("share") or "").strip()
            if bool(quantile) == bool(share):
                raise SpecError(f"{place}: needs exactly one of quantile and share")
            law = "quantiles" if quantile else "shares"
            margin = margins.setdefault(row["field"], {"law": law, {"quantiles": "at", "shares": "shares"}[law]: {}})
            if margin["law"] != law:
                raise SpecError(f"{place}: {row['field']} has both quantiles and shares")
            try:
                if quantile:
                    margin["at"][float(quantile)] = float(row["value"])
                else:
                    margin["shares"][row["value"].strip()] = float(share)
            except ValueError:
                raise SpecError(f"{place}: value and quantile or share must be numbers, got {row}") from None
    base = _shipped("nlst").model_dump(mode="python")
    data = {
        "description": f"nlst with margins of {path.name}",
        "source": path.name,
        "margins": base["margins"] | margins,
        "correlations": base["correlations"],
    }
    return check_spec(data, Cohort, name=str(path))
