"""Tumours out of labelled CTs: the label says where, the image says how far, and the lung around is taken away.

On the scale ``f = (HU - background) / (soft - background)`` the contour is where the image, freed of noise, passes half
of what the rim of the tumour reads, within a millimetre of the label's own border; what the label holds deep inside
(cavities, necrosis) belongs to it whatever it reads. Beyond the contour nothing of the donor is kept. The interior is
read where the edge's blur no longer reaches and carried on outwards, so that a seed holds no partial volume; the width
of the edge, less the donor's point spread function, is stored beside it. No deconvolution is made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import ndtr, ndtri

from twins import Grid
from twins.importers.noise import denoise

from ..nodule import SOFT_HU
from ..raster import WIDTH_10_90
from .resolution import FWHM, Resolution
from .seeds import Seed

AROUND_MM = 10.0
"""The background is read up to this far from the label [mm] (design default)."""

AERATED_HU = -600.0
BEYOND_MM, DEEP_MM = 1.0, 1.2
"""The contour lies at most this far outside of the label's border, and not deeper than the second inside of it [mm]
(design defaults)."""

DEFAULT_MARGIN_MM = 0.3
"""10-90 % width of the edge where the donor's resolution is not known [mm] (design default, unverified)."""

MIN_BACKGROUND = 50


@dataclass(frozen=True, slots=True)
class Isolated:
    """Seeds found, and for each labelled piece that gave none the reason."""

    seeds: tuple[Seed, ...]
    refused: tuple[str, ...]


def isolate(
    hu: NDArray[np.number],
    grid: Grid,
    labels: NDArray[np.integer],
    *,
    name: str,
    label: int | None = None,
    resolution: Resolution | None = None,
    background_hu: float | None = None,
    min_volume_mm3: float = 14.0,
    source: str = "unknown",
    licence: str = "unknown",
    attributes: Mapping[str, Any] | None = None,
    progress: Callable[[float], None] | None = None,
) -> Isolated:
    """Every connected labelled tumour as a seed.

    Parameters
    ----------
    hu, grid
        The donor ``(z, y, x)`` [HU] and its lattice, axis-aligned.
    labels
        Label map of the same shape.
    name
        Seeds are called ``name-1``, ``name-2``... in order of falling volume.
    label
        Which label is the tumour; none: all above 0.
    resolution
        The donor's; none: the tumour's own edge counts as 0.3 mm wide.
    background_hu
        What surrounds the tumours [HU]; none: the median of the aerated lung nearby.
    min_volume_mm3
        Smaller pieces are no tumours [mm3].
    source, licence, attributes
        Kept in the seeds.
    progress
        Called with the finished share, 0 to 1.

    Raises
    ------
    ValueError
        If the shapes do not agree, the grid is turned, or nothing is labelled.
    """
    if hu.shape != grid.shape or labels.shape != grid.shape:
        raise ValueError(f"hu {hu.shape} and labels {labels.shape} must have the grid's shape {grid.shape}")
    if not grid.is_axis_aligned:
        raise ValueError(f"the grid of a donor must be axis-aligned, its direction is {grid.direction}")
    marked = labels > 0 if label is None else labels == label
    parts, n = ndimage.label(marked, np.ones((3, 3, 3)))
    if n == 0:
        known = sorted(int(v) for v in np.unique(labels))[:12]
        raise ValueError(f"no voxel has label {'> 0' if label is None else label}; the map holds {known}")
    volumes = np.bincount(parts.ravel())[1:] * grid.voxel_volume_mm3
    boxes = ndimage.find_objects(parts)
    seeds: list[Seed] = []
    refused: list[str] = []
    for rank, i in enumerate(np.argsort(-volumes, kind="stable")):
        if progress is not None:
            progress(rank / n)
        called = f"{name}-{rank + 1}"
        if volumes[i] < min_volume_mm3:
            refused.append(f"{called}: {volumes[i]:.1f} mm3 is below min_volume_mm3 {min_volume_mm3:g}")
            continue
        box, ends = boxes[i], zip(boxes[i], grid.shape, strict=True)
        if any(b.start == 0 or b.stop == size for b, size in ends):
            refused.append(f"{called}: it is cut by the end of the image")
            continue
        margin = [math.ceil((AROUND_MM + 4) / s) for s in grid.spacing_mm]
        window = tuple(
            slice(max(0, b.start - m), min(size, b.stop + m))
            for b, m, size in zip(box, margin, grid.shape, strict=True)
        )
        start = [w.start for w in window]
        part = grid.crop(start, [w.stop - w.start for w in window])
        try:
            seeds.append(
                _seed(
                    np.ascontiguousarray(hu[window], np.float32),
                    part,
                    parts[window] == i + 1,
                    marked[window],
                    called,
                    resolution,
                    background_hu,
                    source,
                    licence,
                    dict(attributes or {}),
                )
            )
        except ValueError as error:
            refused.append(f"{called}: {error}")
    return Isolated(tuple(seeds), tuple(refused))


def _seed(
    hu: NDArray[np.float32],
    grid: Grid,
    inside: NDArray[np.bool_],
    marked: NDArray[np.bool_],
    name: str,
    resolution: Resolution | None,
    background_hu: float | None,
    source: str,
    licence: str,
    attributes: dict[str, Any],
) -> Seed:
    label_mm = _signed(inside, grid.spacing_mm)
    around = (label_mm < -2) & (label_mm > -AROUND_MM) & ~ndimage.binary_dilation(marked, iterations=2)
    if background_hu is None:
        aerated = hu[around & (hu < AERATED_HU)]
        if len(aerated) < MIN_BACKGROUND:
            raise ValueError(
                f"only {len(aerated)} voxels of aerated lung within {AROUND_MM:g} mm, {MIN_BACKGROUND} are needed; "
                "give background_hu"
            )
        background_hu = float(np.median(aerated))
    fine = hu - ndimage.uniform_filter(hu, (1, 7, 7))
    calm = around & (hu < AERATED_HU) if np.count_nonzero(around & (hu < AERATED_HU)) >= MIN_BACKGROUND else inside
    noise = float(1.4826 * np.median(abs(fine[calm] - np.median(fine[calm]))))
    clean = denoise(hu, noise, np.ones(hu.shape, bool))
    contrast = SOFT_HU - background_hu

    step = float(np.clip(0.6 * min(grid.spacing_mm), 0.2, 0.6))
    lattice = grid.with_spacing((step, step, step))
    at = [
        np.clip((fine_mm - mm[0]) / s, 0, len(mm) - 1)
        for fine_mm, mm, s in zip(lattice.axes_mm(), grid.axes_mm(), grid.spacing_mm, strict=True)
    ]
    points = np.stack(np.meshgrid(*at, indexing="ij"))

    def resampled(field: NDArray[np.floating], order: int) -> NDArray[np.float32]:
        return ndimage.map_coordinates(field, points, order=order, mode="nearest", output=np.float32)

    share = resampled((clean - background_hu) / contrast, 3)
    label_fine = resampled(label_mm, 1)
    core = label_fine > min(0.6 * max(grid.spacing_mm[1:]), 0.4 * float(label_fine.max()))
    rim = float(np.percentile(share[core], 25))
    if rim < 0.05:
        raise ValueError(
            f"it does not stand out of the lung: its lower quartile reads {background_hu + rim * contrast:.0f} HU, the "
            f"lung {background_hu:.0f} HU"
        )
    filled = ((share > 0.5 * min(rim, 1.0)) & (label_fine > -BEYOND_MM)) | (label_fine > DEEP_MM)
    parts, n = ndimage.label(filled)
    if n > 1:
        filled = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    filled = ndimage.binary_fill_holes(filled)
    distance = ndimage.gaussian_filter(_signed(filled, lattice.spacing_mm), 0.8).astype(np.float32)
    sigma, interior = _edge_and_interior(share, distance, step)
    psf = None if resolution is None else resolution.in_plane_fwhm_mm / FWHM
    own = DEFAULT_MARGIN_MM / WIDTH_10_90 if psf is None else math.sqrt(max(sigma**2 - psf**2, 0.05**2))
    residual = np.where(distance > 0, resampled((hu - clean) / contrast, 1), 0).astype(np.float32)
    volume = float(np.clip(distance / step + 0.5, 0, 1).sum(dtype=np.float64)) * step**3
    known = {
        "label_volume_mm3": round(float(inside.sum()) * grid.voxel_volume_mm3, 3),
        "background_hu": round(background_hu, 1),
        "noise_sd_hu": round(noise, 1),
        "donor_spacing_mm": list(grid.spacing_mm),
        "edge_sigma_mm": round(sigma, 3),
        "margin_source": "estimated (design default, unverified)"
        if psf is None
        else "edge less the donor's resolution",
        "mean_fraction": round(float(interior[distance > 0].mean()), 3),
    }
    keep = _box(distance > -3.0)
    occupied = np.clip(distance[keep] / step + 0.5, 0, 1)
    centred = centred_grid(lattice.crop([k.start for k in keep], occupied.shape), occupied)
    return Seed(
        name, centred, distance[keep], interior[keep], residual[keep], volume, own, source, licence, attributes | known
    )


def _edge_and_interior(
    share: NDArray[np.float32], distance: NDArray[np.float32], step: float
) -> tuple[float, NDArray[np.float32]]:
    """Sigma of the blurred edge [mm] and the interior without it."""
    slope = np.sqrt(sum(g.astype(np.float64) ** 2 for g in np.gradient(share, step)))
    top = float(distance.max())
    deep = distance > 0.7 * top if top < 2.5 else distance > 1.5
    height = share[tuple(ndimage.distance_transform_edt(~deep, return_distances=False, return_indices=True))]
    at = (abs(distance) < 0.5 * step) & (slope > 1e-3)
    # Between two steps across the middle of a Gaussian edge of height g the image rises by g (2 Phi(h / sigma) - 1);
    # the median leaves attachments out.
    rise = 2 * step * slope[at] / np.maximum(abs(height[at]), 1e-3)
    sigma = float(np.median(step / ndtri(0.5 * (1 + np.clip(rise, 0.05, 0.999))))) if at.any() else step
    sigma = min(max(sigma, 0.2), 3.0)
    deep = distance > min(sigma, 0.6 * top)
    freed = share / np.maximum(ndtr(distance / sigma), 0.5)
    nearest = tuple(ndimage.distance_transform_edt(~deep, return_distances=False, return_indices=True))
    interior = freed[nearest]
    smooth = ndimage.gaussian_filter(interior, 1.0)
    return sigma, np.where(deep, freed, smooth).astype(np.float32)


def centred_grid(lattice: Grid, weight: NDArray[np.floating]) -> Grid:
    """The lattice moved so that the centroid of a weight is the origin."""
    z, y, x = lattice.axes_mm()
    total = weight.sum(dtype=np.float64)
    middle = (
        float((weight.sum(axis=(0, 1), dtype=np.float64) * x).sum() / total),
        float((weight.sum(axis=(0, 2), dtype=np.float64) * y).sum() / total),
        float((weight.sum(axis=(1, 2), dtype=np.float64) * z).sum() / total),
    )
    ox, oy, oz = lattice.origin_mm
    return Grid(lattice.shape, lattice.spacing_mm, (ox - middle[0], oy - middle[1], oz - middle[2]))


def _signed(inside: NDArray[np.bool_], spacing_mm: tuple[float, float, float]) -> NDArray[np.float32]:
    """Signed distance to the faces of a mask, positive inside [mm]."""
    half = 0.5 * min(spacing_mm)
    within = ndimage.distance_transform_edt(inside, sampling=spacing_mm)
    without = ndimage.distance_transform_edt(~inside, sampling=spacing_mm)
    return np.where(inside, within - half, half - without).astype(np.float32)


def _box(mask: NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    found = ndimage.find_objects(mask.astype(np.uint8))[0]
    return (found[0], found[1], found[2])
