"""The CUDA sources without a GPU: they compile, and their arithmetic is that of the Numba kernels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ctsim.kernels
from ctsim.kernels.project import project
from tests.ctsim.cuda_on_cpu import CudaOnCpu

KERNELS = Path(ctsim.kernels.__file__).parent
SOURCES = sorted(KERNELS.glob("*.cu"))


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
@pytest.mark.parametrize("architecture", ["compute_80", "compute_90"])
def test_a_cuda_source_compiles(source, architecture):
    nvrtc = pytest.importorskip("cupy.cuda.nvrtc", reason="CuPy is not installed (extra gpu12 or gpu13)")
    program = nvrtc.createProgram(source.read_text(), source.name, [], [])
    nvrtc.compileProgram(program, [f"--gpu-architecture={architecture}"])
    assert len(nvrtc.getPTX(program)) > 1000


@pytest.mark.parametrize("rows_apart_mm", [1.1, 4.0])
def test_the_cuda_projector_sums_what_the_numba_projector_sums(tmp_path, system_tool, rows_apart_mm):
    cuda = CudaOnCpu(KERNELS / "project.cu", tmp_path, system_tool("g++", "g++"))
    rng = np.random.default_rng(1)
    n_y, n_x, n_z = 21, 17, 13
    volume = rng.integers(0, 2**32, (n_y, n_x, n_z), dtype=np.uint32)
    spacing = np.array([1.5, 1.0, 1.0])
    n_views, n_rows, n_columns = 12, 5, 31
    beta = np.linspace(0, 2 * np.pi, n_views, endpoint=False) + 0.1
    beta[0] = 0.0  # rays along an axis
    distance, radius = 100.0, 55.0
    source = np.stack(
        [
            np.linspace(2, 10, n_views),
            (n_y - 1) / 2 + radius * np.sin(beta) / spacing[1],
            (n_x - 1) / 2 + radius * np.cos(beta) / spacing[2],
            np.cos(beta),
            np.sin(beta),
            np.arange(n_views) % 2,
        ],
        axis=1,
    )
    column = np.linspace(-0.25, 0.25, n_columns) + np.array([[-2e-3], [2e-3]])  # a spot with two places
    row = (rows_apart_mm * (np.arange(n_rows) - 2) + np.array([[-0.7], [0.7]])).astype(np.float32)
    away = distance + np.array([[-3.0], [3.0]]) * np.cos(column)
    cell = np.array([distance / 60, rows_apart_mm])
    expected = np.zeros((2, n_views, n_rows, n_columns), np.float32)
    project(volume.view(np.int32), spacing, source, column, row, cell, away, 0.0, 1e-5, expected)
    got = np.zeros_like(expected)
    cuda.launch(
        "project", n_views * n_rows * n_columns,
        volume, n_y, n_x, n_z, *spacing, source, column, row, *cell, away, 1e-5, got, n_views, n_rows, n_columns,
    )  # fmt: skip
    assert expected.max() > 5
    # float32 sums of up to 21 planes in another order
    np.testing.assert_allclose(got, expected, rtol=2e-5, atol=2e-5 * expected.max())
