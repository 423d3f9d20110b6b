"""A lesion as an image sees it: how much of the host it takes the place of, and what it brings instead.

``after = before - w b + a``: ``w`` is the share of the host that the lesion displaces and ``a`` what it brings, both
through the scanner's point spread function, and ``b`` what the host reads there without its noise. Where the host is
plain lung this is exactly the point spread function applied to the lesion less the lung, and the noise stays as it is.
Where vessels run, a solid lesion takes their place (w = 1 leaves nothing of b) and ground glass of share f leaves
``(1 - f)`` of them and fills the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from twins import Grid

from .background import Window
from .imaging import imaged
from .resolution import Resolution

TOUCH = 1e-3
"""Two lesions overlap where both displace more than this share of a point."""


class Image(Protocol):
    """What a piece must know of the image that it goes into: :class:`lesions.images.Host`, or a patch of one."""

    @property
    def hu(self) -> NDArray[np.number]:
        """``(z, y, x)`` [HU]."""

    @property
    def grid(self) -> Grid:
        """Its lattice, axis-aligned."""

    @property
    def resolution(self) -> Resolution:
        """Its point spread function."""

    def background_hu(self, window: Window, displaced: NDArray[np.float32], level_hu: float) -> NDArray[np.float32]:
        """What a lesion takes the place of in a window ``(z, y, x)`` [HU]."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """One lesion on its fine lattice in the world.

    Parameters
    ----------
    name
        For messages.
    grid
        Axis-aligned fine lattice.
    displaced
        ``(z, y, x)`` float32, share of the host displaced, 0-1.
    brought_hu
        ``(z, y, x)`` float32, displaced share times the HU of what takes its place.
    level_hu
        What the lung around reads [HU].
    """

    name: str
    grid: Grid
    displaced: NDArray[np.float32]
    brought_hu: NDArray[np.float32]
    level_hu: float


def composed(
    host: Image, pieces: Sequence[Piece], *, apart: bool = False, out: NDArray[np.number] | None = None
) -> NDArray[np.number]:
    """The host's image with the pieces in it, of the host's own type; integers are rounded and kept in range.

    ``apart`` says that the pieces are known not to overlap; ``out`` is a copy of the image that may be changed.

    Raises
    ------
    ValueError
        If two pieces overlap.
    """
    if not apart:
        check_apart(pieces)
    out = host.hu.copy(order="K") if out is None else out
    together = [(window, delta) for window, delta in (changes(host, piece) for piece in pieces) if delta.size]
    for box, members in _clusters(together):
        # Summed before anything is rounded: the tails of neighbours add.
        total = np.zeros([w.stop - w.start for w in box])
        for window, delta in members:
            at = tuple(slice(w.start - a.start, w.stop - a.start) for w, a in zip(window, box, strict=True))
            total[at] += delta
        total += np.asarray(host.hu[box], np.float64)
        if np.issubdtype(host.hu.dtype, np.integer):
            info = np.iinfo(np.dtype(host.hu.dtype).name)
            total = np.clip(np.rint(total), info.min, info.max)
        out[box] = total.astype(out.dtype)
    return out


Change = tuple[Window, NDArray[np.float32]]


def _clusters(changes: Sequence[Change]) -> list[tuple[Window, list[Change]]]:
    """Changes whose windows meet, and the box around them."""
    clusters: list[tuple[Window, list[Change]]] = []
    for change in changes:
        box, members = change[0], [change]
        while (other := next((c for c in clusters if _meet(c[0], box)), None)) is not None:
            clusters.remove(other)
            low_z, low_y, low_x = (min(a.start, b.start) for a, b in zip(box, other[0], strict=True))
            high_z, high_y, high_x = (max(a.stop, b.stop) for a, b in zip(box, other[0], strict=True))
            box = (slice(low_z, high_z), slice(low_y, high_y), slice(low_x, high_x))
            members = [*other[1], *members]
        clusters.append((box, members))
    return clusters


def _meet(a: Window, b: Window) -> bool:
    return all(v.start < w.stop and w.start < v.stop for v, w in zip(a, b, strict=True))


def changes(host: Image, piece: Piece) -> tuple[Window, NDArray[np.float32]]:
    """Window of the image that a piece changes, and by how much [HU]."""
    window, displaced = imaged(piece.displaced, piece.grid, host.grid, host.resolution)
    _, brought = imaged(piece.brought_hu, piece.grid, host.grid, host.resolution)
    if not displaced.size:
        return window, displaced
    return window, brought - displaced * host.background_hu(window, displaced, piece.level_hu)


def check_apart(pieces: Sequence[Piece]) -> None:
    """Refuse pieces that overlap.

    Raises
    ------
    ValueError
        Naming the first two that do.
    """
    for i, b in enumerate(pieces):
        for a in pieces[:i]:
            if overlap(a, b):
                raise ValueError(f"lesions {a.name!r} and {b.name!r} overlap, around {b.grid.centre_mm} mm")


def overlap(a: Piece, b: Piece) -> bool:
    """Whether some point is displaced by both."""
    ends = [(np.asarray(p.grid.index_to_world((0, 0, 0))), np.asarray(p.grid.size_mm)[::-1]) for p in (a, b)]
    if any(ends[0][0][k] + ends[0][1][k] < ends[1][0][k] for k in range(3)):
        return False
    if any(ends[1][0][k] + ends[1][1][k] < ends[0][0][k] for k in range(3)):
        return False
    filled = np.stack(np.nonzero(a.displaced > TOUCH), axis=1)
    index = np.rint(b.grid.world_to_index(a.grid.index_to_world(filled))).astype(int)
    index = index[np.all((index >= 0) & (index < b.grid.shape), axis=1)]
    return bool(np.any(b.displaced[tuple(index.T)] > TOUCH))
