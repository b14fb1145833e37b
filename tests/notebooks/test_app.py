"""The explorer as a page of its own: what is served, where, and to whom. tests/browser opens it."""

import ast
import sys
from pathlib import Path

import nbformat
import pytest
from examples import ROOT


def test_the_notebook_shows_the_page_and_nothing_else(app, tmp_path):
    made = app.notebook(tmp_path)
    nbformat.validate(made)
    text, code = made.cells
    assert (text.cell_type, code.cell_type) == ("markdown", "code")
    statements = ast.parse(code.source).body
    assert ast.unparse(statements[-1]).startswith("widgets.Explorer(data.load('cifar10'), folder=Path(")
    folder = eval(ast.unparse(statements[-1].value.keywords[0].value.args[0]))
    assert folder == str(tmp_path)


def test_the_lesson_and_the_page_keep_their_runs_in_one_folder(app):
    lesson = nbformat.read(ROOT / "notebooks" / "10_explorer.ipynb", as_version=4)
    [shown] = [cell.source for cell in lesson.cells if cell.cell_type == "code" and "Explorer(" in cell.source]
    assert 'folder="../runs/explorer"' in shown
    code = ast.parse(app.notebook().cells[1].source).body[-1]
    parts = [ast.literal_eval(part) for part in code.value.keywords[0].value.args]
    assert Path(*parts) == (ROOT / "notebooks" / "../runs/explorer").resolve()


def test_it_is_served_on_this_machine_alone(app, tmp_path):
    command = app.command(tmp_path / "page.ipynb", ["--no-browser", "--port=8866"])
    assert command[:3] == [sys.executable, "-m", "voila"]
    assert "--Voila.ip=127.0.0.1" in command
    assert command[-3:] == ["--no-browser", "--port=8866", str(tmp_path / "page.ipynb")]
    assert any("Content-Security-Policy" in option for option in command)


@pytest.mark.parametrize("value", ["0.0.0.0", "192.0.2.1", "", "::"])
@pytest.mark.parametrize("name", ["--Voila.ip", "--ip", "--IP"])
def test_it_is_not_opened_to_others(app, tmp_path, name, value):
    with pytest.raises(ValueError, match="for this machine only"):
        app.command(tmp_path / "page.ipynb", [f"{name}={value}"])


@pytest.mark.parametrize("option", ["--Voila.ip=127.0.0.1", "--ip=localhost", "--no-browser", "--strip_sources=False"])
def test_other_options_are_voilas(app, tmp_path, option):
    assert option in app.command(tmp_path / "page.ipynb", [option])
