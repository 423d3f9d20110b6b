"""``lungtwin twin build``; import and export are in :mod:`.twin_files`, draw, show and check in :mod:`.twin_looks`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from . import twin_files, twin_looks
from .console import answer, out, waiting

app = typer.Typer(help="Twins: from your own CT or phantom, or from a population spec.", no_args_is_help=True)
Out = Annotated[Path, typer.Option("--out", "-o", help="The twin file (.h5).")]


@app.command("build")
def build(
    target: Out,
    spec: Annotated[Path | None, typer.Option(help="TwinSpec file (YAML); else a person is drawn.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the drawn person.")] = 0,
    sex: Annotated[str | None, typer.Option(help="female or male.")] = None,
    age: Annotated[float | None, typer.Option(help="Age [years].")] = None,
    cohort: Annotated[str, typer.Option(help="Whom to draw: nlst, general, copd, uniform, or a file.")] = "nlst",
    spacing: Annotated[float, typer.Option(min=0.4, max=8.0, help="Voxel spacing [mm].")] = 1.0,
) -> None:
    """Build a population twin."""
    import numpy as np

    import twins
    from twins.specfile import read_spec

    from ..study import make_key

    _must_be_h5(target)
    if spec is not None:
        who = read_spec(spec, twins.TwinSpec)
    else:
        rng = np.random.Generator(np.random.Philox(key=make_key(seed, "twin", "person")))
        who = twins.draw(rng, cohort=cohort, sex=sex, age_y=age)
    with waiting(f"twin of {spacing:g} mm"):
        twin = twins.build(who, spacing_mm=spacing)
        twins.save(twin, target)
    about = _describe(twin)
    out.print(f"twin     {target.resolve()}", markup=False, highlight=False)
    answer({"twin": target.resolve(), **about})


def _must_be_h5(target: Path) -> None:
    if target.suffix != ".h5":
        raise ValueError(f"--out: a twin file ends in .h5, got {target}")


def _describe(twin: object) -> dict[str, Any]:
    """Print what a twin holds, and return it as plain data."""
    import numpy as np
    from rich.table import Table

    from twins import Structure, Twin

    assert isinstance(twin, Twin)
    grid = twin.grid
    shape, spacing = ("x".join(f"{n:g}" for n in triple[::-1]) for triple in (grid.shape, grid.spacing_mm))
    known = ", ".join(f"{name} {value}" for name, value in twin.patient if value is not None)
    out.print(f"{twin.provenance.get('kind', 'a')} twin: {shape} voxels of {spacing} mm; {known or 'person unknown'}")
    counts = np.bincount(twin.structure.ravel())
    density = np.bincount(twin.structure.ravel(), weights=twin.density_g_cm3().ravel())
    table = Table("structure", "volume \\[ml]", "mean density \\[g/cm3]")
    structures = {}
    for value in np.flatnonzero(counts):
        name = Structure(int(value)).name if int(value) in set(Structure) else str(value)
        volume = counts[value] * grid.voxel_volume_mm3 / 1000
        table.add_row(name, f"{volume:.1f}", f"{density[value] / counts[value]:.3f}")
        structures[name] = {"volume_ml": float(volume), "mean_density_g_cm3": float(density[value] / counts[value])}
    out.print(table)
    return {
        "kind": twin.provenance.get("kind"),
        "shape": grid.shape,
        "spacing_mm": grid.spacing_mm,
        "patient": twin.patient.model_dump(mode="json"),
        "structures": structures,
    }


twin_files.add_to(app, _describe)
twin_looks.add_to(app, _describe)
