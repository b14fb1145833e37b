"""Every stored lesson keeps the rules, and is what its source builds."""

import re
import subprocess
import sys

import nbformat
import pytest
import rules
from examples import ROOT

LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_the_course_has_its_eleven_lessons():
    assert [path.name[:2] for path in LESSONS] == [f"{number:02}" for number in range(11)]


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


OPENING = re.compile(r"\*(\d+) minutes to read and run, (\d+) more for the exercises")
SECONDS = re.compile(r"All the training takes about (\d+)\s+seconds")


def promises(opening, readme, map_of_lessons, name):
    """Collect what a lesson, its row in the README and its row in lesson 00 promise.

    Args:
        opening: the text of the lesson's first cell.
        readme: the text of the README.
        map_of_lessons: the text of lesson 00.
        name: of the lesson, such as "01_degradation".

    Returns:
        Three tuples of numbers as strings: minutes to read, minutes for exercises, seconds of training; "none" where
        nothing is trained, and lesson 00 names the minutes to read alone.
    """
    words = " ".join(opening.split())
    trained = SECONDS.search(words)
    lesson = (*OPENING.search(words).groups(), trained[1] if trained else "none")
    row = re.search(rf"^\| \[[^\]]+\]\(notebooks/{name}\.ipynb\).*$", readme, re.MULTILINE)[0]
    minutes, training = [cell.strip() for cell in row.split("|")[-3:-1]]
    seconds = re.search(r"\d+", training)
    listed = (*re.findall(r"\d+", minutes), seconds[0] if seconds else "none")
    mapped = re.search(rf"\({name}\.ipynb\) \|.*\| (\d+) \|$", map_of_lessons, re.MULTILINE)
    return lesson, listed, mapped.groups()


def disagree(lesson, listed, mapped):
    """Tell whether the promises of one lesson differ from place to place."""
    return lesson != listed or mapped != lesson[:1]


@pytest.mark.parametrize("path", LESSONS[1:], ids=lambda path: path.stem)
def test_a_lesson_promises_the_same_everywhere(path):
    opening = nbformat.read(path, as_version=4).cells[0].source
    readme, start = ((ROOT / name).read_text() for name in ("README.md", "notebooks/src/00_start_here.py"))
    found = promises(opening, readme, start, path.stem)
    assert not disagree(*found), found


@pytest.mark.parametrize(
    "row", ["40, and 25 for exercises | about 90 seconds |", "40, and 30 | about 70 seconds |", "45, and 25 | none |"]
)
def test_another_promise_is_told(row):
    opening = (
        "# Depth\n\n*40 minutes to read and run, 25 more for the exercises. All the training takes about 70 seconds*"
    )
    start = "# | [depth](01_depth.ipynb) | Why? | 40 |"
    right = promises(
        opening, "| [d](notebooks/01_depth.ipynb): why | 40, and 25 | about 70 seconds |", start, "01_depth"
    )
    assert not disagree(*right)
    assert disagree(*promises(opening, f"| [d](notebooks/01_depth.ipynb): why | {row}", start, "01_depth"))
