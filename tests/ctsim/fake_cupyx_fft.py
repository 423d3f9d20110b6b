"""The transforms of ``cupyx.scipy.fft`` for :mod:`tests.ctsim.fake_cupy`: SciPy's, on device arrays."""

from __future__ import annotations

import sys
import types

import numpy as np
import scipy.fft

from tests.ctsim.fake_cupy import Array, current


def rfft(x, n=None, axis=-1, norm=None, overwrite_x=False, *, plan=None) -> Array:
    return _on_device(scipy.fft.rfft, x, n, axis, norm, np.float32, np.complex64)


def irfft(x, n=None, axis=-1, norm=None, overwrite_x=False, *, plan=None) -> Array:
    return _on_device(scipy.fft.irfft, x, n, axis, norm, np.complex64, np.float32)


def _on_device(transform, x, n, axis, norm, given, wanted) -> Array:
    assert isinstance(x, Array)
    assert x.dtype == given
    current().synchronize()
    out = transform(x.view(np.ndarray), n, axis=axis, norm=norm)
    assert out.dtype == wanted
    return np.ascontiguousarray(out).view(Array)


def install_fft(monkeypatch) -> None:
    """Put them where ``from cupyx.scipy import fft`` finds them."""
    cupyx, scipy_part, fft = sys.modules["cupyx"], types.ModuleType("cupyx.scipy"), types.ModuleType("cupyx.scipy.fft")
    fft.rfft, fft.irfft = rfft, irfft
    scipy_part.fft, cupyx.scipy = fft, scipy_part
    monkeypatch.setitem(sys.modules, "cupyx.scipy", scipy_part)
    monkeypatch.setitem(sys.modules, "cupyx.scipy.fft", fft)
