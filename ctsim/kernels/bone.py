"""Water-equivalent line integrals of rays through water and bone (see :mod:`ctsim.bone`).

Float policy: float32 stored, each reading worked in float64 on its own, no fastmath.
"""

from __future__ import annotations

from numba import njit, prange


@njit(cache=True)
def _plane(table, water, bone, step_water, step_bone):
    """Bilinear value of a table (nW, nB); it goes on linearly beyond its last nodes."""
    x, y = max(water, 0.0) / step_water, bone / step_bone
    i, j = min(int(x), table.shape[0] - 2), min(int(y), table.shape[1] - 2)
    x, y = x - i, y - j
    low = table[i, j] + y * (table[i, j + 1] - table[i, j])
    high = table[i + 1, j] + y * (table[i + 1, j + 1] - table[i + 1, j])
    return low + x * (high - low)


@njit(cache=True, parallel=True, error_model="numpy")
def rectify(values, bone, excess, row_place, column_place, step_water, step_bone, mu_water, bone_mm, n_steps):
    """Overwrite water-corrected line integrals of rays that meet bone.

    values       (V, R, C) float32    water-corrected line integrals, overwritten
    bone         (V, R, C) float32    area density of bone [g/cm2]
    excess       (nR, nC, nW, nB) float64  length of water that the bone counts for behind a length of water [mm]
    row_place    (R,) float64         rows as fractional indices of the table's first axis
    column_place (C,) float64         columns as fractional indices of the second
    step_water, step_bone  float      distance of the table's nodes [mm, g/cm2]
    mu_water     float                [1/mm]
    bone_mm      float                length of water that 1 g/cm2 of bone shall count for [mm]
    n_steps      int                  fixed-point steps for the length of water
    """
    n_views, n_rows, n_columns = values.shape
    last_row, last_column = max(excess.shape[0] - 2, 0), max(excess.shape[1] - 2, 0)
    for line in prange(n_views * n_rows):
        v, r = line // n_rows, line % n_rows
        a = min(int(row_place[r]), last_row)
        s = row_place[r] - a
        a_next = min(a + 1, excess.shape[0] - 1)
        for c in range(n_columns):
            amount = float(bone[v, r, c])
            if amount <= 0.0:
                continue
            b = min(int(column_place[c]), last_column)
            t = column_place[c] - b
            b_next = min(b + 1, excess.shape[1] - 1)
            total = values[v, r, c] / mu_water
            water = total - bone_mm * amount
            for _ in range(n_steps):
                first = (1.0 - t) * _plane(excess[a, b], water, amount, step_water, step_bone)
                first += t * _plane(excess[a, b_next], water, amount, step_water, step_bone)
                second = (1.0 - t) * _plane(excess[a_next, b], water, amount, step_water, step_bone)
                second += t * _plane(excess[a_next, b_next], water, amount, step_water, step_bone)
                water = total - ((1.0 - s) * first + s * second)
            values[v, r, c] = mu_water * (water + bone_mm * amount)
