"""Exact line integrals of phantoms: the truth for projectors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..solids import solid_from_dict
from ..twin import Twin
from .parts import described


def path_lengths_mm(twin: Twin, source_mm: ArrayLike, target_mm: ArrayLike) -> dict[str, NDArray[np.float64]]:
    """Exact length of rays in each material of a phantom: the truth for projectors.

    Parameters
    ----------
    twin
        A twin made here (also one that was saved and loaded).
    source_mm, target_mm
        World points ``(..., 3)`` in (x, y, z) between which the rays run, broadcast against each other [mm].

    Returns
    -------
    dict
        Material name -> ``(...)`` float64 [mm]. Room air around the body is not counted.

    Notes
    -----
    Lengths are geometric. For a part with a density other than natural the returned length is multiplied by the ratio
    of the densities, so that length times the material's attenuation at natural density is the line integral.
    """
    body = described(twin)
    total: dict[str, NDArray[np.float64]] = {}
    first = body[0]
    for i, entry in enumerate(body):
        part = entry.get("fills", entry)
        chord = solid_from_dict(part["at"]).chord_mm(source_mm, target_mm)
        _add(total, part["material"], chord * part["relative_density"])
        if "of" in entry:
            _add(total, entry["of"], -chord * entry.get("of_relative_density", 1.0))
        elif i > 0:
            _add(total, first["material"], -chord * first["relative_density"])
    return total


def line_integrals(
    twin: Twin, source_mm: ArrayLike, target_mm: ArrayLike, mu_per_mm: Mapping[str, float]
) -> NDArray[np.float64]:
    """Exact line integrals of a phantom with ``mu_per_mm`` (material name -> 1/mm at natural density) [1].

    Raises
    ------
    ValueError
        If ``mu_per_mm`` lacks a material of the phantom.
    """
    lengths = path_lengths_mm(twin, source_mm, target_mm)
    missing = sorted(set(lengths) - set(mu_per_mm))
    if missing:
        raise ValueError(f"mu_per_mm lacks {', '.join(missing)}")
    return np.asarray(sum(mu_per_mm[name] * length for name, length in lengths.items()), dtype=np.float64)


def _add(total: dict[str, NDArray[np.float64]], name: str, length: NDArray[np.float64]) -> None:
    total[name] = total[name] + length if name in total else length
