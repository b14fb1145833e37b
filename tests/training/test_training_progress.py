"""What a person sees of a training: a line an epoch with speed and time left, a bar that leaves them, or nothing."""

import re

from resnet_lessons import training
from resnet_lessons.training import progress

import numpy as np
import pytest
from at_epoch import AtEpoch
from small_runs import train

LINE = re.compile(
    r"epoch +(\d+)  update +(\d+)/10  loss (\d\.\d{3}) error +(\d+\.\d)%  validation (\d\.\d{3}) +(\d+\.\d)%"
    r"  rate ([\d.e-]+)  ([\d,]+) images/s  (\d+) (?:s|min) left"
)


def assert_lines(text, run):
    """Check that a text is one line for each epoch of a run, and nothing else."""
    lines = [LINE.fullmatch(line) for line in text.splitlines()]
    assert all(lines)
    assert len(lines) == len(run.epochs)
    for line, epoch in zip(lines, run.epochs, strict=True):
        assert (int(line[1]), int(line[2])) == (epoch["epoch"], epoch["step"])
        assert float(line[3]) == pytest.approx(epoch["train_loss"], abs=6e-4)
        assert float(line[4]) == pytest.approx(100 * epoch["train_error"], abs=0.06)
        assert float(line[5]) == pytest.approx(epoch["val_loss"], abs=6e-4)
        assert float(line[7]) == pytest.approx(epoch["lr"], rel=0.06)
        assert int(line[8].replace(",", "")) > 0
    assert lines[-1][9] == "0"


def test_one_line_an_epoch(capfd):
    run = train(progress="lines")
    out, err = capfd.readouterr()
    assert_lines(out, run)
    assert not err


def test_a_bar_goes_to_stderr_and_lines_to_stdout(capfd):
    run = train(progress="bar")
    out, err = capfd.readouterr()
    assert_lines(out.replace("\r", "").strip(), run)
    assert "10/10" in err
    assert "loss=" in err


def test_a_bar_is_closed_when_training_fails(monkeypatch):
    closed = []
    monkeypatch.setattr(progress.Bar, "close", lambda self: closed.append(self))
    with pytest.raises(training.Diverged):
        train(progress="bar", callbacks=[AtEpoch(2, ruin)])
    assert len(closed) == 1


def ruin(model):
    model.set_weights([np.full_like(weight, np.nan) for weight in model.get_weights()])


def test_silence(capfd):
    train(progress=None)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (45, "45 s"),
        (99.4, "99 s"),
        (99.6, "2 min"),
        (720, "12 min"),
        (5969, "99 min"),
        (5971, "1 h 40 min"),
        (11_100, "3 h 05 min"),
    ],
)
def test_durations_read_well(seconds, words):
    assert progress.duration(seconds) == words


def test_time_left_is_that_of_the_updates_to_come(monkeypatch):
    """Two updates took 3 s with validation, so eight more take 12 s; a resumed run has made others before."""
    clock = iter([0.0, 2.0, 3.0])
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(clock))
    log = training.StepLog(step=10)
    written = []
    lines = progress.Lines(log, 20, 100, written.append)
    lines.on_epoch_begin(5)
    log.loss, log.epochs = [1.0, 1.0], [{"epoch": 6, "step": 12, "train_loss": 1, "train_error": 0.5, "lr": 0.1}]
    lines.on_test_begin()
    lines.on_epoch_end(5)
    assert written == [
        "epoch   6  update 12/20  loss 1.000 error  50.0%  rate 0.1  100 images/s  12 s left",
    ]
