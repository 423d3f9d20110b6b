"""lungtwin's side of the reconstructions."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from ctsim import Kernel, Sampling, Sinogram, load_profile, reconstruct
from ctsim.recon.chain import geometric_chain
from ctsim.recon.fdk import fdk as run_fdk
from ctsim.recon.wfbp import wfbp as run_wfbp
from ctsim.trajectory import plan_geometry
from twins import Grid
from twins.phantoms import cylinder

from . import body, scenes
from .body import Item
from .ours import VERSIONS
from .serving import Job, peak_mb, serve

KERNEL = Kernel(name="bench", mtf50_per_mm=0.4, mtf10_per_mm=0.7)
RADIUS_MM = body.SID_MM * math.sin(math.radians(24.9))


def fdk(item: str, tiny: bool, threads: int) -> Job:
    numba.set_num_threads(threads)
    return axial(body.item_of(item, tiny))


def axial(scene: Item) -> Job:
    """FDK of the lit slices from exact data."""
    where, lit = scenes.geometry(scene), scene.lit_slices()
    data = body.exact(scene, scene.angles, sub=2)
    z, y, x = scenes.grid(scene).axes_mm()
    got: dict[str, Any] = {}

    def run() -> None:
        chain = geometric_chain(where)
        got["image"] = run_fdk(data, where, KERNEL, chain, (z[lit], y, x), scene.voxel_mm, RADIUS_MM)[0]

    def finish() -> dict[str, Any]:
        return body.image_error(got["image"][:, :, len(lit) // 2], scene)

    return Job(scene.n**2 * len(lit) * scene.views, run, finish, VERSIONS)


def wfbp(tiny: bool, threads: int) -> Job:
    """A helix of pitch 1; updates: voxels x views of one rotation, as one beam's height feeds per rotation."""
    numba.set_num_threads(threads)
    n, slices, rotations = (64, 20, 3.0) if tiny else (512, 150, 9.0)
    scene = Item(n, slices, 360 / n, 32, 72 if tiny else 576)
    where = scenes.geometry(scene, rotations=rotations, feed_mm=0.6 * scene.rows)
    data = np.ones(where.shape, np.float32)
    plane = scene.axis_mm(n)
    axes = ((np.arange(slices) - (slices - 1) / 2), plane, plane)

    def run() -> None:
        run_wfbp(data, where, KERNEL, geometric_chain(where), axes, 1.0, 250.0)

    return Job(n * n * slices * scene.views, run, versions=VERSIONS)


def roi(tiny: bool, threads: int) -> Job:
    """64^3 voxels of 0.5 mm in the middle of a helical chest scan of 300 mm."""
    numba.set_num_threads(threads)
    profile = load_profile(scenes.PROFILE)
    length_mm = 80.0 if tiny else 300.0
    half = length_mm / 2
    protocol = profile.protocol("screening_low_dose").model_copy(
        update={"scan_range_mm": (-half, half), "pitch": 1.0, "isocentre_mm": (0.0, 0.0)}
    )
    sampling = Sampling(views_per_rotation=96, column_binning=8, row_binning=8) if tiny else Sampling()
    where = plan_geometry(cylinder(150.0, length_mm, spacing_mm=10.0), profile.scanner, protocol, sampling)
    data = np.ones(where.shape, np.float32)
    sinogram = Sinogram(where, data, 0.02, profile.scanner, protocol, sampling, meta={"z_range_mm": [-half, half]})
    first = -63 / 2 * 0.5
    region = Grid((64, 64, 64), (0.5, 0.5, 0.5), (60 + first, 40 + first, first))

    def run() -> None:
        reconstruct(sinogram, grid=region, slice_thickness_mm=1.0)

    return Job(64**3, run, lambda: {"readings": data.size, "peak_mb": peak_mb()}, VERSIONS)


if __name__ == "__main__":
    serve({"fdk": fdk, "wfbp": wfbp, "roi": roi})
