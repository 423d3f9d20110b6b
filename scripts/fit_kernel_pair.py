"""Fit a soft and a sharp kernel to two images of one acquisition: ``fit_kernel_pair.py SOFT.nii.gz SHARP.nii.gz``.

Both images come from the same readings, so that one is the other filtered: their cross spectrum gives the ratio of the
two kernels' MTFs at every frequency, whatever the object and the noise are, and the coherence says whether that holds.
The ratio leaves the soft kernel itself open. Its 50 % frequency follows from the shape of the soft image's noise in
flat soft tissue, which a filtered back projection of white noise makes

    NPS(f) ~ f (MTF(f) / (aperture(f) spot(f)))^2

(aperture and focal spot blur the signal, not the noise). Needs only the two files and this package; draws nothing.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import least_squares

from ctsim import Kernel

LUNG_HU, SOFT_HU = (-990.0, -300.0), (-30.0, 250.0)
LUNG_PATCH_MM, SOFT_PATCH_MM = 32.0, 16.0
FLATTEST = 0.1
SOFT_RATIO = 1.82
"""MTF10 / MTF50 of the soft kernel: a Gaussian, the smoothest of the family."""

F64 = NDArray[np.float64]


def main() -> None:
    """Print the measured ratio and the fitted kernels."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("soft", type=Path)
    parser.add_argument("sharp", type=Path)
    parser.add_argument("--cell-mm", type=float, default=0.69, help="cell aperture at the isocentre [mm]")
    parser.add_argument("--spot-mm", type=float, default=0.50, help="focal spot at the isocentre, FWHM [mm]")
    given = parser.parse_args()
    soft, pixel_mm = read(given.soft)
    sharp, _ = read(given.sharp)

    lung = patches(inside(soft, LUNG_HU, erode=2), size_of(LUNG_PATCH_MM, pixel_mm), share=0.9)
    f, s, h, cross = spectra(soft, sharp, lung, size_of(LUNG_PATCH_MM, pixel_mm), pixel_mm)
    ratio = cross / s
    print(f"{len(lung)} lung patches; sharp / soft, and coherence:")
    for row in zip(f, ratio, cross**2 / (s * h), strict=True):
        print("  {:.3f} /mm  {:6.3f}  {:.3f}".format(*row))

    n = size_of(SOFT_PATCH_MM, pixel_mm)
    flat = flattest(soft, patches(inside(soft, SOFT_HU, erode=1), n, share=1.0), n)
    g, noise, *_ = spectra(soft, sharp, flat, n, pixel_mm)
    mtf50 = soft_mtf50_per_mm(g, noise, given.cell_mm, given.spot_mm)
    first = Kernel(name="soft", mtf50_per_mm=round(mtf50, 3), mtf10_per_mm=round(SOFT_RATIO * mtf50, 3))
    second, error = sharp_kernel(first, f, ratio)
    for kernel in (first, second):
        print(kernel.name, kernel.mtf50_per_mm, kernel.mtf10_per_mm, kernel.overshoot)
    print("fitted / measured ratio:", np.round(error, 3))


def read(path: Path) -> tuple[F64, float]:
    """Image ``(z, y, x)`` from -1024 HU on [HU] and its pixel [mm]."""
    image = sitk.ReadImage(str(path))
    return np.maximum(sitk.GetArrayFromImage(image).astype(float), -1024.0), float(image.GetSpacing()[0])


def size_of(length_mm: float, pixel_mm: float) -> int:
    """Even number of pixels nearest to a length."""
    return round(length_mm / pixel_mm) // 2 * 2


def inside(hu: F64, window: tuple[float, float], erode: int) -> NDArray[np.bool_]:
    """Pixels of the body whose smoothed value lies in the window, away from its edges."""
    smooth = np.stack([ndimage.median_filter(s, 5) for s in hu])
    body = ndimage.binary_opening(hu > -300, np.ones((1, 3, 3)))
    label, _ = ndimage.label(body)
    body = label == 1 + np.argmax(np.bincount(label.ravel())[1:])
    body = np.stack([ndimage.binary_fill_holes(s) for s in body])
    mask = body & (smooth > window[0]) & (smooth < window[1])
    if window is LUNG_HU:
        mask = np.stack([ndimage.binary_closing(s, iterations=6) for s in mask])
    return np.asarray(ndimage.binary_erosion(mask, np.ones((1, 3, 3)), iterations=erode))


def patches(mask: NDArray[np.bool_], n: int, share: float) -> list[tuple[int, int, int]]:
    """Corners ``(z, y, x)`` of half-overlapping squares that lie in the mask to the given share."""
    found = []
    for k, plane in enumerate(mask):
        total = np.pad(plane.astype(int).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
        count = total[n:, n:] - total[:-n, n:] - total[n:, :-n] + total[:-n, :-n]
        rows, columns = np.nonzero(count[:: n // 2, :: n // 2] >= share * n * n)
        found += [(k, int(r) * (n // 2), int(c) * (n // 2)) for r, c in zip(rows, columns, strict=True)]
    return found


def detrended(patch: F64) -> F64:
    """A square less its best surface of second order."""
    y, x = np.mgrid[-1 : 1 : patch.shape[0] * 1j, -1 : 1 : patch.shape[1] * 1j]
    surface = np.stack([c.ravel() for c in (np.ones_like(x), x, y, x * x, x * y, y * y)], axis=1)
    fitted = surface @ np.linalg.lstsq(surface, patch.ravel(), rcond=None)[0]
    return np.asarray(patch - fitted.reshape(patch.shape))


def flattest(hu: F64, at: list[tuple[int, int, int]], n: int) -> list[tuple[int, int, int]]:
    """The tenth of the patches (at least 30) with the smallest spread: noise, little anatomy."""
    spread = [detrended(hu[k, y : y + n, x : x + n]).std() for k, y, x in at]
    return [at[i] for i in np.argsort(spread)[: max(30, int(FLATTEST * len(at)))]]


def spectra(a: F64, b: F64, at: list[tuple[int, int, int]], n: int, pixel_mm: float) -> tuple[F64, F64, F64, F64]:
    """Frequencies [1/mm], power of a, power of b, real part of their cross spectrum, radially averaged."""
    window = np.outer(np.hanning(n), np.hanning(n))
    power = np.zeros((3, n, n))
    for k, y, x in at:
        p, q = (np.fft.fft2(window * detrended(v[k, y : y + n, x : x + n])) for v in (a, b))
        power += np.abs(p) ** 2, np.abs(q) ** 2, (q * p.conj()).real
    axis = np.fft.fftfreq(n, pixel_mm)
    ring = np.rint(np.hypot(*np.meshgrid(axis, axis)) * n * pixel_mm).astype(int)
    rings = np.arange(1, n // 2)
    f, pa, pb, c = (ndimage.mean(v, ring, rings) for v in (ring / (n * pixel_mm), *power))
    return f, pa, pb, c


def soft_mtf50_per_mm(f: F64, noise: F64, cell_mm: float, spot_mm: float) -> float:
    """50 % frequency of a Gaussian MTF whose noise falls as measured, anatomy's low frequencies left out."""
    keep = f > 0.3
    blur = np.sinc(f * cell_mm) * np.exp(-((math.pi * f * spot_mm) ** 2) / (4 * math.log(2)))
    slope = np.polyfit(f[keep] ** 2, np.log(np.sqrt(noise / f) * blur)[keep], 1)[0]
    return math.sqrt(math.log(2) / -slope)


def sharp_kernel(soft: Kernel, f: F64, ratio: F64) -> tuple[Kernel, F64]:
    """The kernel whose MTF over that of ``soft`` fits the ratio best (squared logarithms), and fit / ratio."""

    def kernel(v: F64) -> Kernel:
        mtf50, relative, overshoot = v
        return Kernel(
            name="sharp",
            mtf50_per_mm=round(mtf50, 4),
            mtf10_per_mm=round(mtf50 * relative, 4),
            overshoot=round(overshoot, 3),
        )

    def error(v: F64) -> F64:
        try:
            return np.asarray(np.log(np.maximum(kernel(v).mtf(f), 1e-6) / soft.mtf(f) / ratio))
        except ValueError:  # not in the family
            return np.full(f.shape, 9.0)

    starts = [(a, b, c) for a in (0.5, 0.6, 0.7, 0.8) for b in (1.15, 1.3) for c in (0.3, 0.8, 1.3)]
    starts.sort(key=lambda start: float((error(np.array(start)) ** 2).sum()))
    fits = (least_squares(error, s, diff_step=1e-3, bounds=((0.2, 1.06, 0.0), (1.5, 2.0, 2.0))) for s in starts[:6])
    best = min(fits, key=lambda fit: fit.cost)
    return kernel(best.x), np.exp(error(best.x))


if __name__ == "__main__":
    main()
