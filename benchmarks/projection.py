"""Speed and error of projector and reconstruction on analytic bodies: ``python benchmarks/projection.py [ITEM...]``.

Items: v256 (256^3 voxels of 0.7 mm, 64 rows), v512 (512 x 512 x 128), coarse (128^3), helix. Geometry: SID 595 mm, SDD
1085.6 mm, 900 columns over 50 degrees, rows of 0.6 mm at the axis; elliptic cylinder with a sphere. One JSON line per
operation: readings/s of the projector and its RMS error against exact integrals averaged over the cells, relative to
their mean where they exceed 20 mm; voxel updates/s of the axial reconstruction (filtering included) and its mean and
RMSE on exact data; seconds of a helical reconstruction. Best of the repeats (``REPEATS``, 3); ``VIEWS``
overrides the views.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from ctsim.geometry import Geometry
from ctsim.projection import project
from ctsim.recon.chain import geometric_chain
from ctsim.recon.fdk import fdk
from ctsim.recon.kernels import Kernel
from ctsim.recon.wfbp import wfbp
from ctsim.voxels import BasisVolume
from twins import Grid

SID_MM, SDD_MM, COLUMNS = 595.0, 1085.6, 900
ITEMS = {"coarse": (128, 128, 1.4, 16, 60), "v256": (256, 256, 0.7, 64, 180), "v512": (512, 128, 0.7, 64, 88)}
KERNEL = Kernel(name="bench", mtf50_per_mm=0.4, mtf10_per_mm=0.7)


def scanner(rows: int, views: int, rotations: float = 1.0, feed_mm: float = 0.0) -> Geometry:
    pitch = math.radians(50) / COLUMNS
    turn = (np.arange(round(views * rotations))) / views
    return Geometry(
        SID_MM,
        SDD_MM,
        (0.0, 0.0),
        2 * np.pi * turn,
        feed_mm * (turn - rotations / 2),
        (np.arange(COLUMNS) - (COLUMNS - 1) / 2) * pitch,
        (np.arange(rows) - (rows - 1) / 2) * 0.6 * SDD_MM / SID_MM,
        0.6 * SDD_MM / SID_MM,
        views,
        feed_mm,
    )


def body(width_mm: float) -> tuple[float, float, float, tuple[float, float, float]]:
    """Half axes of the cylinder, radius and centre of the sphere."""
    return 0.44 * width_mm, 0.33 * width_mm, 0.11 * width_mm, (0.14 * width_mm, 0.06 * width_mm, 0.01 * width_mm)


def voxels(n: int, n_z: int, size: float, sub: int = 16) -> np.ndarray:
    """Exact to 1/sub^3: shares of the voxels, (y, x, z)."""
    a, b, r, (cx, cy, cz) = body(n * size)
    inner = (np.arange(sub) + 0.5) / sub - 0.5
    x = ((np.arange(n)[:, None] - (n - 1) / 2 + inner) * size).ravel()
    flat = ((x / a) ** 2 + (x[:, None] / b) ** 2 <= 1).reshape(n, sub, n, sub).mean((1, 3))
    volume = np.repeat(flat[:, :, None], n_z, axis=2).astype(np.float32)
    near = (x - cx) ** 2 + (x[:, None] - cy) ** 2
    for k in range(n_z):
        for s in inner:
            square = r**2 - ((k - (n_z - 1) / 2 + s) * size - cz) ** 2
            if square > 0:
                volume[:, :, k] += (near <= square).reshape(n, sub, n, sub).mean((1, 3)) / sub
    return volume


def exact(g: Geometry, width_mm: float, sub: int = 5) -> np.ndarray:
    """Integrals over the body, averaged over sub x sub rays of each cell [mm]."""
    a, b, r, centre = body(width_mm)
    out = np.zeros(g.shape, np.float32)
    places = (np.arange(sub) + 0.5) / sub - 0.5
    for i, (beta, z) in enumerate(zip(g.view_angle_rad, g.source_z_mm, strict=True)):
        source = np.array([SID_MM * math.cos(beta), SID_MM * math.sin(beta), z])
        m = source - np.asarray(centre)
        for s in places:
            gamma = g.column_angle_rad + s * g.column_pitch_rad
            ux, uy = -np.cos(beta - gamma), -np.sin(beta - gamma)
            square = (ux / a) ** 2 + (uy / b) ** 2
            half = source[0] * ux / a**2 + source[1] * uy / b**2
            rest = (source[0] / a) ** 2 + (source[1] / b) ** 2 - 1
            flat = 2 * np.sqrt(np.maximum(half * half - square * rest, 0)) / square
            for t in places:
                climb = (g.row_offset_mm + t * g.row_pitch_mm)[:, None] / SDD_MM
                slant = np.sqrt(1 + climb**2)
                towards = ((ux * m[0] + uy * m[1]) + climb * m[2]) / slant
                out[i] += (flat * slant + 2 * np.sqrt(np.maximum(towards**2 - (m @ m - r**2), 0))) / sub**2
    return out


def best(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds of the fastest repeat; the first call compiles and does not count."""
    work()
    times = []
    for _ in range(int(os.environ.get("REPEATS", "3"))):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        times.append((time.perf_counter() - wall, time.process_time() - cpu))
    return min(times)


def main(names: list[str]) -> None:
    for name in names:
        n, n_z, size, rows, views = ITEMS[name]
        views = int(os.environ.get("VIEWS", views))
        g = scanner(rows, views)
        truth = exact(g, n * size)
        grid = Grid((n_z, n, n), (size,) * 3, (-(n - 1) / 2 * size, -(n - 1) / 2 * size, -(n_z - 1) / 2 * size))
        step = 2.2 / 65535
        first = np.rint(voxels(n, n_z, size) / step).astype(np.uint32)
        volume = BasisVolume(grid, first | ((first >> 1) << 16), step)
        out = np.empty((2, *g.shape), np.float32)
        wall, cpu = best(lambda: project(volume, (), g, 0, out))  # noqa: B023
        error = (10 * out[0] - truth)[truth > 20]
        line = {
            "op": "project",
            "item": name,
            "readings_per_s": out[0].size / wall,
            "readings_per_cpu_s": out[0].size / cpu,
            "relative_rmse": float(np.sqrt((error**2).mean()) / truth[truth > 20].mean()),
        }
        print(json.dumps(line), flush=True)
        z, y, x = grid.axes_mm()
        beam = z[np.abs(z) < 0.3 * rows * (1 - n * size / 2 / SID_MM)]
        images: list[np.ndarray] = []
        radius = SID_MM * math.sin(math.radians(24.9))
        job = partial(fdk, truth, g, KERNEL, geometric_chain(g), (beam, y, x), size, radius)
        wall, cpu = best(lambda job=job, images=images: images.append(job()[0]))
        a, b, r, (cx, cy, _) = body(n * size)
        middle = images[-1][:, :, len(beam) // 2]
        to_ball = np.hypot(x - cx, y[:, None] - cy)
        plain = ((x / a) ** 2 + (y[:, None] / b) ** 2 < 0.85**2) & (to_ball > 1.25 * r)
        updates = n * n * len(beam) * views
        line = {
            "op": "fdk",
            "item": name,
            "gups": updates / wall / 1e9,
            "gups_per_cpu": updates / cpu / 1e9,
            "mean": float(middle[plain].mean()),
            "rmse": float(np.sqrt(((middle[plain] - 1) ** 2).mean())),
        }
        print(json.dumps(line), flush=True)
    if "helix" in sys.argv:
        helix = scanner(32, 576, 9.0, 19.2)
        data = np.ones(helix.shape, np.float32)
        x = (np.arange(512) - 255.5) * 360 / 512
        axes = (np.arange(150) - 74.5, x, x)
        wall, cpu = best(lambda: wfbp(data, helix, KERNEL, geometric_chain(helix), axes, 1.0, 250.0))
        print(json.dumps({"op": "wfbp", "item": "512x512x150, 9 x 576 views", "seconds": wall, "cpu_s": cpu}))


if __name__ == "__main__":
    main([name for name in sys.argv[1:] if name in ITEMS] or ["coarse", "v256"])
