"""Parameters of the flows: what the server says of each, and how each is checked before a run is made."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from ..running.clusters import parse_cluster
from ..running.shards import Shard
from ..study import load_study, make_plan


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
