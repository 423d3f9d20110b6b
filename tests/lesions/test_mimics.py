"""Mimics are hard negatives: inserted and known exactly, but no nodules in masks, counts, outcomes and tables."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

import labeling
import lesions
from flows.card import card_facts
from flows.tables import nodule_rows
from lesions import Nodule, insert
from twins import Grid, Patient

MAN = Patient(sex="male", age_y=65, family_history=False, emphysema=False)
KINDS = ("scar", "mucus_plug", "pleural_plaque", "vessel_crossing")


@pytest.fixture(scope="module")
def truth(lung_only):
    """A nodule between two mimics."""
    places = {"scar": (40.3, -20.2, 24.6), "mucus_plug": (40.3, 20.2, -24.6)}
    mimics = [
        Nodule(id=kind, key=5, equivalent_diameter_mm=8.0, kind=kind, attachment="none", centre_mm=at)
        for kind, at in places.items()
    ]
    real = Nodule(id="real", key=6, equivalent_diameter_mm=8.0, centre_mm=(-40.3, -20.2, 24.6))
    return insert(lung_only, [mimics[0], real, mimics[1]])[1]


def test_the_four_mimics_are_mimics_and_benign_nodules_are_not():
    for kind in KINDS:
        assert Nodule(id="a", key=1, equivalent_diameter_mm=8.0, kind=kind).is_mimic
    for kind in ("granuloma", "hamartoma", "lymph_node", "perifissural"):
        assert not Nodule(id="a", key=1, equivalent_diameter_mm=8.0, kind=kind).is_mimic


def test_masks_hold_nodules_and_mimics_only_when_asked_for(truth):
    grid = Grid((60, 60, 80), (2.0, 2.0, 2.0), (-79.0, -59.0, -59.0))
    assert truth.n_nodules == 1
    assert np.unique(truth.labels(grid)).tolist() == [0, 2]
    with_all = truth.labels(grid, mimics=True)
    assert np.unique(with_all).tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(with_all == 2, truth.labels(grid) == 2)
    assert truth.legend() == {2: "real"}
    assert truth.legend(mimics=True) == {1: "scar", 2: "real", 3: "mucus_plug"}
    # The fractions are known all the same.
    assert truth.occupancy(grid, 0).sum(dtype=float) * 8 == pytest.approx(truth.nodules[0].volume_mm3, rel=1e-4)


def test_risk_models_count_and_label_nodules_alone(truth):
    alone = lesions.Truth((truth.nodules[1],))
    (outcome,) = labeling.assign(truth, MAN, key=3)
    assert (outcome,) == labeling.assign(alone, MAN, key=3)
    assert outcome.nodule_id == "real"
    assert outcome.inputs["nodule_count"] == 1
    only_mimics = lesions.Truth((truth.nodules[0],))
    assert labeling.assign(only_mimics, MAN, key=3) == ()
    assert labeling.participant_label(()) == "benign"


def test_tables_list_mimics_without_outcome_and_the_card_counts_nodules(truth, tmp_path):
    lesions.save(truth, tmp_path / "truth.h5")
    labeling.save(labeling.assign(truth, MAN, key=3), tmp_path / "outcomes.json")
    grid = Grid((6, 6, 8), (20.0, 20.0, 20.0), (-70.0, -50.0, -50.0))
    image = SimpleNamespace(
        image_id="t-s",
        image=SimpleNamespace(facts={"grid": grid.to_dict()}),
        mask=SimpleNamespace(facts={"n_voxels": [0, 3, 0]}),
        mimics=SimpleNamespace(facts={"n_voxels": [2, 0, 4]}),
    )
    record = SimpleNamespace(
        truth=SimpleNamespace(path="truth.h5"), outcomes=SimpleNamespace(path="outcomes.json"), images=(image,)
    )
    study = SimpleNamespace(
        name="s",
        seed=1,
        label_model="brock-2b",
        label_mode="bernoulli",
        label_threshold=None,
        label_draws=1,
        label_shift=0.0,
        label_visible_only=False,
        label_impute=None,
    )
    plan = SimpleNamespace(
        cases=[SimpleNamespace(twin_id="t", person="t", visit=None, day=None)], rows=[1], study=study, n_persons=1
    )
    rows = nodule_rows(SimpleNamespace(root=tmp_path), plan, [record])
    assert [(row["nodule_id"], row["kind"], row["is_mimic"]) for row in rows] == [
        ("scar", "scar", True),
        ("real", "nodule", False),
        ("mucus_plug", "mucus_plug", True),
    ]
    assert [row["label"] for row in rows][::2] == [None, None]
    assert rows[1]["label"] in ("malignant", "benign")
    assert 0 < rows[1]["probability"] < 1
    facts = json.loads(json.dumps(card_facts(plan, rows, [])))
    assert (facts["counts"]["nodules"], facts["counts"]["mimics"]) == (1, 2)
    assert facts["counts"]["expected"] == pytest.approx(rows[1]["probability"])
