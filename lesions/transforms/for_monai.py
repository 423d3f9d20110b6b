"""Lesions on the fly in MONAI: a dictionary transform with MONAI's own randomness. Needs the extra ``monai``."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.data.box_utils import convert_box_mode, get_boxmode
from monai.transforms import MapTransform, RandomizableTransform
from monai.utils import TransformBackends, convert_to_dst_type
from numpy.typing import NDArray

from .arrays import Labels, inserted, untouched
from .frame import LPS_OF_RAS
from .spec import Insertion
from .workers import one_at_a_time, survive_forks

survive_forks()


class RandInsertNoduled(RandomizableTransform, MapTransform):
    """Insert lesions into a CT, its label map and its boxes.

    Place it where the image still holds HU, after channels come first; before or after cropping, before intensities
    are scaled. Spacing and orientation are read from the image's affine; without a MetaTensor, voxels are 1 mm in RAS.

    Parameters
    ----------
    keys
        The image, ``(1, i, j, k)`` [HU]; one key.
    organ_key
        Mask of where lesions may be, ``(1, i, j, k)``.
    label_key
        Label map to be updated, ``(1, i, j, k)``; may be the organ's; none: no label map.
    insertion
        What is inserted: an :class:`Insertion` or its fields.
    labels
        What the values of organ mask and label map mean: a :class:`Labels` or its fields.
    prob
        Probability that anything is inserted [1].
    box_key, box_label_key
        Boxes ``(n, 6)`` in image coordinates and their labels ``(n,)`` to which those of the new lesions are added,
        as far as the keys are given; made where they are missing. A new box has the label ``box_label``.
    box_mode
        MONAI's name of the boxes' mode.
    box_label
        Label of a new box.
    record_key
        Where the record goes, JSON text (see :class:`lesions.transforms.arrays.Result`), which batches well.
    allow_missing_keys
        Whether data without the image are passed on as they are.

    Raises
    ------
    ValueError
        If a field is out of range, shapes or values do not suit, or the affine is sheared.
    lesions.PlacementError
        If a lesion has no room, unless ``insertion.allow_missing``.
    """

    backend = [TransformBackends.NUMPY]  # noqa: RUF012

    def __init__(
        self,
        keys: Hashable,
        organ_key: Hashable = "organ",
        label_key: Hashable | None = "label",
        insertion: Insertion | Mapping[str, Any] | None = None,
        labels: Labels | Mapping[str, Any] | None = None,
        prob: float = 1.0,
        box_key: Hashable | None = None,
        box_label_key: Hashable | None = None,
        box_mode: str = "xyzxyz",
        box_label: int = 0,
        record_key: Hashable = "nodules",
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        if len(self.keys) != 1:
            raise ValueError(f"keys must name one image, got {self.keys}")
        if not 0 <= prob <= 1:
            raise ValueError(f"prob must lie within 0-1, got {prob}")
        RandomizableTransform.__init__(self, prob)
        get_boxmode(box_mode)
        self.organ_key, self.label_key, self.record_key = organ_key, label_key, record_key
        self.box_key, self.box_label_key = box_key, box_label_key
        self.box_mode, self.box_label = box_mode, box_label
        self.insertion = insertion if isinstance(insertion, Insertion) else Insertion.model_validate(insertion or {})
        self.labels = labels if isinstance(labels, Labels) else Labels.model_validate(labels or {})
        self._key = 0

    def randomize(self, data: Any = None) -> None:  # noqa: ARG002
        """Draw whether anything is inserted, and the key of all further chance, from ``self.R``."""
        super().randomize(None)
        high, low = (int(word) for word in self.R.randint(0, 2**32, 2, dtype=np.uint64))
        self._key = high << 32 | low

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Data with lesions in them; what was given stays as it is."""
        d = dict(data)
        self.randomize()
        for key in self.key_iterator(d):
            if not self._do_transform:
                d[self.record_key] = untouched()
                self._add_boxes(d, np.zeros((0, 6), np.float32))
                continue
            image = d[key]
            label = None if self.label_key is None else d[self.label_key]
            with one_at_a_time():
                done = inserted(
                    _volume(key, image),
                    _volume(self.organ_key, d[self.organ_key]),
                    None if label is None else _volume(self.label_key, label),
                    _affine_lps(image),
                    self.insertion,
                    key=self._key,
                    labels=self.labels,
                )
            d[key] = convert_to_dst_type(done.image[None], image)[0]
            if done.label is not None:
                d[self.label_key] = convert_to_dst_type(done.label[None], label)[0]
            d[self.record_key] = done.record
            self._add_boxes(d, done.boxes)
        return d

    def _add_boxes(self, d: dict[Hashable, Any], corners: NDArray[np.float32]) -> None:
        if self.box_key is not None:
            new: Any = corners if not len(corners) else convert_box_mode(corners, "xyzxyz", self.box_mode)
            d[self.box_key] = _joined(d.get(self.box_key), new)
        if self.box_label_key is not None:
            d[self.box_label_key] = _joined(d.get(self.box_label_key), np.full(len(corners), self.box_label))


def _volume(key: Hashable, of: Any) -> NDArray[Any]:
    """The array ``(i, j, k)`` of an image with one channel."""
    array = of.detach().cpu().numpy() if isinstance(of, torch.Tensor) else np.asarray(of)
    if array.ndim != 4 or array.shape[0] != 1:
        raise ValueError(f"{key!r} must have one channel and three axes, (1, i, j, k), got shape {array.shape}")
    return np.asarray(array[0])


def _affine_lps(image: Any) -> NDArray[np.float64]:
    if not isinstance(image, MetaTensor):
        return LPS_OF_RAS
    affine = np.asarray(image.affine, np.float64)
    return affine if str(image.meta.get("space", "RAS")) == "LPS" else LPS_OF_RAS @ affine


def _joined(old: Any, new: NDArray[Any]) -> Any:
    if old is None:
        return torch.as_tensor(new)
    if len(old) == 0:
        return convert_to_dst_type(new, old)[0]
    added = convert_to_dst_type(new, old)[0]
    return torch.cat([old, added]) if isinstance(old, torch.Tensor) else np.concatenate([old, added])
