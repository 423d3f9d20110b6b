"""Painting the skeleton."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..canvas import Canvas
from ..shapes import paint
from .girdle import clavicles, scapula
from .ribs import calcified_spots, cartilages, ribs, sternum
from .spine import osteophytes, spine

if TYPE_CHECKING:
    from ..lungs import Chest
    from ..spec import TwinSpec


def paint_skeleton(canvas: Canvas, spec: TwinSpec, chest: Chest) -> None:
    """Paint all bones and cartilages."""
    cage = chest.cage
    bones, ends = ribs(cage)
    bars = cartilages(cage, ends)
    size = (1.0 if cage.is_male else 0.88) * cage.stature
    paint(
        canvas,
        [
            *osteophytes(spec, cage),
            *spine(cage),
            *bars,
            *calcified_spots(spec, bars),
            *sternum(cage),
            *clavicles(cage),
            *(body for side in (-1.0, 1.0) for body in scapula(cage, side, size)),
            *bones,
        ],
    )
