"""Readers: what several radiologists would mark, outline and rate, beside the exact truth.

Contours follow LIDC-IDRI: they run through the centres of the first pixels *outside* the nodule, so a reading's pixels
are those strictly inside (:func:`lesions.descriptors.outer_contour`). Errors of single readers are those of LIDC-IDRI
(:mod:`lesions.readers.outlines`, :mod:`lesions.readers.opinions`).
"""

from __future__ import annotations

from .opinions import detection_probability, rate
from .outlines import ReaderModel
from .reading import Reading, Readings, read

__all__ = ["ReaderModel", "Reading", "Readings", "detection_probability", "rate", "read"]
