"""Host files: what was found about a CT, so that it is found once. The image itself stays where it is."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twins import Grid
from twins.files import replacing_hdf5

from .host import Host
from .resolution import Resolution

FORMAT = "lungtwin.host/1"


def save_host(host: Host, path: str | os.PathLike[str]) -> None:
    """Write anatomy, noise and resolution of a host as HDF5, with a digest of the image they belong to."""
    record = {
        "grid": host.grid.to_dict(),
        "noise_sd_hu": host.noise_sd_hu,
        "resolution": dataclasses.asdict(host.resolution),
        "image_sha256": _digest(host.hu),
    }
    with replacing_hdf5(path, libver=("v110", "v110")) as file:
        file.attrs["format"] = FORMAT
        file.attrs["record"] = json.dumps(record, sort_keys=True)
        file.create_dataset(
            "structure", data=host.structure, compression="gzip", compression_opts=4, shuffle=True, track_times=False
        )


def load_host(path: str | os.PathLike[str], hu: NDArray[np.number], grid: Grid) -> Host:
    """The host of an image, from what :func:`save_host` wrote.

    Raises
    ------
    ValueError
        If the file is no host file, or belongs to another image.
    """
    import h5py

    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ValueError(f"{path}: not a host file: {error}") from None
    with file:
        if file.attrs.get("format") != FORMAT:
            raise ValueError(f"{path}: not a host file: format is {file.attrs.get('format')!r}, expected {FORMAT!r}")
        record: dict[str, Any] = json.loads(file.attrs["record"])
        if not Grid.from_dict(record["grid"]).same_as(grid) or record["image_sha256"] != _digest(hu):
            raise ValueError(f"{path}: it belongs to another image than the one given")
        return Host(hu, grid, file["structure"][()], record["noise_sd_hu"], Resolution(**record["resolution"]))


def _digest(hu: NDArray[np.number]) -> str:
    return hashlib.sha256(np.ascontiguousarray(hu).tobytes()).hexdigest()
