"""Plots of how cost grows."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from .figures import Record

_AXES = {
    "voxels": "voxels across",
    "views": "views",
    "rows": "rows",
    "materials": "channels (3: with iodine)",
    "rays": "rays per reading",
    "threads": "threads",
}


def curves(points: list[dict[str, Any]], *, by_wall: bool = False) -> dict[str, list[tuple[float, float]]]:
    """Seconds of a run against x, by what is done: processor time, or wall time where asked for; medians."""
    found: dict[str, list[tuple[float, float]]] = {}
    for point in points:
        seconds = statistics.median(run["wall_s" if by_wall else "cpu_s"] for run in point["runs"])
        found.setdefault(point["what"], []).append((point["x"], seconds))
    return {what: sorted(line) for what, line in found.items()}


def growth(record: Record, path: Path) -> None:
    """Six panels, one thing changed in each."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(11, 6.2), constrained_layout=True)
    for panel, (name, label) in zip(axes.flat, _AXES.items(), strict=True):
        side = record["sides"].get(name)
        panel.set_xlabel(label)
        panel.set_ylabel("wall seconds" if name == "threads" else "processor-seconds")
        panel.set_xscale("log")
        panel.set_yscale("log")
        if side is None:
            continue
        for what, line in curves(side["found"]["points"], by_wall=name == "threads").items():
            panel.plot(*zip(*line, strict=True), marker="o", label=what)
        xs = sorted({point["x"] for point in side["found"]["points"]})
        panel.set_xticks(xs, [f"{x:g}" for x in xs], minor=False)
        panel.set_xticks([], minor=True)
        panel.grid(alpha=0.3)
        panel.legend(fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
