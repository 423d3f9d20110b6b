"""The same key gives the same bytes, whatever the number of threads."""

from __future__ import annotations

import hashlib

import numba

from twins.phantoms import water

from ...exposure import expose
from ...recon.reconstruction import reconstruct
from ...scanning import detect
from .bench import Bench, square
from .rows import Part, at_most


def same_bytes(bench: Bench) -> Part:
    """A noisy scan from exposure to image with 1, 2 and 4 threads, as many as there are."""
    protocol = bench.protocol()
    sampling = bench.merged(protocol.collimation_rows, to=2, rays_per_reading=2, scatter=True)
    before = numba.get_num_threads()
    counts = [n for n in (1, 2, 4) if n <= numba.config.NUMBA_NUM_THREADS]  # type: ignore[attr-defined]
    digests = set()
    try:
        for n in (*counts, counts[0]):
            numba.set_num_threads(n)
            exposure = expose(water(200.0, 40.0, spacing_mm=4.0), bench.scanner, protocol, sampling=sampling)
            sinogram = detect(exposure, protocol, key=7)
            grid = square(0.5 * bench.radius_mm, 4.0)
            thickness = 2 * bench.row_mm(sampling)
            image = reconstruct(sinogram, kernel=bench.softest, grid=grid, slice_thickness_mm=thickness)
            digests.add(hashlib.sha256(sinogram.line_integral.tobytes() + image.hu.tobytes()).hexdigest())
    finally:
        numba.set_num_threads(before)
    threads = ", ".join(str(n) for n in counts)
    return Part((at_most("Different images of one key", f"{threads} threads and again", len(digests) - 1, 0, "",
                         "digests of line integrals and image"),))  # fmt: skip
