"""Dose indices of a scan: CTDIw of PMMA phantoms, CTDIvol, DLP and the size-specific dose estimate.

    CTDIvol = nCTDIw [mGy / 100 mAs] (mAs per rotation) / 100 / pitch        (IEC 60601-2-44)
    CTDIw = centre / 3 + 2 periphery / 3,   DLP = CTDIvol x irradiated length
    SSDE = CTDIvol 3.704369 exp(-0.03671937 D_w),  D_w in cm, 32 cm phantom  (AAPM 204, 220)

CTDIvol belongs to the 32 cm PMMA body phantom, not to the patient. nCTDIw is the profile's where it has one, else it is
predicted: the Monte Carlo's ratio to an entry that the profile has. In step-and-shoot, the step over the beam's width
stands for the pitch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from twins import material

from .protocol import Acquisition, Protocol
from .scanner import DoseIndex, Scanner
from .scatter.body import Cylinder
from .scatter.montecarlo import simulate_kerma

PHANTOM_LENGTH_MM = 150.0
CHAMBER_MM = 100.0
CHAMBER_RADIUS_MM = 6.5
CHAMBER_DEPTH_MM = 10.0
"""Depth of the outer chambers' axes below the phantom's surface (IEC 60601-2-44) [mm]."""

PHOTONS = 1_000_000
"""Photons for a predicted nCTDIw: 1 to 2 % standard error at the centre of the body phantom."""

BODY_MM = 320
REFERENCE_KVP = 120
_KEY = 60601


@dataclass(frozen=True, slots=True)
class SimulatedCtdi:
    """CTDI100 of a PMMA phantom by Monte Carlo, per 100 mAs, with its standard errors.

    Parameters
    ----------
    centre_mgy, periphery_mgy, weighted_mgy
        CTDI100 at the centre, 10 mm below the surface, and CTDIw [mGy per 100 mAs].
    weighted_error_mgy
        Standard error of CTDIw.
    """

    centre_mgy: float
    periphery_mgy: float
    weighted_mgy: float
    weighted_error_mgy: float


@dataclass(frozen=True, slots=True)
class Dose:
    """Dose indices of a scan.

    Parameters
    ----------
    ctdi_w_mgy, ctdi_vol_mgy
        Of the 32 cm PMMA phantom, at the scan's mean mAs [mGy].
    dlp_mgy_cm
        Dose-length product [mGy cm].
    ssde_mgy
        Size-specific dose estimate [mGy]; None where the water-equivalent diameter is not known.
    is_predicted
        Whether nCTDIw comes from the Monte Carlo's ratio and not from the profile's table.
    """

    ctdi_w_mgy: float
    ctdi_vol_mgy: float
    dlp_mgy_cm: float
    ssde_mgy: float | None
    is_predicted: bool


def simulated_ctdi(
    scanner: Scanner, acquisition: Acquisition, *, phantom_mm: float = BODY_MM, n_photons: int = PHOTONS, key: int
) -> SimulatedCtdi:
    """CTDI100 of a centred PMMA phantom 150 mm long, one axial rotation with the acquisition's rows.

    Air kerma in a chamber of 100 mm that displaces no PMMA; the outer one is a ring, as the source turns. It is divided
    by the beam's width, beams above 100 mm by 100 mm. The beam has no penumbra and no heel effect.

    Raises
    ------
    ValueError
        If a number is out of range.
    """
    if not 4 * CHAMBER_DEPTH_MM < phantom_mm <= 600:
        raise ValueError(f"phantom_mm must lie in {4 * CHAMBER_DEPTH_MM:g} to 600 mm, got {phantom_mm}")
    half = phantom_mm / 2
    middle = half - CHAMBER_DEPTH_MM
    phantom = Cylinder(material("pmma"), (half, half), z_mm=(-PHANTOM_LENGTH_MM / 2, PHANTOM_LENGTH_MM / 2))
    rings = [
        (0.0, CHAMBER_RADIUS_MM, CHAMBER_MM / 2),
        (middle - CHAMBER_RADIUS_MM, middle + CHAMBER_RADIUS_MM, CHAMBER_MM / 2),
    ]
    tally = simulate_kerma([phantom], scanner, acquisition, rings, n_photons=n_photons, key=key)
    beam_mm = acquisition.collimation_rows * scanner.detector.row_pitch_iso_mm
    factor = 100 * CHAMBER_MM / min(beam_mm, CHAMBER_MM)
    centre, periphery = (float(k) * factor for k in tally.kerma_mgy_per_mas)
    error = np.hypot(tally.error_mgy_per_mas[0] / 3, 2 * tally.error_mgy_per_mas[1] / 3) * factor
    return SimulatedCtdi(centre, periphery, centre / 3 + 2 * periphery / 3, float(error))


def dose_of(
    scanner: Scanner,
    protocol: Protocol,
    *,
    mean_mas: float,
    scan_length_mm: float,
    water_diameter_mm: float | None = None,
) -> Dose | None:
    """Dose indices of a scan; None where the profile has no body entry to start from.

    Parameters
    ----------
    scanner, protocol
        What took it.
    mean_mas
        Mean mAs per rotation over the scan [mAs].
    scan_length_mm
        Irradiated length along z, overscan with it [mm].
    water_diameter_mm
        Water-equivalent diameter of the body in the scan [mm].

    Raises
    ------
    ValueError
        If a number is not positive.
    """
    for name, value in (("mean_mas", mean_mas), ("scan_length_mm", scan_length_mm)):
        if not value > 0:
            raise ValueError(f"{name} must be positive, got {value}")
    if water_diameter_mm is not None and not water_diameter_mm > 0:
        raise ValueError(f"water_diameter_mm must be positive, got {water_diameter_mm}")
    found = _normalised(scanner, protocol)
    if found is None:
        return None
    per_100, is_predicted = found
    weighted = per_100 * mean_mas / 100
    volume = weighted / _pitch(scanner, protocol)
    ssde = None if water_diameter_mm is None else volume * size_factor(water_diameter_mm)
    return Dose(weighted, volume, volume * scan_length_mm / 10, ssde, is_predicted)


def size_factor(water_diameter_mm: float) -> float:
    """SSDE / CTDIvol of the 32 cm phantom for a body of that water-equivalent diameter (AAPM 204, table 1D).

    Examples
    --------
    >>> round(size_factor(300.0), 2)
    1.23
    """
    return float(3.704369 * np.exp(-0.03671937 * water_diameter_mm / 10))


def ctdi_vol_mgy(scanner: Scanner, protocol: Protocol) -> float | None:
    """Volume CTDI of the 32 cm body phantom at the protocol's mAs [mGy]; None where the profile's table lacks it.

    Examples
    --------
    >>> from ctsim import load_profile
    >>> profile = load_profile("siemens_definition_as")
    >>> round(ctdi_vol_mgy(profile.scanner, profile.protocol("screening_low_dose")), 2)
    1.7
    """
    entry = _entry(scanner, protocol)
    if entry is None:
        return None
    return entry.ctdi_w_mgy_per_100mas * protocol.mas_per_rotation / 100 / _pitch(scanner, protocol)


def _pitch(scanner: Scanner, protocol: Protocol) -> float:
    if protocol.mode == "helical":
        return protocol.pitch
    if protocol.mode == "step_and_shoot" and protocol.step_mm is not None:
        return protocol.step_mm / (protocol.collimation_rows * scanner.detector.row_pitch_iso_mm)
    return 1.0


def _entry(scanner: Scanner, acquisition: Acquisition) -> DoseIndex | None:
    """The profile's own body entry; its table knows no spectral filters."""
    if acquisition.spectral_filter is not None:
        return None
    wanted = (acquisition.kvp, acquisition.bowtie, BODY_MM)
    return next((e for e in scanner.dose_indices if (e.kvp, e.bowtie, e.phantom_mm) == wanted), None)


def _normalised(scanner: Scanner, protocol: Protocol) -> tuple[float, bool] | None:
    """Normalised CTDIw [mGy per 100 mAs] and whether it is predicted."""
    entry = _entry(scanner, protocol)
    if entry is not None:
        return entry.ctdi_w_mgy_per_100mas, False
    bodies = [e for e in scanner.dose_indices if e.phantom_mm == BODY_MM]
    if not bodies:
        return None
    start = min(bodies, key=lambda e: (e.bowtie != protocol.bowtie, abs(e.kvp - REFERENCE_KVP)))
    ratio = _simulated(scanner, protocol.kvp, protocol.spectral_filter, protocol.bowtie) / _simulated(
        scanner, start.kvp, None, start.bowtie
    )
    return start.ctdi_w_mgy_per_100mas * ratio, True


@lru_cache(maxsize=64)
def _simulated(scanner: Scanner, kvp: int, spectral_filter: str | None, bowtie: str) -> float:
    rows = max(scanner.collimations_rows)
    acquisition = Acquisition(
        kvp=kvp, spectral_filter=spectral_filter, bowtie=bowtie, mode="axial", collimation_rows=rows
    )
    return simulated_ctdi(scanner, acquisition, key=_KEY).weighted_mgy
