"""How far a build is, who works on it, and what of its folder could go."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..stages.exposing import FOLDER as EXPOSURES
from ..store import SEAL, Artefact, Store, explaining
from .account import Account, read_account

OF_IMAGES = frozenset({"images", "masks", "mimics", "anatomy"})
"""Folders whose files are called after images."""

Reason = Literal["half written", "exposure kept for a shared twin", "no study asks for it", "record without its file"]

State = Literal["finished", "being built", "unfinished"]


@dataclass(frozen=True, slots=True)
class Reclaimable:
    """A file that may go without loss: a later build makes it again, if it needs it.

    Parameters
    ----------
    path
        Relative to the folder.
    n_bytes
        Size.
    reason
        Why.
    """

    path: str
    n_bytes: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class Status:
    """What is known of a folder without reading its images.

    Parameters
    ----------
    root
        The folder.
    state
        ``finished`` (sealed), ``being built``, or ``unfinished``.
    study, backend
        What is, or was last, built; empty where no build of this version began here.
    n_images, n_images_planned, n_twins, n_twins_planned
        Finished ones, and all of the plan. Twins are finished when all their images are.
    n_bytes, expected_bytes, free_bytes
        Size of the folder's artefacts, estimated size when finished, and room on the disk.
    writers
        Who builds what just now, as text.
    reclaimable
        What may go.
    """

    root: Path
    state: State
    study: str
    backend: str
    n_images: int
    n_images_planned: int
    n_twins: int
    n_twins_planned: int
    n_bytes: int
    expected_bytes: int
    free_bytes: int
    writers: tuple[str, ...]
    reclaimable: tuple[Reclaimable, ...]

    @property
    def reclaimable_bytes(self) -> int:
        """Size of all that may go."""
        return sum(item.n_bytes for item in self.reclaimable)


def status_of(root: str | os.PathLike[str]) -> Status:
    """Look at a folder, finished or not. Sizes are compared, digests are not (:func:`flows.verification.verify`).

    Raises
    ------
    ValueError
        If the folder holds no dataset.
    """
    store = _opened(root)
    account = read_account(store)
    sound = {a.path: a for a in store.records() if _size(store.root / a.path) == a.n_bytes}
    images = {Path(path).name.split(".")[0] for path in sound if path.startswith("images/")}
    planned = () if account is None else account.image_ids
    made = [image for image in planned if image in images] if account is not None else sorted(images)
    twins = () if account is None else account.twin_ids
    lacking = {twin for twin in twins for image in planned if image.startswith(f"{twin}_") and image not in images}
    writers = tuple(f"{name}: {who}" if name else who for name, who in store.writers().items())
    disk = os.statvfs(store.root)
    state: State = "finished" if (store.root / SEAL).is_file() else "being built" if writers else "unfinished"
    return Status(
        root=store.root,
        state=state,
        study="" if account is None else account.study,
        backend="" if account is None else account.backend,
        n_images=len(made),
        n_images_planned=len(planned),
        n_twins=len(twins) - len(lacking),
        n_twins_planned=len(twins),
        n_bytes=sum(artefact.n_bytes for artefact in sound.values()),
        expected_bytes=0 if account is None else round(1e6 * account.expected_mb),
        free_bytes=disk.f_bavail * disk.f_frsize,
        writers=writers,
        reclaimable=() if writers else tuple(_reclaimable(store, account)),
    )


def clean(root: str | os.PathLike[str]) -> tuple[Reclaimable, ...]:
    """Remove what may go (:attr:`Status.reclaimable`) and return it; nothing that a finished dataset holds.

    Raises
    ------
    ValueError
        If the folder holds no dataset.
    BusyError
        If a build is at work in it.
    """
    store = _opened(root)
    with explaining(store.root), store.lock():
        gone = tuple(_reclaimable(store, read_account(store)))
        unwanted = {item.path for item in gone}
        store.sweep()
        for artefact in store.records():
            if artefact.path in unwanted or not (store.root / artefact.path).is_file():
                store.drop(artefact.key)
    return gone


def _opened(root: str | os.PathLike[str]) -> Store:
    home = Path(root)
    if not home.is_dir():
        raise ValueError(f"{home}: no such folder")
    if not (home / ".store").is_dir():
        raise ValueError(f"{home}: holds no dataset of lungtwin")
    return Store(home)


def _reclaimable(store: Store, account: Account | None) -> list[Reclaimable]:
    root = store.root
    items = [
        Reclaimable(path.relative_to(root).as_posix(), _size(path) or 0, "half written") for path in store.scraps()
    ]
    seen: set[str] = set()
    for artefact in store.records():
        size = _size(root / artefact.path)
        if size is None:
            record = f".store/records/{artefact.key}.json"
            items.append(Reclaimable(record, _size(root / record) or 0, "record without its file"))
        elif artefact.path not in seen and (reason := _reason(artefact, account)) is not None:
            seen.add(artefact.path)
            items.append(Reclaimable(artefact.path, size, reason))
    return sorted(items, key=lambda item: item.path)


def _reason(artefact: Artefact, account: Account | None) -> Reason | None:
    if artefact.path.startswith(f"{EXPOSURES}/"):
        return "exposure kept for a shared twin"
    folder, _, name = artefact.path.partition("/")
    if account is None or folder not in OF_IMAGES:
        return None
    return None if name.split(".")[0] in account.image_ids else "no study asks for it"


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
