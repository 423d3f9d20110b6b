"""Coarse nodes of a scan: every n-th view, and groups of neighbouring readings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..geometry import Geometry
from .model import NodeGeometry

ROW_NODE_MM = 25.0
"""Height of a node on the detector, at most [mm] (design default)."""

MOST_ROWS = 9
BLOCK_VIEWS = 64


@dataclass(frozen=True, slots=True, eq=False)
class Nodes:
    """Where the nodes of a scan are, in readings.

    Parameters
    ----------
    view
        ``(v,)`` int: views that are nodes, the first and the last among them.
    row_edge, column_edge
        ``(r + 1,)``, ``(c + 1,)`` int: node j holds readings ``edge[j]`` to ``edge[j + 1] - 1``.
    cells
        The same as places and areas.
    """

    view: NDArray[np.intp]
    row_edge: NDArray[np.intp]
    column_edge: NDArray[np.intp]
    cells: NodeGeometry

    @property
    def row(self) -> NDArray[np.float64]:
        """``(r,)`` middles as row numbers."""
        return np.asarray((self.row_edge[1:] + self.row_edge[:-1] - 1) / 2)

    @property
    def column(self) -> NDArray[np.float64]:
        """``(c,)`` middles as column numbers."""
        return np.asarray((self.column_edge[1:] + self.column_edge[:-1] - 1) / 2)

    def pool(self, readings: NDArray[np.floating]) -> NDArray[np.float64]:
        """Means over the nodes of ``(..., rows, columns)``."""
        sums = np.add.reduceat(readings, self.row_edge[:-1], axis=-2, dtype=np.float64)
        sums = np.add.reduceat(sums, self.column_edge[:-1], axis=-1, dtype=np.float64)
        return np.asarray(sums / (np.diff(self.row_edge)[:, None] * np.diff(self.column_edge)))

    def pool_views(self, readings: NDArray[np.float32]) -> NDArray[np.float64]:
        """Means over the nodes of the node views of ``(V, R, C)``: ``(v, r, c)``."""
        out = np.empty((len(self.view), len(self.row), len(self.column)))
        for first in range(0, len(self.view), BLOCK_VIEWS):
            block = slice(first, first + BLOCK_VIEWS)
            out[block] = self.pool(readings[self.view[block]])
        return out


def depth_mm(p: NDArray[np.float64], nodes: Nodes, geometry: Geometry) -> NDArray[np.float64]:
    """How far the body's middle lies behind the axis in every node view, seen from the source, ``(v,)`` [mm].

    What is depth in one view is sideways a quarter turn later (or, at the end of a helix, earlier): there it is the
    mean of the columns' places weighted by ``p`` ``(v, r, c)``.
    """
    weight = p.mean(axis=1)
    place = geometry.source_distance_mm * np.sin(nodes.cells.fan_angle_rad)
    sideways = (weight * place).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-9)
    turn, quarter, last = geometry.views_per_rotation, geometry.views_per_rotation / 4, len(geometry.view_angle_rad) - 1
    if geometry.is_helical:
        later, earlier = nodes.view + quarter, nodes.view - quarter
        ahead = np.interp(later, nodes.view, sideways)
        behind = np.where(earlier >= 0, -np.interp(earlier, nodes.view, sideways), 0.0)
        return np.asarray(np.where(later <= last, ahead, behind))
    start = nodes.view // turn * turn
    return np.asarray(np.interp(start + (nodes.view - start + quarter) % turn, nodes.view, sideways))


def nodes_of(geometry: Geometry, *, views_per_rotation: int, columns: int, most_rows: int = MOST_ROWS) -> Nodes:
    """Nodes of a scan: at least 2 views, one row for each 25 mm on the detector, at least 3 where there are as many."""
    n_views, n_rows, n_columns = geometry.shape
    stride = max(1, round(geometry.views_per_rotation / views_per_rotation))
    view = np.unique(np.append(np.arange(0, n_views, stride), n_views - 1))
    height_mm = n_rows * geometry.row_pitch_mm
    wanted = max(3, int(np.ceil(height_mm / ROW_NODE_MM))) if height_mm > ROW_NODE_MM / 2 else 1
    row_edge = _edges(n_rows, min(wanted, most_rows, n_rows))
    column_edge = _edges(n_columns, min(columns, n_columns))
    column = (column_edge[1:] + column_edge[:-1] - 1) / 2
    row = (row_edge[1:] + row_edge[:-1] - 1) / 2
    cells = NodeGeometry(
        geometry.source_distance_mm,
        geometry.detector_distance_mm,
        np.interp(column, np.arange(n_columns), geometry.column_angle_rad),
        np.interp(row, np.arange(n_rows), geometry.row_offset_mm),
        np.diff(row_edge)[:, None]
        * geometry.row_pitch_mm
        * np.diff(column_edge)
        * geometry.column_pitch_rad
        * geometry.detector_distance_mm,
    )
    return Nodes(view, row_edge, column_edge, cells)


def _edges(n: int, groups: int) -> NDArray[np.intp]:
    return np.asarray(np.round(np.linspace(0, n, groups + 1)), dtype=np.intp)
