"""Lungs: what the cage holds above the diaphragm and beside the mediastinum, solved to a volume, cut into lobes.

``lungs = cage - (mediastinum + margin) - below the domes of the diaphragm``. The height of the chest is solved so
that the
total volume meets the target, then the level of each dome so that each side does, and the place of each fissure so
that each
lobe has its share: RUL 17.9, RML 9.3, RLL 26.5, LUL 23.1, LLL 23.2 % (Yamada et al. 2020, supine). Shapes of domes
and fissures are
design defaults (unverified).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit, prange
from numpy.typing import ArrayLike, NDArray

from .cage import POWER, TAPER, Cage
from .fields import Field, noise, smooth_max, smooth_min, stream, volume_mm3
from .grid import Grid
from .mediastinum import CentralAirways, Heart, Mediastinum
from .shapes import unite
from .skeleton import ribs, spine_room
from .structures import LOBES

if TYPE_CHECKING:
    from .population import TwinSpec

Array = NDArray[Any]

STEP_MM = 2.5
"""Pitch of the lattice that carries the surfaces [mm]."""

BELOW_MM, ABOVE_MM = 48.0, 25.0
"""How far the lattice goes below level 0 and above the apex [mm]."""


@dataclass(frozen=True, slots=True, eq=False)
class Chest:
    """Fields on the lattice: signed distances [mm], negative inside; fissures negative below."""

    cage: Cage
    mediastinum: Mediastinum
    lattice: Grid
    wall: Field
    lung: Field
    diaphragm: Field
    side: Field
    major: Field
    minor: Field


def lattice_of(cage: Cage, step_mm: float) -> Grid:
    """The lattice around a chest: air of 14 mm or more on each side."""
    z = np.linspace(cage.base_mm - BELOW_MM, cage.apex_mm + ABOVE_MM, 60)
    half = float(cage.body_half_width(z).max()) + 21
    front = float(cage.body_front(z).min()) - 19 - (0 if cage.is_male else 40)
    back = float(cage.body_back(z).max()) + 16
    size = np.array([z[-1] - z[0], back - front, 2 * half])
    shape = tuple(int(n) for n in np.ceil(size / step_mm) + 1)
    return Grid(shape, (step_mm,) * 3, (-half, front, float(z[0])))  # type: ignore[arg-type]


def superellipse(
    lattice: Grid,
    half_width: ArrayLike,
    centre: ArrayLike,
    half_depth: ArrayLike,
    power: ArrayLike,
    taper: ArrayLike = 0.0,
    widest: float = 1.2,
) -> Field:
    """First-order distance to a stack of superellipses, one per slice [mm].

    With a taper they widen backwards, from 1.2 half-depths in front of the centre to ``widest`` behind it.
    """
    z, y, x = lattice.axes_mm()
    given = [
        np.broadcast_to(np.asarray(v, np.float32), z.shape) for v in (half_width, centre, half_depth, power, taper)
    ]
    out = np.empty(lattice.shape, np.float32)
    _superellipses(out, y.astype(np.float32), x.astype(np.float32), np.stack(given), np.float32(widest))
    return out


@njit(parallel=True, cache=True, error_model="numpy")
def _superellipses(out: Array, y: Array, x: Array, slices: Array, widest: Any) -> None:
    """Distances; ``slices`` (5, z): half-width, centre, half-depth, exponent, taper."""
    one = np.float32(1.0)
    for k in prange(out.shape[0]):
        a, c, b, e, taper = slices[:, k]
        for j in range(y.size):
            v = (y[j] - c) / b
            wide = a * (one + taper * min(max(v, np.float32(-1.2)), widest))
            v = abs(v)
            deep = v ** (e - one)
            for i in range(x.size):
                u = abs(x[i]) / wide
                across = u ** (e - one)
                gauge = max((across * u + deep * v) ** (one / e), np.float32(0.05))
                slope = math.sqrt((across / wide) ** 2 + (deep / b) ** 2) / gauge ** (e - one)
                out[k, j, i] = (gauge - one) / max(slope, np.float32(1e-4))


def breath(spec: TwinSpec, height_mm: float) -> tuple[TwinSpec, float]:
    """The spec with its cage as this breath has it, and how far the domes then stand above those at full effort [mm].

    Of a breath the ribs take a third or less: width goes with volume to the power 0.08, depth with 0.20, so that from
    full effort to half of it the chest narrows by 5 % and flattens by 13 % and the domes rise by some 7 cm (design
    defaults, unverified). ``diaphragm_shift_mm`` is held off by ribs that open or close alike in width and depth.
    """
    if spec.inflation == 1.0 and spec.diaphragm_shift_mm == 0.0:
        return spec, 0.0
    column = 0.55 * height_mm  # volume of the lungs / area of the domes
    wider = 1 + 0.5 * spec.diaphragm_shift_mm / column
    width, depth = wider * spec.inflation**0.08, wider * spec.inflation**0.20
    rise = column * (1 - spec.inflation / (width * depth))
    scales = {
        "chest_width_scale": spec.chest_width_scale * width,
        "chest_depth_scale": spec.chest_depth_scale * depth,
    }
    return spec.model_copy(update=scales), rise


def solve(spec: TwinSpec) -> Chest:
    """The chest of a person: height solved to the volume at full effort; domes and fissures to those of the breath.

    Raises
    ------
    ValueError
        If no chest of this width and depth holds the volume.
    """
    full = spec.full_volume_l() * 1e6
    reference = Cage.of(spec, 300.0)
    height = full / (0.41 * reference.width_mm * reference.depth_mm)
    for _ in range(5):
        height = float(np.clip(height, 170.0, 430.0))
        coarse = _carve(spec, height, 5.0)
        volume = volume_mm3(smooth_max(coarse.lung, coarse.diaphragm, 3.0), 5.0)
        if abs(volume / full - 1) < 0.012:  # the domes make up for the rest
            break
        height *= (full / volume) ** 0.8
    target = spec.target_volume_l() * 1e6
    breathing, rise = breath(spec, height)
    chest = _carve(breathing, height, STEP_MM, rise, Cage.of(spec, height))
    step = STEP_MM
    left = chest.side > 0
    shift = np.zeros_like(chest.lung[0])
    for mask, share in ((~left, spec.right_share), (left, 1 - spec.right_share)):
        near = mask & (chest.lung < 4.0)
        lung, dome = chest.lung[near], chest.diaphragm[near]
        offset = _dome_offset(lung, dome, step, share * target)
        column = mask[np.argmin(np.abs(chest.lattice.axes_mm()[0] - height * -0.3))]
        shift[column] = offset
    # the domes meet smoothly under the heart
    from scipy.ndimage import gaussian_filter1d

    smooth = gaussian_filter1d(shift, 5.0, axis=1).astype(np.float32)
    diaphragm = chest.diaphragm + smooth[None]
    lung = smooth_max(chest.lung, diaphragm, 3.0)
    for _ in range(2):  # what the smoothing took, the pleura gives back: under 0.3 mm
        for mask, share in ((~left, spec.right_share), (left, 1 - spec.right_share)):
            part = lung[mask & (lung < 8.0)]
            lung = np.where(mask, lung + np.float32(_pleura_offset(part, step, share * target)), lung)
    got = volume_mm3(lung, step)
    if abs(got / target - 1) > 0.01:
        raise ValueError(
            f"lung_volume_l: no chest {reference.width_mm:.0f} mm wide, {reference.depth_mm:.0f} mm deep "
            f"holds {target / 1e6:.2f} L; "
            f"nearest {got / 1e6:.2f} L"
        )
    inside = np.clip(0.5 - lung / step, 0, 1)
    right_lung, left_lung = inside * ~left, inside * left
    total = inside.sum(dtype=np.float64)
    r, l_ = spec.right_share * total, (1 - spec.right_share) * total
    major = chest.major.copy()
    for mask, part, whole, share in (
        (~left, right_lung, r, spec.right_lower_share),
        (left, left_lung, l_, spec.left_lower_share),
    ):
        major = np.where(mask, chest.major + np.float32(_offset(chest.major, part, share * whole)), major)
    upper = right_lung * np.clip(0.5 + major / step, 0, 1)
    s = _offset(chest.minor, upper, spec.right_middle_share * r)
    return Chest(
        chest.cage, chest.mediastinum, chest.lattice, chest.wall, lung.astype(np.float32), diaphragm.astype(np.float32),
        chest.side, major.astype(np.float32), (chest.minor + np.float32(s)).astype(np.float32),
    )  # fmt: skip


def lobe_map(chest: Chest) -> NDArray[np.uint16]:
    """Lobe ids on the lattice, 0 outside the lungs and within 1.5 mm of the pleura."""
    lower, left = chest.major <= 0, chest.side >= 0
    lobe = np.where(chest.minor <= 0, np.uint16(LOBES[1]), np.uint16(LOBES[0]))
    np.copyto(lobe, np.uint16(LOBES[3]), where=left)
    np.copyto(lobe, np.uint16(LOBES[2]), where=lower & ~left)
    np.copyto(lobe, np.uint16(LOBES[4]), where=lower & left)
    np.copyto(lobe, np.uint16(0), where=chest.lung >= -1.5)
    return lobe


def _dome_offset(lung: Field, dome: Field, step_mm: float, volume: float) -> float:
    """What to add to the field of a dome so that the lung above it has the volume [mm3]."""
    return _bisect(lambda s: -volume_mm3(smooth_max(lung, dome + np.float32(s), 3.0), step_mm), -volume, -45, 45)


def _pleura_offset(lung: Field, step_mm: float, volume: float) -> float:
    """What to add to the field of a lung so that it has the volume [mm3]."""
    return _bisect(lambda s: -volume_mm3(np.asarray(lung + np.float32(s)), step_mm), -volume, -4, 4)


def _offset(sheet: Field, part: Field, volume: float) -> float:
    """What to add to a sheet so that ``volume`` voxels of ``part`` lie below it."""
    inside = part > 0
    height, weight = sheet[inside], part[inside]
    return _bisect(
        lambda s: float((np.clip(0.5 - (height + np.float32(s)) / STEP_MM, 0, 1) * weight).sum(dtype=np.float64)),
        volume,
        -160,
        160,
    )


def _bisect(falling: Callable[[float], float], target: float, low: float, high: float) -> float:
    """Where a monotone function meets the target; it falls with its argument, or rises if that is how it is given."""
    rising = falling(high) > falling(low)
    for _ in range(14):
        middle = 0.5 * (low + high)
        if (falling(middle) < target) == rising:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def _carve(spec: TwinSpec, height_mm: float, step_mm: float, rise_mm: float = 0.0, full: Cage | None = None) -> Chest:
    """The chest before domes and fissures are settled; its lattice, and so its noise, is that of the ``full`` cage."""
    cage = Cage.of(spec, height_mm)
    centre = Mediastinum.of(cage, spec.heart_scale, rise_mm, CentralAirways.of(spec.key))
    lattice = lattice_of(full or cage, step_mm)
    z, y, x = (a.astype(np.float32) for a in lattice.axes_mm())
    rng = stream(spec.key, "surfaces")
    bumps = noise(lattice, 38.0, rng)
    waves = noise(lattice, 60.0, rng)
    wall = superellipse(lattice, cage.half_width(z), cage.centre(z), cage.half_depth(z), POWER, TAPER) + 0.9 * bumps
    Z, Y, X = z[:, None, None], y[None, :, None], x[None, None, :]
    # mediastinum: organs, fat, spine, and the sheet where both lungs meet
    middle = np.full(lattice.shape, 60.0, np.float32)
    origin = np.asarray(lattice.origin_mm)
    Heart.of(spec, centre).unite_sac(middle, lattice, blend_mm=12.0, grow_mm=1.5)
    unite(
        middle,
        origin,
        step_mm,
        [*centre.vessels(), *centre.oesophagus(1.0), *centre.airway_bodies()],
        blend_mm=9.0,
        grow_mm=2.5,
    )
    unite(middle, origin, step_mm, [*centre.central_vessel_bodies(), *centre.fat()], blend_mm=9.0, grow_mm=1.5)
    unite(middle, origin, step_mm, spine_room(cage), blend_mm=9.0, grow_mm=2.0)
    unite(middle, origin, step_mm, [centre.inlet()], blend_mm=12.0)
    if step_mm <= STEP_MM:
        unite(middle, origin, step_mm, ribs(cage)[0], blend_mm=4.0, grow_mm=1.8)
    junction = X - (3.0 * waves + np.float32(2.0))
    sheet = np.abs(junction) - (2.0 + 1.2 * bumps)
    middle = smooth_min(middle, sheet, 12.0)
    # apices: a rounded cap over each lung
    apex_y = np.asarray(cage.centre(cage.apex_mm - 20) + 6, np.float32)
    ax = np.abs(X) - 0.5 * float(cage.half_width(cage.apex_mm - 25)) - 12
    cap = (Z - (cage.apex_mm - 0.0155 * ax**2 - 0.013 * (Y - apex_y) ** 2)) * np.float32(0.60)
    lung = smooth_max(smooth_max(wall, (-middle + 0.6 * bumps).astype(np.float32), 5.0), cap.astype(np.float32), 14.0)
    # domes
    # as high as the chest is tall, as the sinuses' depth is (design default, by the published area profile)
    tall = height_mm / 300
    top = cage.base_mm + 88 * tall + rise_mm
    yc = np.asarray(cage.centre(top), np.float32) - 8
    room = float(cage.half_width(top))
    depth = float(cage.half_depth(top))
    heights = []
    for sign, lower in ((-1.0, 0.0), (1.0, 11.0)):
        dx = (sign * X - 0.50 * room) / (0.50 * room)
        dy = (Y - yc) / depth
        drop = np.where(dx > 0, 57.5, 15.0) * dx**2 + np.where(dy > 0, 77.5, 32.5) * dy**2 * (1 + 0.15 * dy)
        drop *= np.float32(tall)
        heights.append((top - lower - drop).astype(np.float32))
    surface = smooth_max(heights[0], heights[1], 14.0) + 1.6 * waves
    slope = np.gradient(surface, step_mm, axis=(1, 2))
    diaphragm = (surface - Z) / np.sqrt(1 + slope[0] ** 2 + slope[1] ** 2)
    # fissures: negative below; the major falls from the upper back to the front of the dome
    rise = 0.78 * height_mm / (2 * depth)
    side_x = np.abs(X)
    tilt = 1 / math.hypot(1.0, rise)
    major = (
        Z - rise * (Y - yc) + 0.0016 * height_mm / 300 * (Y - yc) ** 2 + 0.10 * (side_x - 70) - 4.0 * waves
    ) * np.float32(tilt)
    minor = (
        Z
        + 0.0016 * (side_x - 75) ** 2
        + 0.0016 * (Y - yc + 10) ** 2
        - 6.0 * np.roll(waves, 9, axis=2)
        - 0.06 * (Y - yc)
    )
    f = np.float32
    return Chest(
        cage,
        centre,
        lattice,
        *(np.asarray(field, f) for field in (wall, lung, diaphragm, junction, major, minor)),
    )
