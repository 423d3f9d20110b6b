"""What a scan of a phantom would read by its drawing: exact chords, every energy, every material's own curve."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twins import Twin, material
from twins.phantoms import path_lengths_mm
from twins.phantoms.parts import described

from ...attenuation import ENERGY_KEV, mass_attenuation
from ...basis import basis_curves
from ...exposure import Exposure
from ...geometry import Geometry
from ...rays import ray_points
from ...signal import MM_PER_CM, beam_of

FAR_MM = 1e6
"""Length that stands for endless [mm]."""


def rays_mm(
    geometry: Geometry, views: slice, shift_rad: float = 0.0, shift_mm: float = 0.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Focal spot ``(v, 1, 1, 3)`` and points of the cells ``(v, R, C, 3)``, world (x, y, z) [mm].

    The points lie ``shift_rad`` and ``shift_mm`` off the cells' middles, along columns and rows.
    """
    still = replace(geometry, deflection_mm=np.zeros((1, 3)))
    nominal = still.source_mm(views)
    beta = geometry.view_angle_rad[views, None]
    angle = geometry.column_angle_rad + shift_rad - beta  # direction cos g e_r + sin g e_u
    far = geometry.detector_distance_mm
    n_rows, n_columns = geometry.shape[1:]
    cells = np.empty((len(nominal), n_rows, n_columns, 3))
    cells[..., 0] = nominal[:, 0, None, None] - far * np.cos(angle)[:, None, :]
    cells[..., 1] = nominal[:, 1, None, None] + far * np.sin(angle)[:, None, :]
    cells[..., 2] = nominal[:, 2, None, None] + (geometry.row_offset_mm + shift_mm)[:, None]
    return geometry.source_mm(views)[:, None, None, :], cells


def lengths_mm(
    twin: Twin, geometry: Geometry, *, endless: bool = False, off: tuple[float, float] = (0.0, 0.0)
) -> dict[str, NDArray[np.float32]]:
    """Chords of rays in each material, ``(V, R, C)`` [mm]; endless: bodies go on along z.

    The rays lie ``off`` the cells' middles, along columns [rad] and rows [mm].
    """
    body = _endless(twin) if endless else twin
    parts: dict[str, list[NDArray[np.float32]]] = {}
    for block in _blocks(geometry):
        for name, length in path_lengths_mm(body, *rays_mm(geometry, block, *off)).items():
            parts.setdefault(name, []).append(length.astype(np.float32))
    return {name: np.concatenate(blocks) for name, blocks in parts.items()}


def analytic_exposure(exposure: Exposure, twin: Twin, *, columns: int = 3, rows: int = 1) -> Exposure:
    """The exposure with its signal replaced by that of the phantom's drawing, endless along z.

    Transmissions are averaged over ``columns`` x ``rows`` equally spaced rays in each cell, and over the same points of
    focal spot and view as the simulated ones. Attenuation is that of the full curves; no basis, no tables, no voxels.

    Parameters
    ----------
    exposure
        Of the phantom, without scatter.
    twin
        The phantom.
    columns, rows
        Rays along each side of a cell.

    Raises
    ------
    ValueError
        If the exposure holds scatter, or the twin is no phantom.
    """
    if exposure.scatter is not None:
        raise ValueError("the exposure must be taken without scatter (sampling.scatter = False)")
    geometry, body = exposure.geometry, _endless(twin)
    points = ray_points(exposure.scanner, exposure.acquisition, exposure.sampling)
    beam = beam_of(exposure.scanner, exposure.acquisition, exposure.sampling)
    lit = beam.photons_per_mas > 0
    energy = (beam.photons_per_mas * ENERGY_KEV)[lit]
    own = np.exp(-np.einsum("krc,ke->rce", beam.path_g_cm2, basis_curves()[:2, lit])) * energy
    own *= beam.gain[:, :, None]
    air = _mu_per_mm("air")[lit]
    signal = np.zeros(geometry.shape)
    places_c = (np.arange(columns) + 0.5) / columns - 0.5
    places_r = (np.arange(rows) + 0.5) / rows - 0.5
    for moved, weight in zip(points.geometries(geometry), points.weight, strict=True):
        for block in _blocks(geometry):
            for a in places_c * geometry.column_pitch_rad:
                for b in places_r * geometry.row_pitch_mm:
                    depth = None
                    for name, length in path_lengths_mm(body, *rays_mm(moved, block, a, b)).items():
                        part = length[..., None] * (_mu_per_mm(name)[lit] - air)
                        depth = part if depth is None else depth + part
                    transmitted = np.einsum("vrce,rce->vrc", np.exp(-depth), own)  # type: ignore[operator]
                    signal[block] += transmitted * (weight / (columns * rows))
    return replace(exposure, signal_kev_per_mas=signal.astype(np.float32))


def _mu_per_mm(name: str) -> NDArray[np.float64]:
    substance = material(name)
    return mass_attenuation(substance) * substance.density_g_cm3 / MM_PER_CM


def _blocks(geometry: Geometry) -> list[slice]:
    n_views, n_rows, n_columns = geometry.shape
    step = max(1, 2**16 // (n_rows * n_columns))
    return [slice(first, min(first + step, n_views)) for first in range(0, n_views, step)]


def _endless(twin: Twin) -> Twin:
    """The phantom with all its cylinders drawn out along z, as the projector goes on beyond the lattice."""
    body: list[dict[str, Any]] = [dict(entry) for entry in described(twin)]
    for entry in body:
        part = dict(entry.get("fills", entry))
        if part["at"]["solid"] != "cylinder":
            raise ValueError(f"only cylinders can be drawn out along z, got a {part['at']['solid']}")
        part["at"] = {**part["at"], "length_mm": FAR_MM}
        if "fills" in entry:
            entry["fills"] = part
        else:
            entry.update(part)
    return replace(twin, provenance={**twin.provenance, "body": body})
