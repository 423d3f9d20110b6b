"""Lesions into arrays as data loaders hold them: axes in any order, with a label map, boxes and a record.

The transforms for MONAI and TorchIO hand over NumPy views and take NumPy arrays back; all that they do is done here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from .frame import Frame
from .patch import Lesion, insert_lesions
from .spec import Insertion


class Labels(BaseModel):
    """What the values of organ mask and label map mean.

    Raises
    ------
    ValueError
        If a new lesion would be called background.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    organ: tuple[int, ...] | None = Field(
        default=None, min_length=1, description="Values of the organ mask that are the organ; none: all but 0"
    )
    new: int = Field(default=1, description="Value of a new lesion in the label map, of the first one with instances")
    instances: bool = Field(default=False, description="Whether each lesion gets a value of its own, counted upwards")
    there: tuple[int, ...] | None = Field(
        default=None,
        description="Values of the label map that are lesions already there, to be kept clear of; none: new, and with "
        "instances all from new on",
    )

    @model_validator(mode="after")
    def _agree(self) -> Labels:
        if self.new == 0:
            raise ValueError("new must not be 0, the background's value")
        return self

    def organ_mask(self, organ: NDArray[Any]) -> NDArray[np.bool_]:
        """Mask of the organ."""
        if self.organ is None:
            return np.asarray(organ if organ.dtype == bool else organ != 0)
        return _any_of(organ, self.organ)

    def lesion_mask(self, label: NDArray[Any]) -> NDArray[np.bool_]:
        """Mask of the lesions that are there already."""
        if self.there is None:
            return np.asarray(label >= self.new if self.instances else label == self.new)
        return _any_of(label, self.there)


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """Arrays with lesions in them.

    Parameters
    ----------
    image, label
        As they were given, changed; ``label`` is None where none was given.
    boxes
        ``(n, 6)`` float32 along the array's three axes: lower corner, upper corner; voxel i reaches from i to i + 1.
        They bound the voxels that the label map gives to each lesion.
    values
        ``(n,)`` value of each lesion in the label map.
    record
        JSON text: the key, the lesions with spec, place, volume, level, box and value, and what is missing and why.
    """

    image: NDArray[Any]
    label: NDArray[Any] | None
    boxes: NDArray[np.float32]
    values: NDArray[np.int64]
    record: str


def inserted(
    image: NDArray[Any],
    organ: NDArray[Any],
    label: NDArray[Any] | None,
    affine_lps: ArrayLike,
    what: Insertion,
    *,
    key: int,
    labels: Labels | None = None,
) -> Result:
    """Draw lesions and put them into an image and its label map; the arrays given stay as they are.

    Parameters
    ----------
    image
        Array of three axes in any order [HU].
    organ
        Mask of where lesions may be, of the same shape.
    label
        Label map to be updated, of the same shape; none: no label map.
    affine_lps
        ``(4, 4)`` index to world in LPS [mm]. Axes may be reversed, in any order, unequally spaced and oblique, not
        sheared. Of an oblique array the specs' orientation is along its own axes; places are in the world.
    what
        How many lesions, how large, what they are like.
    key
        64-bit key that fixes all chance.
    labels
        What the values mean.

    Raises
    ------
    ValueError
        If shapes differ, the affine is sheared, the image holds no HU, or the label map cannot hold a value.
    PlacementError
        If a lesion has no room, unless ``what.allow_missing``.
    """
    said = Labels() if labels is None else labels
    for name, other in (("organ", organ), ("label", label)):
        if other is not None and other.shape != image.shape:
            raise ValueError(f"{name} must have the image's shape {image.shape}, got {other.shape}")
    if image.ndim != 3:
        raise ValueError(f"image must have three axes, got shape {image.shape}")
    frame = Frame.of(affine_lps, image.shape)
    rng = np.random.Generator(np.random.Philox(key=key))
    there = None if label is None else said.lesion_mask(label)
    if there is not None and not there.any():
        there = None
    changed = image.copy()
    done = insert_lesions(
        frame.zyx(image),
        frame.local,
        frame.zyx(said.organ_mask(organ)),
        what,
        rng=rng,
        lesions=None if there is None else frame.zyx(there),
        out=frame.zyx(changed),
    )
    values = _values(said, len(done.lesions), label)
    out = None
    if label is not None:
        out = label.copy()
        turned = frame.zyx(out)
        for lesion, value in zip(done.lesions, values, strict=True):
            turned[lesion.window][lesion.mask] = value
    boxes = np.stack([_box(frame, one) for one in done.lesions]) if done.lesions else np.zeros((0, 6), np.float32)
    found = zip(done.lesions, values.tolist(), boxes.tolist(), strict=True)
    record = {
        "key": key,
        "lesions": [_record(frame, one, value, box) for one, value, box in found],
        "missing": list(done.missing),
    }
    return Result(changed, out, boxes, values, json.dumps(record, sort_keys=True))


def untouched() -> str:
    """The record of an image into which nothing was to be inserted."""
    return json.dumps({"key": None, "lesions": [], "missing": []}, sort_keys=True)


def _any_of(values: NDArray[Any], wanted: Sequence[int]) -> NDArray[np.bool_]:
    mask = values == wanted[0]
    for one in wanted[1:]:
        mask |= values == one
    return np.asarray(mask)


def _values(said: Labels, n: int, label: NDArray[Any] | None) -> NDArray[np.int64]:
    first = said.new
    if said.instances and label is not None and label.size:
        first = max(first, int(label.max()) + 1)
    values = first + np.arange(n) if said.instances else np.full(n, first)
    if label is not None and n:
        last = int(values[-1])
        fits = label.dtype.type(last) == last if label.dtype.kind == "f" else _holds(label.dtype, last)
        if not fits:
            raise ValueError(f"a label map of type {label.dtype} cannot hold the value {last} of a new lesion")
    return values.astype(np.int64)


def _holds(dtype: np.dtype[Any], value: int) -> bool:
    if dtype.kind == "b":
        return value == 1
    info = np.iinfo(dtype)
    return bool(info.min <= value <= info.max)


def _box(frame: Frame, lesion: Lesion) -> NDArray[np.float32]:
    mask = lesion.mask
    start, stop = [], []
    for axis, window in enumerate(lesion.window):
        filled = np.flatnonzero(mask.any(axis=tuple(k for k in range(3) if k != axis)))
        start.append(window.start + int(filled[0]))
        stop.append(window.start + int(filled[-1]) + 1)
    return frame.corners(tuple(start), tuple(stop))


def _record(frame: Frame, lesion: Lesion, value: int, box: list[float]) -> dict[str, Any]:
    nodule = lesion.nodule
    return {
        "id": nodule.id,
        "value": value,
        "centre_lps_mm": [float(c) for c in frame.grid.index_to_world(lesion.index)],
        "centre_index": frame.index(lesion.index),
        "box": box,
        "volume_mm3": lesion.volume_mm3,
        "equivalent_diameter_mm": nodule.target_diameter_mm,
        "n_voxels": int(np.count_nonzero(lesion.mask)),
        "type": nodule.type if lesion.contrast_hu is None else None,
        "level_hu": lesion.level_hu,
        "contrast_hu": lesion.contrast_hu,
        "nodule": nodule.model_dump(mode="json", exclude_defaults=True, exclude={"centre_mm"}),
    }
