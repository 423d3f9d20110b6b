"""Lesions into a patch of a CT: form, matter and blending are those of :mod:`lesions.images`, at training's speed.

The lattice of a lesion is as fine as its voxels call for, and no measures are taken of it but its exact volume; so one
costs tens of milliseconds. In lung a lesion is matter, as a nodule in a twin is. In any other organ it is the organ's
own level with a contrast, uneven by a correlated texture; noise and texture of the host stay as they are.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from twins import Grid

from ..images.background import MIN_VOXELS, Window, background_hu, ball, fine_noise_hu, robust_level_hu
from ..images.host import NEAR_MM, VESSEL_HU
from ..images.imaging import averaged
from ..images.nodules import lung_shares
from ..images.piece import Piece, composed
from ..images.resolution import Resolution
from ..interior import texture
from ..nodule import Nodule
from ..raster import Raster, rasterise
from ..sizing import sized
from ..taken import PlacementError
from .places import Form, Places
from .spec import Drawn, Insertion, draw_lesions

IN_PLANE_FWHM_MM = 1.4
"""Of a CT of which nothing is said [mm]: a medium kernel (design default, unverified)."""

LATTICE_PER_VOXEL = (0.6, 1.0)
"""Steps of a lesion's lattice, per voxel of the patch: for the smallest and at most (design default). What is finer is
blurred away."""

LATTICE_PER_DIAMETER, LATTICE_PER_MARGIN = 1 / 24, 0.25
"""Steps of the lattice of larger ones, and of those with a soft edge per its 10-90 % width (design defaults)."""

N_TURNS = 20
"""Places drawn for one lesion before it is given up, beside the tries of each draw."""

LUNG_HU = (-990.0, -300.0)
"""Aerated lung reads between them (design default)."""

SCALED = (1.5, 0.5)
"""An image whose organ lies within the first of 0 and has less noise than the second holds no HU."""

N_NOISE = 60_000
N_LEVEL = 8_000
"""Voxels from which noise and level are estimated, about."""


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """A part of a CT that lesions go into.

    Parameters
    ----------
    hu
        ``(z, y, x)`` of any integer or floating type [HU].
    grid
        Its lattice in its own axes (upright).
    organ
        ``(z, y, x)`` mask of where lesions may be.
    resolution
        Point spread function of the CT.
    noise_sd_hu
        SD of noise and fine texture in the organ [HU].
    """

    hu: NDArray[np.number]
    grid: Grid
    organ: NDArray[np.bool_]
    resolution: Resolution
    noise_sd_hu: float

    def level_hu(self, centre_mm: NDArray[np.float64], reach_mm: float) -> float:
        """What the organ reads within ``reach_mm`` and 10 mm more of a point, by its robust median [HU].

        Raises
        ------
        PlacementError
            If next to none of it is there.
        """
        window, squared = ball(self.grid, centre_mm, reach_mm + NEAR_MM)
        thin = max(1, int((squared.size / N_LEVEL) ** (1 / 3)))
        every = (slice(None, None, thin),) * 3
        organ = self.organ[window][every] & (squared[every] <= (reach_mm + NEAR_MM) ** 2)
        values = self.hu[window][every][organ].astype(np.float64)
        if len(values) < MIN_VOXELS:
            raise PlacementError(
                f"only {len(values)} voxels of the organ lie near, at least {MIN_VOXELS} are needed to know its level"
            )
        return robust_level_hu(values)

    def background_hu(self, window: Window, displaced: NDArray[np.float32], level_hu: float) -> NDArray[np.float32]:
        """See :func:`lesions.images.background.background_hu`."""
        return background_hu(self.hu, window, displaced, level_hu, self.noise_sd_hu)


@dataclass(frozen=True, slots=True, eq=False)
class Lesion:
    """One lesion in a patch.

    Parameters
    ----------
    nodule
        Its spec; ``centre_mm`` is in the patch's own axes.
    contrast_hu
        Difference to the organ's level; None for matter in lung [HU].
    level_hu
        What the organ reads around it [HU].
    index
        Continuous index ``(z, y, x)`` of its centroid.
    volume_mm3
        Exact volume.
    window, occupancy
        Where it is, and the share of each of those voxels within its contour ``(z, y, x)`` float32.
    """

    nodule: Nodule
    contrast_hu: float | None
    level_hu: float
    index: NDArray[np.float64]
    volume_mm3: float
    window: Window
    occupancy: NDArray[np.float32]

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Voxels of the window that it fills at least by half, or the one that it fills most."""
        half = self.occupancy >= 0.5
        return half if half.any() else np.asarray(self.occupancy == self.occupancy.max())


@dataclass(frozen=True, slots=True, eq=False)
class Inserted:
    """The image of a patch with lesions in it ``(z, y, x)``, the lesions, and what could not be inserted and why."""

    hu: NDArray[np.number]
    lesions: tuple[Lesion, ...]
    missing: tuple[str, ...] = field(default=())


def insert_lesions(
    hu: NDArray[np.number],
    grid: Grid,
    organ: NDArray[np.bool_],
    what: Insertion,
    *,
    rng: np.random.Generator,
    lesions: NDArray[np.bool_] | None = None,
    out: NDArray[np.number] | None = None,
) -> Inserted:
    """Draw lesions and put them into a patch.

    Parameters
    ----------
    hu
        ``(z, y, x)`` [HU]; stays as it is.
    grid
        Its lattice, axis-aligned.
    organ
        ``(z, y, x)`` mask of where lesions may be.
    what
        How many, how large, what they are like.
    rng
        Where chance comes from.
    lesions
        ``(z, y, x)`` mask of lesions that are there already; new ones do not touch them.
    out
        A copy of ``hu`` to be changed; none: one is made.

    Raises
    ------
    PlacementError
        If a lesion has no room, unless ``what.allow_missing``.
    ValueError
        If the organ does not read like lung and ``what.contrast_hu`` is not given.
    """
    drawn = draw_lesions(what, rng)
    if not drawn:
        return Inserted(hu.copy(order="K") if out is None else out, ())
    lung = what.contrast_hu is None
    patch = Patch(hu, grid, organ, _resolution(what, grid), _noise_hu(hu, grid, organ))
    _check_scale(patch, lung=lung)
    places = Places(grid, organ, lesions, hu if lung else None, VESSEL_HU, what.max_vessel_share, what.gap_mm)
    pieces: list[Piece] = []
    done: list[Lesion] = []
    missing: list[str] = []
    for one in drawn:
        try:
            piece, lesion = _placed(patch, places, one, what, rng)
        except PlacementError as error:
            if not what.allow_missing:
                raise
            missing.append(str(error))
            continue
        pieces.append(piece)
        done.append(lesion)
    return Inserted(composed(patch, pieces, apart=True, out=out), tuple(done), tuple(missing))


def _check_scale(patch: Patch, *, lung: bool) -> None:
    values = patch.hu[::8, ::8, ::8][patch.organ[::8, ::8, ::8]]
    if lung and values.size and not LUNG_HU[0] < (level := float(np.median(values))) < LUNG_HU[1]:
        raise ValueError(
            f"the organ reads {level:.4g}, lung reads {LUNG_HU[0]:g} to {LUNG_HU[1]:g} HU: insert before intensities "
            "are scaled, or give contrast_hu for another organ"
        )
    if values.size and abs(values).max() <= SCALED[0] and patch.noise_sd_hu < SCALED[1]:
        raise ValueError(
            f"the image reads {values.min():.3g} to {values.max():.3g} in the organ, which are no HU: insert before "
            "intensities are scaled"
        )


def _resolution(what: Insertion, grid: Grid) -> Resolution:
    in_plane = what.in_plane_fwhm_mm
    thickness = what.slice_thickness_mm
    return Resolution(
        in_plane or IN_PLANE_FWHM_MM,
        thickness or grid.spacing_mm[0],
        0.0,
        "estimated of a medium kernel" if in_plane is None else "given",
        "estimated as the distance of the slices" if thickness is None else "given",
    )


def _noise_hu(hu: NDArray[np.number], grid: Grid, organ: NDArray[np.bool_]) -> float:
    """From some slices through the middle of the organ."""
    filled = np.flatnonzero(organ[:, ::4, ::4].any(axis=(1, 2)))
    if not len(filled):
        return 1.0
    n = max(1, min(len(filled), N_NOISE // (grid.shape[1] * grid.shape[2])))
    slices = filled[np.linspace(0, len(filled) - 1, n + 2).round().astype(int)[1:-1]]
    try:
        return fine_noise_hu(hu[slices], grid.spacing_mm, organ[slices])
    except ValueError:
        return 1.0


def _placed(
    patch: Patch, places: Places, one: Drawn, what: Insertion, rng: np.random.Generator
) -> tuple[Piece, Lesion]:
    nodule = sized(one.nodule)
    raster = _raster(nodule, patch.grid)
    name = f"{nodule.id} of {nodule.target_diameter_mm:.1f} mm"
    form = Form.of(name, raster, what.clearance_mm, patch.grid.spacing_mm)
    refuse: Counter[str] = Counter()
    for _ in range(N_TURNS):
        at = places.draw(form, rng, refuse)
        centre = patch.grid.index_to_world(at)
        x, y, z = (float(c) for c in np.asarray(raster.grid.origin_mm) + centre)
        lattice = Grid(raster.grid.shape, raster.grid.spacing_mm, (x, y, z))
        window, share = averaged(raster.occupancy, lattice, patch.grid)
        why = places.holds(window, share)
        if why is None:
            level = patch.level_hu(centre, form.reach_mm)
            if one.contrast_hu is not None or LUNG_HU[0] < level < LUNG_HU[1]:
                break
            why = f"organ that reads {level:.0f} HU"
        refuse[why] += 1
    else:
        raise PlacementError(f"{name}: none of {N_TURNS} places that looked free is, for: {', '.join(refuse)}")
    displaced, brought = _shares(nodule, raster, level, one.contrast_hu, what.texture_share)
    places.take(at, form.reach_mm)
    cx, cy, cz = (float(c) for c in centre)
    lesion = Lesion(
        nodule.at((cx, cy, cz)), one.contrast_hu, level, at, nodule.target_volume_mm3, window, np.minimum(share, 1)
    )
    return Piece(nodule.id, lattice, displaced, brought, level), lesion


def _raster(nodule: Nodule, grid: Grid) -> Raster:
    diameter = nodule.target_diameter_mm
    voxel = min(grid.spacing_mm)
    coarse = max(LATTICE_PER_DIAMETER * diameter, LATTICE_PER_MARGIN * nodule.attributes.margin_mm)
    step = max(LATTICE_PER_VOXEL[0] * voxel, min(LATTICE_PER_VOXEL[1] * voxel, coarse))
    return rasterise(nodule, spacing_mm=min(step, diameter / 10), beyond_mm=1.1 * nodule.halo_mm)


def _shares(
    nodule: Nodule, raster: Raster, level_hu: float, contrast_hu: float | None, texture_share: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Displaced share of the host, and that share times the HU that takes its place."""
    if contrast_hu is None:
        return lung_shares(nodule, raster, level_hu)
    inside = np.full(raster.grid.shape, level_hu + contrast_hu, np.float32)
    if texture_share > 0:
        inside += np.float32(texture_share * contrast_hu) * texture(nodule, raster.grid, raster.profile)
    return raster.profile, raster.profile * inside
