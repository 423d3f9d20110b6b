"""Reconstructions of exact data: values, places, sharpness, slices, borders."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctsim.image import CT, load_ct
from ctsim.quality import wire_mtf
from ctsim.recon import Kernel, reconstruct
from ctsim.recon.chain import cubic_response, geometric_chain
from ctsim.recon.filtering import filter_rows, parallel_filter, softened, window
from ctsim.recon.hounsfield import to_hu
from ctsim.recon.slices import box_for, profile_fwhm_mm
from ctsim.tube import FocalSpot
from tests.ctsim.scans import Ellipsoid, centred, geometry, integrals

SMOOTH = Kernel(name="smooth", mtf50_per_mm=0.2, mtf10_per_mm=0.36)
SPOT = FocalSpot(name="point", width_mm=0.0, length_mm=0.0)
MU = 0.02  # of water, so that a value of 1 is 0 HU


def scan(g, line_integral, **options):
    """What reconstruct() needs of a sinogram."""
    choice = {"kernel": "smooth", "fov_mm": 200.0, "matrix": 64, "slice_thickness_mm": 2.0, "increment_mm": 2.0}
    choice |= {"iterative_strength": 0}
    choice |= {"centre_mm": None} | options.pop("choice", {})
    protocol = SimpleNamespace(
        reconstruction=SimpleNamespace(**choice),
        name="test",
        kvp=120,
        mas_per_rotation=100.0,
        focal_spot=None,
        corrections=SimpleNamespace(bone=False),
    )
    return SimpleNamespace(
        geometry=g,
        line_integral=(MU * line_integral).astype(np.float32),
        mu_water_per_mm=MU,
        protocol=protocol,
        scanner=SimpleNamespace(
            name="nobody's",
            anode_angle_deg=7.0,
            focal_spot=lambda _: SPOT,
            detector=SimpleNamespace(xray_crosstalk=(0.0, 0.0), optical_crosstalk=(0.0, 0.0)),
        ),
        sampling=SimpleNamespace(**{"column_binning": 1, "row_binning": 1, "rays_per_reading": 1} | options),
        key=1,
        ctdi_vol_mgy=None,
        meta={"z_range_mm": (-4.0, 4.0)},
    )


BODY = Ellipsoid((0, 0, 0), (80, 60, np.inf))
BALL = Ellipsoid((25, 10, 1), (20, 20, 20))
TURNS = [
    pytest.param({"rotations": 1}, id="axial"),
    pytest.param({"rotations": 5, "feed_mm": 22.4, "start_z_mm": -56.0}, id="pitch 1"),
    pytest.param({"rotations": 4.5, "feed_mm": 31.36, "start_z_mm": -70.56}, id="pitch 1.4"),
    pytest.param({"rotations": 8, "feed_mm": 11.2, "start_z_mm": -44.8}, id="pitch 0.5"),
    pytest.param({"rotations": 5, "feed_mm": -22.4, "start_z_mm": 56.0}, id="table the other way"),
]


@cache
def body_data(turns):
    g = geometry(288, 16, 150, pitch_iso_mm=1.4, row_iso_mm=1.4, start_rad=0.4, **dict(turns))
    return g, integrals(g, [BODY, BALL])


def body_scan(turns, **options):
    return scan(*body_data(tuple(turns.items())), **options)


@pytest.mark.parametrize("turns", TURNS)
def test_a_body_and_a_ball_keep_their_values(turns):
    sinogram = body_scan(turns)
    grid = centred((3, 121, 121), (1.0, 1.5, 1.5))
    ct = reconstruct(sinogram, kernel=SMOOTH, grid=grid)
    _, y, x = grid.axes_mm()
    to_ball = np.hypot(y[:, None] - 10, x - 25)
    body = (x / 68) ** 2 + (y[:, None] / 51) ** 2 < 1
    outside = ((x / 92) ** 2 + (y[:, None] / 72) ** 2 > 1) & (np.hypot(y[:, None], x) < 85)
    # exact data: half a unit of rounding is averaged away; 0.5 HU are 5e-4 (cone beam, 144 directions)
    assert abs(ct.hu[1][body & (to_ball > 26)].mean()) < 0.5
    assert abs(ct.hu[1][to_ball < 13].mean() - 1000) < 1.0
    assert abs(ct.hu[1][outside].mean() + 1000) < 1.0
    assert ct.hu[1][body & (to_ball > 26)].std() < 8  # streaks between 288 views


@pytest.mark.parametrize("turns", TURNS[:3])
def test_an_off_centre_ball_is_found_where_it_is(turns):
    ball = Ellipsoid((37.3, -21.6, 1.4), (4.0, 4.0, 4.0))
    g = geometry(288, 24, 90, pitch_iso_mm=1.4, row_iso_mm=1.0, start_rad=0.4, isocentre_mm=(5.0, -3.0), **turns)
    grid = centred((21, 31, 31), (1.0, 1.0, 1.0), (37.0, -22.0, 1.0))
    ct = reconstruct(scan(g, integrals(g, [ball], 2)), kernel=SMOOTH, grid=grid, slice_thickness_mm=1.5)
    weight = ct.hu.astype(float) + 1000
    weight *= weight > 50
    where = [(weight * axis).sum() / weight.sum() for axis in np.meshgrid(*grid.axes_mm(), indexing="ij")]
    np.testing.assert_allclose(where[::-1], (37.3, -21.6, 1.4), atol=0.1)  # a tenth of a voxel


WIRE_MM, WIRE_RADIUS_MM = (3.13, -2.31), 0.25


@cache
def wire_scan(is_helical):
    """Exact cell averages of a thin endless wire."""
    turns = {"rotations": 3, "feed_mm": 16.0, "start_z_mm": -24.0} if is_helical else {}
    g = geometry(400, 16 if is_helical else 3, 120, pitch_iso_mm=0.7, row_iso_mm=1.0, start_rad=0.1, **turns)
    body = Ellipsoid((*WIRE_MM, 0.0), (WIRE_RADIUS_MM, WIRE_RADIUS_MM, np.inf), 11.0)
    central = replace(g, row_offset_mm=np.zeros(1))
    # cells are wider than the wire: average over 32 rays of each column
    places = (np.arange(32) + 0.5) / 32 - 0.5
    shifted = (replace(central, column_angle_rad=g.column_angle_rad + s * g.column_pitch_rad) for s in places)
    in_plane = sum(integrals(each, [body]) for each in shifted) / 32
    in_plane += integrals(central, [Ellipsoid((0, 0, 0), (30, 30, np.inf))])  # water, so that no undershoot is clipped
    slant = np.hypot(1, g.row_offset_mm / g.detector_distance_mm)
    return scan(g, in_plane * slant[:, None])


def wire(kernel, is_helical):
    grid = centred((1, 81, 81), (1.0, 0.25, 0.25), (*WIRE_MM, 0.0))
    ct = reconstruct(wire_scan(is_helical), kernel=kernel, grid=grid)
    assert ct.hu.max() < 3071
    frequency = np.linspace(0, 1.4, 281)
    return wire_mtf(ct.hu[0], (0.25, 0.25), wire_diameter_mm=2 * WIRE_RADIUS_MM, frequency_per_mm=frequency)


@pytest.mark.parametrize("is_helical", [False, True], ids=["axial", "helical"])
@pytest.mark.parametrize(
    "kernel",
    [
        Kernel(name="body", mtf50_per_mm=0.34, mtf10_per_mm=0.62),
        Kernel(name="lung", mtf50_per_mm=0.53, mtf10_per_mm=0.88),
        Kernel(name="enhancing", mtf50_per_mm=0.55, mtf10_per_mm=0.8, overshoot=0.2),
    ],
    ids=lambda k: k.name,
)
def test_a_wires_mtf_is_the_kernels(kernel, is_helical):
    found = wire(kernel, is_helical)
    # 5 %: aliasing of 0.7 mm cells and whole HU; the design itself is exact
    assert found.frequency_at(0.5) == pytest.approx(kernel.mtf50_per_mm, rel=0.05)
    assert found.frequency_at(0.1) == pytest.approx(kernel.mtf10_per_mm, rel=0.05)
    low = found.frequency_per_mm < kernel.mtf10_per_mm
    np.testing.assert_allclose(found.mtf[low], kernel.mtf(found.frequency_per_mm[low]), atol=0.05)


@pytest.mark.parametrize("turns", TURNS[:2])
@pytest.mark.parametrize("thickness", [1.5, 3.0])
def test_a_slice_is_as_thick_as_asked(turns, thickness):
    disc = Ellipsoid((2.0, 1.0, 0.3), (30.0, 30.0, 0.2), 5.0)
    g = geometry(144, 16, 60, pitch_iso_mm=1.4, row_iso_mm=1.0, **turns)
    line = integrals(g, [disc], 4)
    grid = centred((81, 3, 3), (0.1, 1.4, 1.4), (2.0, 1.0, 0.3))
    ct = reconstruct(scan(g, line), kernel=SMOOTH, grid=grid, slice_thickness_mm=thickness)
    profile = ct.hu.mean(axis=(1, 2)) + 1000.0
    above = np.nonzero(profile > profile.max() / 2)[0]
    found = 0.1 * (above[-1] - above[0] + 1)
    assert ct.meta["slice_thickness_mm"] == pytest.approx(thickness, rel=0.01)
    assert found == pytest.approx(thickness, rel=0.12, abs=0.15)  # cone angles differ over a turn
    middle = 0.05 * (above[0] + above[-1] - 80)
    assert abs(middle) < 0.3  # rows of 1 mm see the disc in one phase; a quarter of a row, and the step of 0.1 mm


def test_slices_outside_the_scan_and_pixels_outside_the_field_hold_the_padding():
    sinogram = body_scan(TURNS[1].values[0])
    grid = centred((7, 61, 61), (30.0, 5.0, 5.0))
    ct = reconstruct(sinogram, kernel=SMOOTH, grid=grid)
    r = np.hypot(*np.meshgrid(*grid.axes_mm()[1:]))
    radius = ct.meta["field_of_view_radius_mm"]
    gamma = sinogram.geometry.column_angle_rad
    assert radius == pytest.approx(595 * np.sin(min(-gamma[0], gamma[-1])))
    assert np.all(ct.hu[:, r > radius] == -1024)
    assert np.all(ct.hu[[0, 6]] == -1024)  # 90 mm off, the helix ends at 56 mm
    assert (ct.hu[3][r < radius] == -1024).mean() < 0.01  # streaks in air reach the end of the scale here and there
    assert ct.meta["n_unseen_voxels"] > 0


def test_the_protocol_gives_what_is_not_asked_for():
    sinogram = body_scan(TURNS[0].values[0], choice={"centre_mm": (10.0, -20.0), "increment_mm": 1.5})
    ct = reconstruct(sinogram, kernel=SMOOTH)
    assert ct.grid.shape == (6, 64, 64)  # 8 mm hold 5 increments of 1.5 mm
    np.testing.assert_allclose(ct.grid.spacing_mm, (1.5, 3.125, 3.125))
    np.testing.assert_allclose(ct.grid.centre_mm, (10.0, -20.0, 0.0), atol=1e-9)
    assert ct.meta["slice_thickness_mm"] == pytest.approx(2.0, rel=0.01)


def test_what_cannot_be_resolved_is_refused_and_softened_only_in_previews():
    sharp = Kernel(name="sharp", mtf50_per_mm=0.65, mtf10_per_mm=1.0)
    turns, grid = TURNS[0].values[0], centred((1, 8, 8), (1.0, 4.0, 4.0))
    with pytest.raises(ValueError, match="kernel 'sharp' asks for"):
        reconstruct(body_scan(turns), kernel=sharp, grid=grid)
    with pytest.raises(ValueError, match="slice_thickness_mm must be at least"):
        reconstruct(body_scan(turns), kernel=SMOOTH, grid=grid, slice_thickness_mm=1.0)
    preview = reconstruct(
        body_scan(turns, column_binning=2, row_binning=2), kernel=sharp, grid=grid, slice_thickness_mm=1
    )
    assert preview.meta["kernel_is_softened"]
    assert preview.meta["slice_is_thickened"]
    assert 0.4 < preview.meta["kernel_mtf10_per_mm"] < 0.72
    with pytest.raises(ValueError, match="needs full rotations"):
        reconstruct(body_scan({"rotations": 0.8}), kernel=SMOOTH, grid=grid)
    with pytest.raises(ValueError, match="no half turn"):
        reconstruct(body_scan({"rotations": 0.5, "feed_mm": 20.0}), kernel=SMOOTH, grid=grid)
    with pytest.raises(ValueError, match="in no shipped profile"):
        reconstruct(body_scan(turns), grid=grid)


def test_progress_grows_to_one():
    seen: list[float] = []
    for turns in TURNS[:2]:
        seen.clear()
        reconstruct(body_scan(turns.values[0]), kernel=SMOOTH, grid=centred((1, 8, 8), (1, 4, 4)), progress=seen.append)
        assert seen == sorted(seen)
        assert seen[-1] == 1.0


@given(f50=st.floats(0.1, 1.0), ratio=st.floats(1.1, 2.4), overshoot=st.sampled_from([0.0, 0.1, 0.3]))
def test_a_kernels_mtf_goes_through_its_points(f50, ratio, overshoot):
    kernel = Kernel(name="k", mtf50_per_mm=f50, mtf10_per_mm=f50 * ratio, overshoot=overshoot)
    np.testing.assert_allclose(kernel.mtf([0.0, f50, f50 * ratio]), [1.0, 0.5, 0.1], atol=1e-9)
    dense = kernel.mtf(np.linspace(0, 4 * f50, 4001))
    assert dense.max() == pytest.approx(1 + overshoot, abs=2e-3)
    assert np.all(np.diff(dense[dense.argmax() :]) < 1e-9)


def test_an_impossible_kernel_is_refused():
    with pytest.raises(ValueError, match="mtf10_per_mm must be"):
        Kernel(name="k", mtf50_per_mm=0.5, mtf10_per_mm=0.5)
    with pytest.raises(ValueError, match="overshoot"):
        Kernel(name="k", mtf50_per_mm=0.5, mtf10_per_mm=1.39, overshoot=1.0)


def test_the_cubic_response_is_the_transform_of_the_cubic():
    x = np.linspace(-2, 2, 40001)
    a = np.abs(x)
    cubic = np.where(a <= 1, (1.5 * a - 2.5) * a**2 + 1, ((-0.5 * a + 2.5) * a - 4) * a + 2)
    for f in (0.0, 0.2, 0.5, 0.9):
        assert cubic_response(f) == pytest.approx(np.trapezoid(cubic * np.cos(2 * np.pi * f * x), x), abs=1e-6)


def test_the_ramp_of_a_parallel_filter_keeps_the_mean():
    g = geometry(8, 1, 200, pitch_iso_mm=1.0)
    chain = geometric_chain(g)
    transfer = parallel_filter(SMOOTH, chain, 400)
    f = np.fft.rfftfreq(2 * (len(transfer) - 1), chain.place_mm)
    middle = (f > 0.02) & (f < 0.3)
    # band-limited samples, cut at the padded length: 1 / (pi^2 n step) off the straight line
    np.testing.assert_allclose(transfer[middle], (f * window(SMOOTH, chain, f))[middle], atol=3e-3)
    constant = filter_rows(np.ones((1, 400), np.float32), transfer)
    assert abs(constant[0, 150:250]).max() < 0.02


def test_a_softened_kernel_is_reachable_and_a_reachable_one_is_left_alone():
    chain = geometric_chain(geometry(8, 1, 100, pitch_iso_mm=1.4))
    assert softened(SMOOTH, chain) is SMOOTH
    soft = softened(Kernel(name="sharp", mtf50_per_mm=0.65, mtf10_per_mm=1.0), chain)
    assert soft.mtf10_per_mm / soft.mtf50_per_mm == pytest.approx(1.0 / 0.65)
    window(soft, chain, [0.1])
    plain = geometric_chain(geometry(8, 1, 100, pitch_iso_mm=1.4, offset=0.0))
    assert chain.is_interleaved
    assert not plain.is_interleaved
    assert plain.limit_per_mm == chain.limit_per_mm / 2


@given(row=st.floats(0.3, 3.0), ratio=st.floats(1.05, 5.0))
def test_the_box_makes_the_thickness(row, ratio):
    assert profile_fwhm_mm(row, box_for(ratio * row, row)) == pytest.approx(ratio * row, rel=2e-3)


def test_hounsfield_units_are_rounded_and_clipped():
    np.testing.assert_array_equal(to_hu(np.array([0.0, 0.02, 0.020009, 0.2, -0.2]), 0.02), [-1000, 0, 0, 3071, -1024])
    with pytest.raises(ValueError, match="finite"):
        to_hu(np.array([np.nan]), 0.02)
    with pytest.raises(ValueError, match="mu_water_per_mm"):
        to_hu(np.array([0.1]), 0.0)


def test_a_ct_comes_back_from_its_file_and_nibabel_sees_the_same_points(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    grid = centred((4, 5, 6), (2.5, 0.7, 0.6), (10.0, -20.0, 30.0))
    hu = np.arange(120, dtype=np.int16).reshape(grid.shape) - 60
    for name in ("a.nii.gz", "b.nii"):
        CT(grid, hu).save(tmp_path / name)
        back = load_ct(tmp_path / name)
        np.testing.assert_array_equal(back.hu, hu)
        assert back.grid.same_as(grid, 1e-4)  # the header holds float32
    image = nibabel.load(tmp_path / "a.nii.gz")
    np.testing.assert_allclose(
        image.affine @ (3, 2, 1, 1) * (-1, -1, 1, 1), (*grid.index_to_world((1, 2, 3)), 1), atol=1e-4
    )
    np.testing.assert_allclose(image.get_qform(), image.get_sform(), atol=1e-4)
    assert image.get_data_dtype() == np.int16
    assert image.dataobj[3, 2, 1] == hu[1, 2, 3]
    with pytest.raises(ValueError, match="suffix|must end"):
        CT(grid, hu).save(tmp_path / "c.mha")
    with pytest.raises(ValueError, match="shape"):
        CT(grid, hu[1:])
    (tmp_path / "broken.nii").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"broken\.nii"):
        load_ct(tmp_path / "broken.nii")
