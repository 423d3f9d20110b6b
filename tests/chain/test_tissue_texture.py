"""Texture moves volume between materials and nothing else; iodine is there to the milligram."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from ctsim.voxels import pack
from lesions.hounsfield import mass_attenuation_cm2_g
from twins import Structure, Twin, TwinSpec, material
from twins.canvas import INK, Canvas, palette
from twins.grid import Grid
from twins.tissue import enhanced, paint_texture

MAN = TwinSpec(sex="male", age_y=62, height_cm=176, bmi=26, key=1)


def block(name: str, structure: Structure, n: int = 48, spacing_mm: float = 1.0) -> Canvas:
    canvas = Canvas.of_air(Grid((n, n, n), (spacing_mm,) * 3, (0.5 * spacing_mm,) * 3))
    canvas.structure[:] = structure
    canvas.material_a[:] = canvas.material_b[:] = INK[name]
    canvas.density[:] = round(material(name).density_g_cm3 * 1e4)
    return canvas


def hu(canvas: Canvas) -> np.ndarray:
    mu = np.array([mass_attenuation_cm2_g(m) for m in palette()])
    share = canvas.fraction_b / 65535
    mixed = (1 - share) * mu[canvas.material_a] + share * mu[canvas.material_b]
    return 1000 * (mixed * canvas.density * 1e-4 / mass_attenuation_cm2_g(material("water")) - 1)


@pytest.mark.parametrize(("name", "other"), [("adipose", "muscle"), ("muscle", "adipose")])
def test_every_voxel_is_a_mixture_by_volume(name, other):
    canvas = block(name, Structure.FAT)
    paint_texture(canvas, MAN)
    rho = canvas.density * 1e-4
    share = np.where(canvas.material_a == INK[other], 1 - canvas.fraction_b / 65535, canvas.fraction_b / 65535)
    share[canvas.material_a == canvas.material_b] = 0
    volume = rho * (1 - share) / material(name).density_g_cm3 + rho * share / material(other).density_g_cm3
    np.testing.assert_allclose(volume, 1.0, atol=1.5e-4)  # one step of density
    assert 0.005 < share.mean() < 0.08
    # fat and muscle of real scans: 5 to 15 HU beyond the noise
    assert 3 < hu(canvas).std() < 15


@pytest.mark.parametrize("age_y", [35.0, 60.0, 80.0])
def test_trabecular_bone_follows_age(age_y):
    means = []
    for key in range(12):
        canvas = block("spongiosa_spine", Structure.VERTEBRA, 24)
        paint_texture(canvas, MAN.model_copy(update={"age_y": age_y, "key": key}))
        means.append(float(hu(canvas).mean()))
    # 240 - 1.9 age +- 35 HU: the mean of twelve persons within three standard errors
    assert np.mean(means) == pytest.approx(240 - 1.9 * age_y, abs=3 * 35 / 12**0.5)
    assert 10 < np.std(means) < 60


def test_the_texture_is_the_same_at_every_spacing_and_number_of_threads():
    fine, coarse = block("adipose", Structure.FAT, 48, 1.0), block("adipose", Structure.FAT, 24, 2.0)
    threads = numba.get_num_threads()
    paint_texture(fine, MAN)
    numba.set_num_threads(1)
    again = block("adipose", Structure.FAT, 48, 1.0)
    paint_texture(again, MAN)
    numba.set_num_threads(threads)
    assert again.density.tobytes() == fine.density.tobytes()
    paint_texture(coarse, MAN)
    mean = hu(fine).reshape(24, 2, 24, 2, 24, 2).mean((1, 3, 5))
    assert np.corrcoef(mean.ravel(), hu(coarse).ravel())[0, 1] > 0.9


@pytest.mark.parametrize("c_mg_ml", [2.0, 10.0, 20.0])
def test_blood_holds_the_iodine_of_the_spec(c_mg_ml):
    spec = MAN.model_copy(update={"blood_iodine_mg_ml": c_mg_ml})
    canvas = block("blood", Structure.HEART, 8)
    paint_texture(canvas, spec)
    inks = enhanced(palette(), spec)
    iodine = dict(inks[INK["blood"]].mass_fractions)["I"]
    # one step of density
    np.testing.assert_allclose(canvas.density * 1e-4 * iodine * 1e3, c_mg_ml, rtol=1e-4)
    water = mass_attenuation_cm2_g(material("water"))
    hu_blood = 1000 * (mass_attenuation_cm2_g(inks[INK["blood"]]) * canvas.density * 1e-4 / water - 1)
    if c_mg_ml == 10.0:
        np.testing.assert_allclose(hu_blood, 317, atol=6)  # 317 HU at 70 keV with 10 mg/mL
    assert dict(inks[INK["adipose"]].mass_fractions).get("I") is None


def test_the_scanner_sees_the_iodine_of_the_blood():
    spec = MAN.model_copy(update={"blood_iodine_mg_ml": 10.0})
    canvas = block("blood", Structure.HEART, 8)
    paint_texture(canvas, spec)
    arrays = (canvas.structure, canvas.material_a, canvas.material_b, canvas.fraction_b, canvas.density)
    seen = pack(Twin(canvas.grid, *arrays, materials=enhanced(palette(), spec)))
    assert seen.iodine is not None
    # one unit of the iodine channel is 0.0015 mg/mL; the basis takes 0.1 % of the plain blood for it
    np.testing.assert_allclose(seen.iodine[2:-2, 2:-2, 2:-2] * seen.iodine_step_g_cm3 * 1e3, 10.0, rtol=5e-3)


def test_without_contrast_agent_nothing_holds_iodine():
    assert enhanced(palette(), MAN) == palette()
