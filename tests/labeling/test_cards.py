"""A card says what its model says: its equation can be computed from the page alone, and no figure is lost."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import labeling
from labeling.cards import equation, model_card
from labeling.model import Derivation, Performance

RNG = np.random.default_rng(5)


def a_record(model):
    """A record that the model takes, off the reference."""
    record = {}
    for c in model.covariates:
        if c.kind == "number":
            low, high = c.trained or c.allowed
            record[c.name] = float(np.round(RNG.uniform(low, high), 0 if labeling.VOCABULARY[c.name].whole else 2))
        elif c.kind == "yes_no":
            record[c.name] = bool(RNG.random() < 0.5)
        else:
            record[c.name] = str(RNG.choice(c.allowed))
    for c in model.covariates:
        for rule in c.implied:
            if record.get(rule.covariate) == rule.value:
                record[c.name] = rule.gives
    return record


def computed(text, record):
    """The logit that a reader of the card would work out."""
    (right,) = re.findall(r"logit = (.*?)\np ", text, flags=re.DOTALL)

    def holds(match):
        name, value = match.groups()
        mine = str(record[name]).lower() if isinstance(record[name], bool) else record[name]
        return str(float(mine == value))

    right = re.sub(r"\[(\w+) is ([^\]]+)\]", holds, right).replace("^", "**")
    return eval("(" + right + ")", {"__builtins__": {}}, record)


def section(text, heading):
    (found,) = re.findall(rf"## {heading}\n\n(.*?)(?=\n## |\Z)", text, flags=re.DOTALL)
    return found


@pytest.mark.parametrize("model_id", labeling.models())
def test_the_equation_on_the_card_computes_the_models_logit(model_id):
    model = labeling.get(model_id)
    text = model_card(model)
    for _ in range(5):
        record = a_record(model)
        assert computed(text, record) == pytest.approx(model.logit([record])[0], rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("model_id", labeling.models())
def test_a_card_holds_all_that_the_models_file_says(model_id):
    model = labeling.get(model_id)
    text = model_card(model)
    flat = " ".join(text.replace("\\|", "|").split())
    for words in (model.title, model.outcome, model.horizon, model.population, model.status, model.citation):
        assert " ".join(words.split()) in flat
    for words in (model.licence, model.precision, model.uncertainty, model.hash(), *model.checked_by):
        assert " ".join(words.split()) in flat
    assert all(f"`{name}`" in text for name in model.needs)
    assert section(text, "Coefficients").count("\n| ") == 2 + len(model.terms)
    for p in model.performance:
        here, there = ("Validation on NLST", "Performance as published")[:: 1 if "NLST" in p.population else -1]
        assert f"| {p.measure} | {p.value:g} |" in section(text, here)
        assert f"| {p.population} |" not in section(text, there)
    assert "$" not in equation(model)
    assert "\\" not in equation(model)


def test_models_of_other_populations_are_not_to_be_called_trained_on_nlst():
    for model in map(labeling.get, labeling.models()):
        claims = section(model_card(model), "What may honestly be claimed")
        schreuder = model.id.startswith("schreuder")
        assert ("NLST-trained" in claims) != schreuder  # developed on the CT arm of NLST
        assert "validated, clinically calibrated, pathology-proven" in claims
        assert "draws are what they claim to be, and nothing about patients" in claims
        assert "Not for the care of patients" in model_card(model)


def test_only_published_models_are_called_so():
    for model in map(labeling.get, labeling.models()):
        claims = section(model_card(model), "What may honestly be claimed")
        assert ("from a published risk model" in claims) == (model.id != "size-only")
        assert ("Not to be said of such labels or scores: NLST-trained, published" in claims) == (
            model.id == "size-only"
        )


@pytest.mark.parametrize("synthetic", [True, False])
def test_a_fitted_model_says_on_what(synthetic):
    derivation = Derivation(
        n=12345,
        events=321,
        clusters=9876,
        events_per_variable=32.1,
        label="A rule | with a bar",
        tables=("ctab of some day",),
        apparent_auc=0.8123,
        corrected_auc=None,
        method="Maximum likelihood",
        synthetic=synthetic,
    )
    n = 1 + len(labeling.get("size-only").terms)
    covariance = tuple(tuple(0.0625 if i == j else 0.0 for j in range(n)) for i in range(n))
    model = labeling.get("size-only").model_copy(update={"derivation": derivation, "covariance": covariance})
    text = model_card(model)
    assert ("synthetic tables: the coefficients say nothing about people" in text) == synthetic
    assert ("Tests and teaching alone" in section(text, "Intended use")) == synthetic
    claims = section(text, "What may honestly be claimed")
    assert ("mean nothing clinically" in claims) == synthetic
    assert ("NLST-trained" in claims) == synthetic
    assert ("which nodule was the cancer" in claims) != synthetic
    assert "12,345" in text
    assert "A rule \\| with a bar" in text
    assert "| AUC corrected for optimism |  |" in text
    assert section(text, "Coefficients").count("| 0.25 |") == n  # square roots of the diagonal


def test_performance_of_another_population_is_not_shown_as_nlst():
    other = Performance(measure="AUC", value=0.7, population="Somewhere", source="Someone 2020", verified=True)
    model = labeling.get("size-only").model_copy(update={"performance": (other,)})
    text = model_card(model)
    assert "Someone 2020" in section(text, "Performance as published")
    assert section(text, "Validation on NLST").startswith("None on NLST is recorded")


def test_the_page_on_accuracy_says_what_the_models_say_of_their_checks():
    page = (Path(__file__).parents[2] / "docs" / "accuracy.md").read_text(encoding="utf-8")
    for model in map(labeling.get, labeling.models()):
        checks = "; ".join(model.checked_by) or "nothing but their own source"
        assert f"| `{model.id}` | {checks} |" in page
