"""Cards: what must be said about a risk model, as Markdown."""

from __future__ import annotations

from .equation import equation as equation
from .model_card import model_card as model_card
