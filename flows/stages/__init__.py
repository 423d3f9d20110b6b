"""The stages of a case, plain functions each: twin, nodules, images, labels. What they make is kept by the store."""

from __future__ import annotations

from .case import CaseRecord, build_case
from .imaging import ImageRecord
from .site import Site

__all__ = ["CaseRecord", "ImageRecord", "Site", "build_case"]
