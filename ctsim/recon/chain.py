"""What a scan's chain does to the sharpness of an image before any filter can act.

At the rotation axis, scaled to it by SID / SDD:

    MTF_system(f) = sinc(f a) |sum_n w_n exp(-2 pi i f s_n)| (1 - 2 c + 2 c cos(2 pi f d)) K(f d') sinc^2(f d' / 2)

a the cell's aperture, s_n and w_n the points of the focal spot (their tangential place times 1 - SID / SDD), c the part
of a cell's signal that each neighbour takes (a factor per crosstalk), d the column pitch, K the response of cubic
interpolation (Keys) between rays of distance d' (d, or d / 2 where an in-plane flying focal spot puts rays between each
other's) to half that distance, the last factor linear interpolation in back projection. The gantry's turn within a view
blurs nothing at the axis.

With a quarter offset of the detector, opposite rays interleave and image frequencies up to 1 / d' are sampled; without
it, half of that. The aperture lets through what is below 1 / d.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..geometry import Geometry
from .parallel import merged_states

if TYPE_CHECKING:
    from ..protocol import Acquisition
    from ..sampling import Sampling
    from ..scanner import Scanner
    from ..sinogram import Sinogram

OVERSAMPLING = 2
"""Places per ray after resampling."""


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """What the chain samples and blurs at the rotation axis.

    Parameters
    ----------
    cell_mm
        Column pitch, which is also the aperture [mm].
    is_interleaved
        Whether opposite rays fall between each other (quarter offset).
    n_merged
        Places of the focal spot that put their rays between each other's; 1 for a spot at rest.
    spot_mm, spot_weight
        ``(N,)``: tangential points of the focal spot at the axis [mm], and their shares, which add up to 1.
    leaks
        Parts of a cell's signal that each neighbouring column takes, one per crosstalk.
    """

    cell_mm: float
    is_interleaved: bool
    n_merged: int = 1
    spot_mm: NDArray[np.float64] = field(default_factory=lambda: np.zeros(1))
    spot_weight: NDArray[np.float64] = field(default_factory=lambda: np.ones(1))
    leaks: tuple[float, ...] = ()

    @property
    def sample_mm(self) -> float:
        """Distance of neighbouring rays of one direction at the axis [mm]."""
        return self.cell_mm / self.n_merged

    @property
    def place_mm(self) -> float:
        """Distance of resampled places at the axis [mm]."""
        return self.sample_mm / OVERSAMPLING

    @property
    def limit_per_mm(self) -> float:
        """Highest image frequency that is sampled, and below the cell aperture's first zero [1/mm]."""
        return min((1.0 if self.is_interleaved else 0.5) / self.sample_mm, 1.0 / self.cell_mm)

    def mtf(self, frequency_per_mm: ArrayLike) -> NDArray[np.float64]:
        """MTF of cell, focal spot, crosstalk, interpolation and back projection at image frequencies [1/mm]."""
        f = np.asarray(frequency_per_mm, dtype=np.float64)
        return np.asarray(self.blur(f) * cubic_response(f * self.sample_mm) * np.sinc(f * self.place_mm) ** 2)

    def blur(self, frequency_per_mm: ArrayLike) -> NDArray[np.float64]:
        """MTF of cell, focal spot and crosstalk: what blurs before the reading [1/mm]."""
        f = np.asarray(frequency_per_mm, dtype=np.float64)
        turns = np.exp(-2j * np.pi * f[..., None] * self.spot_mm)
        cell = np.sinc(f * self.cell_mm) * np.abs(turns @ self.spot_weight)
        for leak in self.leaks:
            cell = cell * (1 - 2 * leak + 2 * leak * np.cos(2 * np.pi * f * self.cell_mm))
        return np.asarray(cell)


def geometric_chain(geometry: Geometry) -> Chain:
    """The chain of a geometry alone: point focal spot, no crosstalk."""
    p, _ = geometry.parallel_rays()
    group = merged_states(geometry)[0]
    cell_mm = geometry.column_pitch_rad * geometry.source_distance_mm
    sample_mm = cell_mm / len(group)
    rays = p[group].ravel()
    middle = rays[np.argsort(np.abs(rays))[: 16 * len(group)]]
    # phase of opposite rays: 1/2 where they are half a sample apart
    phase = np.angle(np.exp(4j * np.pi * middle / sample_mm).mean()) / (2 * np.pi) % 1.0
    return Chain(cell_mm, bool(0.25 <= phase <= 0.75), len(group))


def chain_of(sinogram: Sinogram) -> Chain:
    """The chain of a scan: sampling, focal spot and crosstalk, as they were simulated."""
    return _whole_chain(sinogram.geometry, sinogram.scanner, sinogram.protocol, sinogram.sampling)


def scanner_chain(scanner: Scanner, acquisition: Acquisition, sampling: Sampling) -> Chain:
    """The chain that an acquisition will have, before anything is scanned."""
    from ..trajectory import binned_column_angle_rad, deflections_mm

    still = Geometry(
        source_distance_mm=scanner.source_distance_mm,
        detector_distance_mm=scanner.detector_distance_mm,
        isocentre_mm=(0.0, 0.0),
        view_angle_rad=np.zeros(1),
        source_z_mm=np.zeros(1),
        column_angle_rad=binned_column_angle_rad(scanner, sampling),
        row_offset_mm=np.zeros(1),
        row_pitch_mm=1.0,
        views_per_rotation=1,
        deflection_mm=deflections_mm(scanner, acquisition),
    )
    return _whole_chain(still, scanner, acquisition, sampling)


def _whole_chain(geometry: Geometry, scanner: Scanner, acquisition: Acquisition, sampling: Sampling) -> Chain:
    from ..rays import ray_points

    detector = scanner.detector
    points = ray_points(scanner, acquisition, sampling)
    scale = 1 - geometry.source_distance_mm / geometry.detector_distance_mm
    # merged cells leak through their outermost columns alone
    leaks = tuple(share[0] / sampling.column_binning for share in (detector.xray_crosstalk, detector.optical_crosstalk))
    return replace(
        geometric_chain(geometry), spot_mm=scale * points.spot_mm[:, 0], spot_weight=points.weight, leaks=leaks
    )


def cubic_response(cycles_per_sample: ArrayLike) -> NDArray[np.float64]:
    """Fourier transform of Keys' cubic (a = -1/2) at frequencies in cycles per sample."""
    f = np.asarray(cycles_per_sample, dtype=np.float64)
    safe = np.where(np.abs(f) < 1e-2, 1.0, f)
    sinc, double, fourth = np.sinc(safe), np.sinc(2 * safe), np.sinc(4 * safe)
    exact = (3 * (sinc**2 - double) - (3 * double**2 - 2 * double - fourth)) / (np.pi * safe) ** 2
    return np.where(np.abs(f) < 1e-2, 1.0, exact)  # 1 - O(f^4)
