"""Pictures of CT images as PNG: windows, planes, contours. Drawn without a display and without global state.

Display is radiological: the patient's right is on the left of axial and coronal pictures, the head is up, and the front
is on the left of sagittal pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twins import Grid

WINDOWS = {"lung": (-600.0, 1500.0), "mediastinum": (40.0, 400.0)}
"""Level and width [HU], as radiologists set them."""

CONTOUR = "#ffb000"
MARK = "#4fc3f7"


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture: pixels ``(vertical, horizontal)``, their box, what is drawn over them.

    Parameters
    ----------
    hu
        Values [HU].
    extent_mm
        Left, right, bottom, top edge [mm].
    window
        Name in ``WINDOWS``.
    contour
        Occupancy on the same pixels, drawn where it is one half; or None.
    marks
        Points (horizontal, vertical) [mm].
    title
        Small text in the corner.
    """

    hu: NDArray[np.generic]
    extent_mm: tuple[float, float, float, float]
    window: str
    contour: NDArray[np.generic] | None = None
    marks: Sequence[tuple[float, float]] = ()
    title: str = ""


def plane(
    array: NDArray[np.generic], grid: Grid, axis: str, index: int
) -> tuple[NDArray[np.generic], tuple[float, float, float, float]]:
    """One slice of an axis-aligned volume as ``(vertical, horizontal)`` pixels and its extent.

    Parameters
    ----------
    axis
        ``axial``, ``coronal`` or ``sagittal``.
    index
        Of the slice along that axis.
    """
    half = [s / 2 for s in grid.spacing_mm]
    z, y, x = grid.axes_mm()
    box = {
        "z": (z[0] - half[0], z[-1] + half[0]),
        "y": (y[0] - half[1], y[-1] + half[1]),
        "x": (x[0] - half[2], x[-1] + half[2]),
    }
    if axis == "axial":
        return array[index], (*box["x"], box["y"][1], box["y"][0])
    if axis == "coronal":
        return array[::-1, index], (*box["x"], *box["z"])
    return array[::-1, :, index], (*box["y"], *box["z"])


def draw_panel(axes: Any, panel: Panel) -> None:
    """Draw a panel into axes that fill its box."""
    from matplotlib.patheffects import Normal, Stroke

    level, width = WINDOWS[panel.window]
    axes.set_axis_off()
    axes.imshow(
        panel.hu,
        cmap="gray",
        vmin=level - width / 2,
        vmax=level + width / 2,
        extent=panel.extent_mm,
        interpolation="bilinear",
        aspect="auto",
    )
    left, right, bottom, top = panel.extent_mm
    if panel.contour is not None and panel.contour.max() > 0.5 > panel.contour.min():
        n_rows, n_columns = panel.contour.shape
        across = left + (np.arange(n_columns) + 0.5) * (right - left) / n_columns
        down = top + (np.arange(n_rows) + 0.5) * (bottom - top) / n_rows
        axes.contour(across, down, panel.contour, levels=[0.5], colors=CONTOUR, linewidths=1.1)
    for across_mm, up_mm in panel.marks:
        axes.plot(
            across_mm, up_mm, "o", markersize=11, markerfacecolor="none", markeredgecolor=MARK, markeredgewidth=1.1
        )
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    edge = [Stroke(linewidth=2.2, foreground="#000000aa"), Normal()]
    ink = {"color": "#f1f3f4", "path_effects": edge}
    if panel.title:
        axes.text(0.02, 0.98, panel.title, transform=axes.transAxes, fontsize=8, va="top", ha="left", **ink)
    step = 10.0 if abs(right - left) < 120 else 50.0
    x0, y0 = left + 0.04 * (right - left), bottom + 0.05 * (top - bottom)
    axes.plot([x0, x0 + step * np.sign(right - left)], [y0, y0], linewidth=1.4, solid_capstyle="butt", **ink)
    axes.text(x0, y0 + 0.012 * (top - bottom), f"{step:g} mm", fontsize=7, va="bottom", ha="left", **ink)
