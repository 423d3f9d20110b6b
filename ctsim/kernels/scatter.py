"""Kernel superposition on coarse nodes, and the way from nodes to full readings.

float64, no fastmath; every result is one thread's own sum, so that the number of threads changes nothing.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

from .parallel import LOOPS_ONLY


@njit(cache=True)
def column_means(p, out) -> None:
    """Overwrite ``out[a, b]`` with the mean of ``p`` (columns,) from column a to column b, both with them."""
    for a in range(p.size):
        total = 0.0
        for b in range(a, p.size):
            total += p[b]
            out[a, b] = total / (b - a + 1)
            out[b, a] = out[a, b]


@njit(cache=True, error_model="numpy")
def _spread_of(row, column, depth, fan, height, distances, coefficient, out) -> None:
    """Overwrite ``out`` (K, c, r) with the share of a beam's scatter that reaches each node, were nothing in the way.

    row, column  node that the beam passes
    """
    sid, sdd = distances
    climb = height[row] / sdd
    size = math.sqrt(1.0 + climb * climb)
    along = (sid + depth) * math.cos(fan[column])
    per_width = np.empty(len(coefficient))
    for i in range(len(coefficient)):
        per_width[i] = math.exp(-coefficient[i, 3])
    for c in range(fan.size):
        turned = fan[c] - fan[column]
        ahead, aside = sdd * math.cos(turned) - along, sdd * math.sin(turned)
        for r in range(height.size):
            up = height[r] - along * climb
            square = ahead * ahead + aside * aside + up * up
            distance = math.sqrt(square)
            cosine = min(1.0, (ahead + up * climb) / (distance * size))
            # in-plane direction of the cell's own ray with the way there
            facing = max((ahead * math.cos(turned) + aside * math.sin(turned)) / distance, 0.0)
            angle = math.acos(max(-1.0, cosine))
            for i in range(len(coefficient)):
                out[i, c, r] = facing / square * math.exp(-((angle * per_width[i]) ** coefficient[i, 4]))


@njit(cache=True, error_model="numpy")
def _add_beam(p, air, spread, between, coefficient, out) -> None:
    """Add to ``out`` (r, c) the scatter of a beam of air signal ``air`` weakened by ``p``.

    spread   (K, c, r)  of :func:`_spread_of`
    between  (c,)       mean p of the columns from the beam's to each
    """
    for i in range(len(coefficient)):
        log_a, u, b, k = coefficient[i, 0], coefficient[i, 1], coefficient[i, 2], coefficient[i, 5]
        sent = air * p**u * math.exp(log_a - b * p)
        if sent <= 0.0:
            continue
        for c in range(between.size):
            passed = sent * math.exp(-k * between[c])
            for r in range(out.shape[0]):
                out[r, c] += passed * spread[i, c, r]


@njit(cache=True, parallel=LOOPS_ONLY, error_model="numpy")
def superpose(p, incident, fan, height, distances, depth, coefficient, out) -> None:
    """Overwrite ``out`` with the scatter at every node from the beams through all nodes (``ctsim/scatter/model.py``).

    p            (V, r, c)  -ln(primary / air), >= 0
    incident     (r, c)     air signal x area
    fan, height  (c,), (r,) places of nodes [rad], [mm on the detector]
    distances    (2,)       SID, SDD [mm]
    depth        (V,)       how far behind the axis, seen from the source, the beams scatter [mm]
    coefficient  (K, 6)     ln a, u, b, ln s, e, k
    out          (V, r, c)  unit of the air signal
    """
    n_views, n_rows, n_columns = p.shape
    n_beams = n_rows * n_columns
    same = True  # then the geometry of the beams is that of every view
    for v in range(n_views):
        same = same and depth[v] == depth[0]
    shared = np.empty((n_beams if same else 1, len(coefficient), n_columns, n_rows))
    if same:
        for m in prange(n_beams):
            _spread_of(m // n_columns, m % n_columns, depth[0], fan, height, distances, coefficient, shared[m])
    for v in prange(n_views):
        between, mean = np.empty((n_columns, n_columns)), np.zeros(n_columns)
        own = np.empty((len(coefficient), n_columns, n_rows))
        for r in range(n_rows):
            for c in range(n_columns):
                mean[c] += p[v, r, c] / n_rows
        column_means(mean, between)
        for r in range(n_rows):
            for c in range(n_columns):
                out[v, r, c] = 0.0
        for m in range(n_beams):
            r, c = m // n_columns, m % n_columns
            if not same:
                _spread_of(r, c, depth[v], fan, height, distances, coefficient, own)
            _add_beam(p[v, r, c], incident[r, c], shared[m] if same else own, between[c], coefficient, out[v])


@njit(cache=True)
def _place(position, nodes):
    """Lower node and share of the upper one; linear beyond the ends."""
    if nodes.size == 1:
        return 0, 0.0
    low, high = 0, nodes.size - 1
    while high - low > 1:
        middle = (low + high) // 2
        if nodes[middle] <= position:
            low = middle
        else:
            high = middle
    return low, (position - nodes[low]) / (nodes[low + 1] - nodes[low])


@njit(cache=True)
def _line(values, i, fi, j, fj, out) -> None:
    """Overwrite ``out`` (c,) with the nodes of one view and row, never below 0."""
    last_v, last_r = values.shape[0] - 1, values.shape[1] - 1
    a, b = min(i + 1, last_v), min(j + 1, last_r)
    for c in range(out.size):
        low = (1.0 - fj) * values[i, j, c] + fj * values[i, b, c]
        high = (1.0 - fj) * values[a, j, c] + fj * values[a, b, c]
        out[c] = max((1.0 - fi) * low + fi * high, 0.0)


@njit(cache=True)
def _places(n, nodes):
    """Lower node and share of the upper one of readings 0 to n - 1."""
    low, share = np.empty(n, np.int64), np.empty(n)
    for c in range(n):
        low[c], share[c] = _place(float(c), nodes)
    return low, share


@njit(cache=True, parallel=LOOPS_ONLY, error_model="numpy")
def interpolate(values, view_nodes, row_nodes, column_nodes, first, out) -> None:
    """Overwrite ``out`` with trilinear values of a block of views; never below 0, linear beyond the outer nodes.

    values        (v, r, c) float64  at the nodes
    view_nodes, row_nodes, column_nodes  float64, growing: where nodes are, in readings
    first         int                first view of the block
    out           (n, R, C) float32
    """
    low, share = _places(out.shape[2], column_nodes)
    last = values.shape[2] - 1
    for v in prange(out.shape[0]):
        line = np.empty(values.shape[2])
        i, fi = _place(float(first + v), view_nodes)
        for r in range(out.shape[1]):
            j, fj = _place(float(r), row_nodes)
            _line(values, i, fi, j, fj, line)
            for c in range(out.shape[2]):
                k = low[c]
                out[v, r, c] = max((1.0 - share[c]) * line[k] + share[c] * line[min(k + 1, last)], 0.0)


@njit(cache=True, parallel=LOOPS_ONLY, error_model="numpy")
def subtract(values, view_nodes, row_nodes, column_nodes, mas, signal) -> None:
    """Take trilinear ``values`` (v, r, c) times each view's ``mas`` (V,) off ``signal`` (V, R, C) float32, in place."""
    low, share = _places(signal.shape[2], column_nodes)
    last = values.shape[2] - 1
    for v in prange(signal.shape[0]):
        line = np.empty(values.shape[2])
        i, fi = _place(float(v), view_nodes)
        for r in range(signal.shape[1]):
            j, fj = _place(float(r), row_nodes)
            _line(values, i, fi, j, fj, line)
            for c in range(signal.shape[2]):
                k = low[c]
                here = (1.0 - share[c]) * line[k] + share[c] * line[min(k + 1, last)]
                signal[v, r, c] -= mas[v] * max(here, 0.0)
