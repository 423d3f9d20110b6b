"""Bake what single photons do to single atoms: ``ctsim/data/photons.npz``.

Run ``python scripts/bake_photons.py`` after ``pip install lungtwin[spectra]``. Same xraydb and xraylib, same bytes.

Sources: coherent and incoherent mass cross-sections from xraydb 4.5.8, Elam, Ravel & Sieber, Radiat Phys Chem 63 (2002)
121 (the photoelectric part is what is left of ``attenuation.npz``); atomic form factors F(x) and incoherent scattering
functions S(x) from xraylib 4.3.0, Hubbell et al., J Phys Chem Ref Data 4 (1975) 471 and Hubbell & Overbo, ibid. 8
(1979) 69. x = sin(theta / 2) / wavelength.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xraydb
import xraylib

ENERGY_KEV = np.arange(10.0, 150.5, 1.0)
X_PER_ANGSTROM = np.concatenate([[0.0], np.geomspace(0.005, 12.5, 95)])
N_ELEMENTS = 92
TARGET = Path(__file__).parents[1] / "ctsim" / "data" / "photons.npz"


def main() -> None:
    """Write the tables, rows by atomic number."""
    symbols = [xraydb.atomic_symbol(z) for z in range(1, N_ELEMENTS + 1)]
    coherent = np.array([xraydb.mu_elam(s, ENERGY_KEV * 1000.0, kind="coh") for s in symbols])
    incoherent = np.array([xraydb.mu_elam(s, ENERGY_KEV * 1000.0, kind="incoh") for s in symbols])
    numbers = range(1, N_ELEMENTS + 1)
    form = np.array([[xraylib.FF_Rayl(z, float(x)) for x in X_PER_ANGSTROM] for z in numbers])
    bound = [[0.0] + [xraylib.SF_Compt(z, float(x)) for x in X_PER_ANGSTROM[1:]] for z in numbers]
    np.savez_compressed(
        TARGET,
        energy_kev=ENERGY_KEV.astype(np.float32),
        symbol=np.array(symbols),
        atomic_mass=np.array([xraydb.atomic_mass(s) for s in symbols], np.float64),
        coherent_cm2_g=coherent.astype(np.float32),
        incoherent_cm2_g=incoherent.astype(np.float32),
        x_per_angstrom=X_PER_ANGSTROM,
        form_factor=form.astype(np.float32),
        scattering_function=np.array(bound, np.float32),
        source=np.array(f"xraydb {xraydb.__version__}, Elam 2002; xraylib {xraylib.__version__}, Hubbell 1975, 1979"),
    )
    print(f"{TARGET}: {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
