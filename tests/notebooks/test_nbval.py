"""nbval bites: a lesson passes as it is, and one changed number or one broken import fails it.

The third control, a dropped execution count, is one that nbval lets pass; the rule against it is tested in test_rules.
"""

import copy
import re

import nbformat
import pytest
import rules
from examples import ROOT
from test_lessons import LESSONS

NUMBER = re.compile(r"\d")
IMPORT = re.compile(r"^(import|from) (\w+)", re.MULTILINE)


def shown(cell):
    """The one text output that nbval compares first, or None: a dict and the key of its text."""
    for output in cell.outputs:
        for place, key in ((output, "text"), (output.get("data", {}), "text/plain")):
            if NUMBER.search(place.get(key, "")):
                return place, key
    return None


def first_with_number(notebook):
    """The index of the first cell with a compared number in its output."""
    return next(
        number - 1
        for number, cell in rules.code_cells(notebook)
        if rules.IGNORED not in rules.tags(cell) and shown(cell) is not None
    )


@pytest.fixture(params=LESSONS[:1], ids=lambda path: path.stem)
def opening(request):
    """The start of the first lesson, long enough to hold an import and a compared number."""
    notebook = nbformat.read(request.param, as_version=4)
    importing = next(i - 1 for i, cell in rules.code_cells(notebook) if IMPORT.search(cell.source))
    del notebook.cells[max(importing, first_with_number(notebook)) + 1 :]
    notebook.metadata.pop("widgets", None)
    return notebook


def test_a_lesson_passes_as_it_is(opening, nbval):
    status, text = nbval(opening)
    assert status == 0, text


def test_one_changed_number_fails(opening, nbval):
    place, key = shown(opening.cells[first_with_number(opening)])
    place[key] = NUMBER.sub(lambda digit: str((int(digit[0]) + 1) % 10), place[key], count=1)
    status, text = nbval(opening)
    assert status == 1
    assert "1 failed" in text
    assert "mismatch" in text


def test_one_broken_import_fails(opening, nbval):
    cell = next(cell for _, cell in rules.code_cells(opening) if IMPORT.search(cell.source))
    cell.source = IMPORT.sub(r"\1 \2_that_is_missing", cell.source, count=1)
    status, text = nbval(opening)
    assert status == 1
    assert "ModuleNotFoundError" in text


def test_one_changed_number_fails_where_lessons_run_side_by_side(small_notebook, nbval):
    """Call nbval as the Makefile does."""
    options = re.search(r"^PARALLEL := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    changed = copy.deepcopy(small_notebook)
    rules.code_cells(changed)[0][1].outputs[0].text = "121\n"
    status, text = nbval(small_notebook, changed, options=options)
    assert status == 1
    assert re.search(r"\n1 failed, 9 passed", text), text
    assert re.search(r"copy1\.ipynb.*mismatch 'stdout'.*120.*121", text, re.DOTALL)


def test_a_dropped_execution_count_fails(opening):
    rules.code_cells(opening)[0][1].execution_count = None
    assert rules.counts_run_from_one(opening) != []
