"""Scans an exported phantom by XCIST (gecatsim), in a Python of its own: ``python xcist_scan.py FOLDER NAME OUT.npy``.

One row of detector cells through the isocentre, source in front of the patient, one energy, no noise; the result holds
a line integral per column.
"""

import sys
from pathlib import Path

import gecatsim as xc
import numpy as np
from gecatsim.pyfiles.CommonTools import my_path

SID_MM, SDD_MM, CELL_MM, COLUMNS, KEV = 595.0, 1085.6, 4.0, 240, 70.0


def scan(folder: str, name: str) -> np.ndarray:
    my_path.add_search_path(folder)
    ct = xc.CatSim()
    ct.resultsName = str(Path(folder) / "scanned")
    ct.phantom.callback, ct.phantom.projectorCallback = "Phantom_Voxelized", "C_Projector_Voxelized"
    ct.phantom.filename, ct.phantom.projectorNumThreads = str(Path(folder) / f"{name}.json"), 1
    scanner, protocol, physics = ct.scanner, ct.protocol, ct.physics
    scanner.sid, scanner.sdd = SID_MM, SDD_MM
    scanner.detectorColCount, scanner.detectorRowCount, scanner.detectorRowsPerMod = COLUMNS, 1, 1
    scanner.detectorColSize, scanner.detectorRowSize, scanner.detectorColOffset = CELL_MM, 1.0, 0.0
    scanner.detectorColFillFraction = scanner.detectorRowFillFraction = 1.0
    protocol.viewsPerRotation, protocol.viewCount, protocol.startViewId, protocol.stopViewId = 4, 1, 0, 0
    protocol.startAngle = 0.0
    physics.monochromatic = KEV
    physics.enableQuantumNoise = physics.enableElectronicNoise = 0
    physics.colSampleCount = physics.rowSampleCount = physics.viewSampleCount = 1
    physics.srcXSampleCount = physics.srcYSampleCount = 1
    ct.air_scan()
    ct.phantom_scan()
    seen, air = (np.fromfile(ct.resultsName + end, np.float32)[:COLUMNS] for end in (".scan", ".air"))
    return -np.log(seen / air)


if __name__ == "__main__":
    np.save(sys.argv[3], scan(sys.argv[1], sys.argv[2]))
