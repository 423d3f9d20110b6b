"""Pictures of an evaluation: ROC curve, calibration with counts, decision curve. Each is one PNG."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from twins.files import replacing

from . import calibration
from .decision import net_benefit
from .discrimination import delong
from .evaluate import MINIMUM_EVENTS
from .inputs import checked

DPI = 150
BLUE, GREY, ORANGE = "#1f5fa8", "#8a8a8a", "#c8641e"
FilePath = str | os.PathLike[str]


def plot_roc(y: ArrayLike, p: ArrayLike, path: FilePath, *, title: str = "ROC curve") -> Path:
    """ROC curve with its area; raises as :func:`evaluate`."""
    from sklearn.metrics import roc_curve

    truth, probability = checked(y, p)
    false, true, _ = roc_curve(truth, probability, drop_intermediate=True)
    area = float(delong(truth, probability[None])[0][0])

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle="--", label="no discrimination")
        axes.plot(false, true, color=BLUE, linewidth=1.6, label=f"AUC {area:.3f}")
        axes.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(0, 1), ylim=(0, 1.005), aspect="equal")
        axes.set_title(f"{title}\n{_counts(truth)}", fontsize=9)
        axes.grid(linewidth=0.3)
        axes.legend(loc="lower right", fontsize=8, frameon=False)

    return _written(path, (4.6, 4.8), draw)


def plot_calibration(y: ArrayLike, p: ArrayLike, path: FilePath, *, title: str = "Calibration") -> Path:
    """Observed against predicted in ten bins (Wilson intervals), smooth curve where allowed, counts below.

    The smooth curve is left out below ``MINIMUM_EVENTS`` records of either outcome, and the picture says so.
    """
    truth, probability = checked(y, p)
    found = calibration.bins(truth, probability)
    top = min(1.0, 1.05 * max([*(b.high for b in found), float(np.quantile(probability, 0.999))]))
    enough = min(np.count_nonzero(truth), np.count_nonzero(~truth)) >= MINIMUM_EVENTS
    grid = np.linspace(float(probability.min()), min(float(probability.max()), top), 400)
    curve, note = None, f"no smooth curve: fewer than {MINIMUM_EVENTS} of one outcome"
    if enough:
        try:
            curve = calibration.smooth_curve(truth, probability, grid)
        except ValueError as error:
            note = f"no smooth curve: {error}"

    def draw(figure: Any) -> None:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        upper.plot([0, top], [0, top], color=GREY, linewidth=0.8, linestyle="--", label="perfect")
        if curve is None:
            upper.plot([], [], " ", label=note)
        else:
            upper.plot(grid, curve, color=BLUE, linewidth=1.6, label="smooth (restricted cubic spline)")
        x = np.array([b.mean_probability for b in found])
        observed = np.array([b.observed for b in found])
        # The interval of Wilson reaches the observed share only up to rounding where that is 0 or 1.
        errors = np.maximum([observed - [b.low for b in found], [b.high for b in found] - observed], 0.0)
        upper.errorbar(x, observed, yerr=errors, fmt="o", markersize=4, color=ORANGE, linewidth=1, label="bins, 95 %")
        upper.set(ylabel="observed", xlim=(0, top), ylim=(0, top))
        upper.set_title(f"{title}\n{_counts(truth)}", fontsize=9)
        upper.grid(linewidth=0.3)
        upper.legend(loc="upper left", fontsize=7, frameon=False)
        edges = np.linspace(0, top, 41)
        # Records above the axes' end are counted in the last bar.
        clipped = np.minimum(probability, top)
        lower.hist(clipped, bins=edges, color=GREY, label="all")
        lower.hist(clipped[truth], bins=edges, color=ORANGE, label="with event")
        lower.set_yscale("log")
        lower.set(xlabel="predicted probability", ylabel="records")
        lower.legend(fontsize=6, frameon=False)

    return _written(path, (4.8, 5.6), draw)


def plot_decision(
    y: ArrayLike, p: ArrayLike, path: FilePath, *, highest: float = 0.2, title: str = "Decision curve"
) -> Path:
    """Net benefit of the model, of acting on all and on none, at thresholds from 0.1 % to ``highest``."""
    truth, probability = checked(y, p)
    if not 0.001 < highest < 1:
        raise ValueError(f"highest must be above 0.001 and below 1, got {highest:g}")
    points = [net_benefit(truth, probability, float(t)) for t in np.linspace(0.001, highest, 400)]

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        x = [100 * point.threshold for point in points]
        axes.plot(x, [point.all for point in points], color=GREY, linewidth=1, label="act on all")
        axes.axhline(0.0, color="black", linewidth=0.8, label="act on none")
        axes.plot(x, [point.model for point in points], color=BLUE, linewidth=1.6, label="act above the threshold")
        best = max(max(point.model, point.all) for point in points)
        axes.set(xlabel="threshold probability [%]", ylabel="net benefit", xlim=(0, 100 * highest))
        axes.set_ylim(-0.25 * best, 1.1 * best)
        axes.set_title(f"{title}\n{_counts(truth)}", fontsize=9)
        axes.grid(linewidth=0.3)
        axes.legend(fontsize=8, frameon=False)

    return _written(path, (5.2, 4.0), draw)


def _counts(truth: np.ndarray[Any, Any]) -> str:
    return f"{truth.size:,} records, {np.count_nonzero(truth):,} events"


def _written(path: FilePath, size_inch: tuple[float, float], draw: Callable[[Any], None]) -> Path:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size_inch, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure)
    with replacing(path) as part:
        figure.savefig(part, format="png", metadata={"Software": None})
    return Path(path)
