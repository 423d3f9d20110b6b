"""A CT becomes a twin that gives its HU back, without table and noise, on the CT's own geometry."""

import numpy as np
import pytest
import SimpleITK as sitk

from twins.grid import Grid
from twins.importers.ct import from_ct
from twins.importers.hu_scale import CURVES, MATERIALS, STEPS_PER_HU, hu_of, mixture_lookup, natural_hu
from twins.importers.noise import denoise, estimate_noise_hu, without_specks
from twins.importers.volume import read_volume
from twins.patient import Patient
from twins.structures import Structure

NOISE_HU = 15.0
SPACING_MM = (3.0, 2.0, 2.0)


def synthetic_chest():
    """Elliptic body with two lungs, trachea, spine, sternum, contrast-filled aorta, vessels, and a table; noisy."""
    dz, dy, dx = SPACING_MM
    nz, ny, nx = 40, 150, 200
    z, y, x = np.meshgrid(
        (np.arange(nz) - nz / 2) * dz, (np.arange(ny) - 70) * dy, (np.arange(nx) - nx / 2) * dx, indexing="ij"
    )

    def ellipse(cx, cy, a, b):
        return ((x - cx) / a) ** 2 + ((y - cy) / b) ** 2 < 1

    hu = np.full((nz, ny, nx), -1000.0)
    hu[ellipse(0, 0, 160, 110)] = -100.0
    hu[ellipse(0, 0, 145, 95)] = 50.0
    hu[ellipse(-68, -5, 55, 72) | ellipse(68, -5, 55, 72)] = -850.0
    hu[(abs(y - (120 + 0.0008 * x**2)) < 4) & (abs(x) < 190)] = 60.0  # table top, 6 mm below the back
    hu[ellipse(0, 70, 18, 16)] = 150.0
    hu[ellipse(0, 70, 18, 16) & ~ellipse(0, 70, 15, 13)] = 700.0
    hu[ellipse(0, -84, 16, 6)] = 400.0
    hu[ellipse(0, 20, 9, 9) & (z > -20)] = -1000.0
    hu[ellipse(0, -30, 22, 26)] = 200.0  # heart with contrast
    for cx in (-60, 60):
        hu[ellipse(cx, 10, 4.5, 4.5)] = 50.0  # vessels along z
    rng = np.random.default_rng(1)
    return np.clip(hu + rng.normal(0, NOISE_HU, hu.shape), -1024, 3071).astype(np.int16)


def write(array, path, spacing_mm=SPACING_MM, direction=(1, 0, 0, 0, 1, 0, 0, 0, 1), origin=(-200.0, -140.0, 30.0)):
    image = sitk.GetImageFromArray(array)
    image.SetSpacing([float(s) for s in spacing_mm[::-1]])
    image.SetDirection([float(d) for d in direction])
    image.SetOrigin(origin)
    sitk.WriteImage(image, str(path))
    return path


@pytest.fixture(scope="module")
def chest():
    return synthetic_chest()


@pytest.fixture(scope="module")
def chest_file(chest, tmp_path_factory):
    return write(chest, tmp_path_factory.mktemp("ct") / "chest.nii.gz")


@pytest.fixture(scope="module")
def twin(chest_file):
    return from_ct(chest_file, patient=Patient(age_y=70))


def twin_hu(twin, kvp=120.0):
    return hu_of(twin.material_a, twin.material_b, twin.fraction_b / 65535, twin.density * 1e-4, kvp)


def at(twin, x, y, z=0.0):
    """Index of a point given in the millimetres of synthetic_chest."""
    world = (x - 200 + 200.0, y + 140 - 140.0, z + 30.0 + 20 * SPACING_MM[0])
    return tuple(round(v) for v in twin.grid.world_to_index(world))


def mean_around(twin, hu, x, y, r=2):
    k, j, i = at(twin, x, y)
    return hu[k - 2 : k + 3, j - r : j + r + 1, i - r : i + r + 1].mean()


@pytest.mark.parametrize(
    ("x", "y", "true_hu", "structure"),
    [
        (-80, -30, -850, Structure.RIGHT_LUNG),
        (80, -30, -850, Structure.LEFT_LUNG),
        (-152, 0, -100, Structure.FAT),
        (0, 45, 50, Structure.MEDIASTINUM),
        (0, -30, 200, Structure.CONTRAST_BLOOD),
        (0, 70, 150, Structure.BONE),
        (0, -84, 400, Structure.BONE),
        (0, 20, -1000, Structure.TRACHEA),
        (-60, 10, 50, Structure.LUNG_VESSEL),
        (-150, -100, -1000, Structure.OUTSIDE),
        (0, 117, -1000, Structure.OUTSIDE),
    ],
)
def test_every_tissue_is_named_and_gives_its_hu_back(twin, x, y, true_hu, structure):
    radius = 0 if structure == Structure.LUNG_VESSEL else 1
    # mean of at least 45 denoised voxels (5 for the vessel): SD of the noise left is below 2 HU
    assert mean_around(twin, twin_hu(twin), x, y, radius) == pytest.approx(true_hu, abs=8)
    assert twin.structure[at(twin, x, y)] == structure


def test_iodine_is_in_the_blood_and_calcium_in_the_bone(twin):
    names = [m.name for m in twin.materials]
    blood, bone = at(twin, 0, -30), at(twin, 0, -84)
    assert {names[twin.material_a[blood]], names[twin.material_b[blood]]} == {"blood", "iodinated_blood"}
    assert {names[twin.material_a[bone]], names[twin.material_b[bone]]} == {"spongiosa_ribs", "cortical_bone"}
    # at a lower voltage iodine rises more than bone of the same HU
    low, high = twin_hu(twin, 80.0), twin_hu(twin, 120.0)
    assert low[blood] / high[blood] > low[bone] / high[bone] > 1


def test_the_table_is_gone_and_the_noise_too(twin):
    k, j, i = at(twin, 0, 117)
    assert not twin.structure[:, j - 1 :, i - 60 : i + 60].any()
    hu = twin_hu(twin)
    k, j, i = at(twin, 0, 45)
    patch = hu[k - 10 : k + 10, j - 4 : j + 4, i - 8 : i + 8]
    assert patch.std() < NOISE_HU / 3


def test_the_host_geometry_is_kept(twin, chest):
    host = Grid.from_dict(twin.provenance["host_grid"])
    assert host == Grid(chest.shape, SPACING_MM, (-200.0, -140.0, 30.0))
    assert twin.provenance["source"] == "chest.nii.gz"
    assert twin.provenance["noise_sd_hu"] == pytest.approx(NOISE_HU, rel=0.15)  # a low percentile of patch SDs
    assert twin.patient.age_y == 70
    top = twin.grid.index_to_world(np.asarray(twin.grid.shape) - 0.5)
    assert top[2] == pytest.approx(host.index_to_world(np.asarray(host.shape) - 0.5)[2])


def test_flipped_and_permuted_files_give_the_same_twin(twin, chest, tmp_path):
    _, ny, nx = chest.shape
    corner = (-200.0 + (nx - 1) * 2.0, -140.0 + (ny - 1) * 2.0, 30.0)
    flipped = write(chest[:, ::-1, ::-1], tmp_path / "a.nrrd", direction=(-1, 0, 0, 0, -1, 0, 0, 0, 1), origin=corner)
    turned = write(chest.transpose(1, 0, 2), tmp_path / "b.mha", (2.0, 3.0, 2.0), direction=(1, 0, 0, 0, 0, 1, 0, 1, 0))
    for path in (flipped, turned):
        other = from_ct(path)
        assert other.grid.same_as(twin.grid)
        np.testing.assert_array_equal(other.density, twin.density)
        np.testing.assert_array_equal(other.structure, twin.structure)


def test_a_spacing_may_be_asked_for(chest_file):
    twin = from_ct(chest_file, spacing_mm=4.0)
    assert twin.grid.spacing_mm == (4.0, 4.0, 4.0)
    assert mean_around(twin, twin_hu(twin), -80, -30) == pytest.approx(-850, abs=8)


def test_an_oblique_ct_is_set_straight(chest, chest_file, tmp_path):
    c, s = np.cos(0.1), np.sin(0.1)
    x, y = np.array([[c, -s], [s, c]]) @ np.array([-200.0, -140.0])
    path = write(chest, tmp_path / "oblique.nii.gz", direction=(c, -s, 0, s, c, 0, 0, 0, 1), origin=(x, y, 30.0))
    with pytest.raises(ValueError, match=r"oblique\.nii\.gz: oblique volumes.*5\.73 degrees"):
        read_volume(path)
    straight, own = from_ct(path, spacing_mm=4.0), from_ct(chest_file, spacing_mm=4.0)
    assert straight.provenance["mended"]["turned_deg"] == 5.73
    for lung in (15, 16):
        volumes = [(t.structure == lung).sum() * t.grid.voxel_volume_mm3 for t in (straight, own)]
        assert volumes[0] == pytest.approx(volumes[1], rel=0.02)


def test_what_is_no_chest_ct_is_refused(chest, tmp_path):
    raw = write((chest.astype(np.int32) + 1024).astype(np.int16), tmp_path / "raw.nii.gz")
    with pytest.raises(ValueError, match=r"raw\.nii\.gz: not CT in HU.*intercept"):
        from_ct(raw)
    mask = write((chest < -500).astype(np.int16) - 1, tmp_path / "mask.nii.gz")
    with pytest.raises(ValueError, match=r"mask\.nii\.gz: not a chest CT"):
        from_ct(mask)
    solid = np.where((chest > -950) & (chest < 100), 40, chest).astype(np.int16)
    solid[:, 30:110, 40:160] = 40
    with pytest.raises(ValueError, match=r"solid\.nii\.gz: no lung found"):
        from_ct(write(solid, tmp_path / "solid.nii.gz"))
    (tmp_path / "text.nii.gz").write_text("no image", encoding="utf-8")
    with pytest.raises(ValueError, match=r"text\.nii\.gz: cannot be read"):
        from_ct(tmp_path / "text.nii.gz")
    with pytest.raises(FileNotFoundError, match="none"):
        from_ct(tmp_path / "none.nii.gz")
    with pytest.raises(ValueError, match="kvp must lie between 70 and 150"):
        from_ct(write(chest, tmp_path / "chest.nii.gz"), kvp=40)


@pytest.mark.parametrize("kvp", [80.0, 120.0, 140.0])
def test_the_curve_gives_every_hu_back(kvp):
    lookup = mixture_lookup(kvp)
    for row, names in enumerate(CURVES.values()):
        steps = np.arange(-998, 3000)
        column = (steps + 1024) * STEPS_PER_HU
        np.testing.assert_allclose(lookup.hu[row, column], steps, atol=1e-9)
        assert (np.diff(lookup.density[row, column]) > -2e-3).all(), names
    assert natural_hu("water", kvp) == pytest.approx(0, abs=1e-9) if "water" in MATERIALS else True


def test_noise_falls_by_three_and_edges_and_vessels_stay():
    rng = np.random.default_rng(2)
    truth = np.full((12, 96, 96), -100.0, np.float32)
    truth[:, 48:] = 50.0
    truth[:, 20:23, ::12] = 300.0
    noisy = (truth + rng.normal(0, NOISE_HU, truth.shape)).astype(np.float32)
    everywhere = np.ones(truth.shape, bool)
    clean = denoise(noisy, NOISE_HU, everywhere)
    inner = (slice(2, -2), slice(60, 90), slice(6, 90))
    assert (clean - truth)[inner].std() < NOISE_HU / 3
    for rows in (slice(48, 96), slice(30, 48)):
        assert abs((clean - truth)[:, rows].mean()) < 2
    assert clean[:, 21, ::12].mean() > 290  # a line one voxel wide keeps its peak
    assert abs((clean - truth)[2:-2, 46:50].mean(axis=(0, 2))).max() < 5  # the edge neither moves nor blurs


def test_lone_voxels_of_noise_go_and_what_has_neighbours_stays():
    rng = np.random.default_rng(5)
    truth = np.full((20, 60, 60), 50.0, np.float32)
    truth[:, 30, ::10] = 170.0  # threads along z, 8 noise SDs high
    truth[10, 12:40, 45] = -70.0  # a thread in the plane
    truth[5, 15, 15] = 400.0  # a calcification
    noisy = (truth + rng.normal(0, NOISE_HU, truth.shape)).astype(np.float32)
    everywhere = np.ones(truth.shape, bool)
    clean = denoise(noisy, NOISE_HU, everywhere)
    mended = without_specks(clean, NOISE_HU, everywhere)
    flat = truth == 50
    inner = (slice(2, -2), slice(2, 28), slice(2, 42))
    outliers = [(abs(h - 50) > 2 * NOISE_HU)[inner][flat[inner]].mean() for h in (clean, mended)]
    assert outliers[0] > 1e-4
    assert outliers[1] < 0.3 * outliers[0]
    assert mended[5, 15, 15] == clean[5, 15, 15] > 350
    for where in (truth == 170, truth == -70):
        assert abs(mended[where].mean() - clean[where].mean()) < 1.5


def test_estimated_noise_is_that_of_the_flat_tissue():
    rng = np.random.default_rng(3)
    hu = (40 + rng.normal(0, 12.0, (6, 120, 120))).astype(np.float32)
    # 10th percentile of the SD of 144 values: 12 (1 - 1.28 / sqrt(288)) = 11.1
    assert estimate_noise_hu(hu, np.ones(hu.shape, bool)) == pytest.approx(11.1, rel=0.05)


@pytest.mark.data
@pytest.mark.slow
def test_a_real_chest_ct_gives_its_hu_back(real_ct):
    twin = from_ct(real_ct, spacing_mm=2.5)
    volume = read_volume(real_ct)
    index = np.rint(volume.grid.world_to_index(twin.grid.index_to_world(np.argwhere(twin.structure > 0)))).astype(int)
    original = volume.hu[tuple(np.clip(index, 0, np.asarray(volume.hu.shape) - 1).T)]
    back = twin_hu(twin)[twin.structure > 0]
    names = twin.structure[twin.structure > 0]
    for structures, within in (((15, 16, 25), 15), ((2,), 10), ((3,), 10), ((80,), 10)):
        chosen = np.isin(names, structures)
        assert chosen.sum() > 5000
        assert abs(back[chosen].mean() - original[chosen].mean()) < within
    lungs_l = twin.is_any([15, 16, 25]).sum() * twin.grid.voxel_volume_mm3 / 1e6
    assert 3.4 < lungs_l < 4.4  # 3.9 L closed lung mask, measured independently
