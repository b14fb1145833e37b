"""Take finished runs into the package, and write the README's table of what is recorded. For maintainers.

    python tools/records.py keep runs/plain-20-short-0            # make record RUN=runs/plain-20-short-0
    python tools/records.py keep runs/plain-20-short-0 --weights  # make record RUN=... WEIGHTS=1
    python tools/records.py readme                                # make table

``run.json`` and ``log.jsonl`` are copied as training wrote them, byte for byte. Of the weights the net's own are kept,
not the optimizer's (the SHA-256 in ``run.json`` is of both). The SHA-256 of every file goes into ``SHA256SUMS``, to
which the tests hold them: a log that was edited later is told. A run is refused if it is unfinished, its log and
summary do not agree, its weights are not those it ended with, the package had changes that no commit has, or it is
there already. The folder appears whole or not at all: what is put beside it first ships nothing by itself. To a run
that was kept without them, weights are added.
"""

import argparse
import hashlib
import io
import json
import re
import shutil
import sys
from pathlib import Path

from resnet_lessons import results
from resnet_lessons.results.records import LOG, RUN, SUMS, WEIGHTS, WEIGHTS_HASH, read_sums

import h5py

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- begin: make table -->", "<!-- end: make table -->"


class RefusedError(Exception):
    """A run that cannot be recorded: says which, and why."""


def keep(run, name=None, weights=False, folder=results.RECORDED):
    """Take a finished run into a folder of records.

    Args:
        run: the run's folder.
        name: of its record; None: the folder's own.
        weights: whether its weights ship too.
        folder: of the records.

    Returns:
        The record's folder.

    Raises:
        RefusedError: for a run that must not be recorded; nothing has changed then.
        results.RecordError: for one that is unfinished or damaged.
    """
    run, folder = Path(run), Path(folder)
    record = results.read(run)
    name = name or run.resolve().name
    target = folder / name
    adding = weights and all(_same(run / file, target / file) for file in (RUN, LOG))
    there = results.load(folder) if folder.is_dir() else ()
    if not adding:
        _refuse_name(name, target)
        _refuse_changes(record)
        _refuse_second(record, there)
    sums = {name: digest for name, digest in read_sums(folder / SUMS).items() if (folder / name).is_file()}
    contents = {file: (run / file).read_bytes() for file in (RUN, LOG)}
    if weights:
        _refuse_second_weights(record, there, sums)
        contents[WEIGHTS] = without_optimizer(run / WEIGHTS, json.loads(contents[RUN]).get(WEIGHTS_HASH))
    sums |= {f"{name}/{file}": hashlib.sha256(content).hexdigest() for file, content in contents.items()}
    if adding:
        _replace(target / WEIGHTS, contents[WEIGHTS])  # ships nothing until its hash is there
        _write_sums(folder / SUMS, sums)
        return target
    partial = folder / f".partial-{name}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        for file, content in contents.items():
            (partial / file).write_bytes(content)
        _write_sums(folder / SUMS, sums)
        partial.replace(target)  # on one file system, in one step
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _same(one, other):
    return one.is_file() and other.is_file() and one.read_bytes() == other.read_bytes()


def _refuse_name(name, target):
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", name):
        raise RefusedError(f"{name!r} is no name: use small letters, digits, '-' and '.'. Give another by --name.")
    if target.exists():
        raise RefusedError(f"{target} is there already. Give another name by --name, or remove it.")


def _refuse_changes(record):
    for part in (record.git, *(part["git"] for part in record.resumed)):
        if part.get("changed") is not False or not part.get("commit"):
            raise RefusedError(
                f"{record.name} was trained by code that is not a commit's: git is {dict(part)}. "
                "Train it again in a clean checkout."
            )


def _refuse_second(record, there):
    for other in there:
        if len(results.groups([record, other])) == 1 and other.seed == record.seed:
            raise RefusedError(
                f"{record.name} is recorded already, as {other.name}: the same network, recipe, precision, data, seed."
            )


def _refuse_second_weights(record, there, sums):
    for other in there:
        same = (other.spec, other.data["name"]) == (record.spec, record.data["name"])
        if same and f"{other.name}/{WEIGHTS}" in sums:
            raise RefusedError(
                f"{other.name} ships weights of {record.spec.name} on {record.data['name']} already, and nets are "
                "found by network and data set. Keep this run without its weights."
            )


def without_optimizer(path, digest=None):
    """Return a file of weights as bytes, without the optimizer's state, which nobody needs who does not go on.

    Args:
        path: the file.
        digest: its SHA-256; None for a run of before it was noted.
    """
    stripped = io.BytesIO()
    try:
        contents = path.read_bytes()
        found = hashlib.sha256(contents).hexdigest()
        if digest not in (None, found):
            raise RefusedError(
                f"{path} is not what the run ended with: its SHA-256 begins with {found[:12]}, in {RUN} with "
                f"{str(digest)[:12]}. Keep the run without its weights."
            )
        with h5py.File(io.BytesIO(contents)) as whole, h5py.File(stripped, "w") as kept:
            for name in whole:
                if name != "optimizer":
                    whole.copy(name, kept)
            for name, value in whole.attrs.items():
                kept.attrs[name] = value
    except OSError as error:
        raise RefusedError(f"{path} cannot be read ({error}). Keep the run without its weights.") from error
    return stripped.getvalue()


def _write_sums(path, sums):
    """Write what ``sha256sum`` would, sorted by name."""
    _replace(path, "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)).encode())


def _replace(path, contents):
    """Write a file in one step."""
    partial = path.with_name(f".partial-{path.name}")
    partial.write_bytes(contents)
    partial.replace(path)


def readme_table(records=None):
    """Return the README's table: what is recorded, and what is published of the same networks."""
    return results.table(records, columns=results.SHORT, recorded_only=True)


def with_table(page, records=None):
    """Return a page with its table, between the two marks, as it has to be.

    Raises:
        RefusedError: for a page without the marks, each once and in order.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in after:
        raise RefusedError(f"The page must have a line {BEGIN} and then a line {END}, once each.")
    return f"{before}{BEGIN}\n\n{readme_table(records)}\n\n{END}{after}"


def main(arguments=None):
    """Carry out one command; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    keeping = commands.add_parser("keep", help="take a finished run into the package")
    keeping.add_argument("run", type=Path, help="its folder")
    keeping.add_argument("--name", help="of the record; the folder's own unless given")
    keeping.add_argument("--weights", action="store_true", help="its weights ship too")
    commands.add_parser("readme", help="write the README's table")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "keep":
            print(keep(chosen.run, chosen.name, chosen.weights))
        page = ROOT / "README.md"
        _replace(page, with_table(page.read_text(encoding="utf-8")).encode())
    except (RefusedError, results.RecordError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if chosen.command == "keep":
        print(
            "The README's table is written anew. Build the lessons that show records again: 01, 02, 03, 05, 08, "
            "09, 10. Then read the figures in their prose, in the README's recipes and in docs/performance.md."
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
