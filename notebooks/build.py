"""Build the lessons: notebooks/src/NN_name.py becomes notebooks/NN_name.ipynb, executed, with its outputs. Never back.

    python notebooks/build.py             # every lesson
    python notebooks/build.py 01          # lesson 01
    python notebooks/build.py --check     # only say which notebooks differ from their sources

A lesson runs in the folder of the notebooks, on the interpreter that runs this script. What is written depends on the
source and on what the cells put out, so a rebuild changes nothing else: cell ids come from the cells' text, widget ids
from their order, and no time of day or version of Python is stored. A lesson that fails or writes to stderr keeps the
notebook it had.
"""

import argparse
import hashlib
import json
import os
import sys
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

NOTEBOOKS = Path(__file__).resolve().parent
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "name": "python",
        "pygments_lexer": "ipython3",
    },
}
CELL_TIMEOUT = 14400  # seconds; in full mode one cell of lesson 08 takes some two hours on two cores


class BuildError(Exception):
    """A lesson that cannot be built: says which, at which cell, and why."""


def sources(folder=NOTEBOOKS, wanted=()):
    """List the sources of the lessons in order.

    Args:
        folder: the folder of the notebooks; the sources are in its ``src``.
        wanted: numbers such as "01"; all lessons when empty.

    Returns:
        A list of paths.

    Raises:
        BuildError: no source has one of the wanted numbers.
    """
    found = sorted((folder / "src").glob("[0-9][0-9]_*.py"))
    numbers = [path.name[:2] for path in found]
    if unknown := sorted(set(wanted) - set(numbers)):
        raise BuildError(f"No such lesson: {', '.join(unknown)}. There are: {', '.join(numbers) or 'none'}.")
    return [path for path in found if not wanted or path.name[:2] in wanted]


def target(source):
    """Name the notebook that belongs to a source."""
    return source.parent.parent / f"{source.stem}.ipynb"


def from_source(source):
    """Turn a source into a notebook without outputs.

    Args:
        source: path of a percent-format Python file without a header.

    Returns:
        A notebook with the metadata, cell ids and tags that the stored one has.
    """
    notebook = jupytext.reads(source.read_text(encoding="utf-8"), fmt="py:percent")
    notebook.metadata = nbformat.from_dict(METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    seen = {}
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        text = f"{cell.cell_type}\n{cell.source}"
        seen[text] = seen.get(text, 0) + 1
        cell.id = hashlib.sha256(f"{text}\n{seen[text]}".encode()).hexdigest()[:8]
    return notebook


def disagreements(source, notebook):
    """Compare a stored notebook with its source, outputs aside.

    Args:
        source: path of the source.
        notebook: the stored notebook.

    Returns:
        A list of sentences; empty when the two agree.
    """
    fresh = from_source(source)
    if len(fresh.cells) != len(notebook.cells):
        return [f"{source.name} has {len(fresh.cells)} cells, its notebook has {len(notebook.cells)}"]
    said = []
    for number, (new, old) in enumerate(zip(fresh.cells, notebook.cells, strict=True), 1):
        differs = [key for key in ("cell_type", "source", "metadata", "id") if new[key] != old.get(key)]
        if differs:
            said.append(f"{source.name}, cell {number}: the notebook has another {' and '.join(differs)}")
    if {key: value for key, value in notebook.metadata.items() if key != "widgets"} != METADATA:
        said.append(f"{source.name}: the notebook's metadata is not what a build writes")
    return said


def check(folder=NOTEBOOKS, wanted=()):
    """Compare stored notebooks with their sources, without running them.

    Args:
        folder: the folder of the notebooks.
        wanted: numbers of lessons; all when empty, and then a notebook without a source is told too.

    Returns:
        A list of sentences; empty when all agree.
    """
    said = []
    for source in sources(folder, wanted):
        path = target(source)
        if path.exists():
            said += disagreements(source, nbformat.read(path, as_version=4))
        else:
            said.append(f"{source.name} has no notebook {path.name}")
    if not wanted:
        known = {target(source).name for source in sources(folder)}
        said += [f"{path.name} has no source" for path in sorted(folder.glob("*.ipynb")) if path.name not in known]
    return said


def execute(notebook, name, folder):
    """Run every cell of a notebook in order and store what the cells put out, in place.

    Args:
        notebook: a notebook without outputs.
        name: what to call the lesson in an error.
        folder: the working directory of the kernel.

    Returns:
        The most memory that the kernel has had resident, in bytes; None where the system has no /proc.

    Raises:
        BuildError: a cell fails, takes too long, kills the kernel or writes to stderr.
    """
    at, peak = "before its first cell", None

    def remember(cell, cell_index):
        nonlocal at
        at = _where(cell_index, cell)

    def measure(**_):
        nonlocal peak
        peak = _peak_memory(client.km.provisioner.pid)

    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        coalesce_streams=True,
        on_cell_start=remember,
        on_cell_executed=measure,
        extra_arguments=["--Application.log_level=ERROR"],  # the kernel's own messages; the cells' come through
    )
    ours = ("MPLBACKEND", "RESNET_LESSONS_MODE")  # figures go inline, and stored outputs are those of fast mode
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    try:
        client.execute(env=environment)
    except CellExecutionError as error:
        raise BuildError(f"{name}, {at} fails: {error.ename}: {error.evalue}") from error
    except (CellTimeoutError, DeadKernelError) as error:
        raise BuildError(f"{name}, {at}: {error}") from error
    notebook.metadata.update(nbformat.from_dict(METADATA))  # the kernel adds the version of Python
    _refuse_stderr(notebook, name)
    return peak


def _peak_memory(pid):
    """Return VmHWM of a process in bytes; None where the system has no /proc, and of a process that has ended."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return None
    lines = status.read_text().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), None)


def _refuse_stderr(notebook, name):
    for index, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                raise BuildError(f"{name}, {_where(index, cell)} writes to stderr: {output.text.strip()}")


def _where(index, cell):
    return f"cell {index + 1} ({cell.source.strip().partition(chr(10))[0]})"


def with_stable_widget_ids(notebook):
    """Replace the random ids of widgets by ids that follow from the order in which they were made.

    Args:
        notebook: an executed notebook.

    Returns:
        A copy in which each id is replaced wherever it occurs.
    """
    text = json.dumps(notebook)
    for view in notebook.metadata.get("widgets", {}).values():
        for number, old in enumerate(view["state"], 1):
            text = text.replace(old, f"{number:032x}")
    return nbformat.from_dict(json.loads(text))


def write(notebook, path):
    """Write a notebook so that a reader sees the old one or the new one, whole.

    Args:
        notebook: the notebook; it is checked against the format first.
        path: where it goes.
    """
    nbformat.validate(notebook)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_text(nbformat.writes(notebook, version=4) + "\n", encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def build(source):
    """Build one lesson.

    Args:
        source: path of its source.

    Returns:
        The path of the notebook, and the kernel's peak memory as ``execute`` gives it.

    Raises:
        BuildError: the lesson fails; the notebook stays as it was.
    """
    notebook = from_source(source)
    peak = execute(notebook, source.name, source.parent.parent)
    write(with_stable_widget_ids(notebook), target(source))
    return target(source), peak


def main(arguments=None):
    """Build or check the lessons named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lesson", nargs="*", help="numbers such as 00 01; all when none is given")
    parser.add_argument("--check", action="store_true", help="compare without running; fails when a notebook differs")
    options = parser.parse_args(arguments)
    try:
        if not options.check:
            _build_all(options.lesson)
        elif said := check(wanted=options.lesson):
            raise BuildError("\n".join([*said, "To rebuild: make notebooks (one of them: make notebooks LESSON=01)"]))
    except BuildError as error:
        sys.exit(str(error))


def _build_all(wanted):
    for source in sources(wanted=wanted):
        print(f"{source.name} runs", flush=True)
        start = time.monotonic()
        path, peak = build(source)
        memory = "" if peak is None else f", its kernel took {peak / 1e9:.2f} GB at most"
        print(f"{path.name} written after {time.monotonic() - start:.0f} s{memory}", flush=True)


if __name__ == "__main__":
    main()
