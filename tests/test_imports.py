"""Imports point one way: the table below says who may import whom, and every module is held to it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = "resnet_lessons"
ROOT = Path(__file__).resolve().parents[1]
FRAMEWORKS = {"tensorflow", "jax", "jaxlib", "torch"}
COMPARED = {"bench": {"torch"}}  # frameworks that are only measured against, where they are installed
NOT_SHIPPED = {"tests", "notebooks", "pytest", "nbval", "hypothesis", "jupytext", "nbclient", "ruff", "sklearn"}
PLOTTING = {"matplotlib", "ipywidgets", "IPython"}

# Module: the modules of the package that it may import. A package such as data is one entry; inside it all may meet.
MAY_IMPORT = {
    "specs": set(),
    "recipes": set(),
    "tables": set(),
    "results": {"specs", "recipes", "tables"},  # plain data that names a network and how it was trained
    "data": {"disk"},
    "machine": set(),  # what this process may use
    "disk": set(),  # what outlives a power failure
    "backend": set(),
    "blocks": {"backend"},
    "models": {"blocks", "specs"},
    "accounting": {"models", "specs", "backend"},
    "batches": {"data", "recipes", "backend"},  # backend: Keras without its start-up messages
    "training": {"batches", "models", "recipes", "results", "backend", "specs", "machine", "disk"},
    "sweep": {"data", "recipes", "specs", "results", "machine", "training"},  # training: in the workers alone
    "diagnostics": {"models", "backend", "disk"},
    "plots": {"results", "accounting"},
    "checks": {"models", "accounting", "diagnostics", "specs", "backend"},  # backend: as for batches
    "widgets": {"plots", "accounting", "results", "training", "specs", "recipes", "tables"},
}
MAY_IMPORT["doctor"] = set(MAY_IMPORT) - {"checks", "widgets"}  # looks at everything a lesson leans on
MAY_IMPORT["bench"] = {"models", "recipes", "batches", "training", "backend", "specs", "accounting", "machine"}
MAY_IMPORT["cli"] = set(MAY_IMPORT) - {"checks", "widgets"}
MAY_IMPORT[""] = {"specs", "recipes", "results", "data"}  # the package itself: nothing that loads Keras
WITHOUT_KERAS = {"", "specs", "recipes", "results", "data", "machine", "disk", "tables", "sweep"}
WITH_PLOTS = {"plots", "widgets"}


def imported(source, module, is_package=False):
    """List the absolute names that a module's source imports, at its top or inside a function.

    Args:
        source: its text.
        module: its dotted name.
        is_package: whether it is an ``__init__``, which relative imports start from.

    Returns:
        A sorted list such as ["keras.layers", "numpy", "resnet_lessons.specs"]; ``from a import b`` gives "a.b".
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = module.split(".")
            start = parts[: len(parts) - node.level + is_package] if node.level else []
            origin = ".".join([*start, *filter(None, [node.module])])
            found |= {f"{origin}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and _is_import_function(node.func):
            found |= {arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant)}
    return sorted(found)


def _is_import_function(function):
    return getattr(function, "attr", getattr(function, "id", None)) in {"import_module", "__import__"}


def member(name):
    """Name the entry of the table that a name belongs to: "data" for resnet_lessons.data.formats, "" for no module."""
    part = name.split(".")[1] if "." in name else ""
    return part if part in MAY_IMPORT or part in {path.stem for path in (ROOT / PACKAGE).iterdir()} else ""


def violations(module, names):
    """Hold one module's imports to the table.

    Args:
        module: its dotted name.
        names: what it imports, as ``imported`` lists it.

    Returns:
        A list of sentences; empty when all is as it may be.
    """
    own = member(module)
    if own not in MAY_IMPORT:
        return [f"{module} is not in the table of tests/test_imports.py: say there what it may import"]
    inside = {member(name) for name in names if name.split(".")[0] == PACKAGE} - {own, ""}
    outside = {name.split(".")[0] for name in names} - {PACKAGE}
    forbidden = {name: "only backend may" for name in FRAMEWORKS - COMPARED.get(own, set()) if own != "backend"}
    forbidden |= dict.fromkeys(NOT_SHIPPED, "it is for tests and authors")
    forbidden |= {name: "only plots and widgets may" for name in PLOTTING if own not in WITH_PLOTS}
    forbidden |= {"keras": "it must load without Keras"} if own in WITHOUT_KERAS else {}
    said = [f"{module} imports {PACKAGE}.{name}, the table does not let it" for name in inside - MAY_IMPORT[own]]
    return sorted(said + [f"{module} imports {name}: {forbidden[name]}" for name in outside & set(forbidden)])


def modules():
    """List (dotted name, path) of every module of the package."""
    paths = sorted((ROOT / PACKAGE).rglob("*.py"))
    return [(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"), path) for path in paths]


@pytest.mark.parametrize(("module", "path"), modules(), ids=lambda value: value if isinstance(value, str) else "")
def test_a_module_imports_what_the_table_lets_it(module, path):
    assert violations(module, imported(path.read_text(), module, path.stem == "__init__")) == []


def loads_keras_quietly(names):
    """Tell whether a module that imports Keras first imports one that holds its start-up messages back."""
    quiet = {f"{PACKAGE}.{name}" for name in ("backend", "blocks")}  # blocks imports backend
    return "keras" not in names or any(name in quiet for name in names)


@pytest.mark.parametrize(("module", "path"), modules(), ids=lambda value: value if isinstance(value, str) else "")
def test_keras_is_loaded_quietly_wherever_one_starts(module, path):
    if member(module) != "backend":
        assert loads_keras_quietly(imported(path.read_text(), module, path.stem == "__init__"))


def test_a_noisy_import_of_keras_is_told():
    assert not loads_keras_quietly(imported("import keras\nfrom resnet_lessons import specs", f"{PACKAGE}.models"))


def test_nobody_may_import_the_ends_of_the_chain():
    assert not {"cli", "widgets", "checks"} & set().union(*MAY_IMPORT.values())


def test_the_table_has_no_circle():
    reached = {name: set(below) for name, below in MAY_IMPORT.items()}
    for _ in reached:
        reached = {name: below.union(*(reached[other] for other in below)) for name, below in reached.items()}
    assert [name for name, below in reached.items() if name in below] == []


@pytest.mark.parametrize(
    ("source", "module", "names"),
    [
        ("import os, keras.layers", "specs", ["keras.layers", "os"]),
        ("from . import models\nfrom .data import load", "cli", [f"{PACKAGE}.data.load", f"{PACKAGE}.models"]),
        ("from resnet_lessons import specs as s", "models", [f"{PACKAGE}.specs"]),
        ("def f():\n    if 1:\n        import tensorflow as tf", "plots", ["tensorflow"]),
        (
            "import importlib\nimportlib.import_module('jax')\n__import__('torch')",
            "specs",
            ["importlib", "jax", "torch"],
        ),
        ("from ..specs import Spec", "data.formats", [f"{PACKAGE}.specs.Spec"]),
    ],
)
def test_imports_are_found_wherever_they_stand(source, module, names):
    assert imported(source, f"{PACKAGE}.{module}") == names


def test_a_relative_import_of_a_package_starts_at_the_package():
    assert imported("from . import formats", f"{PACKAGE}.data", is_package=True) == [f"{PACKAGE}.data.formats"]


@pytest.mark.parametrize(
    ("module", "source", "said"),
    [
        ("models", "import tensorflow", "only backend may"),
        ("training", "def f():\n    from jax import numpy", "only backend may"),
        ("bench.keras_nets", "import tensorflow", "only backend may"),
        ("models", "import torch", "only backend may"),
        ("specs", "from keras import layers", "without Keras"),
        ("data.formats", "import keras", "without Keras"),
        ("data.formats", "from ..batches import Batches", "resnet_lessons.batches, the table does not"),
        ("blocks", "from resnet_lessons.specs import Spec", "resnet_lessons.specs, the table does not"),
        ("blocks", "from . import models", "resnet_lessons.models, the table does not"),
        ("models", "from resnet_lessons import cli", "resnet_lessons.cli, the table does not"),
        ("cli", "import resnet_lessons.checks", "resnet_lessons.checks, the table does not"),
        ("doctor", "from .widgets import picker", "resnet_lessons.widgets, the table does not"),
        ("training", "import matplotlib.pyplot as plt", "only plots and widgets may"),
        ("diagnostics", "import pytest", "for tests and authors"),
        ("checks", "from tests import conftest", "for tests and authors"),
    ],
)
def test_a_forbidden_import_is_told(module, source, said):
    name = f"{PACKAGE}.{module}"
    assert [said in sentence for sentence in violations(name, imported(source, name))] == [True]


def test_an_undeclared_module_is_told(tmp_path, monkeypatch):
    (tmp_path / PACKAGE).mkdir()
    (tmp_path / PACKAGE / "helpers.py").write_text("import os")
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    [(name, _)] = modules()
    assert violations(name, ["os"]) == [
        f"{PACKAGE}.helpers is not in the table of tests/test_imports.py: say there what it may import"
    ]


def test_modules_of_one_package_may_import_each_other():
    assert violations(f"{PACKAGE}.data.cache", [f"{PACKAGE}.data.formats", f"{PACKAGE}.data", "numpy"]) == []


def loaded_by(code):
    """Run code in a new interpreter and list the top-level modules it has loaded at the end."""
    code += "\nimport sys\nprint(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


HEAVY = {"keras", "tensorflow", "jax", "matplotlib", "ipywidgets", "pandas", "scipy"}


def test_the_package_loads_neither_keras_nor_matplotlib():
    assert not loaded_by("import resnet_lessons") & HEAVY


@pytest.mark.parametrize("name", sorted(WITHOUT_KERAS - {""}))
def test_modules_without_keras_load_none(name):
    assert not loaded_by(f"import resnet_lessons.{name}") & HEAVY


def test_a_loaded_module_is_seen():
    assert "matplotlib" in loaded_by("import matplotlib")
