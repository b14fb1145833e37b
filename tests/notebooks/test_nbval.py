"""nbval bites: one changed number or one broken import fails a lesson, and what is as it was passes.

The third control, a dropped execution count, is one that nbval lets pass; the rule against it is tested in test_rules.
"""

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


def change_number(notebook):
    """Change the first digit that nbval compares; return the text up to it, as it was and as it is now."""
    place, key = shown(notebook.cells[first_with_number(notebook)])
    before = place[key]
    place[key] = NUMBER.sub(lambda digit: str((int(digit[0]) + 1) % 10), before, count=1)
    end = NUMBER.search(before).end()
    return before[:end], place[key][:end]


def break_import(notebook):
    cell = next(cell for _, cell in rules.code_cells(notebook) if IMPORT.search(cell.source))
    cell.source = IMPORT.sub(r"\1 \2_that_is_missing", cell.source, count=1)


def test_one_changed_number_and_one_broken_import_fail_and_all_else_passes(opening, small_notebook, nbval):
    """One call, as the Makefile makes it, since each kernel and each process of pytest takes seconds to start."""
    options = re.search(r"^PARALLEL := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    cells = sum(1 for notebook in (opening, small_notebook) for _ in rules.code_cells(notebook))
    before, now = change_number(opening)
    break_import(small_notebook)
    status, text = nbval(opening, small_notebook, options=options)
    assert status == 1
    assert re.search(rf"\n2 failed, {cells - 2} passed", text), text
    mismatch = rf"copy0\.ipynb.*mismatch.*- {re.escape(before)}.*\+ {re.escape(now)}"
    assert re.search(mismatch, text, re.DOTALL), text
    assert re.search(r"copy1\.ipynb.*ModuleNotFoundError.*No module named '\w+_that_is_missing'", text, re.DOTALL)


def test_a_dropped_execution_count_fails(opening):
    rules.code_cells(opening)[0][1].execution_count = None
    assert rules.counts_run_from_one(opening) != []
