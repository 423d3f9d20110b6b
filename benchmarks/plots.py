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
    """Nanoseconds per unit of work against x, by what is done; processor time, or wall time where asked for."""
    found: dict[str, list[tuple[float, float]]] = {}
    for point in points:
        seconds = statistics.median(run["wall_s" if by_wall else "cpu_s"] for run in point["runs"])
        found.setdefault(point["what"], []).append((point["x"], 1e9 * seconds / point["work"]))
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
        panel.set_ylabel("wall ns per unit" if name == "threads" else "processor ns per unit")
        if side is None:
            continue
        for what, line in curves(side["found"]["points"], by_wall=name == "threads").items():
            unit = "voxel update" if what == "FDK" else "reading"
            panel.plot(*zip(*line, strict=True), marker="o", label=f"{what}, per {unit}")
        xs = sorted({point["x"] for point in side["found"]["points"]})
        panel.set_xticks(xs, [f"{x:g}" for x in xs])
        panel.set_ylim(bottom=0)
        panel.grid(alpha=0.3)
        panel.legend(fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
