"""Lesions on the fly in TorchIO: one transform draws, another applies; needs the extra ``torchio``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchio import Image, Subject, Transform
from torchio.transforms.augmentation import RandomTransform

from .arrays import Labels, inserted
from .frame import LPS_OF_RAS
from .spec import Insertion
from .workers import one_at_a_time, survive_forks

survive_forks()


class RandomInsertNodules(RandomTransform):
    """Insert random lesions into a subject's CT and label map.

    Chance comes from PyTorch's generator, as with all random transforms of TorchIO; what was drawn stands in the
    subject's history as an :class:`InsertNodules`, which does the same again.

    Parameters
    ----------
    image, organ
        Names of the CT [HU] and of the mask of where lesions may be.
    label
        Name of the label map to be updated; may be the organ's; none: no label map.
    insertion
        What is inserted: an :class:`Insertion` or its fields.
    labels
        What the values of organ mask and label map mean: a :class:`Labels` or its fields.
    record
        Name under which the subject gets the record, JSON text (see :class:`lesions.transforms.arrays.Result`).
    **kwargs
        Those of :class:`torchio.Transform`: ``p``, ``copy``...

    Raises
    ------
    ValueError
        If a field is out of range, shapes or values do not suit, or the affine is sheared.
    lesions.PlacementError
        If a lesion has no room, unless ``insertion.allow_missing``.
    """

    def __init__(
        self,
        image: str = "ct",
        organ: str = "organ",
        label: str | None = "label",
        insertion: Insertion | Mapping[str, Any] | None = None,
        labels: Labels | Mapping[str, Any] | None = None,
        record: str = "nodules",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.image, self.organ, self.label, self.record = image, organ, label, record
        self.insertion, self.labels = _insertion(insertion), _labels(labels)

    def apply_transform(self, subject: Subject) -> Subject:
        """The subject with lesions in it."""
        low, high = (int(word) for word in torch.randint(0, 2**32, (2,), dtype=torch.int64))
        return InsertNodules(
            self.image,
            self.organ,
            self.label,
            self.insertion,
            self.labels,
            self.record,
            key=high << 32 | low,
            **self._get_base_args(),
        )(subject)


class InsertNodules(Transform):
    """Insert the lesions that a key stands for; parameters as of :class:`RandomInsertNodules`.

    Parameters
    ----------
    key
        64-bit key that fixes all chance.
    """

    def __init__(
        self,
        image: str = "ct",
        organ: str = "organ",
        label: str | None = "label",
        insertion: Insertion | Mapping[str, Any] | None = None,
        labels: Labels | Mapping[str, Any] | None = None,
        record: str = "nodules",
        key: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 0 <= key < 2**64:
            raise ValueError(f"key must be a 64-bit integer, got {key}")
        self.image, self.organ, self.label, self.record, self.key = image, organ, label, record, key
        # As plain data, so that a history can be saved and its repr read.
        self.insertion = _insertion(insertion).model_dump(mode="json", exclude_defaults=True)
        self.labels = _labels(labels).model_dump(mode="json", exclude_defaults=True)
        self.args_names = ["image", "organ", "label", "insertion", "labels", "record", "key"]

    def apply_transform(self, subject: Subject) -> Subject:
        """The subject with lesions in it."""
        image = _image(subject, self.image)
        label = None if self.label is None else _image(subject, self.label)
        # TorchIO makes every floating-point oddity an error while a transform runs; ours are NumPy's usual ones.
        with np.errstate(all="warn", under="ignore"), one_at_a_time():
            done = inserted(
                _volume(self.image, image),
                _volume(self.organ, _image(subject, self.organ)),
                None if label is None else _volume(self.label, label),
                LPS_OF_RAS @ np.asarray(image.affine, np.float64),
                _insertion(self.insertion),
                key=self.key,
                labels=_labels(self.labels),
            )
        image.set_data(torch.as_tensor(done.image[None]))
        if label is not None and done.label is not None:
            label.set_data(torch.as_tensor(done.label[None]))
        subject[self.record] = done.record
        return subject


def _insertion(of: Insertion | Mapping[str, Any] | None) -> Insertion:
    return of if isinstance(of, Insertion) else Insertion.model_validate(of or {})


def _labels(of: Labels | Mapping[str, Any] | None) -> Labels:
    return of if isinstance(of, Labels) else Labels.model_validate(of or {})


def _image(subject: Subject, name: str) -> Image:
    found = subject.get(name)
    if not isinstance(found, Image):
        raise ValueError(f"the subject has no image {name!r}, it has {', '.join(subject.get_images_names())}")
    return found


def _volume(name: str | None, image: Image) -> NDArray[Any]:
    array = image.data.numpy()
    if array.shape[0] != 1:
        raise ValueError(f"image {name!r} must have one channel, got {array.shape[0]}")
    return np.asarray(array[0])
