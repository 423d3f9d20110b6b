"""A profile as a list of values with their sources; two profiles side by side."""

import pytest

from ctsim import load_profile, profile_names
from ctsim.facts import PRESENT, differences, facts

AS = load_profile("siemens_definition_as")


@pytest.mark.parametrize("name", profile_names())
def test_every_number_has_a_source(name):
    found = facts(load_profile(name))
    assert len({fact.field for fact in found}) == len(found)
    assert {fact.status for fact in found} <= {"measured", "published", "estimated"}
    numbers = [fact for fact in found if not isinstance(fact.value, str)]
    assert len(numbers) > 100
    assert all(fact.source for fact in numbers)


def test_a_value_is_told_with_its_own_source():
    found = {fact.field: fact for fact in facts(AS)}
    assert found["scanner.bowties.body.fan_angle_deg"].status == "estimated"
    assert found["scanner.detector.n_columns"].value == 736
    assert "FreeCT" in found["scanner.detector.n_columns"].source
    assert found["scanner.dose_indices.120_body_320.ctdi_w_mgy_per_100mas"].value == 6.8
    assert found["protocols.diagnostic.reconstruction.kernel"].value == "B50f"
    pair = {fact.field: fact for fact in facts(load_profile("philips_brilliance_16"))}
    assert pair["kernels.L.overshoot"].status == "measured"


def test_a_profile_does_not_differ_from_itself():
    assert differences(AS, AS) == ()


def test_one_changed_number_is_one_difference():
    scanner = AS.scanner.model_copy(update={"anode_angle_deg": 8.0})
    (found,) = differences(AS, AS.model_copy(update={"scanner": scanner}))
    assert (found.field, found.first.value, found.second.value) == ("scanner.anode_angle_deg", 7.0, 8.0)


def test_what_one_lacks_is_one_difference():
    fewer = AS.model_copy(update={"kernels": AS.kernels[:-1]})
    (found,) = differences(AS, fewer)
    assert found.field == "kernels.B70f"
    assert found.first.value is PRESENT
    assert found.second is None
    (back,) = differences(fewer, AS)
    assert back.first is None
    assert back.second.value is PRESENT
