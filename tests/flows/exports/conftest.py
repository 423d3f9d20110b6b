"""One small finished dataset for all formats, and what every reader must find in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.exports import ExportOptions, export_dataset
from flows.exports.source import Source

from .finished import write_finished


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """Three persons, two scans each."""
    return write_finished(tmp_path_factory.mktemp("finished") / "made")


@pytest.fixture(scope="session")
def source(finished) -> Source:
    return Source(finished)


@pytest.fixture(scope="session")
def exported(finished, tmp_path_factory):
    """Export the dataset once per format and options."""
    made: dict[tuple[str, str], Path] = {}

    def export(name: str, **options) -> Path:
        chosen = ExportOptions(**options)
        key = (name, chosen.model_dump_json())
        if key not in made:
            made[key] = export_dataset(finished, name, tmp_path_factory.mktemp("out") / name, options=chosen)
        return made[key]

    return export
