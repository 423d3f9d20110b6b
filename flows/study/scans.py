"""How the twins of a study are scanned."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ctsim import Profile, Sampling
from twins.specfile import suggestion

from .base import Frozen, Identifier

Fidelity = Literal["preview", "standard", "full"]


class ScanEntry(Frozen):
    """One scan that every twin of the study gets: a protocol of a profile, with what is chosen otherwise."""

    id: Identifier | None = Field(default=None, description="Name, unique in the study; default: the protocol's [text]")
    repeats: int = Field(
        default=1, ge=1, le=999, description="Realisations of its noise; ids get a number: low-r01, low-r02... [1]"
    )
    raw: Identifier | None = Field(
        default=None,
        description="Name of its raw data: scans with the same name are reconstructions of one acquisition, with one "
        "noise; none: the scan's own [text]",
    )
    profile: str = Field(min_length=1, description="Profile name, or a YAML file relative to the study file [text]")
    protocol: str = Field(min_length=1, description="Name of a protocol in the profile [text]")
    sampling: Fidelity | Sampling | None = Field(
        default=None, description="Simulation fidelity of this scan; default: the study's [name or spec]"
    )
    kvp: int | None = Field(default=None, ge=70, le=150, description="Tube potential instead of the protocol's [kV]")
    mas_per_rotation: float | None = Field(
        default=None, gt=0, le=2000, description="Tube current x rotation time instead of the protocol's [mAs]"
    )
    pitch: float | None = Field(default=None, gt=0, le=1.5, description="Helical pitch instead of the protocol's [1]")
    spectral_filter: str | None = Field(default=None, description="Spectral filter of the scanner, e.g. Sn [name]")
    flying_focal_spot: str | None = Field(default=None, description="Deflection of the scanner's focal spot [name]")
    bowtie: str | None = Field(default=None, description="Bowtie of the scanner instead of the protocol's [name]")
    scan_range_mm: tuple[float, float] | None = Field(
        default=None, description="World z range to be imaged, instead of the lungs [mm]"
    )
    kernel: str | None = Field(default=None, description="Kernel of the profile instead of the protocol's [name]")
    iterative_strength: int | None = Field(
        default=None, ge=0, le=5, description="Strength of the iterative mode; 0: filtered back projection [1]"
    )
    fov_mm: float | None = Field(default=None, ge=50, le=800, description="Reconstructed field of view [mm]")
    matrix: int | None = Field(default=None, ge=16, le=2048, description="Voxels along each side of a slice [1]")
    slice_thickness_mm: float | None = Field(default=None, gt=0, le=20, description="Slice thickness [mm]")
    increment_mm: float | None = Field(default=None, gt=0, le=20, description="Distance of slices [mm]")
    host_grid: bool = Field(
        default=True, description="Reconstruct patient twins on the voxels of their own CT, not the protocol's [bool]"
    )

    @property
    def name(self) -> str:
        """The id, or the protocol's name where none is given."""
        return self.id or self.protocol

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        if not is_file_name(self.profile):
            from ctsim import load_profile, profile_names

            if self.profile not in profile_names():
                raise ValueError(
                    f"profile: unknown profile {self.profile!r}{suggestion(self.profile, profile_names())}"
                )
            check_against(self, load_profile(self.profile))
        return self


def is_file_name(profile: str) -> bool:
    """Whether a scan's ``profile`` means a file rather than a profile that comes with the package."""
    return "/" in profile or profile.endswith((".yaml", ".yml"))


def check_against(scan: ScanEntry, profile: Profile) -> None:
    """Raise ValueError where ``scan`` asks for a protocol or kernel that ``profile`` does not have."""
    protocols = sorted(protocol.name for protocol in profile.protocols)
    if scan.protocol not in protocols:
        raise ValueError(
            f"protocol: {scan.profile!r} has no protocol {scan.protocol!r}{suggestion(scan.protocol, protocols)}"
        )
    kernels = sorted(kernel.name for kernel in profile.kernels)
    if scan.kernel is not None and scan.kernel not in kernels:
        raise ValueError(
            f"kernel: profile {scan.profile!r} has no kernel {scan.kernel!r}{suggestion(scan.kernel, kernels)}"
        )
