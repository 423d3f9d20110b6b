"""Fan-beam readings as parallel rays, whatever the focal spot does from view to view.

A ray of state k of the spot and view angle beta has the direction theta = beta - g and the signed distance p from the
axis (:meth:`ctsim.geometry.Geometry.parallel_rays`). With the spot's own distance R from the axis and polar angle delta
ahead of the nominal one, p = R sin(g + delta): a deflected spot is another source, at its own radius, a little ahead,
with fan angles that are no longer equally spaced.

States that differ in their tangential place alone see rays between each other's; they are merged into one denser fan.
States of another height or radius (deflection along z) are fans of their own, as their rows look elsewhere. Each state
is read every K-th view; the directions are those of the first state's views.

Resampling is done in two steps, both cubic (Keys, IEEE Trans ASSP 29:1153, 1981, doi:10.1109/TASSP.1981.1163711, with
a = -1/2): along views, each merged ray at the very view angle where its direction is theta; then along the merged rays,
as a Hermite cubic with three-point slopes, which is Keys' for equal distances and keeps quadratics for others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..geometry import Geometry

_CLOSEST_SHARE = 0.1
"""Merged rays must be at least this share of their mean distance apart; closer ones are fans of their own."""


@dataclass(frozen=True, slots=True, eq=False)
class Fan:
    """The rays of the states of one height, and how they become equally spaced places; M rays, Q places, R rows.

    Parameters
    ----------
    state, column
        ``(M,)`` int64: state of the spot and detector column of every merged ray, in the order of p.
    shift
        ``(M,)``: view of direction n, counted among the views of the ray's state, minus n [views of a state].
    tap, tap_weight
        ``(Q, 4)`` int64 and float32: merged rays that a place is read from, and their weights.
    to_axis_mm
        ``(Q,)``: from the spot to the ray's nearest point to the axis, in the plane [mm].
    lead_rad
        ``(Q,)``: view angle of a place's ray minus its direction [rad].
    cell_distance_mm
        ``(Q,)``: from the spot to the cells, in the plane [mm].
    row_weight
        ``(R, Q)`` float32: cosine of the cone angle.
    height_mm
        Of the spot above its nominal place [mm].
    bottom_mm
        Lower edge of row 0 above the spot [mm at the detector].
    """

    state: NDArray[np.int64]
    column: NDArray[np.int64]
    shift: NDArray[np.float64]
    tap: NDArray[np.int64]
    tap_weight: NDArray[np.float32]
    to_axis_mm: NDArray[np.float64]
    lead_rad: NDArray[np.float64]
    cell_distance_mm: NDArray[np.float64]
    row_weight: NDArray[np.float32]
    height_mm: float
    bottom_mm: float


def merged_states(geometry: Geometry) -> list[list[int]]:
    """States of the spot whose rays are merged, each group in its order."""
    p, _ = geometry.parallel_rays()
    groups: list[list[int]] = []
    for state, moved in enumerate(geometry.deflection_mm):
        for group in groups:
            alike = np.allclose(geometry.deflection_mm[group[0], 1:], moved[1:], rtol=0, atol=1e-9)
            distance = np.diff(np.sort(p[[*group, state]].ravel()))
            if alike and distance.min() >= _CLOSEST_SHARE * distance.mean():
                group.append(state)
                break
        else:
            groups.append([state])
    return groups


def places_mm(geometry: Geometry, place_mm: float) -> NDArray[np.float64]:
    """Signed distances p that every state reaches, whole multiples of their pitch, so that -p is a place too [mm]."""
    p, _ = geometry.parallel_rays()
    lowest = math.ceil(float(p[:, 0].max()) / place_mm)
    highest = math.floor(float(p[:, -1].min()) / place_mm)
    return np.asarray(place_mm * np.arange(lowest, highest + 1), dtype=np.float64)


def fans(geometry: Geometry, place_mm: float) -> tuple[Fan, ...]:
    """The fans of a scan with places ``place_mm`` apart.

    Raises
    ------
    ValueError
        If views per rotation are no even multiple of the spot's states.
    """
    n_states = len(geometry.deflection_mm)
    if geometry.views_per_rotation % (2 * n_states):
        raise ValueError(
            f"views_per_rotation must be an even multiple of the {n_states} places of the focal spot, "
            f"got {geometry.views_per_rotation}"
        )
    step = 2 * math.pi * n_states / geometry.views_per_rotation
    p_ray, g_ray = geometry.parallel_rays()
    distance, height = geometry.cell_distance_mm(), geometry.cell_height_mm()
    p = places_mm(geometry, place_mm)
    found = []
    for group in merged_states(geometry):
        order = np.argsort(p_ray[group], axis=None, kind="stable")
        state = np.repeat(group, p_ray.shape[1])[order]
        column = np.tile(np.arange(p_ray.shape[1]), len(group))[order]
        outward = geometry.source_distance_mm - geometry.deflection_mm[group, 1]
        aside = geometry.deflection_mm[group, 0]
        radius, ahead = np.hypot(outward, aside), np.arctan2(aside, outward)
        # equally spaced for a spot at rest, so that the cubic is Keys'
        abscissa = np.arcsin(p_ray[group].ravel()[order] / radius.mean())
        tap, weight = _cubic_taps(abscissa, np.arcsin(p / radius.mean()))
        cell = np.mean([np.interp(p, p_ray[k], distance[k]) for k in group], axis=0)
        above = height[group[0]]
        found.append(
            Fan(
                state=state,
                column=column,
                shift=g_ray[state, column] / step - state / n_states,
                tap=tap,
                tap_weight=weight.astype(np.float32),
                to_axis_mm=np.sqrt(np.mean(radius) ** 2 - p**2),
                lead_rad=np.mean([np.arcsin(p / r) - a for r, a in zip(radius, ahead, strict=True)], axis=0),
                cell_distance_mm=cell,
                row_weight=(cell / np.hypot(cell, above[:, None])).astype(np.float32),
                height_mm=float(geometry.deflection_mm[group[0], 2]),
                bottom_mm=float(above[0] - geometry.row_pitch_mm / 2),
            )
        )
    return tuple(found)


def _cubic_taps(x: NDArray[np.float64], at: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Samples around each place of ``at`` and their weights ``(n, 4)``; the end samples' values go on."""
    n = len(x)
    left = np.clip(np.searchsorted(x, at, side="right") - 1, 0, n - 2)
    tap = np.clip(left[:, None] + np.arange(-1, 3), 0, n - 1)
    h = x[left + 1] - x[left]
    before = np.where(left > 0, x[left] - x[np.maximum(left - 1, 0)], h)
    after = np.where(left < n - 2, x[np.minimum(left + 2, n - 1)] - x[left + 1], h)
    t = np.clip((at - x[left]) / h, 0.0, 1.0)
    value_left, value_right = (1 + 2 * t) * (1 - t) ** 2, t**2 * (3 - 2 * t)
    slope_left, slope_right = t * (1 - t) ** 2, -(t**2) * (1 - t)
    # slope at a sample: parabola through it and its neighbours, times h
    back, ahead = h * h / (before * (before + h)), before / (before + h)
    back_right, ahead_right = after / (h + after), h * h / (after * (h + after))
    weight = np.stack(
        [
            -slope_left * back,
            value_left + slope_left * (back - ahead) - slope_right * back_right,
            value_right + slope_left * ahead + slope_right * (back_right - ahead_right),
            slope_right * ahead_right,
        ],
        axis=1,
    )
    return tap, weight
