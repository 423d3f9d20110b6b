"""A finished dataset in the documented layout, written at once: small images, analytic spheres, no simulation."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

import lesions
from flows.dataset import SEAL
from flows.stages.imaging import mimic_labels
from flows.study.keys import make_key
from flows.tables import write_table
from flows.volumes import write_volume
from lesions import Nodule, Truth
from lesions.truth import NoduleTruth
from twins import Grid, Structure

S = Structure

GRID = Grid((24, 40, 48), (2.5, 0.703125, 0.75), (-17.25, -13.0, -120.5))
"""Slices are thick and the origin is odd: what mixes up axes, sides or centres goes wrong here."""


@dataclass
class Person:
    """One twin: its nodules as (id, kind, type, centre, diameter, label), and what else its rows say."""

    id: str
    nodules: list[tuple[str, str, str, tuple[float, float, float], float, str]]
    sex: str = "female"
    shift_mm: tuple[float, float] = (0.0, 0.0)
    more: dict[str, Any] = field(default_factory=dict)
    lesion_keys: dict[str, int] = field(default_factory=dict)


TWO = (
    Person(
        "ann",
        [
            ("big", "nodule", "solid", (-9.0, -4.0, -100.0), 9.0, "malignant"),
            ("small", "nodule", "ground_glass", (11.0, 3.0, -82.0), 4.0, "benign"),
            ("scar", "scar", "solid", (10.0, -6.0, -105.0), 6.0, "benign"),
        ],
        shift_mm=(1.2, 1.6),
    ),
    Person("bob", [("only", "nodule", "part_solid", (10.4, 2.3, -91.3), 7.5, "benign")], "male", (-1.4, -1.4)),
    Person("cyd", [], sex="female"),
)
"""Three lineages, one without nodules, one with a hard negative."""


def anatomy(shift_mm: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """A body with two lungs of five lobes, a trachea, a spine, a vessel inside a lung and one outside."""
    z, y, x = np.meshgrid(*GRID.axes_mm(), indexing="ij")
    cx, cy = GRID.centre_mm[0] + shift_mm[0], GRID.centre_mm[1] + shift_mm[1]
    out = np.where(((x - cx) / 17) ** 2 + ((y - cy) / 13.5) ** 2 < 1, int(S.MUSCLE), 0).astype(np.uint16)
    left = ((x - cx - 8) / 6.5) ** 2 + ((y - cy) / 9) ** 2 < 1
    right = ((x - cx + 8) / 6.5) ** 2 + ((y - cy) / 9) ** 2 < 1
    out[left] = np.where(z[left] > -91, S.LEFT_UPPER_LOBE, S.LEFT_LOWER_LOBE)
    out[right] = np.select(
        [z[right] > -81, z[right] > -101], [S.RIGHT_UPPER_LOBE, S.RIGHT_MIDDLE_LOBE], S.RIGHT_LOWER_LOBE
    )
    out[(abs(x - cx) < 1.3) & (abs(y - cy + 1) < 1.3)] = S.TRACHEA
    out[(abs(x - cx) < 2) & (y - cy > 9)] = S.VERTEBRA
    out[(abs(x - cx - 8) < 0.8) & (abs(y - cy) < 0.8)] = S.LUNG_VESSEL  # inside the left lung
    out[(abs(x - cx) < 0.8) & (abs(y - cy + 9) < 0.8)] = S.PULMONARY_ARTERY  # outside of both
    out[(abs(abs(x - cx) - 11) < 1) & (abs(y - cy + 9) < 0.8) & (z > -75)] = S.CLAVICLE
    return out


def write_finished(root: Path, persons=TWO, scans=("low", "high"), *, seed: int = 7) -> Path:
    """Write the dataset; returns its folder."""
    for name in ("images", "masks", "mimics", "anatomy", "twins", "truth"):
        (root / name).mkdir(parents=True)
    manifest, nodules = [], []
    for person in persons:
        truth, structure = truth_of(person), anatomy(person.shift_mm)
        lesions.save(truth, root / f"truth/{person.id}.h5")
        (root / f"twins/{person.id}.h5").write_text(f"stands for the twin {person.id}", encoding="utf-8")
        for number, scan in enumerate(scans):
            image_id = f"{person.id}_{scan}"
            mask, mimics = truth.labels(GRID), mimic_labels(truth, GRID)
            write_volume(root / f"images/{image_id}.nii.gz", image_of(truth, structure, person.id, image_id), GRID)
            write_volume(root / f"masks/{image_id}.nii.gz", mask, GRID)
            if mimics.any():
                write_volume(root / f"mimics/{image_id}.nii.gz", mimics, GRID)
            write_volume(root / f"anatomy/{image_id}.nii.gz", structure, GRID)
            manifest.append(manifest_row(root, person, scan, image_id, seed, mas=30.0 * (1 + number)))
            for i, nodule in enumerate(truth.nodules):
                label = person.nodules[i][5]
                nodules.append(
                    nodule_row(image_id, person, nodule, i + 1, int(((mask | mimics) == i + 1).sum()), label)
                )
    write_table(root / "manifest.csv", sorted(manifest, key=lambda row: row["image_id"]))
    write_table(root / "nodules.csv", sorted(nodules, key=lambda row: (row["image_id"], row["mask_value"])))
    (root / "study.yaml").write_text("name: made\n", encoding="utf-8")
    (root / "CARD.md").write_text("# made\n", encoding="utf-8")
    seal(root)
    return root


def seal(root: Path) -> None:
    """Write the digests of everything in the folder, as a build does at its end."""
    files = sorted(p for p in root.rglob("*") if p.is_file() and p.name != SEAL)
    lines = [f"{sha256(p.read_bytes()).hexdigest()}  {p.relative_to(root).as_posix()}\n" for p in files]
    (root / SEAL).write_text("".join(lines), encoding="utf-8")


def noise(name: str, sd_hu: float) -> np.ndarray:
    return np.random.Generator(np.random.Philox(key=make_key(0, name))).normal(0, sd_hu, GRID.shape)


def image_of(truth: Truth, structure: np.ndarray, person: str, name: str) -> np.ndarray:
    """HU of the tissues, with texture that is the person's own, and noise that is the image's."""
    hu = np.full(GRID.shape, -1000.0)
    hu[structure > 0] = 40.0
    hu[(structure >= 10) & (structure <= 14)] = -860.0
    hu[structure == S.TRACHEA] = -990.0
    for i, nodule in enumerate(truth.nodules):
        share = truth.occupancy(GRID, i)
        hu += share * ({"solid": 40.0, "part_solid": -200.0, "ground_glass": -600.0}[nodule.type] - hu)
    hu[structure > 0] += gaussian_filter(noise(person, 400.0), 1.0)[structure > 0]
    return np.rint(np.clip(hu + noise(name, 15.0), -1024, 3071)).astype(np.int16)


def truth_of(person: Person) -> Truth:
    return Truth(tuple(sphere(person, *nodule[:5]) for nodule in person.nodules))


def sphere(person: Person, name: str, kind: str, type_: str, centre, diameter: float) -> NoduleTruth:
    """The truth of a ball: its occupancy on a fine lattice by 4 x 4 x 4 points a voxel."""
    step, n = 0.25, int(diameter / 0.25) + 6
    origin = tuple(c - step * (n - 1) / 2 for c in centre)
    grid = Grid((n, n, n), (step, step, step), origin)
    axes = [np.arange(4 * n) * step / 4 - step * 3 / 8 + o - c for o, c in zip(origin[::-1], centre[::-1], strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    inside = (x**2 + y**2 + z**2 <= (diameter / 2) ** 2).reshape(n, 4, n, 4, n, 4)
    occupancy = inside.mean(axis=(1, 3, 5), dtype=np.float32)
    volume = np.pi / 6 * diameter**3
    key = person.lesion_keys.get(name, make_key(1, person.id, name) % 2**63)
    nodule = Nodule(id=name, key=key, kind=kind, type=type_, equivalent_diameter_mm=diameter, centre_mm=centre)
    part = {"solid": volume, "part_solid": volume / 8, "ground_glass": 0.0}[type_]
    return NoduleTruth(
        nodule=nodule,
        centre_mm=tuple(centre),
        volume_mm3=volume,
        equivalent_diameter_mm=diameter,
        long_axis_mm=diameter,
        short_axis_mm=diameter,
        mean_diameter_mm=diameter,
        max_diameter_mm=diameter,
        core_volume_mm3=part,
        core_diameter_mm=(6 * part / np.pi) ** (1 / 3),
        mass_mg=volume,
        added_mass_mg=0.8 * volume,
        mean_hu={"solid": 40.0, "part_solid": -200.0, "ground_glass": -600.0}[type_],
        core_mean_hu=None,
        lobe="RIGHT_MIDDLE_LOBE" if centre[0] < 0 else "LEFT_LOWER_LOBE",
        distance_to_pleura_mm=None,
        distance_to_vessel_mm=None,
        n_spicules=0,
        grid=grid,
        occupancy=occupancy,
    )


def manifest_row(root: Path, person: Person, scan: str, image_id: str, seed: int, mas: float) -> dict[str, Any]:
    files = {
        "image": f"images/{image_id}.nii.gz",
        "mask": f"masks/{image_id}.nii.gz",
        "anatomy": f"anatomy/{image_id}.nii.gz",
        "twin": f"twins/{person.id}.h5",
        "truth": f"truth/{person.id}.h5",
    }
    mimics = f"mimics/{image_id}.nii.gz"
    if (root / mimics).is_file():
        files["mimics"] = mimics
    malignant = any(nodule[5] == "malignant" for nodule in person.nodules)
    row = {
        "image_id": image_id,
        "study": "made",
        "twin_id": person.id,
        "lineage_id": person.id,
        "kind": "population",
        "sex": person.sex,
        "age_y": 63,
        "height_cm": 170,
        "bmi": 25,
        "smoking": "former",
        "n_nodules": sum(kind == "nodule" for _, kind, *_ in person.nodules),
        "scan_id": scan,
        "profile": "siemens_definition_as",
        "manufacturer": "SIEMENS",
        "scanner": "SOMATOM Definition AS+",
        "protocol": "screening_low_dose",
        "mode": "helical",
        "kvp": 120,
        "mas_per_rotation": mas,
        "mean_mas_per_rotation": mas,
        "rotation_s": 0.5,
        "pitch": 1.2,
        "ctdi_vol_mgy": 2.1,
        "kernel": "B50f",
        "slice_thickness_mm": 2.5,
        **{f"n_{axis}": n for axis, n in zip("zyx", GRID.shape, strict=True)},
        **{f"spacing_{axis}_mm": s for axis, s in zip("zyx", GRID.spacing_mm, strict=True)},
        **{f"origin_{axis}_lps_mm": o for axis, o in zip("xyz", GRID.origin_mm, strict=True)},
        "seed": seed,
        "twin_key": make_key(seed, "twin", person.id),
        "original_file": None,
        "mimics_file": None,
        "mimics_sha256": None,
        **{f"{name}_file": path for name, path in files.items()},
        **{f"{name}_sha256": sha256((root / path).read_bytes()).hexdigest() for name, path in files.items()},
        "original_sha256": None,
        "participant_label": "malignant" if malignant else "benign",
    }
    return row | person.more


def nodule_row(image_id: str, person: Person, truth: NoduleTruth, value: int, n: int, label: str) -> dict[str, Any]:
    record = truth.record()
    return {
        "image_id": image_id,
        "twin_id": person.id,
        "nodule_id": truth.id,
        "mask_value": value,
        **{f"{axis}_lps_mm": c for axis, c in zip("xyz", truth.centre_mm, strict=True)},
        **{f"index_{axis}": i for axis, i in zip("zyx", GRID.world_to_index(truth.centre_mm).tolist(), strict=True)},
        "in_image": bool(GRID.contains(truth.centre_mm)),
        "n_voxels": n,
        "type": truth.type,
        "kind": truth.kind,
        "is_mimic": truth.is_mimic,
        **{k: v for k, v in record.items() if k not in {"nodule", "grid", "centre_mm"}},
        "label": None if truth.is_mimic else label,
        "probability": None if truth.is_mimic else 0.25 if label == "benign" else 0.75,
        "spec_key": truth.nodule.key,
        "spec_kind": truth.nodule.kind,
    }
