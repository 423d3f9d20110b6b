"""Time, memory and disk of the parts of a build, before it is begun.

Scans are counted by :func:`ctsim.plan.plan_scan` with the rates of the machine; of twins that are not made yet the box
and the length of the lungs are those of the middle of the population.
"""

from __future__ import annotations

import math
import os
from dataclasses import replace

from ctsim import Protocol, Sampling, Scanner
from ctsim.plan import Rates, ScanPlan, plan_scan
from twins import Grid

LUNGS_MM = 340.0
"""Length of body that a chest scan covers [mm], rough."""

TWIN_BOX_MM = (388.0, 350.0, 428.0)
"""Box of a population twin along z, y, x [mm], rough."""

TWIN_S, TWIN_S_PER_VOXEL = 4.5, 3e-7
TWIN_MB, TWIN_BYTES_PER_VOXEL = 4.0, 1.3
NODULE_S = 0.8
ADDED_SHARE = 0.05
FINISHING_S = 2.0
IMAGE_BYTES_PER_VOXEL = 1.28
WRITING_S_PER_VOXEL = 1.5e-7
IMPORT_S = 60.0
BUILDING_BYTES = 300 * 10**6
"""Measured roughly on a server of the 2020s; writing is compressing, on one thread; bytes are
those of a build beside its scans. The added share is the time to add nodules to a known exposure of their base, per
time of that exposure."""


def n_threads() -> int:
    """Threads that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def twin_s(kind: str, spacing_mm: float) -> float:
    """Time to build or import a twin [s]."""
    return TWIN_S + TWIN_S_PER_VOXEL * math.prod(TWIN_BOX_MM) / spacing_mm**3 if kind == "population" else IMPORT_S


def nodules_s(n: int) -> float:
    """Time to grow nodules, place them and project them by themselves [s]."""
    return NODULE_S * n


def twin_mb(kind: str, spacing_mm: float) -> float:
    """Size of a twin's file [MB]."""
    return (
        TWIN_MB + TWIN_BYTES_PER_VOXEL * math.prod(TWIN_BOX_MM) / (spacing_mm**3 if kind == "population" else 1) / 1e6
    )


def scan_plan(
    scanner: Scanner, protocol: Protocol, sampling: Sampling, spacing_mm: float, rates: Rates, threads: int
) -> ScanPlan:
    """What a scan of a population twin takes, its exposure kept for further doses."""
    shape = tuple(max(1, round(size / spacing_mm)) for size in TWIN_BOX_MM)
    body = Grid(shape, (spacing_mm,) * 3)  # type: ignore[arg-type]
    if protocol.scan_range_mm is None and protocol.mode != "axial":
        middle = body.centre_mm[2]
        protocol = protocol.model_copy(update={"scan_range_mm": (middle - LUNGS_MM / 2, middle + LUNGS_MM / 2)})
    elif protocol.scan_range_mm is not None:  # world places: the body is there
        body = replace(body, origin_mm=(0.0, 0.0, sum(protocol.scan_range_mm) / 2 - body.size_mm[0] / 2))
    return plan_scan(body, scanner, protocol, sampling=sampling, threads=threads, rates=rates, keeps_exposure=True)


def image_s(plan: ScanPlan, protocol: Protocol) -> float:
    """Time to detect, reconstruct and write one image [s]."""
    return plan.detection_s + plan.reconstruction_s + WRITING_S_PER_VOXEL * _n_voxels(protocol)


def image_mb(protocol: Protocol) -> float:
    """Size of an image with its masks [MB]."""
    return IMAGE_BYTES_PER_VOXEL * _n_voxels(protocol) / 1e6


def _n_voxels(protocol: Protocol) -> float:
    return protocol.reconstruction.matrix**2 * _range_mm(protocol) / protocol.reconstruction.increment_mm


def _range_mm(protocol: Protocol) -> float:
    return LUNGS_MM if protocol.scan_range_mm is None else protocol.scan_range_mm[1] - protocol.scan_range_mm[0]
