"""One twin to look at: sections in two windows, its trees as projections, its card; a page or a picture."""

from __future__ import annotations

import base64
import io
import os
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctsim.attenuation import mass_attenuation
from twins import LUNG, Tree, Twin, material
from twins.card import Card
from twins.files import replacing

from .pictures import Panel, draw_panel, plane

ENERGY_KEV = 70.0
"""Energy at which a twin's matter is shown as CT numbers [keV]."""

LEVELS = (0.8, 0.5, 0.3)
"""Heights of the axial sections along the lungs, from base (0) to apex (1)."""

COLOURS = {"airways": "#e8e8e8", "arteries": "#5b8def", "veins": "#e2574c"}


def section_hu(twin: Twin, where: tuple[Any, ...]) -> NDArray[np.float32]:
    """CT numbers at 70 keV of a part of a twin without noise; insets are not shown [HU]."""
    mu = np.array([float(mass_attenuation(made_of, ENERGY_KEV)) for made_of in twin.materials])
    water = material("water")
    fraction = twin.fraction_b[where].astype(np.float32) / 65535
    per_mass = mu[twin.material_a[where]] * (1 - fraction) + mu[twin.material_b[where]] * fraction
    density = twin.density[where].astype(np.float32) * 1e-4
    scale = float(mass_attenuation(water, ENERGY_KEV)) * water.density_g_cm3
    return np.asarray(1000 * (density * per_mass / scale - 1), np.float32)


def write_twin_page(twin: Twin, card: Card, path: str | os.PathLike[str]) -> Path:
    """Write a page (``.html``) or a picture (``.png``) of a twin.

    Raises
    ------
    ValueError
        If the file name ends in something else.
    FileNotFoundError
        If the folder of ``path`` does not exist.
    """
    target = Path(path)
    if target.suffix not in (".html", ".png"):
        raise ValueError(f"--out: a view of a twin ends in .html or .png, got {target}")
    picture = twin_picture(twin)
    with replacing(target) as part:
        if target.suffix == ".png":
            part.write_bytes(picture)
        else:
            part.write_text(_page(twin, card, picture), encoding="utf-8")
    return target


def twin_picture(twin: Twin) -> bytes:
    """Sections in the lung and in the mediastinal window and projections of the trees, as one PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [_sections(twin, window) for window in ("lung", "mediastinum")]
    trees = {name: getattr(twin, name) for name in COLOURS if len(getattr(twin, name))}
    n_rows = len(rows) + bool(trees)
    figure = Figure(figsize=(20, 4.1 * n_rows), dpi=100, facecolor="black")
    FigureCanvasAgg(figure)
    for j, panels in enumerate(rows):
        _lay_out(figure, [abs(p.extent_mm[1] - p.extent_mm[0]) for p in panels], j, n_rows, panels)
    if trees:
        views = [(name, "x") for name in trees] + [("all", "x"), ("all", "y")]
        for axes, (name, across) in zip(_lay_out(figure, [1.0] * len(views), 2, n_rows, None), views, strict=True):
            _draw_trees(axes, trees if name == "all" else {name: trees[name]}, across)
    data = io.BytesIO()
    figure.savefig(data, format="png", facecolor="black", metadata={"Software": None})
    return data.getvalue()


def _sections(twin: Twin, window: str) -> list[Panel]:
    lung = twin.is_any(LUNG)
    z, y, x = (np.flatnonzero(lung.any(axis)) for axis in ((1, 2), (0, 2), (0, 1)))
    if not len(z):
        raise ValueError("a twin without lungs has no view")
    places = [("axial", int(z[0] + level * (z[-1] - z[0]))) for level in LEVELS]
    places += [("coronal", int(y[0] + 0.45 * (y[-1] - y[0]))), ("sagittal", int(x[0] + 0.28 * (x[-1] - x[0])))]
    panels = []
    for name, index in places:
        where = {"axial": np.s_[index], "coronal": np.s_[:, index], "sagittal": np.s_[:, :, index]}[name]
        axis = {"axial": 0, "coronal": 1, "sagittal": 2}[name]
        at = twin.grid.axes_mm()[axis][index]
        hu = np.expand_dims(section_hu(twin, where if isinstance(where, tuple) else (where,)), axis)
        _, extent = plane(twin.structure, twin.grid, name, index)
        pixels = hu[0] if name == "axial" else (hu[::-1, 0] if name == "coronal" else hu[::-1, :, 0])
        panels.append(Panel(pixels, extent, window, title=f"{name}, {'zyx'[axis]} {at:.0f} mm"))
    return panels


def _lay_out(figure: Any, widths: list[float], row: int, n_rows: int, panels: list[Panel] | None) -> list[Any]:
    """Axes side by side in a row of the figure, panels drawn into them to scale."""
    gap, found, left = 0.004, [], 0.0
    room = 1 - gap * (len(widths) - 1)
    for i, width in enumerate(widths):
        share = room * width / sum(widths)
        axes = figure.add_axes((left, 1 - (row + 1) / n_rows, share, 1 / n_rows - 0.004))
        left += share + gap
        axes.set_facecolor("black")
        if panels is not None:
            draw_panel(axes, panels[i])
            axes.set_aspect("equal", adjustable="box")
        found.append(axes)
    return found


def _draw_trees(axes: Any, trees: dict[str, Tree], across: str) -> None:
    """Projection from the front (``across`` x) or from the left (y): lines as wide as the branches, far ones darker."""
    from matplotlib.collections import LineCollection
    from matplotlib.colors import to_rgb

    column, depth = (0, 1) if across == "x" else (1, 0)
    axes.set_axis_off()
    points = np.concatenate([np.concatenate([tree.start_mm, tree.end_mm]) for tree in trees.values()])
    low, high = points.min(0), points.max(0)
    scale_pt = 72 * axes.get_figure().get_size_inches()[1] * axes.get_position().height / (high[2] - low[2] + 10)
    for name, tree in trees.items():
        lines = np.stack([tree.start_mm[:, [column, 2]], tree.end_mm[:, [column, 2]]], axis=1)
        width = (tree.start_radius_mm + tree.end_radius_mm) * scale_pt
        near = (tree.start_mm[:, depth] - low[depth]) / (high[depth] - low[depth])
        near = 1 - near if across == "x" else near
        colour = np.asarray(to_rgb(COLOURS[name])) * (0.35 + 0.65 * near[:, None])
        order = np.argsort(near, kind="stable")
        segments: Any = lines[order]
        widths = np.maximum(width[order], 0.15)
        axes.add_collection(LineCollection(segments, linewidths=widths, colors=colour[order]))
    axes.set_xlim(low[column] - 5, high[column] + 5)
    axes.set_ylim(low[2] - 5, high[2] + 5)
    axes.set_aspect("equal", adjustable="box")
    title = ", ".join(f"{name} ({len(tree)} rows)" for name, tree in trees.items())
    axes.text(0.02, 0.98, title, transform=axes.transAxes, fontsize=8, va="top", ha="left", color="#f1f3f4")


def _page(twin: Twin, card: Card, picture: bytes) -> str:
    person = ", ".join(f"{name} {value}" for name, value in twin.patient if value is not None) or "person unknown"
    rows = []
    for item in card.items:
        band = "" if item.low is None else f"{item.low:.3g} to {item.high:.3g}"
        state = "" if item.inside is None else ("inside" if item.inside else "outside")
        kind = ' class="out"' if item.counted and not item.inside else ""
        cells = (item.group, item.name, f"{item.value:.4g}", item.unit, band, state, item.basis, item.source)
        rows.append(f"<tr{kind}>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    targets = "".join(
        f"<tr><td>{escape(t.name)}</td><td>{t.target:.4g}</td><td>{t.measured:.4g}</td><td>{escape(t.unit)}</td></tr>"
        for t in card.targets
    )
    counted = sum(item.counted for item in card.items)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>twin</title>
<style>
body {{ font: 14px/1.4 sans-serif; margin: 1.5rem; color: #202124; }}
img {{ width: 100%; background: black; }}
table {{ border-collapse: collapse; margin: 1rem 0; }}
td, th {{ padding: 2px 10px; text-align: left; border-bottom: 1px solid #e0e0e0; }}
tr.out td {{ background: #fde8e6; }}
</style></head><body>
<h1>{escape(str(twin.provenance.get("kind", "a")))} twin</h1>
<p>{escape(person)}; voxels of {max(twin.grid.spacing_mm):g} mm.</p>
<img alt="sections and trees" src="data:image/png;base64,{base64.b64encode(picture).decode()}">
<h2>Card</h2>
<p>{counted - len(card.outside)} of {counted} counted items inside their bands; unverified bands are not counted.</p>
<table><tr><th>group</th><th>item</th><th>value</th><th>unit</th><th>band</th><th></th><th>basis</th><th>source</th></tr>
{"".join(rows)}</table>
<h2>Targets</h2>
<table><tr><th>quantity</th><th>target</th><th>measured</th><th>unit</th></tr>{targets}</table>
</body></html>
"""
