"""The twin of a case: built from its spec, or a patient's own."""

from __future__ import annotations

import shutil
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import twins
from twins import Patient, Twin
from twins.files import write_nifti

from ..store import Artefact, canonical, content_key, sha256_of
from ..study import Case, PatientEntry
from .site import Held, Site

VERSION = 1


def make_twin(site: Site, case: Case) -> tuple[Artefact, Held[Twin]]:
    """The twin file ``twins/PERSON.h5`` and the twin itself, loaded only if it is asked for.

    All cases of a person share the file, but those of visits at which the anatomy has changed; an equal twin of another
    person that came before is copied.

    Raises
    ------
    ValueError
        If a patient's file is not what the study says or cannot be used.
    """
    path = f"twins/{case.anatomy_id}.h5"
    held: Held[Twin] = Held(lambda: twins.load(site.store.root / path))
    if case.population is not None:
        population = case.population

        def build() -> Twin:
            return twins.build(population, spacing_mm=case.spacing_mm)

        spec: dict[str, object] = {"population": population.model_dump(mode="json"), "spacing_mm": case.spacing_mm}
        inputs: dict[str, str] = {}
    else:
        assert case.patient is not None
        patient = case.patient

        def build() -> Twin:
            return _of_patient(patient)

        spec = {"person": patient.person().model_dump(mode="json"), "from": "file" if patient.file else "ct"}
        inputs = {"source": _digest(patient)}

    def key_of(path: str) -> str:
        return content_key("twin", VERSION, path=path, spec=spec, inputs=inputs, backend="cpu", rooms=("twins",))

    def write(part: Path) -> None:
        earlier = site.store.find(key_of(f"twins/{case.base_anatomy}.h5")) if case.base_came_before else None
        if earlier is not None:
            shutil.copyfile(site.store.root / earlier.path, part)
            return
        twin = build()
        twins.save(twin, part)
        held.set(twin)

    with site.meter.part(f"{case.twin_id}: twin", case.twin_s):
        return site.store.make(key_of(path), path, write), held


def keep_original(site: Site, case: Case) -> Artefact | None:
    """``originals/PERSON.nii.gz``: a patient's CT, axes along LPS, int16 HU; None where the study names none."""
    if case.patient is None or case.patient.ct is None:
        return None
    source = case.patient.ct
    digest = _folder_digest(source) if source.is_dir() else sha256_of(source)
    path = f"originals/{case.person}.nii.gz"
    key = content_key("original", VERSION, path=path, spec={}, inputs={"ct": digest}, backend="cpu")
    return site.store.make(key, path, lambda part: write_upright(source, part))


def write_upright(source: Path, target: Path) -> None:
    """Copy a CT with its axes turned along LPS, as int16 HU, without resampling."""
    import SimpleITK as sitk

    if source.is_dir():
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(source)))
        image = reader.Execute()
    else:
        image = sitk.ReadImage(str(source))
    image = sitk.DICOMOrient(image, "LPS")
    write_nifti(sitk.Cast(sitk.Clamp(image, sitk.sitkFloat32, -1024, 8191), sitk.sitkInt16), target)


def _of_patient(entry: PatientEntry) -> Twin:
    if entry.file is not None:
        found = sha256_of(entry.file)
        if entry.sha256 is not None and found != entry.sha256:
            raise ValueError(f"{entry.file}: sha256 is {found}, the study expects {entry.sha256}")
        twin = twins.load(entry.file)
    else:
        from twins.importers.ct import from_ct

        assert entry.ct is not None
        twin = from_ct(entry.ct)
    known = {name: value for name, value in entry.person() if value is not None}
    return replace(twin, patient=Patient(**{**dict(twin.patient), **known}))


def _digest(entry: PatientEntry) -> str:
    source = entry.file or entry.ct
    assert source is not None
    return _folder_digest(source) if source.is_dir() else sha256_of(source)


def _folder_digest(folder: Path) -> str:
    files = {p.name: sha256_of(p) for p in folder.iterdir() if p.is_file()}
    return sha256(canonical(files)).hexdigest()
