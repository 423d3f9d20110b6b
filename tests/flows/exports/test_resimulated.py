"""Phantoms and readings made again from a dataset of the real chain: they are those that its images were made of."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

import ctsim
import twins
from ctsim import Sinogram
from flows.exports import export_dataset
from flows.volumes import read_volume
from twins.exports.voxels import all_materials, partial_density

XCIST = Path(__file__).resolve().parents[3] / ".peers/bin/python"


def test_an_xcist_phantom_holds_the_twin_with_its_nodules(dataset, tmp_path):
    root = export_dataset(dataset.root, "xcist", tmp_path / "xcist")
    about = json.loads((root / "woman/woman.json").read_text(encoding="utf-8"))
    row = dataset.manifest[0]
    base = twins.load(dataset.root / row["twin_file"])
    mass = 0.0
    for i, name in enumerate(about["mat_name"]):
        maps = np.fromfile(root / "woman" / about["volumefractionmap_filename"][i], "<f4")
        assert maps.size == about["cols"][i] * about["rows"][i] * about["slices"][i]
        text = (root / "woman" / name).read_text(encoding="utf-8").splitlines()
        density = float(text[text.index("# Density:") + 1])
        mass += float(maps.sum(dtype=np.float64)) * density * base.grid.voxel_volume_mm3
    added = sum(nodule.added_mass_mg for nodule in dataset.truth(row).nodules)
    bare = float(base.density_g_cm3().sum(dtype=np.float64)) * base.grid.voxel_volume_mm3
    assert mass - bare == pytest.approx(added, rel=0.02)  # fractions under 1e-7 are left out


@pytest.mark.slow
def test_reconstructing_the_sinograms_gives_the_images(dataset, tmp_path):
    root = export_dataset(dataset.root, "sinograms", tmp_path / "sinograms")
    for row in dataset.manifest:
        sinogram = Sinogram.load(root / f"{row['image_id']}.h5")
        hu, grid = read_volume(dataset.root / row["image_file"])
        ct = ctsim.reconstruct(sinogram, backend="cpu")
        assert ct.grid.same_as(grid)
        np.testing.assert_array_equal(ct.hu, hu)


@pytest.mark.slow
def test_xcist_scans_the_phantom_and_sees_the_twin_from_the_front(dataset, tmp_path):
    if not XCIST.exists():
        pytest.skip("XCIST is not installed: `make bench` makes .peers")
    root = export_dataset(dataset.root, "xcist", tmp_path / "xcist")
    words = [str(XCIST), str(Path(__file__).with_name("xcist_scan.py")), str(root / "woman"), "woman"]
    done = subprocess.run(
        [*words, str(tmp_path / "seen.npy")], capture_output=True, encoding="utf-8", cwd=tmp_path, timeout=600
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    seen = np.load(tmp_path / "seen.npy")
    expected = line_integrals(dataset, len(seen))
    body = expected > 0.2
    assert body.sum() > 100
    assert np.abs(seen - expected)[body].mean() < 0.05  # of 2 to 5: edges of voxels; a map out of place makes 0.3
    assert abs(seen.sum() / expected.sum() - 1) < 0.005
    assert np.abs(seen[::-1] - expected)[body].mean() > 0.15  # heart and liver are not in the middle


def line_integrals(dataset, n: int, sid_mm=595.0, sdd_mm=1085.6, cell_mm=4.0, kev=70.0) -> np.ndarray:
    """Along XCIST's rays through the twin with its nodules, columns from the patient's right to the left."""
    from ctsim.attenuation import mass_attenuation
    from lesions import insert

    row = dataset.manifest[0]
    twin = insert(twins.load(dataset.root / row["twin_file"]), [n.nodule for n in dataset.truth(row).nodules])[0]
    mu = sum(partial_density(twin, m) * (float(mass_attenuation(m, kev)) / 10) for m in all_materials(twin))
    cx, cy, cz = twin.grid.centre_mm
    fan = (np.arange(n) - (n - 1) / 2) * cell_mm / sdd_mm
    way = np.arange(sid_mm - 400, sid_mm + 400, 0.5)
    points = np.stack(
        [cx + way * np.sin(fan)[:, None], cy - sid_mm + way * np.cos(fan)[:, None], np.full((n, way.size), cz)], axis=-1
    )
    index = twin.grid.world_to_index(points.reshape(-1, 3)).T
    return map_coordinates(mu, index, order=1).reshape(n, way.size).sum(axis=1) * 0.5
