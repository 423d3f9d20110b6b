"""How they are seen: CT scanner, protocol, projection, detection, reconstruction."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .correction import correct as correct
    from .exposure import Exposure as Exposure
    from .exposure import expose as expose
    from .exposure_file import load_exposure as load_exposure
    from .exposure_file import save_exposure as save_exposure
    from .geometry import Geometry as Geometry
    from .image import CT as CT
    from .low_dose import lower_dose as lower_dose
    from .profile import Profile as Profile
    from .profile import load_profile as load_profile
    from .profile import profile_names as profile_names
    from .protocol import Protocol as Protocol
    from .protocol import Reconstruction as Reconstruction
    from .raw import RawScan as RawScan
    from .readout import read_out as read_out
    from .recon.kernels import Kernel as Kernel
    from .recon.reconstruction import reconstruct as reconstruct
    from .reexposure import add_insets as add_insets
    from .sampling import Sampling as Sampling
    from .scanner import Scanner as Scanner
    from .scanning import detect as detect
    from .scanning import scan as scan
    from .sinogram import Sinogram as Sinogram
    from .spectrum import Spectrum as Spectrum
    from .spectrum import tube_spectrum as tube_spectrum
    from .voxels import BasisInset as BasisInset
    from .voxels import BasisVolume as BasisVolume

_HOMES = {
    "BasisInset": ".voxels",
    "BasisVolume": ".voxels",
    "CT": ".image",
    "Exposure": ".exposure",
    "Geometry": ".geometry",
    "Kernel": ".recon.kernels",
    "Profile": ".profile",
    "Protocol": ".protocol",
    "RawScan": ".raw",
    "Reconstruction": ".protocol",
    "Sampling": ".sampling",
    "Scanner": ".scanner",
    "Sinogram": ".sinogram",
    "Spectrum": ".spectrum",
    "add_insets": ".reexposure",
    "correct": ".correction",
    "detect": ".scanning",
    "expose": ".exposure",
    "load_exposure": ".exposure_file",
    "load_profile": ".profile",
    "lower_dose": ".low_dose",
    "profile_names": ".profile",
    "read_out": ".readout",
    "reconstruct": ".recon",
    "save_exposure": ".exposure_file",
    "scan": ".scanning",
    "tube_spectrum": ".spectrum",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
