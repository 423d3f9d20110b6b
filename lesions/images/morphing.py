"""One seed into many: scaled, turned, warped, or half-way between two, always of exactly the volume asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy import ndimage
from scipy.optimize import brentq

from twins import Grid

from .isolation import centred_grid
from .seeds import Seed

N_WAVES = 8
WAVELENGTHS = (2.0, 4.0)
"""The warp is a sum of waves of so many radii, so that no part is folded over (design default)."""


class Morph(BaseModel):
    """What is done to a seed; the same morph of the same seeds is the same tumour.

    Examples
    --------
    >>> Morph(scale=1.2, warp=0.05, key=7).scale
    1.2
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: int = Field(default=0, ge=0, lt=2**64, description="Fixes rotation and warp [64-bit integer]")
    scale: float = Field(default=1.0, ge=0.25, le=4, description="Factor on all lengths [1]")
    rotate: bool = Field(default=True, description="Whether it is turned, uniformly over all rotations, by key")
    mirror: bool = Field(default=False, description="Whether it is mirrored")
    warp: float = Field(
        default=0.0, ge=0, le=0.12, description="SD of the smooth random displacement, in equivalent radii [1]"
    )
    weight: float = Field(
        default=0.0, ge=0, le=1, description="Share of the second seed: 0 the first alone, 1 the second alone [1]"
    )


def draw_morph(
    rng: np.random.Generator,
    *,
    scale: tuple[float, float] = (0.7, 1.4),
    warp: float = 0.06,
    blend: bool = True,
) -> Morph:
    """A random morph: scale log-uniform within its range, any rotation, warp, and a share of the second seed."""
    low, high = np.log(scale)
    return Morph(
        key=int(rng.integers(2**64, dtype=np.uint64)),
        scale=float(np.exp(rng.uniform(low, high))),
        mirror=bool(rng.random() < 0.5),
        warp=warp,
        weight=float(rng.uniform(0, 1)) if blend else 0.0,
    )


def morph(seed: Seed, how: Morph, other: Seed | None = None, *, name: str | None = None) -> Seed:
    """A new seed.

    Parameters
    ----------
    seed, other
        Between two, signed distances in units of the equivalent radius are mixed, and so are the interiors; the volume
        is ``V_a^(1 - w) V_b^w`` times ``scale^3``.
    how
        Scale, rotation, warp and share.
    name
        Of the new seed; none: those of its parents.

    Raises
    ------
    ValueError
        If ``how`` asks for a share of a second seed and there is none.
    """
    if how.weight > 0 and other is None:
        raise ValueError(f"weight {how.weight:g} needs a second seed")
    parents = [(seed, 1 - how.weight)] if other is None else [(seed, 1 - how.weight), (other, how.weight)]
    parents = [(s, w) for s, w in parents if w > 0]
    volume = how.scale**3 * math.exp(sum(w * math.log(s.volume_mm3) for s, w in parents))
    radius = (3 * volume / (4 * math.pi)) ** (1 / 3)
    rng = np.random.Generator(np.random.Philox(key=how.key))
    turn = _rotation(rng) if how.rotate else np.eye(3)
    if how.mirror:
        turn = turn @ np.diag([-1.0, 1.0, 1.0])
    waves = _Waves.drawn(rng)

    largest = max(s.reach_mm / (0.5 * s.equivalent_diameter_mm) for s, _ in parents)
    half = (largest + 3 * how.warp) * radius + 2.0
    step = float(np.clip(radius / 20, 0.2, 0.5))
    n = 2 * math.ceil(half / step) + 1
    lattice = Grid((n, n, n), (step, step, step), (-(n // 2) * step,) * 3)
    z, y, x = np.meshgrid(*lattice.axes_mm(), indexing="ij")
    own = (np.stack((x, y, z), axis=-1) / radius) @ turn  # in the seed's axes, in radii
    if how.warp > 0:
        own = own + how.warp * waves.at(own)
    fields = np.zeros((3, n, n, n), np.float32)
    for parent, weight in parents:
        unit = 0.5 * parent.equivalent_diameter_mm
        index = np.moveaxis(parent.grid.world_to_index(own * unit), -1, 0)
        for row, (array, factor) in enumerate(
            ((parent.distance_mm, radius / unit), (parent.interior, 1.0), (parent.residual, 1.0))
        ):
            value = ndimage.map_coordinates(array, index, order=1, mode="nearest", output=np.float32)
            fields[row] += np.float32(weight * factor) * value
    # Beyond a parent's lattice its distance stands still; what lies there is outside.
    distance = _connected(fields[0], step)
    distance += np.float32(_offset(distance, volume, step))
    keep = ndimage.find_objects((distance > -2.5).astype(np.uint8))[0]
    distance = distance[keep]
    part = lattice.crop([k.start for k in keep], distance.shape)
    return Seed(
        name=name or "+".join(s.name for s, _ in parents),
        grid=centred_grid(part, np.clip(distance / step + 0.5, 0, 1)),
        distance_mm=distance,
        interior=fields[1][keep],
        residual=fields[2][keep],
        volume_mm3=volume,
        margin_sigma_mm=sum(w * s.margin_sigma_mm for s, w in parents),
        source=" and ".join(dict.fromkeys(s.source for s, _ in parents)),
        licence=" and ".join(dict.fromkeys(s.licence for s, _ in parents)),
        attributes={"parents": [s.name for s, _ in parents], "morph": how.model_dump(mode="json")},
    )


def draw_seeds(
    seeds: Sequence[Seed],
    n: int,
    *,
    rng: np.random.Generator,
    scale: tuple[float, float] = (0.7, 1.4),
    warp: float = 0.06,
    blend: bool = True,
) -> tuple[Seed, ...]:
    """``n`` new tumours from a stock of seeds, other ones at every draw.

    Raises
    ------
    ValueError
        If there is no seed, or ``n`` is below 1.
    """
    if not seeds or n < 1:
        raise ValueError(f"drawing tumours needs seeds and n >= 1, got {len(seeds)} seeds and n = {n}")
    made = []
    for k in range(n):
        picked = rng.choice(len(seeds), size=min(2, len(seeds)), replace=False)
        how = draw_morph(rng, scale=scale, warp=warp, blend=blend and len(picked) == 2)
        second = seeds[picked[1]] if how.weight > 0 else None
        made.append(morph(seeds[picked[0]], how, second, name=f"t{k + 1}"))
    return tuple(made)


class _Waves:
    """A smooth random vector field of unit variance per component."""

    def __init__(self, vector: NDArray[np.float64], amplitude: NDArray[np.float64], phase: NDArray[np.float64]) -> None:
        self.vector, self.amplitude, self.phase = vector, amplitude, phase

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> _Waves:
        direction = rng.standard_normal((N_WAVES, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        vector = direction * (2 * math.pi / rng.uniform(*WAVELENGTHS, N_WAVES))[:, None]
        return cls(
            vector, rng.standard_normal((N_WAVES, 3)) * math.sqrt(2 / N_WAVES), rng.uniform(0, 2 * math.pi, N_WAVES)
        )

    def at(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        out = np.zeros(points.shape)
        for vector, amplitude, phase in zip(self.vector, self.amplitude, self.phase, strict=True):
            out += np.sin(points @ vector + phase)[..., None] * amplitude
        return out


def _rotation(rng: np.random.Generator) -> NDArray[np.float64]:
    """Uniform over SO(3): QR of a Gaussian matrix (Mezzadri, Notices AMS 54 (2007) 592)."""
    q, r = np.linalg.qr(rng.standard_normal((3, 3)))
    q = q * np.sign(np.diag(r))
    if np.linalg.det(q) < 0:
        q[:, 0] = -q[:, 0]
    return np.asarray(q)


def _connected(distance: NDArray[np.float32], step: float) -> NDArray[np.float32]:
    """Without the pieces that are not part of the largest one."""
    parts, n = ndimage.label(distance > 0)
    if n > 1:
        main = 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
        distance = np.where((parts > 0) & (parts != main), np.float32(-step), distance)
    return distance


def _offset(distance: NDArray[np.float32], volume_mm3: float, step: float) -> float:
    """What is added to the distance so that it encloses the volume [mm]."""
    wanted = volume_mm3 / step**3
    scaled = distance.astype(np.float64) / step

    def excess(offset: float) -> float:
        return float(np.clip(scaled + offset + 0.5, 0, 1).sum()) - wanted

    reach = float(scaled.max())
    return step * float(brentq(excess, -reach, reach + 4 / step, xtol=1e-9))
