"""Raw data: what the detector read in every view, before any correction, with its calibration; HDF5 on disk.

File (format "lungtwin raw scan", version 1); units in each array's attribute ``unit``, axes in its dimension labels:

- ``/signal_kev`` float32 ``(view, row, column)``: energy read, dark signal included [keV]
- ``/mas`` float64 ``(view,)``: tube current times rotation time in each view [mAs per rotation]
- ``/air_kev_per_mas`` float64 ``(row, column)``: air calibration, the mean signal without object [keV per mAs]
- ``/offset_kev`` float64 ``(row, column)``: dark signal [keV]
- ``/primary_kev``, ``/scatter_kev`` float32 ``(view, row, column)``, where kept: noise-free means absorbed [keV]
- ``/geometry``: see :mod:`ctsim.geometry_file`
- attributes of ``/``: ``format``, ``version``, ``key`` (absent: no noise), and the JSON texts ``scanner``,
  ``protocol``, ``sampling``, ``meta``

A file of any other origin that has these items is read as well, and corrected by :func:`ctsim.correct`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twins.files import replacing_hdf5

from .geometry import Geometry
from .geometry_file import READING_AXES, read_geometry, write_array, write_geometry
from .protocol import Protocol
from .sampling import Sampling
from .scanner import Scanner

FORMAT = "lungtwin raw scan"
VERSION = 1

_ARRAYS = {
    "signal_kev": ("keV", READING_AXES),
    "mas": ("mAs per rotation", READING_AXES[:1]),
    "air_kev_per_mas": ("keV per mAs", READING_AXES[1:]),
    "offset_kev": ("keV", READING_AXES[1:]),
}
_TRUTH = ("primary_kev", "scatter_kev")


@dataclass(frozen=True, slots=True, eq=False)
class RawScan:
    """Uncorrected readings of a scan.

    Parameters
    ----------
    geometry
        Where source and detector were.
    signal_kev
        ``(view, row, column)`` float32: energy read, dark signal included [keV].
    mas
        ``(view,)`` float64: tube current times rotation time in each view [mAs per rotation].
    air_kev_per_mas
        ``(row, column)`` float64: air calibration, the mean signal that this detector reads in room air [keV per mAs].
    offset_kev
        ``(row, column)`` float64: dark signal [keV].
    scanner, protocol, sampling
        What took it, how, and how finely it was simulated.
    key
        64-bit key of the noise; None where there is none.
    primary_kev, scatter_kev
        ``(view, row, column)`` float32: noise-free means of what the cells absorb [keV]; None: not kept.
    meta
        Further plain data: ``z_range_mm`` (what the scan was to cover), ``backend``, ``has_scatter`` (whether readings
        hold scatter; not said: they do), ``clipped_current_fraction`` (part of the views whose tube current met a
        limit), ``water_diameter_mm`` (mean over the range, from the topogram, where there is one).

    Raises
    ------
    ValueError
        If an array has not the geometry's shape or the right type, or is not positive where it must be.
    """

    geometry: Geometry
    signal_kev: NDArray[np.float32]
    mas: NDArray[np.float64]
    air_kev_per_mas: NDArray[np.float64]
    offset_kev: NDArray[np.float64]
    scanner: Scanner
    protocol: Protocol
    sampling: Sampling = field(default_factory=Sampling)
    key: int | None = None
    primary_kev: NDArray[np.float32] | None = None
    scatter_kev: NDArray[np.float32] | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        readings = self.geometry.shape
        wanted = {"signal_kev": readings, "mas": readings[:1], "air_kev_per_mas": readings[1:]}
        wanted |= {"offset_kev": readings[1:], "primary_kev": readings, "scatter_kev": readings}
        for name, shape in wanted.items():
            array = getattr(self, name)
            if array is None and name in _TRUTH:
                continue
            kind = np.float32 if shape == readings else np.float64
            if array.shape != shape or array.dtype != kind:
                raise ValueError(
                    f"{name} must be {np.dtype(kind)} of shape {shape}, got {array.dtype} of shape {array.shape}"
                )
        for name in ("mas", "air_kev_per_mas"):
            lowest = float(getattr(self, name).min(initial=np.inf))
            if not lowest > 0:
                raise ValueError(f"{name} must be positive, its lowest value is {lowest}")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write an HDF5 file; the same scan gives the same bytes.

        Raises
        ------
        FileNotFoundError
            If the folder does not exist.
        """
        with replacing_hdf5(path) as file:
            file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
            if self.key is not None:
                file.attrs["key"] = np.uint64(self.key)
            for name in ("scanner", "protocol", "sampling"):
                file.attrs[name] = getattr(self, name).model_dump_json()
            file.attrs["meta"] = json.dumps(dict(self.meta), sort_keys=True)
            for name, (unit, axes) in _ARRAYS.items():
                write_array(file, name, getattr(self, name), unit, axes)
            for name in _TRUTH:
                if getattr(self, name) is not None:
                    write_array(file, name, getattr(self, name), "keV", READING_AXES)
            write_geometry(file, self.geometry)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> RawScan:
        """Read a file that :meth:`save` wrote, or one of the same format.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is not a whole raw data file of this version.
        """
        import h5py

        if not Path(path).is_file():
            raise FileNotFoundError(f"no such file: {path}")
        try:
            with h5py.File(path, "r") as file:
                if file.attrs.get("format") != FORMAT or file.attrs.get("version") != VERSION:
                    raise ValueError(f"not a {FORMAT} of version {VERSION}")
                arrays = {name: file[name][()] for name in _ARRAYS}
                arrays |= {name: file[name][()] for name in _TRUTH if name in file}
                return cls(
                    geometry=read_geometry(file),
                    scanner=Scanner.model_validate_json(file.attrs["scanner"]),
                    protocol=Protocol.model_validate_json(file.attrs["protocol"]),
                    sampling=Sampling.model_validate_json(file.attrs["sampling"]),
                    key=int(file.attrs["key"]) if "key" in file.attrs else None,
                    meta=json.loads(file.attrs["meta"]),
                    **arrays,
                )
        except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ValueError(f"{path} cannot be read as a raw scan: {error}") from None
