"""An exposure as an HDF5 file: every bit of it, to be worked on in another run.

File (format "lungtwin exposure", version 1); units in each array's attribute ``unit``, axes in its dimension labels:

- ``/signal_kev_per_mas`` float32, ``/mean_energy`` uint16 (steps of 1/256 keV) ``(view, row, column)``
- ``/air_kev_per_mas`` float64 ``(row, column)``
- ``/geometry``: see :mod:`ctsim.geometry_file`
- ``/scatter``, where simulated: ``node_signal_kev_per_mas``, ``node_mean_energy_kev``, and the nodes' ``view``,
  ``row``, ``column``
- ``/topogram``, where there is one: ``z_mm``, ``fan_angle_rad``, ``water_mm``, ``couch_water_mm``; attributes
  ``directions`` (JSON), ``source_distance_mm``
- attributes of ``/``: ``format``, ``version``, ``backend``, ``device``, ``scan_range_mm``, and the JSON texts
  ``scanner``, ``acquisition``, ``sampling``, ``subject`` (absent: not known)
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twins.files import replacing_hdf5

from .exposure import Exposure
from .geometry_file import READING_AXES, read_geometry, write_array, write_geometry
from .protocol import Acquisition
from .sampling import Sampling
from .scanner import Scanner
from .scatter.field import ScatterField
from .subject import Subject
from .topogram import Topogram

if TYPE_CHECKING:
    import h5py

FORMAT = "lungtwin exposure"
VERSION = 1

_READINGS = {
    "signal_kev_per_mas": ("keV per mAs", READING_AXES),
    "mean_energy": ("keV / 256", READING_AXES),
    "air_kev_per_mas": ("keV per mAs", READING_AXES[1:]),
}
_SCATTER = {
    "node_signal_kev_per_mas": ("keV per mAs", READING_AXES),
    "node_mean_energy_kev": ("keV", READING_AXES),
    "view": ("1", ("node",)),
    "row": ("1", ("node",)),
    "column": ("1", ("node",)),
}
_TOPOGRAM = {
    "z_mm": ("mm", ("line",)),
    "fan_angle_rad": ("rad", ("column",)),
    "water_mm": ("mm", ("direction", "line", "column")),
    "couch_water_mm": ("mm", ("direction", "column")),
}
_SPECS: dict[str, Any] = {"scanner": Scanner, "acquisition": Acquisition, "sampling": Sampling}


def save_exposure(exposure: Exposure, path: str | os.PathLike[str]) -> None:
    """Write an HDF5 file; the same exposure gives the same bytes.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    """
    with replacing_hdf5(path) as file:
        file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
        file.attrs["backend"], file.attrs["device"] = exposure.backend, exposure.device
        file.attrs["scan_range_mm"] = exposure.scan_range_mm
        for name in _SPECS:
            file.attrs[name] = getattr(exposure, name).model_dump_json()
        if exposure.subject is not None:
            file.attrs["subject"] = json.dumps(asdict(exposure.subject))
        _write(file, exposure, _READINGS)
        write_geometry(file, exposure.geometry)
        if exposure.scatter is not None:
            _write(file.create_group("scatter"), exposure.scatter, _SCATTER)
        if exposure.topogram is not None:
            group = file.create_group("topogram")
            _write(group, exposure.topogram, _TOPOGRAM)
            group.attrs["directions"] = json.dumps(exposure.topogram.directions)
            group.attrs["source_distance_mm"] = exposure.topogram.source_distance_mm


def load_exposure(path: str | os.PathLike[str]) -> Exposure:
    """Read a file that :func:`save_exposure` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not a whole exposure of this version.
    """
    import h5py

    if not Path(path).is_file():
        raise FileNotFoundError(f"no such file: {path}")
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != FORMAT or file.attrs.get("version") != VERSION:
                raise ValueError(f"not a {FORMAT} of version {VERSION}")
            geometry = read_geometry(file)
            low, high = (float(z) for z in file.attrs["scan_range_mm"])
            specs = {name: kind.model_validate_json(file.attrs[name]) for name, kind in _SPECS.items()}
            return Exposure(
                geometry=geometry,
                scan_range_mm=(low, high),
                backend=str(file.attrs["backend"]),
                device=str(file.attrs["device"]),
                scatter=ScatterField(**_read(file["scatter"], _SCATTER), shape=geometry.shape)
                if "scatter" in file
                else None,
                topogram=_read_topogram(file["topogram"]) if "topogram" in file else None,
                subject=_read_subject(file.attrs["subject"]) if "subject" in file.attrs else None,
                **specs,
                **_read(file, _READINGS),
            )
    except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{path} cannot be read as an exposure: {error}") from None


def _write(group: h5py.Group, value: object, arrays: dict[str, tuple[str, tuple[str, ...]]]) -> None:
    for name, (unit, axes) in arrays.items():
        write_array(group, name, getattr(value, name), unit, axes)


def _read(group: h5py.Group, arrays: dict[str, tuple[str, tuple[str, ...]]]) -> dict[str, Any]:
    return {name: group[name][()] for name in arrays}


def _read_topogram(group: h5py.Group) -> Topogram:
    directions = tuple(json.loads(group.attrs["directions"]))
    return Topogram(
        directions=directions,
        source_distance_mm=float(group.attrs["source_distance_mm"]),
        **_read(group, _TOPOGRAM),
    )


def _read_subject(text: str) -> Subject:
    data = json.loads(text)
    return Subject(data["base"], tuple(data["insets"]), int(data["n_channels"]))
