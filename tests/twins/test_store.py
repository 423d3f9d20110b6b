"""A twin survives its file unchanged, and no file that is not a whole twin is taken for one."""

import dataclasses

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twins.grid import Grid
from twins.materials import Material, material
from twins.patient import Patient
from twins.store import load, save
from twins.trees import COLUMNS, Tree
from twins.twin import Inset, Twin


def tree(rng, n):
    columns = {name: rng.normal(size=(n, *tail)).astype(dtype) for name, (dtype, tail) in COLUMNS.items()}
    columns["parent"] = np.arange(n) - 1
    columns["generation"] = np.arange(n)
    columns["lobe"] = np.full(n, 12)
    return Tree(**columns)


def random_twin(seed, shape=(3, 4, 5), n_segments=4, n_insets=2):
    rng = np.random.default_rng(seed)
    turned = (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    wax = Material("wax of my own", 0.93, (("H", 0.15), ("C", 0.85)), "a test, with a non-ascii sign: ü")
    insets = tuple(
        Inset(
            f"nodule {i}",
            Grid((2, 3, 2), (0.1, 0.2, 0.3), (1.0, 2.0, 3.0 + i)),
            (material("water"), wax),
            rng.normal(size=(2, 2, 3, 2)).astype(np.float32),
        )
        for i in range(n_insets)
    )
    return Twin(
        grid=Grid(shape, (1.5, 0.7, 0.1), tuple(rng.normal(size=3) * 100), turned),
        structure=rng.integers(0, 2**16, shape, dtype=np.uint16),
        material_a=rng.integers(0, 2, shape, dtype=np.uint8),
        material_b=rng.integers(0, 2, shape, dtype=np.uint8),
        fraction_b=rng.integers(0, 2**16, shape, dtype=np.uint16),
        density=rng.integers(0, 2**16, shape, dtype=np.uint16),
        materials=(material("air"), wax),
        patient=Patient(sex="female", age_y=61.25, smoking="former", pack_years=30.1),
        airways=tree(rng, n_segments),
        veins=tree(rng, 2 * n_segments),
        landmarks_mm={"carina": (1.0, 1 / 3, -7.25)},
        insets=insets,
        provenance={"kind": "population", "spec": {"key": 2**64 - 1, "knob": 0.1 + 0.2}, "list": [1, "ü", None]},
    )


def assert_same(a, b):
    for field in dataclasses.fields(Twin):
        one, two = getattr(a, field.name), getattr(b, field.name)
        if isinstance(one, np.ndarray):
            assert one.dtype == two.dtype
            np.testing.assert_array_equal(one, two)
        elif isinstance(one, Tree):
            for column in COLUMNS:
                np.testing.assert_array_equal(getattr(one, column), getattr(two, column))
        elif field.name == "insets":
            assert len(one) == len(two)
            for p, q in zip(one, two, strict=True):
                assert (p.name, p.grid, p.materials) == (q.name, q.grid, q.materials)
                np.testing.assert_array_equal(p.delta_g_cm3, q.delta_g_cm3)
        else:
            assert one == two


@settings(deadline=None, max_examples=15)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(*[st.integers(1, 7)] * 3),
    n_segments=st.integers(0, 5),
    n_insets=st.integers(0, 3),
)
def test_a_twin_comes_back_from_its_file_as_it_was(tmp_path_factory, seed, shape, n_segments, n_insets):
    path = tmp_path_factory.mktemp("twin") / "twin.h5"
    twin = random_twin(seed, shape, n_segments, n_insets)
    save(twin, path)
    assert_same(twin, load(path))


def test_the_same_twin_gives_the_same_bytes(tmp_path):
    save(random_twin(1), tmp_path / "a.h5")
    save(random_twin(1), tmp_path / "b.h5")
    save(load(tmp_path / "a.h5"), tmp_path / "c.h5")
    save(random_twin(2), tmp_path / "d.h5")
    a, b, c, d = ((tmp_path / f"{n}.h5").read_bytes() for n in "abcd")
    assert a == b == c
    assert a != d


def test_bytes_do_not_depend_on_when_handles_are_collected(tmp_path, monkeypatch):
    save(random_twin(1), tmp_path / "a.h5")
    create, kept = h5py.Group.create_dataset, []

    def create_and_keep(*args, **options):
        kept.append(create(*args, **options))
        return kept[-1]

    monkeypatch.setattr(h5py.Group, "create_dataset", create_and_keep)
    save(random_twin(1), tmp_path / "b.h5")
    assert len(kept) > 10
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_a_viewer_finds_format_and_units_in_the_attributes(tmp_path):
    save(random_twin(3), tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        assert file.attrs["format"] == "lungtwin-twin"
        assert file.attrs["format_version"] == 1
        assert file["density"].attrs["unit"] == "g/cm3"
        assert file["density"].attrs["step"] == 1e-4
        assert file["density"].compression == "gzip"
        assert file["airways/start_radius_mm"].attrs["unit"] == "mm"


def test_a_truncated_file_is_refused(tmp_path):
    path = tmp_path / "cut.h5"
    save(random_twin(4), path)
    whole = path.read_bytes()
    for part in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:part])
        with pytest.raises(ValueError, match=r"cut\.h5"):
            load(path)


def test_a_foreign_file_is_refused(tmp_path):
    text = tmp_path / "notes.h5"
    text.write_text("not HDF5 at all", encoding="utf-8")
    with pytest.raises(ValueError, match=r"notes\.h5: not a readable HDF5 file"):
        load(text)
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["density"] = np.zeros((2, 2, 2))
    with pytest.raises(ValueError, match=r"other\.h5: not a twin file"):
        load(other)
    with pytest.raises(FileNotFoundError, match=r"none\.h5"):
        load(tmp_path / "none.h5")


def test_a_newer_format_is_refused(tmp_path):
    path = tmp_path / "new.h5"
    save(random_twin(5), path)
    with h5py.File(path, "r+") as file:
        file.attrs["format_version"] = 2
    with pytest.raises(ValueError, match=r"new\.h5: format_version 2 is newer than 1"):
        load(path)


def test_a_missing_or_misshapen_part_is_refused(tmp_path):
    path = tmp_path / "part.h5"
    save(random_twin(6), path)
    with h5py.File(path, "r+") as file:
        del file["veins/parent"]
    with pytest.raises(ValueError, match=r"part\.h5.*parent"):
        load(path)
    save(random_twin(6), path)
    with h5py.File(path, "r+") as file:
        del file["density"]
        file["density"] = np.zeros((2, 2, 2), np.uint16)
    with pytest.raises(ValueError, match=r"part\.h5.*density"):
        load(path)
    save(random_twin(6), path)
    with h5py.File(path, "r+") as file:
        file["material_a"][0, 0, 0] = 7
    with pytest.raises(ValueError, match=r"part\.h5.*material 7"):
        load(path)


def test_a_flipped_bit_in_any_stored_array_is_noticed(tmp_path):
    path = tmp_path / "bit.h5"
    save(random_twin(7), path)
    whole = bytearray(path.read_bytes())
    with h5py.File(path) as file:
        places = []
        for name in (
            "header",
            "structure",
            "material_a",
            "fraction_b",
            "density",
            "airways/start_mm",
            "insets/000/header",
        ):
            chunk = file[name].id.get_chunk_info(0)
            places.append(chunk.byte_offset + chunk.size // 2)
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"bit\.h5"):
            load(path)


def test_provenance_that_json_cannot_express_is_refused_and_leaves_no_file(tmp_path):
    twin = dataclasses.replace(random_twin(8), provenance={"kind": object()})
    with pytest.raises(ValueError, match="provenance"):
        save(twin, tmp_path / "a.h5")
    assert list(tmp_path.iterdir()) == []
