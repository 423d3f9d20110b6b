"""What the scanner hands to the reconstruction: water-corrected line integrals with their geometry; HDF5 on disk.

File (format "lungtwin sinogram", version 2), units in each item's attribute ``unit``:

- ``/line_integral`` float32 ``(view, row, column)``
- ``/geometry/view_angle_rad``, ``source_z_mm``, ``column_angle_rad``, ``row_offset_mm``, ``deflection_mm``: float64
  arrays
- attributes of ``/geometry``: ``source_distance_mm``, ``detector_distance_mm``, ``isocentre_mm`` (x, y),
  ``row_pitch_mm``, ``views_per_rotation``, ``feed_per_rotation_mm``
- attributes of ``/``: ``format``, ``version``, ``mu_water_per_mm``, ``key`` (absent: no noise), ``ctdi_vol_mgy``
  (absent: unknown), and the JSON texts ``scanner``, ``protocol``, ``sampling``, ``meta``
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

from twins.files import replacing

from .geometry import Geometry
from .protocol import Protocol
from .sampling import Sampling
from .scanner import Scanner

FORMAT = "lungtwin sinogram"
VERSION = 2

_ARRAYS = {
    "view_angle_rad": "rad",
    "source_z_mm": "mm",
    "column_angle_rad": "rad",
    "row_offset_mm": "mm",
    "deflection_mm": "mm",
}
_NUMBERS = ("source_distance_mm", "detector_distance_mm", "row_pitch_mm", "feed_per_rotation_mm")


@dataclass(frozen=True, slots=True, eq=False)
class Sinogram:
    """Water-corrected line integrals of a scan.

    Parameters
    ----------
    geometry
        Where source and detector were.
    line_integral
        ``(view, row, column)`` float32: ``mu_water_per_mm`` times the water-equivalent length [1].
    mu_water_per_mm
        Attenuation of water that the correction aims at: the Hounsfield scale [1/mm].
    scanner, protocol, sampling
        What took it, how, and how finely it was simulated.
    key
        64-bit key of the noise; None where there is none.
    ctdi_vol_mgy
        Volume CTDI of the 32 cm body phantom [mGy]; None if unknown.
    meta
        Further plain data: ``z_range_mm`` (what the scan was to cover), ``backend``.

    Raises
    ------
    ValueError
        If the array has not the geometry's shape.
    """

    geometry: Geometry
    line_integral: NDArray[np.float32]
    mu_water_per_mm: float
    scanner: Scanner
    protocol: Protocol
    sampling: Sampling = field(default_factory=Sampling)
    key: int | None = None
    ctdi_vol_mgy: float | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.line_integral.shape != self.geometry.shape or self.line_integral.dtype != np.float32:
            raise ValueError(
                f"line_integral must be float32 of the geometry's shape {self.geometry.shape}, "
                f"got {self.line_integral.dtype} {self.line_integral.shape}"
            )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write an HDF5 file; the same sinogram gives the same bytes.

        Raises
        ------
        FileNotFoundError
            If the folder does not exist.
        """
        import h5py

        with replacing(path) as part, h5py.File(part, "w") as file:
            file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
            file.attrs["mu_water_per_mm"] = float(self.mu_water_per_mm)
            if self.key is not None:
                file.attrs["key"] = np.uint64(self.key)
            if self.ctdi_vol_mgy is not None:
                file.attrs["ctdi_vol_mgy"] = float(self.ctdi_vol_mgy)
            for name in ("scanner", "protocol", "sampling"):
                file.attrs[name] = getattr(self, name).model_dump_json()
            file.attrs["meta"] = json.dumps(dict(self.meta), sort_keys=True)
            file.create_dataset("line_integral", data=self.line_integral).attrs["unit"] = "1"
            group = file.create_group("geometry")
            for name, unit in _ARRAYS.items():
                group.create_dataset(name, data=getattr(self.geometry, name)).attrs["unit"] = unit
            for name in _NUMBERS:
                group.attrs[name] = float(getattr(self.geometry, name))
            group.attrs["isocentre_mm"] = self.geometry.isocentre_mm
            group.attrs["views_per_rotation"] = self.geometry.views_per_rotation

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Sinogram:
        """Read a file that :meth:`save` wrote.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is not a whole sinogram file of this version.
        """
        import h5py

        if not Path(path).is_file():
            raise FileNotFoundError(f"no such file: {path}")
        try:
            with h5py.File(path, "r") as file:
                if file.attrs.get("format") != FORMAT or file.attrs.get("version") != VERSION:
                    raise ValueError(f"not a {FORMAT} of version {VERSION}")
                group = file["geometry"]
                x, y = (float(value) for value in group.attrs["isocentre_mm"])
                parts: dict[str, Any] = {name: group[name][()] for name in _ARRAYS}
                parts |= {name: float(group.attrs[name]) for name in _NUMBERS}
                geometry = Geometry(
                    isocentre_mm=(x, y), views_per_rotation=int(group.attrs["views_per_rotation"]), **parts
                )
                return cls(
                    geometry,
                    file["line_integral"][()],
                    float(file.attrs["mu_water_per_mm"]),
                    Scanner.model_validate_json(file.attrs["scanner"]),
                    Protocol.model_validate_json(file.attrs["protocol"]),
                    Sampling.model_validate_json(file.attrs["sampling"]),
                    int(file.attrs["key"]) if "key" in file.attrs else None,
                    float(file.attrs["ctdi_vol_mgy"]) if "ctdi_vol_mgy" in file.attrs else None,
                    json.loads(file.attrs["meta"]),
                )
        except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ValueError(f"{path} cannot be read as a sinogram: {error}") from None
