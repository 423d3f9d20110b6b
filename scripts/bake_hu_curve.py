"""Bake the attenuation that the CT importer needs: ``twins/importers/hu_curve.yaml`` (needs the extra ``spectra``).

Mass attenuation coefficients come from xraydb (Elam tables, total), effective energies from SpekPy spectra: the photon
energy at which cortical bone and iodinated blood have the ratio to water that a water-hardened, energy-integrating beam
sees for a thin layer of them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import spekpy
import xraydb

from twins.materials import material

MATERIALS = (
    "air", "water", "lung_tissue", "adipose", "muscle", "blood", "iodinated_blood", "spongiosa_ribs", "cortical_bone",
)  # fmt: skip
ENERGIES_KEV = np.arange(40.0, 121.0, 5.0)
WATER_CM = 20.0


def mu_rho(name: str, kev: np.ndarray) -> np.ndarray:
    """Mass attenuation [cm2/g] at ``kev``."""
    return sum(w * xraydb.mu_elam(e, kev * 1000.0) for e, w in material(name).mass_fractions)


def effective_kev(kvp: int, name: str) -> float:
    """Energy at which ``name`` attenuates relative to water as the beam of ``kvp`` sees it behind 20 cm of water."""
    beam = spekpy.Spek(kvp=kvp, th=8, dk=0.5).filter("Al", 6.0)
    kev, fluence = beam.get_spectrum()
    weight = fluence * kev * np.exp(-mu_rho("water", kev) * WATER_CM)
    seen = (weight * mu_rho(name, kev)).sum() / (weight * mu_rho("water", kev)).sum()
    fine = np.arange(35.0, 120.0, 0.05)
    ratio = mu_rho(name, fine) / mu_rho("water", fine)
    return float(fine[np.argmin(abs(ratio - seen))])


def main() -> None:
    """Write the table."""
    lines = [
        "# Made by scripts/bake_hu_curve.py; do not edit. Mass attenuation [cm2/g] of the materials: xraydb, Elam",
        "# tables (Elam, Ravel, Sieber 2002, doi:10.1016/S0969-806X(01)00227-4), total with coherent scattering.",
        f"energy_kev: [{', '.join(f'{e:g}' for e in ENERGIES_KEV)}]",
        "mu_rho_cm2_g:",
        *(f"  {m}: [{', '.join(f'{v:.6g}' for v in mu_rho(m, ENERGIES_KEV))}]" for m in MATERIALS),
        "# kVp -> [effective keV for bone, for iodine]: SpekPy 2.5, 8 deg anode, 6 mm Al, behind 20 cm of water,",
        "# energy-integrating detector.",
        "effective_kev:",
    ]
    for kvp in (70, 80, 90, 100, 110, 120, 130, 140, 150):
        pair = [effective_kev(kvp, name) for name in ("cortical_bone", "iodinated_blood")]
        lines.append(f"  {kvp}: [{pair[0]:.1f}, {pair[1]:.1f}]")
    target = Path(__file__).parents[1] / "twins" / "importers" / "hu_curve.yaml"
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(target)


if __name__ == "__main__":
    main()
