"""Deployments of the presets, served by one process; and what a server needs beforehand."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from prefect import serve
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings
from prefect.types.entrypoint import EntrypointType

from ..study import load_study, preset_names
from .building import GPU_LIMIT, build_dataset_flow, merge_dataset_flow

LOGGERS = ("twins", "lesions", "ctsim", "labeling", "flows", "py.warnings")
"""Logs of these appear with the runs."""

LONGEST_ANSWER_S = 20.0
"""How long a server may take to say that it is there [s]."""


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
    ConnectionError
        If no server answers.
    """
    if unknown := [name for name in presets if name not in preset_names()]:
        raise ValueError(f"no preset {unknown[0]!r}; there are {', '.join(preset_names())}")
    os.environ.setdefault("PREFECT_LOGGING_EXTRA_LOGGERS", ",".join(LOGGERS))
    with temporary_settings({PREFECT_API_URL: answering_server()}):
        prepare_server(gpu_slots)
        serve(*_deployments(Path(folder).resolve(), presets or preset_names(), cron), limit=limit)


def _deployments(home: Path, presets: Sequence[str], cron: str | None) -> list[Any]:
    """One of each preset, and one that merges shards; runs find the flows by module, wherever lungtwin is installed."""
    by_module = EntrypointType.MODULE_PATH
    found: list[Any] = [
        build_dataset_flow.to_deployment(
            name=name,
            parameters={"study": name, "out": str(home / name), "backend": "auto"},
            tags=["lungtwin", name],
            description=load_study(name).question,
            cron=cron,
            entrypoint_type=by_module,
        )
        for name in presets
    ]
    merging = merge_dataset_flow.to_deployment(name="shards", tags=["lungtwin"], entrypoint_type=by_module)
    return [*found, merging]


def answering_server() -> str:
    """Address of the Prefect API: PREFECT_API_URL, or where none is set that of ``prefect server start`` here.

    Raises
    ------
    ConnectionError
        If nothing answers there.
    """
    settings = get_current_settings()
    url = settings.api.url or f"http://{settings.server.api.host}:{settings.server.api.port}/api"
    try:
        with urlopen(f"{url}/health", timeout=LONGEST_ANSWER_S):
            pass
    except HTTPError:
        pass  # it answers; what it wants to know besides, its own client tells it
    except OSError:
        raise ConnectionError(
            f"no Prefect server answers at {url}: start one with `prefect server start` in another shell, or set "
            "PREFECT_API_URL to the address of one"
        ) from None
    return url
