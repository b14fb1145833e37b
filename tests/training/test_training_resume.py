"""Runs that are stopped, interrupted, killed or ruined, and what they are when they go on."""

import json
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from resnet_lessons import backend, training

import h5py
import kill_runs
import numpy as np
import pytest
import run_differences
from small_runs import (
    BEFORE,
    DROPPING,
    HELD_BACK,
    AfterUpdates,
    AtEpoch,
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


# Stopped by an event


@pytest.mark.parametrize("updates", [1, 6, 10])
def test_a_stopped_run_goes_on_to_the_same_end(reference, tmp_path, updates):
    """Amid the first epoch, amid the second, and after the last of all."""
    folder = tmp_path / "run"
    run = train(folder, stop=AfterUpdates(updates))
    assert not run.finished
    assert (run.test_error, run.test_loss) == (None, None)
    assert len(run.step_loss) == updates
    assert "result" not in json.loads((folder / "run.json").read_text())
    again = training.resume(folder, dataset(), progress=None)
    assert_same_end(reference, again, folder)
    assert len(again.step_loss) == HELD_BACK.steps - 4 * ((updates - 1) // 4)  # since the last whole epoch


@pytest.mark.parametrize(("look", "kept"), [(5, 0), (10, 1), (13, 2)])
def test_a_run_stopped_while_it_is_validated_or_tested_goes_on_to_the_same_end(reference, tmp_path, look, kept):
    """After 4 and after 8 updates the validation is cut short, so its epoch is not whole; after 10 it is the last."""
    folder = tmp_path / "run"
    run = train(folder, stop=AtLook(look))
    assert not run.finished
    assert len(log_of(folder) if kept else []) == kept
    again = training.resume(folder, dataset(), progress=None)
    assert_same_end(reference, again, folder)
    assert len(again.step_loss) == HELD_BACK.steps - 4 * kept


@pytest.mark.parametrize("look", range(1 - BEFORE, 1))
@pytest.mark.parametrize("kept", [0, 4])
def test_a_run_stopped_as_it_starts_makes_no_update_and_goes_on_to_the_same_end(reference, tmp_path, look, kept):
    """When the net is built, and when ``fit`` begins; of a new run, and of one that has an epoch to restore."""
    folder = tmp_path / "run"
    if kept:
        train(folder, stop=AfterUpdates(kept + 1))
    run = train(folder, stop=AtLook(look))
    assert (run.finished, len(run.step_loss)) == (False, 0)
    assert [line["step"] for line in run.epochs] == [kept][: kept // 4]
    again = training.resume(folder, dataset(), progress=None)
    assert_same_end(reference, again, folder)
    assert len(again.step_loss) == HELD_BACK.steps - kept


def test_a_run_stopped_in_its_test_is_tested_when_it_goes_on(reference, tmp_path):
    folder = tmp_path / "run"
    run = train(folder, stop=AtLook(14))  # 10 updates, 3 validations, and then the test's one batch
    assert (run.finished, run.test_error, len(run.step_loss)) == (False, None, HELD_BACK.steps)
    again = training.resume(folder, dataset(), progress=None)
    assert_same_end(reference, again, folder)
    assert len(again.step_loss) == 0


def test_an_event_of_another_thread_stops_it():
    stop = threading.Event()
    timer = threading.Timer(0, stop.set)
    timer.start()
    run = train(stop=stop)
    timer.join()
    assert not run.finished


def test_parts_of_a_run_are_on_record(unfinished):
    train(unfinished)
    description = json.loads((unfinished / "run.json").read_text())
    assert [part["epoch"] for part in description["resumed"]] == [2]
    assert set(description["resumed"][0]) == {"epoch", "versions", "hardware", "git", "began"}


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


# Interrupted and killed


LONG = {"recipe": HELD_BACK.resized(120, epochs=40)}
WORKER = f"""
import sys
sys.path[:0] = [{str(HERE)!r}]
from pathlib import Path
import small_runs, test_training_resume
small_runs.train(Path(sys.argv[1]), **test_training_resume.LONG)
"""


def in_another_process(folder):
    """Begin or go on in a process of its own; return it once it has logged an epoch."""
    log = folder / "log.jsonl"
    before = log.stat().st_size if log.exists() else 0
    process = subprocess.Popen([sys.executable, "-c", WORKER, folder], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not (log.exists() and log.stat().st_size > before):
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return process


@posix
def test_ctrl_c_and_kill_end_a_run_that_goes_on_and_its_hold_of_the_folder(tmp_path):
    """One test, since processes take seconds to start: refused, interrupted, refused, killed, finished."""
    whole, folder = tmp_path / "whole", tmp_path / "run"
    left_alone = train(whole, **LONG), whole
    for number, code in ((signal.SIGINT, -signal.SIGINT), (signal.SIGKILL, -signal.SIGKILL)):
        process = in_another_process(folder)
        with pytest.raises(training.FolderError, match=f"Another process is training in {folder}. Wait for it"):
            train(folder, **LONG)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == code
        assert (b"KeyboardInterrupt" in errors) == (number == signal.SIGINT)
        assert "result" not in json.loads((folder / "run.json").read_text())
        if number == signal.SIGINT:
            assert not [name for name in files(folder) if ".partial" in name]
    assert_same_end(left_alone, train(folder, **LONG), folder)


def test_a_second_call_in_the_same_process_is_refused_too(tmp_path):
    second = []

    def call(model):  # noqa: ARG001
        with pytest.raises(training.FolderError, match="Another process is training") as error:
            train(tmp_path)
        second.append(error)

    train(tmp_path, callbacks=[AtEpoch(1, call)])
    assert len(second) == 1


# The kill script


@posix
def test_killed_runs_end_as_if_they_had_been_left_alone():
    command = [sys.executable, HERE / "kill_runs.py", "--kills", "3", "--inside", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "inside a checkpoint write" in done.stdout
    assert done.stdout.count("s after its process began") >= 3
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
