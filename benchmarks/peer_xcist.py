"""XCIST (gecatsim): its full chain of a voxel phantom. Runs in the peers' Python.

Its source stands at (-SID sin b, SID cos b), which is our view angle b + 90 degrees, so that scans start at -90 degrees;
columns run the other way, and the rows of its phantom files run towards falling y.
The scan is timed as users run it: phantom read, 20 energies, two materials, quantum noise per bin, electronic noise,
readings written to a file. Air scan and preparation of the data (its corrections) are left out.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from importlib.metadata import version
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
    (folder / "phantom.json").write_text(json.dumps(head))


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


def error(tiny: bool, threads: int, samples: list[int], many: int, first_view: int, rays: int) -> Job:
    """Transmissions of 70 keV without noise against exact ones, with samples^5 rays per reading."""
    scene = body.item_of("error", tiny)
    scene = replace(scene, rows=body.ITEMS["error"].rows, views=body.ITEMS["error"].views)
    folder = Path(tempfile.mkdtemp())
    phantom(scene, folder)
    got: dict[int, np.ndarray] = {}

    def transmissions(n: int) -> np.ndarray:
        ct = simulator(scene, folder, threads, n)
        ct.protocol.viewsPerRotation = ct.protocol.viewCount = body.VIEWS_OF_A_SCANNER
        ct.protocol.startViewId, ct.protocol.stopViewId = first_view, first_view + scene.views - 1
        ct.physics.monochromatic = ENERGY_KEV
        ct.physics.enableQuantumNoise = ct.physics.enableElectronicNoise = 0
        ct.air_scan()
        ct.phantom_scan()
        read = [np.fromfile(folder / f"result.{what}", np.float32) for what in ("scan", "air")]
        seen, air = (values.reshape(-1, scene.rows, body.COLUMNS)[:, :, ::-1] for values in read)
        return seen / air

    def run() -> None:
        for n in [*samples, many]:
            got[n] = transmissions(n)

    def finish() -> dict[str, Any]:
        shutil.rmtree(folder)
        mu = [float(GetMu(name, ENERGY_KEV)[0]) / 10 for name in ("water", "bone")]
        angles = 2 * np.pi * (first_view + np.arange(scene.views)) / body.VIEWS_OF_A_SCANNER
        truth = np.zeros((scene.views, scene.rows, body.COLUMNS))
        for ray in body.beamlets(rays, SPOT_MM, ANODE_DEG):
            water, bone = body.lengths(scene, angles, ray)
            truth += np.exp(-mu[0] * water - mu[1] * bone) / rays
        return {
            "many": many**5,
            "of": {
                str(n**5): {
                    "against_truth": body.transmission_error(got[n], truth),
                    "against_many": body.transmission_error(got[n], got[many]),
                }
                for n in [*samples, many]
            },
        }

    return Job(scene.readings, run, finish, VERSIONS)


if __name__ == "__main__":
    os.environ.setdefault("MPLBACKEND", "Agg")
    sys.exit(serve({"chain": chain, "error": error}))
