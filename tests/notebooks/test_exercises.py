"""Exercises and specimens as a learner meets them.

An untouched exercise says so; a specimen, code with a bug in it, is told as wrong; each folded solution passes.
"""

import ast
import re

from resnet_lessons import checks

import nbformat
import pytest
from examples import ROOT

LESSONS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
SOLUTION = re.compile(r"<details><summary>Solution</summary>\s*```python\n(.*?)\n```\n.*?</details>", re.DOTALL)
HINT = "<details><summary>Hint</summary>"
ANNOUNCED = re.compile(r"^\*\*(Exercise|Specimen) (\d+)\*\* \((\d+) minutes", re.MULTILINE)
UNTOUCHED = {"Exercise": None, "Specimen": False}  # the verdict on what the cell holds at first
CORE = [f"{number:02}" for number in range(1, 7)]


def exercises(notebook):
    """List (source of the exercise's cell, text above it, text below it, imports of the lesson so far)."""
    found, imports = [], []
    for above, cell, below in zip(notebook.cells, notebook.cells[1:], notebook.cells[2:], strict=False):
        imports += imports_of(above.source) if above.cell_type == "code" else []
        if cell.cell_type == "code" and re.search(r"^checks\.\w+\(", cell.source, re.MULTILINE):
            found.append((cell.source, above.source, below.source, "\n".join(imports)))
    return found


def imports_of(source):
    """List the import statements at the top level of a cell: what a learner has by then without writing it."""
    statements = ast.parse("\n".join(line for line in source.splitlines() if not line.startswith(("%", "!")))).body
    return [ast.unparse(node) for node in statements if isinstance(node, ast.Import | ast.ImportFrom)]


def kind_of(above):
    """Return "Exercise" or "Specimen", as the text above announces it last."""
    return ANNOUNCED.findall(above)[-1][0]


def verdict_on(source, solution, imports):
    """Run an exercise's cell, with ``solution`` in place of the learner's function; return the check's verdict.

    Either has what the lesson has imported by then, the cell's own imports among it.
    """
    check = ast.unparse(ast.parse(source).body[-1])
    space = {}
    exec("\n".join(["import numpy as np\nfrom resnet_lessons import checks", imports, *imports_of(source)]), space)
    exec(source if solution is None else solution, space)
    return eval(check, space)


def all_exercises():
    return [
        pytest.param(*exercise, id=f"{path.stem[:2]}-{number}")
        for path in LESSONS
        for number, exercise in enumerate(exercises(nbformat.read(path, as_version=4)), start=1)
        if path.stem != "00_start_here"  # its one is lesson 01's, shown as an example
    ]


@pytest.mark.parametrize("lesson", [path.stem[:2] for path in LESSONS if path.stem[:2] in CORE])
def test_a_lesson_of_the_core_has_at_least_three_exercises(lesson):
    assert sum(param.id.startswith(f"{lesson}-") for param in all_exercises()) >= 3


@pytest.mark.parametrize(("source", "above", "below", "imports"), all_exercises())
def test_what_the_cell_holds_at_first_gets_its_verdict(source, above, below, imports):  # noqa: ARG001
    assert verdict_on(source, None, imports).passed is UNTOUCHED[kind_of(above)]


@pytest.mark.parametrize(("source", "above", "below", "imports"), all_exercises())
def test_the_folded_solution_passes(source, above, below, imports):  # noqa: ARG001
    [solution] = SOLUTION.findall(below)
    assert verdict_on(source, solution, imports).passed is True


@pytest.mark.parametrize(("source", "above", "below", "imports"), all_exercises())
def test_an_exercise_has_minutes_and_a_hint(source, above, below, imports):  # noqa: ARG001
    assert ANNOUNCED.search(above)
    assert HINT in below


def test_the_zoo_has_a_specimen_of_each_of_nine_bugs():
    [zoo] = [path for path in LESSONS if path.stem[:2] == "06"]
    found = exercises(nbformat.read(zoo, as_version=4))
    specimens = {
        re.search(r"^checks\.(zoo_\w+)\(", source, re.MULTILINE)[1]
        for source, above, *_ in found
        if kind_of(above) == "Specimen"
    }
    zoo_checks = {name for name in checks.__all__ if name.startswith("zoo_")}
    assert specimens == zoo_checks
    assert len(specimens) == 9


def test_what_a_check_says_of_an_untouched_specimen_is_stored_folded():
    [zoo] = [path for path in LESSONS if path.stem[:2] == "06"]
    stored = [cell.outputs for cell in nbformat.read(zoo, as_version=4).cells if "checks.zoo_" in cell.source]
    assert len(stored) == 9
    assert all(output.data["text/html"].startswith("<details>") for [output] in stored)


WRONG_DEPTH = "def depth(n):\n    return 6 * n + 1"


def test_a_wrong_solution_is_told():
    [(source, _, _, imports)] = exercises(notebook_with("checks.plain_depth(depth)"))
    assert verdict_on(source, WRONG_DEPTH, imports).passed is False


def test_a_cell_has_what_the_cells_above_import():
    cells = ["import math as m", "x = 1", "%matplotlib inline\nfrom math import pi"]
    [(source, _, _, imports)] = exercises(notebook_with("checks.plain_depth(depth)", *cells))
    assert imports == "import math as m\nfrom math import pi"
    assert verdict_on(source, "def depth(n):\n    return m.floor(2 * pi) * n + 2", imports).passed is True


def test_a_specimen_is_told_from_an_exercise_by_what_stands_last():
    assert kind_of("**Exercise 3** (4 minutes). Count.\n\n**Specimen 1** (5 minutes). Find it.") == "Specimen"
    assert kind_of("**Specimen 1** (5 minutes). Find it.\n\n**Exercise 4** (1 minutes). Say it.") == "Exercise"


def test_a_specimen_that_does_not_fail_would_be_noticed():
    """A cured specimen, and an empty one, get other verdicts than the one that a specimen must have."""
    [(source, _, _, imports)] = exercises(notebook_with(f"{WRONG_DEPTH}\n\n\nchecks.plain_depth(depth)"))
    assert verdict_on(source, None, imports).passed is UNTOUCHED["Specimen"]
    assert verdict_on(source.replace("+ 1", "+ 2"), None, imports).passed is not UNTOUCHED["Specimen"]
    assert verdict_on(source.replace("6 * n + 1", "..."), None, imports).passed is UNTOUCHED["Exercise"]


def notebook_with(code, *before):
    cells = [nbformat.v4.new_code_cell(source) for source in before]
    text, below = nbformat.v4.new_markdown_cell("above"), nbformat.v4.new_markdown_cell("below")
    return nbformat.v4.new_notebook(cells=[*cells, text, nbformat.v4.new_code_cell(code), below])
