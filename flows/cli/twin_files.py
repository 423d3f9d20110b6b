"""``lungtwin twin import|export``: twins out of other people's files, and into them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console import answer, out, waiting

if TYPE_CHECKING:
    from twins import Patient, Twin

FORMATS = ("ct", "xcat", "icrp", "xcist")
EXPORTS = ("nifti", "totalsegmentator", "maisi", "xcist")
_BY_SUFFIX = {".json": "xcist", ".bin": "xcat", ".dat": "icrp"}
_OPTIONS_OF = {
    "ct": {"labels", "scheme", "spacing_mm", "kvp", "series"},
    "xcat": {"log", "par", "ids", "flip", "spacing_mm", "lung_density_g_cm3"},
    "icrp": {"organs", "media", "spacing_mm", "lung_density_g_cm3"},
    "xcist": {"materials", "flip"},
}


def add_to(app: typer.Typer, describe: Callable[[object], dict[str, Any]]) -> None:
    """Add the commands to the ``twin`` group; ``describe`` prints what a twin holds."""

    @app.command("import")
    def import_twin(
        source: Annotated[
            Path,
            typer.Argument(
                help="A chest CT (NIfTI, NRRD, MetaImage, DICOM folder), or a phantom: XCAT2 (.bin), ICRP 110 (.dat), "
                "XCIST voxelized (.json)."
            ),
        ],
        target: Annotated[Path, typer.Option("--out", "-o", help="The twin file (.h5).")],
        kind: Annotated[
            str | None, typer.Option("--format", help=f"{', '.join(FORMATS)}; by the suffix if not given.")
        ] = None,
        labels: Annotated[Path | None, typer.Option(help="CT: a label map of the same patient.")] = None,
        scheme: Annotated[
            str | None,
            typer.Option(
                help="CT: what the labels mean: totalsegmentator_v2, totalsegmentator_v1, maisi, lungmask_lobes, "
                "lungs, or a YAML file; if not given, the names in their header."
            ),
        ] = None,
        spacing: Annotated[float | None, typer.Option(help="Voxel size of the twin [mm]; else the source's.")] = None,
        kvp: Annotated[
            float | None, typer.Option(help="CT: tube voltage [kV]; else the DICOM header's, else 120.")
        ] = None,
        series: Annotated[str | None, typer.Option(help="CT: SeriesInstanceUID, where a folder holds several.")] = None,
        ids: Annotated[Path | None, typer.Option(help="XCAT: names of organ ids, CSV id,name.")] = None,
        log: Annotated[
            Path | None, typer.Option(help="XCAT: the program's log; else NAME_log beside the volume.")
        ] = None,
        par: Annotated[Path | None, typer.Option(help="XCAT: the parameter file, instead of a log.")] = None,
        organs: Annotated[Path | None, typer.Option(help="ICRP: organ table; else NAME_organs.dat beside it.")] = None,
        media: Annotated[Path | None, typer.Option(help="ICRP: media table; else NAME_media.dat beside it.")] = None,
        materials: Annotated[Path | None, typer.Option(help="XCIST: folder with material files.")] = None,
        flip: Annotated[str | None, typer.Option(help="XCAT, XCIST: axes to turn round, as z or xy.")] = None,
        lung_density: Annotated[
            float | None, typer.Option(help="XCAT, ICRP: density of the lungs [g/cm3], 0.15-0.2 for full inspiration.")
        ] = None,
        grow: Annotated[
            bool, typer.Option("--grow-trees", help="Grow airways and vessels into the lungs, in place of their own.")
        ] = False,
        seed: Annotated[int, typer.Option(min=0, help="Seed of the grown trees.")] = 0,
        sex: Annotated[str | None, typer.Option(help="female or male.")] = None,
        age: Annotated[float | None, typer.Option(help="Age at the scan [years].")] = None,
        smoking: Annotated[str | None, typer.Option(help="never, former or current.")] = None,
        pack_years: Annotated[float | None, typer.Option(help="Packs per day times years.")] = None,
        family_history: Annotated[bool | None, typer.Option(help="Lung cancer in a first-degree relative.")] = None,
        emphysema: Annotated[bool | None, typer.Option(help="Emphysema visible on CT.")] = None,
    ) -> None:
        """Turn a chest CT, alone or with a label map, or another maker's phantom into a twin."""
        import twins
        from twins import Patient
        from twins.specfile import check_spec

        if target.suffix != ".h5":
            raise ValueError(f"--out: a twin file ends in .h5, got {target}")
        person = {
            "sex": sex,
            "age_y": age,
            "smoking": smoking,
            "pack_years": pack_years,
            "family_history": family_history,
            "emphysema": emphysema,
        }
        patient = check_spec({k: v for k, v in person.items() if v is not None}, Patient, name="options")
        given = {
            "labels": labels, "scheme": scheme, "spacing_mm": spacing, "kvp": kvp, "series": series, "ids": ids,
            "log": log, "par": par, "organs": organs, "media": media, "materials": materials, "flip": flip,
            "lung_density_g_cm3": lung_density,
        }  # fmt: skip
        with waiting(f"import {source.name}"):
            twin = _imported(source, kind, {k: v for k, v in given.items() if v is not None}, patient)
            if grow:
                from twins.importers import grow_trees

                from ..study import make_key

                twin = grow_trees(twin, make_key(seed, "twin", "grown trees"))
            twins.save(twin, target)
        about, notes = describe(twin), _remarks(twin)
        for line in notes:
            out.print(f"note     {line}", markup=False, highlight=False)
        out.print(f"twin     {target.resolve()}", markup=False, highlight=False)
        answer({"twin": target.resolve(), "notes": notes, **about})

    app.command("export")(export)


def _imported(source: Path, kind: str | None, given: dict[str, Any], patient: Patient) -> Twin:
    from twins import importers

    chosen = kind or _BY_SUFFIX.get(source.suffix.lower(), "ct")
    if chosen not in FORMATS:
        raise ValueError(f"--format: unknown format {kind!r}; known: {', '.join(FORMATS)}")
    wrong = sorted(set(given) - _OPTIONS_OF[chosen])
    if wrong:
        option = wrong[0].replace("_mm", "").replace("_g_cm3", "").replace("_", "-")
        raise ValueError(f"--{option} does not go with format {chosen} ({source.name})")
    if "scheme" in given and "labels" not in given:
        raise ValueError("--scheme goes with --labels")
    make = {
        "ct": importers.from_ct,
        "xcat": importers.from_xcat,
        "icrp": importers.from_icrp,
        "xcist": importers.from_xcist,
    }
    return make[chosen](source, patient=patient, **given)  # type: ignore[operator]


def _remarks(twin: Twin) -> list[str]:
    """What a user should know about how the import went."""
    found = []
    about: dict[str, Any] = dict(twin.provenance)
    for names in about.get("ambiguous") or []:
        found.append(f"equal attenuation, cannot be told apart: {', '.join(names)}")
    mended = about.get("mended") or {}
    if "tilt_deg" in mended:
        found.append(
            f"axes turned by {mended['turned_deg']} degrees (slices tilted by {mended['tilt_deg']}): interpolated onto "
            f"the patient's axes; {mended['slices_left_out']} incomplete slices left out"
        )
    if "slices_interpolated" in mended:
        low, high = mended["uneven_slices_mm"]
        found.append(f"slices {low} to {high} mm apart: {mended['slices_interpolated']} interpolated")
    labels = about.get("labels") or {}
    if labels.get("unknown_labels"):
        found.append(f"labels that {labels['scheme']} does not list, left out: {labels['unknown_labels']}")
    orientation = about.get("orientation")
    if isinstance(orientation, dict):
        assumed = [axis for axis, why in orientation.items() if why == "assumed"]
        if assumed:
            found.append(f"direction of {', '.join(assumed)} assumed: look at it (lungtwin twin show), or give --flip")
    elif orientation:
        found.append(f"{orientation}: look at it (lungtwin twin show), or give --flip")
    return found


def export(
    file: Annotated[Path, typer.Argument(help="A twin file (.h5).")],
    folder: Annotated[Path, typer.Option("--out", "-o", help="A folder; made if it does not exist.")],
    kind: Annotated[str, typer.Option("--format", help=f"{', '.join(EXPORTS)}.")] = "nifti",
    kev: Annotated[float, typer.Option(min=40, max=140, help="nifti: energy of the CT numbers [keV].")] = 70.0,
) -> None:
    """Write a twin as NIfTI, as a label map of TotalSegmentator or MAISI, or as an XCIST phantom."""
    import twins
    from ctsim.attenuation import mass_attenuation
    from twins import exports

    if kind not in EXPORTS:
        raise ValueError(f"--format: unknown format {kind!r}; known: {', '.join(EXPORTS)}")
    twin = twins.load(file)
    folder.mkdir(parents=True, exist_ok=True)
    name = file.stem
    if kind == "xcist":
        written = [exports.write_xcist(twin, folder, name=name)]
    elif kind == "nifti":
        written = list(
            exports.write_volumes(
                twin,
                folder,
                name=name,
                mass_attenuation=lambda material: float(mass_attenuation(material, kev)),
                hu_note=f"{kev:g} keV, without blur, noise or artefacts",
            ).values()
        )
    else:
        which = "totalsegmentator_v2" if kind == "totalsegmentator" else kind
        written = list(exports.write_labels(twin, folder, which=which, name=name).values())
    for path in written:
        out.print(f"file     {path.resolve()}", markup=False, highlight=False)
    answer({"files": [path.resolve() for path in written]})
