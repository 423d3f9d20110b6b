"""Tube current modulation: shapes, sizes and limits of each vendor's style on topograms of water ellipses."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from ctsim import Kernel, Sampling, load_profile
from ctsim.protocol import current_limits_ma
from ctsim.topogram import Topogram
from ctsim.trajectory import plan_geometry
from ctsim.tube_current import (
    DoseRightIndex,
    FixedCurrent,
    NoiseIndex,
    ReferenceMas,
    TargetSd,
    TubeCurrent,
    mas_per_view,
    mean_mas_per_rotation,
    modulate,
)
from ctsim.water_noise import image_variance_hu2_per_mm2, water_beam
from twins.phantoms import cylinder

PROFILE = load_profile("siemens_definition_as")
SCANNER = PROFILE.scanner.model_copy(update={"smallest_tube_current_ma": 1.0, "largest_tube_current_ma": 2000.0})
SCANNER = SCANNER.model_copy(
    update={"focal_spots": tuple(s.model_copy(update={"largest_ma": None}) for s in SCANNER.focal_spots)}
)
COARSE = Sampling(column_binning=4, row_binning=8, views_per_rotation=64)
STANDARD = Kernel(name="standard", mtf50_per_mm=0.35, mtf10_per_mm=0.6)
RANGE_MM = (-120.0, 120.0)


def protocol(style, **changes):
    base = PROFILE.protocols[0]
    rows = max(n for n in SCANNER.collimations_rows if n % 8 == 0)
    defaults = {
        "isocentre_mm": (0.0, 0.0), "collimation_rows": rows, "mode": "helical", "pitch": 1.0, "rotation_s": 0.5,
        "scan_range_mm": RANGE_MM, "mas_per_rotation": 100.0, "tube_current": style,
    }  # fmt: skip
    return base.model_copy(update={**defaults, **changes})


def ellipses(geometry, along_x_mm, along_y_mm):
    """A topogram of water ellipses whose diameters at z are given by two functions."""
    half = geometry.row_pitch_mm * len(geometry.row_offset_mm) / 2
    z = np.arange(geometry.source_z_mm.min() - half, geometry.source_z_mm.max() + half, 2.0)
    fan = np.linspace(-0.45, 0.45, 301)
    place = 595.0 * np.sin(fan)
    water = np.zeros((2, len(z), len(fan)), np.float32)
    for k, (along, across) in enumerate(((along_y_mm(z), along_x_mm(z)), (along_x_mm(z), along_y_mm(z)))):
        inside = 1 - (2 * place / np.maximum(across, 1e-9)[:, None]) ** 2
        water[k] = along[:, None] * np.sqrt(np.maximum(inside, 0))
    return Topogram(("ap", "lateral"), z, fan, 595.0, water, np.zeros((2, len(fan)), np.float32))


def chosen(style, along_x_mm=300.0, along_y_mm=300.0, *, scanner=SCANNER, **changes):
    """Modulation and geometry of a scan of ellipses; a diameter is a number or a function of z."""
    asked = protocol(style, **changes)
    geometry = plan_geometry(cylinder(100.0, 240.0, spacing_mm=10.0), scanner, asked, COARSE)
    sizes = [f if callable(f) else (lambda z, f=f: np.full(len(z), f)) for f in (along_x_mm, along_y_mm)]
    return modulate(asked, ellipses(geometry, *sizes), geometry, scanner), geometry


def p_of(length_mm):
    return water_beam(SCANNER, protocol(FixedCurrent())).attenuation(length_mm)


def test_fixed_is_the_same_everywhere_and_needs_no_topogram():
    asked = protocol(FixedCurrent())
    geometry = plan_geometry(cylinder(100.0, 240.0, spacing_mm=10.0), SCANNER, asked, COARSE)
    np.testing.assert_array_equal(mas_per_view(asked, None, geometry, SCANNER), np.full(geometry.shape[0], 100.0))
    with pytest.raises(ValueError, match="'reference_mas' follows a topogram"):
        mas_per_view(protocol(ReferenceMas()), None, geometry, SCANNER)


@pytest.mark.parametrize("modulation", ["angular", "longitudinal", "both"])
def test_the_reference_patient_gets_the_reference_mas(modulation):
    made, _ = chosen(ReferenceMas(modulation=modulation, reference_diameter_mm=300.0))
    np.testing.assert_allclose(made.mas, 100.0, rtol=0.01)
    made, _ = chosen(DoseRightIndex(modulation=modulation, index=14, reference_index=14, reference_diameter_mm=300.0))
    np.testing.assert_allclose(made.mas, 100.0, rtol=0.01)


def test_within_a_rotation_the_current_goes_with_the_root_of_the_attenuation():
    made, geometry = chosen(ReferenceMas(modulation="angular"), 380.0, 240.0)
    along_x = int(np.argmin(np.abs(np.sin(geometry.view_angle_rad))))
    along_y = int(np.argmin(np.abs(np.cos(geometry.view_angle_rad))))
    ratio = np.log(made.mas[along_x] / made.mas[along_y])
    # the fan sees an ellipse a little less long than wide: 1 % of the diameters
    assert ratio == pytest.approx(0.5 * (p_of(380.0) - p_of(240.0)), rel=0.04)
    turn = geometry.views_per_rotation
    assert made.mas[turn : 2 * turn].mean() == pytest.approx(made.mas[10 : 10 + turn].mean(), rel=1e-3)


def test_gies_modulation_is_the_least_noise_for_the_mas():
    """<exp(p) / g> with <g> = 1 is least for g ~ exp(p / 2): flat and steeper modulation are noisier."""
    made, geometry = chosen(ReferenceMas(modulation="angular"), 400.0, 250.0)
    turn = slice(geometry.views_per_rotation, 2 * geometry.views_per_rotation)
    beta = geometry.view_angle_rad[turn]
    p = p_of(400.0 * 250.0 / np.hypot(np.cos(beta) * 250.0, np.sin(beta) * 400.0))

    def noise(g):
        return float((np.exp(p) / (g / g.mean())).mean())

    least = noise(made.mas[turn])
    assert least < noise(np.ones(len(p)))
    assert least < noise(np.exp(p))
    assert least == pytest.approx(noise(np.exp(p / 2)), rel=1e-3)


@pytest.mark.parametrize(
    ("slim", "obese", "diameter_mm", "exponent"),
    [
        ("average", "average", 250.0, 0.5),
        ("average", "average", 350.0, 0.5),
        ("very_strong", "weak", 250.0, 0.8),
        ("very_strong", "weak", 350.0, 0.35),
        ("weak", "very_weak", 350.0, 0.2),
    ],
)
def test_slim_and_obese_branches_have_their_own_strength(slim, obese, diameter_mm, exponent):
    made, _ = chosen(ReferenceMas(slim=slim, obese=obese), diameter_mm, diameter_mm)
    gain = np.log(made.mas.mean() / 100.0)
    assert gain == pytest.approx(exponent * (p_of(diameter_mm) - p_of(300.0)), rel=0.03)


def test_each_index_of_dose_right_is_twelve_percent():
    one, two = (chosen(DoseRightIndex(index=i, reference_index=14))[0].mas.mean() for i in (16, 17))
    assert two / one == pytest.approx(1.12)


@pytest.mark.parametrize("modulation", ["longitudinal", "both"])
def test_along_z_the_current_follows_the_size(modulation):
    def shape(z):
        return np.where(z < 0, 240.0, 340.0)

    made, geometry = chosen(ReferenceMas(modulation=modulation), shape, shape)
    low, high = made.mas[geometry.source_z_mm < -50], made.mas[geometry.source_z_mm > 50]
    assert np.log(high.mean() / low.mean()) == pytest.approx(0.5 * (p_of(340.0) - p_of(240.0)), rel=0.03)
    # the beam's width smooths the step: a ramp as wide as the beam, no wider
    beam_mm = len(geometry.row_offset_mm) * geometry.row_pitch_mm * 595.0 / geometry.detector_distance_mm
    between = (made.mas > low.mean() * 1.02) & (made.mas < high.mean() * 0.98)
    width = np.ptp(geometry.source_z_mm[between])
    assert 0.6 * beam_mm < width <= beam_mm + 4
    angular, _ = chosen(ReferenceMas(modulation="angular"), shape, shape)
    np.testing.assert_allclose(angular.mas, angular.mas.mean(), rtol=0.02)


@pytest.mark.parametrize("style", [NoiseIndex, TargetSd])
def test_constant_noise_needs_mas_that_grow_with_the_attenuation(style):
    name = "noise_index_hu" if style is NoiseIndex else "sd_hu"
    quiet = SCANNER.model_copy(update={"detector": SCANNER.detector.model_copy(update={"electronic_noise_kev": 0.0})})
    mas = {
        (hu, d): chosen(
            style(**{name: hu}, kernel=STANDARD, slice_thickness_mm=5.0), d, d, scanner=quiet, mas_per_rotation=900.0
        )[0].mas.mean()
        for hu in (10.0, 20.0)
        for d in (200.0, 300.0)
    }
    assert mas[10.0, 300.0] / mas[20.0, 300.0] == pytest.approx(4.0, rel=1e-3)
    # variance of water thickness ~ exp(p) / slope^2: a little less than exp(p) as the beam hardens
    growth = np.log(mas[20.0, 300.0] / mas[20.0, 200.0]) / (p_of(300.0) - p_of(200.0))
    assert 0.95 < growth < 1.15


def test_electronic_noise_asks_for_more_where_signal_is_scarce():
    noisy = SCANNER.model_copy(
        update={"detector": SCANNER.detector.model_copy(update={"electronic_noise_kev": 3000.0})}
    )
    asked = NoiseIndex(noise_index_hu=30.0, kernel=STANDARD)
    for diameter, more in ((200.0, 1.0), (400.0, 1.05)):
        with_it = chosen(asked, diameter, diameter, scanner=noisy, mas_per_rotation=900.0)[0].mas.mean()
        without = chosen(asked, diameter, diameter, mas_per_rotation=900.0)[0].mas.mean()
        assert with_it >= more * without


def test_noise_falls_with_slice_thickness_and_rises_with_sharpness():
    sharp = Kernel(name="sharp", mtf50_per_mm=0.5, mtf10_per_mm=0.9)
    thin, thick, edgy = (
        image_variance_hu2_per_mm2(SCANNER, protocol(FixedCurrent()), k, t)
        for k, t in ((STANDARD, 2.5), (STANDARD, 5.0), (sharp, 5.0))
    )
    assert thin / thick == pytest.approx(2.0, rel=0.1)
    assert edgy / thick > (0.9 / 0.6) ** 3 * 0.7


def test_currents_stay_within_generator_spot_and_protocol_and_the_clip_is_known():
    spot = SCANNER.focal_spots[0].model_copy(update={"largest_ma": 300.0})
    scanner = SCANNER.model_copy(update={"smallest_tube_current_ma": 40.0, "focal_spots": (spot,)})
    assert current_limits_ma(scanner, protocol(FixedCurrent(), focal_spot=None)) == (40.0, 300.0)
    made, _ = chosen(ReferenceMas(obese="very_strong"), 460.0, 300.0, scanner=scanner, focal_spot=None)
    assert made.mas.max() == 150.0 < made.asked_mas.max()
    assert 0 < made.clipped_fraction < 1
    made, _ = chosen(ReferenceMas(slim="very_strong"), 100.0, 100.0, scanner=scanner, focal_spot=None)
    assert made.mas.max() == 20.0
    assert made.clipped_fraction == 1.0
    asked = NoiseIndex(noise_index_hu=5.0, kernel=STANDARD, smallest_ma=60.0)
    made, _ = chosen(asked, lambda z: np.where(z < 0, 60.0, 400.0), 300.0, scanner=scanner, focal_spot=None)
    assert made.mas.max() == 100.0  # mas_per_rotation
    assert made.mas.min() >= 30.0
    assert mean_mas_per_rotation(made.mas) == pytest.approx(made.mas.mean())


def test_nothing_in_the_beam_gets_the_least():
    made, _ = chosen(NoiseIndex(noise_index_hu=20.0, kernel=STANDARD), 0.0, 0.0)
    np.testing.assert_allclose(made.mas, 0.5)


def test_impossible_currents_are_refused_with_the_reason():
    scanner = PROFILE.scanner
    spots = scanner.model_copy(
        update={"focal_spots": (scanner.focal_spots[0].model_copy(update={"largest_ma": 90.0}),)}
    )
    plain = PROFILE.protocols[0].model_copy(update={"rotation_s": 0.5, "mas_per_rotation": 50.0, "focal_spot": None})
    plain.check_on(scanner)
    with pytest.raises(ValueError, match=r"needs 100 mA, the tube gives 20 to 90 mA"):
        plain.check_on(spots)
    with pytest.raises(ValueError, match=r"needs 2 mA, the tube gives 20"):
        plain.model_copy(update={"mas_per_rotation": 1.0}).check_on(scanner)
    asked = NoiseIndex(noise_index_hu=20.0, kernel=STANDARD, smallest_ma=200.0)
    with pytest.raises(ValueError, match=r"smallest_ma = 200.0 mA is outside 20 to 100 mA"):
        plain.model_copy(update={"tube_current": asked}).check_on(scanner)


def test_styles_are_read_by_their_name():
    read = TypeAdapter(TubeCurrent).validate_python
    assert read({"style": "reference_mas", "slim": "weak"}) == ReferenceMas(slim="weak")
    assert read({"style": "fixed"}) == FixedCurrent()
    kernel = {"name": "standard", "mtf50_per_mm": 0.35, "mtf10_per_mm": 0.6}
    assert read({"style": "target_sd", "sd_hu": 12, "kernel": kernel}) == TargetSd(sd_hu=12.0, kernel=STANDARD)
    with pytest.raises(ValidationError, match="care_dose"):
        read({"style": "care_dose"})
    with pytest.raises(ValidationError, match="strengths"):
        read({"style": "reference_mas", "strengths": "weak"})
