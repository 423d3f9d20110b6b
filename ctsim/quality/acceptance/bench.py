"""The examiner's bench: protocols for phantoms, samplings, and images without clipping or coarse rounding."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twins import Grid
from twins.phantoms import water

from ...profile import Profile
from ...protocol import Corrections, Protocol, Reconstruction
from ...recon.kernels import Kernel
from ...recon.reconstruction import reconstruct
from ...sampling import Sampling
from ...scanner import Scanner
from ...sinogram import Sinogram
from .analytic import lengths_mm

Level = Literal["quick", "full"]

GAIN = 2.5
"""Factor by which line integrals are raised before an image is rounded to whole HU."""


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """What is examined, and how thoroughly.

    Parameters
    ----------
    profile
        The scanner with its kernels and protocols.
    level
        "quick": merged cells and few conditions where the quantity allows it; "full": all of them.
    """

    profile: Profile
    level: Level

    @property
    def scanner(self) -> Scanner:
        """The hardware, without its dose table: no scan here is asked for its dose, which may take a Monte Carlo."""
        return self.profile.scanner.model_copy(update={"dose_indices": ()})

    @property
    def is_full(self) -> bool:
        """Whether everything is examined."""
        return self.level == "full"

    @property
    def kvp_stations(self) -> tuple[int, ...]:
        """Tube potentials, growing [kV]."""
        return tuple(sorted(self.scanner.kvp_stations))

    @property
    def reference_kvp(self) -> int:
        """The station nearest to 120 kV, at which one potential must do [kV]."""
        return min(self.kvp_stations, key=lambda kvp: (abs(kvp - 120), kvp))

    @property
    def softest(self) -> Kernel:
        """The kernel with the lowest 10 % point."""
        return min(self.profile.kernels, key=lambda kernel: kernel.mtf10_per_mm)

    @property
    def radius_mm(self) -> float:
        """Radius of the field of view [mm]."""
        angle = self.scanner.column_angle_rad()
        return float(self.scanner.source_distance_mm * np.sin(min(-angle[0], angle[-1])))

    @property
    def narrow_rows(self) -> int:
        """The narrowest collimation of at least 8 rows, or the widest there is."""
        rows = sorted(self.scanner.collimations_rows)
        return next((n for n in rows if n >= 8), rows[-1])

    @property
    def wide_rows(self) -> int:
        """The widest collimation."""
        return max(self.scanner.collimations_rows)

    def merged(self, rows: int, *, to: int = 4, **change: Any) -> Sampling:
        """A quick sampling: up to four columns (160 are left) and three views merged, at most ``to`` rows left.

        One transmission per reading and no scatter unless ``change`` says otherwise.
        """
        n_columns, views = self.scanner.detector.n_columns, self.scanner.views_per_rotation
        columns = next((n for n in (4, 3, 2) if n_columns % n == 0 and n_columns // n >= 160), 1)
        row_binning = next(n for n in range(max(1, rows // to), rows + 1) if rows % n == 0 and rows // n <= to)
        made = {
            "views_per_rotation": max(8, 2 * round(min(max(360, views / 3), views) / 2)),
            "column_binning": columns,
            "row_binning": row_binning,
            "rays_per_reading": 1,
            "scatter": False,
        }
        return Sampling(**(made | change))

    def protocol(self, **change: Any) -> Protocol:
        """A plain axial protocol: narrow collimation, reference potential, no couch, 100 mAs, no scatter correction.

        Parameters
        ----------
        **change
            Fields of :class:`ctsim.Protocol` that shall be different.
        """
        base = self.profile.protocols[0]
        scanner = self.scanner
        rotation_s = min(scanner.rotation_times_s, key=lambda s: abs(s - 1.0))
        made: dict[str, Any] = {
            "name": "acceptance",
            "kvp": self.reference_kvp,
            "mode": "axial",
            "collimation_rows": self.narrow_rows,
            "bowtie": base.bowtie,
            "with_couch": False,
            "isocentre_mm": (0.0, 0.0),
            "scan_range_mm": (-0.5 * scanner.detector.row_pitch_iso_mm, 0.5 * scanner.detector.row_pitch_iso_mm),
            "mas_per_rotation": self.mas(100.0, rotation_s),
            "rotation_s": rotation_s,
            "corrections": Corrections(scatter=False, starvation=True, bone=False),
            "reconstruction": Reconstruction(
                kernel=self.softest.name, fov_mm=300.0, matrix=64, slice_thickness_mm=2.0, increment_mm=1.0
            ),
            "source": "lungtwin qa",
            "status": "measured",
        }
        return Protocol(**(made | change))

    def mas(self, wanted: float, rotation_s: float) -> float:
        """``wanted`` mAs per rotation, or as near as the tube comes with every focal spot [mAs]."""
        limits = [self.scanner.largest_tube_current_ma]
        limits += [spot.largest_ma for spot in self.scanner.focal_spots if spot.largest_ma is not None]
        lowest, highest = self.scanner.smallest_tube_current_ma * rotation_s, min(limits) * rotation_s
        return float(np.clip(wanted, lowest, highest))

    def row_mm(self, sampling: Sampling) -> float:
        """Height of a simulated row at the axis [mm]."""
        return self.scanner.detector.row_pitch_iso_mm * sampling.row_binning


def square(half_mm: float, pixel_mm: float, z_mm: ArrayLike = 0.0) -> Grid:
    """A lattice of odd size around the axis, slices at ``z_mm`` (equally spaced)."""
    n = 2 * int(half_mm / pixel_mm) + 1
    z = np.atleast_1d(np.asarray(z_mm, dtype=np.float64))
    step = float(z[1] - z[0]) if len(z) > 1 else 1.0
    corner = -(n - 1) / 2 * pixel_mm
    return Grid((len(z), n, n), (step, pixel_mm, pixel_mm), (corner, corner, float(z[0])))


def radius(grid: Grid, at_mm: tuple[float, float] = (0.0, 0.0)) -> NDArray[np.float64]:
    """Distance of every pixel from a world point (x, y), ``(y, x)`` [mm]."""
    _, y, x = grid.axes_mm()
    return np.hypot(y[:, None] - at_mm[1], x - at_mm[0])


def hounsfield(sinogram: Sinogram, kernel: Kernel, grid: Grid, thickness_mm: float) -> NDArray[np.float64]:
    """``(z, y, x)`` image in steps of 1 / GAIN HU, for bodies up to 300 HU; air is clipped as ever [HU].

    Reconstruction is linear: line integrals are raised by GAIN, the image lowered by it.
    """
    raised = replace(sinogram, line_integral=sinogram.line_integral * np.float32(GAIN))
    image = _reconstructed(raised, kernel, grid, thickness_mm)
    return (image + 1000.0) / GAIN - 1000.0


def difference(
    sinogram: Sinogram,
    other: NDArray[np.float32] | None,
    kernel: Kernel,
    grid: Grid,
    thickness_mm: float,
    radius_mm: float,
    gain: float,
) -> NDArray[np.float64]:
    """``(z, y, x)`` what the image is above that of other line integrals, in steps of 1 / ``gain`` HU, unclipped [HU].

    Difference and sum are taken before reconstruction, which is linear. Water of ``radius_mm`` stands behind both, so
    that nothing lies below the lower end of the scale. Without others: HU + 1000.
    """
    cylinder = water(2 * radius_mm, 40.0, spacing_mm=(40.0, 50.0, 50.0))
    chords = np.float32(sinogram.mu_water_per_mm) * lengths_mm(cylinder, sinogram.geometry, endless=True)["water"]
    backdrop = replace(sinogram, line_integral=chords.astype(np.float32))
    line = sinogram.line_integral if other is None else sinogram.line_integral - other
    raised = replace(sinogram, line_integral=backdrop.line_integral + np.float32(gain) * line)
    images = [_reconstructed(s, kernel, grid, thickness_mm) for s in (raised, backdrop)]
    return np.asarray((images[0] - images[1]) / gain)


def _reconstructed(sinogram: Sinogram, kernel: Kernel, grid: Grid, thickness_mm: float) -> NDArray[np.float64]:
    ct = reconstruct(sinogram, kernel=kernel, grid=grid, slice_thickness_mm=thickness_mm)
    return ct.hu.astype(np.float64)
