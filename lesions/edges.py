"""How nodules fill their voxels: shares from signed distances, with the offset that makes the volume exact.

A ramp one voxel wide, and the soft profile ``Phi(phi / sigma)`` of tissue that fades out. A plain ramp is biased by
``+h^2 / (4 R^2)``; with the offset of phi the volume is the one asked for, on any lattice.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr

TAIL = 3.3
"""The soft profile is cut where it falls below Phi(-3.3) = 0.0005."""

SLACKS = (0.4, 3.0, 400.0)
"""Offsets, in units of the edge, within which the one is sought; nearly always a fraction is enough."""

LAST = 1e-5
"""Last step in units of the edge."""

N_SECANTS = 12
"""Secant steps before the search falls back on bisection."""


@dataclass(frozen=True, slots=True)
class Edge:
    """How a surface fades out.

    Parameters
    ----------
    share
        Share of a voxel by its signed distance to the surface in units of the edge's width.
    slope
        Derivative of the share.
    tail
        From this many units on the share is 0 outside and 1 inside.
    """

    share: Callable[[NDArray[np.floating]], NDArray[np.floating]]
    slope: Callable[[NDArray[np.floating]], NDArray[np.floating]]
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
    shares = shares_of(distance_mm, n_voxels, per_mm, edge, within, SLACKS)
    if shares is None:
        raise too_coarse(n_voxels)
    return shares


def too_coarse(n_voxels: float) -> ValueError:
    """What to raise where no offset gives the volume."""
    return ValueError(f"the lattice is too coarse or too small to hold a volume of {n_voxels:.1f} voxels")


def shares_of(
    distance_mm: NDArray[np.float32],
    n_voxels: float,
    per_mm: float,
    edge: Edge,
    within: NDArray[np.float32] | None,
    slacks: tuple[float, ...],
) -> NDArray[np.float32] | None:
    """See :func:`fill_to`; None if no offset up to the last of ``slacks`` gives that volume."""
    scaled = distance_mm.ravel() * np.float32(per_mm)
    for slack in slacks:
        inside = scaled > edge.tail + slack
        band = np.flatnonzero((scaled >= -edge.tail - slack) & ~inside)
        values = scaled[band].astype(np.float64)
        filled = inside.astype(np.float32) if within is None else np.where(inside, within.ravel(), np.float32(0))
        top = None if within is None else within.ravel()[band].astype(np.float64)
        found = _found(values, top, n_voxels - float(filled.sum(dtype=np.float64)), edge, slack)
        if found is not None:
            filled[band] = found
            return filled.reshape(distance_mm.shape)
    return None


def _found(
    values: NDArray[np.float64], top: NDArray[np.float64] | None, wanted: float, edge: Edge, slack: float
) -> NDArray[np.float64] | None:
    """Shares of voxels, none above ``top``, with the offset within ``+-slack`` at which they sum to ``wanted``, if any.

    By secants from 0, of which the first has the slope of the edge itself; by Brent's method if they fail.
    """

    def share(offset: float) -> NDArray[np.floating]:
        filled = edge.share(values + offset)
        return filled if top is None else np.minimum(filled, top)

    def excess(offset: float) -> float:
        return float(share(offset).sum()) - wanted

    at, shares = 0.0, share(0.0)
    f = float(shares.sum()) - wanted
    slopes = edge.slope(values)
    whole_slope = slope = float(slopes.sum())
    for _ in range(N_SECANTS):
        if top is None and abs(f) < LAST * whole_slope:
            # So small a step is taken along the slopes at 0: to the shares' precision the same, and the sum exact.
            return np.clip(shares - f / whole_slope * slopes, 0, 1)
        step = -f / slope if slope > 0 else slack
        step = min(0.5 * slack, max(-0.5 * slack, step))
        if abs(step) < 1e-9:
            return np.asarray(shares, np.float64)
        at += step
        if abs(at) > slack:
            break
        shares = share(at)
        before, f = f, float(shares.sum()) - wanted
        if f == before:
            break
        slope = (f - before) / step
    if not excess(-slack) <= 0 <= excess(slack):
        return None
    return np.asarray(share(brentq(excess, -slack, slack, xtol=1e-9, rtol=1e-9)), np.float64)


def ramp(t: NDArray[np.floating]) -> NDArray[np.floating]:
    """Share of a voxel inside a plane at signed distance ``t`` voxels from its centre."""
    return np.clip(t + 0.5, 0, 1)


def _in_ramp(t: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.asarray(abs(t) < 0.5, np.float64)


def _gaussian_edge(t: NDArray[np.floating]) -> NDArray[np.floating]:
    edge = ndtr(t)
    edge[t < -TAIL] = 0
    edge[t > TAIL] = 1
    return edge


def _gaussian(t: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.exp(-0.5 * t * t) / math.sqrt(2 * math.pi)


RAMP = Edge(ramp, _in_ramp, 0.5)
GAUSSIAN = Edge(_gaussian_edge, _gaussian, TAIL)
