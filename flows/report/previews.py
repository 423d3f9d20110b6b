"""Small images of a dataset for the page: CT numbers in eight bits, compressed, to be windowed by the browser.

One byte holds the range of all windows of the page, finer where soft tissue is (``KNOTS_HU``): 10 HU a step in lung,
4 HU in soft tissue, 30 HU in bone. The browser turns bytes into grey values by a table per window, so that one picture
serves all windows. Compression (WebP, lossy) adds an error of a few steps: previews are to look at, not to measure.

Display is radiological: the patient's right is on the left of axial and coronal pictures, the head is up, and the front
is on the left of sagittal pictures.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lesions import Truth
from twins import Grid

from ..volumes import averaged

KNOTS_HU = (-1100.0, -200.0, 300.0, 1500.0)
KNOTS = (0.0, 90.0, 215.0, 255.0)
"""CT numbers [HU] and the bytes that hold them; linear in between."""

WINDOWS = {"lung": (-600.0, 1500.0), "mediastinum": (40.0, 400.0), "bone": (400.0, 1800.0)}
"""Level and width [HU] as radiologists set them (design default)."""

LUNG_HU = (-950.0, -600.0)
"""What counts as lung where a slice to show first is chosen [HU] (design default)."""

THUMB_PX = 192
"""Longest side of the pictures of the gallery."""

LONGEST_SIDE_PX = 16_000
"""WebP holds no picture wider or higher than 16,383 pixels."""


@dataclass(frozen=True, slots=True)
class Detail:
    """How much of an image the page keeps.

    Parameters
    ----------
    side_px
        Pixels along the longer side of a slice.
    n_slices
        Most slices kept, evenly spaced from the first to the last.
    nodule_px
        Pixels along the sides of a nodule's three squares.
    quality
        Of the compression, 0 to 100.
    """

    side_px: int
    n_slices: int
    nodule_px: int
    quality: int


DETAILS = (
    (8, Detail(288, 72, 160, 80)),
    (40, Detail(224, 48, 128, 80)),
    (200, Detail(160, 32, 96, 75)),
    (1_500, Detail(112, 16, 72, 65)),
)
"""Up to so many images the page has previews of this detail; it stays below about 60 MB."""

MAX_PICTURED = DETAILS[-1][0]
"""Images with pictures; those beyond are in the tables alone."""


_BYTES = np.rint(np.interp(np.arange(KNOTS_HU[0], KNOTS_HU[-1] + 1), KNOTS_HU, KNOTS)).astype(np.uint8)
"""The byte of every whole CT number of the range."""


def detail_for(n_images: int) -> Detail:
    """The detail of a page with so many images."""
    return next((detail for most, detail in DETAILS if n_images <= most), DETAILS[-1][1])


def as_bytes(hu: NDArray[Any]) -> NDArray[np.uint8]:
    """CT numbers [HU] as the bytes of the page."""
    low, high = int(KNOTS_HU[0]), int(KNOTS_HU[-1])
    return np.asarray(_BYTES[np.clip(np.rint(hu), low, high).astype(np.int32) - low])


def window_table(window: str) -> list[float]:
    """Grey values, 0 to 1, of the bytes 0 to 255 in a window of ``WINDOWS``."""
    level, width = WINDOWS[window]
    hu = np.interp(np.arange(256), KNOTS, KNOTS_HU)
    return [round(float(v), 4) for v in np.clip((hu - level) / width + 0.5, 0, 1)]


def preview(hu: NDArray[np.generic], grid: Grid, detail: Detail) -> dict[str, Any]:
    """A volume as one picture of tiles, with the numbers to read it: feet first, row by row.

    Returns
    -------
    dict
        ``src`` (WebP, base64), tiles ``nx``, ``ny``, ``nz``, ``columns``, size of the volume ``mm`` ``[z, y, x]``, and
        ``thumb``, the axial slice with most lung in it (WebP, base64).
    """
    array = _upright(hu, grid)
    picked = np.unique(np.linspace(0, len(array) - 1, min(len(array), detail.n_slices)).round().astype(int))
    size_mm = [n * step for n, step in zip(grid.shape, grid.spacing_mm, strict=True)]
    shrink = min(1.0, detail.side_px / max(array.shape[1:]))
    ny, nx = (max(1, round(n * shrink)) for n in array.shape[1:])
    small = as_bytes(averaged(array[picked], (len(picked), ny, nx)))
    columns = min(len(picked), max(1, min(int(np.ceil(np.sqrt(len(picked)))), LONGEST_SIDE_PX // nx)))
    return {
        "src": _webp(_tiles(small, columns), detail.quality),
        **{"nx": nx, "ny": ny, "nz": len(picked), "columns": columns},
        "mm": [round(float(s), 1) for s in size_mm],
        "thumb": _webp(_thumbnail(small), detail.quality),
    }


def place(line: Mapping[str, str], grid: Grid, max_diameter_mm: float) -> dict[str, float] | None:
    """Where a nodule is in its image, as shares of the box from its foot, front and right edges; None if outside."""
    if line["in_image"] != "true":
        return None
    shares = []
    for axis, (name, n) in enumerate(zip("zyx", grid.shape, strict=True)):
        share = (float(line[f"index_{name}"]) + 0.5) / n
        shares.append(1 - share if _flipped(grid)[axis] else share)
    return {**dict(zip("zyx", (round(s, 4) for s in shares), strict=True)), "d": round(max_diameter_mm, 1)}


def nodule_views(hu: NDArray[np.generic], grid: Grid, truth: Truth, i: int, detail: Detail) -> dict[str, Any] | None:
    """Axial, coronal and sagittal square through a nodule, side by side, and its exact boundary in each.

    Returns
    -------
    dict or None
        ``src`` (WebP, base64), ``px`` (side of a square), ``mm`` (the same), ``path`` (SVG path in pixels of the whole
        picture). None where the nodule's centre is outside the image.
    """
    from scipy.ndimage import map_coordinates

    nodule = truth.nodules[i]
    if not bool(grid.contains(nodule.centre_mm)):
        return None
    n = detail.nodule_px
    side_mm = max(36.0, 2.2 * nodule.max_diameter_mm)
    step = side_mm / n
    x0, y0, z0 = (c - side_mm / 2 + step / 2 for c in nodule.centre_mm)
    x, y, z = nodule.centre_mm
    slabs = (
        Grid((1, n, n), (step, step, step), (x0, y0, z)),
        Grid((n, 1, n), (step, step, step), (x0, y, z0)),
        Grid((n, n, 1), (step, step, step), (x, y0, z0)),
    )
    squares, paths = [], []
    for k, slab in enumerate(slabs):
        points = slab.index_to_world(np.moveaxis(np.indices(slab.shape), 0, -1).astype(np.float64))
        index = np.moveaxis(grid.world_to_index(points), -1, 0)
        values = map_coordinates(hu, index, order=1, mode="constant", cval=-1024, output=np.float32)
        square, inside = (np.squeeze(a, axis=k) for a in (values, truth.occupancy(slab, i)))
        if k:  # the head is up
            square, inside = square[::-1], inside[::-1]
        squares.append(as_bytes(square))
        paths.append(_outline(inside, k * n))
    return {
        "src": _webp(np.concatenate(squares, axis=1), detail.quality),
        "px": n,
        "mm": round(side_mm, 1),
        "path": "".join(paths),
    }


def _outline(inside: NDArray[np.float32], left_px: int) -> str:
    """The line where occupancy is one half, as an SVG path; pixel centres at half numbers."""
    from contourpy import contour_generator

    path = []
    for line in contour_generator(z=np.pad(inside, 1)).lines(0.5):
        if len(line) < 4:
            continue
        points = np.array(line, float) - 0.5  # the padding is a pixel, a centre half of one
        points[:, 0] += left_px
        path.append("M" + "L".join(f"{across:.1f} {down:.1f}" for across, down in points[:-1]) + "Z")
    return "".join(path)


def _flipped(grid: Grid) -> tuple[bool, bool, bool]:
    """Which of the axes ``(z, y, x)`` runs against its world axis."""
    x, y, z = (grid.direction[i] < 0 for i in (0, 4, 8))
    return z, y, x


def _upright(hu: NDArray[Any], grid: Grid) -> NDArray[Any]:
    """The array with axes that grow to the head, the back and the left; a tilted grid keeps its tilt."""
    return hu[tuple(slice(None, None, -1 if flip else 1) for flip in _flipped(grid))]


def _thumbnail(small: NDArray[np.uint8]) -> NDArray[np.uint8]:
    low, high = as_bytes(np.array(LUNG_HU))
    lung = (small > low) & (small < high)
    best = small[int(lung.sum(axis=(1, 2)).argmax())]
    shrink = min(1.0, THUMB_PX / max(best.shape))
    shape = (1, *(max(1, round(n * shrink)) for n in best.shape))
    return np.rint(averaged(best[None], shape)[0]).astype(np.uint8)


def _tiles(volume: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    n, ny, nx = volume.shape
    rows = -(-n // columns)
    sheet = np.zeros((rows * columns, ny, nx), np.uint8)
    sheet[:n] = volume
    return sheet.reshape(rows, columns, ny, nx).swapaxes(1, 2).reshape(rows * ny, columns * nx)


def _webp(picture: NDArray[np.uint8], quality: int) -> str:
    from PIL import Image

    data = io.BytesIO()
    Image.fromarray(picture).convert("RGB").save(data, format="WEBP", quality=quality, method=2)
    return base64.b64encode(data.getvalue()).decode()
