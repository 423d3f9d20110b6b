"""The GPU backend against the CPU: scans small enough for the Numba kernels, and sums over energies."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import gpu_scene as scene
import numpy as np
from gpu_table import Table

from ctsim import projection
from ctsim.backends import ReadingSteps
from ctsim.backends.gpu.detection import correct, read_out
from ctsim.backends.gpu.device import Device
from ctsim.backends.gpu.exposing import expose
from ctsim.backends.gpu.projection import project, send_body
from ctsim.backends.gpu.reconstruction import back_project
from ctsim.kernels.afterglow import glow
from ctsim.kernels.correct import evaluate, take_log
from ctsim.kernels.crosstalk import mix
from ctsim.kernels.noise import add_electronic, count
from ctsim.kernels.readings import convert, moments
from ctsim.recon.chain import geometric_chain
from ctsim.recon.fdk import fdk
from ctsim.recon.wfbp import wfbp

KEY = (np.uint32(0x89ABCDEF), np.uint32(0x01234567))
BLOCK_BYTES = 2**23
"""Small, so that there are several blocks."""

FLOOR_KEV = 30.0


class Parity:
    """Checks of values, each followed by one of determinism.

    Parameters
    ----------
    device
        Where the GPU's side runs.
    table
        Where the rows go.
    n
        Size of the scans: 1 tiny, 3 what a CPU does in seconds.
    """

    def __init__(self, device: Device, table: Table, n: int) -> None:
        self.device, self.table = device, table
        self.small = scene.Size(32 * n, 9 * n, 24.0, 400 / (32 * n), 8 * n, 46 * n, 48 * n, 3.0)

    def all(self) -> None:
        """Every part."""
        for part in (self.projection, self.readings, self.reconstruction):
            self.table.part(f"parity, {part.__name__}", part)

    def projection(self) -> None:
        """Area densities against the Numba projector, moments against sums over energies."""
        projection.DRIFT_VOXELS = 0.0  # every plane at its own height, as on the device
        g = scene.scanner(self.small, 20.0, ((0.0, 0.0, -0.3), (0.0, 0.0, 0.3)))
        volume = scene.thorax(self.small)
        rng = np.random.default_rng(1)
        lesion = scene.Grid((16, 16, 16), (1.0, 1.0, 1.0), (40.0, -20.0, -8.0))
        inset = scene.SimpleNamespace(grid=lesion, delta=rng.uniform(-1, 1, (3, 16, 16, 16)).astype(np.float32))
        volume.iodine = np.where(volume.words > 0, 6553, 0).astype(np.uint16)
        volume.n_channels = 3
        views = slice(7, 7 + min(24, g.shape[0] - 7))
        expected = np.empty((3, views.stop - views.start, *g.shape[1:]), np.float32)
        projection.project(volume, [inset], g, views.start, expected)
        body = send_body(self.device, volume, [inset])  # type: ignore[arg-type]
        out = self.device.empty(expected.shape)
        project(self.device, body, g, views, out)
        got = out.get()
        for channel, name in enumerate(("basis 0", "basis 1", "iodine")):
            error = np.abs(got[channel] - expected[channel]).max() / expected[channel].max()
            self.table.add(f"projection, {name}: largest difference to Numba / largest", error, good=error < 3e-5)
        project(self.device, body, g, views, out)
        self.table.add("projection: same bytes twice", "", good=out.get().tobytes() == got.tobytes())
        volume.iodine, volume.n_channels = None, 2
        light = scene.light_of(g)
        body = send_body(self.device, volume, [])  # type: ignore[arg-type]
        signal, energy = self.exposed(light, body)
        projection.project(volume, [], g, views.start, expected[:2])
        first, mean = light.moments(expected[:2].astype(np.float64) + light.table.beam.path_g_cm2[:, None])
        error = float(np.abs(signal[views] / first - 1).max())
        self.table.add("moments: largest relative difference to sums over energies", error, good=error < 1e-3)
        error = float(np.abs(energy[views] * scene.ENERGY_STEP_KEV - mean).max())
        self.table.add("mean energies: largest difference to sums over energies", error, "keV", good=error < 0.05)
        again = self.exposed(light, body)
        same = signal.tobytes() == again[0].tobytes() and energy.tobytes() == again[1].tobytes()
        self.table.add("moments: same bytes twice", "", good=same)

    def exposed(self, light: scene.Light, body: Any) -> tuple[np.ndarray, np.ndarray]:
        """M1 and M2 / M1 of all views, on the host."""
        signal = np.empty(light.geometry.shape, np.float32)
        energy = np.empty(light.geometry.shape, np.uint16)
        expose(self.device, light, body, signal, energy, energy_step_kev=scene.ENERGY_STEP_KEV, block_bytes=BLOCK_BYTES)  # type: ignore[arg-type]
        return signal, energy

    def readings(self) -> None:
        """Counting, detector and correction against the Numba kernels."""
        shape = (40, *scene.scanner(self.small, 20.0).shape[1:])
        rng = np.random.default_rng(2)
        primary = np.exp(rng.uniform(np.log(30.0), np.log(3e5), shape)).astype(np.float32)
        units = np.full(shape, 65 * 256, np.uint16)
        mas = np.linspace(40.0, 90.0, shape[0])
        steps = ReadingSteps(
            (0.02, 0.01), (0.03, 0.02), np.array([0.02, 0.003]), np.array([4.0, 90.0]),
            rng.normal(1.0, 0.01, shape[1:]).astype(np.float32), scene.NOISE_KEV, 1e7, 5.0,
        )  # fmt: skip
        expected, square = np.empty(shape, np.float32), np.empty(shape, np.float32)
        none = np.zeros((shape[0], 1, 1), np.float32)
        moments(primary, units, scene.ENERGY_STEP_KEV, False, none, none + 1, mas, expected, square)
        for values in (expected, square):
            mix(values, *steps.xray_shares)
        before = expected[0].copy()
        count(expected, square, 0, *KEY)
        glow(expected, before, steps.afterglow_fraction, steps.afterglow_views, 1.0)
        mix(expected, *steps.optical_shares)
        expected *= steps.gain
        add_electronic(expected, steps.noise_kev, 0, 0, *KEY)
        convert(expected, steps.limit_kev, steps.step_kev)
        read = partial(
            read_out, self.device, primary, units, scene.ENERGY_STEP_KEV, None, mas, steps, KEY,
            block_bytes=BLOCK_BYTES // 4,
        )  # fmt: skip
        got, again = np.empty(shape, np.float32), np.empty(shape, np.float32)
        read(got)
        read(again)
        apart = float((np.abs(got - expected) > 1e-5 * np.abs(expected) + 1.01 * steps.step_kev).mean())
        self.table.add("readings: share that differ from Numba's by more than a step", apart, good=apart <= 3e-4)
        self.table.add("readings: same bytes twice", "", good=got.tobytes() == again.tobytes())
        light = scene.light_of(scene.scanner(self.small, 20.0))
        water, air = scene.water_correction(light), np.full(shape[1:], 3e5)
        take_log(expected, air, mas, FLOOR_KEV)
        evaluate(expected, water.coefficient, water.longest)
        correct(self.device, again, got, None, None, water, air, mas, FLOOR_KEV, block_bytes=BLOCK_BYTES // 4)
        apart = float((np.abs(got - expected) > 1e-5 + 1e-5 * np.abs(expected)).mean())
        self.table.add("line integrals: share that differ from Numba's by more than 1e-5", apart, good=apart <= 3e-4)

    def reconstruction(self) -> None:
        """Whole images against the CPU's: at rest, helical, with flying spots, cut off by the fan."""
        z, y, x = scene.image_axes(self.small)
        spots = {"": ((0.0, 0.0, 0.0),), ", spot flying along z": ((0.0, -2.0, -0.5), (0.0, 2.0, 0.5))}
        for feed_mm in (0.0, 24.0):
            for name, spot in spots.items():
                g = scene.scanner(self.small, feed_mm, spot)
                if feed_mm == 0:
                    g = scene.scanner(replace(self.small, rotations=1.0), 0.0, spot)
                line = 0.02 * water_cylinder_mm(g, 270.0)
                chain = geometric_chain(g)
                kernel = scene.gaussian(0.4 * chain.limit_per_mm)
                arguments = (line, g, kernel, chain, (z, y, x), 2.5, 180.0, 0.02)
                method = wfbp if feed_mm else fdk
                cpu, cpu_seen = method(*arguments)  # type: ignore[arg-type]
                run = partial(back_project, self.device)
                gpu, seen = method(*arguments, None, run)  # type: ignore[arg-type]
                error = float(np.sqrt(np.mean((gpu - cpu)[seen == cpu_seen] ** 2)) * 1000 / 0.02)
                what = f"image, {method.__name__}{name}, body wider than the fan: RMS difference to the CPU's"
                self.table.add(what, error, "HU", good=error < 0.5)
                again = method(*arguments, None, run)  # type: ignore[arg-type]
                same = gpu.tobytes() == again[0].tobytes() and seen.tobytes() == again[1].tobytes()
                self.table.add(f"image, {method.__name__}{name}: same bytes twice", "", good=same)


def water_cylinder_mm(g: Any, radius_mm: float) -> np.ndarray:
    """Exact paths through an endless cylinder 20 mm beside the axis, float32 ``(view, row, column)`` [mm]."""
    source = g.source_mm()[:, None, :2] - np.array([20.0, 0.0])
    angle = g.view_angle_rad[:, None] - g.fan_angle_rad()[np.arange(g.shape[0]) % len(g.deflection_mm)]
    along = np.stack([-np.cos(angle), -np.sin(angle)], axis=-1)
    near = (source * along).sum(axis=-1)
    flat = 2 * np.sqrt(np.maximum(near**2 - (source**2).sum(axis=-1) + radius_mm**2, 0))
    height = g.cell_height_mm()[np.arange(g.shape[0]) % len(g.deflection_mm)]
    return (flat[:, None, :] * np.hypot(1, height / g.detector_distance_mm)[:, :, None]).astype(np.float32)
