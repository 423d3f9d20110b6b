"""Contact sheets: every nodule in three planes and two windows, all to one scale, as one PNG or one HTML page.

Display is radiological, as in :mod:`flows.report.pictures`. Pictures are plain arrays of grey values, so that two
hundred nodules take seconds.
"""

from __future__ import annotations

import base64
import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lesions.images.closeup import Closeup
from twins.files import replacing

from .pictures import WINDOWS

PLANES = ("axial", "coronal", "sagittal")
FIELDS_MM = (25.0, 40.0, 60.0, 90.0, 130.0)
"""Sides of the squares shown; a nodule gets the smallest that holds it with lung around."""

GAP_PX = 3

LINE_PX, CHARACTER_PX = 14, 6.2
"""Height of a caption's line on a PNG sheet and room for one of its characters, of the size that the next line says."""

CAPTION_PT, TITLE_PT = 7, 11
TEMPLATE = "sheet.html.j2"


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """One nodule of a sheet.

    Parameters
    ----------
    name
        What it is called: an id.
    tags
        The classes it belongs to, for the page's filter.
    caption
        A line about it.
    closeup
        Its image; None where there is none.
    field_mm
        Side of the squares shown [mm].
    reason
        Why there is no image.
    """

    name: str
    tags: tuple[str, ...]
    caption: str
    closeup: Closeup | None = None
    field_mm: float = FIELDS_MM[0]
    reason: str = ""


def field_for(extent_mm: float) -> float:
    """Side of the square in which a nodule of that extent is shown [mm]."""
    return next((field for field in FIELDS_MM if field >= 1.25 * extent_mm + 8.0), FIELDS_MM[-1])


def write_sheet(cells: Sequence[Cell], target: Path, *, title: str, note: str, px_per_mm: float = 3.0) -> Path:
    """Write a sheet; the suffix of ``target`` says what: ``.png`` or ``.html`` (one file, with a filter by class).

    Raises
    ------
    ValueError
        If the suffix is another, or there is nothing to show.
    """
    if target.suffix not in (".png", ".html"):
        raise ValueError(f"--sheet: a contact sheet ends in .png or .html, got {target}")
    if not cells:
        raise ValueError("a contact sheet needs at least one nodule")
    if target.suffix == ".png":
        data = _png_sheet(cells, title, note, px_per_mm)
        with replacing(target) as part:
            part.write_bytes(data)
    else:
        with replacing(target) as part:
            part.write_text(_page(cells, title, note, px_per_mm), encoding="utf-8")
    return target


def picture(closeup: Closeup, field_mm: float, px_per_mm: float) -> NDArray[np.uint8]:
    """Planes from left to right, windows from top to bottom (lung, mediastinum), as grey values ``(rows, columns)``."""
    n = round(field_mm * px_per_mm)
    planes = [_plane(closeup, axis, n, px_per_mm) for axis in PLANES]
    rows = []
    for level, width in WINDOWS.values():
        tiles = [np.clip((hu - level) / width + 0.5, 0, 1) for hu in planes]
        rows.append(_spaced(tiles, axis=1))
    return np.asarray(np.rint(255 * _spaced(rows, axis=0)), np.uint8)


def _plane(closeup: Closeup, axis: str, n: int, px_per_mm: float) -> NDArray[np.float64]:
    """Square slice through the nodule's centroid, linearly interpolated: ``(n, n)`` [HU]."""
    from scipy.ndimage import map_coordinates

    cx, cy, cz = closeup.truth.centre_mm
    across = (np.arange(n) - 0.5 * (n - 1)) / px_per_mm
    down = across[:, None]
    zero = np.zeros((n, n))
    x, y, z = {
        "axial": (across + zero, down + zero, zero),
        "coronal": (across + zero, zero, zero - down),
        "sagittal": (zero, across + zero, zero - down),
    }[axis]
    index = closeup.grid.world_to_index(np.stack((cx + x, cy + y, cz + z), axis=-1))
    return np.asarray(map_coordinates(closeup.hu, np.moveaxis(index, -1, 0), order=1, mode="nearest"), np.float64)


def _spaced(tiles: Sequence[NDArray[np.float64]], axis: int) -> NDArray[np.float64]:
    shape = list(tiles[0].shape)
    shape[axis] = GAP_PX
    parts = []
    for tile in tiles:
        parts += [np.full(shape, 0.25), tile]
    return np.concatenate(parts[1:], axis=axis)


def _address(grey: NDArray[np.uint8]) -> str:
    from matplotlib.image import imsave

    data = io.BytesIO()
    imsave(data, np.repeat(grey[..., None], 3, axis=2), format="png")
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()


def _page(cells: Sequence[Cell], title: str, note: str, px_per_mm: float) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown: list[dict[str, Any]] = [
        {
            "cell": cell,
            "picture": "" if cell.closeup is None else _address(picture(cell.closeup, cell.field_mm, px_per_mm)),
        }
        for cell in cells
    ]
    tags: dict[str, int] = {}
    for cell in cells:
        for tag in cell.tags:
            tags[tag] = tags.get(tag, 0) + 1
    return environment.get_template(TEMPLATE).render(
        title=title, note=note, shown=shown, tags=tags, px_per_mm=px_per_mm, n=len(cells)
    )


def _caption(cell: Cell, width_px: int) -> list[str]:
    """The lines above a picture, none wider than it."""
    n = max(10, int(width_px / CHARACTER_PX))
    return [
        line
        for text in (f"{cell.name}  {', '.join(cell.tags)}", cell.reason or cell.caption)
        for line in textwrap.wrap(text, n)
    ]


def _png_sheet(cells: Sequence[Cell], title: str, note: str, px_per_mm: float) -> bytes:
    """All cells on black, filled row by row to about two thousand pixels, captions above."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    pictures = [None if c.closeup is None else picture(c.closeup, c.field_mm, px_per_mm) for c in cells]
    small = round(FIELDS_MM[0] * px_per_mm) * 3
    widths = [small if p is None else p.shape[1] for p in pictures]
    width = max(2000, *widths)
    captions = [_caption(cell, w) for cell, w in zip(cells, widths, strict=True)]
    head = textwrap.wrap(f"{title}. {note}", int(width / CHARACTER_PX / TITLE_PT * CAPTION_PT))
    places, at, top, height = [], 0, round(8 + len(head) * LINE_PX * TITLE_PT / CAPTION_PT) + 8, 0
    for w, p, caption in zip(widths, pictures, captions, strict=True):
        h = LINE_PX * len(caption) + 6 + (0 if p is None else p.shape[0])
        if at and at + w > width:
            at, top, height = 0, top + height + 12, 0
        places.append((top, at))
        at, height = at + w + 16, max(height, h)
    total = top + height + 8
    grey = np.zeros((total, width), np.uint8)
    for (y, x), p, caption in zip(places, pictures, captions, strict=True):
        if p is not None:
            below = y + LINE_PX * len(caption) + 6
            grey[below : below + p.shape[0], x : x + p.shape[1]] = p
    figure = Figure(figsize=(width / 100, total / 100), dpi=100, facecolor="black")
    FigureCanvasAgg(figure)
    figure.figimage(grey, 0, 0, cmap="gray", vmin=0, vmax=255, origin="upper")

    def write(lines: Sequence[str], x: float, y: float, points: float) -> None:
        for number, line in enumerate(lines):
            base = y + LINE_PX * points / CAPTION_PT * (number + 0.85)
            figure.text(x / width, 1 - base / total, line, fontsize=points, color="white", parse_math=False)

    write(head, 8, 4, TITLE_PT)
    for (y, x), caption in zip(places, captions, strict=True):
        write(caption, x, y, CAPTION_PT)
    data = io.BytesIO()
    figure.savefig(data, format="png", facecolor="black", metadata={"Software": None})
    return data.getvalue()
