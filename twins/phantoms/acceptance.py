"""Phantoms with which physicists accept a scanner, as far as two-basis materials stand for the real ones.

"Published" marks dimensions and materials taken from the source named; the rest is a design choice of this package.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, pi, sin
from typing import Literal

from ..grid import Triple
from ..materials import material
from ..solids import Cylinder, Ellipsoid, Stack
from ..structures import Structure
from ..twin import Twin
from .bodies import cylinder
from .fine import with_fine_part
from .parts import AIR, Part, rod
from .voxels import build_body

MERCURY_DIAMETERS_MM = (160.0, 210.0, 260.0, 310.0, 360.0)
"""Diameters of the sections of :func:`mercury` [mm]."""

CTDI_HOLES = ("centre", "left", "right", "anterior", "posterior")
"""Chamber holes of :func:`ctdi`; left is the patient's left, +x."""

QIBA_NODULES_HU = (-630, -10, 100)
"""Nominal CT numbers of the nodules of :func:`qiba_nodules` [HU]."""

LUNG_G_CM3 = 0.26
"""Density of inflated lung (ICRU Report 44: 0.26 g/cm3)."""

_LUNG_TISSUE_HU_SLOPE = 0.992
"""(mu/rho of lung tissue) / (mu/rho of water) near 70 keV [1] (NIST XCOM, ICRU 46 composition)."""


def water(diameter_mm: float, length_mm: float = 100.0, *, spacing_mm: float | Triple = 2.0) -> Twin:
    """A cylinder of water along z: CT number, uniformity, noise (IEC 61223-3-5).

    Parameters
    ----------
    diameter_mm, length_mm
        Its size [mm].
    spacing_mm
        Voxel size, one number or along (z, y, x) [mm].
    """
    return cylinder(diameter_mm, length_mm, spacing_mm=spacing_mm)


def acr_464(length_mm: float = 40.0, *, spacing_mm: float | Triple = 1.0) -> Twin:
    """CT numbers as in module 1 of the ACR CT accreditation phantom (Gammex 464).

    Published (ACR phantom testing instructions; McCollough et al., Med Phys 31 (2004) 2423): 200 mm across, 40 mm long,
    rods of bone (955 HU), polyethylene (-95), acrylic (120) and air of 25 mm across, water of 50 mm. Design: the
    plastic "solid water" around them is water, so its rod is left out; rods stand 60 mm from the axis; bone is ICRU
    cortical bone at 1.45 g/cm3.

    Parameters
    ----------
    length_mm
        Along z [mm].
    spacing_mm
        Voxel size, one number or along (z, y, x) [mm].
    """
    place = 60.0 / 2**0.5
    inserts = [
        rod(25.0, length_mm, "cortical_bone", at_mm=(-place, -place), density_g_cm3=1.45),
        rod(25.0, length_mm, "polyethylene", at_mm=(place, -place)),
        rod(25.0, length_mm, "pmma", at_mm=(place, place)),
        rod(25.0, length_mm, AIR, at_mm=(-place, place)),
    ]
    return cylinder(200.0, length_mm, inserts=inserts, spacing_mm=spacing_mm)


def catphan_sensitometry(length_mm: float = 25.0, *, spacing_mm: float | Triple = 1.0) -> Twin:
    """CT number linearity as in module CTP404 of the Catphan.

    Published (The Phantom Laboratory, Catphan 503 manual, 2017): module of 150 mm across and 25 mm long, rods of PTFE,
    Delrin, acrylic, polystyrene, LDPE, polymethylpentene (PMP) and air with the densities in ``materials.yaml``.
    Design: rods of 12.2 mm at 58.4 mm from the axis (from memory); water stands for the module's own plastic and fills
    the place of the eighth rod.

    Parameters
    ----------
    length_mm
        Along z [mm].
    spacing_mm
        Voxel size, one number or along (z, y, x) [mm].
    """
    names = ("teflon", "delrin", "pmma", "polystyrene", "ldpe", "pmp", AIR)
    inserts = [
        rod(12.2, length_mm, name, at_mm=(58.4 * cos(2 * pi * i / 8), 58.4 * sin(2 * pi * i / 8)))
        for i, name in enumerate(names)
    ]
    return cylinder(150.0, length_mm, inserts=inserts, spacing_mm=spacing_mm)


def mercury(
    diameters_mm: Sequence[float] = MERCURY_DIAMETERS_MM,
    section_mm: float = 50.0,
    *,
    insert_mm: float = 25.4,
    spacing_mm: float | Triple = 2.0,
) -> Twin:
    """Polyethylene in steps of size with rods, after the Mercury phantom: image quality and tube current by size.

    Published (AAPM TG-233, 2019; Wilson et al., Med Phys 40 (2013) 041908): polyethylene, sections from 160 to 360 mm,
    rods of air, water, polystyrene, bone and iodine. Design: five steps without tapers; rods of ``insert_mm`` at 45 mm
    from the axis run through the whole length; bone is ICRU cortical bone at 1.45 g/cm3; no iodine.

    Parameters
    ----------
    diameters_mm
        Of the sections, from low z to high z [mm].
    section_mm
        Length of each [mm].
    insert_mm
        Diameter of the rods [mm].
    spacing_mm
        Voxel size, one number or along (z, y, x) [mm].

    Raises
    ------
    ValueError
        If a section is too narrow for the rods.
    """
    reach_mm = 45.0 + insert_mm / 2
    if not min(diameters_mm) / 2 > reach_mm + 5.0:
        raise ValueError(f"diameters_mm must exceed {2 * reach_mm + 10:g} mm, got {tuple(diameters_mm)}")
    length_mm = section_mm * len(diameters_mm)
    body = Stack((0.0, 0.0, 0.0), tuple(d / 2 for d in diameters_mm), (section_mm,) * len(diameters_mm))
    rods = [
        rod(insert_mm, length_mm, AIR, at_mm=(45.0, 0.0)),
        rod(insert_mm, length_mm, "water", at_mm=(0.0, 45.0)),
        rod(insert_mm, length_mm, "polystyrene", at_mm=(-45.0, 0.0)),
        rod(insert_mm, length_mm, "cortical_bone", at_mm=(0.0, -45.0), density_g_cm3=1.45),
    ]
    return build_body([Part(body, "polyethylene"), *rods], spacing_mm=spacing_mm)


def qiba_nodules(
    diameters_mm: Sequence[float] = (10.0, 20.0), *, length_mm: float = 120.0, spacing_mm: float | Triple = 2.0
) -> Twin:
    """Spheres of known volume in lung, after the FDA thorax phantom of the QIBA volumetry studies.

    Published (QIBA CT volumetry; Gavrielides et al., Radiology 251 (2009) 26): synthetic spheres of 10 and 20 mm at
    -630, -10 and +100 HU. Design: two lungs of 110 mm across (ICRU lung tissue at 0.26 g/cm3) in an elliptic
    body of water, 320 x 220 mm; the spheres are lung tissue at the density that gives their nominal number, on lattices
    of their own; diameters go to the lungs in turn.

    Parameters
    ----------
    diameters_mm
        Of the spheres, one lung each [mm].
    length_mm
        Of the body [mm].
    spacing_mm
        Voxel size of the body, one number or along (z, y, x) [mm].
    """
    if len(diameters_mm) != 2:
        raise ValueError(f"diameters_mm must hold two diameters, one per lung, got {tuple(diameters_mm)}")
    sides = (-75.0, 75.0)
    lungs = [
        rod(110.0, length_mm, "lung_tissue", at_mm=(x, 0.0), density_g_cm3=LUNG_G_CM3, structure=structure)
        for x, structure in zip(sides, (Structure.RIGHT_LUNG, Structure.LEFT_LUNG), strict=True)
    ]
    twin = cylinder((320.0, 220.0), length_mm, inserts=lungs, spacing_mm=spacing_mm)
    for lung, x, diameter_mm in zip(lungs, sides, diameters_mm, strict=True):
        for hu, z in zip(QIBA_NODULES_HU, (-35.0, 0.0, 35.0), strict=True):
            density = (1 + hu / 1000) / _LUNG_TISSUE_HU_SLOPE
            ball = Part(Ellipsoid((x, 0.0, z), (diameter_mm / 2,) * 3), material("lung_tissue"), density)
            twin = with_fine_part(
                twin, ball, lung, spacing_mm=(diameter_mm / 40,) * 3, name=f"{diameter_mm:g} mm {hu} HU"
            )
    return twin


def ctdi(
    diameter_mm: Literal[160, 320] = 320,
    *,
    chambers: Sequence[str] = (),
    length_mm: float = 150.0,
    spacing_mm: float | Triple = 2.0,
) -> Twin:
    """The PMMA dosimetry phantom: head 160 mm, body 320 mm.

    Published (IEC 60601-2-44; 21 CFR 1020.33): PMMA of 1.19 +- 0.01 g/cm3, at least 140 mm long, holes for the chamber
    in the middle and with their centres 10 mm below the surface. Design: length 150 mm; holes of 13.1 mm; holes without
    a chamber are plugged with PMMA.

    Parameters
    ----------
    diameter_mm
        160 or 320 [mm].
    chambers
        Which of ``CTDI_HOLES`` hold a chamber, that is air.
    length_mm
        Along z [mm].
    spacing_mm
        Voxel size, one number or along (z, y, x) [mm].

    Raises
    ------
    ValueError
        If the diameter is neither, or a hole does not exist.
    """
    if diameter_mm not in (160, 320):
        raise ValueError(f"diameter_mm must be 160 or 320, got {diameter_mm}")
    edge = diameter_mm / 2 - 10.0
    places = dict(zip(CTDI_HOLES, ((0.0, 0.0), (edge, 0.0), (-edge, 0.0), (0.0, -edge), (0.0, edge)), strict=True))
    unknown = sorted(set(chambers) - set(places))
    if unknown:
        raise ValueError(f"chambers must be of {', '.join(CTDI_HOLES)}, got {', '.join(unknown)}")
    body = Part(Cylinder((0.0, 0.0, 0.0), (diameter_mm / 2,) * 2, length_mm), "pmma", 1.19)
    holes = [rod(13.1, length_mm, AIR, at_mm=places[name]) for name in dict.fromkeys(chambers)]
    return build_body([body, *holes], spacing_mm=spacing_mm)
