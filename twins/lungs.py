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

    Of a breath the ribs take a third or less: width goes with volume to the power 0.07, depth with 0.17, so that from
    full effort to half of it the chest narrows by 5 % and flattens by 11 % and the domes rise by some 6 cm (design
    defaults, unverified). ``diaphragm_shift_mm`` is held off by ribs that open or close alike in width and depth.
    """
    if spec.inflation == 1.0 and spec.diaphragm_shift_mm == 0.0:
        return spec, 0.0
    column = 0.55 * height_mm  # volume of the lungs / area of the domes
    wider = 1 + 0.5 * spec.diaphragm_shift_mm / column
    width, depth = wider * spec.inflation**0.07, wider * spec.inflation**0.17
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
    height = full / (0.35 * reference.width_mm * reference.depth_mm)
    for _ in range(4):
        height = float(np.clip(height, 170.0, 430.0))
        coarse = _Room.of(spec, height, 2 * STEP_MM)
        hollow = coarse.lungs(spec, coarse.junction())[1]
        volume = volume_mm3(smooth_max(hollow, coarse.diaphragm(0.0), 3.0), 2 * STEP_MM)
        if abs(volume / full - 1) < 0.012:  # the domes make up for the rest
            break
        height *= full / volume
    height = float(np.clip(height, 170.0, 430.0))
    target = spec.target_volume_l() * 1e6
    breathing, rise = breath(spec, height)
    room = _Room.of(breathing, height, STEP_MM, rise, Cage.of(spec, height))
    side = room.junction()
    wall, lung = room.lungs(breathing, side)
    diaphragm = room.diaphragm(rise)
    lattice = room.lattice
    step = STEP_MM
    left = side > 0
    shift = np.zeros_like(lung[0])
    for mask, share in ((~left, spec.right_share), (left, 1 - spec.right_share)):
        near = mask & (lung < 4.0)
        offset = _dome_offset(lung[near], diaphragm[near], step, share * target)
        column = mask[np.argmin(np.abs(lattice.axes_mm()[0] - height * -0.3))]
        shift[column] = offset
    # the domes meet smoothly under the heart
    from scipy.ndimage import gaussian_filter1d

    smooth = gaussian_filter1d(shift, 5.0, axis=1).astype(np.float32)
    diaphragm += smooth[None]
    lung = smooth_max(lung, diaphragm, 3.0)
    for _ in range(2):  # what the smoothing took, the pleura gives back: under 0.3 mm
        for mask, share in ((~left, spec.right_share), (left, 1 - spec.right_share)):
            part = lung[mask & (lung < 8.0)]
            np.add(lung, np.float32(_pleura_offset(part, step, share * target)), out=lung, where=mask)
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
    major, minor = room.fissures(rise)
    for mask, part, whole, share in (
        (~left, right_lung, r, spec.right_lower_share),
        (left, left_lung, l_, spec.left_lower_share),
    ):
        np.add(major, np.float32(_offset(major, part, share * whole)), out=major, where=mask)
    upper = right_lung * np.clip(0.5 + major / step, 0, 1)
    minor += np.float32(_offset(minor, upper, spec.right_middle_share * r))
    return Chest(room.cage, room.mediastinum, lattice, wall, lung, diaphragm, side, major, minor)


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


@dataclass(frozen=True, slots=True, eq=False)
class _Room:
    """Cage and mediastinum on a lattice, with the noise of their surfaces."""

    cage: Cage
    mediastinum: Mediastinum
    lattice: Grid
    bumps: Field
    waves: Field

    @classmethod
    def of(
        cls, spec: TwinSpec, height_mm: float, step_mm: float, rise_mm: float = 0.0, full: Cage | None = None
    ) -> _Room:
        """Of a person; its lattice, and so its noise, is that of the ``full`` cage (None: its own)."""
        cage = Cage.of(spec, height_mm)
        lattice = lattice_of(full or cage, step_mm)
        rng = stream(spec.key, "surfaces")
        return cls(
            cage,
            Mediastinum.of(cage, spec.heart_scale, rise_mm, CentralAirways.of(spec.key)),
            lattice,
            noise(lattice, 38.0, rng),
            noise(lattice, 60.0, rng),
        )

    @property
    def axes(self) -> tuple[Field, Field, Field]:
        """World z, y, x of the lattice, each along its axis of three [mm]."""
        z, y, x = (a.astype(np.float32) for a in self.lattice.axes_mm())
        return z[:, None, None], y[None, :, None], x[None, None, :]

    def junction(self) -> Field:
        """Distance to the sheet where both lungs meet, negative on the right [mm]."""
        return np.asarray(self.axes[2] - (3.0 * self.waves + np.float32(5.0)), np.float32)

    def lungs(self, spec: TwinSpec, junction: Field) -> tuple[Field, Field]:
        """Distances of the wall, and of the lungs as if there were no diaphragm [mm]."""
        cage, centre, lattice, step = self.cage, self.mediastinum, self.lattice, self.lattice.spacing_mm[0]
        Z, Y, X = self.axes
        z = Z[:, 0, 0]
        wall = superellipse(lattice, cage.half_width(z), cage.centre(z), cage.half_depth(z), POWER, TAPER)
        wall += np.float32(0.9) * self.bumps
        # mediastinum: organs, fat, spine, and the sheet where both lungs meet
        middle = np.full(lattice.shape, 60.0, np.float32)
        origin = np.asarray(lattice.origin_mm)
        Heart.of(spec, centre).unite_sac(middle, lattice, blend_mm=12.0, grow_mm=1.5)
        hollow = [*centre.vessels(), *centre.oesophagus(1.0), *centre.airway_bodies()]
        unite(middle, origin, step, hollow, blend_mm=9.0, grow_mm=2.5)
        unite(middle, origin, step, [*centre.central_vessel_bodies(), *centre.fat()], blend_mm=9.0, grow_mm=1.5)
        unite(middle, origin, step, spine_room(cage), blend_mm=9.0, grow_mm=2.0)
        unite(middle, origin, step, [centre.inlet()], blend_mm=12.0)
        if step <= STEP_MM:
            unite(middle, origin, step, ribs(cage)[0], blend_mm=4.0, grow_mm=1.8)
        sheet = np.abs(junction) - (np.float32(1.2) * self.bumps + np.float32(2.0))
        middle = np.float32(0.6) * self.bumps - smooth_min(middle, sheet, 12.0)
        # apices: a rounded cap over each lung
        apex_y = np.asarray(cage.centre(np.minimum(z, cage.apex_mm - 20)) + 6, np.float32)[:, None, None]
        ax = np.abs(X) - np.float32(0.5 * float(cage.half_width(cage.apex_mm - 25)) + 12)
        wide, deep, tall = cage.width_mm / 265, cage.depth_mm / 200, min(cage.height_mm / 300, 1.0)
        vault = np.float32(0.0155 * tall / wide**2) * ax**2 + np.float32(0.013 * tall / deep**2) * (Y - apex_y) ** 2
        vault -= np.float32(cage.apex_mm)
        cap = (Z + vault) * np.float32(0.60)
        return wall, smooth_max(smooth_max(wall, middle, 5.0), cap, 14.0)

    def diaphragm(self, rise_mm: float) -> Field:
        """Distance below the domes, before their level is settled [mm]."""
        cage = self.cage
        Z, Y, X = self.axes
        # as high as the chest is tall, as the sinuses' depth is (design default, by the published area profile)
        tall = cage.height_mm / 300
        top = cage.base_mm + 88 * tall + rise_mm
        yc = np.asarray(cage.centre(top), np.float32) - 8
        room, depth = float(cage.half_width(top)), float(cage.half_depth(top))
        heights = []
        for sign, lower in ((-1.0, 0.0), (1.0, 11.0)):
            dx = (sign * X - 0.50 * room) / (0.50 * room)
            dy = (Y - yc) / depth
            drop = np.where(dx > 0, 57.5, 15.0) * dx**2 + np.where(dy > 0, 77.5, 32.5) * dy**2 * (1 + 0.15 * dy)
            heights.append((top - lower - drop * np.float32(tall)).astype(np.float32))
        surface = smooth_max(heights[0], heights[1], 14.0)
        slope = np.gradient(surface, self.lattice.spacing_mm[0], axis=(1, 2))
        steep = (1 / np.sqrt(1 + slope[0] ** 2 + slope[1] ** 2)).astype(np.float32)
        return np.asarray((np.float32(1.6) * self.waves + (surface - Z)) * steep, np.float32)

    def fissures(self, rise_mm: float) -> tuple[Field, Field]:
        """Distances of the major and the minor fissures, negative below, before their places are settled [mm]."""
        cage, f = self.cage, np.float32
        Z, Y, X = self.axes
        top = cage.base_mm + 88 / 300 * cage.height_mm + rise_mm
        back = Y - (np.asarray(cage.centre(top), f) - 8)
        # the major falls from the upper back to the front of the dome, turned like a propeller: it faces outwards above
        # the hilum, inwards below
        rise = 0.78 * cage.height_mm / (2 * float(cage.half_depth(top)))
        flat = f(0.0016 * cage.height_mm / 300) * back**2 - f(rise) * back
        turn = f(0.10) + f(0.45) * np.clip((Z + 35) / 65, -1, 1)
        major = (Z + (flat + turn * (np.abs(X) - 70)) - f(5.5) * self.waves) * f(1 / math.hypot(1.0, rise))
        flat = f(0.0030) * ((np.abs(X) - 75) ** 2 + (back + 10) ** 2) - f(0.06) * back
        minor = Z + flat - f(6.0) * np.roll(self.waves, 9, axis=2)
        return np.asarray(major, f), np.asarray(minor, f)
