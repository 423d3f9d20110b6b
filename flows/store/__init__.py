"""Content-addressed artefacts: what exists, what is sound, and who may write."""

from __future__ import annotations

from .address import canonical, code_digest, content_key, package_version
from .lock import BusyError, exclusive
from .store import SEAL, Artefact, FinishedStore, MissingError, Store, sha256_of
from .trouble import StorageError, explaining

__all__ = [
    "SEAL",
    "Artefact",
    "BusyError",
    "FinishedStore",
    "MissingError",
    "StorageError",
    "Store",
    "canonical",
    "code_digest",
    "content_key",
    "exclusive",
    "explaining",
    "package_version",
    "sha256_of",
]
