"""Phantoms of other makers, in small files written here: XCAT2, ICRP 110, XCIST."""

from __future__ import annotations

import json

import numpy as np
import pytest

import twins
from twins import Grid, Inset, Structure, Twin, material
from twins.exports import write_xcist
from twins.importers import from_icrp, from_xcat, from_xcist
from twins.importers.phantom import part_of
from twins.importers.xcist import read_material

N = 16


def small_thorax():
    """16^3: body 1, right lung 2, left lung 3, spine 4, liver 5, heart 6; z up, y back, x left."""
    ids = np.zeros((N, N, N), np.uint8)
    ids[:, 2:14, 1:15] = 1
    ids[4:14, 4:11, 2:6] = 2
    ids[4:14, 4:11, 10:14] = 3
    ids[:, 11:13, 7:9] = 4
    ids[0:4, 4:9, 2:8] = 5
    ids[5:9, 5:9, 7:10] = 6
    return ids


NAMES = {1: "muscle", 2: "rlung", 3: "llung", 4: "spine", 5: "liver", 6: "hrtmyoLV"}
STRUCTURES = {0: 0, 1: 3, 2: 15, 3: 16, 4: 51, 5: 61, 6: 31}


def xcat_log(pixel_cm=0.5, slice_cm=0.6, extra="", per_pixel_scale=1.0):
    levels = {
        "Body (water)": 0.2059,
        "Muscle": 0.2150,
        "Lung": 0.0534,
        "Dry Spine": 0.3600,
        "Blood": 0.21502,
        "Liver": 0.2176,
    }
    rows = "\n".join(f"{n:<20} = {v:.5f}" for n, v in levels.items())
    pixels = "\n".join(f"{n:<20} = {v * pixel_cm * per_pixel_scale:.6f}" for n, v in levels.items())
    return levels, (
        f"pixel width =  {pixel_cm:.4f} (cm/pixel)\nslice width =  {slice_cm:.4f} (cm/pixel)\narray_size = {N}\n"
        f"starting slice number = 101\nending slice number = {100 + N}\n{extra}\n"
        f"Linear Attenuation Coefficients (1/cm):\n{rows}\n\n"
        f"Linear Attenuation Coefficients (1/pixel):\n{pixels}\n\nEnd\n"
    )


@pytest.fixture
def xcat(tmp_path):
    small_thorax().astype("<f4").tofile(tmp_path / "man_act_1.bin")
    (tmp_path / "man_log").write_text(xcat_log()[1], encoding="utf-8")
    (tmp_path / "ids.csv").write_text(
        "id,name\n" + "".join(f"{n},{name}\n" for n, name in NAMES.items()), encoding="utf-8"
    )
    return tmp_path


def test_xcat_organ_ids_become_structures_and_materials(xcat):
    twin = from_xcat(xcat / "man_act_1.bin", ids=xcat / "ids.csv")
    expected = np.vectorize(STRUCTURES.get)(small_thorax())
    start, shape = twin.provenance["cropped_to"]["start"], twin.provenance["cropped_to"]["shape"]
    box = tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))
    np.testing.assert_array_equal(twin.structure, expected[box])
    assert twin.grid.spacing_mm == (6.0, 5.0, 5.0)
    density = twin.density_g_cm3()
    for structure, rho in ((15, 0.26), (3, 1.05), (51, 1.42), (61, 1.06), (31, 1.05), (0, 0.0012)):
        np.testing.assert_allclose(density[twin.structure == structure], rho, atol=6e-5)
    assert {m.name for m in twin.materials} >= {"air", "lung_tissue", "muscle", "cortical_bone", "liver"}
    assert twin.provenance["orientation"]["y"] == "the spine lies behind the lungs"


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 1, 2)])
def test_xcat_volumes_in_any_order_stand_upright(xcat, axes):
    upright = from_xcat(xcat / "man_act_1.bin", ids=xcat / "ids.csv")
    np.flip(small_thorax(), axes).astype("<f4").tofile(xcat / "man_act_2.bin")
    other = from_xcat(xcat / "man_act_2.bin", ids=xcat / "ids.csv")
    np.testing.assert_array_equal(other.structure, upright.structure)
    said = [name for name, way in other.provenance["orientation"].items() if way.endswith("flipped")]
    assert said == [n for n, axis in (("x", 2), ("y", 1), ("z", 0)) if axis in axes]
    kept = from_xcat(xcat / "man_act_2.bin", ids=xcat / "ids.csv", flip="")
    assert not np.array_equal(kept.structure, upright.structure)


def test_xcat_attenuation_is_read_by_the_log_and_ambiguity_is_said(xcat):
    levels, _ = xcat_log()
    of = {
        0: 0.0,
        1: levels["Muscle"],
        2: levels["Lung"],
        3: levels["Lung"],
        4: levels["Dry Spine"],
        5: levels["Liver"],
        6: levels["Blood"],
    }
    mu = np.vectorize(of.get)(small_thorax())
    (mu * 0.5).astype("<f4").tofile(xcat / "man_atn_1.bin")
    twin = from_xcat(xcat / "man_atn_1.bin")
    assert twin.provenance["values"] == "attenuation in 1/pixel"
    assert twin.provenance["ambiguous"] == [["Blood", "Muscle"]]
    ids = from_xcat(xcat / "man_act_1.bin", ids=xcat / "ids.csv")
    same = ids.structure != Structure.HEART_MUSCLE  # blood is muscle here
    np.testing.assert_array_equal(twin.structure[same], ids.structure[same])
    assert (twin.structure[~same] == Structure.MUSCLE).all()
    mu.astype("<f4").tofile(xcat / "man_atn_1.bin")
    assert from_xcat(xcat / "man_atn_1.bin").provenance["values"] == "attenuation in 1/cm"


def test_xcat_files_that_do_not_fit_are_refused(xcat):
    act = xcat / "man_act_1.bin"
    with pytest.raises(ValueError, match=r"man_act_1\.bin: only .* % of its voxels are levels of the log in 1/pixel"):
        from_xcat(act)
    (xcat / "man_log").write_text(xcat_log(per_pixel_scale=1.1)[1], encoding="utf-8")
    with pytest.raises(ValueError, match="the log contradicts itself: .* 1/cm and .* 1/pixel at 5.0 mm"):
        from_xcat(act)
    (xcat / "man_log").write_text(xcat_log()[1].replace(f"array_size = {N}", "array_size = 20"), encoding="utf-8")
    with pytest.raises(ValueError, match=r"has 16384 bytes, \(16, 20, 20\) .* float32 are 25600"):
        from_xcat(act, ids=xcat / "ids.csv")
    (xcat / "man_log").write_text(xcat_log()[1], encoding="utf-8")
    (xcat / "ids.csv").write_text("id,name\n1,muscle\n2,rlung\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"parts that nothing says what they are: \[3, 4, 5, 6\]"):
        from_xcat(act, ids=xcat / "ids.csv")
    (xcat / "ids.csv").write_text("id,name\n1,flux capacitor\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"ids\.csv, line 2: nothing is known of 'flux capacitor'"):
        from_xcat(act, ids=xcat / "ids.csv")
    (xcat / "man_log").unlink()
    with pytest.raises(FileNotFoundError, match="no log man_log beside it"):
        from_xcat(act)


def test_a_parameter_file_gives_shape_and_spacing_too(xcat):
    (xcat / "man_log").unlink()
    par = xcat / "general.samp.par"
    par.write_text(
        f"pixel_width = 0.5 # cm\nslice_width = 0.6\narray_size = {N}\nstartslice = 1\nendslice = {N}\n",
        encoding="utf-8",
    )
    assert from_xcat(xcat / "man_act_1.bin", par=par, ids=xcat / "ids.csv").grid.spacing_mm == (6.0, 5.0, 5.0)


ICRP_ORGANS = """
Organ ID  Organ/tissue                    Tissue number  Density (g/cm3)
1         Muscle, trunk                       29          1.050
2         Lung (right), tissue                50          0.382
3         Lung (left), tissue                 50          0.382
4         Thoracic spine, spongiosa           18          1.074
5         Liver                               31          1.050
6         Heart contents (blood)              28          1.060
7         Lung (right), blood                 28          1.060
"""
ICRP_MEDIA = """
Medium  Name                  H    C    N    O    Na  Mg  P   S   Cl  K   Ca  Fe  I
29  Muscle tissue             10.2 14.2 3.4  71.1 0.1 0.0 0.2 0.3 0.1 0.4 0.0 0.0 0.0
50  Lung tissue (compressed)  10.3 10.7 3.2  74.6 0.2 0.0 0.2 0.3 0.3 0.2 0.0 0.0 0.0
18  Thoracic spine, spongiosa 9.9  37.6 2.7  45.9 0.1 0.0 1.2 0.2 0.2 0.1 2.0 0.1 0.0
31  Liver                     10.2 13.0 3.1  72.5 0.2 0.0 0.2 0.3 0.2 0.3 0.0 0.0 0.0
28  Blood                     10.2 11.0 3.3  74.5 0.1 0.0 0.1 0.2 0.3 0.2 0.0 0.1 0.0
"""


@pytest.fixture
def icrp(tmp_path):
    ids = small_thorax()
    ids[7:9, 7:8, 3:4] = 7
    flat = ids.ravel()
    rows = [" ".join(str(v) for v in flat[i : i + 16]) for i in range(0, flat.size, 16)]
    (tmp_path / "AM.dat").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (tmp_path / "AM_organs.dat").write_text(ICRP_ORGANS, encoding="utf-8")
    (tmp_path / "AM_media.dat").write_text(ICRP_MEDIA, encoding="utf-8")
    return tmp_path / "AM.dat", ids


ICRP = {"shape": (N, N, N), "voxel_mm": (8.0, 4.0, 4.0)}


def test_icrp_organs_have_the_density_and_make_of_their_tables(icrp):
    path, ids = icrp
    twin = from_icrp(path, **ICRP)
    names = {1: 3, 2: 15, 3: 16, 4: 51, 5: 61, 6: 30, 7: 25}
    start, shape = twin.provenance["cropped_to"]["start"], twin.provenance["cropped_to"]["shape"]
    box = tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))
    for number, structure in names.items():
        np.testing.assert_array_equal(twin.structure == structure, ids[box] == number)
    density = twin.density_g_cm3()
    np.testing.assert_allclose(density[twin.structure == 15], 0.382, atol=6e-5)
    np.testing.assert_allclose(density[twin.structure == 51], 1.074, atol=6e-5)
    spine = twin.materials[twin.material_a[twin.structure == 51][0]]
    assert dict(spine.mass_fractions)["Ca"] == pytest.approx(0.02, rel=0.01)
    inflated = from_icrp(path, lung_density_g_cm3=0.18, **ICRP)
    np.testing.assert_allclose(inflated.density_g_cm3()[inflated.structure == 16], 0.18, atol=6e-5)
    np.testing.assert_allclose(inflated.density_g_cm3()[inflated.structure == 25], 1.06, atol=6e-5)


def test_organs_keep_volume_and_mass_when_interpolated(icrp):
    path, _ = icrp
    twin = from_icrp(path, spacing_mm=2.0, **ICRP)
    assert twin.grid.spacing_mm == (2.0, 2.0, 2.0)
    rough = from_icrp(path, **ICRP)
    for structure in (15, 16, 51):
        fine = (twin.structure == structure).sum() * 8.0
        assert fine == pytest.approx((rough.structure == structure).sum() * 128.0, rel=0.1)
    masses = [t.density_g_cm3().sum(dtype=float) * t.grid.voxel_volume_mm3 for t in (twin, rough)]
    assert masses[0] == pytest.approx(masses[1], rel=0.02)
    assert (twin.fraction_b > 0).any()  # borders are shared


def test_icrp_files_that_do_not_fit_are_refused(icrp):
    path, _ = icrp
    with pytest.raises(ValueError, match=r"AM\.dat: 4096 voxels fit no adult"):
        from_icrp(path)
    with pytest.raises(ValueError, match=r"holds 4096 values|holds 4096 voxels, \(8, 8, 8\) .* are 512"):
        from_icrp(path, shape=(8, 8, 8), voxel_mm=(1, 1, 1))
    with pytest.raises(ValueError, match="lung_density_g_cm3 must lie between 0.05 and 0.6, got 2"):
        from_icrp(path, lung_density_g_cm3=2, **ICRP)
    organs = path.with_name("AM_organs.dat")
    organs.write_text(ICRP_ORGANS.replace(" 50 ", " 49 "), encoding="utf-8")
    with pytest.raises(ValueError, match=r"organ 2 is of medium 49, which AM_media\.dat does not list"):
        from_icrp(path, **ICRP)
    organs.unlink()
    with pytest.raises(FileNotFoundError, match=r"AM\.dat: no table of its organs: looked for"):
        from_icrp(path, **ICRP)


def mixed_twin():
    """A twin of mixtures, with a nodule as an inset."""
    rng = np.random.default_rng(3)
    ids = small_thorax()
    materials = tuple(material(n) for n in ("air", "lung_tissue", "muscle", "spongiosa_spine", "liver", "blood"))
    a = np.array([0, 2, 1, 1, 3, 4, 5], np.uint8)[ids]
    b = np.array([0, 5, 5, 5, 2, 5, 2], np.uint8)[ids]
    fraction = np.where(ids > 0, rng.integers(0, 30000, ids.shape), 0).astype(np.uint16)
    density = (
        np.array([0.0012, 1.05, 0.2, 0.25, 1.2, 1.06, 1.06])[ids] * rng.uniform(0.95, 1.05, ids.shape) / 1e-4
    ).astype(np.uint16)
    structure = np.vectorize(STRUCTURES.get)(ids).astype(np.uint16)
    grid = Grid((N, N, N), (3.0, 2.0, 2.0), (-15.0, -20.0, 100.0))
    inset_grid = Grid((8, 8, 8), (0.75, 0.5, 0.5), (-9.75, -6.75, 120.0))
    delta = np.stack([np.full(inset_grid.shape, v, np.float32) for v in (-0.1, 0.9)])
    inset = Inset("nodule", inset_grid, (material("lung_tissue"), material("muscle")), delta)
    return Twin(grid, structure, a, b, fraction, density, materials), inset


def test_an_xcist_phantom_reads_back_as_it_was_written(tmp_path):
    twin, _ = mixed_twin()
    path = write_xcist(twin, tmp_path, name="chest")
    back = from_xcist(path)
    assert back.grid.shape == twin.grid.shape
    np.testing.assert_allclose(back.grid.spacing_mm, twin.grid.spacing_mm)
    np.testing.assert_allclose(back.density, twin.density, atol=1)
    # composition: mass of every element per voxel
    for name, symbol in (("calcium", "Ca"), ("carbon", "C"), ("hydrogen", "H")):
        ours, theirs = _element(twin, symbol), _element(back, symbol)
        np.testing.assert_allclose(theirs, ours, atol=4e-5, err_msg=name)
    lung = np.isin(twin.structure, (15, 16))
    np.testing.assert_array_equal(back.structure[lung], twin.structure[lung])


def _element(twin, symbol):
    share = np.array([dict(m.mass_fractions).get(symbol, 0.0) for m in twin.materials])
    f = twin.fraction_b / 65535
    return twin.density * 1e-4 * ((1 - f) * share[twin.material_a] + f * share[twin.material_b])


def test_maps_are_cropped_each_with_its_own_offset(tmp_path):
    twin, _ = mixed_twin()
    about = json.loads(write_xcist(twin, tmp_path, isocentre_mm=(0.0, 0.0, 130.0)).read_text(encoding="utf-8"))
    row = about["mat_name"].index("twin_liver")
    assert [about[k][row] for k in ("slices", "rows", "cols")] == [4, 5, 6]
    # isocentre (0, 0, 130) is index (10, 10, 7.5); the map begins at (0, 4, 2); y counts from its last row, 8
    assert [about[f"{a}_offset"][row] for a in "zyx"] == [11.0, -1.0, 6.5]
    raw = np.fromfile(tmp_path / about["volumefractionmap_filename"][row], "<f4").reshape(4, 5, 6)
    own = twin.density[0:4, 4:9, 2:8] * 1e-4 * (1 - twin.fraction_b[0:4, 4:9, 2:8] / 65535) / 1.06
    np.testing.assert_allclose(raw, own, rtol=1e-5)
    liver = read_material(tmp_path / "twin_liver")
    assert liver.density_g_cm3 == 1.06
    assert dict(liver.mass_fractions) == pytest.approx(dict(material("liver").mass_fractions))
    with pytest.raises(FileNotFoundError, match="no such folder"):
        write_xcist(twin, tmp_path / "nowhere")


def test_a_nodule_keeps_its_mass_in_the_phantom(tmp_path):
    twin, inset = mixed_twin()
    from dataclasses import replace

    with_nodule = replace(twin, insets=(inset,))
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    plain, burnt = (from_xcist(write_xcist(t, tmp_path / n)) for t, n in ((twin, "a"), (with_nodule, "b")))
    mass = (burnt.density.sum(dtype=float) - plain.density.sum(dtype=float)) * 1e-4 * twin.grid.voxel_volume_mm3
    assert mass == pytest.approx(0.8 * inset.grid.n_voxels * inset.grid.voxel_volume_mm3, rel=0.002)


def test_int8_maps_names_known_to_xcist_and_scales(tmp_path):
    body, lung = np.ones((8, 8, 8), np.int8), np.zeros((8, 8, 8), np.int8)
    lung[2:6, 2:6, 1:3] = lung[2:6, 2:6, 5:7] = 1
    body[lung > 0] = 0
    body.tofile(tmp_path / "x.density_1")
    lung[2:6].tofile(tmp_path / "x.density_2")
    about = {
        "n_materials": 2, "mat_name": ["ICRU_muscle_adult", "ncat_lung"],
        "volumefractionmap_filename": ["x.density_1", "x.density_2"], "volumefractionmap_datatype": ["int8"] * 2,
        "cols": [8, 8], "rows": [8, 8], "slices": [8, 4], "x_size": [2.0] * 2, "y_size": [2.0] * 2, "z_size": [3.0] * 2,
        "x_offset": [4.5, 4.5], "y_offset": [4.5, 4.5], "z_offset": [4.5, 2.5], "density_scale": [1.0, 0.5],
    }  # fmt: skip
    file = tmp_path / "x.json"
    file.write_text(json.dumps(about), encoding="utf-8")
    twin = from_xcist(file)
    density = twin.density_g_cm3()
    np.testing.assert_allclose(density[lung > 0], 0.13, atol=6e-5)
    np.testing.assert_allclose(density[lung == 0], 1.05, atol=6e-5)
    assert (twin.structure[2:6, 2:6, 1:3] == Structure.RIGHT_LUNG).all()
    assert (twin.structure[2:6, 2:6, 5:7] == Structure.LEFT_LUNG).all()
    assert twin.grid.origin_mm == (-7.0, -7.0, -10.5)
    mirrored = from_xcist(file, flip="x")
    assert (mirrored.structure[2:6, 2:6, 1:3] == Structure.RIGHT_LUNG).all()
    for key, value, message in (
        ("mat_name", ["ICRU_muscle_adult", "unobtainium"], "nothing is known of material 'unobtainium'"),
        ("z_offset", [4.5, 2.2], "do not share one lattice"),
        ("x_size", [2.0, 2.5], "voxels of different sizes"),
        ("cols", [8], "cols must be a list of 2 entries"),
        ("rows", [8, 9], r"x\.density_2: holds 256 values, \[4, 9, 8\]"),
        ("volumefractionmap_datatype", ["int8", "half"], "'half' is none of"),
        ("mat_name", ["ICRU_muscle_adult", "water"], "none of its materials is lung"),
    ):
        file.write_text(json.dumps({**about, key: value}), encoding="utf-8")
        with pytest.raises(ValueError, match=message):
            from_xcist(file)


def test_phosphorus_of_dry_bone_is_not_sulfur():
    """XCIST's own table of dry rib has its columns shifted (10 % sulfur); by name it is ICRU cortical bone."""
    for name, density in (("ncat_dry_rib", 1.92), ("ncat_dry_spine", 1.42)):
        part = part_of(name)
        fractions = dict(part.material.mass_fractions)
        assert fractions["P"] == pytest.approx(0.103, abs=0.001)
        assert fractions["S"] == pytest.approx(0.003, abs=0.001)
        assert part.density_g_cm3 == density


def test_imported_phantoms_can_be_stored(xcat):
    twin = from_xcat(xcat / "man_act_1.bin", ids=xcat / "ids.csv", spacing_mm=4.0)
    twins.save(twin, xcat / "twin.h5")
    np.testing.assert_array_equal(twins.load(xcat / "twin.h5").density, twin.density)
