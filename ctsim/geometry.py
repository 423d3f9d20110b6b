"""Where source and detector are in every view: the one description that projector and reconstruction share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Geometry:
    """Third-generation geometry with a curved detector (see ``docs/conventions.md``).

    Parameters
    ----------
    source_distance_mm
        SID, source to isocentre [mm].
    detector_distance_mm
        SDD, source to detector [mm].
    isocentre_mm
        World ``(x, y)`` of the rotation axis [mm, LPS].
    view_angle_rad
        ``(V,)`` float64, beta of each view, growing [rad].
    source_z_mm
        ``(V,)`` float64, world z of source and detector middle in each view [mm].
    column_angle_rad
        ``(C,)`` float64, fan angle gamma of each column's centre, growing, equally spaced [rad].
    row_offset_mm
        ``(R,)`` float64, height v of each row's centre on the detector, growing, equally spaced [mm at SDD].
    row_pitch_mm
        Height of a row on the detector [mm at SDD].
    views_per_rotation
        Number of views in 2 pi.
    feed_per_rotation_mm
        Table feed per rotation, positive towards growing z; 0 for axial [mm].

    Notes
    -----
    Ray of (view, row, column): source ``(x + SID cos b, y + SID sin b, z_v)``; point at detector: in-plane direction
    ``cos g e_r + sin g e_u`` times SDD, height ``z_v + v_r``.
    """

    source_distance_mm: float
    detector_distance_mm: float
    isocentre_mm: tuple[float, float]
    view_angle_rad: NDArray[np.float64]
    source_z_mm: NDArray[np.float64]
    column_angle_rad: NDArray[np.float64]
    row_offset_mm: NDArray[np.float64]
    row_pitch_mm: float
    views_per_rotation: int
    feed_per_rotation_mm: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.source_distance_mm < self.detector_distance_mm:
            raise ValueError(
                f"source_distance_mm must lie between 0 and detector_distance_mm = {self.detector_distance_mm}, "
                f"got {self.source_distance_mm}"
            )
        if self.view_angle_rad.shape != self.source_z_mm.shape or self.view_angle_rad.ndim != 1:
            raise ValueError(
                f"view_angle_rad and source_z_mm must have one entry per view, got shapes "
                f"{self.view_angle_rad.shape} and {self.source_z_mm.shape}"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(views, rows, columns)`` of a sinogram taken so."""
        return (len(self.view_angle_rad), len(self.row_offset_mm), len(self.column_angle_rad))

    @property
    def column_pitch_rad(self) -> float:
        """Angle between neighbouring columns [rad]."""
        g = self.column_angle_rad
        return float((g[-1] - g[0]) / (len(g) - 1)) if len(g) > 1 else 1e-3

    @property
    def is_helical(self) -> bool:
        """Whether the table moves while the source turns."""
        return self.feed_per_rotation_mm != 0.0
