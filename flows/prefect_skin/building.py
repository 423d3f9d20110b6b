"""The flows and tasks that Prefect runs; what they do is done by the build, which knows nothing of them."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.concurrency.sync import concurrency
from prefect.runtime import flow_run
from prefect.tasks import Task

from ..build import Build, open_build
from ..dataset import Dataset
from ..running.account import account_of
from ..running.clusters import local_dask, parse_cluster, raise_failures
from ..running.families import Family, build_family, families_of
from ..running.shards import Shard, merge, open_shard
from ..stages import CaseRecord
from ..store import BusyError, StorageError
from ..study import Case, load_study, make_plan
from .parameters import Backend, ClusterText, Folder, ShardText, StudyName, WaitSeconds
from .showing import Shown, Teller, show

RETRIES = 2
"""Times that a case is tried again after a trouble that may pass (disk, memory)."""

GPU_LIMIT = "lungtwin-gpu"
"""Name of the server's limit: as many cases at once as there are GPUs."""


def may_pass(_task: Task[Any, Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether trying again can help: not where the input is at fault."""
    try:
        state.result()
    except StorageError as error:
        return error.may_pass
    except (ValueError, TypeError, FileNotFoundError, BusyError):
        return False
    except Exception:
        return True
    return False


@contextmanager
def _gpu_slot(backend: str) -> Iterator[None]:
    """Wait for a GPU of the server's limit, which must exist."""
    with concurrency(GPU_LIMIT, occupy=1, strict=True) if backend == "gpu" else nullcontext():
        yield


OPTIONS: dict[str, Any] = {
    "cache_policy": NO_CACHE,
    "persist_result": False,
    "retries": RETRIES,
    "retry_delay_seconds": [5, 30],
    "retry_condition_fn": may_pass,
}


@task(name="case", task_run_name="{name}", **OPTIONS)
def case_task(name: str, build: Build, case: Case) -> CaseRecord:
    """One twin with its nodules and images; ``name`` is what the run is called."""
    get_run_logger().info("%s: %d nodules, %d images", name, len(case.nodules), len(case.scans))
    with _gpu_slot(build.site.backend):
        return build.case(case)


@task(name="family", task_run_name="{name}", **OPTIONS)
def family_task(name: str, root: str, digest: str, backend: str, family: Family) -> tuple[CaseRecord, ...]:
    """Cases that share a twin, on a machine that sees the dataset's folder."""
    get_run_logger().info("%s: %d cases in process %d", name, len(family.cases), os.getpid())
    with _gpu_slot(backend):
        return build_family(root, digest, backend, family, Teller())


@task(name="finish", cache_policy=NO_CACHE, persist_result=False)
def finish_task(build: Build, records: list[CaseRecord]) -> str:
    """Tables, seal and report."""
    return str(build.finish(records).root)


def _run_name() -> str:
    given = flow_run.parameters
    shard = f" shard {given['shard']}" if given.get("shard") else ""
    return f"{Path(str(given.get('study', 'study'))).stem}{shard} into {Path(str(given.get('out', 'out'))).name}"


@flow(name="build-dataset", flow_run_name=_run_name, persist_result=False)
def build_dataset_flow(
    study: StudyName = "demo",
    out: Folder = "out/demo",
    backend: Backend = "auto",
    shard: ShardText = "",
    cluster: ClusterText = "",
    wait_s: WaitSeconds = 0.0,
    preview: bool = False,
) -> str:
    """Build the dataset of a study into a folder, or finish what an earlier run began there.

    Args:
        study: Name of a preset, or path of a study file (YAML).
        out: Folder of the dataset; made when missing.
        backend: auto, cpu or gpu.
        shard: I/N to build only that part of the study; the flow merge-dataset ends the build.
        cluster: dask, dask:N, dask:tcp://HOST:PORT, ray or ray:ADDRESS to build on a cluster.
        wait_s: How long to wait for other builds into the folder, in seconds.
        preview: A small, coarse version of the study, in minutes.
    """
    logging.captureWarnings(capture=True)
    if shard and cluster:
        raise ValueError(
            f"shard {shard!r} and cluster {cluster!r} exclude each other: a cluster builds the whole study"
        )
    plan = make_plan(load_study(study, preview=preview))
    shown = Shown(f"{study} into {out}")
    if shard:
        part = Shard.parse(shard)
        with open_shard(plan, out, part, backend=backend, wait_s=wait_s, progress=shown) as open_part:
            for family in open_part.families:
                with open_part.claimed(family):
                    for case in family.cases:
                        case_task(case.twin_id, open_part, case)
            open_part.end()
        shown.end()
        return str(Path(out))
    with open_build(plan, out, backend=backend, wait_s=wait_s, progress=shown) as build:
        if cluster:
            records = _on_cluster(build, cluster)
        else:
            records = [case_task(case.twin_id, build, case) for case in plan.cases]
        root = finish_task(build, records)
    shown.end()
    show(Dataset.open(root), plan)
    return root


@flow(name="merge-dataset", flow_run_name=_run_name, persist_result=False)
def merge_dataset_flow(
    study: StudyName = "demo", out: Folder = "out/demo", wait_s: WaitSeconds = 0.0, preview: bool = False
) -> str:
    """End a build whose shards are done: verify that all is there, write the tables, seal.

    Args:
        study: What the shards were built from: name of a preset, or path of a study file.
        out: Folder that the shards were built into.
        wait_s: How long to wait for shards that are still at work, in seconds.
        preview: The shards were built of the study's preview.
    """
    plan = make_plan(load_study(study, preview=preview))
    dataset = merge(plan, out, wait_s=wait_s, progress=Shown(f"merge {out}"))
    show(dataset, plan)
    return str(dataset.root)


def _on_cluster(build: Build, cluster: str) -> list[CaseRecord]:
    """The records of all cases, in the order of the plan, with one task per family on a Dask or Ray cluster."""
    root, backend = str(build.site.store.root.absolute()), build.site.backend
    digest = account_of(build.plan, backend).digest
    families = families_of(build.plan)

    @flow(name="families", flow_run_name=f"families on {cluster}", task_runner=_runner(cluster), persist_result=False)
    def spread() -> list[CaseRecord]:
        futures = [family_task.submit(family.name, root, digest, backend, family) for family in families]
        records: dict[str, CaseRecord] = {}
        failures: list[tuple[Family, BaseException]] = []
        for family, future in zip(families, futures, strict=True):
            found: Any = future.result(raise_on_failure=False)
            if isinstance(found, BaseException):
                failures.append((family, found))
            else:
                records |= {record.twin_id: record for record in found}
            build.site.meter.skip(family.weight, f"{family.name}: done")
        raise_failures(failures, len(families))
        return [records[case.twin_id] for case in build.plan.cases]

    return spread()


def _runner(cluster: str) -> Any:
    kind, address = parse_cluster(cluster)
    try:
        if kind == "dask":
            from prefect_dask import DaskTaskRunner

            if not address or address.isdigit():
                return DaskTaskRunner(cluster_class=lambda: local_dask(int(address) if address else None))
            return DaskTaskRunner(address=address)
        from prefect_ray import RayTaskRunner
    except ImportError:
        raise ValueError(f"cluster {cluster!r}: prefect-{kind} is missing: pip install 'lungtwin[{kind}]'") from None
    return (
        RayTaskRunner(init_kwargs={"num_cpus": int(address)}) if address.isdigit() else RayTaskRunner(address or None)
    )
