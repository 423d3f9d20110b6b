"""The CPU backend: the Numba projector, on all threads that Numba has."""

from __future__ import annotations

from ..kernels.project import project as walk


class Cpu:
    """Projects with :func:`ctsim.kernels.project.project`."""

    name = "cpu"
    project = staticmethod(walk)
