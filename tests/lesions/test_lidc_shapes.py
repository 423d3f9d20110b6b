"""Outlined nodules have the shapes of LIDC-IDRI's: same sizes and ratings, same pixels and slices, same readers."""

from __future__ import annotations

import csv
from importlib.resources import files

import numpy as np
import pytest

from lesions import Nodule
from lesions.descriptors import describe
from lesions.raster import rasterise
from lesions.readers.outlines import ReaderModel, outline, seen
from twins import Grid

N = {"smooth": 110, "mid": 90, "spiculated": 89}
MEASURES = ("axial_ratio", "elongation", "flatness", "circularity", "solidity", "sphericity")


def class_of(row):
    worst = max(row["spiculation"], row["lobulation"])
    return "smooth" if worst <= 1.5 else "spiculated" if row["spiculation"] >= 3.5 else "mid"


def measured(row):
    """The descriptors of a real nodule, as tabulated."""
    return [row["short_mm"] / row["long_mm"], *(row[k] for k in ("elong", "flat", "circ", "solidity", "spher3d"))]


def outlined(row, rng):
    """Medians over readers of the descriptors of a nodule made like a real one and outlined like it."""
    nodule = Nodule(
        id="a",
        key=int(rng.integers(2**63)),
        equivalent_diameter_mm=min(max(row["deq_mm"], 3.0), 39.0),
        **{k: row[k] for k in ("sphericity", "lobulation", "spiculation")},
    )
    raster = rasterise(nodule, spacing_mm=max(0.3, nodule.target_diameter_mm / 30))
    spacing = (row["dz_mm"], row["px_mm"], row["px_mm"])
    size = np.asarray(raster.grid.size_mm)
    shape = tuple(int(n) for n in np.ceil(1.5 * size / spacing) + 3)
    corner = (rng.uniform(-0.5, 0.5, 3) - 0.5 * (np.array(shape[::-1]) - 1)) * spacing[::-1]
    around = Grid(shape, spacing, tuple(float(c) for c in corner))
    picture = seen(raster.grid, raster.occupancy, spacing, ReaderModel().psf_fwhm_mm)
    ambiguity = float(rng.standard_normal())
    shapes = []
    for _ in range(min(4, int(row["n_readers"]))):
        inside = outline(
            raster.grid,
            picture,
            np.zeros(3),
            around,
            row["davg_mm"],
            ReaderModel(),
            rng,
            ambiguity=ambiguity,
            spiculation=row["spiculation"],
        )
        if inside.any():
            shapes.append(describe(inside, spacing))
    if not shapes:
        return [np.nan] * len(MEASURES)
    values = np.array([[getattr(s, m) or np.nan for m in MEASURES] for s in shapes], float)
    return [np.nanmedian(v) if np.isfinite(v).any() else np.nan for v in values.T]


def distance(drawn, weight, real):
    """KS distance of a weighted sample to a sample, values that are not known left out."""
    known = np.isfinite(drawn)
    drawn, weight, real = drawn[known], weight[known], np.sort(real[np.isfinite(real)])
    order = np.argsort(drawn)
    edges = np.sort(np.concatenate((drawn, real)))
    share = np.concatenate(([0.0], np.cumsum(weight[order]) / weight.sum()))
    ours = share[np.searchsorted(drawn[order], edges, side="right")]
    return np.abs(ours - np.searchsorted(real, edges, side="right") / len(real)).max()


@pytest.fixture(scope="module")
def compared():
    """Descriptors ``(nodule, measure)`` and classes, drawn and real."""
    text = files("lesions.cohorts").joinpath("lidc_nodules.csv").read_text(encoding="utf-8").splitlines()
    rows = [{k: float(v) for k, v in r.items()} for r in csv.DictReader(x for x in text if not x.startswith("#"))]
    rows = [r for r in rows if r["n_readers"] >= 3]
    classes = np.array([class_of(r) for r in rows])
    rng = np.random.default_rng(23)
    pick = np.concatenate([rng.choice(np.flatnonzero(classes == c), n, replace=False) for c, n in N.items()])
    drawn = np.array([outlined(rows[i], rng) for i in pick])
    return drawn, classes[pick], np.array([measured(r) for r in rows]), classes


@pytest.mark.slow
@pytest.mark.parametrize("measure", MEASURES)
def test_shapes_are_those_of_lidc(compared, measure):
    drawn, drawn_class, real, real_class = compared
    k = MEASURES.index(measure)
    weight = np.array([np.mean(real_class == c) / np.mean(drawn_class == c) for c in drawn_class])
    found = {"pooled": (distance(drawn[:, k], weight, real[:, k]), 0.12)}
    for name, n in N.items():
        ours, theirs = drawn[drawn_class == name, k], real[real_class == name, k]
        found[name] = (distance(ours, np.ones(n), theirs), 1.36 / np.sqrt(np.isfinite(ours).sum()) + 0.05)
    # shown with -s
    print(measure, {name: f"{d:.3f} ({bar:.3f})" for name, (d, bar) in found.items()})  # noqa: T201
    assert {name for name, (d, bar) in found.items() if d > bar} == set(), found
