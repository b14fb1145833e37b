"""Write an edition of the lessons without their solutions, to hand to learners.

    python notebooks/handout.py build/handout

The folder gets the lessons, in ``notebooks``, and the pages of ``docs`` that they link to. Every folded solution is
taken out; hints, code, outputs and the rest are as stored. A lesson whose solutions cannot all be told for sure is
refused, and then nothing is written: a fold of another form, an exercise with a check but no solution, a link to a file
that is not handed out.
"""

import argparse
import os
import re
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
SOLUTION, KEPT = "Solution", ("Hint",)

FOLD = re.compile(r"<details><summary>(.*)</summary>")  # a line of its own, and so is the end
END = "</details>"
ANY_FOLD = re.compile(r"<\s*/?\s*(details|summary)\b", re.IGNORECASE)
# A line that begins with the word, whatever marks it up: a heading, bold, a list, a comment.
BARE_SOLUTION = re.compile(r"^(?:<[^>\n]*>|[^\w\n]|_)*S(?:olution|OLUTION)[sS]?\b.*|^\W*#+\s*solution.*", re.MULTILINE)
ANNOUNCED = re.compile(r"^\*\*(?:Exercise|Specimen) \d+\*\*", re.MULTILINE)
CHECK = re.compile(r"^checks\.\w+\(", re.MULTILINE)

NO_LINKS = re.compile(r"```.*?```|`[^`\n]*`|\$\$.*?\$\$|\$[^$\n]*\$", re.DOTALL)  # code and formulas
LINK = re.compile(r'(?:\]\(\s*|^\[[^\]\n]+\]:\s*|\b(?:href|src)=")([^)\s"]+)', re.MULTILINE)
ELSEWHERE = re.compile(r"[a-z][a-z+.-]*:|#", re.IGNORECASE)


class HandoutError(Exception):
    """A lesson that cannot be handed out: says which, at which cell, and why."""


def without_solutions(text):
    """Take the folded solutions out of a text.

    Args:
        text: Markdown.

    Returns:
        The text without them, and how many there were.

    Raises:
        HandoutError: something is folded in another form than docs/authoring.md gives, or calls itself a solution.
    """
    kept, count, inside = [], 0, None
    for line in text.split("\n"):
        fold = FOLD.fullmatch(line)
        if fold and inside is None and fold[1] in (SOLUTION, *KEPT):
            inside = fold[1]
            count += inside == SOLUTION
        elif ANY_FOLD.search(line) and not (line == END and inside):
            raise HandoutError(f"folds in a form of its own, so it may be a solution: {line.strip()!r}")
        if inside != SOLUTION:
            kept.append(line)
        if line == END:
            inside = None
    if inside:
        raise HandoutError(f"does not end its {inside.lower()} with {END} on a line of its own")
    rest = "\n".join(kept)
    _refuse_bare_solution(rest)
    return (rest.strip("\n"), count) if count else (text, 0)


def _refuse_bare_solution(text):
    if found := BARE_SOLUTION.search(text):
        raise HandoutError(f"has a solution that is not folded: {found[0].strip()!r}")


def strip(notebook):
    """Take the folded solutions out of a notebook, in place; a cell that held nothing else goes too.

    Args:
        notebook: a lesson as it is stored.

    Returns:
        How many solutions there were.

    Raises:
        HandoutError: one of them may have been missed.
    """
    counts = [_strip_cell(number, cell) for number, cell in enumerate(notebook.cells, 1)]
    for above, index in enumerate(range(1, len(notebook.cells))):
        if _is_exercise(notebook.cells[above], notebook.cells[index]) and counts[index + 1 : index + 2] != [1]:
            raise HandoutError(
                f"cell {index + 1} is an exercise with a check; below it must stand one solution, folded"
            )
    notebook.cells = [cell for cell, count in zip(notebook.cells, counts, strict=True) if cell.source or not count]
    return sum(counts)


def _strip_cell(number, cell):
    try:
        if cell.cell_type == "code":
            _refuse_bare_solution(cell.source)
            return 0
        cell.source, count = without_solutions(cell.source)
    except HandoutError as error:
        raise HandoutError(f"cell {number} {error}") from None
    return count


def _is_exercise(above, cell):
    announced = above.cell_type == "markdown" and ANNOUNCED.search(above.source)
    return bool(announced and cell.cell_type == "code" and CHECK.search(cell.source))


def links(text):
    """List the paths that a Markdown text links to in the same repository, without their anchors."""
    found = LINK.findall(NO_LINKS.sub("", text))
    return [path.partition("#")[0] for path in found if not ELSEWHERE.match(path)]


def _text_of(name, root):
    """Return a lesson or a page as it is handed out, how many solutions it had, and the Markdown in it."""
    if not name.endswith(".ipynb"):
        text, count = without_solutions((root / name).read_text(encoding="utf-8"))
        return text, count, text
    notebook = nbformat.read(root / name, as_version=4)
    count = strip(notebook)
    nbformat.validate(notebook)
    prose = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return nbformat.writes(notebook, version=4) + "\n", count, prose


def edition(root=ROOT):
    """Collect what is handed out: the lessons, and the pages of docs that they link to.

    Args:
        root: the folder of the repository.

    Returns:
        A dict of path, relative to ``root``, to (text, solutions taken out of it).

    Raises:
        HandoutError: a lesson cannot be handed out, or it links to what is not.
    """
    waiting = [f"notebooks/{path.name}" for path in sorted((root / "notebooks").glob("[0-9][0-9]_*.ipynb"))]
    lessons, found = set(waiting), {}
    while waiting:
        name = waiting.pop(0)
        try:
            text, count, prose = _text_of(name, root)
        except HandoutError as error:
            raise HandoutError(f"{name}: {error}") from None
        found[name] = text, count
        for linked in links(prose):
            other = Path(os.path.normpath(Path(name).parent / linked)).as_posix()
            page = other.startswith("docs/") and other.endswith(".md") and (root / other).is_file()
            if not page and other not in lessons:
                raise HandoutError(f"{name} links to {linked}: neither a lesson nor a page in docs, so not handed out")
            if other not in found and other not in waiting:
                waiting.append(other)
    return found


def write(folder, root=ROOT):
    """Write the edition into a new folder.

    Args:
        folder: where it goes; it must not exist.
        root: the folder of the repository.

    Returns:
        What was written, as ``edition`` gives it.

    Raises:
        HandoutError: the folder exists, or a lesson cannot be handed out; then nothing is written.
    """
    found = edition(root)
    if folder.exists():
        raise HandoutError(f"{folder} exists. Name a folder that does not, or remove it.")
    for name, (text, _) in found.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return found


def main(arguments=None):
    """Write the edition into the folder named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="a new folder, such as build/handout")
    folder = parser.parse_args(arguments).folder
    try:
        found = write(folder)
    except HandoutError as error:
        sys.exit(str(error))
    for name, (_, count) in found.items():
        print(f"{folder / name}, {count} solutions taken out")


if __name__ == "__main__":
    main()
