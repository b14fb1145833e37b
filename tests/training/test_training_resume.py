"""Runs that are stopped, interrupted, killed or ruined, and what they are when they go on."""

import json
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

from resnet_lessons import backend, training

import h5py
import keras
import kill_runs
import numpy as np
import pytest
import run_differences
from at_epoch import AtEpoch
from small_runs import (
    DROPPING,
    HELD_BACK,
    AtLook,
    dataset,
    files,
    log_of,
    same_weights,
    train,
)

HERE = Path(__file__).parent
posix = pytest.mark.skipif(sys.platform == "win32", reason="sends the signals of POSIX")


def assert_same_end(reference, run, folder):
    """Check bit for bit that a run ended as the one that was left alone."""
    assert run.finished
    assert same_weights(reference[0].model, run.model)
    assert run_differences.differences(reference[1], folder) == []


# A run in a folder


def test_a_run_in_memory_is_the_same_run(reference):
    run = train()
    assert same_weights(reference[0].model, run.model)
    assert (run.test_error, run.test_loss) == (reference[0].test_error, reference[0].test_loss)
    assert run.step_loss.tobytes() == reference[0].step_loss.tobytes()


def test_it_learns(reference):
    """What goes on bit for bit must also go somewhere."""
    run, _ = reference
    assert run.step_loss[-1] < run.step_loss[0] - 0.1


def test_a_finished_run_is_read_and_left_as_it_is(reference):
    before, folder = files(reference[1]), reference[1]
    run = train(folder)
    assert files(folder) == before
    assert same_weights(reference[0].model, run.model)
    assert (run.test_error, run.test_loss, run.epochs) == (
        reference[0].test_error,
        reference[0].test_loss,
        reference[0].epochs,
    )
    assert run.seconds == reference[0].seconds
    assert len(run.step_loss) == 0


def test_a_finished_folder_holds_no_checkpoint(reference):
    assert set(files(reference[1])) == {"run.json", "log.jsonl", "model.weights.h5"}


def test_epochs_are_cut_by_the_last_update(reference):
    assert [(line["epoch"], line["step"]) for line in reference[0].epochs] == [(1, 4), (2, 8), (3, 10)]


@pytest.mark.parametrize(("devices", "repeats"), [(["CPU"], True), (["CPU", "GPU"], False)])
def test_it_repeats_bit_for_bit_by_itself_on_a_processor_alone(monkeypatch, devices, repeats):
    asked = []
    monkeypatch.setattr(backend, "devices", lambda: [(kind, "") for kind in devices])
    monkeypatch.setattr(backend, "make_deterministic", lambda: asked.append(True))
    monkeypatch.setattr(training.engine, "compile_model", lambda *_: pytest.fail("it was decided too late"))
    with pytest.raises(pytest.fail.Exception):
        train(deterministic=None)
    assert bool(asked) is repeats


def test_to_read_a_finished_run_asks_for_nothing(monkeypatch, finished):
    monkeypatch.setattr(backend, "make_deterministic", lambda: pytest.fail("the process is slower from now on"))
    assert train(finished).finished


# Stopped by an event


# One run, stopped and called again until it ends: from which look on the event is set, how many updates the call makes,
# and how many epochs are whole then. A call goes on after the last of these; it looks after each batch.
STOPS = {
    "when its net is built": (-1, 0, 0),
    "when fit begins": (0, 0, 0),
    "amid the first epoch": (1, 1, 0),
    "in the first validation": (5, 4, 0),
    "amid the second epoch": (7, 6, 1),
    "when the net of a run that has an epoch is built": (-1, 0, 1),
    "when the fit of a run that has an epoch begins": (0, 0, 1),
    "in the second validation": (5, 4, 1),
    "after the last update": (7, 6, 2),
    "in the last validation": (3, 2, 2),
    "in the test": (4, 2, 3),
}


@pytest.fixture(scope="module")
def often_stopped(tmp_path_factory):
    """What each call of ``STOPS`` returned and left in the log and ``run.json``, what the last returned, the folder."""
    folder, calls = tmp_path_factory.mktemp("often") / "run", {}
    for place, (look, _, _) in STOPS.items():
        run = train(folder, stop=AtLook(look))
        logged = log_of(folder) if (folder / "log.jsonl").exists() else []
        calls[place] = run, logged, json.loads((folder / "run.json").read_text())
    return calls, training.resume(folder, dataset(), progress=None), folder


@pytest.mark.parametrize("place", STOPS)
def test_a_stopped_run_ends_there_and_keeps_its_whole_epochs(often_stopped, place):
    run, logged, description = often_stopped[0][place]
    _, updates, kept = STOPS[place]
    assert not run.finished
    assert (run.test_error, run.test_loss) == (None, None)
    assert len(run.step_loss) == updates
    assert len(logged) == kept
    assert "result" not in description


def test_a_run_that_was_stopped_everywhere_comes_to_the_same_end(reference, often_stopped):
    _, run, folder = often_stopped
    assert_same_end(reference, run, folder)
    assert len(run.step_loss) == 0


def test_parts_of_a_run_are_on_record(often_stopped):
    description = json.loads((often_stopped[2] / "run.json").read_text())
    before = [kept for _, _, kept in STOPS.values()]  # each call goes on after what the one before has left
    assert [part["epoch"] for part in description["resumed"]] == [kept for kept in before if kept]
    assert set(description["resumed"][0]) == {"epoch", "versions", "hardware", "git", "environment", "began"}


# Stopped by a callback


class StopsAt(keras.callbacks.Callback):
    """Do as EarlyStopping does, at the first moment of a kind at which ``updates`` have been made."""

    def __init__(self, moment, updates):
        super().__init__()
        self.updates = updates
        setattr(self, moment, self._look)

    def _look(self, *_, **__):
        if int(self.model.optimizer.iterations) == self.updates:
            self.model.stop_training = True


def test_a_run_that_callbacks_stop_is_not_finished_and_comes_to_the_same_end(reference, tmp_path):
    for stop, updates, kept in (
        (StopsAt("on_train_batch_end", 6), 6, 1),  # amid the second epoch
        (StopsAt("on_epoch_end", 8), 4, 2),  # with the second epoch
    ):
        run = train(tmp_path, callbacks=[stop])
        assert (run.finished, run.test_error, len(run.step_loss)) == (False, None, updates)
        assert [line["step"] for line in log_of(tmp_path)] == [4, 8][:kept]
        assert set(files(tmp_path)) == {"run.json", "log.jsonl", "checkpoint.npz"}
        assert "result" not in json.loads((tmp_path / "run.json").read_text())
    assert_same_end(reference, train(tmp_path), tmp_path)


def test_a_callback_that_stops_with_the_last_update_changes_nothing(reference, tmp_path):
    """Negative control."""
    assert_same_end(reference, train(tmp_path, callbacks=[StopsAt("on_epoch_end", HELD_BACK.steps)]), tmp_path)


def test_a_run_of_which_no_epoch_was_kept_is_that_of_the_call_that_makes_one(monkeypatch, tmp_path):
    """A machine, a version or a commit whose every epoch was lost made no part of the run."""
    told = []
    for machine, look in (("A", 0), ("B", 5), ("C", 6), ("D", 1)):  # B ends in the first validation, C has an epoch
        around = {"versions": {}, "hardware": {"processor": machine}, "git": {}, "began": machine}
        monkeypatch.setattr(training.engine, "surroundings", lambda around=around: around)
        train(tmp_path, stop=AtLook(look))
        run = json.loads((tmp_path / "run.json").read_text())
        told.append((run["began"], run["hardware"]["processor"], [part["began"] for part in run.get("resumed", [])]))
    assert told == [("A", "A", []), ("B", "B", []), ("C", "C", []), ("C", "C", ["D"])]
    (tmp_path / "checkpoint.npz").unlink()  # to start it over
    train(tmp_path, stop=AtLook(0))
    run = json.loads((tmp_path / "run.json").read_text())
    assert (run["began"], "resumed" in run) == ("D", False)


# What must be kept for that


def momentum(arrays, model):
    """Zero the optimizer's momentum."""
    for array, variable in pairs(arrays, model):
        if variable.path.endswith("momentum"):
            array[...] = 0


def statistics(arrays, model):
    """Zero one moving mean."""
    next(array for array, variable in pairs(arrays, model) if variable.name == "moving_mean")[...] = 0


def dropout(arrays, model):
    """Start dropout's random numbers over."""
    seeds = [array for array, variable in pairs(arrays, model) if variable.name == "seed_generator_state"]
    assert len(seeds) == 3
    for seed in seeds:
        seed[...] = [7, 0]


def pairs(arrays, model):
    return zip(arrays, training.callbacks._variables(model), strict=True)


def rewritten(folder, change=None, epochs=0):
    """Change the state in a checkpoint, or move its counter of epochs."""
    kept = training.RunFolder(folder)
    arrays, epoch, step = kept.restore()
    if change:
        model = training.compile_model(DROPPING, HELD_BACK, 0, "float32")
        change(arrays, model)
    kept.save(arrays, epoch + epochs, step)


def test_a_checkpoint_that_is_written_again_changes_nothing(reference, unfinished):
    rewritten(unfinished)
    assert_same_end(reference, train(unfinished), unfinished)


@pytest.mark.parametrize("change", [momentum, statistics, dropout])
def test_without_a_part_of_the_state_the_end_would_differ(reference, unfinished, change):
    """Negative control: each part decides how the run goes on."""
    rewritten(unfinished, change)
    run = train(unfinished)
    assert not same_weights(reference[0].model, run.model)
    assert any(fault.startswith("weights") for fault in run_differences.differences(reference[1], unfinished))


def test_with_the_epochs_miscounted_the_end_would_differ(reference, unfinished):
    """Negative control: order and augmentation are those of the epoch."""
    rewritten(unfinished, epochs=-1)
    run = train(unfinished)
    assert not same_weights(reference[0].model, run.model)


# Killed


def test_a_second_call_in_the_same_process_is_refused_too(tmp_path):
    second = []

    def call(model):  # noqa: ARG001
        with pytest.raises(training.FolderError, match="Another process is training") as error:
            train(tmp_path)
        second.append(error)
        raise training.callbacks.Stopped  # what the first one goes on to do is not looked at

    train(tmp_path, callbacks=[AtEpoch(1, call)])
    assert len(second) == 1


# The kill script


@posix
def test_killed_runs_end_as_if_they_had_been_left_alone():
    command = [sys.executable, HERE / "kill_runs.py", "--kills", "2", "--inside", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"[1-9]\d* of them inside a checkpoint write", done.stdout)
    assert done.stdout.count("s after its process began") >= 2
    assert done.stdout.splitlines()[-1].startswith("identical")


def test_the_script_fails_on_a_difference(monkeypatch, capsys, reference, tmp_path):
    """Negative control: a run that ended otherwise ends the script with 1."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))  # the script sets it
    monkeypatch.setattr(sys, "argv", ["kill_runs.py"])
    shutil.copytree(reference[1], tmp_path / "identity-reference")
    for change, code, word in ((drop_line, 1, "DIFFERENT"), (None, 0, "identical")):
        chain = kill_runs.Chain("identity", "float32", tmp_path, [], 0, print)
        folder = shutil.copytree(reference[1], tmp_path / f"changed-{code}")
        if change:
            change(folder)
        chain._compare(folder)
        monkeypatch.setattr(kill_runs, "run_chains", lambda *_, ended=chain: [ended])
        assert kill_runs.main() == code
        assert capsys.readouterr().out.splitlines()[-1].startswith(word)


def test_every_plan_has_its_kills_and_looks_at_all_of_a_runs_life():
    for kills, inside in ((1, 0), (2, 1), (3, 3), (10, 3), (20, 5)):
        moments = kill_runs.plan(kills, inside, random.Random(kills))
        kinds = [moment.kind for moment in moments]
        assert (len(kinds), kinds.count("write")) == (kills, inside)
    assert set(kinds) == {"time", "write", "line", "validation", "end"}


def test_the_comparison_passes_what_may_differ(reference, finished):
    edit_json(finished / "run.json", lambda run: run["result"].update(seconds=1e6, peak_memory=1))
    edit_json(finished / "run.json", lambda run: run.update(began="another day", resumed=[{"epoch": 1}]))
    lines = [json.loads(line) | {"seconds": 7.0} for line in (finished / "log.jsonl").read_text().splitlines()]
    (finished / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert run_differences.differences(reference[1], finished) == []


def edit_json(path, edit):
    value = json.loads(path.read_text())
    edit(value)
    path.write_text(json.dumps(value))


def flip_bit(folder):
    with h5py.File(folder / "model.weights.h5", "r+") as file:
        names = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        values = file[names[0]][()]
        values.view("uint32").flat[-1] ^= 1
        file[names[0]][...] = values


def drop_line(folder):
    log = folder / "log.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:-1]))


def change_digit(folder):
    log = folder / "log.jsonl"
    lines = log.read_text().splitlines()
    line = json.loads(lines[1])
    line["val_loss"] = float(np.nextafter(line["val_loss"], 10))
    log.write_text("\n".join([lines[0], json.dumps(line), *lines[2:]]) + "\n")


def change_result(folder):
    edit_json(folder / "run.json", lambda run: run["result"].update(test_error=run["result"]["test_error"] + 0.05))


def drop_result(folder):
    edit_json(folder / "run.json", lambda run: run.pop("result"))


def change_seed(folder):
    edit_json(folder / "run.json", lambda run: run.update(seed=1))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (flip_bit, "weights"),
        (drop_line, "log of 2 lines, not 3"),
        (change_digit, "log line 2"),
        (change_result, "run.json result"),
        (drop_result, "run.json result"),
        (change_seed, "run.json seed"),
    ],
)
def test_the_comparison_sees_a_change(reference, finished, change, found):
    """Negative controls of the script."""
    change(finished)
    faults = run_differences.differences(reference[1], finished)
    assert len(faults) == 1
    assert faults[0].startswith(found)
