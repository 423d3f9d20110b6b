"""Phantoms and readings made again from a dataset of the real chain: they are those that its images were made of."""

import json

import numpy as np
import pytest

import ctsim
import twins
from ctsim import Sinogram
from flows.exports import export_dataset
from flows.volumes import read_volume


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
