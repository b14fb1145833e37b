"""Every stored lesson keeps the rules, and is what its source builds."""

import subprocess
import sys

import nbformat
import pytest
import rules
from examples import ROOT

LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_the_course_has_its_first_lessons():
    assert {"00", "01"} <= {path.name[:2] for path in LESSONS}


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_stored_lesson_keeps_the_rules(path):
    assert rules.complaints(nbformat.read(path, as_version=4)) == []


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_stored_lesson_is_a_valid_notebook(path):
    nbformat.validate(nbformat.read(path, as_version=nbformat.NO_CONVERT))


def test_sources_and_notebooks_agree(builder):
    assert builder.check() == []


def output_of(code):
    """Run code in a new interpreter; return what reached its standard output and error, whoever wrote it."""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    return run.stdout + run.stderr


def test_start_up_messages_of_tensorflow_are_held_back():
    assert output_of("import resnet_lessons.models") == ""


def test_the_silence_is_heard_below_python():
    assert output_of("import os; os.write(2, b'native noise')") == "native noise"
