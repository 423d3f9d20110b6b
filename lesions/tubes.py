"""Forms made of tubes: mucus plugs (a trunk that forks, knobbed) and vessels that cross. About the origin, millimetres.

Lengths and angles are design defaults, unverified: a plug is about seven radii long and forks at 35-60 degrees, the
"finger in glove"; two vessels cross at 50-90 degrees within a radius of each other and taper to their ends.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .nodule import Nodule

N_AROUND = 8

KNOB = 1.3
"""Radius of a plug's rounded ends, in radii of its trunk."""


def draw_tubes(nodule: Nodule, rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Segments ``(n, 8)`` (start, end, start radius, end radius) of about the nodule's volume [mm].

    The form's long axis is the first column of ``rotation``.
    """
    rng = nodule.stream("tubes")
    rows = _plug(rng) if nodule.kind == "mucus_plug" else _crossing(rng)
    lengths = np.linalg.norm(rows[:, 3:6] - rows[:, 0:3], axis=1)
    volume = float(np.sum(math.pi * lengths * (rows[:, 6] ** 2 + rows[:, 6] * rows[:, 7] + rows[:, 7] ** 2) / 3))
    weight = lengths * (rows[:, 6] + rows[:, 7]) ** 2
    middle = (weight[:, None] * (rows[:, 0:3] + rows[:, 3:6])).sum(axis=0) / (2 * weight.sum())
    scale = (nodule.target_volume_mm3 / volume) ** (1 / 3)
    placed = np.empty_like(rows)
    for columns in (slice(0, 3), slice(3, 6)):
        placed[:, columns] = scale * (rows[:, columns] - middle) @ rotation.T
    placed[:, 6:8] = scale * rows[:, 6:8]
    return placed


def tube_surface_mm(segments: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points ``(n, 3)`` on the tubes and around their ends [mm]."""
    start, end = segments[:, 0:3], segments[:, 3:6]
    along = end - start
    along = along / np.linalg.norm(along, axis=1, keepdims=True)
    side = np.cross(along, np.where(np.abs(along[:, :1]) < 0.9, [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]))
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    other = np.cross(along, side)
    points = [start - segments[:, 6:7] * along, end + segments[:, 7:8] * along]
    for t in (0.0, 0.5, 1.0):
        radius = (1 - t) * segments[:, 6:7] + t * segments[:, 7:8]
        for angle in 2 * math.pi * np.arange(N_AROUND) / N_AROUND:
            points.append(start + t * (end - start) + radius * (math.cos(angle) * side + math.sin(angle) * other))
    return np.concatenate(points)


def _plug(rng: np.random.Generator) -> NDArray[np.float64]:
    half = np.deg2rad(rng.uniform(17, 30, 2))
    fork = np.zeros(3)
    back = np.array([-4.0, *rng.uniform(-0.6, 0.6, 2)])
    middle = 0.5 * back + np.array([0.0, *rng.uniform(-0.3, 0.3, 2)])
    rows = [(back, middle, 0.85, 1.0), (middle, fork, 1.0, 1.0)]
    for sign, angle in zip((1.0, -1.0), half, strict=True):
        heading = np.array([math.cos(angle), sign * math.sin(angle), rng.uniform(-0.15, 0.15)])
        joint = 1.4 * heading
        tip = joint + rng.uniform(1.2, 2.2) * heading
        rows += [(fork, joint, 0.95, 0.75), (joint, tip, 0.75, 0.75 * KNOB)]
    return np.array([[*a, *b, ra, rb] for a, b, ra, rb in rows])


def _crossing(rng: np.random.Generator) -> NDArray[np.float64]:
    angle, gap = math.radians(rng.uniform(50, 90)), rng.uniform(0.2, 1.0)
    rows = []
    for heading, level, calibre in (
        (np.array([1.0, 0.0, 0.0]), 0.5 * gap, 1.0),
        (np.array([math.cos(angle), math.sin(angle), 0.0]), -0.5 * gap, rng.uniform(0.7, 1.0)),
    ):
        middle = np.array([0.0, 0.0, level])
        bow = np.array([*rng.uniform(-0.5, 0.5, 2), 0.0])
        for sign in (1.0, -1.0):
            joint, tip = middle + sign * 2.5 * heading + bow, middle + sign * 5.0 * heading + 2 * bow
            rows += [(middle, joint, calibre, 0.85 * calibre), (joint, tip, 0.85 * calibre, 0.55 * calibre)]
    return np.array([[*a, *b, ra, rb] for a, b, ra, rb in rows])
