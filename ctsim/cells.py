"""What the detector's cells are like when several make up one simulated reading (:class:`ctsim.Sampling`).

Of n cells and views merged into a reading, electronic noise and converter step grow with root n, saturation with n,
and gain errors average. Of a merged cell only the outermost cells have other neighbours, so that crosstalk shrinks by
the number merged along that axis.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from .kernels.noise import normals
from .sampling import Sampling
from .scanner import Scanner
from .trajectory import n_merged


def electronic_noise_kev(scanner: Scanner, sampling: Sampling) -> float:
    """Standard deviation of the electronic noise of a simulated reading [keV]."""
    return float(scanner.detector.electronic_noise_kev * n_merged(scanner, sampling) ** 0.5)


def crosstalk_shares(share: tuple[float, float], sampling: Sampling) -> tuple[float, float]:
    """Shares that a simulated cell passes to each neighbour along columns and rows [1]."""
    return share[0] / sampling.column_binning, share[1] / sampling.row_binning


def gain_of(scanner: Scanner, sampling: Sampling, n_rows: int) -> NDArray[np.float64]:
    """Gains that calibration leaves, ``(rows, columns)`` of simulated cells: ``1 + gain_spread z`` per cell [1].

    The normal numbers z come from a key that is a digest of the scanner's name: the same cells err in every scan of a
    scanner, whatever is scanned. The rows in use are the middle ones.
    """
    detector = scanner.detector
    shape = (n_rows, detector.n_columns // sampling.column_binning)
    if detector.gain_spread == 0:
        return np.ones(shape)
    digest = hashlib.sha256(scanner.name.encode()).digest()
    z = normals(detector.n_rows, detector.n_columns, *key_words(int.from_bytes(digest[:8], "little")))
    used = n_rows * sampling.row_binning
    first = (detector.n_rows - used) // 2
    cells = z[first : first + used].reshape(n_rows, sampling.row_binning, shape[1], sampling.column_binning)
    return np.asarray(1.0 + detector.gain_spread * cells.mean(axis=(1, 3)))


def key_words(key: int | None) -> tuple[np.uint32, np.uint32]:
    """Low and high 32 bits of a key (0 for None); ValueError if it has more than 64."""
    if key is not None and not 0 <= key < 2**64:
        raise ValueError(f"key must be a whole number from 0 to 2**64 - 1, got {key}")
    return np.uint32((key or 0) & 0xFFFFFFFF), np.uint32((key or 0) >> 32)
