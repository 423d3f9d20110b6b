"""The topogram: water-equivalent size of bodies whose size is known, with and without a couch."""

from __future__ import annotations

import numpy as np
import pytest

from ctsim import Sampling, load_profile
from ctsim.couch import couch_top_mm
from ctsim.topogram import Topogram, take_topogram
from ctsim.trajectory import plan_geometry
from ctsim.voxels import pack
from twins.phantoms import air, cylinder, rod

PROFILE = load_profile("siemens_definition_as")
SCANNER = PROFILE.scanner
COARSE = Sampling(column_binning=4, row_binning=8, views_per_rotation=64)


def protocol(**changes):
    base = PROFILE.protocols[0]
    rows = max(n for n in SCANNER.collimations_rows if n % 8 == 0)
    defaults = {"isocentre_mm": (0.0, 0.0), "collimation_rows": rows, "mode": "axial", "scan_range_mm": None}
    return base.model_copy(update={**defaults, **changes})


def topogram(twin, *, with_couch=False, directions=("ap", "lateral"), **changes):
    asked = protocol(**changes)
    geometry = plan_geometry(twin, SCANNER, asked, COARSE)
    couch = SCANNER.couch if with_couch else None
    top_mm = couch_top_mm(twin, couch, 0.0) if couch is not None else None
    return take_topogram(
        pack(twin), SCANNER, asked, COARSE, geometry, couch=couch, top_mm=top_mm, directions=directions
    )


@pytest.mark.parametrize("diameter_mm", [200.0, 300.0, 400.0, (360.0, 240.0), (220.0, 300.0)])
@pytest.mark.parametrize("with_couch", [False, True])
def test_water_bodies_have_their_own_diameter(diameter_mm, with_couch):
    seen = topogram(cylinder(diameter_mm, 40.0, spacing_mm=3.0), with_couch=with_couch)
    along_x, along_y = np.broadcast_to(diameter_mm, 2)
    assert float(seen.water_equivalent_diameter_mm(0.0)) == pytest.approx(np.sqrt(along_x * along_y), rel=0.003)
    x, y = (float(np.interp(0.0, seen.z_mm, part)) for part in seen.ellipse_mm(with_couch=False))
    assert (x, y) == (pytest.approx(along_x, rel=0.01), pytest.approx(along_y, rel=0.01))


def test_two_directions_correct_each_others_magnification():
    body = cylinder(300.0, 40.0, spacing_mm=3.0, centre_mm=(30.0, -40.0, 0.0))
    assert float(topogram(body).water_equivalent_diameter_mm(0.0)) == pytest.approx(300.0, rel=0.003)
    # 40 mm nearer to a tube at 595 mm in front, the body looks 595 / 555 times as wide, as thick as ever
    alone = topogram(body, directions=("ap",))
    assert float(alone.water_equivalent_diameter_mm(0.0)) == pytest.approx(300 * (595 / 555) ** 0.5, rel=0.005)


def test_one_direction_makes_an_ellipse_of_area_and_thickness():
    body = cylinder((360.0, 240.0), 40.0, spacing_mm=3.0)
    for direction in ("ap", "lateral"):
        seen = topogram(body, directions=(direction,))
        x, y = (float(np.interp(0.0, seen.z_mm, part)) for part in seen.ellipse_mm(with_couch=False))
        assert (x, y) == (pytest.approx(360.0, rel=0.03), pytest.approx(240.0, rel=0.03))


def test_the_couch_adds_its_own_matter():
    body = cylinder(300.0, 40.0, spacing_mm=3.0)
    bare, lying = topogram(body), topogram(body, with_couch=True)
    couch = SCANNER.couch
    layers_g_cm = (  # thickness x density
        2 * couch.shell_mm * 1.54 + (couch.thickness_mm - 2 * couch.shell_mm) * 0.075 + couch.mattress_mm * 0.04
    )
    added = lying.area_mm2(with_couch=True) - bare.area_mm2()
    middle = np.abs(lying.z_mm) < 10
    bare_x, bare_y = lying.ellipse_mm(with_couch=False)
    x, y = lying.ellipse_mm(with_couch=True)
    # from above the layers lie in the body's rays, from the side the cradle's edges meet a few of them
    assert (y - bare_y)[middle] == pytest.approx(0.92 * layers_g_cm, rel=0.1)
    assert (x - bare_x)[middle] == pytest.approx(0.0, abs=3.0)
    # carbon is 0.9 as strong as water per gram; the sides' shells and the magnification of 160 mm below the axis
    assert added[middle].mean() == pytest.approx(0.92 * layers_g_cm * couch.width_mm, rel=0.15)


def test_lines_outside_the_body_see_nothing():
    seen = topogram(cylinder(200.0, 20.0, spacing_mm=2.0), mode="helical", scan_range_mm=(-40.0, 40.0), pitch=1.0)
    diameter = seen.water_equivalent_diameter_mm()
    assert diameter[np.abs(seen.z_mm) > 13].max() == 0.0
    # the line integral of the area is the volume
    volume = seen.area_mm2().sum() * (seen.z_mm[1] - seen.z_mm[0])
    assert volume == pytest.approx(np.pi * 100**2 * 20, rel=0.005)
    assert topogram(air()).water_equivalent_diameter_mm().max() == pytest.approx(0.0, abs=0.5)


def test_bone_counts_as_the_water_that_dims_as_much():
    plain = cylinder(300.0, 40.0, spacing_mm=3.0)
    bony = cylinder(300.0, 40.0, spacing_mm=3.0, inserts=[rod(40.0, 40.0, "cortical_bone")])
    gain = topogram(bony).area_mm2() - topogram(plain).area_mm2()
    # cortical bone attenuates 2.4 to 3.9 times as much as water between 80 and 50 keV, behind 26 cm of water
    share = gain[np.abs(topogram(plain).z_mm) < 10].mean() / (np.pi * 20**2)
    assert 1.4 < share < 2.9


def test_what_cannot_be_is_refused():
    body = cylinder(100.0, 10.0, spacing_mm=5.0)
    with pytest.raises(ValueError, match="directions must be one or both"):
        topogram(body, directions=())
    geometry = plan_geometry(body, SCANNER, protocol(), COARSE)
    with pytest.raises(ValueError, match="couch and top_mm"):
        take_topogram(pack(body), SCANNER, protocol(), COARSE, geometry, couch=SCANNER.couch)
    with pytest.raises(ValueError, match="water_mm must have shape"):
        Topogram(("ap",), np.zeros(3), np.linspace(-1, 1, 4), 500.0, np.zeros((1, 3, 5)), np.zeros((1, 4)))
