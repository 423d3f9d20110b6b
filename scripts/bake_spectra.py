"""Bake the unfiltered tube spectra of ``ctsim/data/spectra.npz`` from SpekPy.

Run ``python scripts/bake_spectra.py`` after ``pip install lungtwin[spectra]``. Same SpekPy, same bytes.

Source: SpekPy 2.5.4, physics model "spekpy-v2-casim" (Poludniowski et al., Med Phys 48 (2021) 3630,
doi:10.1002/mp.14945; Bujila et al., Phys Med 75 (2020) 44). Tungsten anode, self-attenuation
in the anode only: no filter, no air.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import spekpy

TAKE_OFF_ANGLE_DEG = np.arange(2, 21)
KVP = np.arange(70, 151, 5)
ENERGY_KEV = np.arange(10.5, 150.0, 1.0)
TARGET = Path(__file__).parents[1] / "ctsim" / "data" / "spectra.npz"
MM2_PER_CM2 = 100.0


def main() -> None:
    """Write the table: ``fluence[angle, kvp, energy]`` in photons / mm2 / mAs / keV bin at 1 m."""
    fluence = np.zeros((len(TAKE_OFF_ANGLE_DEG), len(KVP), len(ENERGY_KEV)), np.float32)
    for i, angle in enumerate(TAKE_OFF_ANGLE_DEG):
        for j, kvp in enumerate(KVP):
            spek = spekpy.Spek(kvp=float(kvp), th=float(angle), dk=1.0, z=100.0, physics="casim", targ="W")
            energy, per_kev = spek.get_spectrum(edges=False, flu=True, diff=True)
            inside = energy > ENERGY_KEV[0] - 0.25
            fluence[i, j, : int(inside.sum())] = per_kev[inside] / MM2_PER_CM2
    np.savez_compressed(
        TARGET,
        energy_kev=ENERGY_KEV.astype(np.float32),
        kvp=KVP.astype(np.int32),
        take_off_angle_deg=TAKE_OFF_ANGLE_DEG.astype(np.int32),
        fluence_per_mm2_mas=fluence,
        source=np.array(f"SpekPy {spekpy.__version__} casim, W anode, unfiltered, 1 m"),
    )
    print(f"{TARGET}: {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
