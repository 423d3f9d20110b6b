"""What a format's writer gets: the dataset, an empty folder, the options, and the side of every image."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ..progress import Report
from .source import Source, SourceImage
from .splits import SplitSpec


class ExportOptions(BaseModel):
    """What a user may choose about an export."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    split: SplitSpec | None = Field(default=None, description="Sides of the images; none: all are for training [spec]")
    mimics: bool = Field(
        default=False,
        description="Label hard negatives (scars, plaques...) as a class of their own; else they are background [bool]",
    )
    dataset_id: int = Field(default=501, ge=1, le=999, description="Number of the nnU-Net dataset [1]")
    slice_step: int = Field(
        default=4, ge=1, le=100, description="Of lung slices without a nodule, 2-D formats take every n-th [1]"
    )


@dataclass(frozen=True, slots=True)
class Job:
    """One export in progress.

    Parameters
    ----------
    source
        The dataset.
    format
        Its name, a key of :data:`flows.exports.FORMATS`.
    root
        Empty folder to write into.
    options
        What the user chose.
    sides
        Name of the side by image id; empty where nothing is split.
    progress
        Gets ``(fraction, what)``.
    """

    source: Source
    format: str
    root: Path
    options: ExportOptions
    sides: Mapping[str, str]
    progress: Report | None = None

    def side(self, image: SourceImage) -> str:
        """The image's side; ``train`` where nothing is split."""
        return self.sides.get(image.id, "train")

    def is_test(self, image: SourceImage) -> bool:
        """Whether the image is held out for testing."""
        return self.side(image) == "test"

    def images(self) -> Iterator[SourceImage]:
        """All images, telling the progress."""
        images = self.source.images
        for i, image in enumerate(images):
            if self.progress is not None:
                self.progress(i / len(images), image.id)
            yield image

    def folder(self, name: str) -> Path:
        """A folder below the root, made when missing."""
        path = self.root / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def copy_image(self, image: SourceImage, name: str) -> None:
        """Copy the image file, byte by byte, to a path below the root."""
        self.copy(image.row["image_file"], name)

    def copy(self, path: str, name: str) -> None:
        """Copy a file of the dataset, byte by byte and checked, to a path below the root."""
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.source.path(path), target)

    def write_json(self, name: str, data: Any) -> None:
        """Write plain data; the same data give the same bytes."""
        text = json.dumps(data, indent=1, allow_nan=False, ensure_ascii=False)
        (self.root / name).write_text(text + "\n", encoding="utf-8")

    def write_text(self, name: str, text: str) -> None:
        """Write a text file."""
        (self.root / name).write_text(text, encoding="utf-8")
