"""The house stands as drawn: imports go one way, rooms open alone, faces are exact."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("twins", "lesions", "ctsim", "labeling", "flows")
OF_EXTRAS = {"lesions.transforms.for_monai": "monai", "lesions.transforms.for_torchio": "torchio"}
"""Modules that subclass what an extra brings, and so cannot be imported without it."""


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def modules(room: str) -> list[str]:
    return sorted(
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in (ROOT / room).rglob("*.py")
        if path.name != "__main__.py"
    )


def test_the_import_contracts_hold():
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        capture_output=True,
        encoding="utf-8",
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_offers_exactly_what_its_face_names(room):
    module = importlib.import_module(room)
    for name in module.__all__:
        assert getattr(module, name) is not None
    homes = {ROOT / room / "/".join(home.strip(".").split(".")) for home in module._HOMES.values()}
    for home in homes:
        assert home.with_suffix(".py").is_file() or (home / "__init__.py").is_file(), home
    submodules = {path.stem for path in (ROOT / room).iterdir()}
    clash = submodules & {name for name in module.__all__ if callable(getattr(module, name))}
    assert not clash, f"a function and a submodule of {room} share the names {clash}"


@pytest.mark.parametrize("room", ROOMS)
def test_the_face_lists_for_type_checkers_what_it_offers_at_run_time(room):
    tree = ast.parse((ROOT / room / "__init__.py").read_text(encoding="utf-8"))
    listed = {alias.asname for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert listed - {None} == set(importlib.import_module(room).__all__)


@pytest.mark.parametrize("room", ROOMS)
def test_opening_a_room_is_light(room):
    heavy = {"SimpleITK", "sklearn", "prefect", "matplotlib", "numba", "scipy", "h5py", "torch", "cupy"}
    loaded = set(python(f"import sys, {room}; print(*sys.modules)").split())
    assert not heavy & loaded


def imported(name: str, known: set[str]) -> set[str]:
    """Our modules that run when a module is imported: named on its top level, and packages on the way to them."""
    path = ROOT / Path(*name.split("."))
    path, package = (
        (path / "__init__.py", name) if path.is_dir() else (path.with_suffix(".py"), name.rpartition(".")[0])
    )
    found = set()
    statements = list(ast.parse(path.read_text(encoding="utf-8")).body)
    while statements:
        node = statements.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            statements += node.orelse
        elif isinstance(node, ast.If | ast.Try | ast.With):
            statements += [*ast.iter_child_nodes(node)]
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            source = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            parts = {f"{source}.{alias.name}" for alias in node.names}
            found |= {part if part in known else source for part in parts}
    above = {".".join(target.split(".")[:n]) for target in found for n in range(1, target.count(".") + 1)}
    mine = {".".join(name.split(".")[:n]) for n in range(1, name.count(".") + 2)}  # run before it, whoever imports it
    return ((above - mine) | found) & known


def test_every_module_can_be_imported_first():
    names = {name for room in ROOMS for name in modules(room)}
    TopologicalSorter({name: imported(name, names) for name in names}).prepare()  # raises CycleError, which names them
    can = [name for name in names if name not in OF_EXTRAS or importlib.util.find_spec(OF_EXTRAS[name])]
    python(f"import importlib\nfor name in {sorted(can)!r}:\n    importlib.import_module(name)")


def test_only_the_prefect_skin_imports_prefect_and_only_the_gpu_backend_cupy():
    allowed = {
        "prefect": {f"flows/prefect_skin/{name}.py" for name in ("building", "serving", "showing")},
        "cupy": {"ctsim/backends/gpu/device.py"},
        "cupyx": {f"ctsim/backends/gpu/{name}.py" for name in ("device", "reconstruction", "resampling")},
    }
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            here = path.relative_to(ROOT).as_posix()
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = (
                    [alias.name for alias in node.names]
                    if isinstance(node, ast.Import)
                    else [node.module or ""]
                    if isinstance(node, ast.ImportFrom)
                    else []
                )
                for name in names:
                    top = name.split(".")[0]
                    assert here in allowed.get(top, {here}), f"{here} imports {top}"


def test_libraries_read_no_clock_and_draw_no_hidden_chance():
    forbidden = ("time.time(", "datetime.now(", "np.random.seed", "np.random.rand", "random.random(", "default_rng()")
    for room in ("twins", "lesions", "ctsim", "labeling"):
        for path in (ROOT / room).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert not [word for word in forbidden if word in text], path
