"""Mucus plugs in the airways of a twin: a bronchus and its two branches, filled and widened from their fork outwards.

A plug of volume V is about nine radii long, so its radius is ``R = (V / 9 pi)^(1/3)``: four radii back from the fork
and two and a half along either branch, as far as the tree goes. It follows the centre lines of the twin's airway table.
Lengths, widening and knobs are design defaults, unverified ("finger in glove": mucus widens the bronchus it fills).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from twins import Tree

from .branches import daughters_of, eldest_of, line_along, mothers_of
from .nodule import Nodule

BACK, ALONG, AROUND = 4.0, 2.5, 9.0
"""Lengths in radii: back from the fork, along a branch; and all of them."""

WIDENED = (0.85, 2.4)
"""A plug's radius, in radii of the lumen before the fork: hardly narrower than it, and up to so many times as wide."""

TAPER = (0.85, 1.0, 0.75)
"""Radius at the near end, at the fork and along the branches, in R."""

KNOB = 1.3
"""Radius of the far ends, in that of their branch."""

WAVES = 0.1
"""SD of the radius along the plug."""

FORK_TOLERANCE_MM = 1.0
"""A plug's centre lies no farther than this from a fork of the tree."""


@dataclass(frozen=True, slots=True, eq=False)
class Forks:
    """Where an airway divides.

    ``at_mm`` (n, 3) world points; ``radius_mm`` (n,) of the lumen before them; ``mother`` (n,) rows of the tree that
    end there; ``daughters`` (n, 2) rows of the two widest that begin there; ``lobe`` (n,) of the mother.
    """

    at_mm: NDArray[np.float64]
    radius_mm: NDArray[np.float64]
    mother: NDArray[np.intp]
    daughters: NDArray[np.intp]
    lobe: NDArray[np.uint16]


def forks_of(airways: Tree) -> Forks:
    """The forks of a tree, those with at least two branches."""
    widest = daughters_of(airways)
    mothers = np.array([row for row, rows in widest.items() if len(rows) >= 2], dtype=np.intp)
    daughters = np.array([widest[int(row)][:2] for row in mothers], dtype=np.intp).reshape(-1, 2)
    return Forks(
        airways.end_mm[mothers].astype(np.float64),
        airways.end_radius_mm[mothers].astype(np.float64),
        mothers,
        daughters,
        airways.lobe[mothers],
    )


def plug_radius_mm(volume_mm3: float) -> float:
    """Radius of a plug of that volume [mm]."""
    return (volume_mm3 / (AROUND * math.pi)) ** (1 / 3)


def fits(forks: Forks, volume_mm3: float) -> NDArray[np.bool_]:
    """Which forks have an airway of the calibre that a plug of that volume fills."""
    wide = plug_radius_mm(volume_mm3) / np.maximum(forks.radius_mm, 1e-6)
    return np.asarray((wide >= WIDENED[0]) & (wide <= WIDENED[1]))


def plug_of(nodule: Nodule, airways: Tree) -> NDArray[np.float64]:
    """Segments ``(n, 8)`` of a placed plug about its ``centre_mm`` [mm]: start, end (x, y, z), start and end radius.

    Raises
    ------
    ValueError
        If the tree has no fork at its centre.
    """
    forks = forks_of(airways)
    centre = np.asarray(nodule.centre_mm, np.float64)
    away = np.linalg.norm(forks.at_mm - centre, axis=1) if len(forks.mother) else np.array([np.inf])
    nearest = int(np.argmin(away))
    if away[nearest] > FORK_TOLERANCE_MM:
        has = f"the nearest is {away[nearest]:.1f} mm away" if len(forks.mother) else "the twin has no airway tree"
        raise ValueError(
            f"nodule {nodule.id!r} at centre_mm {nodule.centre_mm}: attachment 'airway' needs a fork of the airways "
            f"within {FORK_TOLERANCE_MM:g} mm of it, {has}; attachment: none lays it anywhere"
        )
    radius = plug_radius_mm(nodule.target_volume_mm3)
    rng = nodule.stream("plug")
    widest = daughters_of(airways)
    mother = int(forks.mother[nearest])
    back, _ = line_along(airways, [mother, *mothers_of(airways, mother)], BACK * radius, down=False)
    rows = _tapered(back, TAPER[1] * radius, TAPER[0] * radius, radius, rng)
    for daughter in forks.daughters[nearest].tolist():
        points, _ = line_along(airways, [daughter, *eldest_of(widest, daughter)], ALONG * radius, down=True)
        branch = _tapered(points, TAPER[1] * radius, TAPER[2] * radius, radius, rng)
        branch[-1, 7] *= KNOB
        rows = np.concatenate((rows, branch))
    rows[:, 0:3] -= centre
    rows[:, 3:6] -= centre
    return _filled(rows, nodule.target_volume_mm3)


def _tapered(
    points: NDArray[np.float64], first_mm: float, last_mm: float, radius_mm: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Segments along points, in steps of about a radius, between two radii that wave a little."""
    fine = [points[0]]
    for a, b in pairwise(points):
        n = max(1, round(float(np.linalg.norm(b - a)) / radius_mm))
        fine += [a + (b - a) * (i + 1) / n for i in range(n)]
    along = np.concatenate(([0.0], np.cumsum([np.linalg.norm(b - a) for a, b in pairwise(fine)])))
    radius = first_mm + (last_mm - first_mm) * along / along[-1]
    radius[1:] *= np.clip(1 + WAVES * rng.standard_normal(len(fine) - 1), 0.75, 1.25)
    return np.array([[*fine[i], *fine[i + 1], radius[i], radius[i + 1]] for i in range(len(fine) - 1)])


def _filled(rows: NDArray[np.float64], volume_mm3: float) -> NDArray[np.float64]:
    """The same centre lines, with radii such that the frusta have about the volume."""
    lengths = np.linalg.norm(rows[:, 3:6] - rows[:, 0:3], axis=1)
    frusta = math.pi / 3 * np.sum(lengths * (rows[:, 6] ** 2 + rows[:, 6] * rows[:, 7] + rows[:, 7] ** 2))
    filled = rows.copy()
    filled[:, 6:8] *= math.sqrt(volume_mm3 / frusta)
    return filled
