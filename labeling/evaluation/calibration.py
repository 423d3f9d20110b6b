"""Calibration: in the large, slope, observed to expected, and the distance of a smooth curve from the diagonal.

The smooth curve is a logistic regression of the outcome on a restricted cubic spline of logit p with four knots at the
5, 35, 65 and 95 % quantiles (F. E. Harrell, Regression Modeling Strategies, 2nd ed., sections 2.4.5 and 2.4.6). ICI,
E50, E90 and Emax are mean, median, 90 % quantile and maximum of abs(p - curve(p)) over the records (P. C. Austin,
E. W. Steyerberg, Stat Med 2019;38:4051, who smooth by loess; splines as in Austin, Harrell, van Klaveren, Stat Med
2020;39:2714).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from .inputs import Z95, Estimate, logit
from .logistic import fit_logistic

KNOT_QUANTILES = (0.05, 0.35, 0.65, 0.95)
SMOOTHER = "logistic regression on a restricted cubic spline of logit p, knots at the 5, 35, 65 and 95 % quantiles"


@dataclass(frozen=True, slots=True)
class Smooth:
    """Distance of the smooth calibration curve from the diagonal, in probability."""

    ici: float
    e50: float
    e90: float
    emax: float
    smoother: str


@dataclass(frozen=True, slots=True)
class Bin:
    """Records of neighbouring probability: what was predicted, what occurred."""

    n: int
    events: int
    mean_probability: float
    observed: float
    low: float
    high: float


def offset(y: NDArray[np.bool_], p: NDArray[np.float64], codes: NDArray[np.intp] | None = None) -> Estimate:
    """Calibration in the large: the constant that added to logit p makes the expected events the observed ones."""
    beta, covariance = fit_logistic(np.ones((y.size, 1)), y, logit(p), codes)
    return _wald(float(beta[0]), float(covariance[0, 0]), codes)


def slope(y: NDArray[np.bool_], p: NDArray[np.float64], codes: NDArray[np.intp] | None = None) -> Estimate:
    """Calibration slope: b of ``logit P(y) = a + b logit p``; below 1, probabilities are too extreme."""
    beta, covariance = fit_logistic(np.column_stack([np.ones(y.size), logit(p)]), y, codes=codes)
    return _wald(float(beta[1]), float(covariance[1, 1]), codes)


def observed_to_expected(
    y: NDArray[np.bool_], p: NDArray[np.float64], codes: NDArray[np.intp] | None = None
) -> Estimate:
    """Observed over expected events; interval on the log scale, ratio estimator linearised over records or groups."""
    observed, expected = float(np.count_nonzero(y)), float(p.sum())
    if expected == 0:
        raise ValueError("every probability is 0, so no events are expected")
    ratio = observed / expected
    residuals = y.astype(np.float64) - ratio * p
    if codes is not None:
        residuals = np.asarray(np.bincount(codes, weights=residuals), dtype=np.float64)
    m = residuals.size
    error = float(np.sqrt(np.sum(residuals**2) * m / (m - 1))) / observed
    method = "ratio estimator, log scale" + ("" if codes is None else ", clustered by participant")
    return Estimate(ratio, ratio * float(np.exp(-Z95 * error)), ratio * float(np.exp(Z95 * error)), method)


def smooth_curve(y: NDArray[np.bool_], p: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Smoothed observed probability at the probabilities ``at``.

    Raises
    ------
    ValueError
        If the probabilities take too few values for four knots, or they separate the outcomes.
    """
    x = logit(p)
    knots = np.quantile(x, KNOT_QUANTILES)
    if np.min(np.diff(knots)) < 1e-9 * max(1.0, float(np.ptp(x))):
        raise ValueError("the probabilities take too few different values for the four knots of the smooth curve")
    middle, scale = float(knots.mean()), float(np.ptp(knots))
    scaled = (knots - middle) / scale
    beta, _ = fit_logistic(_spline((x - middle) / scale, scaled), y)
    return np.asarray(expit(_spline((logit(at) - middle) / scale, scaled) @ beta), dtype=np.float64)


def smooth(y: NDArray[np.bool_], p: NDArray[np.float64]) -> Smooth:
    """ICI, E50, E90 and Emax; raises as :func:`smooth_curve`."""
    gap = np.abs(p - smooth_curve(y, p, p))
    return Smooth(
        ici=float(gap.mean()),
        e50=float(np.median(gap)),
        e90=float(np.quantile(gap, 0.9)),
        emax=float(gap.max()),
        smoother=SMOOTHER,
    )


def bins(y: NDArray[np.bool_], p: NDArray[np.float64], count: int = 10) -> tuple[Bin, ...]:
    """Up to ``count`` bins of about equally many records; equal probabilities stay together; Wilson intervals."""
    edges = np.unique(np.quantile(p, np.linspace(0, 1, count + 1)[1:-1]))
    codes = np.searchsorted(edges, p, side="left")
    found = []
    for code in np.unique(codes):
        inside = codes == code
        n, events = int(np.count_nonzero(inside)), int(np.count_nonzero(y[inside]))
        low, high = _wilson(events, n)
        found.append(Bin(n, events, float(p[inside].mean()), events / n, low, high))
    return tuple(found)


def _spline(x: NDArray[np.float64], knots: NDArray[np.float64]) -> NDArray[np.float64]:
    """Constant, x, and the cubic terms that are linear beyond the outer knots; shape ``(n, len(knots))``."""

    def cube(knot: float) -> NDArray[np.float64]:
        return np.asarray(np.maximum(x - knot, 0.0) ** 3)

    last, before = float(knots[-1]), float(knots[-2])
    columns = [np.ones_like(x), x]
    for knot in map(float, knots[:-2]):
        up, down = (last - knot) / (last - before), (before - knot) / (last - before)
        columns.append(cube(knot) - up * cube(before) + down * cube(last))
    return np.column_stack(columns)


def _wald(value: float, variance: float, codes: NDArray[np.intp] | None) -> Estimate:
    half = Z95 * variance**0.5
    method = "Wald" if codes is None else "Wald, clustered by participant"
    return Estimate(value, value - half, value + half, method)


def _wilson(events: int, n: int) -> tuple[float, float]:
    share, z2 = events / n, Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * (share * (1 - share) / n + z2 / (4 * n * n)) ** 0.5
    return max(centre - half, 0.0), min(centre + half, 1.0)
