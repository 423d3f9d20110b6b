"""What a folder is being built from: written when a build begins, so that others who come can tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from ..store import Store, canonical, code_digest, package_version
from ..study import Plan

NOTE = "build"
"""Name of the note in the store."""

ROOMS = ("twins", "lesions", "ctsim", "labeling")
"""Packages that decide what is computed."""


@dataclass(frozen=True, slots=True)
class Account:
    """What is built.

    Parameters
    ----------
    study
        Name of the study.
    backend
        ``cpu`` or ``gpu``.
    image_ids, twin_ids
        All of the plan.
    n_shards
        Into how many shards the build was cut last; 0: not at all.
    expected_mb
        Estimated size of the dataset [MB].
    digest
        SHA-256 over the whole study, its images, backend, version and code (but not ``n_shards``): builds with the same
        digest make the same bytes.
    code
        SHA-256 over the code and data that compute.
    """

    study: str
    backend: str
    image_ids: tuple[str, ...]
    twin_ids: tuple[str, ...]
    n_shards: int
    expected_mb: float
    digest: str
    code: str


def account_of(plan: Plan, backend: str, *, n_shards: int = 0) -> Account:
    """The account of a plan on a chosen backend."""
    image_ids = tuple(scan.image_id for case in plan.cases for scan in case.scans)
    code = code_of()
    whole = [plan.study.model_dump(mode="json"), image_ids, backend, code]
    return Account(
        study=plan.study.name,
        backend=backend,
        image_ids=image_ids,
        twin_ids=tuple(case.twin_id for case in plan.cases),
        n_shards=n_shards,
        expected_mb=plan.estimated_mb,
        digest=sha256(canonical(whole)).hexdigest(),
        code=code,
    )


def code_of() -> str:
    """SHA-256 over version and code of this installation."""
    return sha256(canonical([package_version(), {room: code_digest(room) for room in ROOMS}])).hexdigest()


def write_account(store: Store, account: Account) -> None:
    """Keep an account in a store."""
    store.note(NOTE, asdict(account))


def read_account(store: Store) -> Account | None:
    """The account that is kept in a store; None where there is none of this form."""
    data = store.noted(NOTE)
    if not isinstance(data, Mapping) or set(data) != set(Account.__dataclass_fields__):
        return None
    found: dict[str, Any] = dict(data)
    return Account(**found | {name: tuple(found[name]) for name in ("image_ids", "twin_ids")})
