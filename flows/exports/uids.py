"""DICOM UIDs as a function of content: the same dataset gives the same UIDs, another one never does.

A UID is ``2.25.`` and a UUID as a decimal number (DICOM PS3.5 B.2); the UUID is of version 8 (RFC 9562: custom bits),
made of BLAKE2b over the names and digests of what it denotes.
"""

from __future__ import annotations

from hashlib import blake2b

from ..store import package_version
from .source import Source, SourceImage

VERSION = "1"
"""Raised when the same dataset is exported otherwise than before."""


def make_uid(*names: str) -> str:
    """The UID of what the names denote; at most 44 characters.

    Examples
    --------
    >>> make_uid("a", "b") == make_uid("a", "b") != make_uid("ab")
    True
    """
    hasher = blake2b(digest_size=16, person=b"lungtwin-uid-1")
    for name in (package_version(), VERSION, *names):
        data = name.encode()
        hasher.update(len(data).to_bytes(4, "big") + data)
    number = int.from_bytes(hasher.digest(), "big")
    number = number & ~(0xF << 76) | 0x8 << 76  # version 8
    number = number & ~(0x3 << 62) | 0x2 << 62  # variant of RFC 9562
    return f"2.25.{number}"


def study_uid(source: Source, image: SourceImage) -> str:
    """All scans of a twin are one study."""
    return make_uid("study", source.name, image.row["seed"], image.row["twin_id"], image.row["twin_sha256"])


def series_uid(source: Source, image: SourceImage) -> str:
    """The CT series of an image."""
    return make_uid("series", study_uid(source, image), image.id, image.row["image_sha256"])
