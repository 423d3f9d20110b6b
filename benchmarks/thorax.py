"""Whole scans of a population twin: 300 mm helical at pitch 1, 736 x 64 cells, 1152 views per rotation.

Each process does one thing from a twin on disk, so that its peak memory is that of the thing alone. The twin is built
once and kept in ``out/bench/twins``; building it is no part of any figure.
"""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from itertools import pairwise
from typing import Any

import numba
import numpy as np

import twins
from ctsim import Protocol, Sampling, Scanner, correct, expose, load_profile, read_out, reconstruct, scan
from ctsim.reexposure import add_insets
from lesions import Nodule, insert, place
from twins import Grid, Twin, TwinSpec
from twins.thorax import GENERATOR

from . import scenes
from .ours import VERSIONS
from .serving import Job, peak_mb, serve, timed
from .sides import ROOT

PERSON = TwinSpec(sex="male", age_y=62, height_cm=176, bmi=26, smoking="former", pack_years=30, key=1)
LENGTH_MM, SLICES = 300.0, 300
PIXEL_MM, MATRIX = 0.7, 512
DIAMETERS_MM = (6.0, 8.0, 10.0, 16.0, 25.0)


def twin_of(spacing_mm: float) -> Twin:
    """The person's twin from disk; built first, in a process of its own, where it is missing."""
    path = ROOT / "out" / "bench" / "twins" / f"{twins_name(spacing_mm)}.h5"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "benchmarks.thorax", str(spacing_mm), str(path)], cwd=ROOT, check=True)
    return twins.load(path)


def twins_name(spacing_mm: float) -> str:
    """Name of a twin's file: anatomy and voxel size."""
    return f"{GENERATOR}-{spacing_mm:g}mm"


class Setting:
    """Twin, scanner, protocol, sampling and image of a row."""

    def __init__(self, tiny: bool, threads: int, spacing_mm: float, rays: int) -> None:
        numba.set_num_threads(threads)
        profile = load_profile(scenes.PROFILE)
        self.profile = profile
        self.scanner: Scanner = profile.scanner
        self.twin: Twin = twin_of(5.0 if tiny else spacing_mm)
        length_mm, slices, matrix = (60.0, 12, 64) if tiny else (LENGTH_MM, SLICES, MATRIX)
        x, y, z = self.twin.grid.centre_mm
        self.protocol: Protocol = profile.protocol("screening_low_dose").model_copy(
            update={
                "scan_range_mm": (z - length_mm / 2, z + length_mm / 2),
                "isocentre_mm": (x, y),
                "pitch": 1.0,
                "flying_focal_spot": None,
            }
        )
        coarse = {"views_per_rotation": 96, "column_binning": 8, "row_binning": 8} if tiny else {}
        self.sampling = Sampling(rays_per_reading=rays, **coarse)
        pixel = PIXEL_MM * MATRIX / matrix
        step = length_mm / slices
        corner = (matrix - 1) / 2 * pixel
        self.image = Grid(
            (slices, matrix, matrix), (step, pixel, pixel), (x - corner, y - corner, z - (slices - 1) / 2 * step)
        )

    def facts(self) -> dict[str, Any]:
        return {
            "twin_voxels": list(self.twin.grid.shape),
            "twin_spacing_mm": self.twin.grid.spacing_mm[0],
            "image_voxels": list(self.image.shape),
            "rays_per_reading": self.sampling.rays_per_reading,
        }

    def warm_up(self) -> None:
        """Compile, or load what was compiled, on a scan that is very short and coarse."""
        middle = sum(self.protocol.scan_range_mm or (0.0, 0.0)) / 2
        short = self.protocol.model_copy(update={"scan_range_mm": (middle - 2.0, middle + 2.0)})
        coarse = Sampling(views_per_rotation=48, column_binning=8, row_binning=16, rays_per_reading=1)
        small = Grid((4, 16, 16), (1.0, 16.0, 16.0), (self.image.origin_mm[0], self.image.origin_mm[1], middle))
        reconstruct(scan(self.twin, self.scanner, short, key=1, sampling=coarse), grid=small)


def whole(tiny: bool, threads: int, spacing_mm: float, rays: int) -> Job:
    """Twin to image: scan and reconstruction."""
    setting = Setting(tiny, threads, spacing_mm, rays)
    setting.warm_up()
    before_mb = peak_mb()
    found: dict[str, Any] = {}

    def run() -> None:
        marks = {"start": (time.perf_counter(), time.process_time())}

        def mark(name: str) -> None:
            marks[name] = (time.perf_counter(), time.process_time())

        def exposed(share: float) -> None:
            if share >= 1:
                mark("projection")

        twin, scanner, protocol = setting.twin, setting.scanner, setting.protocol
        sinogram = scan(twin, scanner, protocol, key=1, sampling=setting.sampling, progress=exposed)
        mark("rest of the scan")
        scan_mb = peak_mb()
        ct = reconstruct(sinogram, grid=setting.image, slice_thickness_mm=1.0)
        mark("reconstruction")
        names = list(marks)
        found["steps"] = {b: [t1 - t0 for t0, t1 in zip(marks[a], marks[b], strict=True)] for a, b in pairwise(names)}
        found["readings"] = sinogram.line_integral.size
        found["peak_mb_of_scan"] = scan_mb
        lung = ct.hu[(ct.hu > -950) & (ct.hu < -700)]
        found["lung_mean_hu"] = float(lung.mean()) if lung.size else None
        found["unseen_voxels"] = ct.meta["n_unseen_voxels"]

    def finish() -> dict[str, Any]:
        return {**setting.facts(), **found, "before_mb": before_mb, "peak_mb": peak_mb()}

    return Job(1, run, finish, VERSIONS)


def again(tiny: bool, threads: int, spacing_mm: float, rays: int) -> Job:
    """What another dose and kernel, and another set of nodules, cost once the exposure is there."""
    setting = Setting(tiny, threads, spacing_mm, rays)
    setting.warm_up()
    found: dict[str, Any] = {}
    scanner, protocol = setting.scanner, setting.protocol

    def run() -> None:
        exposures = []
        found["exposure"] = timed(
            lambda: exposures.append(expose(setting.twin, scanner, protocol, sampling=setting.sampling))
        )
        exposure = exposures.pop()
        found["readings"] = exposure.signal_kev_per_mas.size
        louder = protocol.model_copy(update={"mas_per_rotation": 2 * protocol.mas_per_rotation})
        kept: dict[str, Any] = {}

        def read() -> None:
            kept["sinogram"] = correct(read_out(exposure, louder, key=2), overwrite=True)

        def image() -> None:
            kernel = setting.profile.kernel("B45f")
            reconstruct(kept["sinogram"], kernel=kernel, grid=setting.image, slice_thickness_mm=1.0)

        found["readout"] = timed(read)
        found["reconstruction"] = timed(image)
        kept.clear()
        gc.collect()
        found["peak_mb_of_dose"] = peak_mb()
        asked = [Nodule(id=f"n{i}", equivalent_diameter_mm=d, key=i) for i, d in enumerate(DIAMETERS_MM)]
        coarse = twin_of(5.0 if tiny else 2.0)  # the same anatomy: places are found in less memory
        placed = place(coarse, asked[:2] if tiny else asked, rng=np.random.default_rng(1))
        for name, nodules in (
            ("one nodule of 10 mm", placed[2:3] or placed[:1]),
            ("five nodules of 6 to 25 mm", placed),
        ):
            ill, _ = insert(setting.twin, nodules)
            found[name] = timed(lambda ill=ill: add_insets(exposure, ill))  # type: ignore[misc]

    def finish() -> dict[str, Any]:
        return {**setting.facts(), **found, "peak_mb": peak_mb()}

    return Job(1, run, finish, VERSIONS)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        twins.save(twins.build(PERSON, spacing_mm=float(sys.argv[1])), sys.argv[2])
    else:
        serve({"whole": whole, "again": again})
