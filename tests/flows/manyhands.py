"""A small study of several families, and what two builds of it must have in common."""

from __future__ import annotations

from pathlib import Path

from flows.study import StudySpec, load_study, resolve


def bytes_of(root: Path) -> dict[str, bytes]:
    """All files but clock facts, records and locks."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in files
        if path.relative_to(root).parts[0] not in {"run", ".store"}
    }


def small_study(tiny: Path) -> StudySpec:
    """Three women, the first with and without nodules, scanned once without scatter: three families, four cases."""
    plain = resolve(load_study(tiny))
    woman = plain.twins[0]
    twins = [woman, woman.model_copy(update={"id": "none", "nodules": ()})]
    for number, age_y in enumerate((55, 71)):
        population = woman.population.model_copy(update={"key": number + 1, "age_y": age_y})
        name = f"other{number}"
        twins.append(woman.model_copy(update={"id": name, "person": name, "population": population}))
    sampling = plain.sampling.model_copy(update={"scatter": False, "rays_per_reading": 1})
    scan = plain.scans[0].model_copy(update={"sampling": sampling, "matrix": 64})
    return plain.model_copy(
        update={"name": "small", "twins": tuple(twins), "scans": (scan,), "sampling": sampling, "twin_spacing_mm": 6.0}
    )
