"""XCIST (gecatsim): its full chain of a voxel phantom. Runs in the peers' Python.

Its source stands at (-SID sin b, SID cos b), our view angle b + 90 degrees, so that scans start at -90 degrees;
columns run the other way, and the rows of its phantom files run towards falling y.
The scan is timed as users run it: phantom read, 20 energies, two materials, quantum noise per bin, electronic noise,
readings written to a file. Air scan and preparation of the data (its corrections) are left out.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import gecatsim as xc
import numpy as np
from gecatsim.pyfiles.GetMu import GetMu

from . import body
from .serving import Job, serve

VERSIONS = {"gecatsim": version("gecatsim")}
SPOT_MM, ANODE_DEG = 1.0, 7.0
ENERGY_KEV = 70.0


def phantom(scene: body.Item, folder: Path) -> None:
    """Volume fractions of water and bone, as XCIST reads them."""
    bone = np.zeros((scene.n_z, scene.n, scene.n), np.float32)
    for solid in body.bones(scene.width_mm):
        bone += body.shares(solid, scene, 4)
    (body.shares(body.trunk(scene.width_mm)[0], scene) - bone)[:, ::-1].tofile(folder / "water.raw")
    bone[:, ::-1].tofile(folder / "bone.raw")

    def both(value: object) -> list[object]:
        return [value, value]

    head = {
        "n_materials": 2,
        "mat_name": ["water", "bone"],
        "volumefractionmap_filename": ["water.raw", "bone.raw"],
        "volumefractionmap_datatype": both("float"),
        "cols": both(scene.n),
        "rows": both(scene.n),
        "slices": both(scene.n_z),
        **{f"{axis}_size": both(scene.voxel_mm) for axis in "xyz"},
        **{f"{axis}_offset": both((n + 1) / 2) for axis, n in zip("xyz", (scene.n, scene.n, scene.n_z), strict=True)},
    }
    (folder / "phantom.json").write_text(json.dumps(head), encoding="utf-8")


def simulator(scene: body.Item, folder: Path, threads: int, samples: int) -> Any:
    """The scanner of the items with ``samples`` along each of the spot's axes, the cell's and the view."""
    ct = xc.CatSim()
    ct.resultsName = str(folder / "result")
    ct.phantom.callback, ct.phantom.projectorCallback = "Phantom_Voxelized", "C_Projector_Voxelized"
    ct.phantom.filename, ct.phantom.projectorNumThreads = str(folder / "phantom.json"), threads
    scanner, protocol, physics = ct.scanner, ct.protocol, ct.physics
    scanner.sid, scanner.sdd = body.SID_MM, body.SDD_MM
    scanner.detectorColCount, scanner.detectorRowCount, scanner.detectorRowsPerMod = (
        body.COLUMNS,
        scene.rows,
        scene.rows,
    )
    scanner.detectorColSize, scanner.detectorRowSize = body.COLUMN_RAD * body.SDD_MM, body.ROW_MM
    scanner.detectorColOffset = 0.0
    scanner.detectorColFillFraction = scanner.detectorRowFillFraction = 1.0
    scanner.focalspotShape, scanner.focalspotWidth, scanner.focalspotLength = "Uniform", SPOT_MM, SPOT_MM
    scanner.targetAngle = ANODE_DEG
    protocol.viewsPerRotation = protocol.viewCount = scene.views
    protocol.startViewId, protocol.stopViewId = 0, scene.views - 1
    protocol.startAngle = -90.0
    physics.energyCount = 20
    physics.colSampleCount = physics.rowSampleCount = physics.viewSampleCount = samples
    physics.srcXSampleCount = physics.srcYSampleCount = samples
    return ct


def chain(item: str, tiny: bool, threads: int, samples: int, views: int) -> Job:
    """The full chain; ``views`` of a rotation (a full one has the item's)."""
    scene = body.item_of(item, tiny)
    scene = replace(scene, views=min(views, scene.views))
    folder = Path(tempfile.mkdtemp())
    phantom(scene, folder)
    ct = simulator(scene, folder, threads, samples)
    ct.air_scan()
    ct.offset_scan()

    def finish() -> dict[str, float]:
        few = max(1, scene.views // 8)
        ct.protocol.stopViewId = few - 1
        start = time.perf_counter()
        ct.phantom_scan()
        start_up = time.perf_counter() - start
        shutil.rmtree(folder)
        return {"start_up_views": few, "start_up_s": start_up}

    return Job(scene.readings, ct.phantom_scan, finish, VERSIONS)


def error(tiny: bool, threads: int, samples: list[int], first_view: int, rays: int) -> Job:
    """Transmissions of 70 keV without noise against exact ones, with samples^5 rays per reading."""
    scene = body.item_of("error", tiny)
    scene = replace(scene, rows=body.ITEMS["error"].rows, views=body.ITEMS["error"].views)
    folder = Path(tempfile.mkdtemp())
    phantom(scene, folder)
    got: dict[int, np.ndarray] = {}

    def run() -> None:
        for n in samples:
            ct = simulator(scene, folder, threads, n)
            ct.protocol.viewsPerRotation = ct.protocol.viewCount = body.VIEWS_OF_A_SCANNER
            ct.protocol.startViewId, ct.protocol.stopViewId = first_view, first_view + scene.views - 1
            ct.physics.monochromatic = ENERGY_KEV
            ct.physics.enableQuantumNoise = ct.physics.enableElectronicNoise = 0
            ct.air_scan()
            ct.phantom_scan()
            read = [np.fromfile(folder / f"result.{what}", np.float32) for what in ("scan", "air")]
            seen, air = (values.reshape(-1, scene.rows, body.COLUMNS)[:, :, ::-1] for values in read)
            got[n] = seen / air

    def finish() -> dict[str, Any]:
        shutil.rmtree(folder)
        mu = [float(GetMu(name, ENERGY_KEV)[0]) / 10 for name in ("water", "bone")]
        truth = body.transmissions(scene, mu, first_view, body.beamlets(rays, SPOT_MM, ANODE_DEG))
        errors = {}
        for n, values in got.items():
            alone = body.transmissions(scene, mu, first_view, grid(n))
            errors["1 sample" if n == 1 else f"{n}^5 = {n**5} samples"] = {
                "sampling": body.transmission_error(alone, truth),
                "in_all": body.transmission_error(values, truth),
            }
        return {"errors": errors}

    return Job(scene.readings, run, finish, VERSIONS)


def grid(n: int) -> Iterator[body.Beamlet]:
    """XCIST's n^5 rays of a reading: middles of n equal parts of spot, view and cell."""
    middles = [float(m) for m in (np.arange(n) + 0.5) / n - 0.5]
    for side, along, when, across, up in product(middles, repeat=5):
        z = along * SPOT_MM
        spot = (side * SPOT_MM, z / math.tan(math.radians(ANODE_DEG)), z)
        yield body.Beamlet(spot, when * 2 * math.pi / body.VIEWS_OF_A_SCANNER, across, up)


if __name__ == "__main__":
    os.environ.setdefault("MPLBACKEND", "Agg")
    sys.exit(serve({"chain": chain, "error": error}))
