"""A twin in basis densities: linear, above room air, in world orientation."""

import numpy as np
import pytest

from ctsim.basis import coefficients
from ctsim.voxels import BASIS_STEP_G_CM3, IODINE_STEP_G_CM3, basis_insets, pack, room_air_g_cm3
from twins import Grid, Inset, Twin, material

AIR, WATER, BONE, BLOOD = (material(n) for n in ("air", "water", "cortical_bone", "iodinated_blood"))


def twin(materials=(AIR, WATER), a=0, b=0, fraction=0.0, density=1.0, shape=(3, 4, 5), direction=None, insets=()):
    grid = Grid(shape, (3.0, 2.0, 1.0), (10.0, 20.0, 30.0), *(() if direction is None else (direction,)))
    full = lambda value, dtype: np.full(shape, value, dtype)  # noqa: E731
    rho = np.broadcast_to(np.rint(np.asarray(density) * 1e4), shape).astype(np.uint16)
    return Twin(
        grid,
        full(0, np.uint16),
        full(a, np.uint8),
        full(b, np.uint8),
        full(round(fraction * 65535), np.uint16),
        rho,
        tuple(materials),
        insets=tuple(insets),
    )


def unpacked(volume):
    return np.stack([volume.words & 0xFFFF, volume.words >> 16]) * volume.step_g_cm3


def expected(substance, density):
    c = coefficients(substance)
    return np.array([c.basis_0, c.basis_1]) * density - room_air_g_cm3()[:2]


def test_water_becomes_its_basis_densities_above_room_air():
    got = unpacked(pack(twin(a=1)))
    assert got.shape == (2, 4, 5, 3)  # (channel, y, x, z)
    np.testing.assert_allclose(got, expected(WATER, 1.0)[:, None, None, None] + 0 * got, atol=BASIS_STEP_G_CM3 / 2)


def test_room_air_and_vacuum_are_zero():
    assert not pack(twin(density=0.0012)).words.any()
    assert not pack(twin(density=0.0)).words.any()


def test_a_mixture_is_the_sum_of_its_partial_densities():
    got = unpacked(pack(twin((WATER, BONE), 0, 1, fraction=0.25, density=1.3)))[:, 0, 0, 0]
    want = 0.75 * expected(WATER, 1.3) + 0.25 * expected(BONE, 1.3)
    np.testing.assert_allclose(got, want, atol=BASIS_STEP_G_CM3)


def test_iodine_has_a_channel_only_where_it_occurs():
    assert pack(twin((AIR, WATER, BLOOD), a=1)).iodine is None
    volume = pack(twin((AIR, BLOOD), a=1, density=1.087))
    assert volume.iodine is not None
    np.testing.assert_allclose(volume.iodine * IODINE_STEP_G_CM3, 0.04, atol=1e-5)  # 40 mg/mL; composition rounded


def test_an_inset_of_contrast_gives_the_base_an_iodine_channel_too():
    inset = Inset("a", Grid((2, 2, 2), (1.0, 1.0, 1.0)), (WATER, BLOOD), np.ones((2, 2, 2, 2), np.float32))
    body = twin(a=1, insets=[inset])
    assert pack(body).n_channels == 3
    (delta,) = (i.delta for i in basis_insets(body))
    c, d = coefficients(WATER), coefficients(BLOOD)
    np.testing.assert_allclose(delta[:, 0, 0, 0], [c.basis_0 + d.basis_0, c.basis_1 + d.basis_1, d.iodine], rtol=1e-6)


def test_a_lattice_that_runs_backwards_is_turned_to_the_world():
    values = np.linspace(0.1, 1.2, 60).reshape(3, 4, 5)
    straight = pack(twin(a=1, density=values))
    turned = pack(twin(a=1, density=values, direction=(-1, 0, 0, 0, -1, 0, 0, 0, 1)))
    np.testing.assert_array_equal(turned.words, straight.words[::-1, ::-1])
    assert turned.grid.origin_mm == pytest.approx((10.0 - 4.0, 20.0 - 6.0, 30.0))


def test_a_lattice_with_swapped_axes_is_turned_to_the_world():
    values = np.linspace(0.1, 1.2, 60).reshape(3, 4, 5)
    # index x runs along world z, index z along world x
    body = twin(a=1, density=values, direction=(0, 0, 1, 0, 1, 0, 1, 0, 0))
    volume = pack(body)
    assert volume.grid.shape == (5, 4, 3)
    for index in ((0, 0, 0), (2, 1, 4), (1, 3, 2)):
        z, y, x = np.rint(volume.grid.world_to_index(body.grid.index_to_world(index))).astype(int)
        want = expected(WATER, np.rint(values[index] * 1e4) * 1e-4)[0]
        assert (volume.words[y, x, z] & 0xFFFF) * BASIS_STEP_G_CM3 == pytest.approx(want, abs=BASIS_STEP_G_CM3)


def test_metal_in_a_voxel_is_refused_by_name_and_unused_metal_is_not():
    titanium = material("titanium")
    pack(twin((WATER, titanium)))
    with pytest.raises(ValueError, match="titanium"):
        pack(twin((WATER, titanium), a=1))


def test_a_density_beyond_the_range_is_refused():
    with pytest.raises(ValueError, match=r"beyond the projector's range of 3\.3"):
        pack(twin((WATER,), density=6.0))


def test_the_end_slices_go_on_beyond_the_lattice_where_that_is_asked():
    density = np.array([1.0, 1.1, 1.2])[:, None, None]
    body = twin((AIR, WATER), a=1, density=density)
    plain, longer = pack(body), pack(body, extend_mm=4.0)
    assert longer.words.shape[2] == plain.words.shape[2] + 4  # two slices of 3 mm at each end
    np.testing.assert_array_equal(longer.words[:, :, 2:-2], plain.words)
    np.testing.assert_array_equal(longer.words[:, :, :2], plain.words[:, :, :1].repeat(2, axis=2))
    np.testing.assert_array_equal(longer.words[:, :, -2:], plain.words[:, :, -1:].repeat(2, axis=2))
    np.testing.assert_allclose(longer.grid.index_to_world((2, 0, 0)), plain.grid.index_to_world((0, 0, 0)))
