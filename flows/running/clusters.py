"""The same build on many machines: the head holds the folder, workers of a Dask or Ray cluster build families.

All machines see one folder at one path and have the same lungtwin installed; both is checked. Records travel, arrays do
not. A worker that dies has its family taken up by another. Where a case fails the rest goes on, and the failures are
named at the end.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from ..build import Build, open_build
from ..dataset import Dataset
from ..progress import Report
from ..stages import CaseRecord
from ..study import Plan
from .account import account_of
from .families import Family, build_family, families_of

Kind = Literal["dask", "ray"]

Submit = Callable[..., "Future[Any]"]
"""Runs a function with its arguments somewhere else."""

RETRIES = 3
"""Times that Ray tries a family again whose worker died (Dask: its own setting, three)."""


class CasesFailedError(ValueError):
    """Some cases of a build could not be made; the message names each with its reason."""


def parse_cluster(text: str) -> tuple[Kind, str]:
    """Kind and address of ``dask``, ``dask:N``, ``dask:tcp://HOST:PORT``, ``ray`` or ``ray:ADDRESS``.

    Without an address, or with a number of workers, a cluster is made on this machine and ends with the build.

    Raises
    ------
    ValueError
        If the text is none of these.
    """
    match = re.fullmatch(r"(dask|ray)(?::(.+))?", text)
    if match is None:
        raise ValueError(f"cluster must be dask, dask:N, dask:tcp://HOST:PORT, ray, ray:N or ray:ADDRESS, got {text!r}")
    kind: Kind = "dask" if match[1] == "dask" else "ray"
    return kind, match[2] or ""


def build_on_cluster(
    plan: Plan,
    out: str | os.PathLike[str],
    cluster: str,
    *,
    backend: str = "auto",
    wait_s: float = 0.0,
    progress: Report | None = None,
) -> Dataset:
    """Build a plan on a cluster (see :func:`parse_cluster`); the same bytes as on one machine.

    Raises
    ------
    CasesFailedError
        If cases failed; what was finished is kept.
    ValueError
        If the cluster's library is not installed, or its machines do not share the folder.
    BusyError
        If another build writes into the folder.
    """
    kind, address = parse_cluster(cluster)
    with (
        open_build(plan, out, backend=backend, wait_s=wait_s, progress=progress) as build,
        _dask(address) if kind == "dask" else _ray(address) as submit,
    ):
        return build.finish(run_families(build, submit))


def run_families(build: Build, submit: Submit) -> list[CaseRecord]:
    """The records of all cases in the order of the plan, made by whatever ``submit`` runs functions on."""
    root, backend = str(build.site.store.root.absolute()), build.site.backend
    digest = account_of(build.plan, backend).digest
    # the longest first: the last to end is then a short one
    waiting = sorted(families_of(build.plan), key=lambda family: -family.weight)
    futures = {submit(build_family, root, digest, backend, family): family for family in waiting}
    records: dict[str, CaseRecord] = {}
    failures: list[tuple[Family, BaseException]] = []
    for future in as_completed(futures):
        family = futures[future]
        error = future.exception()
        if error is not None:
            failures.append((family, error))
        else:
            records |= {record.twin_id: record for record in future.result()}
        build.site.meter.skip(family.weight, f"{family.name}: {'done' if error is None else 'failed'}")
    raise_failures(failures, len(futures))
    return [records[case.twin_id] for case in build.plan.cases]


def raise_failures(failures: Sequence[tuple[Family, BaseException]], n_families: int) -> None:
    """:class:`CasesFailedError` where there are any; one alone keeps its own kind if the user can mend it."""
    if not failures:
        return
    if n_families == 1 and isinstance(failures[0][1], ValueError | OSError):
        raise failures[0][1]
    lines = [f"{family.name}: {str(error) or type(error).__name__}" for family, error in failures]
    raise CasesFailedError(
        "\n".join([f"{len(failures)} of {n_families} families of twins failed; the others are kept:", *sorted(lines)])
    ) from failures[0][1]


@contextmanager
def _dask(address: str) -> Iterator[Submit]:
    """On the scheduler at an address, or on a cluster made here."""
    try:
        from distributed import Client
    except ImportError:
        raise ValueError("Dask is not installed: pip install 'lungtwin[dask]'") from None
    if not address or address.isdigit():
        made = local_dask(int(address) if address else None)
        with made as cluster, Client(cluster) as client:
            yield client.get_executor(pure=False).submit
        return
    try:
        client = Client(address, timeout="30s")
    except (OSError, ValueError) as error:
        raise ValueError(f"no Dask scheduler answers at {address!r}: {error}") from None
    with client:
        yield client.get_executor(pure=False).submit


def local_dask(n_workers: int | None) -> Any:
    """A Dask cluster on this machine: processes of one task each, which share the cores."""
    from distributed import LocalCluster

    cores = len(os.sched_getaffinity(0))
    n_workers = n_workers or min(4, cores)
    return LocalCluster(
        n_workers=n_workers,
        threads_per_worker=1,
        dashboard_address=None,
        env={"NUMBA_NUM_THREADS": str(max(1, cores // n_workers)), "PYTHONPATH": os.pathsep.join(_paths())},
    )


@contextmanager
def _ray(address: str) -> Iterator[Submit]:
    """On the Ray cluster at an address, or on one made here."""
    try:
        import ray
    except ImportError:
        raise ValueError("Ray is not installed: pip install 'lungtwin[ray]'") from None
    options: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False, "configure_logging": False}
    if not address or address.isdigit():
        cores = len(os.sched_getaffinity(0))
        n = int(address) if address else min(4, cores)
        environment = {"NUMBA_NUM_THREADS": str(max(1, cores // n)), "PYTHONPATH": os.pathsep.join(_paths())}
        ray.init(address="local", num_cpus=n, runtime_env={"env_vars": environment}, **options)
    else:
        try:
            ray.init(address=address, **options)
        except (ConnectionError, ValueError) as error:
            raise ValueError(f"no Ray cluster answers at {address!r}: {error}") from None
    try:
        yield (
            lambda function, *arguments: (
                ray.remote(num_cpus=1, max_retries=RETRIES)(function).remote(*arguments).future()
            )
        )
    finally:
        ray.shutdown()


def _paths() -> list[str]:
    """Where workers on this machine find lungtwin when it is not installed but lies beside."""
    home = str(Path(__file__).resolve().parents[2])
    return [home, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
