"""Exercises as a learner meets them: untouched they say so, and each folded solution passes its check."""

import ast
import re

import nbformat
import pytest
from examples import ROOT

LESSONS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
SOLUTION = re.compile(r"<details><summary>Solution</summary>\s*```python\n(.*?)```\s*</details>", re.DOTALL)
HINT = "<details><summary>Hint</summary>"
EXERCISE = re.compile(r"^\*\*Exercise (\d+)\*\* \((\d+) minutes", re.MULTILINE)


def exercises(notebook):
    """List (source of the exercise's cell, text above it, text below it)."""
    found = []
    for above, cell, below in zip(notebook.cells, notebook.cells[1:], notebook.cells[2:], strict=False):
        if cell.cell_type == "code" and re.search(r"^checks\.\w+\(", cell.source, re.MULTILINE):
            found.append((cell.source, above.source, below.source))
    return found


def verdict_on(source, solution):
    """Run an exercise's cell with ``solution`` in place of the learner's function; return the check's verdict."""
    statements = ast.parse(source).body
    check = ast.unparse(statements[-1])
    space = {}
    exec("import numpy as np", space)
    exec(source if solution is None else "from resnet_lessons import checks\n" + solution, space)
    return eval(check, space)


def all_exercises():
    return [
        pytest.param(*exercise, id=f"{path.stem[:2]}-{number}")
        for path in LESSONS
        for number, exercise in enumerate(exercises(nbformat.read(path, as_version=4)), start=1)
        if path.stem != "00_start_here"  # its one is lesson 01's, shown as an example
    ]


def test_lesson_01_has_at_least_three_exercises():
    assert sum(param.id.startswith("01-") for param in all_exercises()) >= 3


@pytest.mark.parametrize(("source", "above", "below"), all_exercises())
def test_an_untouched_exercise_says_so(source, above, below):  # noqa: ARG001
    source = source if "import checks" in source else "from resnet_lessons import checks\n" + source
    assert verdict_on(source, None).passed is None


@pytest.mark.parametrize(("source", "above", "below"), all_exercises())
def test_the_folded_solution_passes(source, above, below):  # noqa: ARG001
    [solution] = SOLUTION.findall(below)
    assert verdict_on(source, solution).passed is True


@pytest.mark.parametrize(("source", "above", "below"), all_exercises())
def test_an_exercise_has_minutes_and_a_hint(source, above, below):  # noqa: ARG001
    assert EXERCISE.search(above)
    assert HINT in below


def test_a_wrong_solution_is_told():
    [(source, _, _)] = exercises(_notebook_with("checks.plain_depth(depth)"))
    assert verdict_on(source, "def depth(n):\n    return 6 * n + 1").passed is False


def _notebook_with(code):
    text, new_code = nbformat.v4.new_markdown_cell("above"), nbformat.v4.new_code_cell(code)
    return nbformat.v4.new_notebook(cells=[text, new_code, nbformat.v4.new_markdown_cell("below")])
