"""Qualifying a scanner profile: the examination of :mod:`ctsim.quality.acceptance`, written as JSON and pictures.

Folder: ``qa.json`` (format "lungtwin qa", version 2: profile, level, passed, and one entry per row, which names the
examination that it comes from), one PNG per curve and map.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twins.files import replacing

if TYPE_CHECKING:
    from ctsim.quality.acceptance import Curve, Map, Qualification, Row

FORMAT = "lungtwin qa"
VERSION = 2


def write_qualification(found: Qualification, folder: Path) -> tuple[Path, ...]:
    """Write a qualification into a folder, which is made where there is none; returns the files.

    Raises
    ------
    OSError
        If the folder cannot be made or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "qa.json"
    with replacing(table) as part:
        part.write_text(json.dumps(as_data(found), indent=1) + "\n", encoding="utf-8")
    files = [table]
    for curve in found.curves:
        files.append(_draw(folder, curve.name, (5.2, 3.6), lambda axes, c=curve: _draw_curve(axes, c)))
    for image in found.maps:
        files.append(_draw(folder, image.name, _size(image), lambda axes, m=image: _draw_map(axes, m)))
    return tuple(files)


def as_data(found: Qualification) -> dict[str, Any]:
    """Plain data of a qualification; numbers that are not finite are null."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "profile": found.profile,
        "level": found.level,
        "passed": found.passed,
        "rows": [_row(row) for row in found.rows],
    }


def _row(row: Row) -> dict[str, Any]:
    numbers = {name: float(getattr(row, name)) for name in ("measured", "low", "high")}
    return {
        "examination": row.examination,
        "quantity": row.quantity,
        "condition": row.condition,
        **{name: value if math.isfinite(value) else None for name, value in numbers.items()},
        "bar": row.bar,
        "unit": row.unit,
        "passed": bool(row.passed),
        "how": row.how,
    }


def _draw(folder: Path, name: str, size_inch: tuple[float, float], draw: Any) -> Path:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size_inch, dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    draw(axes)
    axes.set_title(name, fontsize=9)
    path = folder / (re.sub(r"[^A-Za-z0-9.+-]+", "_", name).strip("_") + ".png")
    with replacing(path) as part:
        figure.savefig(part, format="png", metadata={"Software": None})
    return path


def _draw_curve(axes: Any, curve: Curve) -> None:
    for i, (label, x, y) in enumerate(curve.lines):
        axes.plot(x, y, label=label, linewidth=1.4, linestyle="--" if i == len(curve.lines) - 1 and i else "-")
    axes.set_xlabel(curve.x_label)
    axes.set_ylabel(curve.y_label)
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    axes.grid(linewidth=0.3)
    axes.legend(fontsize=7)


def _size(image: Map) -> tuple[float, float]:
    rows, columns = image.values.shape
    return (5.2, 4.6) if rows > columns / 3 else (6.4, 2.4)


def _draw_map(axes: Any, image: Map) -> None:
    flat = image.values.shape[0] < image.values.shape[1] / 3
    low, high = image.window
    shown = axes.imshow(
        image.values, cmap="gray", vmin=low, vmax=high, interpolation="nearest", aspect="auto" if flat else "equal"
    )
    axes.figure.colorbar(shown, ax=axes, label=image.unit, shrink=0.8)
    axes.set_xticks([])
    axes.set_yticks([])
