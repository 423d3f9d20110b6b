"""The realism card: what a twin measures against what is published of real persons, one by one and as a population."""

from __future__ import annotations

from .card import calibration, card, spec_of
from .items import Band, Card, Item, Target, bands
from .population import PopulationRow, population_text, tally

__all__ = [
    "Band",
    "Card",
    "Item",
    "PopulationRow",
    "Target",
    "bands",
    "calibration",
    "card",
    "population_text",
    "spec_of",
    "tally",
]
