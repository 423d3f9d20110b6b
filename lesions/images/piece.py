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

import numpy as np
from numpy.typing import NDArray

from twins import Grid

from .host import Host
from .imaging import imaged

TOUCH = 1e-3
"""Two lesions overlap where both displace more than this share of a point."""


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


def composed(host: Host, pieces: Sequence[Piece]) -> NDArray[np.number]:
    """The host's image with the pieces in it, of the host's own type; integers are rounded and kept in range.

    Raises
    ------
    ValueError
        If two pieces overlap.
    """
    check_apart(pieces)
    change = [(window, delta) for window, delta in (changes(host, piece) for piece in pieces) if delta.size]
    out = host.hu.copy()
    if not change:
        return out
    # Summed before anything is rounded: the tails of neighbours add.
    low = [min(window[k].start for window, _ in change) for k in range(3)]
    high = [max(window[k].stop for window, _ in change) for k in range(3)]
    total = np.zeros([b - a for a, b in zip(low, high, strict=True)])
    for window, delta in change:
        total[tuple(slice(w.start - a, w.stop - a) for w, a in zip(window, low, strict=True))] += delta
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    total += np.asarray(host.hu[box], np.float64)
    if np.issubdtype(host.hu.dtype, np.integer):
        info = np.iinfo(np.dtype(host.hu.dtype).name)
        total = np.clip(np.rint(total), info.min, info.max)
    out[box] = total.astype(out.dtype)
    return out


def changes(host: Host, piece: Piece) -> tuple[tuple[slice, slice, slice], NDArray[np.float32]]:
    """Window of the image that a piece changes, and by how much [HU]."""
    window, displaced = imaged(piece.displaced, piece.grid, host.grid, host.resolution)
    _, brought = imaged(piece.brought_hu, piece.grid, host.grid, host.resolution)
    if not displaced.size:
        return window, displaced
    return window, brought - displaced * host.background_hu(window, piece.level_hu)


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
