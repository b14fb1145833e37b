"""``fit`` against a loop written out: losses, errors, weights, the log's lines, and the one owner of the rate."""

import dataclasses

from resnet_lessons import backend, models, results, training
from resnet_lessons.batches import Batches

import keras
import numpy as np
import pytest
from small_runs import RECIPE, SPEC, array, cross_entropy, softmax


class Rates(keras.callbacks.Callback):
    """Keep the learning rate and the number of updates made, as each update ends."""

    def __init__(self):
        super().__init__()
        self.rates, self.updates = [], []

    def on_train_batch_end(self, batch, logs=None):  # noqa: ARG002
        self.rates.append(float(self.model.optimizer.learning_rate))
        self.updates.append(int(self.model.optimizer.iterations))


@pytest.fixture(scope="module")
def trained(images):
    """One run with everything on, and the rates it used."""
    stream = Batches(*images, RECIPE.batch_size, "pad-crop-flip", 3, steps_per_epoch=RECIPE.steps_per_epoch)
    for _ in range(5):
        stream.on_epoch_begin()  # it has served five epochs before
    rates = Rates()
    held_back = Batches(*images, 5, indices=range(12))
    run = training.fit(SPEC, RECIPE, stream, held_back, seed=1, precision="float32", callbacks=[rates])
    return run, rates, held_back


# What a run gives


@pytest.fixture(scope="module")
def by_hand(images):
    """The same training as a loop over NumPy weights: forward pass, gradient and update of each batch in turn."""
    model = training.compile_model(SPEC, RECIPE, 1, "float32")
    stream = Batches(*images, RECIPE.batch_size, "pad-crop-flip", 3)
    weights, losses, errors = model.trainable_variables, [], []
    velocity = [np.zeros(w.shape) for w in weights]
    for step in range(RECIPE.steps):
        x, y = stream.at(*divmod(step, len(stream)))
        before = [array(v) for v in model.non_trainable_variables]
        probabilities = softmax(keras.ops.convert_to_numpy(model(x, training=True)))  # updates moving statistics
        after = [array(v) for v in model.non_trainable_variables]
        losses.append(cross_entropy(probabilities, y))
        errors.append(np.mean(probabilities.argmax(axis=1) != y))
        for variable, value in zip(model.non_trainable_variables, before, strict=True):
            variable.assign(value)
        _, gradients = backend.gradients(model, x, y, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        for variable, value in zip(model.non_trainable_variables, after, strict=True):
            variable.assign(value)
        for number, (variable, gradient) in enumerate(zip(weights, gradients, strict=True)):
            w = array(variable)
            decay = RECIPE.weight_decay if w.ndim > 1 else 0  # kernels have 2 or 4 axes; scales, shifts, biases 1
            velocity[number] = RECIPE.momentum * velocity[number] - RECIPE.lr_at(step) * (gradient + decay * w)
            variable.assign(w + velocity[number])
    return model, losses, errors


def test_losses_and_errors_are_those_of_a_loop_by_hand(trained, by_hand):
    run, _, _ = trained
    _, losses, errors = by_hand
    np.testing.assert_allclose(run.step_loss, losses, rtol=2e-3)
    np.testing.assert_allclose(run.step_error, errors, atol=1e-5)
    assert run.step_loss.dtype == run.step_error.dtype == np.float32


def test_final_weights_are_those_of_a_loop_by_hand(trained, by_hand):
    for found, wanted in zip(trained[0].model.weights, by_hand[0].weights, strict=True):
        np.testing.assert_allclose(array(found), array(wanted), rtol=2e-2, atol=2e-3)


def test_means_of_batches_of_equal_weight_would_miss_the_small_ones():
    """Negative control: Keras's means are over images, so differences of mean * batches are not a batch's own."""
    log = training.StepLog()
    log.on_epoch_begin(0)
    own, sizes = [2.0, 3.0, 1.0], np.array([8, 6, 8])
    means = [np.dot(own[:n], sizes[:n]) / sizes[:n].sum() for n in (1, 2, 3)]
    for batch, mean in enumerate(means):
        log.on_train_batch_end(batch, {"loss": mean, "accuracy": mean / 10, "images": sizes[: batch + 1].sum()})
    assert log.loss == pytest.approx(own)
    assert log.error == pytest.approx([0.8, 0.7, 0.9])
    assert np.diff([mean * (batch + 1) for batch, mean in enumerate([0, *means])])[1] != pytest.approx(own[1], rel=0.01)


def test_it_stops_after_the_recipes_last_update_amid_an_epoch(trained):
    run, rates, _ = trained
    assert len(run.step_loss) == len(run.step_error) == RECIPE.steps == 7
    assert rates.updates == [1, 2, 3, 4, 5, 6, 7]
    assert [line["step"] for line in run.epochs] == [2, 4, 6, 7]
    assert [line["epoch"] for line in run.epochs] == [1, 2, 3, 4]


def test_batches_are_served_in_their_own_order(images):
    served = []

    class Watched(Batches):
        def at(self, epoch, index):
            served.append((epoch, index))
            return super().at(epoch, index)

    stream = Watched(*images, 4, seed=0, steps_per_epoch=9)
    training.fit(SPEC, dataclasses.replace(RECIPE, steps=18), stream, precision="float32")
    assert served[-18:] == [(epoch, index) for epoch in range(2) for index in range(9)]  # Keras looks at two before


def test_every_update_has_the_recipes_rate(trained):
    run, rates, _ = trained
    wanted = [RECIPE.lr_at(step) for step in range(7)]
    assert len(set(wanted)) == 4
    assert rates.rates == pytest.approx(wanted)
    assert [line["lr"] for line in run.epochs] == pytest.approx([wanted[step] for step in (1, 3, 5, 6)])


def test_the_lines_of_the_log_are_means_over_their_images(trained):
    run, _, _ = trained
    sizes = np.array([8, 8, 6, 8, 8, 6, 8])
    for line, chunk in zip(run.epochs, (slice(0, 2), slice(2, 4), slice(4, 6), slice(6, 7)), strict=True):
        mean = np.average(run.step_loss[chunk], weights=sizes[chunk])
        assert line["train_loss"] == pytest.approx(mean, rel=1e-4)
        assert line["train_error"] == pytest.approx(np.average(run.step_error[chunk], weights=sizes[chunk]), abs=1e-5)
        assert line["seconds"] > 0
    assert sum(line["seconds"] for line in run.epochs) < run.seconds  # which building has a part in


def test_validation_is_the_nets_own_after_the_epoch(trained):
    run, _, held_back = trained
    x, y = (np.concatenate(part) for part in zip(*held_back, strict=True))
    probabilities = softmax(keras.ops.convert_to_numpy(run.model(x, training=False)))
    assert run.epochs[-1]["val_loss"] == pytest.approx(cross_entropy(probabilities, y), rel=1e-4)
    assert run.epochs[-1]["val_error"] == pytest.approx(np.mean(probabilities.argmax(axis=1) != y), abs=1e-6)


def test_a_line_of_the_log_is_what_records_hold(trained):
    for line in trained[0].epochs:
        assert dataclasses.asdict(results.Epoch(**line)) == line


def test_a_run_says_what_was_run(trained):
    run, _, _ = trained
    assert (run.spec, run.recipe, run.seed, run.precision) == (SPEC, RECIPE, 1, "float32")
    assert "array" not in repr(run)
    assert run == run != dataclasses.replace(run)  # comparing arrays would raise


def test_without_validation_there_is_none(batches):
    run = training.fit(SPEC, dataclasses.replace(RECIPE, steps=2), batches, precision="float32")
    assert set(run.epochs[0]) == {"epoch", "step", "train_loss", "train_error", "lr", "seconds"}


@pytest.mark.parametrize("part", ["batches", "validation"])
def test_arrays_are_refused_with_what_to_give(batches, images, part):
    given = {"batches": batches, "validation": batches} | {part: images}
    with pytest.raises(TypeError, match=r"batches must be .*train_and_validation.*Received: a tuple\."):
        training.fit(SPEC, RECIPE, **given)


def test_a_saved_net_comes_back_with_its_decay(trained, tmp_path, images):
    run, _, _ = trained
    run.model.save(tmp_path / "net.keras")
    again = keras.models.load_model(tmp_path / "net.keras")
    x = Batches(*images, 22).at(0, 0)[0]
    np.testing.assert_allclose(again.predict(x, verbose=0), run.model.predict(x, verbose=0), rtol=1e-4, atol=1e-5)
    assert (again.optimizer.decay, again.optimizer.momentum) == (RECIPE.weight_decay, RECIPE.momentum)
    for found, wanted in zip(again.optimizer.variables, run.model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(array(found), array(wanted))


# The one owner of the rate


@pytest.mark.parametrize(
    "schedule",
    [
        keras.callbacks.LearningRateScheduler(float),
        keras.callbacks.ReduceLROnPlateau(),
        type("Mine", (keras.callbacks.ReduceLROnPlateau,), {})(),
    ],
)
def test_a_second_schedule_is_refused_before_anything_is_built(monkeypatch, batches, schedule):
    monkeypatch.setattr(models, "build", lambda _: pytest.fail("it was built"))
    with pytest.raises(ValueError, match=f"The recipe alone sets .* Received: a {type(schedule).__name__}"):
        training.fit(SPEC, RECIPE, batches, callbacks=[Rates(), schedule])


class Another(keras.callbacks.Callback):
    """A second owner of the learning rate that no type gives away: it sets the rate at one kind of moment."""

    def __init__(self, moment, rate=1e-3):
        super().__init__()
        setattr(self, moment, lambda *_, **__: setattr(self.model.optimizer, "learning_rate", rate))


@pytest.mark.parametrize("moment", ["on_train_batch_begin", "on_epoch_end"])
def test_a_second_owner_is_noticed_while_it_runs(batches, moment):
    words = r"The recipe alone sets .* Received: 0.001, where it had set .*\. Leave the other one out"
    with pytest.raises(ValueError, match=words):
        training.fit(SPEC, RECIPE, batches, precision="float32", callbacks=[Another(moment)])


@pytest.mark.skipif(backend.BACKEND == "jax", reason="On JAX the net is not asked after each update (see below)")
def test_a_second_owner_that_covers_its_tracks_is_noticed_too(batches):
    """It takes the rate back before the epoch ends."""

    class Hidden(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):  # noqa: ARG002
            self.before = float(self.model.optimizer.learning_rate)
            self.model.optimizer.learning_rate = 1e-3

        def on_train_batch_end(self, batch, logs=None):  # noqa: ARG002
            self.model.optimizer.learning_rate = self.before

    with pytest.raises(ValueError, match=r"The recipe alone sets .* Received: 0.001, where it had set"):
        training.fit(SPEC, RECIPE, batches, precision="float32", callbacks=[Hidden()])


def test_a_second_owner_whose_rate_a_drop_would_cover_is_noticed(batches):
    """It sets the rate once; before the epoch ends the recipe sets another."""
    once = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, **_: batch or setattr(once.model.optimizer, "learning_rate", 1e-3)
    )
    recipe = dataclasses.replace(RECIPE, steps=8, drops=(0.25,), warmup_steps=0)
    batches.steps_per_epoch = 8
    with pytest.raises(ValueError, match=r"The recipe alone sets .* Received: 0.001, where it had set"):
        training.fit(SPEC, recipe, batches, precision="float32", callbacks=[once])


def test_an_owner_that_sets_the_same_rate_is_let_alone(batches):
    """Negative control."""
    recipe = dataclasses.replace(RECIPE, steps=2, drops=(), warmup_steps=0)
    run = training.fit(SPEC, recipe, batches, precision="float32", callbacks=[Another("on_epoch_end", 0.5)])
    assert run.finished


@pytest.mark.skipif(backend.BACKEND != "jax", reason="TensorFlow's variables hold the state at all times")
@pytest.mark.parametrize(("asking", "copies"), [([], range(1, 6)), ([Rates()], range(8, 99))])
def test_on_jax_the_state_is_not_copied_at_each_update(monkeypatch, batches, asking, copies):
    """What an epoch of 8 updates costs in copies; the second case, which asks after each, is the control."""
    recipe = dataclasses.replace(RECIPE, steps=8, drops=(), warmup_steps=0, learning_rate=0.5)
    copied, sync = [], keras.Model.jax_state_sync

    def counting(model):
        copied.append(not model._jax_state_synced)
        sync(model)

    monkeypatch.setattr(keras.Model, "jax_state_sync", counting)
    batches.steps_per_epoch = 8
    training.fit(SPEC, recipe, batches, precision="float32", callbacks=asking)
    assert sum(copied) in copies


# Steps


def test_a_run_that_a_callback_stops_is_not_finished(batches):
    stopping = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: setattr(stopping.model, "stop_training", True))
    run = training.fit(SPEC, RECIPE, batches, precision="float32", callbacks=[stopping])
    assert (run.finished, run.epochs[-1]["step"]) == (False, 2)


@pytest.mark.parametrize(
    ("steps", "an_epoch", "ends"),
    [
        (6, None, [3, 6]),
        (7, None, [3, 6, 7]),
        (5, 2, [2, 4, 5]),
        (5, 9, [5]),
        (1, 1, [1]),
    ],
)
def test_epochs_end_after_their_updates_and_after_the_last(images, steps, an_epoch, ends):
    """22 images in batches of 8: without a number of its own, an epoch is a pass of 3 updates."""
    stream = Batches(*images, 8, "none", 0, steps_per_epoch=an_epoch)
    recipe = dataclasses.replace(RECIPE, steps=steps, steps_per_epoch=an_epoch)
    run = training.fit(SPEC, recipe, stream, precision="float32")
    assert [line["step"] for line in run.epochs] == ends
    assert len(run.step_loss) == steps == int(run.model.optimizer.iterations)
