"""How nodules fill their voxels: shares from signed distances, with the offset that makes the volume exact.

A ramp one voxel wide, and the soft profile ``Phi(phi / sigma)`` of tissue that fades out. A plain ramp is biased by
``+h^2 / (4 R^2)``; with the offset of phi the volume is the one asked for, on any lattice. Both are tables between
which the share is linear, so one kernel serves them and its sums are in one fixed order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import ndtr

TAIL = 3.3
"""The soft profile is cut where it falls below Phi(-3.3) = 0.0005."""

N_GAUSSIAN = 3300
"""Steps of its table: linear between them it errs by less than (2 * 3.3 / 3300)^2 / 8 * 0.242 = 1.2e-7."""

SLACKS = (0.4, 3.0, 400.0)
"""Offsets, in units of the edge, within which the one is sought; nearly always a fraction is enough."""

N_STEPS = 80
"""Most steps of the search: Newton's, and halves of the bracket where one leaves it."""

CLOSE = 2e-8
"""The sum is met to this share of itself; shares in single precision leave about 1e-8 [1]."""


@dataclass(frozen=True, slots=True, eq=False)
class Edge:
    """How a surface fades out.

    Parameters
    ----------
    table
        Shares of a voxel ``(n,)`` float32 at evenly spaced signed distances from ``-tail`` to ``tail``, in units of the
        edge's width; first 0, last 1, ascending.
    tail
        From this many units on the share is 0 outside and 1 inside.
    """

    table: NDArray[np.float32]
    tail: float


def fill_to(
    distance_mm: NDArray[np.float32],
    n_voxels: float,
    per_mm: float,
    edge: Edge,
    within: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """``edge((phi + offset) * per_mm)`` with the offset at which it sums to ``n_voxels`` (the volume in voxels).

    With ``within`` no voxel is filled beyond it: what a part cannot have there it gets elsewhere.

    Raises
    ------
    ValueError
        If no offset gives that volume.
    """
    for slack in SLACKS:
        shares = shares_of(distance_mm, n_voxels, per_mm, edge, within, slack)
        if shares is not None:
            return shares
    raise too_coarse(n_voxels)


def too_coarse(n_voxels: float) -> ValueError:
    """What to raise where no offset gives the volume."""
    return ValueError(f"the lattice is too coarse or too small to hold a volume of {n_voxels:.1f} voxels")


def shares_of(
    distance_mm: NDArray[np.float32],
    n_voxels: float,
    per_mm: float,
    edge: Edge,
    within: NDArray[np.float32] | None,
    slack: float,
) -> NDArray[np.float32] | None:
    """See :func:`fill_to`; None if no offset up to ``slack`` edges gives that volume."""
    flat = np.ascontiguousarray(distance_mm).ravel()
    top = np.empty(0, np.float32) if within is None else np.ascontiguousarray(within).ravel()
    out = np.empty(flat.size, np.float32)
    if not _fill(flat, np.float32(per_mm), edge.table, edge.tail, slack, top, float(n_voxels), CLOSE, out):
        return None
    return out.reshape(distance_mm.shape)


def voxels_within(distance_mm: NDArray[np.float32], per_mm: float) -> float:
    """Sum of :func:`ramp` over a lattice: voxels that a form fills, without an offset."""
    return float(_ramp_sum(np.ascontiguousarray(distance_mm).ravel(), np.float32(per_mm)))


def ramp(t: NDArray[np.floating]) -> NDArray[np.floating]:
    """Share of a voxel inside a plane at signed distance ``t`` voxels from its centre."""
    return np.clip(t + 0.5, 0, 1)


def _gaussian_table() -> NDArray[np.float32]:
    shares = ndtr(np.linspace(-TAIL, TAIL, N_GAUSSIAN + 1)).astype(np.float32)
    # Cut within the outermost steps, so that the sum of shares is a continuous function of the offset.
    shares[0], shares[-1] = 0, 1
    shares.setflags(write=False)
    return shares


RAMP = Edge(np.array([0, 1], np.float32), 0.5)
GAUSSIAN = Edge(_gaussian_table(), TAIL)


@njit(cache=True, error_model="numpy")
def _ramp_sum(distance, per_mm):  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Sum over ``distance`` (n,) float32 [mm] of the share inside a plane, in one fixed order."""
    total = 0.0
    for i in range(distance.size):
        total += min(max(distance[i] * per_mm + np.float32(0.5), np.float32(0)), np.float32(1))
    return total


@njit(cache=True, error_model="numpy")
def _fill(distance, per_mm, table, tail, slack, top, wanted, close, out):  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Overwrite ``out`` with shares that sum to ``wanted``; False if no offset up to ``slack`` makes them.

    distance (n,) float32  signed distance, positive inside [mm]
    per_mm   scalar        edges per mm
    table    (m,) float32  shares at even steps from -tail to tail
    tail     scalar        where the share is 0 and 1 [edges]
    slack    scalar        largest offset [edges]
    top      (n,) float32  most that each voxel may hold; (0,) for 1
    wanted   scalar        sum of the shares [voxels]
    close    scalar        relative error of the sum
    out      (n,) float32  shares
    """
    bounded = top.size > 0
    reach = np.float32(tail + slack)
    inside = 0.0
    n_band = 0
    for i in range(distance.size):
        t = distance[i] * per_mm
        if t > reach:
            out[i] = top[i] if bounded else np.float32(1)
            inside += out[i]
        else:
            out[i] = 0
            if t >= -reach:
                n_band += 1
    band = np.empty(n_band, np.int64)
    n_band = 0
    for i in range(distance.size):
        t = distance[i] * per_mm
        if -reach <= t <= reach:
            band[n_band] = i
            n_band += 1
    n_steps = table.size - 1
    per_edge = n_steps / (2.0 * tail)
    low, high, at = -2 * slack, 2 * slack, 0.0
    for _ in range(N_STEPS):
        total, slope = inside, 0.0
        for b in range(n_band):
            i = band[b]
            x = (distance[i] * per_mm + at + tail) * per_edge
            rise = 0.0
            if x >= n_steps:
                out[i] = 1
            elif x > 0.0:
                k = int(x)
                rise = table[k + 1] - table[k]
                out[i] = table[k] + (x - k) * rise
            else:
                out[i] = 0
            if bounded and out[i] >= top[i]:
                out[i], rise = top[i], 0.0
            total += out[i]
            slope += rise
        excess = total - wanted
        if abs(excess) <= close * wanted or high - low < 1e-9:
            return True
        if excess > 0:
            if at <= -slack:
                return False
            high = at
        else:
            if at >= slack:
                return False
            low = at
        step = at - excess / (slope * per_edge) if slope > 0 else (2 * slack if excess < 0 else -2 * slack)
        step = min(slack, max(-slack, step))
        at = step if low < step < high else 0.5 * (max(low, -slack) + min(high, slack))
    return False
