"""End to end: water is 0 HU, air -1000 HU, inserts what their attenuation says; noise is that of the dose."""

from functools import cache

import numpy as np
import pytest

from ctsim import Sampling, detect, expose, load_profile, reconstruct, scan
from ctsim.attenuation import ENERGY_KEV, mass_attenuation
from ctsim.protocol import Corrections
from ctsim.spectrum import tube_spectrum
from twins import Grid, material, phantoms

AS = load_profile("siemens_definition_as")
COARSE = Sampling(views_per_rotation=360, column_binning=4, row_binning=16, rays_per_reading=1, scatter=False)
AVERAGED = COARSE.model_copy(update={"rays_per_reading": 4})
PIXEL_MM, N_PIXELS = 4.0, 112
GRID = Grid((1, N_PIXELS, N_PIXELS), (4.0, PIXEL_MM, PIXEL_MM), (-222.0, -222.0, 0.0))
AXIS = np.arange(N_PIXELS) * PIXEL_MM - 222.0
RANGES = {"axial": (-10.0, 10.0), "screening_low_dose": (-6.0, 6.0)}


def protocol(name, **change):
    return AS.protocol(name).model_copy(update={"scan_range_mm": RANGES[name], "with_couch": False, **change})


@cache
def exposure(name, diameter_mm, *rods, sampling):
    """Exposure of a water cylinder with rods ``(material, x, y, density)`` of 40 mm diameter."""
    inserts = [phantoms.rod(40.0, 100.0, m, at_mm=(x, y), density_g_cm3=rho) for m, x, y, rho in rods]
    twin = phantoms.cylinder(float(diameter_mm), 100.0, inserts=inserts, spacing_mm=(10.0, 2.5, 2.5))
    return expose(twin, AS.scanner, protocol(name), sampling=sampling)


def image(name, *body, key=None, **change):
    return image_of(detect(exposure(name, *body, sampling=COARSE), protocol(name, **change), key=key))


def image_of(sinogram):
    return reconstruct(sinogram, kernel=AS.kernel("B30f"), grid=GRID, slice_thickness_mm=10.0).hu[0].astype(float)


def radius(x=0.0, y=0.0):
    return np.hypot(AXIS[None, :] - x, AXIS[:, None] - y)


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize(("diameter_mm", "sampling"), [(200, COARSE), (300, COARSE), (400, COARSE), (300, AVERAGED)])
def test_water_is_zero_from_centre_to_rim(name, diameter_mm, sampling):
    hu = image_of(detect(exposure(name, diameter_mm, sampling=sampling), protocol(name), key=None))
    r = radius()
    inside = r < diameter_mm / 2 - 12  # clear of the edge's blur at 2.8 mm detector cells
    assert hu[inside].mean() == pytest.approx(0.0, abs=0.5)  # measured 0.08; the bar is 2
    assert hu[r < 30].mean() == pytest.approx(0.0, abs=1.0)
    assert hu[inside & (r > diameter_mm / 2 - 30)].mean() == pytest.approx(0.0, abs=1.0)  # no cup


@pytest.mark.parametrize("kvp", [80, 100, 140])
def test_water_is_zero_at_every_tube_potential(kvp):
    chosen = protocol("axial", kvp=kvp)
    twin = phantoms.cylinder(300.0, 100.0, spacing_mm=(10.0, 2.5, 2.5))
    hu = image_of(detect(expose(twin, AS.scanner, chosen, sampling=COARSE), chosen, key=None))
    r = radius()
    assert hu[r < 138].mean() == pytest.approx(0.0, abs=0.5)
    assert hu[r < 30].mean() == pytest.approx(0.0, abs=1.0)
    assert hu[(r > 120) & (r < 138)].mean() == pytest.approx(0.0, abs=1.0)


def test_scatter_darkens_water_and_its_correction_brings_it_back():
    # means of the whole body; what the scanner's estimator leaves at the centre is stated with it (ctsim.scatter)
    with_scatter = COARSE.model_copy(update={"scatter": True})
    corrected, plain = (
        image_of(detect(exposure("axial", 300, sampling=with_scatter), changed, key=None))
        for changed in (protocol("axial"), protocol("axial", corrections=Corrections(scatter=False)))
    )
    inside = radius() < 138
    assert plain[inside].mean() < -15.0  # measured -22
    assert abs(corrected[inside].mean()) < 2.0  # measured 1.0


@pytest.mark.parametrize("name", RANGES)
def test_air_is_minus_a_thousand(name):
    hu = image(name, 200)
    r = radius()
    # median: values are clipped at -1024, which cuts the lower half of what streaks there are at 360 views
    assert np.median(hu[(r > 115) & (r < 235)]) == pytest.approx(-1000.0, abs=2.0)


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("diameter_mm", [200, 300, 400])
def test_the_mean_of_air_is_minus_a_thousand_where_nothing_is_clipped(name, diameter_mm, monkeypatch):
    monkeypatch.setattr("ctsim.recon.hounsfield.LOWEST_HU", -20000)
    hu = image(name, diameter_mm)
    r = radius()
    assert hu[(r > diameter_mm / 2 + 15) & (r < 235)].mean() == pytest.approx(-1000.0, abs=2.0)  # measured 0.8


def test_an_air_pocket_inside_the_body_is_minus_a_thousand():
    hu = image("axial", 300, ("air", 60.0, 0.0, None))
    assert hu[radius(60.0) < 10].mean() == pytest.approx(-1000.0, abs=2.0)


def expected_hu(name, density):
    """HU that the ray through the middle of a 40 mm rod in 300 mm of water gives it: full curves, no bases."""
    gos = material("gadolinium_oxysulfide")
    absorbed = 1 - np.exp(-mass_attenuation(gos) * gos.density_g_cm3 * 0.1)
    beam = tube_spectrum(120, 7.0, [(material("aluminium"), 6.8)])
    weight = beam.fluence_per_mm2_mas * ENERGY_KEV * absorbed
    water, rod = mass_attenuation(material("water")), mass_attenuation(material(name)) * density
    signal = lambda water_mm, rod_mm: weight @ np.exp(-(water * water_mm + rod * rod_mm) / 10)  # noqa: E731
    lengths = np.linspace(0, 600, 6001)
    water_only = -np.log([signal(t, 0.0) for t in lengths])
    equivalent_mm = np.interp(-np.log(signal(260.0, 40.0)), water_only, lengths)
    return 1000 * ((equivalent_mm - 260.0) / 40.0 - 1)


@pytest.mark.parametrize(
    ("name", "density", "tolerance"),
    [
        ("lung_tissue", 0.26, 3.0),
        ("adipose", 0.95, 2.0),
        ("muscle", 1.05, 2.0),
        ("pmma", 1.18, 3.0),
        ("spongiosa_spine", 1.074, 4.0),
        ("cortical_bone", 1.3, 20.0),  # shorter chords harden less: a rod of bone is cupped, lowest in its middle
        ("iodinated_blood", 1.087, 40.0),  # and contrast of 40 mg/mL more so
    ],
)
def test_inserts_have_the_number_that_their_attenuation_gives(name, density, tolerance):
    hu = image("axial", 300, (name, 0.0, 0.0, density))
    assert hu[radius() < 10].mean() == pytest.approx(expected_hu(name, density), abs=tolerance)


def spread(difference):
    """Noise of one image from the difference of two, without the rounding to whole HU (variance 1/12 each)."""
    return np.sqrt(difference[radius() < 80].var() / 2 - 1 / 12)


def noise_hu(mas, key=1, name="axial"):
    # of two keys' difference, so that rings and streaks that are not noise drop out
    a, b = (image(name, 200, key=k, mas_per_rotation=mas) for k in (key, key + 1))
    return spread(a - b)


def test_noise_falls_as_the_root_of_the_dose():
    low, high = noise_hu(10.0), noise_hu(160.0)
    # 1200 pixels, correlated over a few: 5 % each; electronic noise adds 2 % at 10 mAs
    assert low / high == pytest.approx(4.0, rel=0.12)


def test_noise_does_not_depend_on_the_simulated_views():
    few = noise_hu(100.0)
    other = COARSE.model_copy(update={"views_per_rotation": 576})
    sinograms = [
        detect(exposure("axial", 200, sampling=other), protocol("axial", mas_per_rotation=100.0), key=k) for k in (1, 2)
    ]
    a, b = (
        reconstruct(s, kernel=AS.kernel("B30f"), grid=GRID, slice_thickness_mm=10.0).hu[0].astype(float)
        for s in sinograms
    )
    assert spread(a - b) == pytest.approx(few, rel=0.12)


def test_noise_leaves_the_mean_alone():
    clean, noisy = image("axial", 300), image("axial", 300, key=5, mas_per_rotation=100.0)
    inside = radius() < 130
    assert (noisy - clean)[inside].mean() == pytest.approx(0.0, abs=1.0)


def test_same_key_same_bytes_for_any_number_of_threads_and_another_key_others(on_one_and_all_threads):
    twin = phantoms.cylinder(150.0, 60.0, spacing_mm=5.0)
    sampling = Sampling(views_per_rotation=60, column_binning=16, row_binning=16)
    take = lambda key: scan(twin, AS.scanner, protocol("axial"), key=key, sampling=sampling)  # noqa: E731
    one, many = on_one_and_all_threads(lambda: take(2**63 + 5))
    assert one.line_integral.tobytes() == many.line_integral.tobytes()
    assert take(5).line_integral.tobytes() != many.line_integral.tobytes()


@pytest.mark.parametrize("name", RANGES)
def test_a_body_cut_by_the_ends_of_its_twin_reads_right_to_the_last_slice(name):
    grid = Grid((4, 112, 112), (10.0, 2.5, 2.5), (-138.75, -138.75, -15.0))
    twin = phantoms.cylinder(240.0, 100.0, grid=grid)
    scanned = scan(twin, AS.scanner, protocol(name, scan_range_mm=(-15.0, 15.0)), key=None, sampling=COARSE)
    ends = Grid((2, N_PIXELS, N_PIXELS), (28.0, PIXEL_MM, PIXEL_MM), (-222.0, -222.0, -14.0))
    hu = reconstruct(scanned, kernel=AS.kernel("B30f"), grid=ends, slice_thickness_mm=5.0).hu.astype(float)
    assert np.abs(hu[:, radius() < 100]).mean(axis=1).max() < 5.0  # without going on: tens of HU
