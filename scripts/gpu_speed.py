"""Speed of the GPU backend: projection, detection, reconstruction, and a whole thorax."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import gpu_scene as scene
import numpy as np
from gpu_table import Table

from ctsim.backends import ReadingSteps
from ctsim.backends.gpu.back_projection import BackProjector, reach_mm
from ctsim.backends.gpu.detection import correct, read_out
from ctsim.backends.gpu.device import Device
from ctsim.backends.gpu.exposing import expose
from ctsim.backends.gpu.projection import project, send_body
from ctsim.backends.gpu.reconstruction import Plan, back_project
from ctsim.backends.gpu.resampling import BATCH_BYTES, Resampler, Upload
from ctsim.recon.chain import geometric_chain
from ctsim.recon.filtering import _padded, parallel_filter
from ctsim.recon.hounsfield import to_hu
from ctsim.recon.parallel import fans, places_mm
from ctsim.recon.slices import box_for
from ctsim.recon.wfbp import turns_of_helix, wfbp

KEY = (np.uint32(0x89ABCDEF), np.uint32(0x01234567))
BLOCK_BYTES = 2**29
FLOOR_KEV = 30.0
RADIUS_MM = 249.0
SYN_LUNGS_SCANS = 1044
"""Scans of the dataset of issue 4: 174 twins, six scans each."""


class Speed:
    """Figures of one device; "on the device" leaves transfers out.

    Parameters
    ----------
    device
        Which.
    table
        Where the rows go.
    is_tiny
        Sizes at which speed means nothing.
    """

    def __init__(self, device: Device, table: Table, is_tiny: bool) -> None:
        self.device, self.table, self.tiny = device, table, is_tiny
        self.size = scene.TINY if is_tiny else scene.THORAX
        self.repeats = 1 if is_tiny else 3

    def all(self) -> None:
        """Every part."""
        for part in (self.projection, self.thorax):
            self.table.part(f"speed, {part.__name__}", part)

    def seconds(self, run: Callable[[], object]) -> float:
        """Wall time of the best of the repeats, after one that compiles and plans."""
        times = []
        for _ in range(self.repeats + 1):
            self.wait()
            start = time.perf_counter()
            run()
            self.wait()
            times.append(time.perf_counter() - start)
        return min(times[1:])

    def wait(self) -> None:
        """Until the device has done all."""
        self.device.cupy.cuda.get_current_stream().synchronize()
        self.device.cupy.cuda.Device().synchronize()

    def projection(self) -> None:
        """The items of the peer bench, on the device."""
        items = {"v256": (256, 256, 64, 180), "v512": (512, 128, 64, 88)}
        if self.tiny:
            items = {"v16": (16, 16, 4, 6)}
        for name, (n, n_z, n_rows, n_views) in items.items():
            size = scene.Size(n, 1, n_z * 0.7 - 0.1, 0.7, n_rows, 900, n_views, 1.0)
            g = scene.scanner(size, 0.0)
            volume = scene.thorax(size, 0.0)
            body = send_body(self.device, volume, [])  # type: ignore[arg-type]
            out = self.device.empty((2, *g.shape))
            took = self.seconds(partial(project, self.device, body, g, slice(0, n_views), out))
            self.table.add(
                f"projection, two basis densities, {name}, on the device", n_readings(g) / took / 1e6, "M readings/s",
                aim="aim: 500",
            )  # fmt: skip

    def thorax(self) -> None:
        """The whole thorax, part by part and at once."""
        size, table = self.size, self.table
        g = scene.scanner(size, 38.4)
        volume, light = scene.thorax(size), scene.light_of(g)
        water, readings = scene.water_correction(light), n_readings(g)
        mas, air = np.full(g.shape[0], scene.MAS), light.moments(light.table.beam.path_g_cm2)[0]
        axes, chain = scene.image_axes(size), geometric_chain(g)
        kernel = scene.gaussian(0.3 * chain.limit_per_mm)
        thickness = max(1.0, 1.05 * scene.ROW_MM * 64 / size.rows)
        box = box_for(thickness, scene.ROW_MM * 64 / size.rows)
        steps = ReadingSteps(
            (0.02, 0.01), (0.03, 0.02), np.array([0.02, 0.003]), np.array([4.0, 90.0]),
            np.ones(g.shape[1:], np.float32), scene.NOISE_KEV, np.inf, 5.0,
        )  # fmt: skip
        shape = "x".join(str(n) for n in g.shape)
        print(f"thorax: {shape} readings, {volume.words.shape} voxels, image {size.matrix}^2 x {size.slices}")
        signal, energy = np.empty(g.shape, np.float32), np.empty(g.shape, np.uint16)
        line = np.empty(g.shape, np.float32)

        def project_all() -> None:
            body = send_body(self.device, volume, [])  # type: ignore[arg-type]
            expose(
                self.device, light, body, signal, energy,
                energy_step_kev=scene.ENERGY_STEP_KEV, block_bytes=BLOCK_BYTES,
            )  # type: ignore[arg-type]  # fmt: skip

        def detect() -> None:
            held = self.device.empty(g.shape)  # readings stay on the device
            read_out(
                self.device, signal, energy, scene.ENERGY_STEP_KEV, None, mas, steps, KEY, held, block_bytes=BLOCK_BYTES
            )
            correct(self.device, held, line, None, None, water, air, mas, FLOOR_KEV, block_bytes=BLOCK_BYTES)

        image: list[np.ndarray] = []

        def back() -> None:
            image[:] = wfbp(
                line, g, kernel, chain, axes, box, RADIUS_MM, water.mu_water_per_mm, None,  # type: ignore[arg-type]
                partial(back_project, self.device),
            )  # fmt: skip

        hu = np.empty((size.matrix, size.matrix, size.slices), np.int16)
        n_directions = g.views_per_rotation // 2

        def scale() -> None:
            mu, seen = image
            for j in range(len(mu)):
                share = np.maximum(seen[j], 1) / np.float32(n_directions)
                values = to_hu(mu[j] / share, water.mu_water_per_mm)
                hu[j] = np.where(share >= 0.95, values, -1024)

        body = send_body(self.device, volume, [])  # type: ignore[arg-type]
        some = slice(g.shape[0] // 2, g.shape[0] // 2 + min(192, g.shape[0] // 4))
        out = self.device.empty((2, some.stop - some.start, *g.shape[1:]))
        took = self.seconds(partial(project, self.device, body, g, some, out))
        table.add("thorax: projection, on the device", out[0].size / took / 1e6, "M readings/s", aim="aim: 500")
        del body, out
        once = self.repeats
        self.repeats = 1
        exposed = self.seconds(project_all)
        table.add("thorax: projection and moments, results on the host", readings / exposed / 1e6, "M readings/s")
        detected = self.seconds(detect)
        table.add("thorax: readout with noise, and correction, host to host", readings / detected / 1e6, "M readings/s")
        table.part(
            "thorax, parts of the reconstruction",
            lambda: self.parts_of_reconstruction(line, g, kernel, chain, axes, box, once),
        )
        marks = [time.perf_counter()]
        for step in (project_all, detect, back, scale):
            step()
            self.wait()
            marks.append(time.perf_counter())
        names = ("projection and moments", "readout and correction", "reconstruction", "Hounsfield scale (NumPy)")
        for name, took in zip(names, np.diff(marks), strict=True):
            table.add(f"thorax: of the whole, {name}", took, "s")
        whole = marks[-1] - marks[0]
        table.add("thorax: twin on the host to image in HU on the host", whole, "s", aim="aim: 5")
        z, y, x = axes
        heart = np.abs(z) < 30
        inside = ((x - 20) / 30) ** 2 + ((y[:, None] + 25) / 30) ** 2 < 1
        mean = float(hu[inside][:, heart].mean())
        table.add("thorax: mean of the heart, which is water", mean, "HU", good=self.tiny or abs(mean) < 5)
        self.repeats = once
        table.add(
            f"{SYN_LUNGS_SCANS} such scans of 174 twins on one card, one process, twins at hand",
            SYN_LUNGS_SCANS * whole / 3600, "h (estimate)", aim="aim: 3",
        )  # fmt: skip

    def parts_of_reconstruction(
        self, line: np.ndarray, g: Any, kernel: Any, chain: Any, axes: Any, box: float, repeats: int
    ) -> None:
        """Rebinning with filter, and back projection, on the device; then all of it, host to host."""
        device, (z, y, x) = self.device, axes
        beams, p, turns = fans(g, chain.place_mm), places_mm(g, chain.place_mm), turns_of_helix(g, chain)
        transfer = parallel_filter(kernel, chain, len(p))
        length = _padded(len(p))
        batch = max(1, BATCH_BYTES // (4 * g.shape[1] * length))
        plan = Plan(g, turns, beams, len(p), (len(y), len(x)), z, reach_mm(turns, g, box, RADIUS_MM))
        everything, directions = slice(0, len(z)), slice(0, len(turns.view))
        jobs, index = plan.jobs(everything, directions)
        resample = Resampler(device, beams, transfer, length, chain.place_mm, 0, 0.0, 1, 0, g.shape[0], batch)
        projector = BackProjector(device, g, turns, beams, p, (y, x), box, RADIUS_MM)
        readings = Upload(device, line, *jobs.views)
        readings.wait_for(jobs.views[1])
        sums = device.empty((len(beams), len(jobs.first), g.shape[1] + 2, len(p)))
        self.repeats = repeats
        took = self.seconds(partial(resample, readings, jobs, sums))
        self.table.add(
            "thorax: rebinning, filter, sums over rows, on the device", n_readings(g) / took / 1e6, "M readings/s"
        )
        projector.prepare(sums, index, directions, z, everything)
        image = device.cupy.zeros((len(y), len(x), len(z)), np.float32)
        seen = device.empty(image.shape, np.uint16)
        took = self.seconds(partial(projector.add, slice(0, len(y)), image, seen))
        updates = image.size * g.views_per_rotation * g.shape[1] * row_mm(g) / g.feed_per_rotation_mm
        self.table.add("thorax: back projection, on the device", updates / took / 1e9, "GUPS", aim="aim: 300")
        del sums, image, seen, readings
        self.repeats = 1
        took = self.seconds(
            lambda: back_project(device, line, g, kernel, chain, turns, axes, box, RADIUS_MM)  # type: ignore[arg-type]
        )
        self.table.add("thorax: reconstruction, host to host", updates / took / 1e9, "GUPS")


def n_readings(g: Any) -> int:
    """Readings of a scan."""
    return int(np.prod(g.shape))


def row_mm(g: Any) -> float:
    """Row pitch at the axis [mm]."""
    return float(g.row_pitch_mm * g.source_distance_mm / g.detector_distance_mm)
