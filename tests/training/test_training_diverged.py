"""A loss or a weight that is no number: where training stops, what it says, and that nothing is overwritten."""

import dataclasses
import re

from resnet_lessons import training

import keras
import numpy as np
import pytest
from at_epoch import AtEpoch
from small_runs import HELD_BACK, RECIPE, SPEC, files, same_weights, train

ADVICE = re.escape("Try a recipe with a lower rate or a warm-up.")


def ruin(model):
    """Make one weight NaN."""
    weight = model.trainable_variables[-2]  # the classifier's: a rectifier may hide a NaN before it
    weight.assign(keras.ops.full(weight.shape, np.nan))


class OnceAt(keras.callbacks.Callback):
    """Ruin a weight at one kind of moment, once, in Keras's epoch ``epoch``."""

    def __init__(self, moment, epoch=0):
        super().__init__()
        self.epoch = None
        setattr(self, moment, lambda *_, **__: self._act(epoch))

    def on_epoch_begin(self, epoch, logs=None):  # noqa: ARG002
        self.epoch = epoch

    def _act(self, epoch):
        if self.epoch == epoch:
            self.epoch = None
            ruin(self.model)


def test_an_absurd_rate_stops_the_run_at_the_first_loss_that_is_no_number(tmp_path):
    recipe = dataclasses.replace(HELD_BACK, learning_rate=1e30)
    losses = training.StepLog()
    with pytest.raises(training.Diverged, match=f"at the learning rate 1e\\+30. {ADVICE}") as error:
        train(tmp_path, recipe=recipe, callbacks=[losses])
    step = int(re.search(r"the loss is (?:nan|inf) at update (\d+),", str(error.value))[1])
    assert step == len(losses.loss) + 1 == 2  # whose loss is that of the weights that update 1 has ruined
    assert np.isfinite(losses.loss).all()
    assert set(files(tmp_path)) == {"run.json"}


def test_what_was_kept_before_stays_byte_for_byte_and_goes_on(reference, tmp_path):
    kept = {}

    def note_and_ruin(model):
        kept.update(files(tmp_path))
        ruin(model)

    with pytest.raises(training.Diverged, match=f"the loss is nan at update 9, .*{ADVICE} Begin in another folder; "):
        train(tmp_path, callbacks=[AtEpoch(3, note_and_ruin)])
    assert files(tmp_path) == kept
    assert set(kept) == {"run.json", "log.jsonl", "checkpoint.npz"}
    run = train(tmp_path)
    assert same_weights(run.model, reference[0].model)


@pytest.mark.parametrize(
    ("moment", "recipe", "message"),
    [
        ("on_test_begin", HELD_BACK, "the validation loss is nan after update 4,"),
        (
            "on_train_batch_end",
            dataclasses.replace(HELD_BACK, steps_per_epoch=1, validation=0),
            "logits/kernel holds values that are not finite after update 1,",
        ),
    ],
)
def test_weights_ruined_by_the_last_update_of_an_epoch_are_noticed_before_anything_is_written(
    tmp_path, moment, recipe, message
):
    with pytest.raises(training.Diverged, match=message):
        train(tmp_path, recipe=recipe, callbacks=[OnceAt(moment)])
    assert set(files(tmp_path)) == {"run.json"}


def test_a_test_loss_that_is_no_number_is_no_result(tmp_path):
    """The weights are finite after the last epoch, and what they compute is not."""
    with pytest.raises(training.Diverged, match=f"the test loss is nan after update 10, .*{ADVICE}"):
        train(tmp_path, callbacks=[OnceAt("on_train_end", epoch=2)])
    assert set(files(tmp_path)) == {"run.json", "log.jsonl", "checkpoint.npz"}
    assert b'"result"' not in (tmp_path / "run.json").read_bytes()


def test_in_memory_the_message_names_no_folder():
    with pytest.raises(training.Diverged) as error:
        train(recipe=dataclasses.replace(HELD_BACK, learning_rate=1e30))
    assert str(error.value).endswith("a lower rate or a warm-up.")


@pytest.mark.parametrize(("precision", "advised"), [("float32", False), ("mixed_bfloat16", True)])
def test_float32_is_advised_where_it_is_not_what_was_tried(precision, advised):
    model = training.compile_model(SPEC, RECIPE, 0, precision)
    said = str(training.callbacks.diverged(model, "the loss is nan at update 2"))
    wanted = ", at the learning rate 0.01. Try precision float32, or a recipe with a lower rate or a warm-up."
    assert said.endswith(wanted if advised else wanted.replace("precision float32, or ", ""))


def test_a_run_that_stays_finite_is_let_alone():
    """Negative control: the guard minds NaN and infinity, not a large loss."""
    run = train(recipe=dataclasses.replace(HELD_BACK, learning_rate=5.0, steps=4))
    assert run.finished
    assert max(run.step_loss) > 3
