"""What the scanner hands to the reconstruction: water-corrected line integrals with their geometry; HDF5 on disk.

File (format "lungtwin sinogram", version 2); units in each array's attribute ``unit``, axes in its dimension labels:

- ``/line_integral`` float32 ``(view, row, column)``
- ``/geometry``: see :mod:`ctsim.geometry_file`
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

from twins.files import replacing_hdf5

from .geometry import Geometry
from .geometry_file import READING_AXES, read_geometry, write_array, write_geometry
from .protocol import Protocol
from .sampling import Sampling
from .scanner import Scanner

FORMAT = "lungtwin sinogram"
VERSION = 2


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
        Further plain data: ``z_range_mm`` (what the scan was to cover), ``backend``, ``has_scatter``,
        ``mean_mas_per_rotation``, ``water_diameter_mm`` and ``dose`` (:class:`ctsim.dose.Dose`, where known),
        ``bone_corrected``.

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
        with replacing_hdf5(path) as file:
            file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
            file.attrs["mu_water_per_mm"] = float(self.mu_water_per_mm)
            if self.key is not None:
                file.attrs["key"] = np.uint64(self.key)
            if self.ctdi_vol_mgy is not None:
                file.attrs["ctdi_vol_mgy"] = float(self.ctdi_vol_mgy)
            for name in ("scanner", "protocol", "sampling"):
                file.attrs[name] = getattr(self, name).model_dump_json()
            file.attrs["meta"] = json.dumps(dict(self.meta), sort_keys=True)
            write_array(file, "line_integral", self.line_integral, "1", READING_AXES)
            write_geometry(file, self.geometry)

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
                return cls(
                    read_geometry(file),
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
