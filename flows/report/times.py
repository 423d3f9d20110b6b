"""Time and cost of a build, from ``run/``: written beside the clock facts, never into the page.

The page's bytes follow from the dataset's; how long it took does not. ``run/times.js`` holds the section, and the page
takes it in when it is looked at.
"""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

from twins.files import replacing

from ..dataset import Dataset
from . import charts

FILE = "times.js"
MOST_BUILDS = 20
"""Builds that are listed; the first ones are summed up."""


def write_times(dataset: Dataset) -> Path | None:
    """Write ``run/times.js``; None where the dataset has no facts of the clock, or they cannot be written."""
    facts = [_read(path) for path in sorted((dataset.root / "run").glob("build-[0-9]*.json"))]
    builds = [fact for fact in facts if fact is not None]
    if not builds:
        return None
    target = dataset.root / "run" / FILE
    with replacing(target) as part:
        part.write_text(f"lungtwinTimes({json.dumps(section(builds, dataset))});\n", encoding="utf-8")
    return target


def section(builds: list[dict[str, Any]], dataset: Dataset) -> str:
    """The section as HTML.

    Parameters
    ----------
    builds
        Contents of ``run/build-NNNN.json``, in their order.
    """
    took_s = sum(build["took_s"] for build in builds)
    core_h = sum(build["took_s"] * (build.get("cpus") or 1) for build in builds) / 3600
    cases: dict[str, float] = {}
    for build in builds:
        for name, seconds in build.get("case_s", {}).items():
            cases[name] = max(seconds, cases.get(name, 0.0))  # a case that is found done costs nothing
    n_images = max(1, len(dataset.manifest))
    size = sum(path.stat().st_size for path in dataset.root.rglob("*") if path.is_file() and "run" not in path.parts)
    figures = (
        (duration(took_s), "of computing" + (f", in {len(builds)} builds" if len(builds) > 1 else "")),
        (duration(took_s / n_images), "an image"),
        (f"{core_h:.2f} h" if core_h < 10 else f"{core_h:,.0f} h", "of processor cores, at most"),
        (_bytes(size), "on disk"),
        (_bytes(size / n_images), "an image"),
    )
    rows = "".join(
        f"<tr><td>{escape(str(build['began']).replace('T', ' ').removesuffix('Z'))}</td>"
        f"<td>{duration(build['took_s'])}</td><td>{len(build.get('case_s', {}))}</td>"
        f'<td class="t">{escape(str(build.get("backend", "")))}</td><td>{build.get("cpus", "")}</td>'
        f'<td class="t">{escape(str(build.get("platform", "")).split("-with")[0])}</td>'
        f'<td class="t">{escape(str(build.get("versions", {}).get("lungtwin", "")))}</td></tr>'
        for build in builds[-MOST_BUILDS:]
    )
    return (
        '<div class="figures">'
        + "".join(f"<div><b>{escape(value)}</b><span>{escape(what)}</span></div>" for value, what in figures)
        + "</div>"
        + (
            '<figure class="chart-box"><figcaption>Time per case</figcaption>' + _cases(cases) + "</figure>"
            if cases
            else ""
        )
        + '<div class="scroll" tabindex="0" role="region" aria-label="Builds"><table><thead><tr><th>began (UTC)</th>'
        '<th>took</th><th>cases</th><th class="t">on</th><th>cores</th><th class="t">system</th>'
        f'<th class="t">lungtwin</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _cases(cases: dict[str, float]) -> str:
    longest = max(cases.values())
    unit, factor = ("min", 60.0) if longest >= 120 else ("s", 1.0)
    if len(cases) <= 12:
        rows = [(name[:19], [round(seconds / factor, 1)], None) for name, seconds in cases.items()]
        return charts.bars(rows, f"time per case [{unit}]")
    return charts.histogram(
        {"cases": [seconds / factor for seconds in cases.values()]}, f"time per case [{unit}]", "cases"
    )


def duration(seconds: float) -> str:
    """A duration in the unit that suits it."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} days"


def _bytes(n: float) -> str:
    for unit in ("kB", "MB", "GB"):
        n /= 1000
        if n < 1000:
            return f"{n:.3g} {unit}" if n < 100 else f"{n:.0f} {unit}"
    return f"{n / 1000:.3g} TB"


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return dict(found) if float(found["took_s"]) >= 0 else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
