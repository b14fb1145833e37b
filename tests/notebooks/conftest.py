"""The builder as a module, and a small lesson that it built."""

import importlib.util

import nbformat
import pytest
from examples import ROOT, SMALL_LESSON


@pytest.fixture(scope="session")
def builder():
    """The module notebooks/build.py."""
    spec = importlib.util.spec_from_file_location("build", ROOT / "notebooks" / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def small_lesson(builder, tmp_path_factory):
    """The path of a small lesson, built; it lies alone in a folder with its source in src."""
    source = tmp_path_factory.mktemp("notebooks") / "src" / "00_small.py"
    source.parent.mkdir()
    source.write_text(SMALL_LESSON)
    return builder.build(source)


@pytest.fixture
def small_notebook(small_lesson):
    """A fresh copy of the small lesson, to be broken."""
    return nbformat.read(small_lesson, as_version=4)
