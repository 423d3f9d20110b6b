"""Write the figures of the newest results into ``docs/performance.md``, between its markers, with their plots."""

from __future__ import annotations

import json
from pathlib import Path

from . import peers, tables
from .figures import Record
from .rows import ROWS
from .sides import ROOT

PAGE = ROOT / "docs" / "performance.md"
IMAGE = ROOT / "docs" / "images" / "performance_growth.png"
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"


def write(results: Path) -> int:
    """Rewrite page and plots from the newest line of every row's file; exit status 1 if there is none."""
    records = newest(results)
    if not records:
        print(f"no results in {results}: nothing to report")
        return 1
    plotted = "growth" in records and bool(records["growth"]["sides"])
    if plotted:
        from .plots import growth

        growth(records["growth"], IMAGE)
    PAGE.write_text(
        between_markers(PAGE.read_text(encoding="utf-8"), section(records, plotted=plotted)), encoding="utf-8"
    )
    print(f"wrote {PAGE.relative_to(ROOT)}")
    return 0


def newest(results: Path) -> dict[str, Record]:
    """The newest result of every row in which lungtwin did not fail; of the machine that was measured last."""
    found: dict[str, Record] = {}
    for row in ROWS:
        path = results / f"{row.name}.jsonl"
        if path.exists():
            lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            found[row.name] = next((line for line in reversed(lines) if _is_whole(line)), lines[-1])
    if not found:
        return {}
    machine = max(found.values(), key=lambda record: record["date"])["machine"]
    return {name: record for name, record in found.items() if record["machine"] == machine}


def _is_whole(record: Record) -> bool:
    """Whether no side of lungtwin failed."""
    names = [row for row in ROWS if row.name == record["row"]]
    return all(side.name in record["sides"] for row in names for side in row.sides if side.python == "own")


def between_markers(page: str, text: str) -> str:
    """The page with ``text`` between the markers; ValueError if it has not both."""
    if BEGIN not in page or END not in page:
        raise ValueError(f"{PAGE} must hold the lines {BEGIN} and {END}")
    head, _, rest = page.partition(BEGIN)
    return head + BEGIN + "\n" + text.strip() + "\n" + END + rest.partition(END)[2]


def section(records: dict[str, Record], *, plotted: bool = False) -> str:
    """All that is between the markers."""
    blocks = [
        heading(records),
        tables.beside_peers(records),
        tables.alone(records),
        tables.sampling(records),
        tables.whole_scans(records),
    ]
    if plotted:
        blocks.append(
            "### How cost grows\n\n"
            "Processor time of a run, but for threads (wall time), on logarithmic scales. One thing is changed at a "
            "time: a body 358 mm wide in 256 x 256 x 128 voxels, 64 rows, 900 columns, 24 views.\n\n"
            f"![How cost grows](images/{IMAGE.name})"
        )
    return "\n\n".join(block for block in blocks if block)


def heading(records: dict[str, Record]) -> str:
    """When, where and what was measured, and who could not take part."""
    last = max(records.values(), key=lambda record: record["date"])
    machine = last["machine"]
    versions: dict[str, str] = {}
    for record in records.values():
        for side in record["sides"].values():
            versions |= side["versions"]
    named = ", ".join(f"{name} {number}" for name, number in sorted(versions.items()))
    commits = sorted({record["commit"] for record in records.values()})
    loads = [run["load"] for record in records.values() for side in record["sides"].values() for run in side["runs"]]
    threads = ", ".join(str(n) for n in sorted({record["threads"] for record in records.values()}))
    lines = [
        f"Measured {last['date'][:10]} on {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"{machine['system']}, Python {machine['python']}; threads: {threads}; {named}; "
        f"{_count('commit', commits)}; load average before a run {min(loads):.1f} to {max(loads):.1f}.",
        "The sides of a row take turns (A B A B) in processes of their own; figures are medians over the rounds, "
        "compilation is not in them.",
    ]
    absent = [f"{name} ({why})" for name, why in {**_absent(records), **peers.NOT_INSTALLABLE}.items()]
    return "\n".join([*lines, f"Not measured: {'; '.join(absent)}."])


def _absent(records: dict[str, Record]) -> dict[str, str]:
    """Sides that were left out of a row that they belong to, and why."""
    return {f"{side} in {name}": why for name, record in records.items() for side, why in record["left_out"].items()}


def _count(what: str, names: list[str]) -> str:
    return f"{what}{'s' if len(names) > 1 else ''} {', '.join(names)}"
