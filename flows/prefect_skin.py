"""The only file that knows Prefect: it schedules, retries and shows. What is done, and what exists, the build decides.

A flow run holds the dataset's folder, or shares it as one shard, from its first task to its last. Every case is one
task, or on a cluster every family of cases: it hands on a small record, never arrays. Prefect's result cache is off:
the store knows better, as it verifies files.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Any, Literal

from prefect import flow, get_run_logger, serve, task
from prefect.artifacts import (
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, TaskRun
from prefect.concurrency.sync import concurrency
from prefect.runtime import flow_run
from prefect.tasks import Task
from pydantic import AfterValidator, Field

from .build import Build, open_build
from .dataset import Dataset
from .running.account import account_of
from .running.clusters import local_dask, parse_cluster, raise_failures
from .running.families import Family, build_family, families_of
from .running.shards import Shard, merge, open_shard
from .stages import CaseRecord
from .store import BusyError, StorageError
from .study import Case, Plan, load_study, make_plan, preset_names

RETRIES = 2
"""Times that a case is tried again after a trouble that may pass (disk, memory)."""

GPU_LIMIT = "lungtwin-gpu"
"""Name of the server's limit: as many cases at once as there are GPUs."""

LOGGERS = ("twins", "lesions", "ctsim", "labeling", "flows", "py.warnings")
"""Logs of these appear with the runs."""

MOST_ROWS = 200
"""Rows of a table that is shown."""

LUNG_HU = (-1350.0, 150.0)
"""Window of the picture that is shown [HU]."""


def _known_study(value: str) -> str:
    make_plan(load_study(value))
    return value


def _known_shard(value: str) -> str:
    return str(Shard.parse(value)) if value else value


def _known_cluster(value: str) -> str:
    if value:
        parse_cluster(value)
    return value


StudyName = Annotated[
    str,
    Field(min_length=1, description="Name of a preset, or path of a study file (YAML) or plan table (CSV)"),
    AfterValidator(_known_study),
]
Folder = Annotated[str, Field(min_length=1, description="Folder of the dataset; made when missing")]
Backend = Literal["auto", "cpu", "gpu"]
ShardText = Annotated[
    str, Field(description="I/N: build only this part; merge-dataset ends the build"), AfterValidator(_known_shard)
]
ClusterText = Annotated[
    str,
    Field(description="dask, dask:N, dask:tcp://HOST:PORT, ray, ray:ADDRESS: build on a cluster"),
    AfterValidator(_known_cluster),
]
WaitSeconds = Annotated[float, Field(ge=0, le=1e7, description="Wait for other builds into the folder so long [s]")]


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


class _Shown:
    """Progress as an artifact of the run, and what is being done in its log."""

    def __init__(self, what: str) -> None:
        self._artifact = create_progress_artifact(progress=0.0, key="build-progress", description=what)
        self._last = 0.0
        self._teller = _Teller()

    def __call__(self, fraction: float, what: str) -> None:
        self._teller(fraction, what)
        if fraction - self._last >= 0.02:
            self._last = fraction
            update_progress_artifact(artifact_id=self._artifact, progress=100 * fraction, description=what)  # type: ignore[arg-type]

    def end(self) -> None:
        update_progress_artifact(artifact_id=self._artifact, progress=100.0, description="finished")  # type: ignore[arg-type]


class _Teller:
    """Each step once, in the log of the run or task that it is taken in."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, _fraction: float, what: str) -> None:
        if what != self._last:
            self._last = what
            get_run_logger().info(what)


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
        return build_family(root, digest, backend, family, _Teller())


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
    shown = _Shown(f"{study} into {out}")
    if shard:
        part = Shard.parse(shard)
        with open_shard(plan, out, part, backend=backend, wait_s=wait_s, progress=shown) as open_part:
            for family in part.of(plan):
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
    _show(Dataset.open(root), plan)
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
    dataset = merge(plan, out, wait_s=wait_s, progress=_Shown(f"merge {out}"))
    _show(dataset, plan)
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


def _show(dataset: Dataset, plan: Plan) -> None:
    """The dataset as artifacts: a table of its images, one of them, its card, and where its report lies."""
    columns = ("image_id", "scanner", "protocol", "kernel", "ctdi_vol_mgy", "n_nodules", "participant_label")
    rows = dataset.manifest[:MOST_ROWS]
    text = f"{len(plan.rows)} images of {len(plan.cases)} twins in {dataset.root.resolve()}"
    create_table_artifact([{name: row.get(name, "") for name in columns} for row in rows], "dataset-images", text)
    create_markdown_artifact((dataset.root / "CARD.md").read_text(encoding="utf-8"), "dataset-card", text)
    if rows:
        create_image_artifact(_picture(dataset, rows[0]), "dataset-picture", f"{rows[0]['image_id']}, lung window")
    if dataset.report.is_file():
        create_link_artifact(dataset.report.resolve().as_uri(), "the report", "dataset-report", text)


def _picture(dataset: Dataset, row: dict[str, str]) -> str:
    """An axial slice as a data URL: that of the first nodule, or the middle."""
    import base64
    from tempfile import TemporaryDirectory

    import numpy as np

    from .exports.planes import write_png
    from .volumes import read_volume

    hu = read_volume(dataset.root / row["image_file"])[0]
    seen = [float(line["index_z"]) for line in dataset.nodules_of(row["image_id"]) if line["in_image"] == "true"]
    z = int(np.clip(round(seen[0]) if seen else hu.shape[0] // 2, 0, hu.shape[0] - 1))
    low, high = LUNG_HU
    step = max(1, -(-max(hu.shape[1:]) // 256))
    pixels = np.clip((hu[z, ::step, ::step].astype(float) - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    with TemporaryDirectory() as folder:
        write_png(Path(folder) / "a.png", pixels)
        return "data:image/png;base64," + base64.b64encode((Path(folder) / "a.png").read_bytes()).decode()


def prepare_server(gpu_slots: int = 1) -> dict[str, int]:
    """Create what the flows count on: the limit of GPU cases at once. A step of ``prefect deploy`` may call this.

    Parameters
    ----------
    gpu_slots
        How many cases may run on GPUs at once, over all workers: as many as there are GPUs.

    Raises
    ------
    ValueError
        If ``gpu_slots`` is not at least 1.
    """
    if gpu_slots < 1:
        raise ValueError(f"gpu_slots must be at least 1, got {gpu_slots}")
    with get_client(sync_client=True) as client:
        client.upsert_global_concurrency_limit_by_name(GPU_LIMIT, gpu_slots)
    return {"gpu_slots": gpu_slots}


def serve_presets(
    folder: str | os.PathLike[str],
    *,
    presets: Sequence[str] = (),
    cron: str | None = None,
    gpu_slots: int = 1,
    limit: int = 1,
) -> None:
    """Serve one deployment per preset, ``build-dataset/PRESET``, and ``merge-dataset/shards``; runs until interrupted.

    Parameters
    ----------
    folder
        Where datasets go unless a run says otherwise.
    presets
        Names; all where none is given.
    cron
        When each is built by itself (``"0 2 * * *"``: at two every night); a finished dataset is verified then.
    gpu_slots
        See :func:`prepare_server`.
    limit
        How many runs at once.

    Raises
    ------
    ValueError
        If a preset is unknown, or the schedule cannot be read.
    """
    if unknown := [name for name in presets if name not in preset_names()]:
        raise ValueError(f"no preset {unknown[0]!r}; there are {', '.join(preset_names())}")
    os.environ.setdefault("PREFECT_LOGGING_EXTRA_LOGGERS", ",".join(LOGGERS))
    prepare_server(gpu_slots)
    home = Path(folder).resolve()
    deployments: list[Any] = [
        build_dataset_flow.to_deployment(
            name=name,
            parameters={"study": name, "out": str(home / name), "backend": "auto"},
            tags=["lungtwin", name],
            description=load_study(name).question,
            cron=cron,
        )
        for name in presets or preset_names()
    ]
    deployments.append(merge_dataset_flow.to_deployment(name="shards", tags=["lungtwin"]))
    serve(*deployments, limit=limit)
