"""Profiles that ship are whole; impossible protocols are refused with the reason."""

import pytest

from ctsim import Sampling, load_profile, profile_names
from ctsim.dose import ctdi_vol_mgy
from ctsim.profile import Profile
from twins.specfile import check_spec

AS = load_profile("siemens_definition_as")


@pytest.mark.parametrize("name", profile_names())
def test_screening_and_diagnostic_share_one_exposure_and_differ_in_dose(name):
    profile = load_profile(name)
    low, high = profile.protocol("screening_low_dose"), profile.protocol("diagnostic")
    assert low.acquisition() == high.acquisition()
    assert hash(low.acquisition()) == hash(high.acquisition())
    assert low.mas_per_rotation < high.mas_per_rotation / 3


@pytest.mark.parametrize("name", profile_names())
def test_a_screening_scan_stays_below_3_mgy(name):
    profile = load_profile(name)
    assert 0.5 < ctdi_vol_mgy(profile.scanner, profile.protocol("screening_low_dose")) < 3.0  # CMS limit


def test_dose_is_proportional_to_mas_and_inverse_to_pitch():
    protocol = AS.protocol("diagnostic")
    twice = protocol.model_copy(update={"mas_per_rotation": 260.0, "pitch": 0.5})
    assert ctdi_vol_mgy(AS.scanner, twice) == pytest.approx(4 * ctdi_vol_mgy(AS.scanner, protocol))


def test_a_profile_survives_json():
    assert Profile.model_validate_json(AS.model_dump_json()) == AS


def test_a_number_without_a_source_is_refused():
    data = AS.model_dump()
    data["sources"] = [s for s in data["sources"] if "bowties" not in s["fields"]]
    with pytest.raises(ValueError, match=r"no source is given for scanner\.bowties"):
        check_spec(data, Profile, name="p")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"kvp": 130}, "kvp = 130 kV is not a station"),
        ({"collimation_rows": 48}, "collimation_rows = 48"),
        ({"pitch": 0.2}, "pitch = 0.2"),
        ({"rotation_s": 0.4}, "rotation_s = 0.4"),
        ({"mas_per_rotation": 900.0}, "1800 mA"),
        ({"bowtie": "head"}, "bowtie = 'head'"),
    ],
)
def test_what_the_scanner_cannot_do_is_refused_with_the_reason(change, reason):
    with pytest.raises(ValueError, match=reason):
        AS.protocol("diagnostic").model_copy(update=change).check_on(AS.scanner)


def test_a_pitch_above_one_and_a_half_is_no_protocol():
    data = AS.protocol("diagnostic").model_dump() | {"pitch": 1.6}
    with pytest.raises(ValueError, match="pitch"):
        type(AS.protocol("diagnostic")).model_validate(data)


def test_a_misspelt_profile_is_named_with_its_likely_meaning():
    with pytest.raises(ValueError, match="did you mean 'siemens_definition_as'"):
        load_profile("siemens_definiton_as")


def test_odd_views_per_rotation_are_refused():
    with pytest.raises(ValueError, match="even"):
        Sampling(views_per_rotation=361)
