"""Slice sensitivity profile: how an image follows a thin disc through the slices (IEC 61223-3-5, 2019)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True, eq=False)
class SliceProfile:
    """A measured profile.

    Parameters
    ----------
    z_mm
        ``(n,)`` growing, from the disc [mm].
    sensitivity
        ``(n,)``, 1 at the maximum.
    """

    z_mm: NDArray[np.float64]
    sensitivity: NDArray[np.float64]

    @property
    def fwhm_mm(self) -> float:
        """Full width at half maximum, between the outermost crossings of 1/2 [mm].

        Raises
        ------
        ValueError
            If the profile does not fall below 1/2 on both sides.
        """
        above = np.nonzero(self.sensitivity >= 0.5)[0]
        first, last = int(above[0]), int(above[-1])
        if first == 0 or last == len(self.z_mm) - 1:
            raise ValueError("the profile does not fall below one half on both sides; take more slices")
        return float(self._crossing(last, last + 1) - self._crossing(first, first - 1))

    def _crossing(self, inside: int, outside: int) -> float:
        high, low = self.sensitivity[inside], self.sensitivity[outside]
        share = (high - 0.5) / (high - low)
        return float(self.z_mm[inside] + share * (self.z_mm[outside] - self.z_mm[inside]))


def predicted_fwhm_mm(
    row_mm: float, box_mm: float, spot_mm: ArrayLike = (0.0,), spot_weight: ArrayLike = (1.0,), leaks: ArrayLike = ()
) -> float:
    """FWHM at the axis of the profile that rows, focal spot, crosstalk and slice averaging make [mm].

    The row's aperture and the reading of whole rows make a triangle, averaged over the points of the spot, mixed with
    its neighbours by crosstalk, and averaged over a box.

    Parameters
    ----------
    row_mm
        Row pitch at the axis [mm].
    box_mm
        Thickness over which rows are averaged [mm].
    spot_mm, spot_weight
        ``(N,)`` points of the focal spot along z, scaled to the axis [mm], and their shares.
    leaks
        Part of a row's signal that each neighbour takes, one per crosstalk.
    """
    step = row_mm / 400
    half = 4 * row_mm + box_mm + float(np.abs(np.asarray(spot_mm)).max())
    z = np.arange(-int(half / step), int(half / step) + 1) * step
    profile = np.zeros(len(z))
    for place, share in zip(np.asarray(spot_mm), np.asarray(spot_weight), strict=True):
        profile += share * np.clip(1 - np.abs(z - place) / row_mm, 0, None)
    for leak in np.asarray(leaks, dtype=np.float64):
        profile = (1 - 2 * leak) * profile + leak * (np.roll(profile, 400) + np.roll(profile, -400))
    area = np.concatenate([[0.0], np.cumsum(profile)]) * step
    edges = np.concatenate([z - step / 2, [z[-1] + step / 2]])
    profile = np.interp(z + box_mm / 2, edges, area) - np.interp(z - box_mm / 2, edges, area)
    return SliceProfile(np.asarray(z, np.float64), np.asarray(profile / profile.max())).fwhm_mm


def slice_profile(values: ArrayLike, z_mm: ArrayLike, *, z_disc_mm: float = 0.0) -> SliceProfile:
    """Slice profile from the mean of a thin disc's middle in closely spaced slices.

    Parameters
    ----------
    values
        ``(n,)`` mean of a region inside the disc in each slice [HU].
    z_mm
        ``(n,)`` world z of the slices, growing [mm].
    z_disc_mm
        World z of the disc [mm].

    Notes
    -----
    The background is the mean of the outermost tenth of the slices on each side. The disc widens a profile of standard
    deviation s to ``sqrt(s^2 + t^2 / 12)``; 0.1 mm widens one of 0.6 mm by 0.7 %, which is left in.

    Raises
    ------
    ValueError
        If there are fewer than 20 slices.
    """
    value, z = np.asarray(values, dtype=np.float64), np.asarray(z_mm, dtype=np.float64)
    if value.shape != z.shape or value.ndim != 1 or len(z) < 20:
        raise ValueError(f"values and z_mm must be alike with at least 20 slices, got {value.shape} and {z.shape}")
    n_edge = len(z) // 10
    background = np.concatenate([value[:n_edge], value[-n_edge:]]).mean()
    excess = value - background
    return SliceProfile(z - z_disc_mm, excess / excess[np.abs(excess).argmax()])
