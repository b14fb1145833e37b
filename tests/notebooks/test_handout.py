"""The handout: the lessons as they are stored, the solutions and nothing else gone; what may hide one is refused."""

import os
import re
import shutil
import subprocess
import sys

import nbformat
import pytest
import rules
from examples import ROOT
from test_lessons import LESSONS

SCRIPT = os.fspath(ROOT / "notebooks" / "handout.py")
ABOVE = "**Exercise 1** (2 minutes). The depth of a plain net."
CODE = "checks.plain_depth(depth)"
HINT = "<details><summary>Hint</summary>\n\nCount the stem.\n\n</details>"
SOLUTION = "<details><summary>Solution</summary>\n\n```python\nreturn 6 * n + 2\n```\n\n</details>"
AFTER = "What was asked is answered in the next section."


def lesson(below, above=ABOVE, code=CODE):
    make = nbformat.v4
    cells = [make.new_markdown_cell(above), make.new_code_cell(code), make.new_markdown_cell(below)]
    return make.new_notebook(cells=cells)


def prose(notebook):
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


@pytest.fixture(scope="session")
def stored(handout, tmp_path_factory):
    """The folder with the handout of the stored lessons."""
    folder = tmp_path_factory.mktemp("handout") / "new"
    handout.write(folder)
    return folder


def in_handout(stored, path):
    return nbformat.read(stored / "notebooks" / path.name, as_version=4)


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_code_outputs_and_the_rest_are_as_stored(stored, path):
    before, after = nbformat.read(path, as_version=4), in_handout(stored, path)
    assert [cell for _, cell in rules.code_cells(after)] == [cell for _, cell in rules.code_cells(before)]
    assert after.metadata == before.metadata
    nbformat.validate(after)
    assert rules.complaints(after) == []


# By lines, as the lessons are written, and so by another way than the script's
@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_the_text_is_as_stored_but_for_the_solutions(stored, path):
    before, after = prose(nbformat.read(path, as_version=4)), prose(in_handout(stored, path))
    wanted = re.sub(r"\n*<details><summary>Solution</summary>((?!</?details).)*</details>", "", before, flags=re.DOTALL)
    assert re.sub(r"\n+", "\n", after) == re.sub(r"\n+", "\n", wanted).strip("\n")
    assert not re.search(r"summary>\s*solution", after, re.IGNORECASE)
    assert after.count("<summary>Hint") == before.count("<summary>Hint")


def test_lesson_01_has_lost_its_solutions(stored):
    [path] = [path for path in LESSONS if path.name.startswith("01_")]
    held = path.read_text(encoding="utf-8")
    assert "n if n > 0 and rest == 0 else None" in held
    assert "n if n > 0 and rest == 0 else None" not in (stored / "notebooks" / path.name).read_text(encoding="utf-8")


def test_a_lesson_without_solutions_is_the_same_file(stored):
    [path] = [path for path in LESSONS if path.name.startswith("00_")]
    assert (stored / "notebooks" / path.name).read_bytes() == path.read_bytes()


def test_a_handed_out_lesson_passes_nbval(stored, nbval):
    """Run lesson 01 as far as its first exercise, from which the first solution was taken."""
    [path] = [path for path in LESSONS if path.name.startswith("01_")]
    notebook = in_handout(stored, path)
    del notebook.cells[next(i for i, cell in rules.code_cells(notebook) if "checks." in cell.source) + 1 :]
    notebook.metadata.pop("widgets", None)
    assert "<summary>Hint" in notebook.cells[-1].source
    status, text = nbval(notebook)
    assert status == 0, text


@pytest.mark.parametrize(
    ("below", "left"),
    [
        (f"{HINT}\n{SOLUTION}\n\n{AFTER}", f"{HINT}\n\n{AFTER}"),
        (f"{SOLUTION}\n\n{HINT}", HINT),
        (f"{AFTER}\n\n{SOLUTION}", AFTER),
    ],
)
def test_a_solution_goes_and_the_text_around_it_stays(handout, below, left):
    notebook = lesson(below)
    assert handout.strip(notebook) == 1
    assert [cell.source for cell in notebook.cells] == [ABOVE, CODE, left]


def test_a_cell_that_held_only_a_solution_goes(handout):
    notebook = lesson(SOLUTION)
    assert handout.strip(notebook) == 1
    assert [cell.source for cell in notebook.cells] == [ABOVE, CODE]


UNUSUAL = {
    "open": SOLUTION.replace("<details>", "<details open>"),
    "two lines": SOLUTION.replace("<details><summary>", "<details>\n<summary>"),
    "capitals": SOLUTION.replace("details", "DETAILS"),
    "bold": SOLUTION.replace("Solution", "<b>Solution</b>"),
    "another name": SOLUTION.replace("Solution", "Answer"),
    "numbered": SOLUTION.replace("Solution", "Solution 1"),
    "indented": SOLUTION.replace("<details>", " <details>"),
    "end on the last line": SOLUTION.replace("\n\n</details>", " </details>"),
    "no end": SOLUTION.replace("</details>", ""),
    "inside the hint": f"{HINT.removesuffix('</details>')}{SOLUTION}\n</details>",
    "called a hint": SOLUTION.replace("Solution", "Hint"),
    "heading": "### Solution\n\n`6 * n + 2`",
    "paragraph": "**Solution.** `6 * n + 2`",
    "list": "- Solution: `6 * n + 2`",
    "none": AFTER,
    "twice": f"{SOLUTION}\n{SOLUTION}",
    "before its end": f"{SOLUTION}\n</details>",
}


@pytest.mark.parametrize("below", UNUSUAL.values(), ids=UNUSUAL)
@pytest.mark.parametrize("kind", ["Exercise", "Specimen"])
def test_a_solution_in_another_form_is_refused(handout, kind, below):
    with pytest.raises(handout.HandoutError, match=r"^cell [23] "):
        handout.strip(lesson(below, ABOVE.replace("Exercise", kind)))


@pytest.mark.parametrize(
    "broken",
    [
        lambda: lesson(f"{SOLUTION}\n", code=f"# Solution: 6 * n + 2\n{CODE}"),
        lambda: lesson(SOLUTION, above=f"{ABOVE}\n\n<details>\n<summary>Solution</summary>6</details>"),
        lambda: nbformat.v4.new_notebook(cells=lesson(SOLUTION).cells[:2]),
    ],
    ids=["in the code", "above the exercise", "at the end of the lesson"],
)
def test_a_solution_in_another_place_is_refused(handout, broken):
    with pytest.raises(handout.HandoutError, match=r"^cell \d "):
        handout.strip(broken())


@pytest.mark.parametrize(
    "accepted",
    [
        lesson(AFTER, above="An exercise looks like this."),
        lesson(AFTER, code="print(1)"),
        lesson(f"{SOLUTION}\n\nA built\nsolution is no fold, and Hints and Solutions are."),
    ],
)
def test_no_lesson_is_refused_for_the_word_alone(handout, accepted):
    handout.strip(accepted)


@pytest.fixture
def course(tmp_path):
    """A function that writes files below a small repository with one lesson, and returns its folder."""
    root = tmp_path / "course"

    def write(text=AFTER, **pages):
        (root / "notebooks" / "src").mkdir(parents=True)
        (root / "notebooks" / "src" / "00_a.py").write_text(SOLUTION)
        (root / "docs").mkdir()
        nbformat.write(lesson(f"{SOLUTION}\n\n{text}"), root / "notebooks" / "00_a.ipynb")
        for name, page in pages.items():
            (root / "docs" / f"{name}.md").write_text(page)
        return root

    return write


def test_pages_that_lessons_link_to_come_along(handout, course, tmp_path):
    text = "See [terms](../docs/terms.md#block), [itself](00_a.ipynb), [there](https://example.org), [above](#top)."
    root = course(text, terms=f"[more](more.md)\n\n{SOLUTION}\n", more="[back](../notebooks/00_a.ipynb)", other="no")
    found = handout.write(tmp_path / "new", root)
    assert {name: count for name, (_, count) in found.items()} == {
        "notebooks/00_a.ipynb": 1,
        "docs/terms.md": 1,
        "docs/more.md": 0,
    }
    written = {path.relative_to(tmp_path / "new").as_posix() for path in (tmp_path / "new").rglob("*.*")}
    assert written == set(found)


@pytest.mark.parametrize(
    "link",
    [
        "[source](src/00_a.py)",
        "[page](../docs/missing.md)",
        "[home](../README.md)",
        "![a block](block.png)",
        "[a][1]\n\n[1]: ../docs/missing.md",
        '<a href="../x.html">',
        "[out](../../x.md)",
    ],
)
def test_a_link_to_what_is_not_handed_out_is_refused(handout, course, tmp_path, link):
    root = course(f"Read {link}.")
    (root / "README.md").write_text("home")
    with pytest.raises(handout.HandoutError, match=r"^notebooks/00_a\.ipynb links to "):
        handout.write(tmp_path / "new", root)
    assert not (tmp_path / "new").exists()


def test_code_and_formulas_are_no_links(handout):
    assert handout.links("`nets[0](x)`, $f[l](x)$,\n```python\nlayers[1](x)\n```\n[a](b.md#c) [d](e.ipynb)") == [
        "b.md",
        "e.ipynb",
    ]


def test_a_page_with_an_unusual_solution_is_refused(handout, course, tmp_path):
    with pytest.raises(handout.HandoutError, match=r"^docs/terms\.md: folds in a form of its own"):
        handout.write(tmp_path / "new", course("[terms](../docs/terms.md)", terms=UNUSUAL["open"]))


def test_the_command_writes_a_new_folder_and_only_a_new_one(tmp_path):
    command = [sys.executable, SCRIPT, tmp_path / "new"]
    first, second = (subprocess.run(command, capture_output=True, text=True, timeout=60, check=False) for _ in range(2))
    assert (first.returncode, first.stderr) == (0, "")
    assert f"{LESSONS[0].name}, 0 solutions taken out" in first.stdout
    assert (second.returncode, second.stdout) == (1, "")
    assert second.stderr == f"{tmp_path / 'new'} exists. Name a folder that does not, or remove it.\n"


def test_a_refused_lesson_leaves_no_folder(tmp_path):
    for name in ("notebooks", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name)
    path = tmp_path / "notebooks" / "01_degradation.ipynb"
    path.write_text(path.read_text(encoding="utf-8").replace("<summary>Solution", "<summary> Solution", 1))
    command = [sys.executable, tmp_path / "notebooks" / "handout.py", tmp_path / "new"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert re.match(r"notebooks/01_degradation\.ipynb: cell \d+ folds in a form of its own", done.stderr)
    assert not (tmp_path / "new").exists()
