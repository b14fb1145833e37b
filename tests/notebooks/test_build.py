"""The builder: one way, whole or not at all, and the same again from the same source."""

import difflib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import jupytext
import nbformat
import pytest
from examples import ROOT, SMALL_LESSON
from hypothesis import given
from hypothesis import strategies as st

lines = st.text("abc123 =+()", min_size=1, max_size=20).filter(lambda line: line.strip())
cells = st.lists(st.tuples(st.sampled_from(["code", "markdown"]), st.lists(lines, min_size=1, max_size=3)), max_size=8)


@pytest.fixture
def lesson(tmp_path):
    """A function that writes a source and returns its path."""

    def write(text, name="07_lesson.py"):
        path = tmp_path / "src" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    return write


def percent_format(parts):
    make = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell}
    notebook = nbformat.v4.new_notebook(cells=[make[kind]("\n".join(text).strip()) for kind, text in parts])
    return jupytext.writes(notebook, fmt="py:percent"), [(cell.cell_type, cell.source) for cell in notebook.cells]


@given(parts=cells)
def test_a_source_becomes_its_cells_with_ids_of_their_own(builder, tmp_path_factory, parts):
    text, wanted = percent_format(parts)
    source = tmp_path_factory.mktemp("cells") / "00_cells.py"
    source.write_text(text)
    notebook = builder.from_source(source)
    assert [(cell.cell_type, cell.source) for cell in notebook.cells] == wanted
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    nbformat.validate(notebook)
    assert builder.disagreements(source, notebook) == []


def test_a_new_cell_leaves_the_ids_of_the_others(builder, lesson):
    first = builder.from_source(lesson(SMALL_LESSON))
    second = builder.from_source(lesson("# %%\nprint('new')\n\n" + SMALL_LESSON))
    assert [cell.id for cell in second.cells[1:]] == [cell.id for cell in first.cells]


def test_a_build_stores_outputs_and_nothing_of_the_day_or_the_machine(small_notebook, builder):
    printing, timing, _, drawing, widget = [cell for cell in small_notebook.cells if cell.cell_type == "code"]
    assert printing.outputs[0].text == "120\n"
    assert timing.metadata == {"tags": ["nbval-ignore-output"]}
    assert "image/png" in drawing.outputs[0].data
    assert widget.outputs[0].data["application/vnd.jupyter.widget-view+json"]["model_id"].startswith("0" * 24)
    assert set(small_notebook.metadata) == {"kernelspec", "language_info", "widgets"}
    assert {key: value for key, value in small_notebook.metadata.items() if key != "widgets"} == builder.METADATA


def test_a_rebuild_changes_only_what_varies(builder, small_lesson):
    before = small_lesson.read_text()
    builder.build(small_lesson.parent / "src" / "00_small.py")
    changes = [
        line[0]
        for line in difflib.unified_diff(before.splitlines(), small_lesson.read_text().splitlines(), n=0)
        if not line.startswith(("---", "+++", "@@"))
    ]
    assert changes in ([], ["-", "+"])  # the one printed time


def test_cells_run_in_the_folder_of_the_notebooks_on_this_interpreter(builder, lesson):
    code = "import os, sys\nprint(os.getcwd())\nprint(sys.executable)"
    path, _ = builder.build(lesson(f"# %%\n{code}\n"))
    text = nbformat.read(path, as_version=4).cells[0].outputs[0].text
    assert text.splitlines() == [str(path.parent.resolve()), sys.executable]


def test_what_is_stored_is_of_fast_mode_whatever_mode_the_author_has_set(builder, lesson, monkeypatch):
    monkeypatch.setenv("RESNET_LESSONS_MODE", "full")
    path, _ = builder.build(lesson("# %%\nimport os\nprint(os.environ.get('RESNET_LESSONS_MODE'))\n"))
    assert nbformat.read(path, as_version=4).cells[0].outputs[0].text == "None\n"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_build_tells_how_much_memory_the_kernel_took(builder, lesson):
    _, without = builder.build(lesson("# %%\nx = 1\n"))
    _, with_block = builder.build(lesson("# %%\nx = b'1' * 300_000_000\ndel x\n"))
    assert 2e8 < with_block - without < 5e8


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system has no /proc")
def test_a_process_that_has_ended_has_no_peak_memory(builder):
    assert builder._peak_memory(os.getpid()) > 0
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        status, deadline = Path(f"/proc/{process.pid}/status"), time.monotonic() + 60
        while "VmHWM" in status.read_text():  # nobody waits for it, so the system goes on naming it
            assert time.monotonic() < deadline
        assert builder._peak_memory(process.pid) is None


@pytest.mark.parametrize(
    ("bad_cell", "said"),
    [
        ("1 / 0", r"07_lesson.py, cell 2 \(1 / 0\) fails: ZeroDivisionError: division by zero"),
        ("x = = 1", r"cell 2 \(x = = 1\) fails: SyntaxError"),
        ("import sys\nprint('noise', file=sys.stderr)", r"cell 2 \(import sys\) writes to stderr: noise"),
        ("import os\nos._exit(3)", r"cell 2 \(import os\): Kernel died"),
    ],
)
def test_a_lesson_that_fails_leaves_the_notebook_as_it_was(builder, lesson, bad_cell, said):
    source = lesson(f"# %%\nprint(1)\n\n# %%\n{bad_cell}\n")
    builder.target(source).write_text("as it was")
    with pytest.raises(builder.BuildError, match=said):
        builder.build(source)
    assert builder.target(source).read_text() == "as it was"
    assert [path.name for path in source.parent.parent.iterdir() if path.is_file()] == ["07_lesson.ipynb"]


def test_an_invalid_notebook_is_not_written(builder, tmp_path):
    path = tmp_path / "00.ipynb"
    with pytest.raises(nbformat.ValidationError):
        builder.write(nbformat.from_dict({"cells": [{"cell_type": "code"}], "metadata": {}, "nbformat": 4}), path)
    assert list(tmp_path.iterdir()) == []


def change_source(notebook):
    notebook.cells[1].source += "\n"


def change_tag(notebook):
    notebook.cells[1].metadata["tags"] = ["nbval-ignore-output"]


def change_order(notebook):
    notebook.cells[1], notebook.cells[2] = notebook.cells[2], notebook.cells[1]


def change_type(notebook):
    notebook.cells[0] = nbformat.v4.new_raw_cell(notebook.cells[0].source, id=notebook.cells[0].id)


def drop_cell(notebook):
    del notebook.cells[-1]


def change_metadata(notebook):
    notebook.metadata.kernelspec.name = "my-environment"


DRIFTS = [change_source, change_tag, change_order, change_type, drop_cell, change_metadata]


@pytest.mark.parametrize("drift", DRIFTS, ids=lambda drift: drift.__name__)
def test_a_notebook_that_drifts_from_its_source_is_told(builder, small_lesson, small_notebook, drift):
    source = small_lesson.parent / "src" / "00_small.py"
    assert builder.disagreements(source, small_notebook) == []
    drift(small_notebook)
    assert builder.disagreements(source, small_notebook) != []


def test_a_source_without_a_notebook_and_a_notebook_without_a_source_are_told(builder, lesson):
    source = lesson("# %%\n1\n")
    (source.parent.parent / "08_other.ipynb").write_text(json.dumps({}))
    said = builder.check(source.parent.parent)
    assert said == ["07_lesson.py has no notebook 07_lesson.ipynb", "08_other.ipynb has no source"]


def test_lessons_are_chosen_by_number(builder, lesson):
    for name in ("10_b.py", "02_a.py", "notes.py"):
        lesson("", name)
    folder = lesson("", "02_a.py").parent.parent
    assert [path.name for path in builder.sources(folder)] == ["02_a.py", "10_b.py"]
    assert [path.name for path in builder.sources(folder, ["10"])] == ["10_b.py"]
    with pytest.raises(builder.BuildError, match=r"No such lesson: 11, x\. There are: 02, 10\."):
        builder.sources(folder, ["x", "11"])


@pytest.mark.parametrize(("arguments", "said"), [(["77"], "No such lesson: 77"), (["77", "--check"], "No such lesson")])
def test_the_command_fails_with_a_message_and_no_traceback(arguments, said):
    script = os.fspath(ROOT / "notebooks" / "build.py")
    run = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 1
    assert said in run.stderr
    assert "Traceback" not in run.stderr


def test_a_cell_of_full_mode_has_as_long_under_nbval_as_in_a_build(builder):
    makefile = (ROOT / "Makefile").read_text()
    assert f"NBVAL := --nbval --nbval-cell-timeout={builder.CELL_TIMEOUT}\n" in makefile
    assert makefile.count("$(NBVAL)") == 2  # for all lessons, and for those on a GPU
