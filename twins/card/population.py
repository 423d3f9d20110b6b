"""Cards of many twins together: how many are inside each band, and whether their spread is that of people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .items import Card

NEEDED = 0.95
"""Share of twins that must be inside each counted band: two standard deviations hold 95 % of people [1]."""


@dataclass(frozen=True, slots=True)
class PopulationRow:
    """One item over a population.

    Parameters
    ----------
    group, name, unit, basis
        As in the cards.
    n
        Cards that have the item.
    mean, sd, lowest, highest
        Of the values.
    inside
        Share inside the band [1]; None without a band.
    counted
        Whether the band counts.
    spread
        Standard deviation over a quarter of the band's width: 1 where people vary as published; None without a band
        or where the band's limits differ much between persons.
    """

    group: str
    name: str
    unit: str
    basis: str
    n: int
    mean: float
    sd: float
    lowest: float
    highest: float
    inside: float | None
    counted: bool
    spread: float | None

    @property
    def passed(self) -> bool:
        """Whether enough twins are inside; true where nothing is counted."""
        # the smallest share that a population of which 95 % are inside may show by chance: two standard errors
        slack = 2 * (NEEDED * (1 - NEEDED) / self.n) ** 0.5
        return not self.counted or self.inside is None or self.inside >= NEEDED - slack


def tally(cards: Sequence[Card]) -> list[PopulationRow]:
    """Rows over all cards, in the order of the card.

    Raises
    ------
    ValueError
        If there are no cards.
    """
    if not cards:
        raise ValueError("a population needs one card or more")
    longest = max(cards, key=lambda one: len(one.items))
    names = list(dict.fromkeys([item.name for item in longest.items] + [i.name for c in cards for i in c.items]))
    rows = []
    for name in names:
        items = [item for one in cards for item in one.items if item.name == name]
        values = np.array([item.value for item in items])
        judged = [item.inside for item in items if item.inside is not None]
        widths = [item.high - item.low for item in items if item.low is not None and item.high is not None]
        first = items[0]
        rows.append(
            PopulationRow(
                first.group,
                name,
                first.unit,
                first.basis,
                len(items),
                float(values.mean()),
                float(values.std(ddof=1)) if len(values) > 1 else 0.0,
                float(values.min()),
                float(values.max()),
                float(np.mean(judged)) if judged else None,
                any(item.counted for item in items),
                float(values.std(ddof=1) / (np.mean(widths) / 4)) if len(values) > 2 and widths else None,
            )
        )
    return rows


def population_text(rows: Sequence[PopulationRow]) -> str:
    """The rows as a table in plain text; ``!`` marks counted items that too few twins pass, ``?`` unverified ones."""
    lines = [f"  {'item':28} {'mean':>9} {'sd':>8} {'lowest':>9} {'highest':>9} {'inside':>7} {'spread':>7}  basis"]
    group = ""
    for row in rows:
        if row.group != group:
            group = row.group
            lines.append(group)
        inside = "" if row.inside is None else f"{100 * row.inside:5.1f} %"
        spread = "" if row.spread is None else f"{row.spread:.2f}"
        short = row.inside is not None and row.inside < NEEDED
        mark = "!" if not row.passed else ("?" if short and not row.counted else " ")
        lines.append(
            f"{mark} {row.name:28} {row.mean:9.3f} {row.sd:8.3f} {row.lowest:9.3f} {row.highest:9.3f} {inside:>7} "
            f"{spread:>7}  {row.basis}"
        )
    failed = [row.name for row in rows if not row.passed]
    counted = sum(row.counted for row in rows)
    lines.append(f"{counted - len(failed)} of {counted} counted items have 95 % of the twins inside their bands")
    return "\n".join(lines)
