"""``lungtwin profiles``: what is shown, and what is refused with which reason."""

from importlib.resources import files

import pytest

from ctsim import load_profile, profile_names
from flows.cli import main

TEXT = files("ctsim").joinpath("profiles/siemens_definition_as.yaml").read_text(encoding="utf-8")


def refused(tmp_path, capsys, text):
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    assert main(["profiles", "validate", str(file)]) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert "mine.yaml" in said
    return said


def changed(*replacements):
    text = TEXT
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new, 1)
    return text


def test_all_are_listed(capsys):
    assert main(["profiles", "list"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in profile_names())


@pytest.mark.parametrize("name", ["siemens_force", "ge_revolution_ct", "philips_brilliance_16", "canon_aquilion_one"])
def test_what_is_shown_is_the_profile_and_marks_what_is_estimated(name, tmp_path, capsys):
    assert main(["profiles", "show", name]) == 0
    said = capsys.readouterr().out
    file = tmp_path / "again.yaml"
    file.write_text(said, encoding="utf-8")
    again = load_profile(file)
    assert again == load_profile(name)
    lines = [line.strip() for line in said.splitlines()]
    marked = {line.split(":")[0]: line.split("#")[1].strip() for line in lines if "#" in line and ":" in line}
    assert marked["electronic_noise_kev"] == "estimated"
    assert marked["source_distance_mm"] == again.provenance("source_distance_mm").status
    assert lines[lines.index("bowties:") - 1] == "# estimated:"


def test_two_are_told_apart(capsys):
    assert main(["profiles", "diff", "siemens_definition_as", "siemens_force"]) == 0
    said = capsys.readouterr().out
    assert "1.2858" in said
    assert "1.02838" in said
    assert "230.0 ~" in said
    assert "120.0 ~" in said
    assert "595" not in said  # the same on both
    assert main(["profiles", "diff", "siemens_force", "siemens_force"]) == 0
    assert capsys.readouterr().out == "0 differences\n"


def test_a_file_is_compared_too(tmp_path, capsys):
    file = tmp_path / "mine.yaml"
    file.write_text(changed(("pitch: 1.0", "pitch: 1.2")), encoding="utf-8")
    assert main(["profiles", "diff", "siemens_definition_as", str(file)]) == 0
    assert capsys.readouterr().out.endswith("1 differences\n")


def test_a_sound_file_is_fine(tmp_path, capsys):
    file = tmp_path / "mine.yaml"
    file.write_text(TEXT, encoding="utf-8")
    assert main(["profiles", "validate", str(file)]) == 0
    assert "fine" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("replacements", "reason"),
    [
        ([("anode_angle_deg: 7.0", "anode_angel_deg: 7.0")], "unknown key; did you mean 'anode_angle_deg'?"),
        ([("  - fields: [couch]\n", "  - fields: [couch.sag_mm]\n")], "no source is given for scanner.couch.width_mm"),
        ([("  - fields: [couch]\n", "  - fields: [couch, cuoch]\n")], "the scanner has no number cuoch"),
        ([("pitch: 1.0", "pitch: 1.7")], "pitch: must be between above 0 and 1.5 (got 1.7)"),
        ([("pitch: 1.0", "pitch: 0.2")], "pitch = 0.2 is outside 0.35 to 1.5"),
        ([("largest_pitch: 1.5", "largest_pitch: 3.2")], "largest_pitch"),
        ([("collimation_rows: 64", "collimation_rows: 48")], "collimation_rows = 48 is not one of 16, 32, 64"),
        (
            [("kvp: 120\n    mode", "kvp: 130\n    mode")],
            "kvp = 130 kV is not a station of the tube (80, 100, 120, 140)",
        ),
        ([("rotation_s: 0.5", "rotation_s: 0.4")], "rotation_s = 0.4 s is not one of"),
        ([("mas_per_rotation: 25.0", "mas_per_rotation: 900.0")], "needs 1800 mA"),
        ([("kernel: B30f", "kernel: B31s")], "unknown kernel 'B31s'"),
        (
            [("bowtie: body\n    rotation", "bowtie: head\n    rotation")],
            "bowtie = 'head' is not one of small, body, large",
        ),
        (
            [("flying_focal_spot: both", "flying_focal_spot: xy")],
            "flying_focal_spot = 'xy' is not one of z, in_plane, both",
        ),
        ([("flying_focal_spot: both", "flying_focal_spot: z")], "kernel 'B70f'"),
        ([("material: gadolinium_oxysulfide", "material: gadolinum")], "gadolinum"),
        ([("    status: published", "    status: sure")], "'measured', 'published' or 'estimated'"),
        ([("source_distance_mm: 595.0", "source_distance_mm: 1595.0")], "must be below detector_distance_mm = 1085.6"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_mistake_is_refused_with_its_reason(replacements, reason, tmp_path, capsys):
    assert reason in refused(tmp_path, capsys, changed(*replacements))


def test_a_tin_filter_at_another_potential_is_refused(tmp_path, capsys):
    text = files("ctsim").joinpath("profiles/siemens_force.yaml").read_text(encoding="utf-8")
    assert "kvp: 100\n    spectral_filter: Sn" in text
    said = refused(tmp_path, capsys, text.replace("kvp: 100\n    spectral_filter", "kvp: 120\n    spectral_filter"))
    assert "kvp = 120 kV cannot be used with Sn (100, 150)" in said


def test_all_mistakes_are_listed_at_once(tmp_path, capsys):
    said = refused(tmp_path, capsys, changed(("n_rows: 64", "n_rows: 0"), ("matrix: 512", "matrix: 5")))
    assert "n_rows" in said
    assert "matrix" in said
    assert all(line.startswith("error: ") for line in said.splitlines())
