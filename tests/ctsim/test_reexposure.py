"""Insets added to an exposure against the exposure of the whole twin, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from ctsim import Sampling, add_insets, detect, expose, load_exposure, load_profile, save_exposure
from ctsim.illumination import illuminate
from ctsim.reexposure import _shadow
from ctsim.subject import inset_digest, subject_of
from ctsim.voxels import basis_insets, pack
from twins import Grid, Inset, Twin, material, phantoms

PROFILE = load_profile("siemens_definition_flash")
FLASH = PROFILE.scanner
SAMPLING = Sampling(views_per_rotation=36, column_binning=8, row_binning=4, rays_per_reading=2)
FLYING = next(one.name for one in FLASH.flying_focal_spots if any(one.axial_mm))


def asked(**update):
    plain = {"scan_range_mm": (-18.0, 18.0), "flying_focal_spot": None}
    return PROFILE.protocol("screening_low_dose").model_copy(update=plain | update)


def ball(name, centre_mm, diameter_mm, *, of="muscle", change=0.7, spacing_mm=0.5) -> Inset:
    n = int(diameter_mm / spacing_mm) + 4
    place = (np.arange(n) - (n - 1) / 2) * spacing_mm
    inside = place[:, None, None] ** 2 + place[:, None] ** 2 + place**2 < (diameter_mm / 2) ** 2
    origin = tuple(c - (n - 1) / 2 * spacing_mm for c in centre_mm)
    delta = np.where(inside, change, 0.0).astype(np.float32)[None]
    return Inset(name, Grid((n, n, n), (spacing_mm,) * 3, origin), (material(of),), delta)


def rough(seed: int = 1) -> Twin:
    """A cylinder whose density changes from voxel to voxel, so that no two planes, rows or columns are alike."""
    twin = phantoms.cylinder(150.0, 90.0, spacing_mm=4.0)
    chance = np.random.default_rng(seed).integers(0, 4000, twin.density.shape)
    return replace(twin, density=np.where(twin.density > 5000, twin.density - chance, twin.density).astype(np.uint16))


NODULES = (
    ball("a", (20.0, -30.0, 4.0), 10.0),
    ball("b", (-45.0, 20.0, -9.0), 16.0),
    ball("c", (27.0, -38.0, 8.0), 6.0),
)


@pytest.fixture(scope="module")
def twin():
    return rough()


def in_shadow(twin, exposure):
    """``(view, row, column)``: readings in the shadow of some inset."""
    scanner, acquisition, sampling = exposure.scanner, exposure.acquisition, exposure.sampling
    light = illuminate(twin, scanner, acquisition, sampling, exposure.geometry, exposure.subject.n_channels)
    there = np.zeros(exposure.geometry.shape, bool)
    for inset in basis_insets(twin):
        shadow = _shadow(inset, light)
        for view in np.flatnonzero(shadow.is_seen):
            there[view, slice(*shadow.row[view]), slice(*shadow.column[view])] = True
    return there


def assert_as_exposed_whole(base_twin, twin, protocol, sampling):
    base, whole = (expose(one, FLASH, protocol, sampling=sampling) for one in (base_twin, twin))
    added = add_insets(base, twin)
    there = in_shadow(twin, base)
    assert 0 < there.mean() < 0.1
    for name in ("signal_kev_per_mas", "mean_energy"):
        before, after, exact = (getattr(one, name) for one in (base, added, whole))
        np.testing.assert_array_equal(exact[~there], before[~there])  # what is beside the shadows knows of no inset
        np.testing.assert_array_equal(after[~there], before[~there])
    np.testing.assert_allclose(added.signal_kev_per_mas, whole.signal_kev_per_mas, rtol=1e-6)
    assert np.abs(added.mean_energy.astype(int) - whole.mean_energy).max() <= 1
    assert np.abs(whole.signal_kev_per_mas / base.signal_kev_per_mas - 1).max() > 0.05
    if sampling.scatter:
        nodes = added.scatter.node_signal_kev_per_mas
        np.testing.assert_allclose(nodes, whole.scatter.node_signal_kev_per_mas, rtol=1e-4)
    np.testing.assert_array_equal(added.topogram.water_mm, whole.topogram.water_mm)
    np.testing.assert_array_equal(added.air_kev_per_mas, whole.air_kev_per_mas)
    assert added.subject == whole.subject


@pytest.mark.parametrize("spot", [None, FLYING])
def test_added_insets_give_the_exposure_of_the_whole_twin(twin, spot):
    assert_as_exposed_whole(twin, twin.with_insets(NODULES), asked(flying_focal_spot=spot), SAMPLING)


def test_parts_of_cells_and_insets_that_were_there_already(twin):
    sampling = SAMPLING.model_copy(update={"row_parts": 2, "column_parts": 2, "scatter": False, "rays_per_reading": 1})
    assert_as_exposed_whole(
        twin.with_insets(NODULES[:1]), twin.with_insets(NODULES[:2]), asked(with_couch=False), sampling
    )


def test_an_axial_scan_sees_part_of_an_inset_at_the_edge_of_its_beam(twin):
    protocol = asked(mode="axial", scan_range_mm=None)
    at_edge = twin.with_insets((ball("edge", (10.0, 20.0, 19.0), 12.0),))
    assert_as_exposed_whole(twin, at_edge, protocol, SAMPLING.model_copy(update={"scatter": False}))


def test_an_inset_where_there_is_no_iodine_in_a_twin_that_has_some(twin):
    which = twin.material_a.copy()
    dense = np.flatnonzero(twin.density[23] > 5000)
    which[23].ravel()[dense[::9]] = len(twin.materials)  # far above the insets
    dyed = replace(twin, material_a=which, materials=(*twin.materials, material("iodinated_blood")))
    assert subject_of(dyed).n_channels == 3
    sampling = SAMPLING.model_copy(update={"rays_per_reading": 1, "scatter": False})
    assert_as_exposed_whole(dyed, dyed.with_insets(NODULES[:1]), asked(), sampling)
    contrast = ball("vessel", (-20.0, 30.0, 0.0), 12.0, of="iodinated_blood", change=0.4)
    assert_as_exposed_whole(dyed, dyed.with_insets((contrast,)), asked(), sampling)


def test_the_exposure_is_left_as_it_was_unless_it_may_be_overwritten(twin):
    base = expose(twin, FLASH, asked(), sampling=SAMPLING)
    before = base.signal_kev_per_mas.tobytes()
    added = add_insets(base, twin.with_insets(NODULES))
    assert base.signal_kev_per_mas.tobytes() == before
    assert added.signal_kev_per_mas.tobytes() != before
    same = add_insets(base, twin.with_insets(NODULES), overwrite=True)
    assert same.signal_kev_per_mas is base.signal_kev_per_mas
    assert same.signal_kev_per_mas.tobytes() == added.signal_kev_per_mas.tobytes()
    assert same.mean_energy.tobytes() == added.mean_energy.tobytes()


def test_insets_added_one_after_the_other_are_those_added_at_once(twin):
    sampling = SAMPLING.model_copy(update={"rays_per_reading": 1})
    base = expose(twin, FLASH, asked(), sampling=sampling)
    at_once = add_insets(base, twin.with_insets(NODULES))
    one_by_one = base
    for n in range(1, 4):
        one_by_one = add_insets(one_by_one, twin.with_insets(NODULES[:n]))
    np.testing.assert_allclose(one_by_one.signal_kev_per_mas, at_once.signal_kev_per_mas, rtol=1e-6)
    assert one_by_one.subject == at_once.subject


def test_other_twins_are_refused(twin):
    base = expose(twin.with_insets(NODULES[:1]), FLASH, asked(), sampling=SAMPLING)
    density = twin.density.copy()
    density[3, 4, 5] += 1
    with pytest.raises(ValueError, match="another base than the one that was exposed"):
        add_insets(base, replace(twin, density=density).with_insets(NODULES))
    with pytest.raises(ValueError, match="twin lacks 1 of the 1 insets that were exposed, it has: b"):
        add_insets(base, twin.with_insets(NODULES[1:2]))
    with pytest.raises(ValueError, match="twin needs 3 channels, 2 were exposed: an inset brings iodine"):
        add_insets(base, twin.with_insets((*NODULES[:1], ball("dye", (0, 0, 0), 8.0, of="iodinated_blood"))))
    with pytest.raises(ValueError, match="does not say whom it was taken of"):
        add_insets(replace(base, subject=None), twin)


def test_a_subject_is_known_by_its_matter_not_by_names(twin):
    known = subject_of(twin.with_insets(NODULES))
    renamed = tuple(replace(inset, name=f"other {inset.name}") for inset in NODULES)
    structure = np.zeros_like(twin.structure)
    assert subject_of(replace(twin, structure=structure).with_insets(renamed)) == known
    moved = replace(twin.grid, origin_mm=(0.0, 0.0, 0.0))
    assert subject_of(replace(twin, grid=moved)).base != known.base
    heavier = replace(NODULES[0], delta_g_cm3=NODULES[0].delta_g_cm3 * np.float32(1.01))
    assert inset_digest(heavier) != known.insets[0]


@pytest.mark.parametrize("reach", [(-3.0, 9.0), (-60.0, -40.0), (30.0, 80.0)])
def test_slices_of_a_range_are_those_of_the_whole(twin, reach):
    whole, some = pack(twin, extend_mm=60.0), pack(twin, z_range_mm=reach)
    low, high = (some.grid.index_to_world((k, 0, 0))[2] for k in (-0.5, some.grid.shape[0] - 0.5))
    assert low <= reach[0] < low + 4.0
    assert high - 4.0 <= reach[1] <= high
    first = round(whole.grid.world_to_index(some.grid.origin_mm)[0])
    np.testing.assert_array_equal(some.words, whole.words[:, :, first : first + some.grid.shape[0]])


def test_an_exposure_comes_back_from_its_file_bit_by_bit(twin, tmp_path):
    exposure = expose(twin, FLASH, asked(), sampling=SAMPLING)
    save_exposure(exposure, tmp_path / "one.h5")
    again = load_exposure(tmp_path / "one.h5")
    save_exposure(again, tmp_path / "two.h5")
    assert (tmp_path / "two.h5").read_bytes() == (tmp_path / "one.h5").read_bytes()
    for name in ("scanner", "acquisition", "sampling", "scan_range_mm", "backend", "device", "subject"):
        assert getattr(again, name) == getattr(exposure, name)
    added = [add_insets(one, twin.with_insets(NODULES)) for one in (exposure, again)]
    noisy = [detect(one, asked(), key=3).line_integral.tobytes() for one in added]
    assert noisy[0] == noisy[1]
    bare = replace(exposure, scatter=None, topogram=None, subject=None)
    save_exposure(bare, tmp_path / "bare.h5")
    assert load_exposure(tmp_path / "bare.h5").subject is None


def test_damaged_exposures_are_refused(twin, tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_exposure(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("no", encoding="utf-8")
    with pytest.raises(ValueError, match=r"text.h5 cannot be read as an exposure"):
        load_exposure(tmp_path / "text.h5")
