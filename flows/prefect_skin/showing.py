"""What a run shows: its progress, its steps in the log, and the dataset as artifacts."""

from __future__ import annotations

from pathlib import Path

from prefect import get_run_logger
from prefect.artifacts import (
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from ..dataset import Dataset
from ..study import Plan

MOST_ROWS = 200
"""Rows of a table that is shown."""

LUNG_HU = (-1350.0, 150.0)
"""Window of the picture that is shown [HU]."""


class Shown:
    """Progress as an artifact of the run, and what is being done in its log."""

    def __init__(self, what: str) -> None:
        self._artifact = create_progress_artifact(progress=0.0, key="build-progress", description=what)
        self._last = 0.0
        self._teller = Teller()

    def __call__(self, fraction: float, what: str) -> None:
        """Tell; the server hears of every fiftieth part."""
        self._teller(fraction, what)
        if fraction - self._last >= 0.02:
            self._last = fraction
            update_progress_artifact(artifact_id=self._artifact, progress=100 * fraction, description=what)  # type: ignore[arg-type]

    def end(self) -> None:
        """All is done."""
        update_progress_artifact(artifact_id=self._artifact, progress=100.0, description="finished")  # type: ignore[arg-type]


class Teller:
    """Each step once, in the log of the run or task that it is taken in."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, _fraction: float, what: str) -> None:
        """Tell."""
        if what != self._last:
            self._last = what
            get_run_logger().info(what)


def show(dataset: Dataset, plan: Plan) -> None:
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

    from ..exports.planes import write_png
    from ..volumes import read_volume

    hu = read_volume(dataset.root / row["image_file"])[0]
    seen = [float(line["index_z"]) for line in dataset.nodules_of(row["image_id"]) if line["in_image"] == "true"]
    z = int(np.clip(round(seen[0]) if seen else hu.shape[0] // 2, 0, hu.shape[0] - 1))
    low, high = LUNG_HU
    step = max(1, -(-max(hu.shape[1:]) // 256))
    pixels = np.clip((hu[z, ::step, ::step].astype(float) - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    with TemporaryDirectory() as folder:
        write_png(Path(folder) / "a.png", pixels)
        return "data:image/png;base64," + base64.b64encode((Path(folder) / "a.png").read_bytes()).decode()
