"""Finished datasets in the formats of other tools: one module per format, one function to call."""

from __future__ import annotations

from .export import FORMATS, export_dataset
from .job import ExportOptions
from .splits import SplitSpec

__all__ = ["FORMATS", "ExportOptions", "SplitSpec", "export_dataset"]
