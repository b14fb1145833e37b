"""``tools/records.py``: which runs it takes, that it takes them whole, and the README's table."""

import hashlib
import importlib.util
import json
import shutil
from pathlib import Path

from resnet_lessons import results
from resnet_lessons.specs import Spec

import h5py
import numpy as np
import pytest
import recorded_runs

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = "model.weights.h5"


@pytest.fixture(scope="module")
def tool():
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("records_tool", ROOT / "tools" / "records.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(tmp_path):
    """A finished run's folder as training leaves it."""
    return finished(tmp_path / "runs" / "v1-20-short-0")


@pytest.fixture
def shipped(tmp_path):
    """Where records go; not there yet."""
    return tmp_path / "recorded"


def finished(folder, **changes):
    recorded_runs.write(folder, recorded_runs.run(**changes))
    (folder / ".lock").touch()
    with h5py.File(folder / WEIGHTS, "w") as file:
        file["layers/conv/vars/0"] = np.arange(12, dtype="float32").reshape(3, 4)
        file["optimizer/vars/0"] = np.zeros(1000, "float32")
        file["vars"] = np.empty(0)
        file["vars"].attrs["name"] = "v1_20"
    return folder


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_is_copied_as_it_was_written(tool, run, shipped):
    assert tool.keep(run, folder=shipped) == shipped / "v1-20-short-0"
    kept = files(shipped)
    names = ["v1-20-short-0/log.jsonl", "v1-20-short-0/run.json"]
    assert sorted(kept) == ["SHA256SUMS", *names]
    for name in ("run.json", "log.jsonl"):
        assert kept[f"v1-20-short-0/{name}"] == (run / name).read_bytes()
    assert kept["SHA256SUMS"].decode() == "".join(f"{digest_of(kept[name])}  {name}\n" for name in names)


def digest_of(contents):
    return hashlib.sha256(contents).hexdigest()


def hashed(run):
    """Add to a ``run.json`` the hash of the weights, as training does."""
    description = json.loads((run / "run.json").read_text())
    digest = hashlib.sha256((run / WEIGHTS).read_bytes()).hexdigest()
    (run / "run.json").write_text(json.dumps(description | {"weights_sha256": digest}, indent=1) + "\n")


def test_weights_that_the_run_ended_with_are_kept(tool, run, shipped):
    hashed(run)
    tool.keep(run, folder=shipped, weights=True)
    assert files(shipped)["v1-20-short-0/run.json"] == (run / "run.json").read_bytes()
    assert len(results.load(shipped)) == 1


def test_weights_that_the_run_did_not_end_with_are_refused(tool, run, shipped):
    hashed(run)
    with h5py.File(run / WEIGHTS, "r+") as file:
        file["layers/conv/vars/0"][0, 0] = 1
    refused(tool, run, shipped, "is not what the run ended with", weights=True)
    assert tool.keep(run, folder=shipped)


def test_weights_ship_without_the_optimizer_and_with_their_hash(tool, run, shipped):
    other = finished(run.with_name("a"), spec=Spec("plain", 20))
    for folder in (run, other):
        tool.keep(folder, weights=True, folder=shipped)
    lines = (shipped / "SHA256SUMS").read_text().splitlines()
    names = [f"{run}/{file}" for run in ("a", "v1-20-short-0") for file in ("log.jsonl", WEIGHTS, "run.json")]
    assert [line.split("  ")[1] for line in lines] == names
    for line in lines:
        digest, name = line.split("  ")
        assert digest_of((shipped / name).read_bytes()) == digest
    with h5py.File(shipped / "a" / WEIGHTS) as file:
        assert sorted(file) == ["layers", "vars"]
        assert file["layers/conv/vars/0"][:].tolist() == np.arange(12).reshape(3, 4).tolist()
        assert file["vars"].attrs["name"] == "v1_20"


def test_weights_are_added_to_a_run_that_was_kept_without(tool, run, shipped):
    tool.keep(run, folder=shipped)
    before = files(shipped)
    tool.keep(run, weights=True, folder=shipped)
    after = files(shipped)
    assert set(after) - set(before) == {f"v1-20-short-0/{WEIGHTS}"}
    assert [name for name, contents in before.items() if after[name] != contents] == ["SHA256SUMS"]
    added = set(after["SHA256SUMS"].decode().splitlines()) - set(before["SHA256SUMS"].decode().splitlines())
    assert added == {f"{digest_of(after[f'v1-20-short-0/{WEIGHTS}'])}  v1-20-short-0/{WEIGHTS}"}
    refused(tool, run, shipped, "ships weights of v1-20 on cifar10 already", weights=True)
    another = finished(run.with_name("another"), seed=1)
    refused(tool, another, shipped, "is there already", name="v1-20-short-0", weights=True)


def test_hashes_of_a_record_that_was_removed_go(tool, run, shipped):
    shutil.rmtree(tool.keep(run, folder=shipped))
    tool.keep(run, name="b", folder=shipped)
    names = [line.split("  ")[1] for line in (shipped / "SHA256SUMS").read_text().splitlines()]
    assert names == ["b/log.jsonl", "b/run.json"]


def test_another_name_can_be_given(tool, run, shipped):
    assert tool.keep(run, name="other", folder=shipped).name == "other"


def refused(tool, run, shipped, words, error=None, **options):
    before = files(shipped) if shipped.exists() else {}
    with pytest.raises(error or tool.RefusedError, match=words):
        tool.keep(run, folder=shipped, **options)
    assert (files(shipped) if shipped.exists() else {}) == before


def test_an_unfinished_and_a_damaged_run_are_refused(tool, run, shipped):
    description = json.loads((run / "run.json").read_text())
    result = description.pop("result")
    (run / "run.json").write_text(json.dumps(description))
    refused(tool, run, shipped, "lacks result", results.RecordError)
    (run / "run.json").write_text(json.dumps(description | {"result": result | {"val_loss": 0.1}}))
    refused(tool, run, shipped, "do not agree", results.RecordError)
    refused(tool, run.with_name("nothing"), shipped, "cannot be read", results.RecordError)


CHANGED = {"commit": "c0ffee", "changed": True}


@pytest.mark.parametrize(
    "changes",
    [
        {"git": CHANGED},
        {"git": {"release": "0.1.0"}},
        {"git": {"commit": "c0ffee", "changed": None}},
        {"git": {"commit": None, "changed": None}},
        {"resumed": [recorded_runs.SURROUNDINGS | {"epoch": 1, "git": CHANGED}]},
    ],
    ids=["changed", "release", "not told", "nothing told", "changed when it was taken up again"],
)
def test_code_that_no_commit_has_is_refused(tool, tmp_path, shipped, changes):
    refused(tool, finished(tmp_path / "run", **changes), shipped, "code that is not a commit's")


def test_what_is_there_is_refused(tool, run, shipped):
    tool.keep(run, folder=shipped)
    refused(tool, run, shipped, "is there already")
    refused(tool, run, shipped, "recorded already, as v1-20-short-0", name="again")
    another = finished(run.with_name("another"), seed=1)
    refused(tool, another, shipped, "is there already", name="v1-20-short-0")
    assert tool.keep(another, folder=shipped).name == "another"


@pytest.mark.parametrize("name", ["", "../x", ".hidden", "A b", "a/b", "_x"])
def test_a_name_that_is_none_is_refused(tool, run, shipped, name):
    if name:
        refused(tool, run, shipped, "is no name", name=name)
    else:
        assert tool.keep(run, name=name, folder=shipped).name == "v1-20-short-0"  # as without one


def test_second_weights_of_a_network_on_a_data_set_are_refused(tool, run, shipped):
    tool.keep(run, weights=True, folder=shipped)
    another = finished(run.with_name("another"), seed=1)
    refused(tool, another, shipped, "v1-20-short-0 ships weights of v1-20 on cifar10 already", weights=True)
    assert tool.keep(another, folder=shipped)


def test_missing_and_damaged_weights_are_refused(tool, run, shipped):
    (run / WEIGHTS).write_bytes(b"no HDF5")
    refused(tool, run, shipped, "cannot be read", weights=True)
    (run / WEIGHTS).unlink()
    refused(tool, run, shipped, "cannot be read", weights=True)


@pytest.mark.parametrize("weights", [False, True])
def test_a_record_is_there_whole_or_not_at_all(tool, run, shipped, monkeypatch, weights):
    class Stopped(Exception):
        pass

    def stop_at(place, name):
        done = getattr(tool.Path, name)

        def stop(path, *arguments):
            if place in (path, *arguments):
                raise Stopped
            return done(path, *arguments)

        return stop

    record, sums = shipped / "v1-20-short-0", shipped / "SHA256SUMS"
    log = shipped / ".partial-v1-20-short-0" / "log.jsonl"
    for place, name in ((log, "write_bytes"), (sums, "replace"), (record, "replace")):
        with monkeypatch.context() as patch:
            patch.setattr(tool.Path, name, stop_at(place, name))
            with pytest.raises(Stopped):
                tool.keep(run, folder=shipped, weights=weights)
        assert results.load(shipped) == ()
        assert sums.exists() == (place == record)
    assert tool.keep(run, folder=shipped, weights=weights)  # what was left does not stand in the way
    assert [record.name for record in results.load(shipped)] == ["v1-20-short-0"]


# The README's table

PAGE = "before\n<!-- begin: make table -->\nold\n<!-- end: make table -->\nafter\n"


def test_the_readme_has_the_table_of_what_ships(tool):
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    assert tool.with_table(page) == page, "run: make table"


def test_the_table_is_put_between_the_marks_and_the_rest_is_kept(tool, run, shipped):
    tool.keep(run, folder=shipped)
    records = results.load(shipped)
    page = tool.with_table(PAGE, records)
    table = results.table(records, columns=results.SHORT, recorded_only=True)
    assert page == PAGE.replace("old", f"\n{table}\n")
    assert tool.with_table(page, records) == page
    assert tool.with_table(page, []) != page


@pytest.mark.parametrize(
    "page", ["", PAGE.replace("<!-- end: make table -->", ""), PAGE + PAGE, PAGE.replace("begin", "start")]
)
def test_a_page_without_its_marks_is_refused(tool, page):
    with pytest.raises(tool.RefusedError, match="must have a line"):
        tool.with_table(page)


def test_the_script_says_what_is_wrong_in_one_line(tool, run, capsys):
    shutil.rmtree(run)
    assert tool.main(["keep", str(run)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
