"""The only file that knows Prefect: it schedules, retries and shows. What is done, and what exists, the build decides.

A flow run holds the dataset's folder from its first task to its last. Every case is one task: it hands on a small
record, never arrays. Prefect's result cache is off: the store knows better, as it verifies files.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from prefect import flow, get_run_logger, serve, task
from prefect.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task
from pydantic import AfterValidator, Field

from .build import Build, open_build
from .stages import CaseRecord
from .store import BusyError
from .study import Case, load_study, make_plan, preset_names

RETRIES = 2
"""Times that a case is tried again after a trouble that may pass (disk, memory)."""


def _known_study(value: str) -> str:
    make_plan(load_study(value))
    return value


StudyName = Annotated[
    str,
    Field(min_length=1, description="Name of a preset, or path of a study file (YAML)"),
    AfterValidator(_known_study),
]
Folder = Annotated[str, Field(min_length=1, description="Folder of the dataset; made when missing")]
Backend = Literal["auto", "cpu", "gpu"]


def may_pass(_task: Task[Any, Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether trying again can help: not where the input is at fault."""
    try:
        state.result()
    except (ValueError, TypeError, FileNotFoundError, BusyError):
        return False
    except Exception:
        return True
    return False


@task(
    name="case",
    task_run_name="{name}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=RETRIES,
    retry_delay_seconds=[5, 30],
    retry_condition_fn=may_pass,
)
def case_task(name: str, build: Build, case: Case) -> CaseRecord:
    """One twin with its nodules and images; ``name`` is what the run is called."""
    get_run_logger().info("%s: %d nodules, %d images", name, len(case.nodules), len(case.scans))
    return build.case(case)


@task(name="finish", cache_policy=NO_CACHE, persist_result=False)
def finish_task(build: Build, records: list[CaseRecord]) -> str:
    """Tables, seal and report."""
    dataset = build.finish(records)
    return str(dataset.report if dataset.report.is_file() else dataset.root)


@flow(name="build-dataset", flow_run_name="{study}", persist_result=False)
def build_dataset_flow(study: StudyName = "demo", out: Folder = "out/demo", backend: Backend = "auto") -> str:
    """Build the dataset of a study into a folder, or finish what an earlier run began there.

    Args:
        study: Name of a preset, or path of a study file (YAML).
        out: Folder of the dataset; made when missing.
        backend: auto, cpu or gpu.
    """
    plan = make_plan(load_study(study))
    shown = create_progress_artifact(progress=0.0, key="build-progress", description=f"{study} into {out}")
    last = 0.0

    def report(fraction: float, what: str) -> None:
        nonlocal last
        if fraction - last >= 0.02:
            last = fraction
            update_progress_artifact(artifact_id=shown, progress=100 * fraction, description=what)  # type: ignore[arg-type]

    with open_build(plan, Path(out), backend=backend, progress=report) as build:
        records = []
        for case in plan.cases:
            records.append(case_task(case.twin_id, build, case))
        place = finish_task(build, records)
    update_progress_artifact(artifact_id=shown, progress=100.0, description="finished")  # type: ignore[arg-type]
    table = "\n".join(f"| {row.image_id} | {row.protocol} | {row.n_nodules} |" for row in plan.rows[:200])
    create_markdown_artifact(
        key="dataset",
        markdown=f"`{Path(out).resolve()}`\n\n| image | protocol | nodules |\n| --- | --- | --- |\n{table}\n",
        description=f"{len(plan.rows)} images of {len(plan.cases)} twins",
    )
    return place


def serve_presets(folder: str | os.PathLike[str]) -> None:
    """Serve one deployment per preset, ``build-dataset/PRESET``; runs until interrupted, one build at a time."""
    deployments = [
        build_dataset_flow.to_deployment(
            name=name,
            parameters={"study": name, "out": str(Path(folder).resolve() / name), "backend": "auto"},
            tags=["lungtwin"],
            description=load_study(name).question,
        )
        for name in preset_names()
    ]
    serve(*deployments, limit=1)  # type: ignore[arg-type]
