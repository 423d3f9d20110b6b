"""The whole examination of a scanner profile, on images that the simulator makes with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from twins.specfile import suggestion

from ...profile import Profile
from . import dosing, noises, numbers, repeating, scattering, sharpness, signals, windmill
from .bench import Bench, Level
from .rows import Part, Qualification

_EXAMINATIONS: tuple[tuple[str, float, Callable[[Bench], Part]], ...] = (
    ("moments", 1, signals.moments),
    ("two-bases", 1, signals.two_basis),
    ("line-integrals", 2, signals.line_integrals),
    ("water", 4, numbers.water_and_air),
    ("water-with-scatter", 2, numbers.water_with_scatter),
    ("inserts", 4, numbers.inserts),
    ("uniformity", 6, numbers.uniformity),
    ("windmill", 6, windmill.windmill),
    ("mtf", 10, sharpness.mtf),
    ("slice-profile", 6, sharpness.slices),
    ("noise", 15, noises.noise),
    ("scatter", 2, scattering.scatter_to_primary),
    ("dose", 3, dosing.dose_indices),
    ("threads", 1, repeating.same_bytes),
)
"""Name, share of the time, function."""

EXAMINATIONS: tuple[str, ...] = tuple(name for name, *_ in _EXAMINATIONS)
"""Names of the examinations, in their order."""


def qualify(
    profile: Profile,
    *,
    level: Level = "quick",
    only: Sequence[str] | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> Qualification:
    """Examine a profile as a physicist accepts a scanner: every figure from simulated scans of phantoms.

    Parameters
    ----------
    profile
        The scanner with its kernels.
    level
        "quick": cells and views merged where the quantity allows it, one potential where one says enough; "full": every
        potential, every kernel, axial and helical.
    only
        Examinations to run, of :data:`EXAMINATIONS`; ``None``: all.
    progress
        Called with the share done, 0 to 1, and what comes next.

    Raises
    ------
    ValueError
        If the level is neither, or an examination is unknown.

    Notes
    -----
    Quantities and bars: ``docs/accuracy.md``. Two figures are held against a prediction, as no table could say them:
    noise (:mod:`ctsim.quality.theory`) and slice profiles thinner than 1.3 rows (:mod:`ctsim.recon.slices`).
    """
    if level not in ("quick", "full"):
        raise ValueError(f"level must be quick or full, got {level!r}")
    for name in only or ():
        if name not in EXAMINATIONS:
            raise ValueError(f"only must name examinations, got {name!r}{suggestion(name, EXAMINATIONS)}")
    chosen = [entry for entry in _EXAMINATIONS if only is None or entry[0] in only]
    if not chosen:
        raise ValueError(f"only must name at least one examination; known: {', '.join(EXAMINATIONS)}")
    bench = Bench(profile, level)
    total = sum(share for _, share, _ in chosen)
    parts, done = [], 0.0
    for name, share, examine in chosen:
        if progress is not None:
            progress(done / total, name)
        part = examine(bench)
        parts.append(replace(part, rows=tuple(replace(row, examination=name) for row in part.rows)))
        done += share
    if progress is not None:
        progress(1.0, "done")
    return Qualification(
        profile.name,
        level,
        tuple(row for part in parts for row in part.rows),
        tuple(curve for part in parts for curve in part.curves),
        tuple(image for part in parts for image in part.maps),
    )
