"""The dataset card as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def markdown(facts: Mapping[str, Any]) -> str:
    """The card as text."""
    labels, counts, ceiling = facts["labels"], facts["counts"], facts["ceiling"]
    lines = [
        f"# {facts['dataset']}: dataset card",
        "",
        f"CT images: {counts['images']}, twins: {counts['twins']}, nodules: {counts['nodules']}"
        + (f", mimics (hard negatives, no nodules): {counts['mimics']}." if counts["mimics"] else "."),
        f"Made by lungtwin {facts['version']} from the seed {labels['seed']}.",
        "",
        "## How the labels were made",
        "",
        *_table(
            ("what", "value"),
            [
                ("risk model", f"{labels['title']} (`{labels['model']}`, version {labels['model_version']})"),
                ("model hash", f"`{labels['model_hash']}`"),
                ("source", labels["citation"]),
                ("developed on", labels["population"]),
                ("probability of", f"{labels['outcome']}; {labels['horizon'][0].lower()}{labels['horizon'][1:]}"),
                ("mode", _mode(labels)),
                ("shift of all log odds", f"{labels['shift']:g}"),
                ("covariates no image shows", "held at the model's reference" if labels["visible_only"] else "used"),
                ("unknown covariates", "model's reference value" if labels["impute"] else "refused"),
                ("interval columns", labels["interval"] or "none: the model states no standard errors"),
            ],
        ),
        "",
        labels["status"],
        "",
        "Covariates are measured on the exact body, not taken from the spec. `u` is a function of seed, twin, nodule",
        "and draw alone: one label per lesion over all its images.",
        "",
        "## What came out",
        "",
        *_table(
            ("", "nodules", "twins"),
            [
                ("all", counts["nodules"], counts["twins"]),
                ("malignant", _or_dash(counts["malignant"]), _or_dash(counts["twins_malignant"])),
                ("sum of probabilities", _number(counts["expected"], 2), _number(counts["twins_expected"], 2)),
                ("mean probability", _percent(counts["mean_probability"]), ""),
                ("prevalence", _percent(counts["prevalence"]), _percent(counts["twins_prevalence"])),
            ],
        ),
        "",
        *_table(
            ("mean diameter, type", "malignant", "benign", "not drawn", "sum of probabilities"),
            [(row["class"], row["malignant"], row["benign"], row["none"], f"{row['expected']:.2f}") for row in
             (*counts["by_size"], *counts["by_type"])],
        ),
        "",
        *_flags(counts),
        "## How well the labels can be told",
        "",
        *_ceiling_lines(ceiling, facts["redraws"]),
        "",
        "## What may be said",
        "",
        facts["may_be_said"],
        "",
        "What may not be said:",
        "",
        *(f"- {claim}" for claim in facts["must_not_be_said"]),
        "",
    ]  # fmt: skip
    return "\n".join(lines)


def _ceiling_lines(ceiling: Mapping[str, Any], redraws: Mapping[str, Any] | None) -> list[str]:
    if "reason" in ceiling:
        return [f"No ceiling: {ceiling['reason']}."]
    lines = [
        "AUC to be expected on labels drawn from these probabilities. No classifier of images should stay above the",
        "second one; one that does has seen what is not in the image.",
        "",
        *_table(
            ("knows", "best AUC"),
            [
                ("all covariates of the model", f"{ceiling['all_covariates']:.3f}"),
                ("what an image shows", f"{ceiling['visible_only']:.3f}"),
                ("the longest diameter alone", f"{ceiling['size_only']:.3f}"),
            ],
        ),
    ]
    if redraws is not None:
        lines += ["", f"Over {redraws['n']} sets of labels: {redraws['malignant_mean']:.2f} +- "
                  f"{redraws['malignant_sd']:.2f} malignant nodules"
                  + (f", AUC of the probability {redraws['auc_mean']:.3f} +- {redraws['auc_sd']:.3f} (in the "
                     f"{redraws['n_with_auc']} sets with both outcomes)" if redraws["auc_sd"] is not None else "")
                  + "."]  # fmt: skip
    return lines


def _flags(counts: Mapping[str, Any]) -> list[str]:
    texts = {
        "imputed": "took the model's reference, since they were not known",
        "held": "were held at the model's reference",
        "extrapolated": "lie outside what the model was developed on",
        "unchecked": "is an exclusion of the model that could not be checked",
    }
    lines = [
        f"- {name}: {text} ({n} of {counts['nodules']} nodules)"
        for flag, text in texts.items()
        for name, n in counts[flag].items()
    ]
    if counts["excluded"]:
        lines.append(f"- {counts['excluded']} nodules lie outside the model and have probability 0")
    return [*lines, ""] if lines else []


def _mode(labels: Mapping[str, Any]) -> str:
    if labels["mode"] == "threshold":
        return f"threshold: malignant from a probability of {labels['threshold']:g} on"
    if labels["mode"] == "soft":
        return "soft: no labels, the probability alone"
    sets = "" if labels["n_draws"] == 1 else f"; {labels['n_draws']} sets in `outcome_draws.csv`"
    return f"bernoulli: malignant where u < probability{sets}"


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(str(cell) for cell in line) + " |" for line in lines]


def _or_dash(value: Any) -> str:
    return "-" if value is None else str(value)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"
