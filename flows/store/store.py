"""Artefacts in a folder: files at their final places, and one sealed record per content key.

A record (``.store/records/KEY.json``) says which file a key made, with its SHA-256, and is written after the file. So
a file without a record is unfinished, a record without its file or with another digest is void, and a damaged record
is no record. All are made again; nothing is repaired.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from twins.files import replacing

from .address import canonical
from .lock import BusyError, exclusive, holder, shared

SEAL = "digests.sha256"
"""Digests of all files of a finished dataset, written last; gone as soon as a file is written."""

HOME = ".store"
"""Folder of the records and the locks, inside the dataset."""

TEMPORARY = re.compile(r"^\.[^.]*\.\d+(\.|$)")
"""Names of files that are being written (:func:`twins.files.replacing`): a dot, the stem, the number of the process."""


@dataclass(frozen=True, slots=True)
class Artefact:
    """A finished, verified file.

    Parameters
    ----------
    key
        Content key (64 hex digits).
    path
        Place relative to the store's root, with forward slashes.
    sha256, n_bytes
        Digest and size of the file.
    facts
        JSON-able things that its maker found out and that the file does not say (dose, extents, ...).
    """

    key: str
    path: str
    sha256: str
    n_bytes: int
    facts: Mapping[str, Any] = field(default_factory=dict)


class MissingError(ValueError):
    """An artefact is asked for that is not there, of a store that makes none."""


class Store:
    """The artefacts below one folder.

    Parameters
    ----------
    root
        The folder; made, with its parents, when missing.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        self._records = self.root / HOME / "records"
        self._claims = self.root / HOME / "claims"
        self._records.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def lock(self, *, wait_s: float = 0.0) -> Iterator[None]:
        """Be the only writer; see :func:`flows.store.exclusive`. Who reads needs neither this nor :meth:`share`."""
        with ExitStack() as held:
            with self._telling_who():
                held.enter_context(exclusive(self.root / HOME / "lock", wait_s=wait_s))
            yield

    @contextmanager
    def share(self, *, wait_s: float = 0.0) -> Iterator[None]:
        """Be one of several writers, each of which claims what it writes (:meth:`claim`)."""
        with ExitStack() as held:
            with self._telling_who():
                held.enter_context(shared(self.root / HOME / "lock", wait_s=wait_s))
            yield

    @contextmanager
    def claim(self, name: str, *, wait_s: float = 0.0, purpose: str = "") -> Iterator[None]:
        """Be the only one of several writers to write what is called ``name``."""
        self._claims.mkdir(exist_ok=True)
        with ExitStack() as held:
            with self._telling_who(name):
                held.enter_context(exclusive(self._claims / f"{name}.lock", wait_s=wait_s, purpose=purpose))
            yield

    def writers(self) -> dict[str, str]:
        """Who writes what just now: name of the claim (empty for the whole folder), and process and host."""
        held = {path.stem: holder(path) for path in sorted(self._claims.glob("*.lock"))}
        found = {name: who for name, who in held.items() if who is not None}
        whole = holder(self.root / HOME / "lock")
        return found if found or whole is None else {"": whole}

    @contextmanager
    def _telling_who(self, name: str = "") -> Iterator[None]:
        try:
            yield
        except BusyError as error:
            who = sorted(set(self.writers().values())) or [str(error)]
            more = f" and {len(who) - 3} more" if len(who) > 3 else ""
            what = f"another build is making {name!r} here" if name else "another build is writing here"
            raise BusyError(
                f"{self.root}: {what} ({'; '.join(who[:3])}{more}); wait until it ends, use --wait, or "
                "choose another folder"
            ) from None

    def note(self, name: str, data: Any) -> None:
        """Keep JSON-able ``data`` under a name, outside the dataset's own files."""
        with replacing(self.root / HOME / f"{name}.json") as part:
            part.write_bytes(canonical(data) + b"\n")

    def noted(self, name: str) -> Any:
        """What :meth:`note` kept; None where there is nothing that can be read."""
        try:
            return json.loads((self.root / HOME / f"{name}.json").read_bytes())
        except (OSError, ValueError):
            return None

    def find(self, key: str) -> Artefact | None:
        """The artefact of ``key`` if its file is there and has the recorded digest, else None."""
        artefact = self._read(self._records / f"{key}.json")
        if artefact is None or artefact.key != key:
            return None
        file = self.root / artefact.path
        try:
            if file.stat().st_size != artefact.n_bytes or sha256_of(file) != artefact.sha256:
                return None
        except OSError:
            return None
        return artefact

    def put(self, key: str, path: str, write: Callable[[Path], Mapping[str, Any] | None]) -> Artefact:
        """Make the file at ``path`` (relative) with ``write(temporary path)`` and record it under ``key``.

        ``write`` may return facts to keep with the artefact.
        """
        _check_relative(path)
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        self.unseal()
        with replacing(target) as part:
            facts = write(part) or {}
            artefact = Artefact(key, path, sha256_of(part), part.stat().st_size, dict(facts))
        self._write(artefact)
        return artefact

    def make(self, key: str, path: str, write: Callable[[Path], Mapping[str, Any] | None]) -> Artefact:
        """What :meth:`find` finds at ``path``, or else what :meth:`put` makes."""
        found = self.find(key)
        return found if found is not None and found.path == path else self.put(key, path, write)

    def unseal(self) -> None:
        """Mark the dataset as unfinished."""
        (self.root / SEAL).unlink(missing_ok=True)

    def prune(self, live: Collection[str]) -> list[str]:
        """Forget every record whose key is not in ``live``, and remove files that only those records name.

        Files that the store never made are never touched. Returns the removed paths, sorted.
        """
        records = {file: self._read(file) for file in sorted(self._records.glob("*.json"))}
        kept = {a.path for a in records.values() if a is not None and a.key in live}
        removed = set()
        for file, artefact in records.items():
            if artefact is not None and artefact.key in live:
                continue
            if artefact is not None and artefact.path not in kept and self._remove(artefact.path):
                removed.add(artefact.path)
            file.unlink()
        return sorted(removed)

    def drop(self, key: str) -> None:
        """Forget a key and remove its file, if they are there: what only the way to other artefacts needed."""
        record = self._records / f"{key}.json"
        artefact = self._read(record)
        if artefact is not None:
            self._remove(artefact.path)
        record.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove temporary files that killed writers left beside artefacts; only the holder of the lock may."""
        for file in self.scraps():
            file.unlink(missing_ok=True)

    def scraps(self) -> list[Path]:
        """Temporary files that killed writers left, or running ones have just now."""
        inside = (p for p in self.root.iterdir() if p.is_dir() and p.name != HOME)
        folders = (self.root, self.root / HOME, self._records, *sorted(inside))
        return [f for folder in folders for f in sorted(folder.glob(".*.*")) if TEMPORARY.match(f.name) and f.is_file()]

    def records(self) -> list[Artefact]:
        """All records that can be read, whether or not their files are sound; sorted by key."""
        found = (self._read(file) for file in sorted(self._records.glob("*.json")))
        return [artefact for artefact in found if artefact is not None]

    def _remove(self, path: str) -> bool:
        """Remove a file, and its folder when that is left empty; False where there is none."""
        file = self.root / path
        try:
            file.unlink()
        except FileNotFoundError:
            return False
        if file.parent != self.root:
            with suppress(OSError):
                file.parent.rmdir()
        return True

    def _read(self, file: Path) -> Artefact | None:
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
            seal = data.pop("seal")
            if seal != sha256(canonical(data)).hexdigest():
                return None
            _check_relative(data["path"])
            return Artefact(**data)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def _write(self, artefact: Artefact) -> None:
        data = asdict(artefact)
        data["facts"] = dict(artefact.facts)
        sealed = {**data, "seal": sha256(canonical(data)).hexdigest()}
        with replacing(self._records / f"{artefact.key}.json") as part:
            part.write_text(json.dumps(sealed, sort_keys=True, indent=1) + "\n", encoding="utf-8")


class FinishedStore(Store):
    """A store that makes nothing: what is not there, or not sound, is missing."""

    def find(self, key: str) -> Artefact:
        """The artefact of ``key``; :class:`MissingError` where there is none."""
        found = super().find(key)
        if found is None:
            raise MissingError(f"{self.root}: an artefact is missing (key {key[:12]}...)")
        return found


def sha256_of(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, as 64 hex digits."""
    hasher = sha256()
    with Path(path).open("rb") as handle:
        while block := handle.read(1 << 20):
            hasher.update(block)
    return hasher.hexdigest()


def _check_relative(path: str) -> None:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or not pure.name or pure.parts[0] == HOME:
        raise ValueError(f"path must lie below the store's root and outside {HOME!r}, got {path!r}")
