"""How good an image is, measured as physicists do: MTF of a wire, noise and its power spectrum, HU in regions."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .hu import RegionStatistics as RegionStatistics
    from .hu import in_cylinder as in_cylinder
    from .hu import region_statistics as region_statistics
    from .mtf import Mtf as Mtf
    from .mtf import edge_mtf as edge_mtf
    from .mtf import wire_mtf as wire_mtf
    from .noise import NoiseSpectrum as NoiseSpectrum
    from .noise import noise_spectrum as noise_spectrum

_HOMES = {
    "Mtf": ".mtf",
    "NoiseSpectrum": ".noise",
    "RegionStatistics": ".hu",
    "edge_mtf": ".mtf",
    "in_cylinder": ".hu",
    "noise_spectrum": ".noise",
    "region_statistics": ".hu",
    "wire_mtf": ".mtf",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
