"""Where source and detector are in every view: the one description that projector and reconstruction share."""

from __future__ import annotations

from dataclasses import dataclass, field

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
    deflection_mm
        ``(K, 3)`` float64: where the focal spot is in view v, ``deflection_mm[v % K]`` from its nominal place: along
        e_u (tangential), along e_r (towards the isocentre), along z [mm]. The detector does not follow.

    Notes
    -----
    Ray of (view, row, column), spot undeflected: source ``(x + SID cos b, y + SID sin b, z_v)``; point at detector:
    source + in-plane direction ``cos g e_r + sin g e_u`` times SDD, height ``z_v + v_r``. A deflected spot sees the
    same cells under other angles and at other distances: :meth:`fan_angle_rad`, :meth:`cell_distance_mm`,
    :meth:`cell_height_mm`, and as parallel rays :meth:`parallel_rays`.
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
    deflection_mm: NDArray[np.float64] = field(default_factory=lambda: np.zeros((1, 3)))

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
        if self.deflection_mm.ndim != 2 or self.deflection_mm.shape[1] != 3 or len(self.deflection_mm) < 1:
            raise ValueError(f"deflection_mm must be (K, 3) with K >= 1, got shape {self.deflection_mm.shape}")

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

    def _cell_from_spot_mm(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Middle of every column's cells from the spot, along e_r and e_u, each ``(K, C)`` [mm]."""
        gamma = self.column_angle_rad
        along_r = self.detector_distance_mm * np.cos(gamma) - self.deflection_mm[:, 1, None]
        along_u = self.detector_distance_mm * np.sin(gamma) - self.deflection_mm[:, 0, None]
        return along_r, along_u

    def fan_angle_rad(self) -> NDArray[np.float64]:
        """Angle of the ray to every column from e_r, as the spot sees it, ``(K, C)`` [rad]."""
        along_r, along_u = self._cell_from_spot_mm()
        return np.asarray(np.arctan2(along_u, along_r))

    def cell_distance_mm(self) -> NDArray[np.float64]:
        """In-plane distance from the spot to every column, ``(K, C)`` [mm]; SDD for an undeflected spot."""
        return np.asarray(np.hypot(*self._cell_from_spot_mm()))

    def cell_height_mm(self) -> NDArray[np.float64]:
        """Height of every row above the spot, ``(K, R)`` [mm]."""
        return self.row_offset_mm - self.deflection_mm[:, 2, None]

    def source_mm(self, views: slice = slice(None)) -> NDArray[np.float64]:
        """World points of the spot, ``(V, 3)`` (x, y, z) [mm]."""
        beta = self.view_angle_rad[views]
        n_views = len(self.view_angle_rad)
        moved = self.deflection_mm[np.arange(n_views)[views] % len(self.deflection_mm)]
        outward = self.source_distance_mm - moved[:, 1]
        x = self.isocentre_mm[0] + outward * np.cos(beta) - moved[:, 0] * np.sin(beta)
        y = self.isocentre_mm[1] + outward * np.sin(beta) + moved[:, 0] * np.cos(beta)
        return np.stack([x, y, self.source_z_mm[views] + moved[:, 2]], axis=-1)

    def parallel_rays(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The rays as parallel rays: ``(p, g)``, each ``(K, C)``, in mm and rad.

        A ray of view beta runs in the direction ``theta = beta - g`` (the view angle of a central ray parallel to it)
        at the signed distance p from the axis, p growing with the column: for an undeflected spot p = SID sin g.
        """
        g = self.fan_angle_rad()
        outward = self.source_distance_mm - self.deflection_mm[:, 1, None]
        return outward * np.sin(g) + self.deflection_mm[:, 0, None] * np.cos(g), g
