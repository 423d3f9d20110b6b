"""Part five of the card: how much blood the lungs hold, in what sizes, at what angles and places."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..trees import Tree
from ..twin import Twin
from .branches import Branches, box_dimension, branches_of, volume_mm3

SMALL_MM2 = 5.0
"""Cross-section below which blood counts as that of small vessels (BV5) [mm2]."""


def vessels(twin: Twin, lung: NDArray[np.bool_]) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Values and tables of the group ``vessels``, and their scaling; empty for a twin without trees."""
    trees = (twin.arteries, twin.veins)
    if not all(len(tree) for tree in trees):
        return {}, {}
    volume = np.concatenate([volume_mm3(tree)[tree.lobe > 0] for tree in trees])
    radius = np.concatenate([_radius(tree)[tree.lobe > 0] for tree in trees])
    whole = float(lung.sum()) * twin.grid.voxel_volume_mm3
    small = np.pi * radius**2 < SMALL_MM2
    joined = [branches_of(tree) for tree in trees]
    angle = np.concatenate([_angles(found) for found in joined])
    bent = np.concatenate([found.length_mm[_long(found)] / found.chord_mm[_long(found)] - 1 for found in joined])
    branching, wide = joined[0].horton()
    values = {
        "blood_volume_percent": 100 * float(volume.sum()) / whole,
        "small_vessel_share": float(volume[small].sum() / volume.sum()),
        "vessel_angle_deg": float(angle.mean()),
        "vessel_tortuosity": float(bent.mean()),
        "murray_exponent": float(np.median(np.concatenate([murray_exponents(tree) for tree in trees]))),
        "artery_branching_ratio": branching,
        "artery_diameter_ratio": wide,
        "outer_vessel_depth_mm": _outer_depth_mm(twin, lung),
        "vessel_box_dimension": box_dimension(twin.arteries, _radius(twin.arteries) >= 0.5),
    }
    if len(twin.airways):
        values["artery_airway_gap_mm"] = _gap_mm(twin)
    edges = [0, 0.25, 0.5, 1, 2, 4, 20]
    share, _ = np.histogram(radius, edges, weights=volume / volume.sum())
    table = {f"{a:g}-{b:g} mm": round(100 * float(s), 2) for a, b, s in zip(edges, edges[1:], share, strict=False)}
    counts = {"arteries": float(len(joined[0])), "veins": float(len(joined[1]))}
    return values, {"vessel_volume_percent_by_radius": table, "vessel_branches": counts}


def murray_exponents(tree: Tree) -> NDArray[np.float64]:
    """Exponent x of ``d0^x = d1^x + d2^x`` at each fork with two daughters that are both narrower than the mother."""
    parent = tree.parent.astype(np.int64)
    daughters = np.bincount(parent[parent >= 0], minlength=len(tree))
    rows = np.flatnonzero((parent >= 0) & (daughters[parent] == 2))
    pairs = rows[np.argsort(parent[rows], kind="stable")].reshape(-1, 2)
    mother = tree.end_radius_mm[parent[pairs[:, 0]]].astype(float)
    a, b = (tree.start_radius_mm[pairs[:, i]].astype(float) / mother for i in (0, 1))
    both = (a < 0.999) & (b < 0.999) & (a > 0) & (b > 0)
    a, b = a[both], b[both]
    low, high = np.full(len(a), 0.3), np.full(len(a), 30.0)
    for _ in range(40):  # a^x + b^x falls with x
        middle = 0.5 * (low + high)
        over = a**middle + b**middle > 1
        low, high = np.where(over, middle, low), np.where(over, high, middle)
    return np.asarray(0.5 * (low + high))


def _radius(tree: Tree) -> NDArray[np.float64]:
    return 0.5 * (tree.start_radius_mm.astype(float) + tree.end_radius_mm.astype(float))


def _long(found: Branches) -> NDArray[np.bool_]:
    return (found.lobe > 0) & (found.chord_mm > 3)


def _angles(found: Branches) -> NDArray[np.float64]:
    """Angles at forks of vessels of 1 mm and more, as CT and MR show them."""
    angle = found.angles_deg()
    return angle[(found.lobe > 0) & (found.diameter_mm >= 1) & np.isfinite(angle)]


def _outer_depth_mm(twin: Twin, lung: NDArray[np.bool_]) -> float:
    """Depth under the pleura of the outermost 5 % of the ends of vessels of 1 mm and more [mm]."""
    from scipy.ndimage import distance_transform_edt

    stride = max(1, round(2.0 / min(twin.grid.spacing_mm)))
    coarse = lung[::stride, ::stride, ::stride]
    depth = distance_transform_edt(coarse, sampling=[stride * s for s in twin.grid.spacing_mm])
    ends = np.concatenate(
        [tree.end_mm[(tree.lobe > 0) & (tree.end_radius_mm >= 0.5)] for tree in (twin.arteries, twin.veins)]
    )
    index = np.rint(twin.grid.world_to_index(ends) / stride).astype(int)
    index = np.clip(index, 0, np.array(coarse.shape) - 1)
    return float(np.quantile(depth[tuple(index.T)], 0.05))


def _gap_mm(twin: Twin) -> float:
    """Median gap between the lumen of an airway of 2 mm and more and the artery beside it [mm]."""
    from scipy.spatial import cKDTree

    middle = [0.5 * (tree.start_mm + tree.end_mm).astype(float) for tree in (twin.airways, twin.arteries)]
    wide = _radius(twin.airways) >= 1
    wide &= twin.airways.lobe > 0
    own = _radius(twin.airways)[wide]
    radius = _radius(twin.arteries)
    thick = radius >= 0.5
    distance, nearest = cKDTree(middle[1][thick]).query(middle[0][wide])
    return float(np.median(distance - own - radius[thick][nearest]))
