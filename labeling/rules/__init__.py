"""Rule systems of radiology as derived columns: what a report would say, never a label.

The categories depend on size, type and change by definition; a detector trained on them would learn the ruler.
"""

from __future__ import annotations

from .acr import lung_rads as lung_rads
from .bts import bts_2015 as bts_2015
from .fleischner import fleischner_2017 as fleischner_2017
from .ruling import Ruling as Ruling

__all__ = ["Ruling", "bts_2015", "fleischner_2017", "lung_rads"]
