"""The test images: read once, after the last update, and nothing else depends on them."""

import dataclasses

from resnet_lessons import backend, training

import keras
import numpy as np
import pytest
from small_runs import HELD_BACK, AfterUpdates, dataset, log_of, same_weights, train


class Watched:
    """Stand in for a data set, and note at which update its test images or labels are asked for."""

    def __init__(self):
        self._images, self._model, self.asked = dataset(), None, []
        self.watch = keras.callbacks.LambdaCallback(on_train_begin=self._begin)
        self.watch.set_model = self._begin

    def _begin(self, model=None):
        self._model = model or self._model

    def __getattr__(self, name):
        return getattr(self._images, name)

    def _note(self, name):
        self.asked.append((name, int(self._model.optimizer.iterations) if self._model else None))
        return getattr(self._images, name)

    @property
    def x_test(self):
        return self._note("x_test")

    @property
    def y_test(self):
        return self._note("y_test")


@pytest.fixture
def watched():
    return Watched()


def test_it_is_read_once_after_the_last_update_which_gives_the_runs_weights(watched, reference):
    """Nothing is picked: neither the best epoch on the validation images nor the best on the test images."""
    last = []
    end = keras.callbacks.LambdaCallback(on_train_end=lambda logs: last.extend(end.model.get_weights()))  # noqa: ARG005
    run = train(images=watched, callbacks=[watched.watch, end])
    assert watched.asked == [("x_test", 10), ("y_test", 10)]
    assert all(np.array_equal(a, b) for a, b in zip(last, run.model.get_weights(), strict=True))
    assert same_weights(train(reference[1]).model, run.model)  # as the folder of a finished run holds them


def test_a_net_is_tested_on_it_once_and_all_images_come_by_the_pipeline(monkeypatch):
    images, served, given = dataset(), {}, {"fit": [], "evaluate": []}
    pipeline = backend.pipeline

    def serving(batches):
        stream = pipeline(batches)
        served[id(stream)] = stream, batches
        return stream

    def noting(name):
        method = getattr(keras.Model, name)

        def noted(model, x, *args, **kwargs):
            given[name].append(served[id(x)][1].x)  # a KeyError: it did not come by the pipeline
            return method(model, x, *args, **kwargs)

        monkeypatch.setattr(keras.Model, name, noted)

    monkeypatch.setattr(training.engine.backend, "pipeline", serving)
    noting("fit")
    noting("evaluate")
    run = train(images=images)
    assert run.test_error is not None
    assert [np.shares_memory(x, images.x_train) for x in given["fit"]] == [True]
    read = [np.shares_memory(x, images.x_test) for x in given["evaluate"]]
    assert read == [False] * len(run.epochs) + [True]  # validation after each epoch, and one test


def test_a_finished_run_that_is_read_leaves_it_alone(watched, reference):
    run = train(reference[1], images=watched)
    assert run.test_error == reference[0].test_error
    assert watched.asked == []


def test_a_stopped_run_leaves_it_alone_until_it_is_finished(watched, tmp_path):
    stopping = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: setattr(stopping.model, "stop_training", True))
    assert not train(tmp_path, images=watched, callbacks=[watched.watch, stopping]).finished
    assert watched.asked == []
    assert not train(tmp_path, images=watched, callbacks=[watched.watch], stop=AfterUpdates(1)).finished
    assert watched.asked == []
    train(tmp_path, images=watched, callbacks=[watched.watch])
    assert watched.asked == [("x_test", 10), ("y_test", 10)]


def test_a_refused_run_leaves_it_alone(watched, stopped):
    with pytest.raises(training.FolderError):
        train(stopped, images=watched, seed=1)
    assert watched.asked == []


def test_a_diverged_run_leaves_it_alone(watched):
    with pytest.raises(training.Diverged):
        train(images=watched, recipe=dataclasses.replace(HELD_BACK, learning_rate=1e30))
    assert watched.asked == []


def test_a_look_at_it_while_training_would_be_noticed(watched):
    """Negative control: the stand-in sees who picks weights on the test images."""
    looking = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: watched.x_test.sum())  # noqa: ARG005
    train(images=watched, callbacks=[watched.watch, looking])
    assert [step for _, step in watched.asked] == [4, 8, 10, 10, 10]


def test_other_test_images_change_the_result_and_nothing_else(reference, tmp_path):
    images = dataset()
    other = dataclasses.replace(images, x_test=255 - images.x_test, y_test=(images.y_test + 1) % 10)
    run = train(tmp_path, images=other)
    assert same_weights(run.model, reference[0].model)
    assert log_of(tmp_path) == log_of(reference[1])
    assert run.test_loss != reference[0].test_loss


def test_other_training_images_change_the_weights(reference):
    """Negative control of the one before."""
    images = dataset()
    other = dataclasses.replace(images, x_train=images.x_train[::-1], y_train=images.y_train[::-1])
    assert not same_weights(train(images=other).model, reference[0].model)
