"""Shards: a build cut into parts that run by themselves, on one machine or on many, and are merged.

A shard takes every n-th family, by its place in the plan alone, so that no shard needs to know of another. Shards of
one folder share it: each claims the family that it works on. A merge makes nothing: it verifies that all is there, and
ends the build as it would have ended in one piece.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from twins.files import replacing

from ..build import RUN, Build, begin, check_folder, chosen_backend
from ..dataset import Dataset
from ..progress import Meter, Report
from ..stages import CaseRecord, Site, build_case
from ..stages.exposing import FOLDER as EXPOSURES
from ..store import Artefact, BusyError, FinishedStore, MissingError, Store, explaining
from ..study import Plan
from .account import Account, account_of, read_account, write_account
from .families import Family, families_of

MOST_SHARDS = 100_000


@dataclass(frozen=True, slots=True)
class Shard:
    """Part ``number`` of ``count``, counted from 1."""

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count <= MOST_SHARDS:
            raise ValueError(
                f"shard must be I/N with 1 <= I <= N <= {MOST_SHARDS}, got {self.number}/{self.count} (count from 1: "
                "sbatch --array=1-64)"
            )

    @classmethod
    def parse(cls, text: str) -> Shard:
        """The shard of a text such as ``3/64``; ValueError where it is none."""
        match = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", text)
        if match is None:
            raise ValueError(f"shard must be I/N, such as 3/64, got {text!r}")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def of(self, plan: Plan) -> tuple[Family, ...]:
        """Its families; none where there are more shards than families."""
        return families_of(plan)[self.number - 1 :: self.count]


class ShardBuild(Build):
    """One shard in progress; made by :func:`open_shard`."""

    def __init__(self, plan: Plan, site: Site, shard: Shard, wait_s: float) -> None:
        super().__init__(plan, site)
        self.shard, self.families = shard, shard.of(plan)
        self._wait_s = wait_s

    @contextmanager
    def claimed(self, family: Family) -> Iterator[None]:
        """Be the only one to build a family; BusyError where another process does."""
        with self.site.store.claim(family.name, wait_s=self._wait_s, purpose=f"shard {self.shard}"):
            yield

    def family(self, family: Family) -> tuple[CaseRecord, ...]:
        """Make, or find, everything of one family."""
        with self.claimed(family):
            return tuple(self.case(case) for case in family.cases)

    def end(self) -> None:
        """Write down what the clock says."""
        self.write_run(f"shard-{self.shard.number:04d}-of-{self.shard.count:04d}")


@contextmanager
def open_shard(
    plan: Plan,
    out: str | os.PathLike[str],
    shard: Shard,
    *,
    backend: str = "auto",
    wait_s: float = 0.0,
    progress: Report | None = None,
) -> Iterator[ShardBuild]:
    """Share a folder for one shard: :meth:`ShardBuild.family` for each of its ``families``, then ``end``.

    Raises
    ------
    BusyError
        If a whole build holds the folder, or shards of another study are at work in it.
    ValueError
        If the folder holds something else.
    """
    root = Path(out)
    with explaining(root):
        check_folder(root)
        account = account_of(plan, chosen_backend(backend), n_shards=shard.count)
        store = Store(root)
        try:
            with store.lock():  # nobody else is here: what the killed left may go
                begin(store, account)
        except BusyError:
            pass
        with store.share(wait_s=wait_s):
            kept = read_account(store)
            if kept is None or kept.digest != account.digest:
                raise BusyError(
                    f"{root}: shards of another study, version or backend are being built here; wait until they end, "
                    "or choose another folder"
                )
            meter = Meter(sum(family.weight for family in shard.of(plan)), progress)
            yield ShardBuild(plan, Site(store, account.backend, meter), shard, wait_s)


def build_shard(
    plan: Plan,
    out: str | os.PathLike[str],
    shard: Shard,
    *,
    backend: str = "auto",
    wait_s: float = 0.0,
    progress: Report | None = None,
) -> tuple[str, ...]:
    """Build one shard of a plan, or finish what an earlier run began; returns the ids of its twins."""
    with open_shard(plan, out, shard, backend=backend, wait_s=wait_s, progress=progress) as build:
        records = [record for family in build.families for record in build.family(family)]
        build.end()
    return tuple(record.twin_id for record in records)


def merge(
    plan: Plan,
    out: str | os.PathLike[str],
    sources: Sequence[str | os.PathLike[str]] = (),
    *,
    wait_s: float = 0.0,
    progress: Report | None = None,
) -> Dataset:
    """End a build whose shards are done: the same bytes as those of a build in one piece.

    Parameters
    ----------
    plan
        What the shards were built from.
    out
        Folder of the dataset.
    sources
        Folders with shards that were built elsewhere; what ``out`` lacks is verified and copied from them.
    wait_s
        How long to wait for shards that are still at work [s].
    progress
        Gets ``(fraction, what)``.

    Raises
    ------
    ValueError
        If something is missing; the message names the shards.
    BusyError
        If shards are still at work.
    """
    root = Path(out)
    folders = [Path(source) for source in sources]
    for folder in folders or [root]:
        if not (folder / ".store").is_dir():
            raise ValueError(f"{folder}: holds no shards of lungtwin")
    if folders:
        check_folder(root)
    with explaining(root):
        store = FinishedStore(root)
        with store.lock(wait_s=wait_s):
            account = read_account(store)
            for folder in folders:
                account = _take_in(store, folder, account)
            expected = account_of(plan, "cpu" if account is None else account.backend)
            if account is None:
                raise ValueError(f"{root}: nothing was built here yet by this version of lungtwin")
            if account.digest != expected.digest:
                raise ValueError(f"{root}: its shards were built from another study, or by another version of lungtwin")
            store.sweep()
            meter = Meter(sum(family.weight for family in families_of(plan)), progress)
            build = Build(plan, Site(store, account.backend, meter))
            return build.finish(_found(build, account.n_shards))


def _found(build: Build, n_shards: int) -> list[CaseRecord]:
    """The records of all cases, in the order of the plan; ValueError where one is missing."""
    records: dict[str, CaseRecord] = {}
    missing: list[int] = []
    families = families_of(build.plan)
    for number, family in enumerate(families):
        try:
            records |= {case.twin_id: build_case(build.site, case) for case in family.cases}
        except MissingError:
            missing.append(number)
    if missing:
        names = ", ".join(families[number].name for number in missing[:5])
        shards = sorted({f"{number % n_shards + 1}/{n_shards}" for number in missing}) if n_shards else []
        parts = f"; build shards {', '.join(shards[:20])}{' ...' if len(shards) > 20 else ''}" if shards else ""
        raise ValueError(
            f"{build.site.store.root}: {len(missing)} of {len(families)} families of twins are not finished "
            f"({names}{' ...' if len(missing) > 5 else ''}){parts}"
        )
    return [records[case.twin_id] for case in build.plan.cases]


def _take_in(store: Store, folder: Path, account: Account | None) -> Account:
    """Copy what a store lacks from a folder that was built from the same; returns what that is."""
    source = Store(folder)
    other = read_account(source)
    if other is None or (account is not None and account.digest != other.digest):
        raise ValueError(f"{folder}: was built from another study, or by another version of lungtwin, than the rest")
    if account is None:
        write_account(store, other)
    for artefact in source.records():
        if not artefact.path.startswith(f"{EXPOSURES}/") and Store.find(store, artefact.key) is None:
            if source.find(artefact.key) is None:
                continue  # damaged there; it is named as missing unless another folder has it
            store.put(artefact.key, artefact.path, partial(_copied, folder / artefact.path, artefact))
    (store.root / RUN).mkdir(exist_ok=True)
    for facts in sorted((folder / RUN).glob("shard-*.json")):
        with replacing(store.root / RUN / facts.name) as part:
            shutil.copyfile(facts, part)
    return other


def _copied(source: Path, artefact: Artefact, part: Path) -> Mapping[str, Any]:
    shutil.copyfile(source, part)
    return artefact.facts
