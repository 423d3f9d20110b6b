"""Bake the elements' mass attenuation of ``ctsim/data/attenuation.npz`` from xraydb.

Run ``python scripts/bake_attenuation.py`` after ``pip install lungtwin[spectra]``. Same xraydb, same bytes.

Source: xraydb 4.5.8, Elam, Ravel & Sieber, Radiat Phys Chem 63 (2002) 121; total attenuation (photoelectric, coherent,
incoherent), Z 1 to 92, every 0.5 keV from 10 to 150 keV.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xraydb

ENERGY_KEV = np.arange(10.0, 150.25, 0.5)
N_ELEMENTS = 92
TARGET = Path(__file__).parents[1] / "ctsim" / "data" / "attenuation.npz"


def main() -> None:
    """Write the table: ``mass_attenuation[z - 1, energy]`` in cm2/g."""
    symbols = [xraydb.atomic_symbol(z) for z in range(1, N_ELEMENTS + 1)]
    table = np.array([xraydb.mu_elam(symbol, ENERGY_KEV * 1000.0, kind="total") for symbol in symbols])
    np.savez_compressed(
        TARGET,
        energy_kev=ENERGY_KEV.astype(np.float32),
        symbol=np.array(symbols),
        mass_attenuation_cm2_g=table.astype(np.float32),
        source=np.array(f"xraydb {xraydb.__version__}, Elam 2002, total attenuation"),
    )
    print(f"{TARGET}: {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
