"""Building a dataset: plan, all cases one after the other, tables, seal, report. No server is needed."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import twins
from twins.files import replacing

from .card import CARD, card_facts, write_card
from .dataset import DRAWS, SEAL, TARGETS, Dataset
from .progress import Meter, Report
from .running.account import Account, account_of, write_account
from .stages import CaseRecord, Site, build_case
from .stages.case import case_weight
from .store import Store, explaining, package_version, sha256_of
from .study import Case, Plan, StudySpec, load_study, make_plan
from .study.scans import is_file_name
from .study.targets import targets
from .tables import anatomy_rows, draw_rows, manifest_rows, nodule_rows, write_table

RUN = "run"
"""Folder of what the clock says."""


def build_dataset(
    study: StudySpec | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    backend: str = "auto",
    wait_s: float = 0.0,
    progress: Report | None = None,
) -> Dataset:
    """Build the dataset of a study into a folder, or finish what an earlier build began there.

    Parameters
    ----------
    study
        A study, the name of a preset, or a YAML file.
    out
        The folder; made when missing.
    backend
        ``auto``, ``cpu`` or ``gpu``.
    wait_s
        How long to wait for another build into the same folder [s].
    progress
        Gets ``(fraction, what)``.

    Returns
    -------
    Dataset
        The finished dataset. The same study gives the same bytes, whatever happened on the way; only ``run/`` holds
        facts of the clock.

    Raises
    ------
    SpecError
        If the study cannot be used.
    ValueError
        If the folder holds something else, or a stage refuses its input.
    flows.store.BusyError
        If another build writes into the folder.
    """
    plan = make_plan(study if isinstance(study, StudySpec) else load_study(study))
    with open_build(plan, out, backend=backend, wait_s=wait_s, progress=progress) as build:
        return build.finish([build.case(case) for case in plan.cases])


@contextmanager
def open_build(
    plan: Plan,
    out: str | os.PathLike[str],
    *,
    backend: str = "auto",
    wait_s: float = 0.0,
    progress: Report | None = None,
) -> Iterator[Build]:
    """Hold a folder for one build: :meth:`Build.case` for every case, then :meth:`Build.finish`."""
    root = Path(out)
    with explaining(root):
        check_folder(root)
        account = account_of(plan, chosen_backend(backend))
        store = Store(root)
        with store.lock(wait_s=wait_s):
            begin(store, account)
            meter = Meter(sum(case_weight(case) for case in plan.cases), progress)
            yield Build(plan, Site(store, account.backend, meter))


def begin(store: Store, account: Account) -> None:
    """Clear away what the killed left, and say what is being built; only who holds the folder alone may."""
    store.sweep()
    write_account(store, account)


class Build:
    """One build in progress; made by :func:`open_build`."""

    def __init__(self, plan: Plan, site: Site) -> None:
        self.plan = plan
        self.site = site
        self._begun = time.time()
        self._case_s: dict[str, float] = {}

    def case(self, case: Case) -> CaseRecord:
        """Make, or find, everything of one case."""
        begun = time.monotonic()
        record = build_case(self.site, case)
        self._case_s[case.twin_id] = round(time.monotonic() - begun, 3)
        return record

    def finish(self, records: Sequence[CaseRecord]) -> Dataset:
        """Write tables and study, seal the dataset, and make its report.

        Parameters
        ----------
        records
            Of all cases, in the order of the plan.
        """
        root, store = self.site.store.root, self.site.store
        store.unseal()
        store.prune({artefact.key for record in records for artefact in record.artefacts()})
        patients = [twins.load(root / record.twin.path).patient for record in records]
        if self.plan.study.outputs.anatomy:
            write_table(root / "anatomy" / "labels.csv", anatomy_rows())
        write_table(root / "manifest.csv", manifest_rows(store, self.plan, records, patients, self.site.backend))
        nodules, draws = nodule_rows(store, self.plan, records), draw_rows(store, self.plan, records)
        write_table(root / "nodules.csv", nodules)
        write_card(card_facts(self.plan, nodules, draws), root)
        (root / DRAWS).unlink(missing_ok=True)
        if draws:
            write_table(root / DRAWS, draws)
        aims = targets(self.plan.study)
        (root / TARGETS).unlink(missing_ok=True)
        if aims:
            write_table(root / TARGETS, [asdict(aim) for aim in aims])
        profiles = _write_study(self.plan.study, records, root)
        self.write_run()
        paths = {artefact.path for record in records for artefact in record.artefacts()}
        paths |= {"manifest.csv", "nodules.csv", "study.yaml", *CARD}
        paths |= ({DRAWS} if draws else set()) | ({TARGETS} if aims else set())
        paths |= profiles
        if self.plan.study.outputs.anatomy:
            paths.add("anatomy/labels.csv")
        with replacing(root / SEAL) as part:
            part.write_text("".join(f"{sha256_of(root / path)}  {path}\n" for path in sorted(paths)), encoding="utf-8")
        dataset = Dataset.open(root)
        if self.plan.study.outputs.report:
            from .report import write_report

            write_report(dataset)
        return dataset

    def write_run(self, stem: str | None = None) -> None:
        """Facts of the clock and the machine, outside the digests: ``run/STEM.json``, or ``run/build-NNNN.json``."""
        import json

        folder = self.site.store.root / RUN
        folder.mkdir(exist_ok=True)
        number = 1 + max((int(p.stem.rpartition("-")[2]) for p in folder.glob("build-[0-9]*.json")), default=0)
        facts = {
            "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._begun)),
            "took_s": round(time.time() - self._begun, 3),
            "case_s": self._case_s,
            "host": socket.gethostname(),
            "platform": platform.platform(),
            "cpus": os.cpu_count(),
            "backend": self.site.backend,
            "versions": {
                "python": platform.python_version(),
                "lungtwin": package_version(),
                **{name: _version(name) for name in ("numpy", "scipy", "numba", "h5py", "SimpleITK", "pydantic")},
            },
        }
        with replacing(folder / f"{stem or f'build-{number:04d}'}.json") as part:
            part.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def check_folder(root: Path) -> None:
    """Refuse a folder that holds something other than a dataset of ours; ValueError."""
    if root.exists() and not root.is_dir():
        raise ValueError(f"{root}: is a file; a dataset needs a folder")
    if root.is_dir() and not (root / ".store").is_dir() and any(root.iterdir()):
        raise ValueError(f"{root}: is not empty and holds no dataset of lungtwin; choose another folder")


def chosen_backend(backend: str) -> str:
    """``cpu`` or ``gpu`` for ``auto``, ``cpu`` or ``gpu``; ValueError where it cannot be had."""
    from ctsim.backends import choose

    try:
        return str(choose(backend))
    except RuntimeError as error:
        raise ValueError(str(error)) from None


def _write_study(study: StudySpec, records: Sequence[CaseRecord], root: Path) -> set[str]:
    """``study.yaml``: the resolved study, naming nothing outside the dataset; returns the users' profiles it names."""
    from ruamel.yaml import YAML

    data: dict[str, Any] = study.model_dump(mode="json", exclude_none=True, exclude={"preview"})
    for twin, record in zip(data["twins"], records, strict=True):
        if "patient" in twin:
            twin["patient"]["file"] = record.twin.path
            twin["patient"]["sha256"] = record.twin.sha256
            if record.original is not None:
                twin["patient"]["ct"] = record.original.path
    profiles: set[str] = set()
    for scan in data["scans"]:
        if is_file_name(scan["profile"]):
            scan["profile"] = _kept_profile(Path(scan["profile"]), root)
            profiles.add(scan["profile"])
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = None
    yaml.width = 120
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    with replacing(root / "study.yaml") as part, part.open("w", encoding="utf-8") as handle:
        handle.write("# The resolved study: `lungtwin build` of this file makes the same dataset again.\n")
        yaml.dump(data, handle)
    return profiles


def _kept_profile(source: Path, root: Path) -> str:
    """Copy a user's profile into the dataset; its name tells its content, so that two of one name are two files."""
    mark = sha256_of(source)[:8]
    stem = source.stem.removesuffix(f"-{mark}")
    target = root / "profiles" / f"{stem}-{mark}{source.suffix}"
    if source.resolve() != target.resolve():
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as part:
            shutil.copyfile(source, part)
    return f"profiles/{target.name}"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
