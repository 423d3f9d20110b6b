"""A synthetic cohort in the shape of the NLST tables: no person in it ever lived.

It serves tests and tutorials: a fit on it must find again the coefficients that made it, and those mean nothing
clinically.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd

from twins.files import replacing

from ..model import ModelSpec, get
from .cohort import draw_nodules, draw_people
from .definitions import NoduleLobe, nodule_lobe
from .records import abnormalities, comparisons, participants, screens, timeline

VERSION = "synthetic"
"""``dataset_version`` of every row."""

GENERATING_INTERCEPT = -6.6
"""Estimated: some 380 of 7,200 persons with nodules at T0 have a cancer within two years."""

NOTICE = """SYNTHETIC DATA - NOT NLST

These tables have the columns and codes of the public tables of the National Lung Screening Trial, and nothing else of
it: every row was drawn at random by lungtwin from published margins, with covariates independent of each other.
No participant of any trial is in them. dataset_version is "synthetic" in every row.

Which T0 nodules are cancers was drawn from the model {model} (hash {hash}).
A model fitted on these tables has to find those coefficients again; it says nothing about people.
Label definition under which it does: {label}
"""


@dataclass(frozen=True, slots=True, eq=False)
class SyntheticNlst:
    """Synthetic tables, and what made them.

    Attributes
    ----------
    prsn, ctab, ctabc, screen
        Tables with the public columns, in their order (39, 12, 10, 20); ``prsn`` has more in the CDAS shape.
    model
        Generating model: the probability that a nodule of T0 is a cancer diagnosed within ``label.years``.
    label
        Definition under which a fit recovers ``model``.
    paths
        Files written, by table; empty without a folder.
    """

    prsn: pd.DataFrame
    ctab: pd.DataFrame
    ctabc: pd.DataFrame
    screen: pd.DataFrame
    model: ModelSpec
    label: NoduleLobe
    paths: Mapping[str, Path]


def synthetic_nlst(
    n: int,
    rng: np.random.Generator,
    folder: str | os.PathLike[str] | None = None,
    *,
    cdas: bool = False,
    model: ModelSpec | None = None,
    years: int = 2,
) -> SyntheticNlst:
    """Draw a synthetic cohort of ``n`` participants, half of them in the CT arm, in the shape of the NLST tables.

    Margins are those of :mod:`labeling.nlst.margins`, independent of each other. T0 nodules are cancers with the
    probability of ``model`` and are then diagnosed, uniformly in time, within ``years`` of T0; nodules that appear
    later are benign, and all other cancers of the CT arm come after the screening years.

    Parameters
    ----------
    n
        Participants, at least 1.
    rng
        Source of all randomness: the same state gives the same tables.
    folder
        Where to write ``SYNTHETIC_nlst_prsn.csv``, ``..._ctab.csv``, ``..._ctabc.csv``, ``..._screen.csv`` and
        ``README_SYNTHETIC.txt``; it is made if it is not there. None writes nothing.
    cdas
        Add to ``prsn`` those CDAS columns that this package reads (arm, follow-up, smoking, relatives, COPD), and
        ``sct_ab_source`` to ``ctab``. A real CDAS file has some 300 columns.
    model
        Generating model of nodules; None is :func:`generating_model`.
    years
        Time from T0 to the last diagnosis of a T0 nodule, 1 to 3 [years of 365 days].

    Raises
    ------
    ValueError
        If ``n`` or ``years`` is out of range, or the model is not one of nodules or needs what the cohort lacks.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    if not 1 <= years <= 3:
        raise ValueError(f"years must be 1 to 3, got {years}")
    if not isinstance(rng, np.random.Generator):
        raise ValueError(f"rng must be a numpy random generator, e.g. numpy.random.default_rng(1), got {rng!r}")
    spec = generating_model() if model is None else model
    if spec.level != "nodule":
        raise ValueError(f"model {spec.id!r} is of level {spec.level!r}; the cohort needs one of nodules")
    people = draw_people(n, rng)
    nodules = draw_nodules(people, spec, rng)
    time = timeline(people, nodules, years, rng)
    prsn = participants(people, nodules, time, rng, cdas=cdas, version=VERSION)
    ctab, nodule = abnormalities(people, nodules, time, rng, cdas=cdas, version=VERSION)
    tables = {
        "prsn": prsn,
        "ctab": ctab,
        "ctabc": comparisons(people, nodules, time, ctab, nodule, version=VERSION),
        "screen": screens(people, time, rng, version=VERSION),
    }
    label = nodule_lobe(years, "alone", other_lobes="benign", rounds=(0,))
    paths = {} if folder is None else _write(tables, spec, label, Path(folder))
    return SyntheticNlst(**tables, model=spec, label=label, paths=MappingProxyType(paths))


def generating_model() -> ModelSpec:
    """The nodule model that makes the synthetic cancers: slopes of Brock 2b, without family history, intercept ours.

    Family history is not in the public tables; the intercept makes the share of cancers resemble that of NLST.
    """
    brock = get("brock-2b")
    return brock.model_copy(
        update={
            "id": "synthetic-nlst-truth",
            "version": "1.0",
            "title": "Generating model of the synthetic NLST cohort: not a clinical model",
            "citation": f"Slopes of {brock.id} without family history, intercept chosen by lungtwin. {brock.citation}",
            "population": "Synthetic nodules",
            "outcome": "The synthetic nodule is a cancer",
            "horizon": "Within the years given to synthetic_nlst after T0",
            "precision": "Exact by definition",
            "status": "Generates synthetic tables; must not be used for anything else",
            "intercept": GENERATING_INTERCEPT,
            "covariates": tuple(c for c in brock.covariates if c.name != "family_history"),
            "terms": tuple(t for t in brock.terms if t.covariate != "family_history"),
            "published": False,
            "exclusions": (),
            "performance": (),
            "checked_by": (),
        }
    )


def _write(tables: dict[str, pd.DataFrame], spec: ModelSpec, label: NoduleLobe, folder: Path) -> dict[str, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for kind, table in tables.items():
        paths[kind] = folder / f"SYNTHETIC_nlst_{kind}.csv"
        with replacing(paths[kind]) as part:
            table.to_csv(part, index=False, lineterminator="\n")
    with replacing(folder / "README_SYNTHETIC.txt") as part:
        part.write_text(NOTICE.format(model=spec.id, hash=spec.hash(), label=label.rule), encoding="utf-8")
    return paths
