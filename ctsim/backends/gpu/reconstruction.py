"""Weighted filtered back projection on a CUDA device: stands in for :func:`ctsim.recon.backprojection.back_project`.

Every voxel is worked out by itself (``kernels/backproject.cu``), where the CPU interpolates between nodes. Slices are
worked in slabs and directions in blocks, so that what is on the device at a time fits the memory that it may take:
the readings that see a slab are sent once per slab, while the first projections are resampled already, and images come
back in bands of lines while the next is worked on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...geometry import Geometry
from ...recon.backprojection import Turns
from ...recon.chain import Chain
from ...recon.filtering import _padded, parallel_filter
from ...recon.parallel import Fan, fans, places_mm
from ...recon.truncation import beyond_mm
from .back_projection import DEPTH, BackProjector, reach_mm
from .device import Device
from .resampling import BATCH_BYTES, Jobs, Resampler, Upload, plan_jobs

if TYPE_CHECKING:
    from ...recon.kernels import Kernel

BAND_BYTES = 32 * 2**20
"""Image that comes back at a time (design default)."""

_FFT_COPIES = 6
"""Times the rows of a batch that they, their spectra, results and the transform's own memory take at most."""

_BYTES_PER_VOXEL = 6


def back_project(
    device: Device,
    line_integral: NDArray[np.float32],
    geometry: Geometry,
    kernel: Kernel,
    chain: Chain,
    turns: Turns,
    axes_mm: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    box_mm: float,
    radius_mm: float,
    water_per_mm: float | None = None,
    progress: Callable[[float], None] | None = None,
    *,
    memory_bytes: int | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
    """Attenuation ``(y, x, z)`` [1/mm], and the number of directions that each voxel was seen from.

    Parameters
    ----------
    device
        Where it is worked out.
    line_integral, geometry, kernel, chain, turns, axes_mm, box_mm, radius_mm, water_per_mm, progress
        As of :func:`ctsim.recon.backprojection.back_project`.
    memory_bytes
        What it may take on the device; None: what the device allows. The image is the same, to the byte [bytes].

    Raises
    ------
    ValueError
        If not even a few slices fit.
    """
    z, y, x = axes_mm
    beams = fans(geometry, chain.place_mm)
    p = places_mm(geometry, chain.place_mm)
    n_beyond = 0 if water_per_mm is None else math.ceil(beyond_mm(line_integral, water_per_mm) / chain.place_mm)
    n_directions = len(turns.view)
    # the step of the sum over directions is the filter's
    transfer = parallel_filter(kernel, chain, len(p) + 2 * n_beyond) * np.float32(math.pi / n_directions)
    length = _padded(len(p) + 2 * n_beyond)
    row_bytes = 4 * geometry.shape[1] * length
    limit = device.memory_bytes if memory_bytes is None else memory_bytes
    batch = max(1, min(BATCH_BYTES, limit // 64) // row_bytes)
    reach = reach_mm(turns, geometry, box_mm, radius_mm)
    plan = Plan(geometry, turns, beams, len(p), (len(y), len(x)), z, reach)
    slab, block = plan.parts(limit - _FFT_COPIES * batch * row_bytes)
    out = np.empty((len(y), len(x), len(z)), np.float32)
    seen = np.empty(out.shape, np.uint16)
    with device.stream():
        resample = Resampler(
            device, beams, transfer, length, chain.place_mm, n_beyond, water_per_mm or 0.0,
            len(geometry.deflection_mm), turns.period, geometry.shape[0], batch,
        )  # fmt: skip
        projector = BackProjector(device, geometry, turns, beams, p, (y, x), box_mm, radius_mm)
        for bottom in range(0, len(z), slab):
            slices = slice(bottom, min(bottom + slab, len(z)))
            image = device.cupy.zeros((len(y), len(x), slices.stop - bottom), np.float32)
            count = device.empty(image.shape, np.uint16)
            count.fill(n_directions)
            bands = _Bands(device, image, count, out[..., slices], seen[..., slices])
            readings = Upload(device, line_integral, *plan.jobs(slices, slice(0, n_directions))[0].views)
            for start in range(0, n_directions, block):
                some = slice(start, min(start + block, n_directions))
                jobs, index = plan.jobs(slices, some)
                sums = device.empty((len(beams), len(jobs.first), geometry.shape[1] + 2, len(p)))
                resample(readings, jobs, sums)
                projector.prepare(sums, index, some, z, slices)
                for lines in bands.all():
                    projector.add(lines, image, count)
                    if some.stop == n_directions:
                        bands.fetch(lines)
                if progress is not None:
                    progress((bottom + (slices.stop - bottom) * some.stop / n_directions) / len(z))
            bands.finish()
    return out, seen


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Which projections see which slices, and what they take.

    Parameters
    ----------
    geometry, turns, fans
        Of the scan.
    n_places
        Places of a projection.
    shape
        Voxels along y and x.
    z_mm
        World z of the slices [mm].
    reach_mm
        Of :func:`ctsim.backends.gpu.back_projection.reach_mm`.
    """

    geometry: Geometry
    turns: Turns
    fans: tuple[Fan, ...]
    n_places: int
    shape: tuple[int, int]
    z_mm: NDArray[np.float64]
    reach_mm: float

    def jobs(self, slices: slice, directions: slice) -> tuple[Jobs, NDArray[np.int64]]:
        """Projections of some directions that may reach some slices, and which of them is direction, turn ``(B, T)``.

        -1 where a turn has none.
        """
        turns, z = self.turns, self.z_mm[slices]
        view, source_z = turns.view[directions], turns.source_z_mm[directions]
        there = (view >= 0) & (source_z >= z[0] - self.reach_mm) & (source_z <= z[-1] + self.reach_mm)
        states, n_views = len(self.geometry.deflection_mm), self.geometry.shape[0]
        origin = np.broadcast_to(turns.origin, view.shape)[there]
        jobs = plan_jobs(view[there], origin, turns.period, states, n_views, self.fans)
        order = np.argsort(jobs.stop, kind="stable")
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        index = np.full(view.shape, -1)
        index[there] = place
        return jobs.take(order), index

    def parts(self, limit_bytes: int) -> tuple[int, int]:
        """Slices and directions to work together.

        Raises
        ------
        ValueError
            If the least of both takes more than ``limit_bytes``.
        """
        n_directions, n_z, (n_y, n_x) = len(self.turns.view), len(self.z_mm), self.shape
        _, n_rows, n_columns = self.geometry.shape
        slab = n_z
        while True:
            fixed, each = 0, 0
            for bottom in range(0, n_z, slab):
                jobs, index = self.jobs(slice(bottom, min(bottom + slab, n_z)), slice(0, n_directions))
                first, end = jobs.views
                fixed = max(fixed, 4 * (end - first) * n_rows * n_columns)
                each = max(each, int((index >= 0).sum(axis=1).max()))
            fixed += _BYTES_PER_VOXEL * n_y * n_x * slab
            each *= 4 * len(self.fans) * (n_rows + 2) * self.n_places
            together = min(n_directions, (limit_bytes - fixed) // max(each, 1))
            if together == n_directions or (together >= 1 and (2 * fixed <= limit_bytes or slab <= DEPTH)):
                return slab, together
            if slab <= DEPTH:
                raise ValueError(
                    f"memory_bytes leaves {limit_bytes / 2**20:.0f} MiB for readings, projections and image; "
                    f"{slab} slices take at least {(fixed + each) / 2**20:.0f} MiB"
                )
            slab = math.ceil(slab / (2 * DEPTH)) * DEPTH


class _Bands:
    """Lines of an image on their way from the device, in two page-locked buffers."""

    def __init__(
        self, device: Device, image: Any, count: Any, out: NDArray[np.float32], seen: NDArray[np.uint16]
    ) -> None:
        n_y, n_x, n_z = image.shape
        self._n_y = n_y
        self._lines = min(n_y, max(8, BAND_BYTES // (_BYTES_PER_VOXEL * n_x * n_z) // 8 * 8))
        self._device, self._image, self._count, self._out, self._seen = device, image, count, out, seen
        shape = (self._lines, n_x, n_z)
        self._buffers = [(device.pinned(shape), device.pinned(shape, np.uint16)) for _ in range(2)]
        self._copy = device.stream()
        self._waiting: list[tuple[slice, Any]] = []

    def all(self) -> list[slice]:
        """The bands."""
        return [slice(y, min(y + self._lines, self._n_y)) for y in range(0, self._n_y, self._lines)]

    def fetch(self, lines: slice) -> None:
        """Have a band copied once what is launched so far is done; take in the one before."""
        buffers = self._buffers[lines.start // self._lines % 2]
        self._copy.wait_event(self._device.cupy.cuda.get_current_stream().record())
        for source, buffer in zip((self._image, self._count), buffers, strict=True):
            source[lines].get(stream=self._copy, out=buffer[: lines.stop - lines.start], blocking=False)
        self._waiting.append((lines, self._copy.record()))
        if len(self._waiting) > 1:
            self._take()

    def finish(self) -> None:
        """Take in what is on its way."""
        while self._waiting:
            self._take()

    def _take(self) -> None:
        lines, copied = self._waiting.pop(0)
        copied.synchronize()
        image, count = self._buffers[lines.start // self._lines % 2]
        self._out[lines] = image[: lines.stop - lines.start]
        self._seen[lines] = count[: lines.stop - lines.start]
