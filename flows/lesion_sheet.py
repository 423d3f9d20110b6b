"""Contact sheets: nodules put alone into one twin and shown in close-ups, or listed with why they have no place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from lesions import Nodule, PlacementError, place
from lesions.classes import CLASSES, examples, tags_of
from lesions.clearance import Clearance
from lesions.images.closeup import TECHNIQUES, closeup
from lesions.sizing import sized
from twins import Twin

from .report.sheet import Cell, field_for, write_sheet
from .study import make_key

Progress = Callable[[float, str], None]

TWIN_SPACING_MM = 1.0
"""Voxels of the population twin that is built where none is given [mm]."""


def check_sheet(target: Path, technique: str) -> None:
    """Refuse what no sheet can be written as, before the work.

    Raises
    ------
    ValueError
        If the target ends in neither ``.png`` nor ``.html``, or the technique is not known.
    """
    if target.suffix not in (".png", ".html"):
        raise ValueError(f"--sheet: a contact sheet ends in .png or .html, got {target}")
    if technique not in TECHNIQUES:
        raise ValueError(f"--technique: {technique!r} is none of {', '.join(TECHNIQUES)}")


def sheet_twin(file: Path | None, seed: int) -> Twin:
    """The twin that a sheet's nodules lie in: a file, or a population twin drawn from ``seed``."""
    import twins

    if file is not None:
        return twins.load(file)
    rng = np.random.Generator(np.random.Philox(key=make_key(seed, "sheet", "person")))
    return twins.build(twins.draw(rng), spacing_mm=TWIN_SPACING_MM)


def write_nodule_sheet(
    nodules: Sequence[Nodule],
    target: Path,
    *,
    twin: Twin,
    technique: str,
    seed: int,
    title: str,
    progress: Progress | None = None,
) -> tuple[str, ...]:
    """Write a contact sheet of nodules without a place and return what those without an image lack.

    Parameters
    ----------
    nodules
        With their ids; sizes up to 40 mm.
    target
        A ``.png`` or ``.html`` file.
    twin
        Each nodule is put into it alone.
    technique
        Name in :data:`lesions.images.closeup.TECHNIQUES`.
    seed
        Of places and noise.

    Raises
    ------
    ValueError
        If the technique is not known, or the target's suffix.
    """
    check_sheet(target, technique)
    cells, clearance = [], Clearance(twin)
    for i, nodule in enumerate(nodules):
        if progress is not None:
            progress(i / len(nodules), f"{nodule.id}")
        cells.append(_cell(nodule, tags_of(nodule), clearance, technique, seed))
    write_sheet(cells, target, title=title, note=note_of(technique))
    return tuple(f"{cell.name}: {cell.reason}" for cell in cells if cell.reason)


def write_class_sheet(
    target: Path, *, twin: Twin, technique: str, seed: int, diameter_mm: float, progress: Progress | None = None
) -> tuple[str, ...]:
    """Write a contact sheet with one nodule of every class; as :func:`write_nodule_sheet`."""
    check_sheet(target, technique)
    cells, clearance = [], Clearance(twin)
    for i, (name, nodule) in enumerate(examples(diameter_mm, key=make_key(seed, "sheet", "classes")).items()):
        if progress is not None:
            progress(i / len(CLASSES), name)
        cells.append(_cell(nodule, (name,), clearance, technique, seed))
    title = f"One nodule of every class, {diameter_mm:g} mm"
    write_sheet(cells, target, title=title, note=note_of(technique))
    return tuple(f"{', '.join(cell.tags)}: {cell.reason}" for cell in cells if cell.reason)


def note_of(technique: str) -> str:
    """How the close-ups of a technique were taken, in a sentence."""
    how = TECHNIQUES[technique]
    z, _, x = how.spacing_mm
    return (
        f"Image domain, technique {technique}: point spread function of {how.resolution.in_plane_fwhm_mm:g} mm FWHM, "
        f"slices of {how.resolution.slice_thickness_mm:g} mm every {z:g} mm, pixels of {x:g} mm, noise of "
        f"{how.noise_sd_hu:g} HU with the spectrum of filtered backprojection."
    )


def _cell(nodule: Nodule, tags: tuple[str, ...], clearance: Clearance, technique: str, seed: int) -> Cell:
    field_mm = field_for((2.6 if nodule.is_mimic else 1.5) * nodule.nominal_diameter_mm + 2 * nodule.halo_mm)
    size = f"{sized(nodule).target_diameter_mm:.1f} mm"
    try:
        rng = np.random.Generator(np.random.Philox(key=make_key(seed, "sheet", nodule.id, "place")))
        (placed,) = place(clearance.twin, [nodule], rng=rng, clearance=clearance)
        rng = np.random.Generator(np.random.Philox(key=make_key(seed, "sheet", nodule.id, "noise")))
        shown = closeup(clearance.twin, placed, TECHNIQUES[technique], field_mm=field_mm, rng=rng)
    except PlacementError as error:
        return Cell(nodule.id, tags, size, reason=str(error))
    truth = shown.truth
    where = (truth.lobe or "").replace("_", " ").lower()
    caption = f"{size}, {truth.volume_mm3:.0f} mm3, mean {truth.mean_hu:.0f} HU, {where}"
    return Cell(nodule.id, tags, caption, shown, field_mm)
