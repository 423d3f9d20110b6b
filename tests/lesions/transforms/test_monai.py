"""The MONAI transform: MONAI's randomness, its data loader, its metadata and its boxes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from .phantoms import organ_patch

# Other people's packages warn of what they will.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

LIVER = {"sizes": "tiny", "n_lesions": (1, 2), "contrast_hu": (-60, -30), "allow_missing": True}


@pytest.fixture(scope="module")
def torch():
    pytest.importorskip("monai")
    return pytest.importorskip("torch")


@pytest.fixture
def data(torch):
    return sample(torch)


def sample(torch, diagonal=(0.8, 0.8, 0.8), space="RAS"):
    from monai.data import MetaTensor

    image, organ = organ_patch(48, level=60.0, outside=-100.0)
    affine = torch.diag(torch.tensor([*diagonal, 1.0], dtype=torch.float64))

    def tensor(array):
        return MetaTensor(torch.as_tensor(array[None]), affine=affine, meta={"space": space})

    return {
        "image": tensor(image),
        "organ": tensor(organ.astype(np.uint8)),
        "label": tensor(0 * organ.astype(np.uint8)),
    }


def transform(**options):
    from lesions.transforms import RandInsertNoduled

    return RandInsertNoduled("image", **{"insertion": LIVER, **options})


def test_the_random_state_decides(torch, data):
    one, two = transform().set_random_state(3), transform().set_random_state(3)
    first, again = one(data), two(data)
    assert torch.equal(first["image"], again["image"])
    assert first["nodules"] == again["nodules"]
    assert one(data)["nodules"] != first["nodules"]
    assert transform().set_random_state(4)(data)["nodules"] != first["nodules"]
    assert int(data["label"].sum()) == 0


def test_determinism_is_monais(torch, data):
    from monai.transforms import Compose
    from monai.utils import set_determinism

    records = []
    for _ in range(2):
        set_determinism(seed=7)
        pipeline = Compose([transform()])
        records.append([pipeline(data)["nodules"] for _ in range(2)])
    set_determinism(seed=None)
    assert records[0] == records[1]
    assert records[0][0] != records[0][1]


class Patches:
    """Four times the same patch."""

    def __init__(self, torch, transform):
        self.data, self.transform = sample(torch), transform

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return self.transform(self.data)


def test_workers_and_epochs_differ_and_a_seed_brings_all_back(torch):
    from monai.data import DataLoader

    def epochs(seed):
        generator = torch.Generator().manual_seed(seed)
        loader = DataLoader(Patches(torch, transform()), batch_size=2, num_workers=2, generator=generator)
        return [[text for batch in loader for text in batch["nodules"]] for _ in range(2)]

    one = epochs(1)
    keys = [json.loads(text)["key"] for epoch in one for text in epoch]
    assert len(set(keys)) == 8
    assert epochs(1) == one
    assert epochs(2) != one


def test_metadata_stays_and_places_are_in_the_world(torch):
    given = sample(torch, (0.8, -0.8, 1.6))
    done = transform().set_random_state(1)(given)
    assert done["image"].meta["space"] == "RAS"
    assert torch.equal(done["image"].affine, given["image"].affine)
    assert done["image"].dtype == given["image"].dtype
    for lesion in json.loads(done["nodules"])["lesions"]:
        x, y, z = lesion["centre_lps_mm"]
        index = np.linalg.inv(np.asarray(given["image"].affine)) @ [-x, -y, z, 1]
        np.testing.assert_allclose(index[:3], lesion["centre_index"], atol=1e-6)
        filled = np.argwhere(np.asarray(done["label"][0]) == lesion["value"])
        assert np.all(filled.min(axis=0) < index[:3])
        assert np.all(filled.max(axis=0) > index[:3])
    lps = transform().set_random_state(1)(sample(torch, (-0.8, 0.8, 1.6), "LPS"))
    assert torch.equal(lps["image"], done["image"])


@pytest.mark.parametrize("mode", ["xyzxyz", "cccwhd", "xxyyzz"])
def test_boxes_are_added_in_the_mode_named(torch, data, mode):
    from monai.data.box_utils import convert_box_mode

    old = torch.tensor([[1.0, 2.0, 3.0, 6.0, 7.0, 9.0]])
    options = {"box_key": "boxes", "box_label_key": "classes", "box_mode": mode, "box_label": 4}
    given = {**data, "boxes": convert_box_mode(old, "xyzxyz", mode), "classes": torch.tensor([0])}
    done = transform(**options, labels={"instances": True}).set_random_state(5)(given)
    boxes = convert_box_mode(done["boxes"], mode, "xyzxyz")
    torch.testing.assert_close(boxes[:1], old)
    n = len(json.loads(done["nodules"])["lesions"])
    assert done["classes"].tolist() == [0] + n * [4]
    for value, box in enumerate(boxes[1:].tolist(), start=1):
        filled = np.argwhere(np.asarray(done["label"][0]) == value)
        assert box == [*filled.min(axis=0), *(filled.max(axis=0) + 1)]
    fresh = transform(**options).set_random_state(5)(data)
    assert fresh["boxes"].shape == (n, 6)


def test_without_luck_nothing_changes(torch, data):
    done = transform(prob=0.0, box_key="boxes")(data)
    assert torch.equal(done["image"], data["image"])
    assert json.loads(done["nodules"])["lesions"] == []
    assert done["boxes"].shape == (0, 6)


def test_what_does_not_suit_is_refused(torch, data):
    with pytest.raises(ValueError, match="one channel"):
        transform()({**data, "image": torch.cat([data["image"]] * 2)})
    with pytest.raises(ValueError, match="one image"):
        from lesions.transforms import RandInsertNoduled

        RandInsertNoduled(["a", "b"])
    with pytest.raises(ValueError, match="prob"):
        transform(prob=2.0)
    with pytest.raises(ValueError, match="box mode"):
        transform(box_mode="zyx")
    with pytest.raises(KeyError):
        transform()({"label": data["label"]})
    assert set(transform(allow_missing_keys=True)({"label": data["label"]})) >= {"label"}
