"""The tables of ``docs/performance.md`` as Markdown, from the newest results."""

from __future__ import annotations

import math
from typing import Any

from .body import ITEMS
from .figures import Record, counts, median, peer_of, rate, ratio, ratio_range, steady_rate, verdict, whole_grid_ratio
from .rows import OURS, ROWS, Row

_SAMPLING_OF = {"chain_1": ("1 ray", "1 sample"), "chain_default": ("4 rays", "2^5 = 32 samples")}
"""Rows whose error is that of these samplings in row chain_error."""

_VIEWS = {"chain_1": (88, 88), "chain_default": (88, 16)}

_BARS = {"thorax_1": (420.0, 6.0), "thorax": (None, None), "thorax_fine": (None, 10.0)}
"""Most wall seconds and most memory [GB] that are allowed."""


def table(head: list[str], lines: list[list[str]]) -> str:
    """A Markdown table; empty without lines."""
    if not lines:
        return ""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)


def beside_peers(records: dict[str, Record]) -> str:
    """Rows with a peer: rates, ratios, errors."""
    lines, notes = [], []
    for row in ROWS:
        record = records.get(row.name)
        if record is None or row.name in ("chain_error", "growth") or len(row.sides) < 2 or OURS not in record["sides"]:
            continue
        ours, peer = record["sides"][OURS], peer_of(record)
        error = _error(row, records, ours, 0)
        if not counts(row, ours):
            error += f" (above {100 * (row.error_bar or 0):.2f} %: **does not count**)"
        speed = _rate(row, ours)
        mark = verdict(rate(ours, "wall_s") / row.scale, row.bar, row.aim)
        line = [row.title, f"{speed}{'; ' + mark if mark else ''}"]
        if peer is None:
            lines.append([*line, "not measured", "", "", error])
            continue
        theirs = record["sides"][peer]
        low, high = ratio_range(record, "wall_s") or (math.nan, math.nan)
        least = min(one for one in (ratio(record, "wall_s"), whole_grid_ratio(record)) if one is not None)
        asked = verdict(least, row.ratio_bar, row.ratio_aim)
        lines.append(
            [
                *line,
                f"{peer}: {_rate(row, theirs)}",
                f"**{ratio(record, 'wall_s'):.1f}** ({low:.1f}-{high:.1f}){'; ' + asked if asked else ''}",
                f"{ratio(record, 'cpu_s'):.1f}",
                f"{error}; {peer} {_error(row, records, theirs, 1)}",
            ]
        )
        notes += _notes(row, record)
    head = ["work", "lungtwin; bar", "peer", "ratio by wall time (rounds); bar", "by processor time", "error"]
    body = table(head, lines)
    text = (
        "Speed by wall time, in brackets by processor time. Error of projections: relative RMSE against exact "
        "integrals (lungtwin: means over the cells, peer: their middles); of the full chain: RMS error of "
        "transmissions for the sampling alone, and against exact ones with voxels and all; of FDK: mean and RMSE of an "
        "even part that is 1."
    )
    return "" if not body else "\n\n".join(["### Beside peers", text, body, *notes])


def _rate(row: Row, found: dict[str, Any]) -> str:
    wall, cpu = (rate(found, what) / row.scale for what in ("wall_s", "cpu_s"))
    return f"{wall:.3g} {row.unit} ({cpu:.3g})"


def _error(row: Row, records: dict[str, Record], found: dict[str, Any], side: int) -> str:
    """Accuracy of a side in a row."""
    seen = found["found"]
    if "relative_rmse" in seen:
        return f"{100 * seen['relative_rmse']:.3f} %"
    if "rmse" in seen:
        return f"mean {seen['mean']:.5f}, RMSE {seen['rmse']:.4f}"
    names, errors = _SAMPLING_OF.get(row.name), records.get("chain_error")
    if names is None or errors is None or len(errors["sides"]) <= side:
        return "not measured"
    of = errors["sides"].get(OURS if side == 0 else "XCIST", {}).get("found", {}).get("errors", {}).get(names[side])
    if of is None:
        return "not measured"
    alone, whole = (100 * of[what]["relative_rmse"] for what in ("sampling", "in_all"))
    return f"{alone:.2f} % sampling, {whole:.2f} % in all"


def _notes(row: Row, record: Record) -> list[str]:
    """What the columns do not show."""
    notes = []
    peer = peer_of(record)
    if peer is None:
        return []
    ours, theirs = record["sides"][OURS], record["sides"][peer]
    if row.name in _VIEWS:
        steady = [steady_rate(side, n) for side, n in zip((ours, theirs), _VIEWS[row.name], strict=True)]
        if steady[0] and steady[1]:
            notes.append(
                f"Without the start-up of a scan ({row.name}): lungtwin {steady[0] / row.scale:.3g}, {peer} "
                f"{steady[1] / row.scale:.3g} {row.unit}, ratio {steady[0] / steady[1]:.1f}."
            )
    whole = theirs["found"].get("whole_grid_updates_per_s")
    if whole:
        item = ITEMS[row.name.removeprefix("fdk_")]
        notes.append(
            f"{peer} on all {item.n_z} slices of the item ({row.name}), most of them out of the beam: "
            f"{whole / 1e9:.3g} GUPS by wall time, ratio {whole_grid_ratio(record):.1f}; the bar is held to the "
            "smaller ratio."
        )
    return notes


def alone(records: dict[str, Record]) -> str:
    """Rows without a peer."""
    lines = []
    for row in ROWS:
        record = records.get(row.name)
        if record is None or len(row.sides) > 1 or OURS not in record["sides"] or not row.unit:
            continue
        ours = record["sides"][OURS]
        if row.unit == "s":
            value = median(ours, "wall_s")
            speed, mark = f"{value:.2f} s", verdict(value, row.bar, row.aim, at_most=True, unit=" s")
        else:
            speed, mark = _rate(row, ours), verdict(rate(ours, "wall_s") / row.scale, row.bar, row.aim)
        lines.append([row.title, speed, mark])
    body = table(["work", "lungtwin", "bar"], lines)
    return "" if not body else f"### Without a peer\n\n{body}"


def sampling(records: dict[str, Record]) -> str:
    """Errors of samplings on both sides."""
    record = records.get("chain_error")
    lines = []
    for name, side in (record or {"sides": {}})["sides"].items():
        for sampled, error in side["found"]["errors"].items():
            lines.append(
                [
                    f"{name}, {sampled}",
                    f"{100 * error['sampling']['relative_rmse']:.3f} %",
                    f"{100 * error['in_all']['relative_rmse']:.3f} %",
                    f"{100 * error['in_all']['relative_bias']:+.3f} %",
                ]
            )
    text = (
        "RMS relative error of transmissions at 70 keV without noise, over the readings that a body with sharp edges "
        "(water, a ball and twelve 10 mm rods of bone, 512 x 512 voxels of 0.7 mm) dims below 0.7; spot of 1 x 1 mm, "
        "1152 views per rotation, cells of 0.6 mm. In all: readings as each side makes them, against those of the "
        "exact body averaged over spot, view and cell. Sampling alone: the same rays through the exact body (lungtwin: "
        "through its exact mean over the cells), so that no voxels are in it."
    )
    body = table(["sampling of a reading", "sampling alone", "in all, RMS", "in all, mean"], lines)
    return "" if not body else f"### Error of a reading\n\n{text}\n\n{body}"


def whole_scans(records: dict[str, Record]) -> str:
    """Whole thorax, one more dose, one more set of nodules."""
    lines = []
    for row in ROWS:
        record = records.get(row.name)
        if record is None or OURS not in record["sides"] or "readings" not in record["sides"][OURS]["found"]:
            continue
        side, seen = record["sides"][OURS], record["sides"][OURS]["found"]
        if row.name == "again":
            lines += _again(seen)
        elif row.name.startswith("thorax"):
            longest, most_gb = _BARS[row.name]
            wall, cpu = median(side, "wall_s"), median(side, "cpu_s")
            gb = seen["peak_mb"] * 2**20 / 1e9
            steps = ", ".join(f"{name} {step[0]:.0f} s" for name, step in seen["steps"].items())
            shapes = f"twin {_times(seen['twin_voxels'])}, image {_times(seen['image_voxels'])}"
            scene = f"{seen['readings']:.2e} readings, {shapes}"
            lines.append(
                [
                    f"{row.title}: {scene}",
                    f"{wall:.0f} s ({steps})",
                    f"{cpu:.0f} s",
                    f"{gb:.1f} GB",
                    "; ".join(
                        text
                        for text in (
                            verdict(wall, longest, 240.0, at_most=True, unit=" s"),
                            verdict(gb, most_gb, None, at_most=True, unit=" GB"),
                        )
                        if text
                    ),
                ]
            )
    coarse, fine = (records.get(name) for name in ("thorax_1", "thorax_fine"))
    if coarse and fine and OURS in coarse["sides"] and OURS in fine["sides"]:
        more = median(fine["sides"][OURS], "wall_s") / median(coarse["sides"][OURS], "wall_s")
        lines.append(
            [
                "twin of 0.5 mm instead of 0.7",
                f"{more:.2f} times",
                "",
                "",
                verdict(more, 1.6, None, at_most=True, unit=" times"),
            ]
        )
    body = table(["work", "wall time", "processor time", "peak memory of the process", "bar"], lines)
    return "" if not body else f"### Whole scans\n\n{body}"


def _again(seen: dict[str, Any]) -> list[list[str]]:
    wall, cpu = (seen["readout"][what] + seen["reconstruction"][what] for what in ("wall_s", "cpu_s"))
    parts = f"readout {seen['readout']['wall_s']:.0f} s, reconstruction {seen['reconstruction']['wall_s']:.0f} s"
    gb = seen["peak_mb_of_dose"] * 2**20 / 1e9
    lines = [
        [
            "one more dose and kernel of that scan, from kept moments",
            f"{wall:.0f} s ({parts})",
            f"{cpu:.0f} s",
            f"{gb:.1f} GB",
            verdict(wall, 130.0, 80.0, at_most=True, unit=" s"),
        ]
    ]
    for name in ("one nodule of 10 mm", "five nodules of 6 to 25 mm"):
        if name in seen:
            share = 100 * seen[name]["cpu_s"] / seen["exposure"]["cpu_s"]
            lines.append(
                [
                    f"one more set of nodules in that exposure: {name}",
                    f"{seen[name]['wall_s']:.1f} s",
                    f"{seen[name]['cpu_s']:.1f} s, {share:.1f} % of the projection",
                    "",
                    verdict(share, 10.0, 3.0, at_most=True, unit=" %"),
                ]
            )
    return lines


def _times(shape: list[int]) -> str:
    return " x ".join(str(n) for n in reversed(shape))
