"""Smooth scalar fields of the anatomy on its own coarse lattice: noise, smooth extremes, volume fractions.

Large smooth surfaces live on a lattice whose place and pitch depend on the person alone, never on the voxels of the
twin, so
that the anatomy is the same at every spacing. Trilinear interpolation of a surface of radius R errs by ``step^2 / (8
R)``:
0.02 mm for R = 40 mm and 2.5 mm steps.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import get_num_threads, njit, prange, vectorize
from numpy.typing import NDArray

from .grid import Grid

Array = NDArray[Any]

Field = NDArray[np.float32]


def stream(key: int, name: str) -> np.random.Generator:
    """The generator of one named decision of a twin: adding or removing others never changes it."""
    from hashlib import blake2b

    word = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")
    return np.random.Generator(np.random.Philox(key=np.array([key, word], np.uint64)))


def noise(lattice: Grid, pitch_mm: float, rng: np.random.Generator) -> Field:
    """Smooth unit-variance noise with features of about ``pitch_mm``: cubic B-splines with Gaussian coefficients."""
    size = np.asarray(lattice.size_mm)
    shape = tuple(int(n) for n in np.ceil(size / pitch_mm) + 4)
    out = np.empty(lattice.shape, np.float32)
    # variance of a cubic B-spline sum: (151/315)^3 on average over the cell
    coefficients = rng.standard_normal(shape) / (151 / 315) ** 1.5
    _spline_sum(out, coefficients, lattice.spacing_mm[0] / pitch_mm)
    return out


def power_law(
    rng: np.random.Generator,
    n: int,
    step_mm: float,
    spacing_mm: float,
    *,
    exponent: float,
    corner: float,
    band: tuple[float, float],
) -> Field:
    """Periodic cube ``(n, n, n)`` of power-law noise, ``P(f) ~ max(f, corner)^-exponent`` within ``band`` [1/mm].

    Its variance is 1 on its own lattice of ``step_mm``; what is returned is the noise as voxels of ``spacing_mm``
    average it.
    """
    import scipy.fft

    white = rng.standard_normal((n, n, n), dtype=np.float32)
    full, half = (f(n, step_mm).astype(np.float32) for f in (scipy.fft.fftfreq, scipy.fft.rfftfreq))
    square = np.sqrt((full[:, None] ** 2 + full[None, :] ** 2)[..., None] + half**2)
    shown = (square > band[0]) & (square < band[1])
    amplitude = np.maximum(square, np.float32(corner)) ** np.float32(-exponent / 2) * shown
    spectrum = scipy.fft.rfftn(white, workers=get_num_threads())
    spectrum *= amplitude
    # Parseval: waves of the half spectrum stand for two, but for the first and the last
    power = (spectrum.real**2 + spectrum.imag**2).sum((0, 1), dtype=np.float64)
    power[1 : (n + 1) // 2] *= 2
    gain = n**3 / math.sqrt(power.sum())
    for axis, f in enumerate((full, full, half)):
        seen = (gain if axis == 0 else 1.0) * np.sinc(f * spacing_mm)
        spectrum *= seen.astype(np.float32).reshape([-1 if k == axis else 1 for k in range(3)])
    return np.asarray(scipy.fft.irfftn(spectrum, s=white.shape, workers=get_num_threads()), np.float32)


def smooth_max(a: Field, b: Field, blend_mm: float) -> Field:
    """Maximum of two fields, rounded where they are within ``blend_mm`` of each other."""
    f = np.float32
    return np.asarray(_smooth(np.asarray(a, f), np.asarray(b, f), f(blend_mm), f(1.0)))


def smooth_min(a: Field, b: Field, blend_mm: float) -> Field:
    """Minimum of two fields, rounded where they are within ``blend_mm`` of each other."""
    f = np.float32
    return np.asarray(_smooth(np.asarray(a, f), np.asarray(b, f), f(blend_mm), f(-1.0)))


@vectorize(["float32(float32, float32, float32, float32)"], cache=True)
def _smooth(a: Any, b: Any, blend: Any, sign: Any) -> Any:
    """The rounded maximum for ``sign`` 1, the minimum for -1."""
    a, b = sign * a, sign * b
    h = max(blend - abs(a - b), np.float32(0.0)) / blend
    return sign * (max(a, b) + np.float32(0.25) * blend * h * h)


def volume_mm3(distance: Field, step_mm: float) -> float:
    """Volume inside a signed distance field, partial voxels included [mm3]."""
    return float(np.clip(0.5 - distance / step_mm, 0, 1).sum(dtype=np.float64)) * step_mm**3


@njit(cache=True, inline="always")
def _weights(t: Any) -> Any:
    s = 1.0 - t
    return (
        s * s * s / 6.0,
        (4.0 - 3.0 * t * t * (1.0 + s)) / 6.0,
        (4.0 - 3.0 * s * s * (1.0 + t)) / 6.0,
        t * t * t / 6.0,
    )


@njit(parallel=True, cache=True, error_model="numpy")
def _spline_sum(out: Array, coefficients: Array, step: Any) -> None:
    """Out[k, j, i] = sum of the 64 cubic B-splines around (k, j, i) * step."""
    nz, ny, nx = out.shape
    for k in prange(nz):
        fz = k * step
        cz = math.floor(fz)
        wz = _weights(fz - cz)
        for j in range(ny):
            fy = j * step
            cy = math.floor(fy)
            wy = _weights(fy - cy)
            row = np.zeros(coefficients.shape[2])
            for a in range(4):
                for b in range(4):
                    w = wz[a] * wy[b]
                    for c in range(row.size):
                        row[c] += w * coefficients[cz + a, cy + b, c]
            for i in range(nx):
                fx = i * step
                cx = math.floor(fx)
                wx = _weights(fx - cx)
                out[k, j, i] = wx[0] * row[cx] + wx[1] * row[cx + 1] + wx[2] * row[cx + 2] + wx[3] * row[cx + 3]


@njit(cache=True, inline="always")
def locate(position: Any, count: Any) -> Any:
    """Cell and offset of a lattice position, clamped to the lattice."""
    clamped = min(max(position, 0.0), count - 1.001)
    cell = int(clamped)
    return cell, clamped - cell


@njit(cache=True)
def sample(field: Array, origin: Array, step: Any, x: Any, y: Any, z: Any) -> Any:
    """Trilinear value of ``field`` at a world point."""
    k, w = locate((z - origin[2]) / step, field.shape[0])
    j, v = locate((y - origin[1]) / step, field.shape[1])
    i, u = locate((x - origin[0]) / step, field.shape[2])
    low = (field[k, j, i] * (1 - u) + field[k, j, i + 1] * u) * (1 - v) + (
        field[k, j + 1, i] * (1 - u) + field[k, j + 1, i + 1] * u
    ) * v
    high = (field[k + 1, j, i] * (1 - u) + field[k + 1, j, i + 1] * u) * (1 - v) + (
        field[k + 1, j + 1, i] * (1 - u) + field[k + 1, j + 1, i + 1] * u
    ) * v
    return low * (1 - w) + high * w


@njit(cache=True, inline="always")
def interpolated_row(fields: Any, row: Array, k: Any, w: Any, j: Any, v: Any) -> None:
    """Fields ``(z, y, x)``, a tuple of them, between two slices and two rows of their lattice, into ``row`` (n, x)."""
    for c in range(row.shape[0]):
        field = fields[c]
        for i in range(row.shape[1]):
            low = field[k, j, i] * (1 - v) + field[k, j + 1, i] * v
            high = field[k + 1, j, i] * (1 - v) + field[k + 1, j + 1, i] * v
            row[c, i] = low * (1 - w) + high * w


@njit(cache=True)
def periodic(tile: Array, x: Any, y: Any, z: Any) -> Any:
    """Trilinear value of a periodic cube at a position in its cells; its length is a power of two."""
    last = tile.shape[0] - 1
    i, j, k = math.floor(x), math.floor(y), math.floor(z)
    u, v, w = x - i, y - j, z - k
    i0, j0, k0 = i & last, j & last, k & last
    i1, j1, k1 = (i + 1) & last, (j + 1) & last, (k + 1) & last
    low = (tile[k0, j0, i0] * (1 - u) + tile[k0, j0, i1] * u) * (1 - v) + (
        tile[k0, j1, i0] * (1 - u) + tile[k0, j1, i1] * u
    ) * v
    high = (tile[k1, j0, i0] * (1 - u) + tile[k1, j0, i1] * u) * (1 - v) + (
        tile[k1, j1, i0] * (1 - u) + tile[k1, j1, i1] * u
    ) * v
    return low * (1 - w) + high * w
