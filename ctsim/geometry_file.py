"""A geometry as a group of an HDF5 file: what sinogram and raw data files share.

``/geometry`` holds the float64 arrays ``view_angle_rad``, ``source_z_mm`` (axis: view), ``column_angle_rad`` (column),
``row_offset_mm`` (row) and ``deflection_mm`` (spot, component), each with its unit in the attribute ``unit`` and its
axes in HDF5's dimension labels, and the attributes ``source_distance_mm``, ``detector_distance_mm``, ``isocentre_mm``
(x, y), ``row_pitch_mm``, ``views_per_rotation``, ``feed_per_rotation_mm``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .geometry import Geometry

if TYPE_CHECKING:
    import h5py

READING_AXES = ("view", "row", "column")

_ARRAYS = {
    "view_angle_rad": ("rad", ("view",)),
    "source_z_mm": ("mm", ("view",)),
    "column_angle_rad": ("rad", ("column",)),
    "row_offset_mm": ("mm", ("row",)),
    "deflection_mm": ("mm", ("spot", "component")),
}
_NUMBERS = ("source_distance_mm", "detector_distance_mm", "row_pitch_mm", "feed_per_rotation_mm")


def write_array(group: h5py.Group, name: str, array: NDArray[Any], unit: str, axes: tuple[str, ...]) -> None:
    """Write an array with its unit and named axes."""
    dataset = group.create_dataset(name, data=array)
    dataset.attrs["unit"] = unit
    for dimension, axis in zip(dataset.dims, axes, strict=True):
        dimension.label = axis


def write_geometry(file: h5py.Group, geometry: Geometry) -> None:
    """Write the group ``geometry``."""
    group = file.create_group("geometry")
    for name, (unit, axes) in _ARRAYS.items():
        write_array(group, name, getattr(geometry, name), unit, axes)
    for name in _NUMBERS:
        group.attrs[name] = float(getattr(geometry, name))
    group.attrs["isocentre_mm"] = geometry.isocentre_mm
    group.attrs["views_per_rotation"] = geometry.views_per_rotation


def read_geometry(file: h5py.Group) -> Geometry:
    """Read what :func:`write_geometry` wrote; KeyError or ValueError if it is damaged."""
    group = file["geometry"]
    x, y = (float(value) for value in group.attrs["isocentre_mm"])
    parts: dict[str, Any] = {name: np.asarray(group[name][()], dtype=np.float64) for name in _ARRAYS}
    parts |= {name: float(group.attrs[name]) for name in _NUMBERS}
    return Geometry(isocentre_mm=(x, y), views_per_rotation=int(group.attrs["views_per_rotation"]), **parts)
