"""The items of the bench as lungtwin sees them: geometry, packed volumes, twins, scanners."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctsim import Protocol, Scanner, load_profile
from ctsim.geometry import Geometry
from ctsim.tube import FocalSpot
from ctsim.voxels import BasisVolume
from twins import Grid, Twin
from twins.phantoms.parts import Part
from twins.phantoms.voxels import build_body
from twins.solids import Cylinder, Ellipsoid

from . import body
from .body import Item

PROFILE = "siemens_definition_as"
SPOT_MM, ANODE_DEG = 1.0, 7.0
"""A square, uniform spot, as XCIST's is set to."""
STEP_G_CM3 = 2.2 / 65535
"""Unit of the packed volumes: values to 2 fit."""


def geometry(item: Item, *, rotations: float = 1.0, feed_mm: float = 0.0) -> Geometry:
    """The scanner of the items: one rotation at rest, or a helix."""
    turn = np.arange(round(item.views * rotations)) / item.views
    return Geometry(
        body.SID_MM,
        body.SDD_MM,
        (0.0, 0.0),
        2 * np.pi * turn,
        feed_mm * (turn - rotations / 2),
        (np.arange(body.COLUMNS) - (body.COLUMNS - 1) / 2) * body.COLUMN_RAD,
        (np.arange(item.rows) - (item.rows - 1) / 2) * body.ROW_MM,
        body.ROW_MM,
        item.views,
        feed_mm,
    )


def grid(item: Item) -> Grid:
    """The voxels of an item, the axis in their middle."""
    z, y, x = (float(item.axis_mm(n)[0]) for n in (item.n_z, item.n, item.n))
    return Grid((item.n_z, item.n, item.n), (item.voxel_mm,) * 3, (x, y, z))


def packed(item: Item, channels: int) -> BasisVolume:
    """Cylinder plus ball as basis 0, half of it as basis 1, and a tenth of it as iodine where there are 3 channels."""
    words = _words(replace(item, rows=0, views=0))
    first = words & 0xFFFF
    iodine = None if channels == 2 else (first // 10).astype(np.uint16)
    return BasisVolume(grid(item), words, STEP_G_CM3, iodine=None if iodine is None else np.ascontiguousarray(iodine))


@lru_cache(maxsize=2)
def _words(lattice: Item) -> NDArray[np.uint32]:
    first = np.rint(body.voxels(lattice) / STEP_G_CM3).astype(np.uint32).transpose(1, 2, 0)
    return np.ascontiguousarray(first | ((first >> 1) << 16))


def twin(item: Item, *, iodine: bool = False) -> Twin:
    """Water with a ball and rods of bone; iodine: the ball is iodinated blood."""
    return _twin(replace(item, rows=0, views=0), iodine)


@lru_cache(maxsize=2)
def _twin(item: Item, iodine: bool) -> Twin:
    cylinder, ball = body.trunk(item.width_mm)
    long_mm = 4 * item.width_mm
    parts = [
        Part(Cylinder((0.0, 0.0, 0.0), (cylinder.a, cylinder.b), long_mm), "water"),
        Part(Ellipsoid((ball.x, ball.y, ball.z), (ball.r,) * 3), "iodinated_blood" if iodine else "cortical_bone"),
        *(Part(Cylinder((r.x, r.y, 0.0), (r.a, r.b), long_mm), "cortical_bone") for r in body.rods(item.width_mm)),
    ]
    return build_body(parts, grid=grid(item))


def scanner(item: Item, *, views: int) -> Scanner:
    """The detector and spot of the items on a scanner with all of its physics (crosstalk, afterglow, bowtie...)."""
    profile = load_profile(PROFILE).scanner
    detector = profile.detector.model_copy(
        update={
            "n_columns": body.COLUMNS,
            "column_pitch_mm": body.COLUMN_RAD * body.SDD_MM,
            "isocentre_column": (body.COLUMNS - 1) / 2,
            "n_rows": max(item.rows, 64),
        }
    )
    spot = FocalSpot(name="bench", width_mm=SPOT_MM, length_mm=SPOT_MM, shape="uniform")
    changed: dict[str, Any] = {
        "detector": detector,
        "source_distance_mm": body.SID_MM,
        "detector_distance_mm": body.SDD_MM,
        "anode_angle_deg": ANODE_DEG,
        "focal_spots": (spot,),
        "flying_focal_spots": (),
        "collimations_rows": (item.rows,),
        "views_per_rotation": views,
        "couch": None,
    }
    return profile.model_copy(update=changed)


def protocol(item: Item) -> Protocol:
    """One rotation with the table at rest."""
    profile = load_profile(PROFILE)
    changed: dict[str, Any] = {
        "mode": "axial",
        "collimation_rows": item.rows,
        "flying_focal_spot": None,
        "focal_spot": None,
        "scan_range_mm": (-0.1, 0.1),
        "isocentre_mm": (0.0, 0.0),
        "with_couch": False,
        "mas_per_rotation": 100.0,
    }
    return profile.protocols[0].model_copy(update=changed)
