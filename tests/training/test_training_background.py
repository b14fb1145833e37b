"""A training in a thread: it is the same training, its progress can be read at any moment, and it stops when asked."""

import subprocess
import sys
import threading
from pathlib import Path

from resnet_lessons import training

import numpy as np
import pytest
import run_differences
from small_runs import DROPPING, HELD_BACK, dataset, same_weights

HERE = Path(__file__).parent
OPTIONS = {"precision": "float32", "deterministic": True}


def start(folder, recipe=HELD_BACK, **options):
    return training.Background(DROPPING, recipe, dataset(), folder, **OPTIONS | options)


class Seen:
    """Note the progress at every change, and hold the training at a change until it may go on."""

    def __init__(self, hold=None):
        self.all, self.hold, self.reached, self.go = [], hold, threading.Event(), threading.Event()
        self.training = None

    def __call__(self):
        found = self.training.progress() if self.training else training.Progress()
        self.all.append(found)
        if self.hold and self.hold(found):
            self.reached.set()
            assert self.go.wait(60)


def watched(folder, hold=None, **options):
    """Start a training whose every update is seen."""
    seen = Seen(hold)
    seen.training = start(folder, changed=seen, every=0, **options)
    return seen


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """All that was seen of a run that was left alone."""
    found = watched(tmp_path_factory.mktemp("background") / "run")
    found.training.result()
    return found


def test_a_run_in_a_thread_is_the_same_run(reference, seen):
    one = seen.training
    run = one.result()
    assert one.done
    assert one.error is None
    assert run is one.run
    assert same_weights(reference[0].model, run.model)
    assert run_differences.differences(reference[1], one.out) == []


def test_its_progress_is_what_the_run_holds_in_the_end(seen):
    run, progress = seen.training.run, seen.training.progress()
    assert progress.phase == "ended"
    assert progress.step == HELD_BACK.steps
    assert np.array_equal(progress.step_error, run.step_error)
    assert progress.epochs == run.epochs  # with the same seconds


def test_a_progress_that_has_ended_lacks_no_update(tmp_path, monkeypatch):
    """The thread makes its last update and ends while the progress is read."""
    watch = training.background._Watch(tmp_path, 2, lambda: None, 0)
    watch.error.append(0.5)

    def overtaken(values, kind):
        copy = np.asarray(list(values), kind)
        watch.error.append(0.25)
        watch.enter("ended")
        return copy

    with monkeypatch.context() as patched:
        patched.setattr(training.background.np, "array", overtaken)
        found = watch.progress()
    assert (found.phase, found.step) == ("starting", 1)
    assert (watch.progress().phase, watch.progress().step) == ("ended", 2)


def test_changes_come_with_every_update_and_phase(seen):
    steps = [progress.step for progress in seen.all]
    assert steps == sorted(steps)
    assert set(range(1, HELD_BACK.steps + 1)) <= set(steps)
    phases = [progress.phase for progress in seen.all]
    assert {"training", "validating", "testing", "ended"} <= set(phases)
    assert phases[-2:] == ["testing", "ended"]
    assert [len(progress.epochs) for progress in seen.all][-1] == 3


def test_changes_are_not_said_more_often_than_asked(tmp_path):
    said = []
    one = start(tmp_path / "run", changed=lambda: said.append(None), every=1000)
    one.result()
    assert len(said) == 9  # the first update; 3 times validating and back; testing; ended


def test_it_stops_after_the_update_under_way_and_goes_on_to_the_same_end(reference, tmp_path):
    seen = watched(tmp_path / "run", hold=lambda progress: progress.step == 6)
    assert seen.reached.wait(60)
    assert not seen.training.done
    snapshot = seen.training.progress()
    seen.training.stop()
    assert seen.training.asked_to_stop
    seen.go.set()
    stopped = seen.training.result()
    assert (stopped.finished, len(stopped.step_error)) == (False, 6)
    assert seen.training.progress().step == 6
    again = start(tmp_path / "run")
    run = again.result()
    assert (snapshot.step, len(snapshot.epochs), snapshot.phase) == (6, 1, "training")  # it stays as it was
    assert snapshot.left > 0
    assert same_weights(reference[0].model, run.model)
    assert run_differences.differences(reference[1], tmp_path / "run") == []
    assert again.progress().first_step == 4  # of the one epoch that was whole
    assert again.progress().step == HELD_BACK.steps
    assert [line["epoch"] for line in again.progress().epochs] == [1, 2, 3]


def test_a_line_without_its_checkpoint_is_no_update_made(reference, ahead):
    seen = watched(ahead)
    run = seen.training.result()
    assert same_weights(reference[0].model, run.model)
    phases = [progress.phase for progress in seen.all]
    assert "testing" not in phases[: phases.index("training")]
    assert {progress.step for progress in seen.all} == {9, 10}
    assert seen.training.progress().first_step == 8


def test_a_training_that_ignores_stop_is_told(tmp_path, monkeypatch):
    """What the test above would see: the negative control."""
    monkeypatch.setattr(training.engine.between_updates.StopAsked, "on_train_batch_end", lambda *_, **__: None)
    monkeypatch.setattr(training.engine.between_updates.StopAsked, "on_test_batch_end", lambda *_, **__: None)
    seen = watched(tmp_path / "run", hold=lambda progress: progress.step == 6)
    assert seen.reached.wait(60)
    seen.training.stop()
    seen.go.set()
    assert seen.training.result().finished


def test_what_ends_it_is_kept_and_raised(tmp_path):
    (tmp_path / "strange").write_text("here before")
    one = start(tmp_path)
    assert one.wait(60)
    assert isinstance(one.error, training.FolderError)
    assert one.run is None
    assert one.progress().phase == "ended"
    with pytest.raises(training.FolderError, match="holds strange"):
        one.result()


def test_a_second_one_in_the_same_folder_is_refused_and_the_first_goes_on(tmp_path):
    seen = watched(tmp_path / "run", hold=lambda progress: progress.step == 2)
    assert seen.reached.wait(60)
    other = start(tmp_path / "run")
    assert other.wait(60)
    seen.go.set()
    assert "is training in" in str(other.error)
    assert seen.training.result().finished


def test_an_update_in_a_thread_leaves_the_callers_precision_alone(tmp_path):
    import keras

    before = keras.config.dtype_policy().name
    start(tmp_path / "run", precision="mixed_bfloat16").result()
    assert keras.config.dtype_policy().name == before == "float32"


ENDS = """
import sys
sys.path.insert(0, {here!r})
from pathlib import Path
import dataclasses, threading
from resnet_lessons import training
from small_runs import DROPPING, HELD_BACK, dataset
begun = threading.Event()
long = dataclasses.replace(HELD_BACK, steps=10**6, drops=())
one = training.Background(DROPPING, long, dataset(), Path(sys.argv[1]), changed=lambda: one_step())
def one_step():
    if (Path(sys.argv[1]) / "checkpoint.npz").exists():
        begun.set()
assert begun.wait(60)
print("leaving")
"""


def test_a_process_that_ends_does_not_wait_for_the_end_of_the_run(tmp_path):
    code = ENDS.format(here=str(HERE))
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "run"], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "leaving\n", "")
    folder = training.RunFolder(tmp_path / "run")
    arrays, epoch, _ = folder.restore()
    assert arrays
    assert len(folder.lines()) >= epoch >= 1
