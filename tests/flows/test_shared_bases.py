"""Cases whose twins differ in nodules alone share the exposure of their base, and nobody can tell from the bytes."""

from __future__ import annotations

import pytest

import ctsim
import twins
from flows import build_dataset
from flows.stages import site
from flows.study import load_study, make_plan, resolve
from flows.study.estimate import nodules_s
from flows.study.people import NoduleFields

FOLDERS = ("twins", "images", "masks", "truth")


def bytes_of(root):
    files = (path for folder in FOLDERS for path in (root / folder).iterdir())
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def study(tiny):
    """One woman with two nodules, with one, and with none; scanned once, without scatter."""
    plain = resolve(load_study(tiny))
    woman = plain.twins[0]
    other = NoduleFields(id="small", key=5, type="solid", equivalent_diameter_mm=9.0, lobe=None)
    entries = (
        woman,
        woman.model_copy(update={"id": "other", "nodules": (other,)}),
        woman.model_copy(update={"id": "none", "nodules": ()}),
    )
    sampling = plain.sampling.model_copy(update={"scatter": False, "rays_per_reading": 1})
    outputs = plain.outputs.model_copy(update={"anatomy": False, "report": False})
    scan = plain.scans[0].model_copy(update={"sampling": sampling, "matrix": 64})
    return plain.model_copy(
        update={"twins": entries, "scans": (scan,), "sampling": sampling, "outputs": outputs, "twin_spacing_mm": 6.0}
    )


@pytest.fixture
def counted(monkeypatch):
    """Names of the costly steps, each time one is taken."""
    calls: list[str] = []
    for module, name in ((ctsim, "expose"), (ctsim, "add_insets"), (twins, "build"), (site, "Clearance")):
        work = getattr(module, name)

        def step(*args, name=name, work=work, **kwargs):
            calls.append(name)
            return work(*args, **kwargs)

        monkeypatch.setattr(module, name, step, raising=False)
    return calls


def test_the_plan_knows_which_cases_share_a_base(study):
    plan = make_plan(study)
    assert [case.base_twin for case in plan.cases] == ["woman"] * 3
    assert [case.base_came_before for case in plan.cases] == [False, True, True]
    assert [case.base_comes_again for case in plan.cases] == [True, True, False]
    first, *others = plan.cases
    for case in others:
        assert case.twin_s == nodules_s(len(case.nodules))
        assert case.twin_s < first.twin_s
        assert case.scans[0].exposure_s < 0.1 * first.scans[0].exposure_s
    apart = study.model_copy(update={"twin_spacing_mm": 3.0, "twins": study.twins[:1]})
    assert not make_plan(apart).cases[0].base_comes_again


def test_one_exposure_serves_all_cases_of_a_base_also_after_a_crash(study, tmp_path, counted, monkeypatch):
    whole = ctsim.add_insets

    def breaks_off(exposure, twin, **kwargs):
        if len(twin.insets) == 1:
            raise MemoryError("broke off")
        return whole(exposure, twin, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(ctsim, "add_insets", breaks_off, raising=False)
        with pytest.raises(MemoryError, match="broke off"):
            build_dataset(study, tmp_path / "shared")
    assert len(list((tmp_path / "shared/exposures").iterdir())) == 1
    shared = build_dataset(study, tmp_path / "shared")
    # the first build placed nodules of two cases before it broke off, the second those of the third
    assert sorted(counted) == ["Clearance"] * 2 + ["add_insets"] * 3 + ["build", "expose"]
    assert not (shared.root / "exposures").exists()
    together = bytes_of(shared.root)
    images = [data for name, data in together.items() if name.startswith("images/")]
    assert len(set(images)) == len(images) == 3

    # with the bytes of a case that has its base for itself
    counted.clear()
    alone = bytes_of(build_dataset(study.model_copy(update={"twins": study.twins[1:2]}), tmp_path / "alone").root)
    assert sorted(counted) == ["Clearance", "add_insets", "build", "expose"]
    assert alone == {name: data for name, data in together.items() if "/other" in name or name == "twins/woman.h5"}
