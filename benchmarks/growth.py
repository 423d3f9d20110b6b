"""How cost grows: curves of points that differ in one thing, each point run once per round."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numba

from .body import Item
from .imaging import axial
from .ours import VERSIONS, full_chain, projection
from .serving import Job, serve, timed

Point = tuple[str, float, int, Job]
"""What is done, where on the curve's axis, with how many threads, and the job."""

BASE = Item(256, 128, 1.4, 64, 24)
"""358 mm wide, 179 mm high; few views, as cost per reading hardly depends on them."""


def growth(curve: str, tiny: bool, threads: int) -> Job:
    """A curve by name: voxels, views, rows, materials, rays, threads."""
    base = replace(BASE, n=64, n_z=32, voxel_mm=5.6, rows=32, views=8) if tiny else BASE
    points = CURVES[curve](base, threads)
    times: list[list[dict[str, float]]] = [[] for _ in points]

    def run() -> None:
        for (_, _, used, job), found in zip(points, times, strict=True):
            numba.set_num_threads(used)
            found.append(timed(job.run))

    def finish() -> dict[str, Any]:
        return {
            "points": [
                {"what": what, "x": x, "threads": used, "work": job.work, "runs": found[1:] or found}
                for (what, x, used, job), found in zip(points, times, strict=True)
            ]
        }

    return Job(sum(job.work for *_, job in points), run, finish, VERSIONS)


def _voxels(base: Item, threads: int) -> list[Point]:
    """The same body in finer voxels: projection of all readings, reconstruction on the same lattice."""
    points: list[Point] = []
    for scale in (0.5, 1.0, 1.5, 2.0):
        n, n_z = round(base.n * scale), round(base.n_z * scale / 2)
        finer = replace(base, n=n, n_z=n_z, voxel_mm=base.width_mm / n)
        points += [("projection", n, threads, projection(finer, 2)), ("FDK", n, threads, axial(finer))]
    return points


def _views(base: Item, threads: int) -> list[Point]:
    points: list[Point] = []
    for factor in (1, 2, 4, 8):
        more = replace(base, views=base.views * factor // 2 * 2)
        points += [
            ("projection", more.views, threads, projection(more, 2)),
            ("full chain", more.views, threads, full_chain(more, 1)),
            ("FDK", more.views, threads, axial(more)),
        ]
    return points


def _rows(base: Item, threads: int) -> list[Point]:
    points: list[Point] = []
    for rows in (base.rows // 8, base.rows // 4, base.rows // 2, base.rows, base.rows * 2):
        some = replace(base, rows=max(1, rows))
        points += [
            ("projection", some.rows, threads, projection(some, 2)),
            ("full chain", some.rows, threads, full_chain(some, 1)),
        ]
    return points


def _materials(base: Item, threads: int) -> list[Point]:
    """Any number of tissues are two channels; iodine is a third."""
    points: list[Point] = []
    for channels in (2, 3):
        points += [
            ("projection", channels, threads, projection(base, channels)),
            ("full chain", channels, threads, full_chain(base, 1, iodine=channels == 3)),
        ]
    return points


def _rays(base: Item, threads: int) -> list[Point]:
    return [("full chain", rays, threads, full_chain(base, rays)) for rays in (1, 2, 4, 8)]


def _threads(base: Item, threads: int) -> list[Point]:
    jobs = {"projection": projection(base, 2), "full chain": full_chain(base, 1), "FDK": axial(base)}
    counts = sorted({min(2**k, threads) for k in range(threads.bit_length() + 1)})
    return [(what, n, n, job) for n in counts for what, job in jobs.items()]


CURVES: dict[str, Callable[[Item, int], list[Point]]] = {
    "voxels": _voxels,
    "views": _views,
    "rows": _rows,
    "materials": _materials,
    "rays": _rays,
    "threads": _threads,
}


if __name__ == "__main__":
    serve({"growth": growth})
