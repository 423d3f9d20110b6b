"""The realism card of a twin: what was measured on it, against what real persons show."""

from __future__ import annotations

import numpy as np

from ..bronchovascular import wall_mm
from ..lung_function import (
    EFFORT,
    SUPINE_PER_STANDING,
    supine_full_volume_l,
    total_lung_capacity_cv,
    total_lung_capacity_l,
)
from ..patient import Patient
from ..spec import TwinSpec
from ..structures import LOBES, LUNG
from ..twin import DENSITY_STEP_G_CM3, Twin
from .airways import airways
from .branches import volume_mm3
from .density import EMPHYSEMA_HU, HU_PER_G_CM3, density
from .gross import TISSUE, census, gross, lobe_percent, lung_volume_l
from .items import Card, Item, Target, judged
from .vessels import vessels

EFFORT_SD = 0.06
"""Spread of the effort of a breath-hold [1]. Design default, unverified."""


SECTION_ITEMS = ("fat_area_percent", "bone_muscle_area_percent", "cavity_area_percent")
SECTION_BMI = (18.5, 30.0)
"""Body mass indices for which bands of the section's composition are used: the series was of people of normal weight;
beyond, values are shown without a band [kg/m2]. Design default."""


def card(twin: Twin) -> Card:
    """Measure a twin and judge it.

    Parameters
    ----------
    twin
        A population twin or a patient twin; what it lacks (lobes, trees, sex, age or height) is left out of the card.

    Returns
    -------
    Card
        See :class:`Card`; bands in ``twins/card/bands.yaml``, that of the lung volume after GLI 2021.

    Raises
    ------
    ValueError
        If the twin has no lungs.
    """
    lung = twin.is_any(LUNG)
    if not lung.any():
        raise ValueError("a card needs lungs: the twin's structure has no voxel of a lobe or lung")
    spec = spec_of(twin)
    person = twin.patient
    inflation = None if spec is None else spec.inflation
    values = gross(twin, lung)
    found, tables = density(twin, twin.is_any(TISSUE), capacity_l=_capacity_l(person), inflation=inflation)
    values |= found
    for part, extra in (
        airways(twin, wall_scale=1.0 if spec is None else spec.wall_thickness_scale),
        vessels(twin, lung),
    ):
        values |= part
        tables |= extra
    volume_l = lung_volume_l(census(twin).voxels, twin)
    tables["extent_mm"] = _extent_mm(twin, lung)
    fits = person.bmi is not None and SECTION_BMI[0] <= person.bmi <= SECTION_BMI[1]
    items = [
        *_volume_item(volume_l, person, inflation),
        *judged(values, sex=person.sex, leave_out=() if fits else SECTION_ITEMS),
    ]
    return Card(tuple(items), tables, calibration(twin), max(twin.grid.spacing_mm))


def calibration(twin: Twin) -> tuple[Target, ...]:
    """Calibrated quantities of a population twin, target against measured; none for others.

    Lung volume [L], lobes [% of both lungs], mean density of the lungs [g/cm3] (its target: parenchyma, blood of the
    trees and bronchial walls over the volume) and the share below -950 HU without any blur [%] against the extent of
    emphysema.
    """
    spec = spec_of(twin)
    if spec is None:
        return ()
    found = census(twin, round((1000 + EMPHYSEMA_HU) / HU_PER_G_CM3 / DENSITY_STEP_G_CM3))
    counts = found.voxels
    right, left = spec.right_share, 1 - spec.right_share
    shares = (
        right * (1 - spec.right_middle_share - spec.right_lower_share),
        right * spec.right_middle_share,
        right * spec.right_lower_share,
        left * (1 - spec.left_lower_share),
        left * spec.left_lower_share,
    )
    measured = lobe_percent(counts)
    targets = [Target("lung_volume_l", spec.target_volume_l(), lung_volume_l(counts, twin), "L")]
    targets += [
        Target(name, 100 * share, measured[name], "%")
        for name, share in zip((f"{lobe.name.lower()}_percent" for lobe in LOBES), shares, strict=True)
        if name in measured
    ]
    tissue = list(TISSUE)
    voxels = int(counts[tissue].sum())
    if voxels:
        expected = _mass_g(twin, spec) / (1000 * spec.target_volume_l())
        targets.append(
            Target(
                "lung_density_g_cm3",
                expected,
                DENSITY_STEP_G_CM3 * float(found.density[tissue].sum()) / voxels,
                "g/cm3",
            )
        )
        targets.append(
            Target("laa950_percent", spec.emphysema_percent, 100 * float(found.low[tissue].sum()) / voxels, "%")
        )
    return tuple(targets)


def _mass_g(twin: Twin, spec: TwinSpec) -> float:
    """Parenchyma, blood of the trees and bronchial walls in the lungs [g]."""
    blood = sum(float(volume_mm3(tree)[tree.lobe > 0].sum()) for tree in (twin.arteries, twin.veins))
    tree = twin.airways
    radius = 0.5 * (tree.start_radius_mm + tree.end_radius_mm)
    outer = radius + spec.wall_thickness_scale * wall_mm(radius)
    length = np.linalg.norm(tree.end_mm - tree.start_mm, axis=1)
    walls = float((np.pi * (outer**2 - radius**2) * length)[tree.lobe > 0].sum())
    return spec.target_tissue_mass_g() + 1e-3 * (1.06 * blood + 1.05 * walls)


def spec_of(twin: Twin) -> TwinSpec | None:
    """The spec of a population twin; None for others."""
    data = twin.provenance.get("spec")
    if twin.provenance.get("kind") != "population" or data is None:
        return None
    return TwinSpec.model_validate(data)


def _capacity_l(person: Patient) -> float | None:
    if person.sex is None or person.age_y is None or person.height_cm is None:
        return None
    return total_lung_capacity_l(person.sex, person.age_y, person.height_cm)


def _volume_item(volume_l: float, person: Patient, inflation: float | None) -> list[Item]:
    """Lung volume, brought to full effort where the inflation is known, against GLI 2021 and the spread of effort."""
    if person.sex is None or person.age_y is None or person.height_cm is None:
        return []
    expected = supine_full_volume_l(person.sex, person.age_y, person.height_cm)
    spread = 2 * expected * float(np.hypot(total_lung_capacity_cv(person.sex, person.age_y), EFFORT_SD / EFFORT))
    return [
        Item(
            "gross",
            "full_volume_l",
            volume_l / (inflation or 1.0),
            "L",
            expected - spread,
            expected + spread,
            "published",
            f"GLI 2021 x {SUPINE_PER_STANDING} supine (Yamada et al. 2020) x effort {EFFORT} +- {EFFORT_SD}",
        )
    ]


def _extent_mm(twin: Twin, lung: np.ndarray) -> dict[str, float]:
    spans = [np.flatnonzero(lung.any(axis)) for axis in ((0, 1), (0, 2), (1, 2))]
    return {
        name: float((span[-1] - span[0] + 1) * step)
        for name, span, step in zip(("width", "depth", "height"), spans, twin.grid.spacing_mm[::-1], strict=True)
    }
