"""Families: the cases that share a twin before nodules, and so an exposure.

They are the smallest part of a build that another process, or another machine, can take over without doing anything
twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..progress import Meter, Report
from ..stages import CaseRecord, Site, build_case
from ..stages.case import case_weight
from ..store import Store, explaining
from ..study import Case, Plan
from .account import code_of, read_account


@dataclass(frozen=True, slots=True)
class Family:
    """Cases with one base.

    Parameters
    ----------
    name
        Id of the first twin.
    cases
        In the order of the plan, in which they must be built.
    """

    name: str
    cases: tuple[Case, ...]

    @property
    def weight(self) -> float:
        """Rough time [s]."""
        return sum(case_weight(case) for case in self.cases)


def families_of(plan: Plan) -> tuple[Family, ...]:
    """All families of a plan, in the order of their first cases."""
    found: dict[str, list[Case]] = {}
    for case in plan.cases:
        found.setdefault(case.base_twin, []).append(case)
    return tuple(Family(name, tuple(cases)) for name, cases in found.items())


def build_family(
    root: str, digest: str, backend: str, family: Family, report: Report | None = None
) -> tuple[CaseRecord, ...]:
    """Build a family in whatever process this runs, for a build that holds the folder elsewhere.

    Parameters
    ----------
    root
        Folder of the dataset, as this process sees it.
    digest
        Of the account of the build.
    backend
        ``cpu`` or ``gpu``, chosen.
    family
        What to build.
    report
        Gets fraction and what.

    Raises
    ------
    ValueError
        If the folder is not the one of the build, or this installation is another one.
    """
    home = Path(root)
    if not (home / ".store").is_dir():
        raise ValueError(f"{home}: does not exist here; all machines of a build need one shared folder at one path")
    with explaining(home):
        store = Store(home)
        account = read_account(store)
        if account is None or account.digest != digest:
            raise ValueError(
                f"{home}: is not the folder of this build; all machines need one shared folder at one path"
            )
        if account.code != code_of():
            raise ValueError(
                "this worker has another version of lungtwin than the build; install the same one everywhere"
            )
        site = Site(store, backend, Meter(family.weight, report))
        return tuple(build_case(site, case) for case in family.cases)
