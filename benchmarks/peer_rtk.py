"""itk-rtk on the CPU: Joseph forward projection, and FDK. Runs in the peers' Python.

RTK's axes are x, y (rotation axis), z; its source stands at (SID sin a, 0, SID cos a). With its z as our y and its y as
our z, our view angle beta is 90 degrees - a, and columns run the other way.
"""

from __future__ import annotations

import sys
from importlib.metadata import version

import itk
import numpy as np
from itk import RTK

from . import body
from .serving import Job, peak_mb, serve

Image = itk.Image[itk.F, 3]
VERSIONS = {"itk-rtk": version("itk-rtk")}


def geometry(angles: np.ndarray, cylindrical: bool) -> object:
    g = RTK.ThreeDCircularProjectionGeometry.New()
    for beta in angles:
        g.AddProjection(body.SID_MM, body.SDD_MM, float(90 - np.degrees(beta)))
    if cylindrical:
        g.SetRadiusCylindricalDetector(body.SDD_MM)
    return g


def stack(data: np.ndarray, column_mm: float) -> object:
    """Projections ``(view, row, column)`` as an image; a copy, as RTK's filters work in place."""
    image = itk.image_from_array(data)
    image.SetSpacing([column_mm, body.ROW_MM, 1.0])
    image.SetOrigin([-(data.shape[2] - 1) / 2 * column_mm, -(data.shape[1] - 1) / 2 * body.ROW_MM, 0])
    return image


def volume(data: np.ndarray, voxel_mm: float, first_z_mm: float) -> object:
    """Values ``(y, z, x)`` as an image."""
    image = itk.image_from_array(data)
    ny, _, nx = data.shape
    image.SetSpacing([voxel_mm] * 3)
    image.SetOrigin([-(nx - 1) / 2 * voxel_mm, first_z_mm, -(ny - 1) / 2 * voxel_mm])
    return image


def project(item: str, tiny: bool, threads: int) -> Job:
    scene = body.item_of(item, tiny)
    itk.MultiThreaderBase.SetGlobalMaximumNumberOfThreads(threads)
    values = np.ascontiguousarray(body.voxels(scene).transpose(1, 0, 2))
    zero = np.zeros((scene.views, scene.rows, body.COLUMNS), np.float32)
    where = geometry(scene.angles, cylindrical=True)
    column_mm = body.COLUMN_RAD * body.SDD_MM
    got = {}

    def run() -> None:
        walk = RTK.JosephForwardProjectionImageFilter[Image, Image].New()
        walk.SetGeometry(where)
        walk.SetInput(0, stack(zero, column_mm))
        walk.SetInput(1, volume(values, scene.voxel_mm, scene.axis_mm(scene.n_z)[0]))
        walk.Update()
        got["paths"] = itk.array_from_image(walk.GetOutput())

    def finish() -> dict[str, float]:
        some = slice(None, None, max(1, scene.views // 12))
        truth = body.exact(scene, scene.angles[some])
        return body.projection_error(got["paths"][some, :, ::-1], truth)

    return Job(scene.readings, run, finish, VERSIONS)


def fdk(item: str, tiny: bool, threads: int) -> Job:
    """FDK of the lit slices, from exact data of a flat detector (RTK's FDK knows no curved one)."""
    scene = body.item_of(item, tiny)
    itk.MultiThreaderBase.SetGlobalMaximumNumberOfThreads(threads)
    lit = scene.lit_slices()
    data = np.ascontiguousarray(body.exact(scene, scene.angles, flat=True)[:, :, ::-1])
    where = geometry(scene.angles, cylindrical=False)
    got = {}

    def reconstruct(slices: np.ndarray) -> np.ndarray:
        empty = np.zeros((scene.n, len(slices), scene.n), np.float32)
        chain = RTK.FDKConeBeamReconstructionFilter[Image].New()
        chain.SetGeometry(where)
        chain.SetInput(0, volume(empty, scene.voxel_mm, scene.axis_mm(scene.n_z)[slices[0]]))
        chain.SetInput(1, stack(data, body.flat_column_mm()))
        chain.Update()
        return itk.array_from_image(chain.GetOutput())

    def run() -> None:
        got["image"] = reconstruct(lit)

    def finish() -> dict[str, float]:
        from .serving import timed

        peak = peak_mb()
        whole = timed(lambda: reconstruct(np.arange(scene.n_z)))
        return {
            **body.image_error(got["image"][:, len(lit) // 2], scene),
            "whole_grid_updates_per_s": scene.n**2 * scene.n_z * scene.views / whole["wall_s"],
            "peak_mb": peak,
        }

    return Job(scene.n**2 * len(lit) * scene.views, run, finish, VERSIONS)


if __name__ == "__main__":
    sys.exit(serve({"project": project, "fdk": fdk}))
