"""Along the branches of a tree: its rows in order up or down, and the line that they make."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twins import Tree

Line = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Points ``(n, 3)`` and radii ``(n,)`` of a centre line [mm]."""


def daughters_of(tree: Tree) -> dict[int, list[int]]:
    """Rows that begin where a row ends, the widest first."""
    order = np.argsort(-tree.start_radius_mm, kind="stable")
    found: dict[int, list[int]] = {}
    for row in order[tree.parent[order] >= 0]:
        found.setdefault(int(tree.parent[row]), []).append(int(row))
    return found


def mothers_of(tree: Tree, row: int) -> list[int]:
    """The rows before a row, nearest first, to the root."""
    rows = []
    while (row := int(tree.parent[row])) >= 0:
        rows.append(row)
    return rows


def eldest_of(widest: dict[int, list[int]], row: int) -> list[int]:
    """The rows after a row, the widest at every fork, to the end (``widest``: :func:`daughters_of`)."""
    rows = []
    while row in widest:
        row = widest[row][0]
        rows.append(row)
    return rows


def line_along(
    tree: Tree,
    rows: list[int],
    length_mm: float,
    *,
    down: bool,
    begin: tuple[NDArray[np.float64], float] | None = None,
) -> Line:
    """The centre line of rows that follow each other, up to a length.

    Parameters
    ----------
    tree, rows
        In the order in which they are walked: :func:`mothers_of` up, :func:`eldest_of` down.
    length_mm
        Where the line is cut; it is shorter where the rows end before.
    down
        Whether rows are walked from start to end.
    begin
        A point of the first row and the radius there, where the line does not begin at the row's end.
    """
    first = rows[0]
    if begin is None:
        begin = (
            (tree.start_mm if down else tree.end_mm)[first].astype(np.float64),
            float((tree.start_radius_mm if down else tree.end_radius_mm)[first]),
        )
    points, radii = [begin[0]], [begin[1]]
    for row in rows:
        to = (tree.end_mm if down else tree.start_mm)[row].astype(np.float64)
        radius = float((tree.end_radius_mm if down else tree.start_radius_mm)[row])
        step = float(np.linalg.norm(to - points[-1]))
        if step < 1e-6:
            continue
        if step >= length_mm:
            share = length_mm / step
            points.append(points[-1] + share * (to - points[-1]))
            radii.append(radii[-1] + share * (radius - radii[-1]))
            break
        points.append(to)
        radii.append(radius)
        length_mm -= step
    return np.array(points), np.array(radii)
