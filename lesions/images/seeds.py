"""Seeds: real tumours isolated from labelled CTs, as objects: form, interior and edge, without the lung around them."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr

from twins import Grid
from twins.files import replacing_hdf5

FORMAT = "lungtwin.seed/1"
_ARRAYS = ("distance_mm", "interior", "residual")


@dataclass(frozen=True, slots=True, eq=False)
class Seed:
    """One tumour on a fine cubic lattice about its centroid.

    What it reads over a background ``b`` is ``b + p f (soft - b)``: ``p`` the profile of its edge, ``f`` its interior
    on the scale where 0 is the lung around it and 1 soft tissue of 40 HU (ground glass about 0.3, calcium above 1, air
    below 0).

    Parameters
    ----------
    name
        For messages and truth.
    grid
        Axis-aligned cubic lattice in millimetres relative to the centroid.
    distance_mm
        ``(z, y, x)`` float32 signed distance to the contour, positive inside [mm].
    interior
        ``(z, y, x)`` float32, f without noise; carried on beyond the contour.
    residual
        ``(z, y, x)`` float32, what the removal of noise took away, on the same scale: noise with some texture.
    volume_mm3
        Volume within the contour [mm3].
    margin_sigma_mm
        Sigma of the tumour's own edge, without the scanner's blur [mm].
    source, licence
        Where it comes from, and under what terms it may be used and passed on.
    attributes
        JSON-able: what else is known (label volume, donor's spacing, ratings, parents of a morph...).
    """

    name: str
    grid: Grid
    distance_mm: NDArray[np.float32]
    interior: NDArray[np.float32]
    residual: NDArray[np.float32]
    volume_mm3: float
    margin_sigma_mm: float
    source: str = "unknown"
    licence: str = "unknown"
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in _ARRAYS:
            if getattr(self, name).shape != self.grid.shape:
                raise ValueError(
                    f"seed {self.name!r}: {name} must have the grid's shape {self.grid.shape}, got "
                    f"{getattr(self, name).shape}"
                )
        if not (self.grid.is_axis_aligned and max(self.grid.spacing_mm) - min(self.grid.spacing_mm) < 1e-9):
            raise ValueError(f"seed {self.name!r}: the lattice must be cubic and axis-aligned, got {self.grid}")
        if not self.volume_mm3 > 0:
            raise ValueError(f"seed {self.name!r}: volume_mm3 must be above 0, got {self.volume_mm3}")

    @property
    def equivalent_diameter_mm(self) -> float:
        """Diameter of the sphere of equal volume [mm]."""
        return (6 / math.pi * self.volume_mm3) ** (1 / 3)

    @property
    def reach_mm(self) -> float:
        """Largest distance of the contour from the centroid [mm]."""
        z, y, x = self.grid.axes_mm()
        squared = (z**2)[:, None, None] + (y**2)[:, None] + x**2
        return math.sqrt(float(squared[self.distance_mm > 0].max()))

    def occupancy(self) -> NDArray[np.float32]:
        """Share of each voxel within the contour; they sum to the exact volume."""
        return _filled(self, lambda t: np.clip(t + 0.5, 0, 1), 1.0 / self.grid.spacing_mm[0])

    def profile(self) -> NDArray[np.float32]:
        """The same with the tumour's own edge, of the same volume."""
        sigma = math.hypot(self.margin_sigma_mm, self.grid.spacing_mm[0] / math.sqrt(12))
        return _filled(self, ndtr, 1.0 / sigma)


def _filled(
    seed: Seed, edge: Callable[[NDArray[np.floating]], NDArray[np.floating]], per_mm: float
) -> NDArray[np.float32]:
    scaled = seed.distance_mm * np.float64(per_mm)
    near = abs(scaled) < 8
    deep = np.count_nonzero(scaled >= 8)
    wanted = seed.volume_mm3 / seed.grid.voxel_volume_mm3 - deep
    values = scaled[near]
    try:
        offset = brentq(lambda o: float(edge(values + o).sum()) - wanted, -3, 3, xtol=1e-9)
    except ValueError:
        raise ValueError(
            f"seed {seed.name!r}: its distances do not enclose the volume of {seed.volume_mm3:.1f} mm3"
        ) from None
    out = (scaled >= 8).astype(np.float32)
    out[near] = edge(values + offset)
    out[out < 1e-4] = 0
    return out


def save_seed(seed: Seed, path: str | os.PathLike[str]) -> None:
    """Write a seed as HDF5; the same seed gives the same bytes."""
    record = {
        "name": seed.name,
        "grid": seed.grid.to_dict(),
        "volume_mm3": seed.volume_mm3,
        "margin_sigma_mm": seed.margin_sigma_mm,
        "source": seed.source,
        "licence": seed.licence,
        "attributes": dict(seed.attributes),
    }
    with replacing_hdf5(path, libver=("v110", "v110")) as file:
        file.attrs["format"] = FORMAT
        file.attrs["record"] = json.dumps(record, sort_keys=True)
        for name in _ARRAYS:
            file.create_dataset(
                name,
                data=getattr(seed, name),
                compression="gzip",
                compression_opts=4,
                shuffle=True,
                track_times=False,
            )


def load_seed(path: str | os.PathLike[str]) -> Seed:
    """Read what :func:`save_seed` wrote.

    Raises
    ------
    ValueError
        If the file is not a seed of a known format.
    """
    import h5py

    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ValueError(f"{path}: not a seed file: {error}") from None
    with file:
        if file.attrs.get("format") != FORMAT:
            raise ValueError(f"{path}: not a seed file: format is {file.attrs.get('format')!r}, expected {FORMAT!r}")
        record: dict[str, Any] = json.loads(file.attrs["record"])
        record["grid"] = Grid.from_dict(record["grid"])
        return Seed(**record, **{name: file[name][()] for name in _ARRAYS})
