"""In-plane modulation transfer function, from a thin wire or the edge of a cylinder along z.

Wire: the image is the point spread function on a background. Its radial transform is summed directly over the pixels
(no binning),

    MTF(f) = sum_i (v_i - b) J0(2 pi f r_i) / sum_i (v_i - b),

about the wire's centre of gravity, with the background b from the outer ring. A wire of radius a carries the factor
2 J1(2 pi f a) / (2 pi f a), which is divided out.

Edge: pixels around a cylinder's edge, by their distance from it, give the edge spread function; its derivative is the
line spread function and the modulus of that one's transform the MTF (Richard et al., Med Phys 39:4115, 2012,
doi:10.1118/1.4725171). In place of bins, whose pixels do not lie in their middle, the edge spread function is the cubic
spline that fits all pixels best, with knots much closer than the pixels are; its derivative fades at both ends of the
reach (Tukey's window). The cylinder must not stand on the rotation axis: every view would sample its edge alike, and
what rays miss between each other would not average out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import make_lsq_spline
from scipy.signal.windows import tukey
from scipy.special import j0, j1

_TAPER = 0.4
"""Share of the line spread function that fades at its ends, where few pixels hold the spline."""


@dataclass(frozen=True, slots=True, eq=False)
class Mtf:
    """A measured MTF.

    Parameters
    ----------
    frequency_per_mm
        ``(n,)`` from 0, growing [1/mm].
    mtf
        ``(n,)``, 1 at 0.
    """

    frequency_per_mm: NDArray[np.float64]
    mtf: NDArray[np.float64]

    def frequency_at(self, level: float) -> float:
        """First frequency after the maximum at which the MTF falls to ``level`` [1/mm].

        Raises
        ------
        ValueError
            If it never does.
        """
        start = int(self.mtf.argmax())
        below = np.nonzero(self.mtf[start:] <= level)[0]
        if len(below) == 0:
            raise ValueError(f"the MTF does not fall to level = {level} below {self.frequency_per_mm[-1]:.3f} 1/mm")
        i = start + int(below[0])
        if i == 0:
            return float(self.frequency_per_mm[0])
        high, low = self.mtf[i - 1], self.mtf[i]
        share = (high - level) / (high - low)
        return float(self.frequency_per_mm[i - 1] + share * (self.frequency_per_mm[i] - self.frequency_per_mm[i - 1]))


def wire_mtf(
    image: NDArray[np.generic],
    spacing_mm: tuple[float, float],
    *,
    wire_diameter_mm: float = 0.0,
    radius_mm: float | None = None,
    frequency_per_mm: ArrayLike | None = None,
) -> Mtf:
    """MTF of a slice, or of the mean of slices, with one wire along z near its middle.

    Parameters
    ----------
    image
        ``(y, x)`` values.
    spacing_mm
        Pixel size along (y, x) [mm].
    wire_diameter_mm
        Diameter of the wire; its own spread is divided out [mm].
    radius_mm
        Pixels within are the point spread function, the ring from there to 1.3 times is the background; default: as
        large as fits [mm].
    frequency_per_mm
        Frequencies; default: 200 up to the pixels' Nyquist frequency [1/mm].

    Raises
    ------
    ValueError
        If the circle does not fit into the image, or there is no wire.
    """
    dy, dx = spacing_mm
    values = np.asarray(image, dtype=np.float64)
    n_y, n_x = values.shape
    y, x = np.arange(n_y) * dy, np.arange(n_x) * dx
    largest = min((n_y - 1) * dy, (n_x - 1) * dx) / 2 / 1.3 - max(dx, dy)
    radius = largest if radius_mm is None else radius_mm
    if not 0 < radius <= largest + max(dx, dy):
        raise ValueError(f"a circle of radius_mm = {radius} with its ring does not fit around the wire")
    background = np.median(values)
    above = np.abs(values - background)
    if above.max() == 0:
        raise ValueError("there is no wire in the image, all pixels are alike")
    core = above > 0.3 * above.max()
    cy = float((y[:, None] * above)[core].sum() / above[core].sum())
    cx = float((x * above)[core].sum() / above[core].sum())
    for _ in range(20):
        r = np.hypot(y[:, None] - cy, x - cx)
        background = values[(r > radius) & (r <= 1.3 * radius)].mean()
        weight = np.where(r <= 0.5 * radius, values - background, 0.0)
        cy, cx = float((y[:, None] * weight).sum() / weight.sum()), float((x * weight).sum() / weight.sum())
    if not (1.3 * radius <= min(cy, y[-1] - cy) + dy and 1.3 * radius <= min(cx, x[-1] - cx) + dx):
        raise ValueError(f"a circle of radius_mm = {radius} with its ring does not fit around the wire")
    inside = r <= radius
    excess, distance = (values - background)[inside], r[inside]
    f = np.linspace(0, min(0.5 / dx, 0.5 / dy), 200) if frequency_per_mm is None else np.asarray(frequency_per_mm)
    transform = np.array([(excess * j0(2 * np.pi * g * distance)).sum() for g in f])
    a = np.pi * f * wire_diameter_mm
    own = np.where(a < 1e-6, 1.0, 2 * j1(np.maximum(a, 1e-6)) / np.maximum(a, 1e-6))
    return Mtf(f, transform / excess.sum() / own)


def edge_mtf(
    image: NDArray[np.generic],
    spacing_mm: tuple[float, float],
    centre_mm: tuple[float, float],
    edge_radius_mm: float,
    *,
    reach_mm: float = 8.0,
    knot_mm: float | None = None,
) -> Mtf:
    """MTF from the edge of a cylinder along z.

    Parameters
    ----------
    image
        ``(y, x)`` or ``(z, y, x)`` values, all slices alike.
    spacing_mm
        Pixel size along (y, x) [mm].
    centre_mm
        Middle of the cylinder along (y, x), from the centre of pixel (0, 0) [mm].
    edge_radius_mm
        Radius of the cylinder [mm].
    reach_mm
        How far from the edge pixels are used, the outer fifth on either side with less weight; they must show nothing
        but the edge [mm].
    knot_mm
        Distance of the spline's knots; default: 0.3 of the smaller pixel size [mm].

    Raises
    ------
    ValueError
        If too few pixels lie around the edge to fix the spline.
    """
    dy, dx = spacing_mm
    knot = 0.3 * min(dy, dx) if knot_mm is None else knot_mm
    stack = np.asarray(image, dtype=np.float64)
    stack = stack[None] if stack.ndim == 2 else stack
    n_y, n_x = stack.shape[1:]
    distance = (
        np.hypot(np.arange(n_y)[:, None] * dy - centre_mm[0], np.arange(n_x) * dx - centre_mm[1]) - edge_radius_mm
    )
    near = np.abs(distance) <= reach_mm
    order = np.argsort(distance[near], kind="stable")
    place, value = distance[near][order], stack.mean(axis=0)[near][order]
    n_pieces = max(1, round(2 * reach_mm / knot))
    ends = np.linspace(-reach_mm, reach_mm, n_pieces + 1)
    filled = np.histogram(place, ends)[0] > 0
    if filled.mean() < 0.8 or len(place) < n_pieces + 3:
        raise ValueError(f"only {near.sum()} pixels around the edge for {n_pieces} pieces of knot_mm = {knot:.3g}")
    # around the middle of a pixel few distances differ: pieces without one join the next
    inner = ends[1:-1][filled[:-1]]
    inner = inner if filled[-1] else inner[:-1]
    spread = make_lsq_spline(place, value, np.concatenate([[-reach_mm] * 4, inner, [reach_mm] * 4]), k=3)
    n = 8 * n_pieces  # points of the derivative, which is smooth on the scale of a piece
    step = 2 * reach_mm / n
    line = spread.derivative()(-reach_mm + step * (np.arange(n) + 0.5)) * tukey(n, _TAPER)
    f = np.asarray(np.fft.rfftfreq(4 * n, step), dtype=np.float64)
    spectrum = np.abs(np.fft.rfft(line, 4 * n))
    keep = f <= min(0.5 / dx, 0.5 / dy)
    return Mtf(f[keep], (spectrum / spectrum[0])[keep])
