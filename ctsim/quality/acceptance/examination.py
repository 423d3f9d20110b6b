"""The whole examination of a scanner profile, on images that the simulator makes with it."""

from __future__ import annotations

from collections.abc import Callable

from ...profile import Profile
from . import dosing, noises, numbers, repeating, scattering, sharpness, signals, windmill
from .bench import Bench, Level
from .rows import Part, Qualification

_EXAMINATIONS: tuple[tuple[str, float, Callable[[Bench], Part]], ...] = (
    ("moments", 1, signals.moments),
    ("two bases", 1, signals.two_basis),
    ("line integrals", 2, signals.line_integrals),
    ("water and air", 4, numbers.water_and_air),
    ("water with scatter", 2, numbers.water_with_scatter),
    ("inserts", 4, numbers.inserts),
    ("uniformity", 6, numbers.uniformity),
    ("windmill", 6, windmill.windmill),
    ("MTF", 10, sharpness.mtf),
    ("slice profile", 6, sharpness.slices),
    ("noise", 15, noises.noise),
    ("scatter", 2, scattering.scatter_to_primary),
    ("dose", 3, dosing.dose_indices),
    ("threads", 1, repeating.same_bytes),
)
"""Name, share of the time, function."""


def qualify(
    profile: Profile, *, level: Level = "quick", progress: Callable[[float, str], None] | None = None
) -> Qualification:
    """Examine a profile as a physicist accepts a scanner: every figure from simulated scans of phantoms.

    Parameters
    ----------
    profile
        The scanner with its kernels.
    level
        "quick": cells and views merged where the quantity allows it, one potential where one says enough; "full": every
        potential, every kernel, axial and helical.
    progress
        Called with the share done, 0 to 1, and what comes next.

    Raises
    ------
    ValueError
        If the level is neither.

    Notes
    -----
    Quantities and bars: ``docs/accuracy.md``. Two figures are held against a prediction, as no table could say them:
    noise (:mod:`ctsim.quality.theory`) and slice profiles thinner than 1.3 rows (:mod:`ctsim.recon.slices`).
    """
    if level not in ("quick", "full"):
        raise ValueError(f"level must be quick or full, got {level!r}")
    bench = Bench(profile, level)
    total = sum(share for _, share, _ in _EXAMINATIONS)
    parts, done = [], 0.0
    for name, share, examine in _EXAMINATIONS:
        if progress is not None:
            progress(done / total, name)
        parts.append(examine(bench))
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
