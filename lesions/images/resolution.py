"""How sharp a CT is, from the image alone: in-plane point spread function and slice profile.

In the plane: pixels near the border between air and skin (or air and tracheal wall) are ordered by their distance to
the border, which a parabola through its own crossings in neighbouring rows places; their medians are the oversampled
edge spread function (method of Judy, Med. Phys. 3 (1976) 233). A model of air, a thin layer and what lies behind it,
blurred by a Gaussian, is fitted to it. Along z: where the border is tilted by ``s = |dx/dz|`` the edge is wider,
``sigma^2(s) = sigma_xy^2 + s^2 sigma_z^2``, and a straight line through several tilts gives the slice profile.

Skin moves and is clothed, and edge-enhancing kernels are no Gaussians: the figures are those of the nearest Gaussian.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import curve_fit
from scipy.signal import savgol_coeffs
from scipy.special import ndtr

from twins import Grid

FWHM = 2.0 * math.sqrt(2.0 * math.log(2.0))
"""Full width at half maximum of a Gaussian in units of its sigma."""

LEVEL_HU = -500.0
AIR_HU, TISSUE_HU = -900.0, -350.0
"""Beyond the border all is below the first, the layer within reaches above the second (design defaults)."""

BEFORE_MM, BEHIND_MM = 5.0, 3.0
"""Part of the edge spread function that is fitted."""

MIN_EDGES = 150
"""Fewer rows with a usable border than this give no figure (design default)."""

UPRIGHT = 0.15
"""Up to this tilt dx/dz the slice profile widens an edge by about one percent."""

TILTS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0)

KERNEL_FWHM_MM = {"soft": 1.7, "medium": 1.4, "sharp": 0.9}
"""In-plane FWHM by class of reconstruction kernel [mm] (design defaults, unverified; the Gaussians of MTF50 0.26, 0.31
and 0.50 per mm, as edges of three public chest CTs gave)."""


class ResolutionError(ValueError):
    """The resolution cannot be told from the image; the message says what was looked for."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """Point spread function of a CT: Gaussian in the plane, a box blurred by a Gaussian along z.

    Parameters
    ----------
    in_plane_fwhm_mm
        FWHM of the Gaussian in the plane [mm].
    slice_thickness_mm
        Width of the box along z [mm]; 0 for none.
    slice_blur_fwhm_mm
        FWHM of the Gaussian along z [mm]; 0 for none.
    in_plane_source, slice_source
        Where the figures come from: "given", "measured ...", "estimated ...".

    Raises
    ------
    ValueError
        If a width is not within 0 to 20 mm, or both widths along z are 0.
    """

    in_plane_fwhm_mm: float
    slice_thickness_mm: float
    slice_blur_fwhm_mm: float = 0.0
    in_plane_source: str = "given"
    slice_source: str = "given"

    def __post_init__(self) -> None:
        for name in ("in_plane_fwhm_mm", "slice_thickness_mm", "slice_blur_fwhm_mm"):
            value = getattr(self, name)
            if not 0 <= value <= 20:
                raise ValueError(f"{name} must lie between 0 and 20 mm, got {value}")
        if self.in_plane_fwhm_mm == 0:
            raise ValueError("in_plane_fwhm_mm must be above 0 mm, got 0")
        if self.slice_thickness_mm == self.slice_blur_fwhm_mm == 0:
            raise ValueError("slice_thickness_mm and slice_blur_fwhm_mm must not both be 0")

    @property
    def slice_fwhm_mm(self) -> float:
        """FWHM of the slice profile [mm], about: of the Gaussian of its own variance, at least the box."""
        return max(self.slice_thickness_mm, FWHM * self.slice_sigma_mm)

    @property
    def slice_sigma_mm(self) -> float:
        """SD of the slice profile [mm]."""
        return math.hypot(self.slice_thickness_mm / math.sqrt(12), self.slice_blur_fwhm_mm / FWHM)


def resolution_of_kernel(kernel: str, slice_thickness_mm: float) -> Resolution:
    """What a kernel's name suggests, where the image itself tells nothing: an estimate, and marked as such.

    Siemens names by their number (B30f, Br40, Hr64...), GE and Philips and Canon by their usual words.

    Raises
    ------
    ValueError
        If the name is not known.
    """
    name = kernel.strip().upper()
    number = re.match(r"^(?:B|I|BR|BL|BF|BV|HR|QR|BRF)(\d\d)", name)
    kind: str | None = None
    if number:
        kind = "soft" if int(number[1]) < 36 else "medium" if int(number[1]) < 50 else "sharp"
    else:
        words = {
            "soft": ("SOFT", "STANDARD", "STD", "A", "B", "FC01", "FC02", "FC03", "FC08", "FC12", "FC13", "FC18"),
            "medium": ("CHEST", "DETAIL", "C", "FC07", "FC14"),
            "sharp": ("LUNG", "BONE", "BONEPLUS", "EDGE", "D", "E", "L", "YA", "YB", "YC", "FC30", "FC51", "FC86"),
        }
        kind = next((k for k, known in words.items() if name in known), None)
    if kind is None:
        raise ValueError(f"kernel {kernel!r} is not known: give the in-plane FWHM instead")
    source = f"estimated from the name of kernel {kernel.strip()} (design default, unverified)"
    return Resolution(KERNEL_FWHM_MM[kind], slice_thickness_mm, 0.0, source, "estimated as the slice thickness")


def measure_resolution(
    hu: NDArray[np.number],
    grid: Grid,
    *,
    body: NDArray[np.bool_],
    airway: NDArray[np.bool_] | None = None,
    slice_thickness_mm: float | None = None,
) -> Resolution:
    """Resolution of a CT from its own edges.

    Parameters
    ----------
    hu
        ``(z, y, x)`` [HU].
    grid
        Its lattice, axis-aligned.
    body, airway
        ``(z, y, x)`` masks, right to about two voxels; the airway serves where the skin cannot.
    slice_thickness_mm
        As reconstructed [mm]; none: measured where tilted skin allows it, else the distance of the slices.

    Raises
    ------
    ResolutionError
        If neither skin nor trachea shows enough clear borders.
    """
    found = []
    for name, mask, outward in (("skin", body, True), ("trachea", airway, False)):
        if mask is None or not mask.any():
            continue
        edges = _edges(hu, mask, grid, outward=outward)
        upright = _upright(edges)
        found.append(f"{int(upright.sum())} at the {name}")
        if upright.sum() < MIN_EDGES:
            continue
        sigma = _fitted_sigma(edges, upright)
        if sigma is None:
            continue
        thickness, blur, source = _along_z(edges, sigma, grid, slice_thickness_mm)
        in_plane = f"measured at {int(upright.sum())} edges of the {name}"
        return Resolution(FWHM * sigma, thickness, blur, in_plane, source)
    raise ResolutionError(
        f"the image's resolution cannot be measured: {MIN_EDGES} clear, upright borders of air are needed, found "
        f"{' and '.join(found) or 'no mask to look along'}; give the resolution, or the kernel's name"
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Edges:
    """One row per border crossing: distance of its pixels to the border ``(n, w)`` [mm], their HU, tilt dx/dz."""

    distance_mm: NDArray[np.float64]
    hu: NDArray[np.float64]
    tilt: NDArray[np.float64]


def _edges(hu: NDArray[np.number], mask: NDArray[np.bool_], grid: Grid, *, outward: bool) -> _Edges:
    """Crossings of the outermost borders of a mask along x, on both sides; air lies outside (or inside) of it."""
    dz, dy, dx = grid.spacing_mm
    reach = math.ceil((BEFORE_MM + BEHIND_MM) / dx) + 3
    parts = []
    for side in (1, -1):
        image, inside = hu[:, :, ::side], mask[:, :, ::side]
        first = inside.argmax(axis=2)
        if not outward:  # from the lumen outwards: start at the far end, seen from there
            image, inside = image[:, :, ::-1], inside[:, :, ::-1]
            first = image.shape[2] - 1 - first
        there = inside.any(axis=2) & (first >= reach) & (first < image.shape[2] - reach)
        columns = np.clip(first[..., None] + np.arange(-reach, reach + 1), 0, image.shape[2] - 1)
        window = np.take_along_axis(image, columns, axis=2).astype(np.float64)
        crossing, clear = _crossing(window, dx)
        edge = np.where(there & clear, first + crossing - reach, np.nan)
        parts.append(_aligned(image, edge, dx, dy, dz))
    return _Edges(*(np.concatenate([getattr(p, n) for p in parts]) for n in ("distance_mm", "hu", "tilt")))


def _upright(edges: _Edges) -> NDArray[np.bool_]:
    """The borders least tilted: all below a fifth of the limit, more only where those are too few."""
    limit = UPRIGHT / 5
    while limit < UPRIGHT and (edges.tilt < limit).sum() < 3 * MIN_EDGES:
        limit *= 1.25
    return np.asarray(edges.tilt < min(limit, UPRIGHT))


def _crossing(window: NDArray[np.float64], dx: float) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Where each row of ``(z, y, w)`` first rises through the level, and whether air lies before and tissue behind."""
    above = window >= LEVEL_HU
    at = above.argmax(axis=2)
    n = window.shape[2]
    rises = above.any(axis=2) & (at > 0)
    low = np.take_along_axis(window, np.maximum(at - 1, 0)[..., None], axis=2)[..., 0]
    high = np.take_along_axis(window, at[..., None], axis=2)[..., 0]
    crossing = at - 1 + (LEVEL_HU - low) / np.where(rises, high - low, 1.0)
    away = (np.arange(n) - crossing[..., None]) * dx
    before = np.where((away < -2.5) & (away > -BEFORE_MM), window, -1000.0)
    near = np.where((away > 0) & (away < BEHIND_MM), window, -1000.0)
    behind = np.where((away > 1.0) & (away < BEHIND_MM), window, 0.0)
    enough = (crossing * dx > BEFORE_MM) & ((n - 1 - crossing) * dx > BEHIND_MM)
    clear = rises & enough & (before.max(axis=2) < AIR_HU + 80) & (before.mean(axis=2) < AIR_HU)
    return crossing, clear & (near.max(axis=2) > TISSUE_HU) & (behind.min(axis=2) > LEVEL_HU)


def _aligned(image: NDArray[np.number], edge: NDArray[np.float64], dx: float, dy: float, dz: float) -> _Edges:
    """Distances of pixels to the border, which a parabola through ``half`` rows on each side places."""
    half = max(3, round(4.0 / dy))
    n = 2 * half + 1
    rows = np.lib.stride_tricks.sliding_window_view(edge, n, axis=1)
    place = rows @ savgol_coeffs(n, 2, use="dot")
    along_y = rows @ savgol_coeffs(n, 2, deriv=1, use="dot") * dx / dy
    curve = rows @ savgol_coeffs(n, 2, deriv=2, use="dot")
    steps = np.arange(-half, half + 1)
    fit = place[..., None] + (along_y * dy / dx)[..., None] * steps + 0.5 * curve[..., None] * steps**2
    rough = np.sqrt(((rows - fit) ** 2).mean(axis=2)) * dx
    along_z = np.full_like(place, np.nan)
    along_z[1:-1] = (place[2:] - place[:-2]) * dx / (2 * dz)
    bend = np.full_like(place, np.nan)
    bend[1:-1] = (place[2:] - 2 * place[1:-1] + place[:-2]) * dx
    cosine = 1 / np.sqrt(1 + along_y**2)
    # A slice averages over what bends within it; borders that turn by more than 0.2 mm per slice are left out.
    good = (
        np.isfinite(along_z) & (rough < 0.12 * dx + 0.03) & (abs(along_y) < 1) & (abs(bend) < 0.2 + 0.1 * abs(along_z))
    )
    k, j = np.nonzero(good)
    reach = math.ceil((BEFORE_MM + BEHIND_MM) / dx) + 1
    columns = np.rint(place[k, j]).astype(int)[:, None] + np.arange(-reach, reach + 1)
    inside = (columns.min(axis=1) >= 0) & (columns.max(axis=1) < image.shape[2])
    k, j, columns = k[inside], j[inside], columns[inside]
    values = image[k[:, None], j[:, None] + half, columns].astype(np.float64)
    distance = (columns - place[k, j][:, None]) * dx * cosine[k, j][:, None]
    return _Edges(distance, values, abs(along_z[k, j]) * cosine[k, j])


def _layered(t: NDArray[np.float64], air: float, rise: float, at: float, sigma: float, drop: float, depth: float):  # type: ignore[no-untyped-def]
    """Air, a layer ``depth`` thick, and what is ``drop`` lower behind it, blurred by ``sigma``."""
    return air + rise * ndtr((t - at) / sigma) - drop * ndtr((t - at - depth) / sigma)


def _fitted_sigma(edges: _Edges, chosen: NDArray[np.bool_]) -> float | None:
    """Sigma of the median edge spread function of the chosen borders [mm]; None where the fit fails."""
    distance, hu = edges.distance_mm[chosen].ravel(), edges.hu[chosen].ravel()
    bins = np.arange(-BEFORE_MM, BEHIND_MM + 0.05, 0.1)
    order = np.argsort(distance)
    distance, hu = distance[order], hu[order]
    ends = np.searchsorted(distance, bins)
    t, f = [], []
    for a, b in pairwise(ends):
        if b - a >= 5:
            t.append(distance[a:b].mean())
            f.append(np.median(hu[a:b]))
    if len(t) < 30:
        return None
    low = [-1050, 300, -1.0, 0.15, 0.0, 0.8]
    high = [-850, 1500, 1.0, 5.0, 600, 3.0]
    try:
        found, _ = curve_fit(_layered, t, f, p0=[-1000, 950, 0, 0.6, 100, 1.8], bounds=(low, high), max_nfev=4000)
    except RuntimeError:
        return None
    return float(found[3])


def _along_z(edges: _Edges, sigma: float, grid: Grid, given_mm: float | None) -> tuple[float, float, str]:
    """Box width and Gaussian FWHM of the slice profile [mm], and where they come from."""
    dz = grid.spacing_mm[0]
    if given_mm is not None:
        return given_mm, 0.0, "given"
    tilt_sq, var, weight = [0.0], [sigma**2], [float(_upright(edges).sum())]
    for low, high in pairwise(TILTS):
        chosen = (edges.tilt >= low) & (edges.tilt < high)
        if chosen.sum() >= MIN_EDGES and (wide := _fitted_sigma(edges, chosen)) is not None:
            tilt_sq.append(float((edges.tilt[chosen] ** 2).mean()))
            var.append(wide**2)
            weight.append(float(chosen.sum()))
    if len(var) >= 3:
        slope = float(np.polyfit(tilt_sq, var, 1, w=np.sqrt(weight))[0])
        # What lies outside half to twice the slice distance is clothing or breath, not the scanner.
        if slope > 0 and 0.5 * dz <= math.sqrt(12 * slope) <= 2 * dz:
            sd = math.sqrt(slope)
            box = min(dz, math.sqrt(12) * sd)
            blur = math.sqrt(max(0.0, sd**2 - box**2 / 12))
            return box, FWHM * blur, f"measured at {int(sum(weight[1:]))} tilted edges of the skin"
    return dz, 0.0, "estimated as the distance of the slices"
