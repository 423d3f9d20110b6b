"""lungtwin's side of projection and full chain."""

from __future__ import annotations

import math
from dataclasses import replace
from importlib.metadata import version
from itertools import product
from typing import Any

import numba
import numpy as np

from ctsim import Sampling, scan
from ctsim.attenuation import ENERGY_KEV
from ctsim.basis import basis_curves, coefficients
from ctsim.illumination import Illumination, add_moments, illuminate
from ctsim.projection import project as project_views
from ctsim.rays import RayPoints, ray_points
from ctsim.signal import Beam, signal_table
from ctsim.trajectory import plan_geometry
from ctsim.voxels import pack, room_air_g_cm3
from twins import material

from . import body, scenes
from .body import Item
from .serving import Job, serve, timed

VERSIONS = {name: version(name) for name in ("lungtwin", "numba", "numpy", "scipy")}


def project(item: str, tiny: bool, threads: int) -> Job:
    """Both basis densities of all views, against integrals averaged over the cells."""
    numba.set_num_threads(threads)
    return projection(body.item_of(item, tiny), channels=2)


def projection(scene: Item, channels: int) -> Job:
    volume, where = scenes.packed(scene, channels), scenes.geometry(scene)
    out = np.empty((channels, *where.shape), np.float32)

    def finish() -> dict[str, Any]:
        some = slice(None, None, max(1, scene.views // 12))
        got = 10 * out[0, some]  # g/cm2 of density 1 in mm
        return body.projection_error(got, body.exact(scene, scene.angles[some], sub=5))

    return Job(scene.readings, lambda: project_views(volume, (), where, 0, out), finish, VERSIONS)


def chain(item: str, tiny: bool, threads: int, rays: int) -> Job:
    numba.set_num_threads(threads)
    return full_chain(body.item_of(item, tiny), rays)


def full_chain(scene: Item, rays: int, *, iodine: bool = False) -> Job:
    """A twin's scan to the corrected sinogram: scatter, noise, crosstalk, afterglow and corrections as shipped."""
    twin = scenes.twin(scene, iodine=iodine)
    scanner, protocol = scenes.scanner(scene, views=scene.views), scenes.protocol(scene)
    sampling = Sampling(rays_per_reading=rays)

    def finish() -> dict[str, Any]:
        few = 8
        short = scenes.scanner(scene, views=few)
        brief = [timed(lambda: scan(twin, short, protocol, key=1, sampling=sampling))["wall_s"] for _ in range(3)]
        return {"start_up_views": few, "start_up_s": min(brief)}

    return Job(
        scene.readings, lambda: scan(twin, scanner, protocol, key=1, sampling=sampling), finish, versions=VERSIONS
    )


def error(tiny: bool, threads: int, samplings: list[list[int]], first_view: int, rays: int) -> Job:
    """Transmissions of 70 keV as (rays, row parts, column parts) make them, against exact ones."""
    numba.set_num_threads(threads)
    scene = body.item_of("error", tiny, rows=body.ITEMS["error"].rows, views=body.ITEMS["error"].views)
    twin, protocol = scenes.twin(scene), scenes.protocol(scene)
    scanner = scenes.scanner(scene, views=body.VIEWS_OF_A_SCANNER)
    volume = pack(twin)
    bare = np.zeros((2, scene.rows, body.COLUMNS)), np.ones((scene.rows, body.COLUMNS))
    table = signal_table(Beam(_one_energy(), *bare), 2)
    got: dict[str, Any] = {}
    lights: dict[str, Any] = {}

    def run() -> None:
        for n, row_parts, column_parts in samplings:
            parts = "" if row_parts * column_parts == 1 else f", {row_parts} x {column_parts} parts"
            name = f"{n} ray{'s' if n > 1 else ''}{parts}"
            sampling = Sampling(rays_per_reading=n, row_parts=row_parts, column_parts=column_parts, scatter=False)
            where = plan_geometry(twin, scanner, protocol, sampling)
            light = replace(illuminate(twin, scanner, protocol, sampling, where, volume.n_channels), table=table)
            first, second = np.zeros((2, scene.views, *where.shape[1:]), np.float32)
            add_moments(light, volume, (), slice(first_view, first_view + scene.views), first, second)
            got[name] = first / table.air_kev()
            lights[name] = light, ray_points(scanner, protocol, sampling)

    def finish() -> dict[str, Any]:
        density = np.array([_above_air(name) for name in ("water", "cortical_bone")])
        mu = [float(row @ basis_curves()[:2, _one_energy() > 0].ravel()) / 10 for row in density]
        truth = body.transmissions(scene, mu, first_view, body.beamlets(rays, scenes.SPOT_MM, scenes.ANODE_DEG))
        errors = {}
        for name, (light, points) in lights.items():
            alone = _of_exact_paths(scene, light, points, density, first_view)
            errors[name] = {
                "sampling": body.transmission_error(alone, truth),
                "in_all": body.transmission_error(got[name], truth),
            }
        return {"errors": errors}

    return Job(scene.readings, run, finish, VERSIONS)


def _of_exact_paths(
    scene: Item, light: Illumination, points: RayPoints, density: Any, first_view: int, sub: int = 5
) -> Any:
    """What the same rays, parts and slopes make of exact mean paths over the cells, in place of the voxels'."""
    angles = body.angles_of(scene, first_view)
    shape = (scene.views, scene.rows * light.parts[0], body.COLUMNS * light.parts[1])
    first, second = np.zeros((2, scene.views, scene.rows, body.COLUMNS), np.float32)
    inner = (np.arange(sub) + 0.5) / sub - 0.5
    middles = [(np.arange(n) + 0.5) / n - 0.5 for n in light.parts]
    for spot, when, weight in zip(points.spot_mm, points.instant, points.weight, strict=True):
        path = np.zeros((2, *shape))
        turn = float(when) * 2 * math.pi / body.VIEWS_OF_A_SCANNER
        for (i, up), (j, across) in product(enumerate(middles[0]), enumerate(middles[1])):
            for v, u in product(inner / light.parts[0], inner / light.parts[1]):
                ray = body.Beamlet(tuple(spot), turn, across + u, up + v)
                for rho, length in zip(density, body.lengths(scene, angles, ray), strict=True):
                    part = path[:, :, i :: light.parts[0], j :: light.parts[1]]
                    part += 0.1 * rho[:, None, None, None] * length / sub**2
        light.table.transmit(
            path.astype(np.float32), first, second, weight=float(weight), slope_share=light.slope_share
        )
    return first / light.table.air_kev()


def _one_energy() -> Any:
    """A photon in the bin next to 70 keV."""
    return (np.arange(len(ENERGY_KEV)) == np.abs(ENERGY_KEV - 70).argmin()).astype(np.float64)


def _above_air(name: str) -> Any:
    """Basis densities of a material above room air [g/cm3]."""
    substance = material(name)
    c = coefficients(substance)
    return np.array([c.basis_0, c.basis_1]) * substance.density_g_cm3 - room_air_g_cm3()[:2]


if __name__ == "__main__":
    serve({"project": project, "chain": chain, "error": error})
