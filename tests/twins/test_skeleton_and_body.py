"""Bones, cartilages, stomach and the outline: in their places, of their sizes."""

from __future__ import annotations

import numpy as np
import pytest

from twins import Structure, Twin, TwinSpec, build
from twins.cage import Cage
from twins.skeleton import ribs, scapula, vertebral_levels
from twins.skeleton.ribs import calcified_spots, cartilages
from twins.skeleton.spine import osteophytes

MAN = TwinSpec(sex="male", age_y=71, height_cm=175, bmi=26, key=5)
CAGE = Cage.of(MAN, 300.0)


@pytest.fixture(scope="module")
def man() -> Twin:
    return build(MAN, spacing_mm=4.0)


def section(twin: Twin, z_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Body mask and density of the slice at ``z_mm``."""
    k = round((z_mm - twin.grid.origin_mm[2]) / twin.grid.spacing_mm[0])
    return twin.structure[k] > 0, twin.density[k] * 1e-4


def outside_mm(points: np.ndarray) -> np.ndarray:
    """Distance of points from the inner surface of the cage, in the plane [mm], by search."""
    out = []
    for x, y, z in points:
        phi = np.linspace(0, np.pi, 721)
        surface = CAGE.section(phi, np.full(phi.size, z), np.sign(x))
        out.append(np.linalg.norm(surface[:, :2] - (x, y), axis=1).min())
    return np.array(out)


def test_ribs_run_on_the_cage_and_fall_to_the_front():
    bodies, ends = ribs(CAGE)
    assert len(bodies) == 24
    for rib, end in zip(bodies[:20], ends[:20], strict=True):  # 11 and 12 end where the others reach the cage
        line = rib.points_mm[15:]
        # the axis runs 6 mm outside the inner surface; 1 mm for the spline through every third of its points
        assert np.all(outside_mm(line) > 5.0)
        assert end[2] < rib.points_mm[0, 2]


def test_cartilages_join_ribs_and_sternum():
    _, ends = ribs(CAGE)
    bars = cartilages(CAGE, ends)
    for bar, end in zip(bars, ends[:20], strict=True):
        np.testing.assert_allclose(bar.points_mm[0], end, atol=1e-6)
    tips = np.array([bar.points_mm[-1] for bar in bars[:14]])
    assert np.all(np.abs(tips[:, 0]) <= 21 + 1e-6)


def test_calcified_spots_lie_in_the_cartilage_and_grow_in_number():
    bars = cartilages(CAGE, ribs(CAGE)[1])
    counts = []
    for share in (0.0, 0.3, 0.9):
        spots = calcified_spots(MAN.model_copy(update={"costal_calcification": share}), bars)
        counts.append(len(spots))
        for spot in spots:
            away = min(np.linalg.norm(bar.points_mm - spot.points_mm[1], axis=1).min() for bar in bars)
            assert away < 7.5  # radius of a cartilage 5.2 mm, half a step of its polyline up to 5 mm along it
    assert counts[0] == 0 < counts[1] < counts[2]


def test_osteophytes_come_with_age():
    young = osteophytes(MAN.model_copy(update={"age_y": 25.0}), CAGE)
    assert young == []
    counts = [
        len(osteophytes(MAN.model_copy(update={"age_y": 80.0, "key": key}), Cage.of(MAN, 300.0))) for key in range(20)
    ]
    assert 4 < np.mean(counts) < 9  # ten discs, three in four at the most


def test_the_scapula_lies_outside_the_ribs_and_the_arm_beside_it():
    for side in (-1.0, 1.0):
        blade, *_, head = scapula(CAGE, side, 1.0)
        z = float(np.asarray(blade.centre_mm)[2])
        x, y = np.asarray(blade.centre_mm)[:2]
        assert outside_mm(np.array([[x, y, z]]))[0] > 20.0
        assert abs(np.asarray(head.centre_mm)[0]) > abs(x)
        assert np.asarray(head.centre_mm)[2] > z + 40


def test_vertebrae_grow_downwards_and_the_carina_faces_t4():
    levels = vertebral_levels(CAGE)
    pitch = -np.diff(levels)
    assert np.all(np.diff(pitch[3:]) > -1e-9)
    assert levels[5] > 0 > levels[6]


def test_body_areas_lie_in_the_band_of_a_real_man(man):
    # a man of 71 years, CT: 690-830 cm2, fat 170-260, soft tissue 230-420 per slice, 350 to 410 mm wide, 220-285 deep;
    # a tenth of slack for another man's build and 4 mm voxels
    for z in (20.0, -30.0, -80.0, -120.0):
        body, rho = section(man, z)
        area = man.grid.spacing_mm[0] ** 2 / 100
        rows, columns = np.nonzero(body)
        assert 620 < body.sum() * area < 910
        assert 150 < (body & (rho > 0.8) & (rho < 0.99)).sum() * area < 290
        assert 205 < (body & (rho >= 0.99) & (rho < 1.15)).sum() * area < 460
        assert 320 < np.ptp(columns) * 4 < 440
        assert 205 < np.ptp(rows) * 4 < 310


def test_gas_stands_above_the_food_in_the_stomach(man):
    gas = np.argwhere((man.structure == Structure.STOMACH) & (man.density < 300))
    food = np.argwhere((man.structure == Structure.STOMACH) & (man.density > 9500))
    assert len(food) * 0.064 > 40  # mL
    assert len(gas) > 0
    assert gas[:, 1].mean() < food[:, 1].mean()


def test_every_bone_is_there(man):
    for structure in ("RIB", "VERTEBRA", "STERNUM", "CLAVICLE", "SCAPULA", "COSTAL_CARTILAGE", "HUMERUS"):
        volume_ml = np.count_nonzero(man.structure == Structure[structure]) * 0.064
        assert volume_ml > 8, structure
