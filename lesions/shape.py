"""The outer form of a nodule: a Gaussian random sphere of exact volume, with spicules.

Radius of the body along the unit vector u: ``r(u) = a k r_ellipsoid(u) exp(s(u))`` with s a sum of real spherical
harmonics of degree 3-12 and k such that ``(1/3) int r^3 dOmega`` is the volume asked for (Muinonen, Icarus 124
(1996) 541, for the random sphere). Degree 2 makes the ellipsoid, ``r_ellipsoid = (u exp(-2 Q) u)^(-1/2)`` with its
matrix Q: to first order in Q that is the ``exp(u Q u)`` of a random sphere, and it never has a waist.
How much power s has follows from the LIDC ratings by regressions on 1391 LIDC-IDRI nodules (see ``COEFFICIENTS``),
with their residual spread. A part-solid core is a second, smoother body inside.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from .harmonics import NORMALS, Harmonics, draw_harmonics, harmonics_of
from .nodule import Nodule
from .spicules import NO_SPICULES, draw_spicules, draw_strands
from .tubes import draw_tubes, tube_surface_mm

N_THETA, N_PHI = 128, 256
"""Table steps; bilinear interpolation errs by less than (12 pi/128)^2 / 8 = 1.1 % of the amplitude of degree 12."""

COEFFICIENTS = {
    "ln_sd": {
        "const": -2.8203,
        "lobulation": 0.17,
        "spiculation": 0.0908,
        "ln_d_cm": 0.2259,
        "sphericity": -0.2182,
        "resid": 0.5283,
    },
    "ln_sd_l2": {
        "const": -2.34,
        "lobulation": 0.03,
        "spiculation": 0.035,
        "ln_d_cm": 0.0,
        "sphericity": -0.4045,
        "resid": 0.55,
    },
}
"""ln SD of ln r: constant + c (lobulation - 1) + c (spiculation - 1) + c ln(d/10 mm) + c (sphericity - 4) + N(0,
resid).

Regressions on the between-reader radius spectra of LIDC-IDRI (Armato et al., Med. Phys. 38 (2011) 915; annotations
CC BY 3.0). Those of degree 2 are set such that nodules outlined by emulated readers on slices of 1-3 mm have the axes
of LIDC-IDRI's (slow test ``test_lidc_shapes``); slices and readers add to the power, so that the regression itself
(-2.389, 0.028, 0.090; residual 0.684) makes nodules too flat. So is the lobulation's in ``ln_sd`` (0.150 by
regression): readers round lobes off."""

RESIDUAL_CORRELATION = 0.374
"""Correlation of the two residuals, same source."""

LARGEST_SD = 0.25
"""Cap on either SD (design default): beyond, the body is no longer a plausible star-shaped nodule."""

CORE_SD, CORE_NU, CORE_SD_L2 = 0.08, 3.5, 0.10
"""Form of a part-solid core (design default, unverified)."""


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """A star-shaped body.

    Parameters
    ----------
    radius_mm
        ``(N_THETA + 1, N_PHI + 1)`` radius in the body's own frame [mm]; the last column repeats the first.
    slope
        Same shape, ``1 / sqrt(1 + |grad_u ln r|^2)``: turns radial distance into distance to first order.
    rotation
        ``(3, 3)`` columns: the body's x, y, z axes in the world.
    centre_mm
        Star centre relative to the nodule's centroid, ``(x, y, z)`` [mm].
    """

    radius_mm: NDArray[np.float64]
    slope: NDArray[np.float64]
    rotation: NDArray[np.float64]
    centre_mm: NDArray[np.float64]

    def surface_mm(self, stride: int = 1) -> NDArray[np.float64]:
        """Points ``(n, 3)`` of the surface, world axes, relative to the nodule's centroid [mm]; every ``stride``-th."""
        points = _directions()[::stride, ::stride] * self.radius_mm[::stride, :-1:stride, None]
        return self.centre_mm + np.einsum("nk,jk->nj", points.reshape(-1, 3), self.rotation)

    def reach_mm(self) -> float:
        """Largest distance of the surface from the nodule's centroid [mm]."""
        # |centre + r u|^2 = r^2 + 2 r (centre u) + |centre|^2, worked out in the body's own frame.
        x, y, z = _components(_table_theta().tobytes(), N_PHI)
        along = [float(axis @ self.centre_mm) for axis in self.rotation.T]
        radius = self.radius_mm[:, :-1]
        squared = radius * (radius + 2 * (along[0] * x + along[1] * y + along[2] * z))
        return math.sqrt(float(squared.max()) + float(self.centre_mm @ self.centre_mm))

    def scaled(self, factor: float) -> Body:
        """The same form, ``factor`` times as large about the nodule's centroid."""
        return replace(self, radius_mm=self.radius_mm * factor, centre_mm=self.centre_mm * factor)

    def turned(self, rotation: NDArray[np.float64]) -> Body:
        """The same form, turned about the nodule's centroid by a ``(3, 3)`` matrix."""
        # einsum adds in a fixed order, a matrix product in one that may depend on the number of threads.
        return replace(
            self,
            rotation=np.einsum("ij,jk->ik", rotation, self.rotation),
            centre_mm=np.einsum("ij,j->i", rotation, self.centre_mm),
        )

    def moved(self, offset_mm: NDArray[np.float64]) -> Body:
        """The same body elsewhere."""
        return replace(self, centre_mm=self.centre_mm + offset_mm)


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """Body, spicules and core of one nodule, in world axes about the body's centroid [mm].

    ``spicules`` is ``(n, 8)``: start (x, y, z), end (x, y, z), start and end radius of tapered segments [mm];
    ``n_spicules`` counts spicules, each of several segments. A tubular kind has no body; its tubes
    are such segments.
    """

    body: Body | None
    spicules: NDArray[np.float64]
    n_spicules: int
    core: Body | None

    def surface_mm(self) -> NDArray[np.float64]:
        """Points ``(n, 3)`` of the body's surface, or of its tubes where it has no other form [mm]."""
        return tube_surface_mm(self.spicules) if self.body is None else self.body.surface_mm()

    def scaled(self, factor: float) -> Shape:
        """The same form, ``factor`` times as large."""
        return Shape(
            None if self.body is None else self.body.scaled(factor),
            self.spicules * factor,
            self.n_spicules,
            None if self.core is None else self.core.scaled(factor),
        )

    def turned(self, rotation: NDArray[np.float64]) -> Shape:
        """The same form, turned about the nodule's centroid by a ``(3, 3)`` matrix."""
        spicules = self.spicules.copy()
        for ends in (slice(0, 3), slice(3, 6)):
            spicules[:, ends] = np.einsum("nk,jk->nj", self.spicules[:, ends], rotation)
        return Shape(
            None if self.body is None else self.body.turned(rotation),
            spicules,
            self.n_spicules,
            None if self.core is None else self.core.turned(rotation),
        )

    def extent_mm(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lowest and highest ``(x, y, z)`` of body and spicules [mm]."""
        # Every second node, 2.8 degrees apart, errs by less than the voxels that a lattice leaves around the body.
        points = self.surface_mm() if self.body is None else self.body.surface_mm(2)
        low, high = points.min(axis=0), points.max(axis=0)
        if len(self.spicules):
            reach = self.spicules[:, 6:8].max()
            ends = np.concatenate((self.spicules[:, 0:3], self.spicules[:, 3:6]))
            low, high = np.minimum(low, ends.min(axis=0) - reach), np.maximum(high, ends.max(axis=0) + reach)
        return low, high

    def reach_mm(self) -> float:
        """Largest distance of the body's surface from its centroid, spicules not counted [mm]."""
        if self.body is not None:
            return self.body.reach_mm()
        return float(np.sqrt((self.surface_mm() ** 2).sum(axis=1).max()))

    def full_reach_mm(self) -> float:
        """The same with spicules [mm]."""
        ends = np.linalg.norm(self.spicules[:, 3:6], axis=1) + self.spicules[:, 7]
        return max(self.reach_mm(), float(ends.max(initial=0.0)))


def shape_of(nodule: Nodule, *, normal: NDArray[np.float64] | None = None) -> Shape:
    """Draw the form that ``nodule.key`` stands for. The body alone has the nodule's volume; spicules come on top of it.

    ``normal`` is the world direction that the shortest axis takes, for one that lies flat on a surface.

    :func:`lesions.raster.rasterise` scales the union of both to the exact volume.
    """
    if normal is not None:
        return _shape_of(nodule, normal)
    return _shape_anywhere(nodule.model_copy(update={"centre_mm": None}))


@lru_cache(maxsize=32)
def _shape_anywhere(nodule: Nodule) -> Shape:
    """Asked for by who places a nodule and by who builds it: worked out once."""
    return _shape_of(nodule, None)


def _shape_of(nodule: Nodule, normal: NDArray[np.float64] | None) -> Shape:
    rotation = _turned(_rotation(nodule.stream("orientation")), nodule.axis, normal)
    if nodule.is_tubular:
        return Shape(None, draw_tubes(nodule, rotation), 0, None)
    sd_l2, sd, nu = form_power(nodule)
    harmonics = harmonics_of(_pattern(nodule), sd_l2=sd_l2, sd=sd, nu=nu)
    attributes = nodule.attributes
    axes = (1.0, attributes.elongation or 1.0, attributes.flatness or 1.0)
    body = _body(harmonics, axes, rotation, nodule.target_volume_mm3)
    spicules, n_spicules = NO_SPICULES, 0
    if attributes.spiculation >= 3:
        spicules, n_spicules = draw_spicules(nodule, body)
    elif nodule.kind == "scar":
        spicules = draw_strands(nodule, body, axes)
    core = _core(nodule, body) if nodule.type == "part_solid" else None
    shape = Shape(body, spicules, n_spicules, core)
    return shape if nodule.turn_deg == (0.0, 0.0, 0.0) else shape.turned(_by_vector(nodule.turn_deg))


def _pattern(nodule: Nodule) -> NDArray[np.float64]:
    """The numbers behind the form: those drawn first, or what ``doublings`` of a first-order process made of them.

    At whole doublings ``p_n = rho p_(n-1) + sqrt(1 - rho^2) e_n`` with fresh numbers e_n, which are the same however
    many doublings there are; in between a mean of both neighbours.
    """
    pattern = nodule.stream("harmonics").standard_normal(NORMALS)
    rho, x = nodule.form_correlation, nodule.doublings
    if rho == 1 or x == 0:
        return pattern
    way, before = "later" if x > 0 else "earlier", pattern
    for n in range(math.ceil(abs(x))):
        fresh = nodule.stream(f"harmonics {way} {n + 1}").standard_normal(NORMALS)
        before, pattern = pattern, rho * pattern + math.sqrt(1 - rho**2) * fresh
    share = math.ceil(abs(x)) - abs(x)
    return share * before + (1 - share) * pattern


def form_power(nodule: Nodule) -> tuple[float, float, float]:
    """SD of ln r in degree 2, in degrees 3-12, exponent nu of its fall: overrides, or drawn from ratings."""
    z = np.clip(nodule.stream("form").standard_normal(2), -2, 2)
    residual = {"ln_sd": z[0], "ln_sd_l2": RESIDUAL_CORRELATION * z[0] + math.sqrt(1 - RESIDUAL_CORRELATION**2) * z[1]}
    drawn = {}
    said = nodule.attributes
    for name, c in COEFFICIENTS.items():
        ln_sd = c["const"] + c["lobulation"] * (said.lobulation - 1) + c["spiculation"] * (said.spiculation - 1)
        ln_sd += c["ln_d_cm"] * math.log(nodule.target_diameter_mm / 10) + c["sphericity"] * (said.sphericity - 4)
        drawn[name] = min(LARGEST_SD, math.exp(ln_sd + c["resid"] * residual[name]))
    sd = drawn["ln_sd"] if said.sh_sd is None else said.sh_sd
    sd_l2 = drawn["ln_sd_l2"] if nodule.sh_sd_l2 is None else nodule.sh_sd_l2
    if said.elongation is not None:
        sd_l2 = 0.0
    # Read off the LIDC spectra: 3.9 smooth, 3.3 and 2.8 with growing lobulation, 2.6 spiculated.
    nu = min(4.0, max(2.6, 3.95 - 0.45 * (said.lobulation - 1) - 0.25 * (said.spiculation - 1)))
    return sd_l2, sd, nu if nodule.sh_nu is None else nodule.sh_nu


def _core(nodule: Nodule, whole: Body) -> Body:
    rng = nodule.stream("core")
    harmonics = draw_harmonics(rng, sd_l2=CORE_SD_L2, sd=CORE_SD, nu=CORE_NU)
    ratio = nodule.core_ratio
    core = _body(harmonics, (1.0, 1.0, 1.0), _rotation(rng), ratio**3 * nodule.target_volume_mm3)
    direction = rng.standard_normal(3)
    direction /= np.linalg.norm(direction)
    length = rng.uniform(0, 0.3) * (1 - ratio) * 0.5 * nodule.target_diameter_mm
    return core.moved(whole.centre_mm * (1 - ratio) + length * direction)


def _body(
    harmonics: Harmonics, axes: tuple[float, float, float], rotation: NDArray[np.float64], volume_mm3: float
) -> Body:
    """Scale the form to its volume and put its centroid at the origin, by quadrature of the analytic radius."""
    nodes, weights = _quadrature()
    theta = np.arccos(nodes)
    n_phi = 96
    matrix, harmonics = _ellipsoid_of(harmonics, axes), harmonics.from_degree(3)
    radius = np.exp(harmonics.on(theta, n_phi)) * _ellipsoid(theta, n_phi, matrix)
    solid_angle = weights[:, None] * (2 * np.pi / n_phi)
    volume = np.sum(radius**3 * solid_angle) / 3
    scale = (volume_mm3 / volume) ** (1 / 3)
    phi = 2 * np.pi * np.arange(n_phi) / n_phi
    directions = _unit(theta, phi)
    centroid = scale * np.einsum("tp,tpk->k", radius**4 * solid_angle, directions) / (4 * volume)

    theta_table = _table_theta()
    table = scale * np.exp(harmonics.on(theta_table, N_PHI)) * _ellipsoid(theta_table, N_PHI, matrix)
    table = np.concatenate((table, table[:, :1]), axis=1)
    return Body(table, _slope(np.log(table)), rotation, -(rotation @ centroid))


@cache
def _table_theta() -> NDArray[np.float64]:
    """Polar angles of the table."""
    theta = np.linspace(0, np.pi, N_THETA + 1)
    theta.setflags(write=False)
    return theta


@cache
def _quadrature() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    nodes, weights = np.polynomial.legendre.leggauss(48)
    return nodes, weights


def _slope(ln_radius: NDArray[np.float64]) -> NDArray[np.float64]:
    along_theta = np.gradient(ln_radius, np.pi / N_THETA, axis=0)
    wrapped = np.concatenate((ln_radius[:, -2:-1], ln_radius, ln_radius[:, 1:2]), axis=1)
    along_phi = (wrapped[:, 2:] - wrapped[:, :-2]) / (4 * np.pi / N_PHI)
    along_phi[1:-1] /= np.sin(np.linspace(0, np.pi, N_THETA + 1))[1:-1, None]
    slope = 1 / np.sqrt(1 + along_theta**2 + along_phi**2)
    slope[0], slope[-1] = slope[1].mean(), slope[-2].mean()
    return slope


def _ellipsoid_of(harmonics: Harmonics, axes: tuple[float, float, float]) -> NDArray[np.float64]:
    """The matrix M of the ellipsoid ``u M u = 1 / r^2``: these axes, and those that degree 2 makes."""
    level, vectors = np.linalg.eigh(harmonics.quadratic())
    turned = np.einsum("ik,k,jk->ij", vectors, np.exp(-2 * level), vectors)
    return np.asarray(turned / np.outer(axes, axes))


def _ellipsoid(theta: NDArray[np.float64], n_phi: int, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y, z = _components(theta.tobytes(), n_phi)
    (xx, xy, xz), (_, yy, yz), (_, _, zz) = (matrix + matrix.T - np.diag(np.diag(matrix))).tolist()
    return 1 / np.sqrt(x * (xx * x + xy * y + xz * z) + y * (yy * y + yz * z) + zz * z * z)


@lru_cache(maxsize=8)
def _components(theta: bytes, n_phi: int) -> tuple[NDArray[np.float64], ...]:
    """x, y, z of directions on rings given as the bytes of their float64 angles: a few tables serve all bodies."""
    u = _unit(np.frombuffer(theta), 2 * np.pi * np.arange(n_phi) / n_phi)
    out = tuple(np.ascontiguousarray(u[..., k]) for k in range(3))
    for component in out:
        component.setflags(write=False)
    return out


def _unit(theta: NDArray[np.float64], phi: NDArray[np.float64]) -> NDArray[np.float64]:
    sin = np.sin(theta)[:, None]
    return np.stack(
        (sin * np.cos(phi), sin * np.sin(phi), np.broadcast_to(np.cos(theta)[:, None], (len(theta), len(phi)))), axis=-1
    )


@cache
def _directions() -> NDArray[np.float64]:
    directions = _unit(_table_theta(), 2 * np.pi * np.arange(N_PHI) / N_PHI)
    directions.setflags(write=False)
    return directions


def _rotation(rng: np.random.Generator) -> NDArray[np.float64]:
    """A rotation uniform over SO(3), from a random unit quaternion."""
    w, x, y, z = (q := rng.standard_normal(4)) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def _by_vector(turn_deg: tuple[float, float, float]) -> NDArray[np.float64]:
    """Rotation about the direction of a vector by its length in degrees (Rodrigues)."""
    angle = math.radians(math.hypot(*turn_deg))
    x, y, z = np.asarray(turn_deg) / math.hypot(*turn_deg)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * np.einsum("ij,jk", cross, cross))


def _turned(
    rotation: NDArray[np.float64], axis: tuple[float, float, float] | None, normal: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """The drawn rotation, turned so that the longest axis (first column) or the shortest (third) lies as asked for.

    Where both are given the normal is kept, and the axis as far as it is perpendicular to it.
    """
    if axis is None and normal is None:
        return rotation
    first = rotation[:, 0] if axis is None else np.asarray(axis, dtype=np.float64)
    if normal is None:
        third = rotation[:, 2] - (rotation[:, 2] @ first) * first
        if np.linalg.norm(third) < 1e-3:
            third = rotation[:, 1] - (rotation[:, 1] @ first) * first
        third /= np.linalg.norm(third)
    else:
        third = normal
        first = first - (first @ third) * third
        if np.linalg.norm(first) < 1e-3:
            first = rotation[:, 1] - (rotation[:, 1] @ third) * third
    first = first / np.linalg.norm(first)
    return np.stack((first, np.cross(third, first), third), axis=1)
