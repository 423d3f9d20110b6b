"""Dose indices of a scan, from the scanner's tabulated CTDIw.

    CTDIvol = nCTDIw [mGy / 100 mAs] (mAs per rotation) / 100 / pitch        (IEC 60601-2-44)

It belongs to the 32 cm PMMA body phantom, not to the patient, and is as sure as the profile's table says.
"""

from __future__ import annotations

from .protocol import Protocol
from .scanner import Scanner


def ctdi_vol_mgy(scanner: Scanner, protocol: Protocol) -> float | None:
    """Volume CTDI of the 32 cm body phantom [mGy]; None where the scanner's table lacks potential or bowtie.

    Examples
    --------
    >>> from ctsim import load_profile
    >>> profile = load_profile("siemens_definition_as")
    >>> round(ctdi_vol_mgy(profile.scanner, profile.protocol("screening_low_dose")), 2)
    1.7
    """
    pitch = protocol.pitch if protocol.mode == "helical" else 1.0
    for index in scanner.dose_indices:
        if (index.kvp, index.bowtie) == (protocol.kvp, protocol.bowtie):
            return index.ctdi_w_mgy_per_100mas * protocol.mas_per_rotation / 100.0 / pitch
    return None
