"""Fit the fast scatter model to the Monte Carlo: ``ctsim/data/scatter.json``.

Run ``python scripts/bake_scatter.py`` (minutes on one core). Half of the cases are fitted, the other half only tested;
both errors are written beside the coefficients. Cases are drawn once from ``SEED``: water and PMMA cylinders, ellipses
and a thorax with lungs and spine, off centre too, over tube potentials, filters, bowties, distances and collimations.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from ctsim.bowtie import Bowtie, equalising_thickness_mm
from ctsim.detector import Detector
from ctsim.protocol import Acquisition
from ctsim.scanner import Scanner
from ctsim.scatter.body import Cylinder
from ctsim.scatter.model import NAMES, NodeGeometry, ScatterModel, beam_energy_kev
from ctsim.scatter.montecarlo import ScatterTally, simulate_scatter
from ctsim.tube import FocalSpot, Layer, SpectralFilter
from twins import material

SEED = 20
N_CASES = 160
N_PHOTONS = 800_000
COLUMNS = 24
TARGET = Path(__file__).parents[1] / "ctsim" / "data" / "scatter.json"
MOST_STEPS = 60
LOW, HIGH = (-12.0, 0.9, -1.0, -4.0, 0.4, -0.5), (5.0, 3.0, 3.0, 1.5, 4.0, 2.0)
"""Bounds of ``NAMES``."""
SCANNER_KERNELS = 1
"""Kernels of the scanner's own model: fewer than make the scatter, else it would recover them exactly."""
START = np.array([[-0.7, 2.1, 1.2, -2.4, 0.7, 0.05], [-2.7, 1.0, 0.45, 1.35, 2.6, 0.31]])


def scanner(sid_mm: float, sdd_mm: float, rows: int, bowtie_strength: float, metal: str) -> Scanner:
    """A scanner of a 52 degree fan."""
    angle = np.arange(0.0, 27.6, 2.5)
    shape = equalising_thickness_mm(
        angle,
        filter_material=material(metal),
        source_distance_mm=sid_mm,
        radius_mm=200.0,
        strength=bowtie_strength,
        largest_mm=32.0,
    )
    return Scanner(
        name="bake",
        manufacturer="none",
        model="none",
        source_distance_mm=sid_mm,
        detector_distance_mm=sdd_mm,
        detector=Detector(
            n_columns=736,
            column_pitch_mm=np.radians(50.0) / 736 * sdd_mm,
            isocentre_column=367.5,
            n_rows=rows,
            row_pitch_iso_mm=0.625,
            fill_factor=0.8,
            material="gadolinium_oxysulfide",
            thickness_mm=1.0,
            electronic_noise_kev=0.0,
        ),
        views_per_rotation=1000,
        anode_angle_deg=7.0,
        focal_spots=(FocalSpot(name="point", width_mm=0.0, length_mm=0.0),),
        inherent_filters=(Layer(material="aluminium", thickness_mm=7.0),),
        spectral_filters=(
            SpectralFilter(name="Sn", layers=(Layer(material="tin", thickness_mm=0.6),), kvp_stations=(100, 150)),
        ),
        bowties=(Bowtie(name="body", material=metal, fan_angle_deg=tuple(angle), thickness_mm=tuple(shape)),),
        kvp_stations=(70, 80, 100, 120, 140, 150),
        rotation_times_s=(0.5,),
        collimations_rows=(rows,),
        smallest_pitch=0.5,
        largest_pitch=1.5,
        largest_tube_current_ma=500.0,
    )


def thorax(scale: float, shift: tuple[float, float]) -> list[Cylinder]:
    """An ellipse of 350 x 250 mm with two lungs and a spine."""
    x, y = shift

    def part(name: str, cx: float, cy: float, a: float, b: float, density: float | None = None) -> Cylinder:
        return Cylinder(material(name), (a * scale, b * scale), (x + cx * scale, y + cy * scale), density_g_cm3=density)

    return [
        part("muscle", 0, 0, 175, 125),
        part("lung_tissue", -85, -10, 60, 88, 0.26),
        part("lung_tissue", 85, -10, 60, 88, 0.26),
        part("spongiosa_spine", 0, 80, 18, 18),
    ]


def body(rng: np.random.Generator) -> tuple[str, list[Cylinder]]:
    """One of the bodies, at most 40 mm off centre."""
    shift = tuple(float(s) for s in rng.uniform(-40, 40, 2) * (rng.random() < 0.5))
    kind = rng.integers(4)
    if kind == 0:
        return "water", [Cylinder(material("water"), (r := float(rng.uniform(50, 210)), r), shift)]
    if kind == 1:
        r = float(rng.choice([80.0, 160.0]))
        return "pmma", [Cylinder(material("pmma"), (r, r), shift)]
    if kind == 2:
        a = float(rng.uniform(120, 215))
        return "ellipse", [Cylinder(material("water"), (a, a * float(rng.uniform(0.6, 0.95))), shift)]
    return "thorax", thorax(float(rng.uniform(0.75, 1.2)), shift)


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One Monte Carlo: kind of body, beam energy, nodes, tally, how far the body lies behind the axis."""

    kind: str
    energy_kev: float
    nodes: NodeGeometry
    run: ScatterTally
    depth_mm: float

    @property
    def p(self) -> NDArray[np.float64]:
        """-ln(primary / air)."""
        return np.asarray(-np.log(self.run.primary_kev / self.run.air_kev))

    @property
    def error(self) -> NDArray[np.float64]:
        """Relative standard error of the Monte Carlo."""
        return self.run.error_kev / self.run.scatter_kev


def cases() -> list[Case]:
    """All cases with their Monte Carlo."""
    rng = np.random.default_rng(SEED)
    made = []
    for n in range(N_CASES):
        kind, shape = body(rng)
        sid, sdd = [(535.0, 940.0), (595.0, 1085.6), (570.0, 1040.0), (630.0, 1110.0), (541.0, 949.0)][rng.integers(5)]
        rows = int(rng.choice([16, 32, 64, 64, 64, 128, 256]))
        kvp = int(rng.choice([70, 80, 100, 120, 120, 140, 150]))
        tin = "Sn" if kvp in (100, 150) and rng.random() < 0.4 else None
        made_by = scanner(sid, sdd, rows, float(rng.choice([0.0, 0.4, 0.7])), str(rng.choice(["teflon", "aluminium"])))
        acquisition = Acquisition(kvp=kvp, spectral_filter=tin, mode="axial", collimation_rows=rows, bowtie="body")
        n_rows = 1 if rows <= 16 else 3 if rows <= 64 else 5
        view = float(rng.uniform(0, 2 * np.pi))
        run = simulate_scatter(
            shape, made_by, acquisition, n_photons=N_PHOTONS, key=SEED * 1000 + n, bins=(n_rows, COLUMNS),
            view_angle_rad=view,
        )  # fmt: skip
        area = np.diff(run.fan_angle_rad).mean() * sdd * rows * 0.625 * sdd / sid / n_rows
        nodes = NodeGeometry(sid, sdd, run.fan_angle_rad, run.height_mm, float(area))
        x, y = shape[0].centre_mm
        depth = -(x * np.cos(view) + y * np.sin(view))
        made.append(Case(kind, beam_energy_kev(made_by, acquisition), nodes, run, float(depth)))
        if n % 20 == 19:
            print(n + 1, "cases", flush=True)
    return made


def residuals(model: ScatterModel, case: Case) -> NDArray[np.float64]:
    """(model - Monte Carlo) / Monte Carlo at every node."""
    depth = np.array([case.depth_mm])
    scatter = model.scatter(case.nodes, case.run.air_kev, case.p[None], case.energy_kev, depth)[0]
    return np.asarray(scatter / case.run.scatter_kev - 1)


def fit(made: list[Case]) -> ScatterModel:
    """Least squares of relative errors, each weighted by 3 % and the Monte Carlo's own error."""
    energy = fit_energy(made)
    size = START.size

    def unpack(x: NDArray[np.float64]) -> ScatterModel:
        tables = x[: 2 * size].reshape(2, *START.shape) * np.array([1.0, 0.1])[:, None, None]
        return ScatterModel(tables, 100 * float(x[-1]), energy)

    def cost(x: NDArray[np.float64]) -> NDArray[np.float64]:
        model = unpack(x)
        parts = [residuals(model, c) / np.hypot(0.03, c.error) for c in made]
        return np.concatenate([np.clip(part, -30, 30).ravel() / part.size**0.5 for part in parts])

    start = np.concatenate([START.ravel(), np.zeros(size), [0.5]])
    low, high = np.full(start.size, -1.0), np.full(start.size, 1.0)
    low[:size], high[:size] = np.tile(LOW, len(START)), np.tile(HIGH, len(START))
    found = least_squares(cost, start, bounds=(low, high), loss="soft_l1", x_scale="jac", max_nfev=MOST_STEPS)
    print("cost", found.cost, found.message)
    return unpack(found.x)


def fit_scanner(made: list[Case], model: ScatterModel) -> tuple[NDArray[np.float64], float]:
    """One kernel calibrated against the model's scatter of centred water; its error in the shadow [1]."""
    rng = np.random.default_rng(SEED)
    calibration = []
    for case in made:
        radius = float(rng.uniform(80, 215))
        offset = case.nodes.source_distance_mm * np.sin(case.nodes.fan_angle_rad)
        chord = 2 * np.sqrt(np.maximum(radius**2 - offset**2, 0))
        per_mm = np.interp(case.energy_kev, [45.0, 60.0, 80.0, 100.0], [0.0235, 0.0205, 0.0183, 0.0170])
        p = np.broadcast_to(per_mm * chord, case.run.air_kev.shape)[None].copy()
        truth = model.scatter(case.nodes, case.run.air_kev, p, case.energy_kev)[0]
        calibration.append((case, p, truth))
    shape = (2, SCANNER_KERNELS, len(NAMES))

    def unpack(x: NDArray[np.float64]) -> ScatterModel:
        tables = x.reshape(shape) * np.array([1.0, 0.1])[:, None, None]
        return ScatterModel(tables, model.behind_mm, model.energy)

    def errors(x: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        simple = unpack(x)
        return [simple.scatter(c.nodes, c.run.air_kev, p, c.energy_kev)[0] / t - 1 for c, p, t in calibration]

    def cost(x: NDArray[np.float64]) -> NDArray[np.float64]:
        weighted = [e * (0.1 + p[0] / 3) for e, (_, p, _) in zip(errors(x), calibration, strict=True)]
        return np.concatenate([e.ravel() / e.size**0.5 for e in weighted])

    n = SCANNER_KERNELS * len(NAMES)
    start = np.concatenate([START[-SCANNER_KERNELS:].ravel(), np.zeros(n)])
    low, high = np.full(2 * n, -1.0), np.full(2 * n, 1.0)
    low[:n], high[:n] = np.tile(LOW, SCANNER_KERNELS), np.tile(HIGH, SCANNER_KERNELS)
    low[4 : n : len(NAMES)] = 0.2
    found = least_squares(cost, start, bounds=(low, high), x_scale="jac", max_nfev=MOST_STEPS)
    shadow = [e[p[0] > 0.5] for e, (_, p, _) in zip(errors(found.x), calibration, strict=True)]
    return unpack(found.x).coefficient, float(np.mean([np.mean(e**2) for e in shadow]) ** 0.5)


def fit_energy(made: list[Case]) -> NDArray[np.float64]:
    """Mean energy of the scatter over that of the beam."""
    rows, values = [], []
    for c in made:
        p = np.maximum(c.p, 0)
        rows.append(np.stack([np.ones(p.size), p.ravel(), np.full(p.size, p.mean())], axis=1))
        values.append(c.run.scatter_energy_kev.ravel() / c.energy_kev)
    return np.linalg.lstsq(np.concatenate(rows), np.concatenate(values), rcond=None)[0]


def rms_percent(model: ScatterModel, made: list[Case]) -> dict[str, float]:
    """Root mean square relative error by kind of body, the Monte Carlo's own variance taken out."""
    out = {}
    for kind in (*sorted({c.kind for c in made}), "all"):
        chosen = [c for c in made if kind in (c.kind, "all")]
        square = np.mean([np.mean(residuals(model, c) ** 2) for c in chosen])
        noise = np.mean([np.mean(c.error**2) for c in chosen])
        out[kind] = round(100 * float(max(square - noise, 0.0)) ** 0.5, 2)
    return out


def main() -> None:
    """Simulate, fit, test, write."""
    made = cases()
    model = fit(made[::2])
    errors = {"fitted": rms_percent(model, made[::2]), "tested": rms_percent(model, made[1::2])}
    simple, simple_error = fit_scanner(made[::2], model)
    text = {
        "source": "scripts/bake_scatter.py: kernel superposition fitted to the package's Monte Carlo",
        "coefficient": np.round(model.coefficient, 6).tolist(),
        "scanner_coefficient": np.round(simple, 6).tolist(),
        "scanner_rms_percent_of_water": round(100 * simple_error, 2),
        "behind_mm": round(model.behind_mm, 3),
        "energy": np.round(model.energy, 6).tolist(),
        "rms_percent": errors,
    }
    TARGET.write_text(json.dumps(text, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(text, indent=1))


if __name__ == "__main__":
    main()
