"""The couch: a tabletop of foam in a carbon-fibre shell, the same at every z.

Its cross-section is a stack of layers under the upper side of the tabletop, a parabola whose middle lies ``sag_mm``
below its edges (flat for 0). With the depth under that curve,

    q(x, y) = y - y_top + sag (2 (x - x_top) / width)^2,

the mattress is -mattress <= q < 0, the upper shell 0 <= q < shell, the core up to thickness - shell, the lower shell up
to the thickness; a shell closes the core on either side. So all thicknesses count along y, and along a ray q is a
quadratic, whose pieces in each layer are known exactly (:mod:`ctsim.kernels.couch`). The shape is a design choice.

The couch is never part of a twin: the projector adds its paths to the rays', wherever the twin's lattice ends.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from twins import Twin, material
from twins.twin import DENSITY_STEP_G_CM3

from .basis import coefficients
from .geometry import Geometry
from .kernels.couch import add_layers
from .tabletop import Couch
from .trajectory import BODY_DENSITY_G_CM3
from .voxels import along_world, room_air_g_cm3

CM_PER_MM = 0.1


def couch_path_g_cm2(
    couch: Couch, geometry: Geometry, views: slice, top_mm: tuple[float, float]
) -> NDArray[np.float32]:
    """Basis area densities of the couch on the in-plane part of every ray, above room air.

    Parameters
    ----------
    couch
        Its cross-section.
    geometry
        Of the scan; the rays are those from ``geometry.source_mm`` to the middle of every column's cells.
    views
        The views asked for.
    top_mm
        World ``(x, y)`` of the middle of the tabletop's upper side, mattress included (:func:`couch_top_mm`) [mm].

    Returns
    -------
    numpy.ndarray
        ``(2, views, columns)`` float32 [g/cm2]. A row's ray is longer by its slant,
        ``sqrt(1 + (height / distance)^2)``.
    """
    n_views = geometry.shape[0]
    beta = geometry.view_angle_rad[views]
    fan_rad, distance_mm = geometry.fan_angle_rad(), geometry.cell_distance_mm()
    cycle = np.arange(n_views)[views] % len(fan_rad)
    x, y = top_mm[0], top_mm[1] + couch.mattress_mm
    source_mm = geometry.source_mm(views)[:, :2] - (x, y)
    section, amount = cross_section(couch)
    out = np.empty((2, len(beta), fan_rad.shape[1]), np.float32)
    run: Any = add_layers
    run(
        source_mm,
        cycle,
        beta[:, None] + np.pi - fan_rad[cycle],
        np.ascontiguousarray(distance_mm),
        *section[:3],
        section[3:],
        amount,
        out,
    )
    return out


def cross_section(couch: Couch) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The couch in numbers.

    Returns
    -------
    tuple
        ``(8,)``: bend of its parabola [1/mm], half its width [mm], thickness of the shell [mm], and five depths between
        mattress, upper shell, core and lower shell [mm]; ``(3, 2)``: the two bases per millimetre of mattress, shell
        and core, above room air [g/cm2 per mm].
    """
    shell, thickness = couch.shell_mm, couch.thickness_mm
    level_mm = [-couch.mattress_mm, 0.0, shell, thickness - shell, thickness]
    amount = CM_PER_MM * np.stack([_above_air_g_cm3(m) for m in _layers(couch)])
    return np.array([_bend_per_mm(couch), couch.width_mm / 2, shell, *level_mm]), amount


def couch_top_mm(twin: Twin, couch: Couch, x_mm: float) -> tuple[float, float]:
    """Where the tabletop is when the body lies on it: world (x, y) of the middle of its upper side, mattress included.

    Parameters
    ----------
    twin
        Who lies on it; its insets play no part. Of a twin without a body the lattice itself lies on the couch.
    couch
        Its cross-section: a cradle's edges may touch the body before its middle does.
    x_mm
        World x of the couch's middle, as a rule that of the rotation axis [mm].

    Notes
    -----
    The body touches the couch and nowhere overlaps it: ``y_top`` is the largest ``y + sag (2 (x - x_top) / width)^2``
    of the lower edges of its voxels.
    """
    grid, (density,) = along_world(twin.grid, (twin.density,))
    body: NDArray[np.bool_] = np.asarray(
        density.astype(np.uint16).max(axis=0) * DENSITY_STEP_G_CM3 >= BODY_DENSITY_G_CM3
    )
    if not body.any():
        body = np.ones_like(body)
    _, y_mm, corner_mm = grid.axes_mm()
    lowest = len(y_mm) - 1 - np.argmax(body[::-1], axis=0)
    edge_mm = y_mm[lowest] + grid.spacing_mm[1] / 2
    reach_mm = np.abs(corner_mm - x_mm) + grid.spacing_mm[2] / 2
    over = body.any(axis=0) & (reach_mm <= couch.width_mm / 2)
    if not over.any():  # nothing of it is above the couch: it would hang beside it, level with its middle
        return x_mm, float(edge_mm[body.any(axis=0)].max())
    return x_mm, float((edge_mm + _bend_per_mm(couch) * reach_mm**2)[over].max())


def _bend_per_mm(couch: Couch) -> float:
    return couch.sag_mm * (2 / couch.width_mm) ** 2


def _layers(couch: Couch) -> tuple[str | None, str, str]:
    return couch.mattress_material, couch.shell_material, couch.core_material


def _above_air_g_cm3(name: str | None) -> NDArray[np.float64]:
    """Densities of the two bases above room air, ``(2,)`` [g/cm3]."""
    if name is None:
        return np.zeros(2)
    substance = material(name)
    c = coefficients(substance)
    if not c.is_representable or c.iodine > 0:
        raise ValueError(f"couch: material {name!r} cannot be expressed by the two bases")
    return np.array([c.basis_0, c.basis_1]) * substance.density_g_cm3 - room_air_g_cm3()[:2]
