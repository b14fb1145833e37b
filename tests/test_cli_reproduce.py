"""``reproduce`` on a small run: the same again to the bit, other data told, and what was different about the two."""

import dataclasses
import json
import re
import shlex
import shutil

from resnet_lessons import backend, data, results, training
from resnet_lessons.cli import training as commands
from resnet_lessons.results import comparison, records

import keras
import numpy as np
import pytest
import recorded_runs
from command_line import WIDTH, refused, run

TRAIN = ("train", "plain", "--n", "1", "--smoke", "--data", "mnist", "--precision", "float32", "--seed", "3")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """The folder of a finished run, which no test may write to."""
    folder = tmp_path_factory.mktemp("reproduce") / "small"
    assert run(*TRAIN, "--out", folder).exit_code == 0
    return folder


@pytest.fixture
def shipped(recorded, tmp_path, monkeypatch):
    """A copy of it, as what ships; the working folder is empty."""
    folder = shutil.copytree(recorded, tmp_path / "recorded" / "small")
    monkeypatch.setattr(records, "RECORDED", folder.parent)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return folder


class AtOnce:
    """An event that is set from the first look on."""

    def is_set(self):
        return True


def change(folder, **values):
    path = folder / "run.json"
    described = json.loads(path.read_text())
    for key, value in values.items():
        described[key] = described[key] | value if isinstance(value, dict) else value
    path.write_text(json.dumps(described))


def lines(folder):
    """The log without seconds."""
    read = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in read]


def test_a_run_comes_out_the_same_to_the_bit_and_that_is_said(shipped, tmp_path):
    done = run("reproduce", "small")
    assert done.exit_code == 0, done.output
    again = tmp_path / "work" / "runs" / "small-again"
    assert lines(again) == lines(shipped)
    described = [json.loads((folder / "run.json").read_text()) for folder in (shipped, again)]
    for key in ("spec", "recipe", "seed", "precision", "strategy", "deterministic", "data", "command"):
        assert described[0][key] == described[1][key]
    error = f"{100 * described[0]['result']['test_error']:.2f}%"
    assert f"{error} recorded, {error} now: +0.00 points" in done.stdout
    assert "the same in all 2 epochs, but for the seconds" in done.stdout
    assert "need not repeat" not in done.stdout
    assert "bit for bit" not in done.stdout
    digest = described[0]["data"]["sha256"][:12]
    assert done.stdout.count(digest) == 2
    assert "the same" in done.stdout.partition(digest)[2].partition("network")[0]
    assert max(len(line) for line in done.stdout.splitlines() if not line.startswith("epoch")) <= WIDTH
    twice = run("reproduce", "small")
    assert "This run was finished before; nothing was trained now." in twice.stdout
    assert "the same in all 2 epochs" in twice.stdout


def test_a_folder_serves_in_place_of_a_name_and_out_chooses_another(recorded, tmp_path):
    done = run("reproduce", recorded, "--out", tmp_path / "x")
    assert done.exit_code == 0, done.output
    assert lines(tmp_path / "x") == lines(recorded)


@pytest.fixture
def again(shipped, tmp_path):
    """What ``reproduce small`` has made before, so that it compares and trains nothing."""
    return shutil.copytree(shipped, tmp_path / "work" / "runs" / "small-again")


@pytest.mark.usefixtures("again")
def test_another_copy_of_the_data_is_told_and_the_logs_are_not_compared(shipped):
    change(shipped, data={"sha256": "0f" * 32, "source": "MNIST, another copy: told by its sums"})
    done = run("reproduce", "small")
    assert done.exit_code == 0, done.output
    head = done.stdout.partition("network")[0]
    assert "MNIST, another copy" in head
    assert "MNIST, 5,000 digits" in head
    assert "other data: what comes out is a result of its own" in head
    tail = done.stdout.rpartition("of training")[2]
    assert "not the same, so the two need not agree" in tail
    assert "epochs" not in tail


@pytest.mark.usefixtures("again")
def test_a_log_that_differs_is_told_with_what_was_different(shipped):
    path = shipped / "log.jsonl"
    changed = [json.loads(line) for line in path.read_text().splitlines()]
    changed[1]["train_loss"] = 1.25
    path.write_text("".join(json.dumps(line) + "\n" for line in changed))
    change(shipped, versions={"numpy": "1.0"}, hardware={"processor": "abacus"}, git={"commit": "c0ffee"})
    change(shipped, environment={"XLA_FLAGS": "--xla_something"})
    done = run("reproduce", "small")
    tail = done.stdout.rpartition("of training")[2]
    assert "differs first in epoch 2: train_loss 1.25 recorded, " in tail
    assert f"1.0 recorded, {np.__version__} now" in tail
    assert "abacus recorded, " in tail
    assert "c0ffee recorded, " in tail
    assert re.search(r"switches [^,]*XLA_FLAGS=--xla_something recorded, ", " ".join(tail.split()))


@pytest.mark.usefixtures("again")
def test_another_machine_is_told_before_anything_is_trained(shipped):
    change(shipped, versions={"jax": "0.11.2"}, hardware={"accelerators": ["H200"]}, precision="float32")
    head = run("reproduce", "small").stdout.partition("network")[0]
    assert f"jax 0.11.2, keras {keras.__version__}, on H200" in head
    said = " ".join(head.split())
    assert re.search(r"not known to be the same in .*jax.*accelerators.*, so the log need not repeat to the bit", said)


@pytest.mark.usefixtures("again")
def test_other_code_and_switches_are_told_before_anything_is_trained(shipped):
    change(shipped, git={"commit": "c0ffee"}, environment={"XLA_FLAGS": "--xla_something"})
    said = " ".join(run("reproduce", "small").stdout.partition("network")[0].split())
    assert "not known to be the same in switches, commit, so the log need not repeat to the bit" in said
    description = json.loads((shipped / "run.json").read_text())
    del description["environment"]  # an older record
    (shipped / "run.json").write_text(json.dumps(description))
    change(shipped, git=training.provenance.commit())
    said = " ".join(run("reproduce", "small").stdout.partition("network")[0].split())
    assert "not known to be the same in switches, so the log need not repeat to the bit" in said


def test_a_run_that_was_not_deterministic_is_told_before_and_after(shipped, again):
    for folder in (shipped, again):
        change(folder, deterministic=False)
    said = " ".join(run("reproduce", "small").stdout.split())
    assert "the run was not deterministic, so the log need not repeat to the bit" in said
    assert "repeats bit for bit need not: the recorded run was not asked to" in said


@pytest.mark.usefixtures("again")
def test_a_precision_that_is_slow_here_is_told(monkeypatch):
    monkeypatch.setattr(training, "choose_precision", lambda wanted="auto": "bfloat8" if wanted == "auto" else wanted)
    said = " ".join(run("reproduce", "small").stdout.split())
    assert "float32 as recorded, though this machine is faster in bfloat8" in said


@pytest.mark.usefixtures("shipped")
def test_without_the_data_set_nothing_is_trained(tmp_path, monkeypatch):
    loaded = data.load("mnist")
    monkeypatch.setattr(data, "load", lambda *_: dataclasses.replace(loaded, name="shapes10"))
    said = refused(run("reproduce", "small"))
    assert "small was trained on mnist, and none was found" in said
    assert "resnet-lessons data fetch mnist" in said
    assert not (tmp_path / "work" / "runs").exists()


def test_a_name_that_is_none_and_a_damaged_record_are_refused(shipped):
    assert "No run 'smal' is recorded, and it is no run's folder. Recorded are: small." in refused(
        run("reproduce", "smal")
    )
    change(shipped, result={"val_error": 0.5})
    assert "do not agree" in refused(run("reproduce", "small"))


def test_what_is_recorded_is_listed(shipped, recorded):
    for arguments in (("reproduce",), ("reproduce", "--list"), ("reproduce", "small", "--list")):
        listed = run(*arguments)
        assert listed.exit_code == 0
        assert "small" in listed.stdout
    described = json.loads((recorded / "run.json").read_text())
    row = listed.stdout.splitlines()[-2].split()
    assert row[:3] == ["small", "plain-8-28x28x1", "3"]
    assert f"{100 * described['result']['test_error']:.2f}" in row
    shutil.rmtree(shipped)
    assert run("reproduce").stdout == "No runs are recorded.\n"


def test_the_list_fits_whatever_the_names(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "RECORDED", tmp_path)
    name = "v1-110-keras-example-shortcut-gating-relu-before-add-" + "n" * 40
    recorded_runs.write(tmp_path / name, recorded_runs.run(seed=2**32 - 1))
    assert max(map(len, run("reproduce").stdout.splitlines())) <= WIDTH


def test_the_run_is_called_for_as_it_was_recorded(shipped, monkeypatch):
    calls = []
    change(shipped, precision="mixed_bfloat16", deterministic=False)
    described = json.loads((shipped / "run.json").read_text())
    training = commands.engine(None)

    def train(*given, **named):
        calls.append((given, named))
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train", train)
    shown = run("reproduce", "small")
    assert (shown.exit_code, shown.stderr) == (130, "Interrupted before the run began; nothing is kept.\n")
    [((spec, recipe, _, _, seed), named)] = calls
    assert (spec.to_json(), recipe.to_json(), seed) == (described["spec"], described["recipe"], 3)
    assert (named["precision"], named["strategy"], named["deterministic"]) == ("mixed_bfloat16", None, False)


@pytest.mark.usefixtures("shipped")
def test_after_ctrl_c_the_command_that_it_names_comes_to_the_comparison(monkeypatch, tmp_path):
    training = commands.engine(None)
    out = tmp_path / "new run"

    def train(*given, **named):
        train_once(*given, **named, stop=AtOnce())
        raise KeyboardInterrupt

    train_once = training.train
    with monkeypatch.context() as patched:
        patched.setattr(training, "train", train)
        said = run("reproduce", "small", "--out", out).stderr
    assert said.endswith(f"To go on: resnet-lessons reproduce small --out {shlex.quote(str(out))}\n")
    done = run(*shlex.split(said.partition("To go on: resnet-lessons ")[2]))
    assert "the same in all 2 epochs" in done.stdout


def test_to_divide_the_processor_of_a_run_on_one_device_is_refused(recorded, tmp_path, monkeypatch):
    monkeypatch.setattr(backend, "divide_processor", lambda _: pytest.fail("it must not divide it"))
    said = refused(run("reproduce", recorded, "--devices", 2, "--out", tmp_path / "x"), code=2)
    assert "--devices divides the processor for --strategy mirrored, and this run is without it" in said
    assert not (tmp_path / "x").exists()


# What is compared


def made(tmp_path, name, lines=None, **changes):
    lines = recorded_runs.log() if lines is None else lines
    return results.read(recorded_runs.write(tmp_path / name, recorded_runs.run(lines, **changes), lines))


def test_seconds_alone_are_no_difference(tmp_path):
    slower = [line | {"seconds": 99.0} for line in recorded_runs.log()]
    found = comparison.compare(made(tmp_path, "a"), made(tmp_path, "b", slower))
    assert found == comparison.Comparison(same_data=True, around=(), first_difference=None)


def test_the_first_difference_is_named(tmp_path):
    other = recorded_runs.log()
    other[1]["val_loss"] = 0.5
    found = comparison.compare(made(tmp_path, "a"), made(tmp_path, "b", other))
    assert found.first_difference == (2, "val_loss", 0.7, 0.5)
    longer = comparison.compare(made(tmp_path, "c"), made(tmp_path, "d", recorded_runs.log(epochs=3)))
    assert longer.first_difference is not None


def test_what_was_around_each_part_is_compared(tmp_path):
    part = recorded_runs.SURROUNDINGS | {"epoch": 1, "hardware": {"processor": "another", "cores": 2}}
    resumed = made(tmp_path, "a", resumed=[part])
    found = comparison.compare(resumed, made(tmp_path, "b"))
    assert ("processor", "some processor, then another", "some processor") in found.around
    found = comparison.compare(made(tmp_path, "c"), made(tmp_path, "d", precision="mixed_bfloat16"))
    assert found.around == (("precision", "float32", "mixed_bfloat16"),)
    found = comparison.compare(made(tmp_path, "e", git={"commit": None, "changed": None}), made(tmp_path, "f"))
    assert found.around == (("commit", "unknown", "c0ffee"), ("uncommitted changes", "unknown", "False"))
