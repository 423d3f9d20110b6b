"""A CT with a label map: what the labels name is taken from them, the rest from the CT.

Labels say where lungs, airway and bones lie and what organs are called. What a voxel is made of comes from its HU all
the same: vessels inside the lungs, bone marrow, fat around the heart are in the CT and not in the labels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..grid import Triple
from ..structures import AERATED, LOBES, Structure
from . import anatomy as ct
from .anatomy import Anatomy
from .labels import BONES, LEFT_IDS, RIGHT_IDS
from .shape import Shapes

Mask = NDArray[np.bool_]

AIRWAYS = (Structure.TRACHEA, Structure.BRONCHUS)
BLOOD = (Structure.AORTA, Structure.HEART, Structure.PULMONARY_TRUNK, Structure.SUPERIOR_VENA_CAVA)
ENHANCED_HU = 100.0
"""Median of labelled blood from which a contrast medium is assumed [HU] (design default)."""

GAS_HU, SOLID_HU = -400.0, -500.0


def anatomy_of(labels: NDArray[np.uint16], hu: NDArray[np.float32], body: Mask, spacing_mm: Triple) -> Anatomy:
    """Anatomy from labels, completed from the CT.

    Parameters
    ----------
    labels
        ``(z, y, x)`` :class:`twins.Structure` ids, 0 where nothing is labelled.
    hu, body
        (Coarse, denoised) CT [HU] and mask of the body.
    spacing_mm
        Of all three [mm].
    """
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    right, left = (np.isin(labels, [int(s) for s in ids]) & body for ids in (RIGHT_IDS, LEFT_IDS))
    airway, carina = ct.find_airway(hu, body, spacing_mm)
    labelled_airway = np.isin(labels, [int(s) for s in AIRWAYS]) & body
    lumen = labelled_airway & (hu < SOLID_HU)
    if lumen.any():
        wall = ct.grow(lumen, 2.5, spacing_mm) & (hu < -300) & ~right & ~left
        airway = airway | labelled_airway | wall
        if carina is None:
            top = int(np.flatnonzero(lumen.any(axis=(1, 2)))[-1])
            carina = ct.carina_slice(lumen, top, spacing_mm[1] * spacing_mm[2])
    right, left = right & ~airway, left & ~airway
    between = ct.hull(right | left) & body & ~(right | left)
    bone, blood = ct.tell_bone_from_blood(hu, body & ~(right | left | airway), between, spacing_mm, voxel_ml)
    labelled_bone = np.isin(labels, [int(s) for s in BONES])
    bone = bone & (labels == 0)
    if labelled_bone.any():
        bone |= ct.grow(labelled_bone, 1.5, spacing_mm) & ((labels == 0) | labelled_bone) & body
    pool = np.isin(labels, [int(s) for s in BLOOD])
    if np.count_nonzero(pool) * voxel_ml > 5:
        median = float(np.median(hu[pool]))
        blood = median if median > ENHANCED_HU else None
    return Anatomy(right, left, airway, between, bone, carina, blood)


def solid_in_lung(labels: NDArray[np.uint16], hu: NDArray[np.float32], spacing_mm: Triple) -> Mask:
    """What lies inside labelled lungs and is too thick for a vessel: masses, consolidations."""
    lung = np.isin(labels, [int(s) for s in AERATED])
    solid = lung & (hu > -550)
    if not solid.any():
        return solid
    depth = ndimage.distance_transform_edt(solid, sampling=(1e6, spacing_mm[1], spacing_mm[2]))
    core = depth > ct.LARGEST_VESSEL_RADIUS_MM
    return solid & ct.grow(core, ct.LARGEST_VESSEL_RADIUS_MM + 2.0, spacing_mm) if core.any() else core


class Names:
    """Names of labelled structures at any voxel, in shape between slices."""

    def __init__(self, labels: NDArray[np.uint16], spacing_mm: Triple) -> None:
        present = set(np.flatnonzero(np.bincount(labels.ravel())).tolist()) - {0}
        self.lobes = Shapes(labels, spacing_mm, sorted(present & {int(s) for s in LOBES}))
        others = present - {int(s) for s in (*AERATED, *AIRWAYS)}
        self.others = Shapes(labels, spacing_mm, sorted(others))

    def give(
        self,
        structure: NDArray[np.uint16],
        hu: NDArray[np.float32],
        z: NDArray[np.float64],
        y: NDArray[np.float64],
        x: NDArray[np.float64],
    ) -> None:
        """Rename, in place, a part of the voxels ``(z, y, x)`` that were named from the CT.

        ``z``, ``y``, ``x`` are their indices in the label map. Lungs get their lobe (the nearest one), whatever else is
        labelled its own name; vessels of the lung, airways, gas in the gut and what lies outside the body keep theirs.
        """
        lobe, lobe_mm, _, _ = self.lobes.at(z, y, x)
        is_lung = (structure == Structure.RIGHT_LUNG) | (structure == Structure.LEFT_LUNG)
        found = is_lung & (lobe > 0)
        structure[found] = lobe[found]
        other, other_mm, _, _ = self.others.at(z, y, x)
        keeps = np.isin(
            structure,
            [int(s) for s in (Structure.OUTSIDE, Structure.AIRWAY_WALL, Structure.BOWEL_GAS, *AIRWAYS)],
        )
        in_lung = is_lung | (structure == Structure.LUNG_VESSEL)
        named = (other_mm > 0) & ~keeps & (~in_lung | ((hu > SOLID_HU) & (other_mm > lobe_mm)))
        structure[named] = other[named]
