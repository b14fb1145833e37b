"""A record whose log tells of another run than its summary is refused, whichever of the two was changed."""

import itertools

from resnet_lessons import results
from resnet_lessons.results import RecordError

import pytest
import recorded_runs

LINES = recorded_runs.log(epochs=4, last=100)
RUN = recorded_runs.run(LINES)


def test_a_run_as_it_was_written_agrees(tmp_path):
    for epochs, last in itertools.product((1, 2, 5), (1, 100, 352)):
        lines = recorded_runs.log(epochs, last)
        folder = recorded_runs.write(tmp_path / f"{epochs}-{last}", recorded_runs.run(lines), lines)
        assert len(results.read(folder).log) == epochs


def test_the_updates_of_a_pass_are_its_batches():
    assert results.updates_per_pass(recorded_runs.TRAIN, recorded_runs.BATCH) == recorded_runs.PASS
    for images, size in itertools.product(range(1, 20), range(1, 25)):
        assert results.updates_per_pass(images, size) == len(range(0, images, size))


def said(tmp_path, run=RUN, lines=LINES):
    """Return the message by which such a record is refused."""
    folder = recorded_runs.write(tmp_path / "a", run, lines)
    with pytest.raises(RecordError) as refusal:
        results.read(folder)
    message = str(refusal.value)
    assert message.startswith(f"{folder}: run.json and log.jsonl do not agree: ")
    return message


def change(part, **values):
    return RUN | {part: RUN[part] | values}


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (change("result", val_error=0.0001), "val_error is 0.0001 in the summary"),
        (change("result", val_loss=0.1), "val_loss is 0.1 in the summary"),
        (change("result", seconds=RUN["result"]["seconds"] + 1), "the log's seconds sum up to 38.125"),
        (change("result", test_error=0.18765), "test_error, 0.18765, is no whole number of 10,000 images"),
        (change("recipe", steps=1157), "epoch 4 ends after 1,156 updates, by the recipe after 1,157"),
        (change("recipe", steps=352 * 3), "the log has 4 epochs, the recipe 3"),
        (change("recipe", steps=352 * 5), "epoch 4 ends after 1,156 updates, by the recipe after 1,408"),
        (change("recipe", steps_per_epoch=300), "epoch 1 ends after 352 updates, by the recipe after 300"),
        (change("recipe", batch_size=64), "epoch 1 ends after 352 updates, by the recipe after 704"),
        (change("recipe", learning_rate=0.2), "epoch 1 ends at the learning rate 0.1, by the recipe at 0.2"),
        (change("recipe", drops=[0.25, 0.75]), "epoch 1 ends at the learning rate 0.1, by the recipe at 0.01"),
        (change("recipe", optimizer="sorcery"), "the recipe is none: optimizer must be one of"),
        (change("recipe", learning="fast"), "the recipe is none"),
        (change("recipe", validation=0), "5000 images were held back, the recipe holds back 0"),
        (change("data", validation_images=4999), "4999 images were held back, the recipe holds back 5000"),
        (change("data", training_images=44_999), "train_error of epoch 1"),
    ],
)
def test_a_summary_of_another_run_is_refused(tmp_path, run, words):
    assert words in said(tmp_path, run)


@pytest.mark.parametrize(
    ("number", "values", "words"),
    [
        (0, {"train_error": 0.19999}, "train_error of epoch 1, 0.19999, is no whole number of 45,000 images"),
        (3, {"train_error": 0.05001}, "train_error of epoch 4, 0.05001, is no whole number of 12,800 images"),
        (1, {"val_error": 0.11111}, "val_error of epoch 2, 0.11111, is no whole number of 5,000 images"),
        (1, {"lr": 0.05}, "epoch 2 ends at the learning rate 0.05, by the recipe at 0.01"),
        (1, {"step": 700}, "epoch 2 ends after 700 updates, by the recipe after 704"),
        (2, {"seconds": 9}, "the log's seconds sum up to 37.625"),
        (2, {"val_error": None, "val_loss": None}, "5000 images were held back, and 3 of 4 epochs validated"),
        (3, {"val_error": 0.0002}, "in the log's last line"),
    ],
)
def test_a_log_of_another_run_is_refused(tmp_path, number, values, words):
    lines = [line | values if index == number else line for index, line in enumerate(LINES)]
    assert words in said(tmp_path, lines=lines)


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_a_log_that_was_cut_between_two_lines_is_refused(tmp_path, kept):
    assert "epochs, the recipe 4" in said(tmp_path, lines=LINES[:kept])


def test_a_log_of_passes_that_epochs_cut_agrees(tmp_path):
    lines = recorded_runs.log(epochs=4, last=352)
    third = [line | {"epoch": number} for number, line in enumerate(lines[1::2], start=1)]  # two passes a line
    for line, before in zip(third, (0, 704), strict=True):
        assert (line["step"] - before) == 704
        line["train_error"] = 1_234 / 90_000
    run = recorded_runs.run(third)
    run["recipe"] |= {"steps_per_epoch": 704}
    assert len(results.read(recorded_runs.write(tmp_path / "a", run, third)).log) == 2
