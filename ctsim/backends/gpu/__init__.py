"""A CUDA device, through CuPy: what of the chain runs on it, and nothing else of the package imports CuPy."""

from __future__ import annotations

from .projection import Gpu

__all__ = ["Gpu"]
