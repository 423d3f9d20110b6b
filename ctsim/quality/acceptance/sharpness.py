"""Sharpness measured on images of a wire, an edge and a foil: MTF of every kernel, slice profile."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twins import Grid, Twin
from twins.phantoms import edge, foil, wire

from ...cells import crosstalk_shares
from ...exposure import expose
from ...protocol import Protocol
from ...rays import ray_points
from ...recon.kernels import Kernel
from ...recon.slices import blur_of, box_for
from ...scanning import detect
from ...sinogram import Sinogram
from ..mtf import Mtf, edge_mtf, wire_mtf
from ..slices import SliceProfile, predicted_fwhm_mm, slice_profile
from .bench import Bench, difference, hounsfield, radius, square
from .rows import Curve, Part, Row, within

FOIL_MM = 0.1
N_PLACES = 8
"""Places of a disc within a row, of which a slice of an axial scan sees one or another."""

_PLACE_MM = (3.3, -2.1)
"""Of wire and rod, off the axis: around it every view would sample an edge alike (measured: MTF10 off by 5 %)."""

_HOW = "scanned wire or rod, every column, focal spot and view blur included; bar: kernel's table"


@dataclass(frozen=True, slots=True, eq=False)
class _Scans:
    """Sinograms of a wire and of an edge with one way of flying."""

    wire: Sinogram
    edge: Sinogram
    without: NDArray[np.float32]  # line integrals of the wire's body alone
    wire_mm: float
    edge_mm: float


def mtf(bench: Bench) -> Part:
    """MTF50 and MTF10 of every kernel on wire and edge, axial and (full) helical."""
    rows: list[Row] = []
    curves: list[Curve] = []
    modes: tuple[dict[str, Any], ...] = ({"mode": "axial"},)
    if bench.is_full:
        pitch = float(np.clip(1.0, bench.scanner.smallest_pitch, bench.scanner.largest_pitch))
        modes += ({"mode": "helical", "pitch": pitch, "scan_range_mm": (-2.0, 2.0)},)
    for mode in modes:
        scans: dict[str | None, _Scans] = {}
        for kernel in bench.profile.kernels:
            found, flying = _of_kernel(bench, kernel, mode, scans)
            where = f"{kernel.name}, {mode['mode']}" + (f", {flying}" if flying else "")
            if found is None:
                bar = 0.03 * kernel.mtf50_per_mm
                rows.append(within("MTF50", where, float("nan"), kernel.mtf50_per_mm, bar, "1/mm",
                                   "refused by the reconstruction with every flying focal spot"))  # fmt: skip
                continue
            lines = []
            for name, measured in found.items():
                for level, target in ((0.5, kernel.mtf50_per_mm), (0.1, kernel.mtf10_per_mm)):
                    value = _frequency(measured, level)
                    rows.append(within(f"MTF{100 * level:.0f}", f"{where}, {name}", value, target, 0.03 * target,
                                       "1/mm", _HOW))  # fmt: skip
                lines.append((name, measured.frequency_per_mm, measured.mtf))
            f = found["wire"].frequency_per_mm
            lines.append(("kernel's table", f, kernel.mtf(f)))
            curves.append(Curve(f"MTF {where}", "frequency [1/mm]", "MTF", tuple(lines)))
    return Part(tuple(rows), tuple(curves))


def _width(profile: SliceProfile) -> float:
    try:
        return profile.fwhm_mm
    except ValueError:
        return float("nan")


def _frequency(measured: Mtf, level: float) -> float:
    try:
        return measured.frequency_at(level)
    except ValueError:
        return float("nan")


def _of_kernel(
    bench: Bench, kernel: Kernel, mode: dict[str, Any], scans: dict[str | None, _Scans]
) -> tuple[dict[str, Mtf] | None, str | None]:
    """MTF by wire and edge with the first way of flying that the kernel is not refused with, and that way's name."""
    names: list[str | None] = [None, *(spot.name for spot in bench.scanner.flying_focal_spots)]
    for flying in names:
        if flying not in scans:
            scans[flying] = _take(bench, {**mode, "flying_focal_spot": flying})
        try:
            return _measure(bench, kernel, scans[flying]), flying
        except ValueError as error:
            if "kernel" not in str(error):
                raise
    return None, None


def _take(bench: Bench, change: dict[str, Any]) -> _Scans:
    protocol = bench.protocol(**change)
    # a wire along z needs no rows: merging them changes nothing in the plane
    sampling = bench.merged(
        protocol.collimation_rows, to=1 if protocol.mode == "axial" else 4, column_binning=1,
        views_per_rotation=None, rays_per_reading=4,
    )  # fmt: skip
    long_mm = 60.0 + 2 * protocol.collimation_rows * bench.scanner.detector.row_pitch_iso_mm

    def sinogram(twin: Twin) -> Sinogram:
        return detect(expose(twin, bench.scanner, protocol, sampling=sampling), protocol, key=None)

    cell_mm = bench.scanner.column_pitch_rad * bench.scanner.source_distance_mm
    wire_mm, edge_mm = 0.3 * cell_mm, float(np.clip(28 * cell_mm, 20.0, 36.0))
    with_wire = wire(wire_mm, at_mm=_PLACE_MM, length_mm=long_mm, body_mm=_body_mm(bench))
    return _Scans(
        sinogram(with_wire),
        sinogram(edge(edge_mm, at_mm=_PLACE_MM, length_mm=long_mm, body_mm=_body_mm(bench))),
        sinogram(replace(with_wire, insets=())).line_integral,
        wire_mm,
        edge_mm,
    )


def _moved(grid: Grid) -> Grid:
    """The lattice around the place of wire and rod."""
    x, y, z = grid.origin_mm
    return replace(grid, origin_mm=(x + _PLACE_MM[0], y + _PLACE_MM[1], z))


def _field_mm(sinogram: Sinogram) -> float:
    """Radius of the field of view [mm]."""
    return sinogram.geometry.source_distance_mm * float(
        np.sin(np.abs(sinogram.geometry.column_angle_rad[[0, -1]]).min())
    )


def _body_mm(bench: Bench) -> float:
    return min(100.0, 1.4 * bench.radius_mm)


def _measure(bench: Bench, kernel: Kernel, scans: _Scans) -> dict[str, Mtf]:
    row_mm = bench.row_mm(scans.wire.sampling)
    limit = 0.5 / (1.6 * kernel.mtf10_per_mm)  # pixels whose Nyquist frequency lies well beyond the 10 % point
    fine = square(max(14.0, 3.5 / kernel.mtf50_per_mm), min(0.2, limit))
    moved = _moved(fine)
    spacing = (fine.spacing_mm[1], fine.spacing_mm[2])
    gain = 16.0
    while True:
        image = difference(scans.wire, scans.without, kernel, moved, row_mm, 0.9 * _field_mm(scans.wire), gain)[0]
        if gain * image.max() < 2900 or gain == 1:  # else the scale cuts the wire's peak
            break
        gain /= 2
    point = wire_mtf(image, spacing, wire_diameter_mm=scans.wire_mm)
    reach_mm = 0.4 * scans.edge_mm
    coarse = _moved(square(scans.edge_mm / 2 + reach_mm + 1.0, min(0.25, limit)))
    spacing = (coarse.spacing_mm[1], coarse.spacing_mm[2])
    middle = (coarse.shape[1] - 1) / 2 * spacing[0]
    rim = edge_mtf(
        hounsfield(scans.edge, kernel, coarse, row_mm)[0],
        spacing,
        (middle, middle),
        scans.edge_mm / 2,
        reach_mm=reach_mm,
    )
    return {"wire": point, "edge": rim}


def slices(bench: Bench) -> Part:
    """FWHM of the slice profile from a thin disc at the axis, axial and helical."""
    pitch = float(np.clip(1.0, bench.scanner.smallest_pitch, bench.scanner.largest_pitch))
    modes: tuple[dict[str, Any], ...] = (
        {"mode": "axial"},
        {"mode": "helical", "pitch": pitch, "scan_range_mm": (-8.0, 8.0)},
    )
    rows: list[Row] = []
    curves: list[Curve] = []
    for mode in modes:
        sinograms = _foils(bench, bench.protocol(**mode))
        row_mm = bench.row_mm(sinograms[0][1].sampling)
        lines = []
        half_beam_mm = 0.5 * row_mm * sinograms[0][1].geometry.shape[1]
        for nominal in (row_mm, 2 * row_mm, 4 * row_mm) if bench.is_full else (row_mm, 2 * row_mm):
            span_mm = 2 * nominal if mode["mode"] == "helical" else min(2 * nominal, half_beam_mm - 0.5 * row_mm)
            if span_mm < 1.4 * nominal:
                continue  # the beam is too narrow to show where the profile ends
            profile = _profile(bench, sinograms, nominal, span_mm)
            # thinner than 1.3 rows a slice is what rows make it
            target = nominal if nominal >= 1.3 * row_mm else _predicted_mm(sinograms[0][1], row_mm, nominal)
            how = f"0.1 mm disc at the axis, at {len(sinograms)} places within a row, 81 slices"
            condition = f"{mode['mode']}, {nominal:.4g} mm"
            rows.append(within("Slice profile FWHM", condition, _width(profile), target, 0.05 * target, "mm", how))
            lines.append((f"{nominal:.4g} mm", profile.z_mm, profile.sensitivity))
        curves.append(Curve(f"Slice profile, {mode['mode']}", "z [mm]", "sensitivity", tuple(lines)))
    return Part(tuple(rows), tuple(curves))


def _foils(bench: Bench, protocol: Protocol) -> list[tuple[float, Sinogram]]:
    """Places of a disc along z, evenly over a row, and its scans [mm]."""
    beam_mm = protocol.collimation_rows * bench.scanner.detector.row_pitch_iso_mm
    sampling = bench.merged(protocol.collimation_rows, to=protocol.collimation_rows, rays_per_reading=4)
    taken = []
    n_places = N_PLACES if protocol.mode == "axial" else 2
    for share in (np.arange(n_places) + 0.5) / n_places - 0.5:
        z_mm = float(share * bench.row_mm(sampling))
        twin = foil(
            FOIL_MM, diameter_mm=10.0, at_mm=(0.0, 0.0, z_mm), length_mm=60.0 + 2 * beam_mm, body_mm=_body_mm(bench)
        )
        exposure = expose(twin, bench.scanner, protocol, sampling=sampling)
        taken.append((z_mm, detect(exposure, protocol, key=None)))
    return taken


def _predicted_mm(sinogram: Sinogram, row_mm: float, nominal_mm: float) -> float:
    """FWHM from rows, focal spot and crosstalk [mm]."""
    points = ray_points(sinogram.scanner, sinogram.protocol, sinogram.sampling)
    scale = 1 - sinogram.geometry.source_distance_mm / sinogram.geometry.detector_distance_mm
    detector = sinogram.scanner.detector
    leaks = [crosstalk_shares(s, sinogram.sampling)[1] for s in (detector.xray_crosstalk, detector.optical_crosstalk)]
    box_mm = box_for(nominal_mm, row_mm, blur_of(sinogram))
    return predicted_fwhm_mm(row_mm, box_mm, scale * points.spot_mm[:, 2], points.weight, leaks)


def _profile(bench: Bench, sinograms: list[tuple[float, Sinogram]], nominal_mm: float, span_mm: float) -> SliceProfile:
    """Mean profile about the disc over its places."""
    z = np.linspace(-span_mm, span_mm, 81)
    disc = radius(square(6.0, 0.5)) < 2.0
    total = np.zeros(len(z))
    for z_disc, sinogram in sinograms:
        image = hounsfield(sinogram, bench.softest, square(6.0, 0.5, z + z_disc), nominal_mm)
        total += image[:, disc].mean(axis=1) / len(sinograms)
    return slice_profile(total, z)
