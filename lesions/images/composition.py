"""Real tumours into a host: any number, anywhere that is safe, with exact truth; no two alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twins import LUNG, Grid
from twins.grid import Point

from ..clearance import Clearance
from ..nodule import SOFT_HU
from .host import Host
from .imaging import averaged
from .piece import Piece, composed, overlap
from .seeds import Seed

GAP_MM = 2.0
"""Gap between a tumour and pleura, thick vessels, airways, where no place is given [mm] (design default)."""

BETWEEN_MM = 5.0
"""Gap between two tumours where no place is given [mm] (design default)."""

SHARE_IN_LUNG = 0.99
"""At least so much of a tumour must lie in the lungs at a place that is given (design default)."""


class InsertionError(ValueError):
    """A tumour cannot be where it should; the message names the constraint and the numbers."""


@dataclass(frozen=True, slots=True, eq=False)
class Tumour:
    """One inserted tumour as it is, before any imaging.

    Parameters
    ----------
    id
        Name within the image.
    seed, source, licence, attributes
        Those of the seed, with its morph and parents.
    centre_mm
        Centroid ``(x, y, z)`` [mm, LPS].
    volume_mm3, equivalent_diameter_mm
        Within the contour.
    fraction_volume_mm3
        Its interior's fraction summed over its volume [mm3]: the change that it makes to the image is this times the
        contrast of soft tissue to the lung around.
    level_hu
        What the lung around reads [HU].
    grid, occupancy
        Fine lattice in the world and the share of its voxels within the contour ``(z, y, x)`` float32.
    """

    id: str
    seed: str
    source: str
    licence: str
    attributes: Mapping[str, Any]
    centre_mm: Point
    volume_mm3: float
    equivalent_diameter_mm: float
    fraction_volume_mm3: float
    level_hu: float
    grid: Grid
    occupancy: NDArray[np.float32]

    def record(self) -> dict[str, Any]:
        """All but the arrays as plain data."""
        return {
            "id": self.id,
            "seed": self.seed,
            "source": self.source,
            "licence": self.licence,
            "attributes": dict(self.attributes),
            "centre_lps_mm": list(self.centre_mm),
            "volume_mm3": self.volume_mm3,
            "equivalent_diameter_mm": self.equivalent_diameter_mm,
            "fraction_volume_mm3": self.fraction_volume_mm3,
            "level_hu": self.level_hu,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Tumours:
    """Truth of all tumours of one image."""

    tumours: tuple[Tumour, ...]

    def occupancy(self, grid: Grid, i: int) -> NDArray[np.float32]:
        """Share of each voxel of an axis-aligned grid that tumour ``i`` fills; they sum to its exact volume."""
        out = np.zeros(grid.shape, np.float32)
        window, patch = averaged(self.tumours[i].occupancy, self.tumours[i].grid, grid)
        out[window] = np.minimum(patch, 1)
        return out

    def labels(self, grid: Grid) -> NDArray[np.uint8]:
        """0 for none, i + 1 where tumour i fills at least half of the voxel, or more of it than of any other."""
        labels = np.zeros(grid.shape, np.uint8)
        for i, tumour in enumerate(self.tumours):
            window, patch = averaged(tumour.occupancy, tumour.grid, grid)
            if patch.size and patch.max() > 0:
                labels[window][(patch >= 0.5) | (patch == patch.max())] = i + 1
        return labels


def insert_seeds(
    host: Host,
    seeds: Sequence[Seed],
    *,
    rng: np.random.Generator,
    centres_mm: Sequence[Point | None] | None = None,
    texture: float = 0.0,
    progress: Callable[[float], None] | None = None,
) -> tuple[NDArray[np.number], Tumours]:
    """The host's image with tumours in it, and their exact truth.

    Parameters
    ----------
    host
        See :func:`lesions.images.prepare`.
    seeds
        The tumours, morphed or not (:func:`lesions.images.morphing.draw_seeds`).
    rng
        Draws the places that are not given.
    centres_mm
        World points ``(x, y, z)`` of their centroids [mm, LPS], one per seed, None for one to be drawn.
    texture
        How much of the donor's residual is added, 0 to 1: it holds the donor's noise beside fine texture, and the host
        has noise of its own.
    progress
        Called with the finished share, 0 to 1.

    Returns
    -------
    image, truth
        ``(z, y, x)`` of the host's own type [HU].

    Raises
    ------
    InsertionError
        If a tumour leaves the image or the lungs, overlaps another, or finds no place.
    """
    centres = [None] * len(seeds) if centres_mm is None else list(centres_mm)
    if len(centres) != len(seeds):
        raise ValueError(f"centres_mm must name {len(seeds)} places, one per seed, got {len(centres)}")
    if not 0 <= texture <= 1:
        raise ValueError(f"texture must lie between 0 and 1, got {texture}")
    if len(seeds) > 255:
        raise ValueError(f"an image holds at most 255 tumours (uint8 labels), got {len(seeds)}")
    room = _Room(host, len(seeds))
    placed: dict[int, tuple[Piece, Tumour]] = {}
    for i in sorted(range(len(seeds)), key=lambda k: centres[k] is None):
        name = f"{i + 1}:{seeds[i].name}"
        given = centres[i]
        centre = room.drawn(name, seeds[i], rng) if given is None else np.asarray(given, np.float64)
        piece, tumour = _piece(host, seeds[i], name, f"{i + 1}", centre, texture)
        _check(host, tumour)
        for other, _ in placed.values():
            if overlap(other, piece):
                raise InsertionError(f"overlap: tumours {other.name!r} and {name!r} displace the same lung")
        room.take(centre, seeds[i].reach_mm)
        placed[i] = (piece, tumour)
        if progress is not None:
            progress(len(placed) / len(seeds))
    order = sorted(placed)
    return composed(host, [placed[i][0] for i in order]), Tumours(tuple(placed[i][1] for i in order))


def _piece(
    host: Host, seed: Seed, name: str, called: str, centre: NDArray[np.float64], texture: float
) -> tuple[Piece, Tumour]:
    x, y, z = (float(c) for c in np.asarray(seed.grid.origin_mm) + centre)
    grid = Grid(seed.grid.shape, seed.grid.spacing_mm, (x, y, z))
    try:
        level = host.level_hu(centre, seed.reach_mm)
    except ValueError as error:
        raise InsertionError(f"lungs: tumour {name!r} does not lie in aerated lung: {error}") from None
    profile = seed.profile()
    interior = seed.interior + np.float32(texture) * seed.residual
    # Over the lung's level: interior f in 0-1 is soft tissue in a share f of the lung; beyond 1 all of it is something
    # denser; below 0 a share of it is air.
    contrast = SOFT_HU - level
    share = np.where(interior >= 0, np.minimum(interior, 1), np.minimum(-interior * contrast / (1000 + level), 1))
    what = np.where(interior > 1, level + interior * contrast, np.where(interior >= 0, SOFT_HU, -1000.0))
    displaced = (profile * share).astype(np.float32)
    brought = (displaced * what).astype(np.float32)
    made = float((brought - displaced * np.float64(level)).sum(dtype=np.float64)) / contrast
    voxel = grid.voxel_volume_mm3
    tumour = Tumour(
        id=called,
        seed=seed.name,
        source=seed.source,
        licence=seed.licence,
        attributes=dict(seed.attributes),
        centre_mm=(float(centre[0]), float(centre[1]), float(centre[2])),
        volume_mm3=seed.volume_mm3,
        equivalent_diameter_mm=seed.equivalent_diameter_mm,
        fraction_volume_mm3=made * voxel,
        level_hu=level,
        grid=grid,
        occupancy=seed.occupancy(),
    )
    return Piece(name, grid, displaced, brought, level), tumour


def _check(host: Host, tumour: Tumour) -> None:
    filled = np.stack(np.nonzero(tumour.occupancy > 0.5), axis=1)
    points = tumour.grid.index_to_world(filled)
    inside = host.grid.contains(points)
    if not inside.all():
        raise InsertionError(
            f"bounds: tumour {tumour.id}:{tumour.seed!r} at {tumour.centre_mm} mm leaves the image with "
            f"{1 - inside.mean():.1%} of its volume"
        )
    index = np.clip(np.rint(host.grid.world_to_index(points)).astype(int), 0, np.asarray(host.grid.shape) - 1)
    share = float(np.isin(host.structure[tuple(index.T)], [int(s) for s in LUNG]).mean())
    if share < SHARE_IN_LUNG:
        raise InsertionError(
            f"lungs: tumour {tumour.id}:{tumour.seed!r} at {tumour.centre_mm} mm lies in the lungs with {share:.1%} of "
            f"its volume, at least {SHARE_IN_LUNG:.0%} are needed"
        )


class _Room:
    """Safe places of a host, thinned to about 2 mm, and what is taken of them."""

    def __init__(self, host: Host, n: int) -> None:
        self.where = Clearance(host.twin())
        self.taken: list[tuple[NDArray[np.float64], float]] = []
        self.n = n

    def take(self, centre: NDArray[np.float64], reach_mm: float) -> None:
        self.taken.append((centre, reach_mm))

    def drawn(self, name: str, seed: Seed, rng: np.random.Generator) -> NDArray[np.float64]:
        where, reach = self.where, seed.reach_mm
        thick = max(2.0, float(round(0.25 * seed.equivalent_diameter_mm)))
        allowed = where.is_any(LUNG)
        slack = where.half_diagonal_mm
        for what, away in (
            ("pleura", where.pleura_mm()),
            ("airways", where.airway_mm(thick)),
            (f"vessels thicker than {thick:g} mm", where.vessel_mm(thick)),
        ):
            before, need = allowed, reach + GAP_MM + slack
            allowed = before & (away >= need)
            if not allowed.any():
                best = float(away[before].max()) if before.any() else 0.0
                raise InsertionError(
                    f"{what}: tumour {name!r} reaches {reach:.1f} mm and needs {need:.1f} mm of room, the roomiest "
                    f"place has {best:.1f} mm"
                )
        points = where.grid.index_to_world(np.argwhere(allowed))
        for centre, radius in self.taken:
            points = points[np.linalg.norm(points - centre, axis=1) >= radius + reach + BETWEEN_MM]
        if not len(points):
            raise InsertionError(
                f"other tumours: none of {np.count_nonzero(allowed)} places for tumour {name!r} of reach {reach:.1f} "
                f"mm is {BETWEEN_MM:g} mm from the {len(self.taken)} already placed"
            )
        jitter = where.grid.index_to_world(rng.uniform(-0.5, 0.5, 3)) - np.asarray(where.grid.origin_mm)
        return np.asarray(points[rng.integers(len(points))] + jitter)
