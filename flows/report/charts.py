"""Diagrams of the page as SVG in its own colours: every one has a named axis with a unit, and says itself in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from itertools import pairwise

import numpy as np

WIDTH, LEFT, RIGHT, TOP = 380.0, 52.0, 8.0, 8.0
PLOT_HEIGHT = 150.0
ROW_HEIGHT = 27.0
NAMES_WIDTH = 122.0

OUTCOMES = {"malignant": 1, "benign": 0, "not drawn": 4, "no outcome drawn": 4}
"""Colours of groups that mean the same in every diagram; others are coloured in their order."""


def ticks(low: float, high: float, n: int = 5) -> list[float]:
    """About ``n`` round numbers from the one at or below ``low`` to the one at or above ``high``."""
    span = max(high - low, 1e-9)
    power = 10.0 ** math.floor(math.log10(span / n))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if span / (power * m) <= n)
    return [k * step for k in range(math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9) + 1)]


def edges(values: Sequence[float], n: int = 14) -> list[float]:
    """Round limits of about ``n`` equal classes that hold all values."""
    found = ticks(min(values), max(values), n)
    if len(found) < 2:
        found = [found[0], found[0] + 1.0]
    step = found[1] - found[0]
    return found if max(values) < found[-1] else [*found, found[-1] + step]


def histogram(groups: Mapping[str, Sequence[float]], x_label: str, y_label: str, limits: Sequence[float] = ()) -> str:
    """A histogram, groups stacked in their order; limits of the classes are chosen where none are given."""
    values = [value for group in groups.values() for value in group]
    if not values:
        return nothing()
    bins = list(limits) or edges(values)
    counts = {name: np.histogram(group, bins)[0] for name, group in groups.items()}
    most = max(sum(int(count[i]) for count in counts.values()) for i in range(len(bins) - 1))
    rungs = [t for t in ticks(0, max(most, 1), 4) if t == int(t)]
    across = _scale(bins[0], bins[-1], LEFT, WIDTH - RIGHT)
    up = _scale(0, rungs[-1], TOP + PLOT_HEIGHT, TOP)
    marks = [_rung(up(t), _spell(t)) for t in rungs]
    for i, (a, b) in enumerate(pairwise(bins)):
        base = 0.0
        for k, (name, count) in enumerate(counts.items()):
            if n := int(count[i]):
                said = f"{_spell(a)} to {_spell(b)}: {n}" + (f" {name}" if len(counts) > 1 else "")
                box = (across(a) + 0.7, up(base + n), across(b) - across(a) - 1.4, up(base) - up(base + n))
                marks.append(_box(box, OUTCOMES.get(name, k), said))
                base += n
    shown = ticks(bins[0], bins[-1], 7)
    for t in (t for t in shown if bins[0] - 1e-9 <= t <= bins[-1] + 1e-9):
        marks.append(_text(across(t), TOP + PLOT_HEIGHT + 15, _spell(t), "middle"))
    bottom = TOP + PLOT_HEIGHT
    marks.append(f'<line class="axis" x1="{LEFT:g}" x2="{WIDTH - RIGHT:g}" y1="{bottom:g}" y2="{bottom:g}"/>')
    marks.append(_text((LEFT + WIDTH - RIGHT) / 2, bottom + 33, x_label, "middle", "name"))
    marks.append(
        f'<text class="name" text-anchor="middle" transform="translate(11 {TOP + PLOT_HEIGHT / 2:g}) rotate(-90)">'
        f"{escape(y_label)}</text>"
    )
    said = f"Histogram of {x_label}, {len(values)} values from {_spell(min(values))} to {_spell(max(values))}"
    return _svg(bottom + 40, said, marks) + (_legend(list(groups)) if len(groups) > 1 else "")


def bars(rows: Sequence[tuple[str, Sequence[float], float | None]], x_label: str, groups: Sequence[str] = ()) -> str:
    """Horizontal bars ``(name, parts, expected)``: parts one after the other, a mark where it was expected."""
    most = max([1.0, *(max(sum(parts), expected or 0.0) for _, parts, expected in rows)])
    rungs = [t for t in ticks(0, most, 4) if t == int(t)]
    across = _scale(0, rungs[-1], NAMES_WIDTH, WIDTH - 34)
    bottom = TOP + ROW_HEIGHT * len(rows)
    marks = [
        f'<line class="rung" x1="{across(t):.1f}" x2="{across(t):.1f}" y1="{TOP:g}" y2="{bottom:g}"/>'
        + _text(across(t), bottom + 15, _spell(t), "middle")
        for t in rungs
    ]
    for i, (name, parts, expected) in enumerate(rows):
        y, base = TOP + i * ROW_HEIGHT, 0.0
        marks.append(_text(NAMES_WIDTH - 8, y + 17.5, name, "end"))
        for k, part in enumerate(parts):
            if part:
                said = f"{name}: {_spell(part)}" + (f" {groups[k]}" if groups else "")
                box = (across(base), y + 5, across(base + part) - across(base) - (0.8 if len(parts) > 1 else 0), 17)
                marks.append(_box(box, OUTCOMES.get(groups[k], k) if groups else 0, said))
                base += part
        marks.append(_text(max(across(base), across(expected or 0)) + 6, y + 17.5, _spell(sum(parts)), "start"))
        if expected is not None:
            marks.append(_pin(across(expected), y + 2, y + 25, f"{name}: {expected:.1f} expected"))
    marks.append(_text((NAMES_WIDTH + WIDTH - 34) / 2, bottom + 33, x_label, "middle", "name"))
    said = f"{x_label}: " + ", ".join(f"{name} {_spell(sum(parts))}" for name, parts, _ in rows)
    expected_too = any(expected is not None for *_, expected in rows)
    return _svg(bottom + 40, said, marks) + _legend(groups, expected=expected_too)


def ranges(rows: Sequence[tuple[str, Sequence[float]]], x_label: str) -> str:
    """One line per name from the smallest to the largest value, a box over the middle half, a bar at the median."""
    rows = [(name, values) for name, values in rows if values]
    if not rows:
        return nothing()
    rungs = ticks(0, max(max(values) for _, values in rows), 5)
    across = _scale(0, rungs[-1], NAMES_WIDTH, WIDTH - 44)
    bottom = TOP + ROW_HEIGHT * len(rows)
    marks = [
        f'<line class="rung" x1="{across(t):.1f}" x2="{across(t):.1f}" y1="{TOP:g}" y2="{bottom:g}"/>'
        + _text(across(t), bottom + 15, _spell(t), "middle")
        for t in rungs
    ]
    for i, (name, values) in enumerate(rows):
        low, first, middle, third, high = np.percentile(values, (0, 25, 50, 75, 100))
        y = TOP + i * ROW_HEIGHT + 13.5
        said = f"{name}: median {middle:.3g}, from {low:.3g} to {high:.3g}, {len(values)} images"
        marks.append(_text(NAMES_WIDTH - 8, y + 4, name, "end"))
        marks.append(f'<line class="whisker" x1="{across(low):.1f}" x2="{across(high):.1f}" y1="{y:g}" y2="{y:g}"/>')
        marks.append(_box((across(first) - 1, y - 7, max(2.0, across(third) - across(first) + 2), 14), 0, said))
        marks.append(_pin(across(middle), y - 9, y + 9, said))
        marks.append(_text(across(high) + 8, y + 4, f"{middle:.3g}", "start"))
    marks.append(_text((NAMES_WIDTH + WIDTH - 44) / 2, bottom + 33, x_label, "middle", "name"))
    said = f"{x_label}: " + "; ".join(f"{name} median {np.median(values):.3g}" for name, values in rows)
    return _svg(bottom + 40, said, marks)


def band(achieved: float, target: float, low: float, high: float) -> str:
    """A small drawing: the range that chance allows around the target, and where the dataset is."""
    reach = 1.25 * max(abs(achieved - target), high - target, target - low, 1e-9)
    across = _scale(target - reach, target + reach, 4, 116)
    inside = low <= achieved <= high
    chance_width = max(1.0, across(high) - across(low))
    return (
        '<svg class="band" viewBox="0 0 120 16" aria-hidden="true">'
        f'<rect class="chance" x="{across(low):.1f}" y="4" width="{chance_width:.1f}" height="8" rx="4"/>'
        f'<line class="pin" x1="{across(target):.1f}" x2="{across(target):.1f}" y1="2" y2="14"/>'
        f'<circle class="{"dot" if inside else "dot far"}" cx="{across(achieved):.1f}" cy="8" r="4"/></svg>'
    )


def nothing() -> str:
    """What stands where there is nothing to draw."""
    return '<p class="note">Nothing to show.</p>'


def _scale(low: float, high: float, start: float, stop: float) -> Callable[[float], float]:
    return lambda value: start + (float(value) - low) / ((high - low) or 1.0) * (stop - start)


def _svg(height: float, said: str, marks: Sequence[str]) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH:g} {height:g}" role="img" aria-label="{escape(said)}">'
        + "".join(marks)
        + "</svg>"
    )


def _box(box: tuple[float, float, float, float], colour: int, said: str) -> str:
    x, y, width, height = box[0], box[1], max(0.0, box[2]), max(0.0, box[3])
    return (
        f'<rect class="c{colour}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}">'
        f"<title>{escape(said)}</title></rect>"
    )


def _pin(x: float, y0: float, y1: float, said: str) -> str:
    return f'<line class="pin" x1="{x:.1f}" x2="{x:.1f}" y1="{y0:g}" y2="{y1:g}"><title>{escape(said)}</title></line>'


def _rung(y: float, text: str) -> str:
    line = f'<line class="rung" x1="{LEFT:g}" x2="{WIDTH - RIGHT:g}" y1="{y:.1f}" y2="{y:.1f}"/>'
    return line + _text(LEFT - 6, y + 4, text, "end")


def _text(x: float, y: float, text: str, anchor: str, kind: str = "tick") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _legend(names: Sequence[str], *, expected: bool = False) -> str:
    items = [
        f'<li><span class="key c{OUTCOMES.get(name, k)}"></span>{escape(name)}</li>' for k, name in enumerate(names)
    ]
    if expected:
        items.append('<li><span class="key pin"></span>expected</li>')
    return f'<ul class="legend">{"".join(items)}</ul>' if items else ""


def _spell(value: float) -> str:
    return f"{value:g}" if abs(value) < 1e5 else f"{value:,.0f}"
