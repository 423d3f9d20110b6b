"""Test bodies as twins: cylinders, spheres, rods, wires and slabs with exact volume fractions and exact line integrals.

A body is a list of parts: the first fills room air, each further one takes its own volume out of the first. Voxels
carry the exact share of each part (see :mod:`twins.solids`), so the only errors left are the voxel's size and the
rounding of density and mass fraction. The body is written into the twin's provenance, from where
:func:`path_lengths_mm` computes the truth for any ray.

Phantoms for the acceptance of a scanner: :func:`water`, :func:`acr_464`, :func:`catphan_sensitometry`, :func:`mercury`,
:func:`qiba_nodules`, :func:`ctdi`, and for sharpness :func:`wire`, :func:`edge`, :func:`foil`.
"""

from __future__ import annotations

from .acceptance import acr_464, catphan_sensitometry, ctdi, mercury, qiba_nodules, water
from .bodies import air, cylinder, slab, sphere
from .fine import edge, foil, wire, with_fine_part, with_wire
from .parts import AIR, Part, ball, rod
from .rays import line_integrals, path_lengths_mm
from .voxels import build_body

__all__ = [
    "AIR",
    "Part",
    "acr_464",
    "air",
    "ball",
    "build_body",
    "catphan_sensitometry",
    "ctdi",
    "cylinder",
    "edge",
    "foil",
    "line_integrals",
    "mercury",
    "path_lengths_mm",
    "qiba_nodules",
    "rod",
    "slab",
    "sphere",
    "water",
    "wire",
    "with_fine_part",
    "with_wire",
]
