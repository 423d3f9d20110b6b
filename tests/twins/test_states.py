"""The same person at another breath or time is the same anatomy; every field of a spec does something."""

from __future__ import annotations

import numpy as np
import pytest

from twins import LOBES, LUNG, Structure, Twin, TwinSpec, build
from twins.card import calibration
from twins.card.branches import branches_of
from twins.lung_function import functional_residual_capacity_l, residual_volume_l
from twins.lungs import solve
from twins.states import at_functional_residual_capacity, at_inflation, at_residual_volume, breath_hold, later

from .people import MAN, WOMAN


def shares(twin: Twin) -> np.ndarray:
    counts = np.array([np.count_nonzero(twin.structure == lobe) for lobe in LOBES], float)
    return 100 * counts / counts.sum()


@pytest.fixture(scope="session")
def man_out() -> Twin:
    return build(at_functional_residual_capacity(MAN), spacing_mm=3.0)


def test_volumes_of_breathing_are_those_predicted():
    full = MAN.full_volume_l()
    frc, rv = at_functional_residual_capacity(MAN), at_residual_volume(MAN)
    assert frc.target_volume_l() == pytest.approx(0.75 * functional_residual_capacity_l("male", 62, 176), rel=1e-6)
    assert rv.target_volume_l() == pytest.approx(max(residual_volume_l("male", 62, 176), 0.35 * full), rel=1e-6)
    assert rv.target_volume_l() < frc.target_volume_l() < full
    # air trapped by emphysema leaves more behind
    trapped = at_residual_volume(MAN.model_copy(update={"emphysema_percent": 15.0}))
    assert trapped.inflation > rv.inflation
    with pytest.raises(ValueError, match="inflation"):
        at_inflation(MAN, 0.2)


def test_a_breath_hold_differs_a_little_and_keeps_the_person():
    rng = np.random.default_rng(4)
    holds = [breath_hold(MAN, rng) for _ in range(400)]
    volume = np.array([spec.target_volume_l() for spec in holds])
    # +- 4 %: the standard error of an SD from 400 draws is 0.14 points
    assert volume.std() / volume.mean() == pytest.approx(0.04, abs=0.006)
    assert volume.mean() == pytest.approx(MAN.target_volume_l(), rel=0.01)
    same = {"inflation": MAN.inflation, "diaphragm_shift_mm": MAN.diaphragm_shift_mm}
    assert all(spec.model_copy(update=same) == MAN for spec in holds)


def test_years_later_the_person_is_older_and_has_the_same_bones():
    rng = np.random.default_rng(5)
    now = later(WOMAN, 3.0, rng)
    assert (now.key, now.height_cm, now.sex) == (WOMAN.key, WOMAN.height_cm, WOMAN.sex)
    assert now.age_y == WOMAN.age_y + 3
    assert now.emphysema_percent >= WOMAN.emphysema_percent
    assert now.target_tissue_mass_g() == pytest.approx(WOMAN.target_tissue_mass_g(), abs=0.01)
    assert now.target_kyphosis_deg() == WOMAN.target_kyphosis_deg()
    grown = [later(WOMAN, 10.0, rng).emphysema_percent / WOMAN.emphysema_percent for _ in range(100)]
    # current smokers: 4 % a year
    assert np.mean(grown) == pytest.approx(np.exp(0.4), rel=0.1)
    quit_y = WOMAN.model_copy(update={"smoking": "former", "years_since_quit_y": 4.0, "smoking_duration_y": 40.0})
    assert later(quit_y, 2.0, rng).years_since_quit_y == 6.0
    assert later(quit_y, 2.0, rng).pack_years == WOMAN.pack_years
    with pytest.raises(ValueError, match="years must lie"):
        later(WOMAN, -1.0, rng)
    with pytest.raises(ValueError, match="age_y"):
        later(WOMAN.model_copy(update={"age_y": 90.0}), 8.0, rng)


def test_the_chest_of_a_breath_has_the_height_of_full_effort_and_a_higher_diaphragm():
    out = solve(at_inflation(MAN, 0.6))
    full = solve(MAN)
    assert out.cage.height_mm == full.cage.height_mm
    assert 0.9 < out.cage.width_mm / full.cage.width_mm < 1
    assert 0.85 < out.cage.depth_mm / full.cage.depth_mm < 1
    z = full.lattice.axes_mm()[0]
    base = [z[np.flatnonzero((chest.lung < 0).any((1, 2)))[0]] for chest in (full, out)]
    # of a full breath the diaphragm moves by 7 to 11 cm
    assert 40 < base[1] - base[0] < 110
    old = solve(
        later(MAN, 4.0, np.random.default_rng(1)).model_copy(update={"inflation": 1.0, "diaphragm_shift_mm": 0.0})
    )
    assert old.cage.height_mm == pytest.approx(full.cage.height_mm, rel=1e-6)
    assert old.cage.depth_mm == pytest.approx(full.cage.depth_mm, rel=1e-6)


def test_the_same_person_has_the_same_tree_and_lobes_in_every_breath(man, man_out):
    for name in ("airways", "arteries", "veins"):
        one, other = (branches_of(getattr(twin, name)) for twin in (man, man_out))
        np.testing.assert_array_equal(one.mother, other.mother)
        np.testing.assert_array_equal(one.lobe, other.lobe)
        # branches shorten by the cube root of the volume or so
        grown = (one.lobe > 0) & (one.length_mm > 2)
        ratio = np.median(other.length_mm[grown] / one.length_mm[grown])
        assert ratio == pytest.approx(man_out.provenance["spec"]["inflation"] ** (1 / 3), rel=0.12)  # type: ignore[index]
    # Yamada 2020: lobes differ by 2.4 % points between people, so a breath must not move them by more than one
    np.testing.assert_allclose(shares(man_out), shares(man), atol=1.2)
    inside = man_out.is_any(LUNG)
    index = np.rint(man_out.grid.world_to_index(man_out.arteries.end_mm[man_out.arteries.lobe > 0])).astype(int)
    assert np.mean(~inside[tuple(np.clip(index, 0, np.array(inside.shape) - 1).T)]) < 0.04


def test_lungs_are_denser_when_they_hold_less_air(man, man_out):
    density = [{t.name: t for t in calibration(twin)}["lung_density_g_cm3"] for twin in (man, man_out)]
    inflation = man_out.provenance["spec"]["inflation"]  # type: ignore[index]
    # tissue is conserved; blood leaves with the length of the vessels, and weighs a third of the lungs
    assert 0.75 / inflation < density[1].measured / density[0].measured < 1 / inflation
    assert density[1].measured == pytest.approx(density[1].target, rel=0.10)
    # the diaphragm is higher: liver at levels where there was lung
    top = [
        twin.grid.axes_mm()[0][np.flatnonzero((twin.structure == Structure.LIVER).any((1, 2)))[-1]]
        for twin in (man, man_out)
    ]
    assert top[1] > top[0] + 20


def test_the_calibration_is_kept_with_the_twin(man):
    kept = {row["name"]: row for row in man.provenance["calibration"]}  # type: ignore[union-attr]
    for target in calibration(man):
        assert kept[target.name]["measured"] == pytest.approx(target.measured, abs=1e-5)
    assert kept["lung_volume_l"]["measured"] == pytest.approx(kept["lung_volume_l"]["target"], rel=0.01)


BASE = TwinSpec(
    sex="female", age_y=60, height_cm=165, bmi=27, smoking="current", pack_years=40, smoking_duration_y=40,
    family_history=False, copd=False, extrathoracic_cancer_over_5y=False, emphysema_percent=8, emphysema_type="mixed",
    lung_volume_l=5.0, tissue_mass_g=450, dependent_atelectasis=0.3, n_scars=1, n_lymph_nodes=4, coronary_calcium=0.3,
    aortic_calcium=0.3, costal_calcification=0.3, apical_cap_mm=3, kyphosis_deg=40, right_major_completeness=0.8,
    left_major_completeness=0.8, minor_completeness=0.8, key=5,
)  # fmt: skip

OTHER = {
    "sex": "male", "age_y": 70.0, "height_cm": 172.0, "bmi": 31.0, "smoking": "never", "pack_years": 60.0,
    "smoking_duration_y": 30.0, "years_since_quit_y": 5.0, "family_history": True, "copd": True,
    "extrathoracic_cancer_over_5y": True, "emphysema_percent": 15.0, "emphysema_type": "panlobular",
    "paraseptal_share": 0.7, "emphysema_upper": 0.4, "lung_volume_l": 4.5, "inflation": 0.9, "tissue_mass_g": 500.0,
    "heart_scale": 1.1, "chest_width_scale": 1.04, "chest_depth_scale": 1.05, "right_share": 0.55,
    "right_middle_share": 0.15, "right_lower_share": 0.45, "left_lower_share": 0.46, "right_major_completeness": 0.3,
    "left_major_completeness": 0.3, "minor_completeness": 0.3, "variants": ("azygos_fissure",),
    "diaphragm_shift_mm": 8.0, "kyphosis_deg": 55.0, "wall_thickness_scale": 1.5, "texture_scale": 2.0,
    "dependent_atelectasis": 0.9, "apical_cap_mm": 8.0, "n_scars": 5, "n_lymph_nodes": 12, "coronary_calcium": 0.9,
    "aortic_calcium": 0.9, "costal_calcification": 0.9, "blood_iodine_mg_ml": 10.0, "breast_scale": 1.3, "key": 6,
}  # fmt: skip
OF_THE_RECORD = (
    "smoking", "pack_years", "years_since_quit_y", "family_history", "copd", "extrathoracic_cancer_over_5y",
    "smoking_duration_y",
)  # fmt: skip


def test_every_field_has_another_value_here():
    assert set(OTHER) == set(TwinSpec.model_fields)


@pytest.fixture(scope="session")
def base_bytes() -> list[bytes]:
    return arrays(BASE)


def arrays(spec: TwinSpec) -> list[bytes]:
    twin = build(spec, spacing_mm=6.0)
    return [getattr(twin, name).tobytes() for name in ("density", "structure", "fraction_b")] + [
        repr(twin.materials).encode()
    ]


@pytest.mark.parametrize("field", OF_THE_RECORD)
def test_each_field_of_the_history_reaches_the_patient(field):
    base = BASE.model_copy(update={"smoking": "former", "years_since_quit_y": 2.0})
    assert base.model_copy(update={field: OTHER[field]}).patient() != base.patient()


@pytest.mark.slow
@pytest.mark.parametrize("field", [name for name in OTHER if name not in OF_THE_RECORD])
def test_each_other_field_changes_the_twin(field, base_bytes):
    assert arrays(TwinSpec.model_validate(BASE.model_dump() | {field: OTHER[field]})) != base_bytes
