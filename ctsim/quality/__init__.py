"""How good an image is, measured as physicists do: MTF, slice profile, noise and its power spectrum, HU in regions.

:mod:`ctsim.quality.acceptance` puts these together: the examination of a whole scanner profile.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .acceptance.examination import qualify as qualify
    from .acceptance.rows import Qualification as Qualification
    from .hu import RegionStatistics as RegionStatistics
    from .hu import in_cylinder as in_cylinder
    from .hu import region_statistics as region_statistics
    from .mtf import Mtf as Mtf
    from .mtf import edge_mtf as edge_mtf
    from .mtf import wire_mtf as wire_mtf
    from .noise import NoiseSpectrum as NoiseSpectrum
    from .noise import noise_spectrum as noise_spectrum
    from .slices import SliceProfile as SliceProfile
    from .slices import slice_profile as slice_profile

_HOMES = {
    "Mtf": ".mtf",
    "NoiseSpectrum": ".noise",
    "Qualification": ".acceptance.rows",
    "RegionStatistics": ".hu",
    "SliceProfile": ".slices",
    "edge_mtf": ".mtf",
    "in_cylinder": ".hu",
    "noise_spectrum": ".noise",
    "qualify": ".acceptance.examination",
    "region_statistics": ".hu",
    "slice_profile": ".slices",
    "wire_mtf": ".mtf",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
