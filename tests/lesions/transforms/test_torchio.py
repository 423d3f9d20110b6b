"""The TorchIO transform: PyTorch's randomness, and a history that does the same again."""

from __future__ import annotations

import json

import numpy as np
import pytest

from .phantoms import organ_patch

# Other people's packages warn of what they will.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

LIVER = {"sizes": "tiny", "n_lesions": (1, 2), "contrast_hu": (30, 60), "allow_missing": True}


@pytest.fixture(scope="module")
def torchio():
    return pytest.importorskip("torchio")


@pytest.fixture
def subject(torchio):
    return sample(torchio)


def sample(torchio, diagonal=(0.8, 0.8, 0.8)):
    import torch

    image, organ = organ_patch(48, level=60.0, outside=-100.0)
    affine = np.diag([*diagonal, 1.0])

    def tensor(array):
        return torch.as_tensor(array[None])

    return torchio.Subject(
        ct=torchio.ScalarImage(tensor=tensor(image), affine=affine),
        organ=torchio.LabelMap(tensor=tensor(organ.astype(np.uint8)), affine=affine),
        label=torchio.LabelMap(tensor=tensor(0 * organ.astype(np.uint8)), affine=affine),
    )


def transform(**options):
    from lesions.transforms import RandomInsertNodules

    return RandomInsertNodules(**{"insertion": LIVER, **options})


def test_the_history_does_the_same_again(torchio, subject):
    import torch

    done = transform()(subject)
    (applied,) = done.history
    again = done.get_composed_history()(subject)
    assert torch.equal(done.ct.data, again.ct.data)
    assert torch.equal(done.label.data, again.label.data)
    assert done["nodules"] == again["nodules"]
    assert applied.key == json.loads(done["nodules"])["key"]
    assert int(subject.label.data.sum()) == 0
    assert int(done.label.data.sum()) > 0


def test_pytorchs_seed_decides(subject):
    import torch

    records = []
    for _ in range(2):
        torch.manual_seed(3)
        records.append([transform()(subject)["nodules"] for _ in range(2)])
    assert records[0] == records[1]
    assert records[0][0] != records[0][1]


def test_it_runs_among_others_and_on_other_axes(torchio):
    import torch

    torch.manual_seed(1)
    pipeline = torchio.Compose([torchio.ToOrientation("LPS"), transform(), torchio.RandomFlip()])
    done = pipeline(sample(torchio, (-0.8, 0.8, 1.2)))
    (lesion, *_) = json.loads(done["nodules"])["lesions"]
    x, y, z = lesion["centre_lps_mm"]
    index = np.linalg.inv(done.ct.affine) @ [-x, -y, z, 1]
    assert done.label.shape == done.ct.shape
    assert np.all(index[:3] > -0.5)


class Subjects:
    """Four times the same subject."""

    def __init__(self, torchio):
        self.subject, self.transform = sample(torchio), transform()

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return self.transform(self.subject)["nodules"]


def test_workers_differ(torchio):
    import torch

    def epoch(seed):
        generator = torch.Generator().manual_seed(seed)
        loader = torch.utils.data.DataLoader(Subjects(torchio), num_workers=2, generator=generator)
        return [text for batch in loader for text in batch]

    one = epoch(1)
    assert len({json.loads(text)["key"] for text in one}) == 4
    assert epoch(1) == one


def test_what_does_not_suit_is_refused(subject):
    with pytest.raises(ValueError, match="no image 'lungs'"):
        transform(organ="lungs")(subject)
    with pytest.raises(ValueError, match="n_lesions"):
        transform(insertion={"n_lesions": (3, 1)})
