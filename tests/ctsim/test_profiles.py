"""Profiles that ship are whole and say what their sources say; impossible protocols are refused with the reason."""

import math
import re

import numpy as np
import pytest

from ctsim import Sampling, load_profile, profile_names
from ctsim.bowtie import equalising_thickness_mm
from ctsim.dose import ctdi_vol_mgy
from ctsim.profile import Profile
from ctsim.tube_current import FixedCurrent
from twins import material
from twins.specfile import check_spec

AS = load_profile("siemens_definition_as")
NAMED = {"screening_low_dose", "nlst_screening", "ultra_low_dose", "volumetry", "diagnostic", "axial", "step_and_shoot"}
RADIUS_MM = {"small": 150.0, "body": 200.0, "medium": 200.0, "large": 250.0, "S": 150.0, "M": 200.0, "L": 250.0}


@pytest.mark.parametrize("name", profile_names())
def test_the_same_protocols_have_the_same_names_everywhere(name):
    profile = load_profile(name)
    assert profile.name == name
    assert {p.name for p in profile.protocols} >= NAMED
    for still in ("nlst_screening", "axial"):
        assert isinstance(profile.protocol(still).tube_current, FixedCurrent)
    assert not profile.protocol("axial").with_couch
    nlst = profile.protocol("nlst_screening")
    assert nlst.mas_per_rotation / nlst.pitch == pytest.approx(40.0, rel=0.02)  # effective mAs


@pytest.mark.parametrize("name", profile_names())
def test_every_protocol_can_be_reconstructed_with_its_own_kernel(name):
    load_profile(name).check_kernels()


def test_a_kernel_beyond_its_own_sampling_is_refused():
    data = AS.model_dump()
    sharp = next(p for p in data["protocols"] if p["name"] == "lung_sharp")
    assert sharp["flying_focal_spot"] == "both"
    sharp["flying_focal_spot"] = "z"  # deflects along z alone: columns stay where they are
    with pytest.raises(ValueError, match=r"protocol 'lung_sharp': kernel 'B70f' .* in-plane flying focal spot"):
        Profile.model_validate(data).check_kernels()


@pytest.mark.parametrize("name", profile_names())
def test_bowties_are_what_their_source_says(name):
    scanner = load_profile(name).scanner
    for bowtie in scanner.bowties:
        expected = equalising_thickness_mm(
            bowtie.fan_angle_deg,
            filter_material=material(bowtie.material),
            source_distance_mm=scanner.source_distance_mm,
            radius_mm=RADIUS_MM[bowtie.name],
            strength=0.4,
            largest_mm=32.0,
        )
        np.testing.assert_allclose(bowtie.thickness_mm, expected, atol=0.006)  # two decimals


@pytest.mark.parametrize("name", profile_names())
def test_flying_spots_move_samples_by_half_a_pitch_at_the_isocentre(name):
    scanner = load_profile(name).scanner
    shrink = 1 - scanner.source_distance_mm / scanner.detector_distance_mm  # of a spot's move, seen at the isocentre
    pitch_iso = scanner.detector.column_pitch_mm * scanner.source_distance_mm / scanner.detector_distance_mm
    for spot in scanner.flying_focal_spots:
        across, along = np.ptp(spot.tangential_mm) * shrink, np.ptp(spot.axial_mm) * shrink
        assert across == pytest.approx(0, abs=1e-9) or across == pytest.approx(pitch_iso / 2, rel=1e-3)
        assert along == pytest.approx(0, abs=1e-9) or along == pytest.approx(
            scanner.detector.row_pitch_iso_mm / 2, rel=1e-3
        )
        assert max(across, along) > 0


def test_published_geometry_is_in_the_profiles():
    pitch = {n: load_profile(n).scanner.column_pitch_rad for n in profile_names()}
    assert pitch["siemens_definition_as"] == pytest.approx(0.0011844, rel=1e-4)  # FreeCT
    assert pitch["siemens_definition_flash"] == pitch["siemens_definition_as"]
    assert pitch["siemens_force"] == pytest.approx(0.00094729, rel=1e-4)
    assert pitch["siemens_sensation_64"] == pytest.approx(2 * math.pi / 4640, rel=1e-4)
    vct = load_profile("ge_lightspeed_vct").scanner
    at_detector = vct.detector.row_pitch_iso_mm * vct.detector_distance_mm / vct.source_distance_mm
    assert at_detector == pytest.approx(1.0964, rel=1e-3)  # Wang 2006
    assert max(load_profile("ge_revolution_ct").scanner.collimations_rows) * 0.625 == 160.0


@pytest.mark.parametrize(
    ("name", "ctdi_vol_mgy_", "effective_mas"),
    [("ge_lightspeed_vct", 11.8, 134), ("siemens_sensation_64", 19.2, 266), ("philips_brilliance_64", 8.8, 112)],
)
def test_published_output_is_in_the_profiles(name, ctdi_vol_mgy_, effective_mas):
    """Br J Radiol 82 (2009) 1010, table 2."""
    (index,) = load_profile(name).scanner.dose_indices
    assert (index.kvp, index.phantom_mm) == (120, 320)
    assert index.ctdi_w_mgy_per_100mas == pytest.approx(100 * ctdi_vol_mgy_ / effective_mas, rel=0.01)


@pytest.mark.parametrize("name", profile_names())
def test_what_is_remembered_is_not_called_published(name):
    for entry in load_profile(name).sources:
        if re.search("memory|unverified|no vendor data|chosen|taken over|[Dd]esign default", entry.source):
            assert entry.status == "estimated", entry


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


@pytest.mark.parametrize(
    ("field", "key", "value", "reason"),
    [
        (
            "dose_indices",
            "kvp",
            125,
            r"dose_indices: kvp = 125 kV is not one of kvp_stations",
        ),
        ("dose_indices", "bowtie", "head", r"dose_indices: bowtie = 'head' is not one of"),
    ],
)
def test_tables_of_what_the_scanner_cannot_do_are_refused(field, key, value, reason):
    data = AS.scanner.model_dump()
    data[field][0][key] = value
    with pytest.raises(ValueError, match=reason):
        type(AS.scanner).model_validate(data)
