"""``lungtwin twin draw|show|check``: persons of a cohort, views of a twin, realism cards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console import answer, bar, errors, out

if TYPE_CHECKING:
    from twins import TwinSpec
    from twins.card import Card

Cohort = Annotated[str, typer.Option(help="nlst, general, copd, uniform, or a YAML or CSV file of margins.")]
Seed = Annotated[int, typer.Option(help="Seed of the persons drawn.")]


def add_to(app: typer.Typer, describe: Callable[[object], dict[str, Any]]) -> None:
    """Add this group's commands; ``describe`` prints what a twin holds."""

    @app.command("draw")
    def draw(
        cohort: Cohort = "nlst",
        n: Annotated[int, typer.Option("--n", "-n", min=1, max=100_000, help="Persons.")] = 1,
        seed: Seed = 0,
        folder: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for one YAML file each.")] = None,
    ) -> None:
        """Draw persons of a cohort as specs (YAML) for 'twin build --spec'."""
        import io

        from ruamel.yaml import YAML

        yaml = YAML(typ="safe", pure=True)
        yaml.default_flow_style = False
        yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        persons = _persons(cohort, n, seed)
        for number, spec in enumerate(persons, start=1):
            text = io.StringIO()
            yaml.dump(spec.model_dump(mode="json", exclude_none=True), text)
            if folder is None:
                out.print(text.getvalue(), markup=False, highlight=False, end="---\n" if number < n else "")
            else:
                (folder / f"{number:0{max(3, len(str(n)))}d}.yaml").write_text(text.getvalue(), encoding="utf-8")
        if folder is not None:
            out.print(f"{n} specs  {folder.resolve()}", markup=False, highlight=False)
        answer([spec.model_dump(mode="json", exclude_none=True) for spec in persons])

    @app.command("show")
    def show(
        file: Annotated[Path, typer.Argument(help="A twin file (.h5).")],
        view: Annotated[
            Path | None, typer.Option("--out", "-o", help="Page (.html) or picture (.png): sections, trees, card.")
        ] = None,
    ) -> None:
        """Say what a twin file holds; with --out, show it."""
        import twins

        twin = twins.load(file)
        about = describe(twin)
        if view is not None:
            from twins.card import card

            from ..report.twin_page import write_twin_page

            page = write_twin_page(twin, card(twin), view).resolve()
            out.print(f"view     {page}", markup=False, highlight=False)
            about |= {"view": page}
        answer(about)

    @app.command("check")
    def check(
        files: Annotated[list[Path] | None, typer.Argument(help="Twin files (.h5), or folders of them.")] = None,
        n: Annotated[int, typer.Option("--n", "-n", min=0, max=10_000, help="Draw and build that many instead.")] = 0,
        cohort: Annotated[
            str | None, typer.Option(help="Cohort to draw from, and to compare ages, sizes and habits with.")
        ] = None,
        seed: Seed = 0,
        spacing: Annotated[float, typer.Option(min=0.5, max=6.0, help="Voxel spacing of twins built here [mm].")] = 2.5,
        against: Annotated[
            list[Path] | None, typer.Option(help="Twin files made from real CTs, shown beside; repeatable.")
        ] = None,
        kept: Annotated[Path | None, typer.Option("--cards", help="File for all cards (.json).")] = None,
    ) -> None:
        """Realism card of one twin, or of a population. Status 1 if too little is inside the published bands."""
        from twins.card import population_text, tally

        if bool(files) == bool(n):
            raise ValueError("check needs either twin files or --n, and not both")
        if n:
            names, cards, specs = _built(_persons(cohort or "nlst", n, seed), spacing)
        else:
            names, cards, specs = _read(_listed(files or []))
        if kept is not None:
            _write_json(kept, names, cards)
        real = _read(_listed(against))[1] if against else []
        if len(cards) == 1:
            out.print(cards[0].text(), markup=False, highlight=False)
            failed = bool(cards[0].outside)
        else:
            rows = tally(cards)
            out.print(population_text(rows), markup=False, highlight=False)
            failed = not all(row.passed for row in rows)
        if real:
            out.print(f"\nreal CTs ({len(real)}), by the same measures")
            out.print(population_text(tally(real)), markup=False, highlight=False)
        if (cohort or n) and len(specs) > 1:
            _print_agreement(specs, cohort or "nlst")
        answer({"passed": not failed, "cards": dict(zip(names, (one.to_dict() for one in cards), strict=True))})
        if failed:
            raise typer.Exit(1)


def _persons(cohort: str, n: int, seed: int) -> list[TwinSpec]:
    import numpy as np

    import twins
    from twins.cohorts import load_cohort

    from ..study import make_key

    law = load_cohort(cohort)
    return [
        twins.draw(np.random.Generator(np.random.Philox(key=make_key(seed, "twin", "person", str(i)))), cohort=law)
        for i in range(1, n + 1)
    ]


def _listed(paths: list[Path]) -> list[Path]:
    """Files as given, and the twin files of folders."""
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.glob("*.h5")) if path.is_dir() else [path]
        if not inside:
            raise ValueError(f"{path}: no twin files (.h5) in this folder")
        found += inside
    return found


def _read(paths: list[Path]) -> tuple[list[str], list[Card], list[TwinSpec]]:
    import twins
    from twins.card import card, spec_of

    cards, specs = [], []
    with bar("cards") as progress:
        for number, path in enumerate(paths):
            twin = twins.load(path)
            cards.append(card(twin))
            if (spec := spec_of(twin)) is not None:
                specs.append(spec)
            if progress is not None:
                progress((number + 1) / len(paths), path.name)
    return [str(path) for path in paths], cards, specs


def _built(persons: list[TwinSpec], spacing: float) -> tuple[list[str], list[Card], list[TwinSpec]]:
    import twins
    from twins.card import card

    names, cards, specs = [], [], []
    with bar("cards") as progress:
        for number, spec in enumerate(persons, start=1):
            try:
                cards.append(card(twins.build(spec, spacing_mm=spacing)))
            except ValueError as error:
                raise ValueError(f"person {number} of {len(persons)}: {error}") from None
            names.append(str(number))
            specs.append(spec)
            if progress is not None:
                progress(number / len(persons), f"person {number}")
    return names, cards, specs


def _write_json(path: Path, names: list[str], cards: list[Card]) -> None:
    import json

    from twins.files import replacing

    data = {name: one.to_dict() for name, one in zip(names, cards, strict=True)}
    with replacing(path) as part:
        part.write_text(json.dumps(data, indent=1, allow_nan=False), encoding="utf-8")
    errors.print(f"cards    {path.resolve()}")


def _print_agreement(specs: list[TwinSpec], cohort: str) -> None:
    from rich.table import Table

    from twins.cohorts import agreement

    table = Table("field", "mean", "cohort", "distance", "p", "moved", "moved [SD]")
    for found in agreement(specs, cohort):
        shown = [f"{v:.3g}" if v is not None else "" for v in (found.mean, found.expected_mean)]
        moved = [f"{v:.3g}" if v is not None else "" for v in (found.wasserstein, found.wasserstein_sd)]
        table.add_row(found.field, *shown, f"{found.distance:.3f}", f"{found.p_value:.3f}", *moved)
    out.print(f"\n{len(specs)} persons against the cohort {cohort}: Kolmogorov-Smirnov and Wasserstein distances")
    out.print(table)
