"""Materials, patients, trees and the twin itself hold what they say, and refuse the rest."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from twins import Grid, Inset, Material, Patient, Structure, Tree, Twin, known_materials, material
from twins.files import replacing
from twins.structures import AERATED, LUNG


def small_twin(**changes):
    shape = (2, 3, 4)
    values = {
        "grid": Grid(shape, (1.0, 1.0, 1.0)),
        "structure": np.full(shape, Structure.LIVER, np.uint16),
        "material_a": np.zeros(shape, np.uint8),
        "material_b": np.zeros(shape, np.uint8),
        "fraction_b": np.zeros(shape, np.uint16),
        "density": np.full(shape, 10500, np.uint16),
        "materials": (material("liver"),),
    }
    return Twin(**(values | changes))


@pytest.mark.parametrize("name", sorted(known_materials()))
def test_every_material_sums_to_one_and_names_its_source(name):
    entry = known_materials()[name]
    assert sum(w for _, w in entry.mass_fractions) == pytest.approx(1, abs=1e-12)
    assert entry.source


def test_an_unknown_material_is_named_with_those_known():
    with pytest.raises(ValueError, match="unknown material 'unobtainium'; known: .*water"):
        material("unobtainium")
    with pytest.raises(ValueError, match="sum to 1"):
        Material("half", 1.0, (("H", 0.5),), "nowhere")
    with pytest.raises(ValueError, match="density_g_cm3"):
        Material("void", 0.0, (("H", 1.0),), "nowhere")


def test_a_patient_knows_no_more_than_was_said():
    assert Patient().model_dump(exclude_none=True) == {}
    with pytest.raises(ValidationError):
        Patient(age_y=300)
    with pytest.raises(ValidationError):
        Patient(aeg_y=60)


def test_a_tree_keeps_parents_before_children():
    column = {
        "start_mm": np.zeros((2, 3)),
        "end_mm": np.ones((2, 3)),
        "start_radius_mm": [2, 1],
        "end_radius_mm": [1, 1],
    }
    tree = Tree(**column, parent=[-1, 0], generation=[0, 1], lobe=[10, 10])
    assert len(tree) == 2
    assert tree.start_mm.dtype == np.float32
    with pytest.raises(ValueError, match="parent"):
        Tree(**column, parent=[1, -1], generation=[0, 1], lobe=[10, 10])
    with pytest.raises(ValueError, match="start_radius_mm"):
        Tree(**(column | {"start_radius_mm": [1]}), parent=[-1, 0], generation=[0, 1], lobe=[10, 10])


def test_a_twin_checks_its_arrays_and_hands_on_new_values():
    twin = small_twin()
    np.testing.assert_allclose(twin.density_g_cm3(), 1.05, rtol=1e-6)
    assert twin.is_any([Structure.LIVER]).all()
    assert not twin.is_any(LUNG).any()
    assert set(AERATED) < set(LUNG)
    inset = Inset("n1", Grid((1, 1, 1), (0.1, 0.1, 0.1)), (material("water"),), np.ones((1, 1, 1, 1), np.float32))
    assert twin.with_insets((inset,)).insets == (inset,)
    assert twin.insets == ()
    with pytest.raises(ValueError, match="inset names must differ"):
        twin.with_insets((inset, inset))
    with pytest.raises(ValueError, match="density"):
        small_twin(density=np.zeros((2, 3, 4), np.float32))
    with pytest.raises(ValueError, match="delta_g_cm3"):
        Inset("n1", Grid((1, 1, 1), (0.1, 0.1, 0.1)), (material("water"),), np.ones((2, 1, 1, 1), np.float32))


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "value.nii.gz"
    with pytest.raises(RuntimeError, match="half way"), replacing(path) as part:
        part.write_text("half", encoding="utf-8")
        raise RuntimeError("half way")
    assert list(tmp_path.iterdir()) == []
    with replacing(path) as part:
        assert part.name.endswith(".nii.gz")
        part.write_text("whole", encoding="utf-8")
    assert [p.name for p in tmp_path.iterdir()] == ["value.nii.gz"]
    assert path.read_text(encoding="utf-8") == "whole"
    with pytest.raises(FileNotFoundError, match="does not exist"), replacing(tmp_path / "no" / "x"):
        pass
