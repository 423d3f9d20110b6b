"""Parametric nodules in a real CT: the same spec, form and interior as in a twin, imaged by the host's own scanner."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from twins import Material

from ..hounsfield import density_g_cm3, hounsfield_equivalent
from ..insertion import insert
from ..interior import difference
from ..nodule import Nodule
from ..parts import parts_of
from ..periphery import halo_of
from ..placement import place
from ..raster import Raster
from ..shape import shape_of
from ..sizing import sized
from ..surroundings import Matter
from ..truth import NoduleTruth, Truth
from .host import STAND_IN, Host
from .piece import Piece, composed


def insert_nodules(
    host: Host,
    nodules: Sequence[Nodule],
    *,
    rng: np.random.Generator | None = None,
    progress: Callable[[float], None] | None = None,
) -> tuple[NDArray[np.number], Truth]:
    """The host's image with nodules in it, and their exact truth.

    Parameters
    ----------
    host
        See :func:`lesions.images.prepare`.
    nodules
        With ``centre_mm``, or to be placed as :func:`lesions.place` does.
    rng
        Needed where a nodule has no place yet.
    progress
        Called with the finished share, 0 to 1.

    Returns
    -------
    image, truth
        ``(z, y, x)`` of the host's own type [HU]; measures of the objects themselves and fractional masks on any grid.
        The HU of the truth are those over lung at the level found around each nodule.

    Raises
    ------
    ValueError
        If nodules overlap, leave the image or the lungs, push their surroundings (``displacement``: an image holds no
        matter to push), or have no place and no ``rng`` is given.
    PlacementError
        If there is no place for one.
    """
    for nodule in nodules:
        if nodule.displacement:
            raise ValueError(
                f"nodule {nodule.id!r}: displacement must be 0 in the image domain, got {nodule.displacement}"
            )
        if nodule.centre_mm is None and rng is None:
            raise ValueError(f"nodule {nodule.id!r} has no centre_mm: give rng to have it placed")
    if rng is not None:
        nodules = place(host.twin(), nodules, rng=rng)
    pieces, truths = [], []
    for nodule in nodules:
        piece, truth = _piece(host, nodule)
        pieces.append(piece)
        truths.append(truth)
        if progress is not None:
            progress(len(truths) / len(nodules))
    return composed(host, pieces), Truth(tuple(truths))


def lung_shares(nodule: Nodule, raster: Raster, level_hu: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A sized nodule in lung that reads ``level_hu`` throughout, on the raster's lattice.

    Returns the share of each voxel ``(z, y, x)`` that it displaces, and that share times the HU that takes its place.
    """
    around = density_g_cm3(STAND_IN, level_hu)
    base = Matter(
        (STAND_IN,),
        np.broadcast_to(np.float32(around), (1, *raster.grid.shape)),
        np.broadcast_to(np.float32(1), raster.grid.shape),
    )
    halo = halo_of(nodule, raster, base) if nodule.halo_mm else None
    materials, delta = difference(nodule, raster, base, parts_of(nodule, raster), halo=halo)
    return _shares(materials, delta, around)


def _piece(host: Host, nodule: Nodule) -> tuple[Piece, NoduleTruth]:
    low, high = shape_of(sized(nodule)).extent_mm()
    reach = float(np.maximum(abs(low), abs(high)).max())
    level = host.level_hu(np.asarray(nodule.centre_mm, np.float64), reach)
    twin, truth = insert(host.twin(level), [nodule])
    (inset,) = twin.insets
    displaced, brought = _shares(inset.materials, inset.delta_g_cm3, float(twin.density.flat[0]) * 1e-4)
    return Piece(nodule.id, inset.grid, displaced, brought, level), truth.nodules[0]


def _shares(
    materials: Sequence[Material], delta_g_cm3: NDArray[np.float32], around_g_cm3: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Displaced share, and that share times the HU that takes its place: linear in the densities, so both are exact."""
    row = list(materials).index(STAND_IN)
    displaced = -delta_g_cm3[row] / np.float32(around_g_cm3)
    others = [k for k in range(len(materials)) if k != row]
    new = hounsfield_equivalent([materials[k] for k in others], delta_g_cm3[others]) + 1000.0
    return displaced, np.asarray(new - 1000.0 * displaced, np.float32)
