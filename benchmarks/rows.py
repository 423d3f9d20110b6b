"""What is measured: every row of the table, who takes part in it, and what is asked of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .sides import Side


@dataclass(frozen=True)
class Row:
    """A row: sides that take turns; the first is lungtwin.

    ``bar`` and ``aim``: least and hoped-for work per wall second of lungtwin on the 2-core machine of the bars;
    ``ratio_bar`` and ``ratio_aim``: those times the peer's, in the same run. ``error_bar``: largest relative RMSE at
    which a speed counts.
    """

    name: str
    title: str
    sides: tuple[Side, ...]
    rounds: int = 3
    quick: bool = True
    unit: str = "M readings/s"
    scale: float = 1e6
    bar: float | None = None
    aim: float | None = None
    ratio_bar: float | None = None
    ratio_aim: float | None = None
    error_bar: float | None = None


OURS = "lungtwin"
_GUPS: dict[str, Any] = {"unit": "GUPS", "scale": 1e9, "bar": 1.3, "aim": 2.0, "ratio_bar": 1.9}
_FIRST_VIEW = 130
_TRUTH_RAYS = 2048


def _ours(job: str, module: str = "benchmarks.ours", *, warm: bool = True, **parameters: Any) -> Side:
    return Side(OURS, module, job, parameters, warm=warm)


def _rtk(job: str, **parameters: Any) -> Side:
    return Side("itk-rtk", "benchmarks.peer_rtk", job, parameters, python="itk-rtk")


def _xcist(job: str, **parameters: Any) -> Side:
    return Side("XCIST", "benchmarks.peer_xcist", job, parameters, python="gecatsim", warm=False)


def _thorax(name: str, title: str, job: str, spacing_mm: float, rays: int) -> Row:
    sides = (_ours(job, "benchmarks.thorax", warm=False, spacing_mm=spacing_mm, rays=rays),)
    return Row(name, title, sides, rounds=1, quick=False, unit="", scale=1.0)


ROWS: tuple[Row, ...] = (
    Row(
        "project_v256",
        "forward projection, 256^3 voxels, 180 views: two basis densities; peer: Joseph, one material",
        (_ours("project", item="v256"), _rtk("project", item="v256")),
        error_bar=0.0022,
    ),
    Row(
        "project_v512",
        "forward projection, 512 x 512 x 128 voxels, 88 views: two basis densities; peer: Joseph, one material",
        (_ours("project", item="v512"), _rtk("project", item="v512")),
        bar=2.5,
        aim=4.0,
        ratio_bar=3.8,
        error_bar=0.0010,
    ),
    Row(
        "chain_1",
        "full chain to the corrected sinogram, one ray per reading, 88 views; peer: full chain to raw readings, "
        "20 energies, 2 materials, one sample",
        (_ours("chain", item="v512", rays=1), _xcist("chain", item="v512", samples=1, views=88)),
        rounds=2,
        bar=1.6,
        aim=2.5,
        ratio_bar=8.0,
    ),
    Row(
        "chain_default",
        "the same at default sampling: 4 rays per reading; peer: 2^5 = 32 samples, 16 views",
        (_ours("chain", item="v512", rays=4), _xcist("chain", item="v512", samples=2, views=16)),
        rounds=2,
        ratio_bar=10.0,
        ratio_aim=20.0,
    ),
    Row(
        "chain_error",
        "error of the readings without noise",
        (
            _ours(
                "error",
                warm=False,
                samplings=[[1, 1, 1], [2, 1, 1], [4, 1, 1], [8, 1, 1], [16, 2, 2]],
                first_view=_FIRST_VIEW,
                rays=_TRUTH_RAYS,
            ),
            _xcist("error", samples=[1, 2], first_view=_FIRST_VIEW, rays=_TRUTH_RAYS),
        ),
        rounds=1,
        unit="",
        scale=1.0,
    ),
    Row(
        "fdk_v256",
        "FDK with filtering, 256 x 256 pixels, 180 views, the slices in the beam",
        (_ours("fdk", "benchmarks.imaging", item="v256"), _rtk("fdk", item="v256")),
        **_GUPS,
    ),
    Row(
        "fdk_v512",
        "FDK with filtering, 512 x 512 pixels, 88 views, the slices in the beam",
        (_ours("fdk", "benchmarks.imaging", item="v512"), _rtk("fdk", item="v512")),
        **_GUPS,
    ),
    Row(
        "wfbp",
        "helical WFBP with rebinning and filtering, 512 x 512 x 150, 9 rotations x 576 views x 32 rows x 900 columns "
        "(no peer has it on a CPU)",
        (_ours("wfbp", "benchmarks.imaging"),),
        rounds=2,
        unit="GUPS",
        scale=1e9,
        bar=1.3,
        aim=2.0,
    ),
    Row(
        "roi",
        "region of interest, 64^3 voxels, from the whole helical sinogram (5e8 readings)",
        (_ours("roi", "benchmarks.imaging"),),
        unit="s",
        scale=1.0,
        bar=2.0,
        aim=0.5,
    ),
    Row(
        "growth",
        "how cost grows",
        tuple(
            Side(curve, "benchmarks.growth", "growth", {"curve": curve})
            for curve in ("voxels", "views", "rows", "materials", "rays", "threads")
        ),
        rounds=2,
        unit="",
        scale=1.0,
    ),
    _thorax("thorax_1", "whole thorax, one ray per reading, twin of 0.7 mm", "whole", 0.7, 1),
    _thorax("thorax", "whole thorax, default sampling, twin of 0.7 mm", "whole", 0.7, 4),
    _thorax("again", "one more dose and kernel, one more set of nodules, one ray per reading", "again", 0.7, 1),
    _thorax("thorax_fine", "whole thorax, one ray per reading, twin of 0.5 mm", "whole", 0.5, 1),
)


def pick(wanted: str) -> tuple[Row, ...]:
    """Rows by names with commas between; "quick" and "all" stand for several.

    Raises
    ------
    ValueError
        If a name is none.
    """
    names = [name.strip() for name in wanted.split(",") if name.strip()] or ["quick"]
    known = {row.name for row in ROWS}
    wrong = [name for name in names if name not in known | {"quick", "all"}]
    if wrong:
        raise ValueError(f"no row {', '.join(wrong)}; there are: quick, all, {', '.join(row.name for row in ROWS)}")
    return tuple(row for row in ROWS if "all" in names or row.name in names or ("quick" in names and row.quick))
