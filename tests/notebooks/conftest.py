"""The scripts of notebooks/ as modules, and a small lesson that was built."""

import importlib.util
import subprocess
import sys

import nbformat
import pytest
from examples import ROOT, SMALL_LESSON


def script(name):
    """Load notebooks/NAME.py as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "notebooks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def builder():
    """The module notebooks/build.py."""
    return script("build")


@pytest.fixture(scope="session")
def handout():
    """The module notebooks/handout.py."""
    return script("handout")


@pytest.fixture(scope="session")
def app():
    """The module notebooks/app.py."""
    return script("app")


@pytest.fixture(scope="session")
def small_lesson(builder, tmp_path_factory):
    """The path of a small lesson, built; it lies alone in a folder with its source in src."""
    source = tmp_path_factory.mktemp("notebooks") / "src" / "00_small.py"
    source.parent.mkdir()
    source.write_text(SMALL_LESSON)
    path, _ = builder.build(source)
    return path


@pytest.fixture
def small_notebook(small_lesson):
    """A fresh copy of the small lesson, to be broken."""
    return nbformat.read(small_lesson, as_version=4)


@pytest.fixture
def nbval(tmp_path, monkeypatch):
    """Run nbval on notebooks as an outsider would call it; return its exit status and what it prints."""
    monkeypatch.delenv("MPLBACKEND")  # the kernel has its own, inline

    def run(*notebooks, options=()):
        paths = [tmp_path / f"copy{number}.ipynb" for number in range(len(notebooks))]
        for notebook, path in zip(notebooks, paths, strict=True):
            nbformat.write(notebook, path)
        command = [sys.executable, "-m", "pytest", "-c", ROOT / "pyproject.toml", "--rootdir", tmp_path]
        command = [*command, *options, "-p", "no:cacheprovider", "--nbval", *paths]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
        return done.returncode, done.stdout

    return run
