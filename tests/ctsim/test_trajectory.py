"""Geometry of scans: what is asked for is covered, merged cells keep the whole detector's extent."""

import math

import numpy as np
import pytest

from ctsim import Sampling, load_profile
from ctsim.trajectory import binned_column_angle_rad, body_middle_mm, n_merged, plan_geometry
from twins import phantoms

AS = load_profile("siemens_definition_as")
TWIN = phantoms.cylinder(100.0, 60.0, spacing_mm=4.0, centre_mm=(12.0, -8.0, 50.0))


def geometry(name="screening_low_dose", sampling=None, **change):
    return plan_geometry(TWIN, AS.scanner, AS.protocol(name).model_copy(update=change), sampling or Sampling())


def test_the_axis_goes_through_the_middle_of_the_body():
    assert body_middle_mm(TWIN) == pytest.approx((12.0, -8.0), abs=2.1)  # half a voxel
    assert geometry().isocentre_mm == body_middle_mm(TWIN)


def test_an_axial_scan_is_one_rotation_at_rest_in_the_middle_of_its_range():
    g = geometry("axial", scan_range_mm=(40.0, 70.0))
    assert len(g.view_angle_rad) == g.views_per_rotation == 1152
    assert np.all(g.source_z_mm == 55.0)
    assert g.feed_per_rotation_mm == 0


def test_an_axial_scan_of_more_than_its_beam_is_refused():
    with pytest.raises(ValueError, match=r"beam of 38\.4 mm"):
        geometry("axial", scan_range_mm=(0.0, 50.0))


@pytest.mark.parametrize("pitch", [0.6, 1.0, 1.4])
def test_every_ray_that_an_endless_helix_sends_through_the_range_is_there(pitch):
    low, high = 30.0, 60.0
    g = geometry(pitch=pitch, scan_range_mm=(low, high), sampling=Sampling(views_per_rotation=96))
    assert g.feed_per_rotation_mm == pytest.approx(38.4 * pitch)
    radius = g.source_distance_mm * math.sin(g.column_angle_rad[-1])
    reach = 19.2 * (1 + radius / g.source_distance_mm)  # source height within which a point at that radius is lit
    assert g.source_z_mm[0] <= low - reach
    assert g.source_z_mm[-1] >= high + reach
    np.testing.assert_allclose(np.diff(g.source_z_mm), g.feed_per_rotation_mm / 96)


def test_merged_columns_cover_the_same_fan():
    fine, coarse = (binned_column_angle_rad(AS.scanner, Sampling(column_binning=n)) for n in (1, 4))
    edges = lambda a: (a[0] - (a[1] - a[0]) / 2, a[-1] + (a[1] - a[0]) / 2)  # noqa: E731
    assert edges(coarse) == pytest.approx(edges(fine))


def test_merged_rows_cover_the_same_beam():
    g = geometry(sampling=Sampling(row_binning=8))
    assert len(g.row_offset_mm) * g.row_pitch_mm == pytest.approx(64 * 0.6 * 1085.6 / 595.0)


def test_merged_readings_are_counted():
    assert n_merged(AS.scanner, Sampling(views_per_rotation=288, column_binning=4, row_binning=8)) == 4 * 4 * 8


def test_a_binning_that_does_not_divide_the_detector_is_refused():
    with pytest.raises(ValueError, match="column_binning must divide 736"):
        geometry(sampling=Sampling(column_binning=3))
    with pytest.raises(ValueError, match="row_binning must divide 64"):
        geometry(sampling=Sampling(row_binning=3))
