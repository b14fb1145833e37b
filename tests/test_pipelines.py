"""What Keras is given for batches serves them epoch by epoch, and nobody tunes it."""

from resnet_lessons import backend
from resnet_lessons.batches import Batches

import numpy as np
import pytest

on_tensorflow = pytest.mark.skipif(backend.BACKEND != "tensorflow", reason="a matter of TensorFlow")


@pytest.fixture
def batches():
    """Serve 11 images in batches of 4, the last one of 3, shuffled and augmented anew in each epoch."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (11, 8, 8, 3), dtype="uint8")
    return Batches(images, rng.integers(0, 10, 11, dtype="uint8"), 4, "pad-crop-flip", seed=1)


def served(stream):
    return [tuple(array.numpy() for array in batch) for batch in stream]


@on_tensorflow
def test_each_pass_is_the_next_epoch(batches):
    stream = backend.pipeline(batches)
    assert len(stream) == 3
    for epoch in (0, 1, 2):
        wanted = [batches.at(epoch, index) for index in range(3)]
        for one, other in zip(served(stream), wanted, strict=True):
            for array, expected in zip(one, other, strict=True):
                assert array.dtype == expected.dtype
                np.testing.assert_array_equal(array, expected)
    assert not np.array_equal(batches.at(0, 0)[0], batches.at(1, 0)[0])  # so the epochs can be told apart


@on_tensorflow
def test_a_pass_begins_where_the_batches_are_told_to(batches):
    stream = backend.pipeline(batches)
    batches.start_at(5)
    np.testing.assert_array_equal(served(stream)[2][0], batches.at(5, 2)[0])


@on_tensorflow
def test_the_batches_are_told_of_the_end_of_a_pass_whole_or_not(batches, monkeypatch):
    ends = []
    monkeypatch.setattr(batches, "on_epoch_end", lambda: ends.append(batches.epoch))
    stream = backend.pipeline(batches)
    served(stream)
    assert ends == [0]
    served(stream.take(1))
    assert ends == [0, 1]


@on_tensorflow
def test_tuning_is_switched_off(batches):
    """Keras leaves it on, as it is by default: the control."""
    from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

    assert backend.pipeline(batches).options().autotune.enabled is False
    assert PyDatasetAdapter(batches, shuffle=False).get_tf_dataset().options().autotune.enabled is not False


@on_tensorflow
def test_a_pass_stays_in_its_epoch():
    """Also if somebody turns the same batches to another one amid it."""
    images = np.arange(20, dtype="uint8")[:, None, None, None] * np.ones((1, 8, 8, 3), "uint8")
    batches = Batches(images, np.arange(20), 1, seed=1)  # more than are made ahead
    passing = iter(backend.pipeline(batches))
    next(passing)
    batches.start_at(7)
    labels = [int(label[0]) for _, label in served(passing)]
    assert labels == [int(batches.at(0, index)[1][0]) for index in range(1, 20)]


def test_no_batches_are_none():
    assert backend.pipeline(None) is None


@pytest.mark.parametrize("other", [(np.zeros((4, 8, 8, 3)), np.zeros(4)), [1, 2], "cifar10"])
def test_what_are_no_batches_is_refused(other):
    with pytest.raises(TypeError, match=rf"batches must be .*train_and_validation.*Received: a {type(other).__name__}"):
        backend.pipeline(other)


@pytest.mark.skipif(backend.BACKEND == "tensorflow", reason="a matter of JAX")
def test_jax_takes_the_batches_as_they_are(batches):
    assert backend.pipeline(batches) is batches
