"""Twins in HDF5 files: every field, checksummed, and the same bytes for the same twin.

Layout (format ``lungtwin-twin``, version 1). Voxel arrays ``structure``, ``material_a``, ``material_b``, ``fraction_b``
and ``density`` are datasets ``(z, y, x)`` with their unit in the attribute ``unit``; ``airways``, ``arteries`` and
``veins`` are groups with one dataset per column; ``insets/<nnn>`` holds ``delta_g_cm3`` and its own ``header``. All
that is not an array is JSON text in the dataset ``header``. Every dataset carries a Fletcher-32 checksum; no times are
stored.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from .files import replacing_hdf5
from .grid import Grid
from .materials import Material
from .patient import Patient
from .trees import COLUMNS, OPTIONAL, Tree
from .twin import DENSITY_STEP_G_CM3, FRACTION_STEP, Inset, Twin

FORMAT = "lungtwin-twin"
"""What the root attribute ``format`` says."""

FORMAT_VERSION = 1
"""The layout written here; files of a higher version are refused."""

_VOXEL_ARRAYS: dict[str, tuple[str, str, float]] = {
    "structure": ("u2", "anatomy id (twins.Structure)", 1.0),
    "material_a": ("u1", "position in header/materials", 1.0),
    "material_b": ("u1", "position in header/materials", 1.0),
    "fraction_b": ("u2", "mass fraction of material b", FRACTION_STEP),
    "density": ("u2", "g/cm3", DENSITY_STEP_G_CM3),
}
_TREES = ("airways", "arteries", "veins")
_TREE_UNITS = {"start_mm": "mm, world LPS (x, y, z)", "end_mm": "mm, world LPS (x, y, z)"}
_CHUNK_BYTES = 4 * 1024**2


def save(twin: Twin, path: str | os.PathLike[str]) -> None:
    """Write ``twin`` to an HDF5 file; the same twin always gives the same bytes.

    Parameters
    ----------
    twin
        What to write. Its provenance must be plain data (JSON).
    path
        The file; it appears only when complete.

    Raises
    ------
    FileNotFoundError
        If the folder of ``path`` does not exist.
    ValueError
        If the provenance holds something that JSON cannot express.
    """
    header = _json_text(
        {
            "grid": twin.grid.to_dict(),
            "materials": [_material_to_dict(m) for m in twin.materials],
            "patient": twin.patient.model_dump(mode="json"),
            "landmarks_mm": {name: [float(c) for c in point] for name, point in twin.landmarks_mm.items()},
            "provenance": dict(twin.provenance),
            "n_insets": len(twin.insets),
        },
        path,
    )
    with replacing_hdf5(path, libver=("earliest", "v108")) as file:
        file.attrs["format"] = FORMAT
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs["axes"] = "arrays (z, y, x); world points (x, y, z) LPS mm"
        _write_text(file, "header", header)
        for name, (_, unit, step) in _VOXEL_ARRAYS.items():
            dataset = _write_array(file, name, getattr(twin, name))
            dataset.attrs["unit"] = unit
            dataset.attrs["step"] = step
        for name in _TREES:
            group = file.create_group(name)
            for column in COLUMNS:
                dataset = _write_array(group, column, getattr(getattr(twin, name), column))
                dataset.attrs["unit"] = _TREE_UNITS.get(column, "mm" if column.endswith("_mm") else "1")
        insets = file.create_group("insets")
        for i, inset in enumerate(twin.insets):
            group = insets.create_group(f"{i:03d}")
            described = {
                "name": inset.name,
                "grid": inset.grid.to_dict(),
                "materials": [_material_to_dict(m) for m in inset.materials],
            }
            _write_text(group, "header", _json_text(described, path))
            dataset = _write_array(group, "delta_g_cm3", inset.delta_g_cm3)
            dataset.attrs["unit"] = "g/cm3, difference to the base, (material, z, y, x)"


def load(path: str | os.PathLike[str]) -> Twin:
    """Read the twin that :func:`save` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not HDF5, is truncated or damaged, is no twin, or was written in a newer format. The message
        names the file and what is wrong.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no such file: {path}")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ValueError(f"{path}: not a readable HDF5 file (foreign, truncated or damaged): {error}") from None
    with file:
        _check_format(file, path)
        try:
            return _read_twin(file)
        except (OSError, RuntimeError, KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            reason = str(error).strip("'\"") or type(error).__name__
            raise ValueError(f"{path}: damaged or incomplete twin file: {reason}") from None


def _check_format(file: h5py.File, path: str | os.PathLike[str]) -> None:
    try:
        found, version = file.attrs.get("format"), file.attrs.get("format_version")
    except (OSError, RuntimeError, TypeError) as error:
        raise ValueError(f"{path}: damaged file attributes: {error}") from None
    if not isinstance(found, str) or found != FORMAT:
        raise ValueError(f"{path}: not a twin file: attribute 'format' must be {FORMAT!r}, got {found!r}")
    if not isinstance(version, int | np.integer) or version < 1:
        raise ValueError(f"{path}: attribute 'format_version' must be a whole number >= 1, got {version!r}")
    if version > FORMAT_VERSION:
        raise ValueError(
            f"{path}: format_version {int(version)} is newer than {FORMAT_VERSION}, the newest this version reads; "
            "update lungtwin"
        )


def _read_twin(file: h5py.File) -> Twin:
    header = json.loads(_read_text(file, "header"))
    arrays: dict[str, Any] = {name: _read_array(file, name, dtype) for name, (dtype, _, _) in _VOXEL_ARRAYS.items()}
    materials = tuple(_material_from_dict(m) for m in header["materials"])
    for name in ("material_a", "material_b"):
        highest = int(arrays[name].max())
        if highest >= len(materials):
            raise ValueError(f"{name} names material {highest}, but the file lists {len(materials)} materials")
    trees: dict[str, Any] = {
        name: Tree(
            **{
                column: _read_array(file[name], column, dtype)
                for column, (dtype, _) in COLUMNS.items()
                if column in file[name] or column not in OPTIONAL
            }
        )
        for name in _TREES
    }
    insets = []
    for i in range(int(header["n_insets"])):
        group = file[f"insets/{i:03d}"]
        described = json.loads(_read_text(group, "header"))
        insets.append(
            Inset(
                described["name"],
                Grid.from_dict(described["grid"]),
                tuple(_material_from_dict(m) for m in described["materials"]),
                _read_array(group, "delta_g_cm3", "f4"),
            )
        )
    return Twin(
        grid=Grid.from_dict(header["grid"]),
        materials=materials,
        patient=Patient.model_validate(header["patient"]),
        landmarks_mm={name: tuple(point) for name, point in header["landmarks_mm"].items()},
        insets=tuple(insets),
        provenance=header["provenance"],
        **arrays,
        **trees,
    )


def _json_text(data: Mapping[str, Any], path: str | os.PathLike[str]) -> str:
    try:
        return json.dumps(data, sort_keys=True, allow_nan=False, indent=1)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: provenance must be plain data that JSON can express: {error}") from None


def _material_to_dict(material: Material) -> dict[str, Any]:
    return {
        "name": material.name,
        "density_g_cm3": material.density_g_cm3,
        "mass_fractions": [[element, fraction] for element, fraction in material.mass_fractions],
        "source": material.source,
    }


def _material_from_dict(data: Mapping[str, Any]) -> Material:
    fractions = tuple((str(element), float(fraction)) for element, fraction in data["mass_fractions"])
    return Material(str(data["name"]), float(data["density_g_cm3"]), fractions, str(data["source"]))


def _write_text(group: h5py.Group, name: str, text: str) -> None:
    """JSON text as one fixed-length string, so that it is shown by any viewer and covered by a checksum."""
    value = np.array([text.encode("ascii")])
    group.create_dataset(name, data=value, chunks=(1,), fletcher32=True, track_times=False)


def _read_text(group: h5py.Group, name: str) -> str:
    return bytes(group[name][0]).decode("ascii")


def _write_array(group: h5py.Group, name: str, array: NDArray[Any]) -> h5py.Dataset:
    if array.size == 0:
        return group.create_dataset(name, data=array, track_times=False)
    return group.create_dataset(
        name,
        data=array,
        chunks=_slabs(array),
        compression="gzip",
        compression_opts=1,
        shuffle=True,
        fletcher32=True,
        track_times=False,
    )


def _slabs(array: NDArray[Any]) -> tuple[int, ...]:
    """Whole slices of the last two axes (tables: whole rows), as many as fit into about 4 MiB."""
    axis = max(0, array.ndim - 3)
    per_slice = int(np.prod(array.shape[axis + 1 :], dtype=np.int64)) * array.itemsize
    n = int(np.clip(_CHUNK_BYTES // per_slice, 1, array.shape[axis]))
    return (*(1,) * axis, n, *array.shape[axis + 1 :])


def _read_array(group: h5py.Group, name: str, dtype: str) -> NDArray[Any]:
    dataset = group[name]
    if dataset.dtype != np.dtype(dtype):
        raise ValueError(f"{dataset.name} must be {np.dtype(dtype)}, got {dataset.dtype}")
    return np.asarray(dataset[()])
