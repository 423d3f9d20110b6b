"""NLST tables: columns, codes, keys and joins are those of the dictionaries, or the tables are refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from labeling.nlst.codes import LEAKS, knows_the_outcome
from labeling.nlst.tables import PUBLIC_COLUMNS, has_cancer, read_nlst

from .nlst_rows import ctab, finding, ill, nodule, person, prsn, screen, tables


def test_the_public_tables_have_the_published_numbers_of_columns():
    assert {kind: len(set(names)) for kind, names in PUBLIC_COLUMNS.items()} == {
        "prsn": 39,
        "ctab": 12,
        "ctabc": 10,
        "screen": 20,
    }


def test_files_with_sas_letters_upper_case_names_and_the_columns_of_idc_read_the_same(tmp_path):
    people, findings = prsn(ill(1, 100, "locrup"), person(2)), ctab(nodule(1), finding(2, 1))
    plain = read_nlst(findings, people)
    letters = findings.astype(object).where(findings.notna(), ".N").assign(source_batch=1, dicom_patient_id="1")
    letters.columns = [name.upper() for name in letters]
    letters.to_csv(tmp_path / "ctab.csv", index=False)
    people.astype(object).where(people.notna(), ".N").to_csv(tmp_path / "prsn.csv", index=False)
    read = read_nlst(tmp_path / "ctab.csv", tmp_path / "prsn.csv")
    names = list(PUBLIC_COLUMNS["ctab"])
    pd.testing.assert_frame_equal(read.ctab[names], plain.ctab[names], check_dtype=False)
    assert np.isnan(read.ctab["sct_pre_att"][1])
    assert read.delivery == "public"
    assert read.versions == ("ctab: hand-made", "prsn: hand-made")


@pytest.mark.parametrize(
    ("column", "value", "allowed"),
    [
        ("sct_pre_att", 5, "2 (ground glass), 3 (mixed)"),  # there is no code 5
        ("sct_margins", 4, "1 (spiculated), 2 (smooth)"),
        ("sct_epi_loc", 7, "5 (lingula), 6 (left lower)"),  # there is no code 7
        ("sct_ab_desc", 1, "51 (nodule)"),  # the numbering of the forms, not of the tables
        ("study_yr", 3, "2 (T2)"),
        ("sct_long_dia", "large", "a number"),
        ("sct_long_dia", np.inf, "a finite number"),
    ],
)
def test_a_code_outside_the_dictionary_is_refused_with_row_column_value_and_what_is_allowed(column, value, allowed):
    with pytest.raises(ValueError) as error:
        read_nlst(ctab(nodule(1), nodule(1, 2, **{column: value})), prsn(person(1)))
    for word in ("row 2", column, repr(value), allowed):
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("column", "value"), [("race", 8), ("gender", 0), ("can_scr", 5), ("cancyr", 8), ("locrup", 2)]
)
def test_codes_of_participants_are_checked(column, value):
    with pytest.raises(ValueError, match=f"row 1, column {column}"):
        read_nlst(ctab(nodule(1)), prsn(ill(1, 5, "locrup", **{column: value})))


def test_keys_are_unique_and_every_row_has_its_participant():
    with pytest.raises(ValueError, match=r"row 2 repeats the key pid 1, study_yr 0, sct_ab_num 1"):
        read_nlst(ctab(nodule(1), nodule(1)), prsn(person(1)))
    with pytest.raises(ValueError, match="row 2 repeats the key pid 1"):
        read_nlst(ctab(nodule(1)), prsn(person(1), person(1)))
    with pytest.raises(ValueError, match=r"row 2 \(pid 7\) has no row in table 'prsn'; 1 such rows"):
        read_nlst(ctab(nodule(1), nodule(7)), prsn(person(1)))


def test_a_comparison_read_belongs_to_an_abnormality():
    row = {"pid": 1, "study_yr": 1, "sct_ab_num": 1, "sct_ab_code": 51, "sct_ab_preexist": 2, "dataset_version": "x"}
    reads = pd.DataFrame([row], columns=list(PUBLIC_COLUMNS["ctabc"]))
    assert len(read_nlst(ctab(nodule(1, year=1)), prsn(person(1)), ctabc=reads).ctabc) == 1
    with pytest.raises(ValueError, match=r"row 1 \(pid 1\) has no row in table 'ctab'"):
        read_nlst(ctab(nodule(1)), prsn(person(1)), ctabc=reads)


def test_only_the_ct_arm_is_kept():
    people = [person(1), person(2)]
    public = read_nlst(ctab(nodule(1)), prsn(*people), screen=screen(1))
    assert public.ct_arm_known
    assert list(public.prsn["pid"]) == [1]
    assert not read_nlst(ctab(nodule(1)), prsn(*people)).ct_arm_known
    cdas = [p | {"rndgroup": 1 + i, "conflc": 0, "fup_days": 2000} for i, p in enumerate(people)]
    read = read_nlst(ctab(nodule(1), nodule(2)), prsn(*cdas))
    assert (read.delivery, list(read.prsn["pid"]), list(read.ctab["pid"]), read.outside_ct_arm) == ("cdas", [1], [1], 1)


def test_tables_of_neither_delivery_are_refused():
    with pytest.raises(ValueError, match="no column sct_pre_att"):
        read_nlst(ctab(nodule(1)).drop(columns="sct_pre_att"), prsn(person(1)))
    with pytest.raises(ValueError, match=r"neither the public table 'prsn' nor that of CDAS: columns malignant"):
        read_nlst(ctab(nodule(1)), prsn(person(1)).assign(malignant=1))


def test_a_cancer_of_round_t0_is_a_cancer():
    """cancyr 0 is T0; reading it as "no cancer", or an empty cell as 0, loses the cancers found first."""
    read = tables([ill(1, 20, "locrup"), person(2), ill(3, 400, "locrup")], [nodule(1)])
    assert list(read.prsn["cancyr"].fillna(-1)) == [0, -1, 1]
    assert list(has_cancer(read.prsn, read.delivery)) == [True, False, True]


def test_can_scr_0_is_no_cancer_and_a_row_that_says_both_is_refused():
    with pytest.raises(ValueError, match="pid 1 contradicts itself"):
        tables([ill(1, 20, "locrup", can_scr=0)], [nodule(1)])
    with pytest.raises(ValueError, match="pid 1 contradicts itself"):
        tables([person(1, can_scr=1)], [nodule(1)])


def test_of_cdas_only_confirmed_cancers_count():
    codes = {0: 0, 1: 1, 2: 0, 3: 0, 4: 0}
    people = [
        (ill(pid, 100, "locrup") if cancer else person(pid)) | {"rndgroup": 1, "conflc": pid, "fup_days": 2000}
        for pid, cancer in codes.items()
    ]
    read = read_nlst(ctab(nodule(1)), prsn(*people))
    assert list(has_cancer(read.prsn, read.delivery)) == [bool(cancer) for cancer in codes.values()]


@pytest.mark.parametrize(
    "column", [*LEAKS, "de_stag", "de_stag_7thed", "de_grade", "procedures", "biop0", "death_days"]
)
def test_columns_that_know_the_outcome_are_known_as_such(column):
    assert knows_the_outcome(column)


@pytest.mark.parametrize("column", ["age_y", "cancbrea", "scr_days0", "sct_long_dia", "diagcopd"])
def test_others_are_not(column):
    assert not knows_the_outcome(column)
