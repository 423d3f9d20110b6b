"""Content-addressed artefacts: what exists, what is sound, and who may write."""

from __future__ import annotations

from .address import canonical, code_digest, content_key, package_version
from .lock import BusyError, exclusive
from .store import Artefact, Store, sha256_of

__all__ = [
    "Artefact",
    "BusyError",
    "Store",
    "canonical",
    "code_digest",
    "content_key",
    "exclusive",
    "package_version",
    "sha256_of",
]
