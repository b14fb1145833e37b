"""Lesson 06's exercises on the tutorial's network: right answers pass however written, wrong ones hear why."""

import functools
import math

from resnet_lessons import checks

import keras
import numpy as np
import pytest
from learners import disguised, written

# tutorial_parameters


def unit(channels, inner, outer, *, second_bias=True, own_kernel=False, own_bias=False):
    kernels = channels * inner + 9 * inner**2 + inner * outer
    own = own_kernel * channels * outer + own_bias * outer
    return kernels + 2 * inner + outer + second_bias * outer + own


def parameters(units, *, side=7, channels=32, second=(True, True), extra_units=0, **projection):
    """Count layer by layer, with what learners forget or add as arguments."""
    dense = (side * side * channels + 1) * 128 + 129 * 10
    identities = (units + extra_units) * unit(16, 8, 16, second_bias=second[0])
    return 160 + identities + unit(16, 16, 32, second_bias=second[1], **projection) + dense


def parameters_by_keras(units):
    """Build stand-ins for the layers with Keras, and let Keras count."""
    sizes = [(1, 16, 3)] + [(16, 8, 1), (8, 8, 3), (8, 16, 1)] * units + [(16, 16, 1), (16, 16, 3), (16, 32, 1)]
    total = 16 * units + 32  # second biases
    for inputs, outputs, kernel in sizes:
        layer = keras.layers.Conv2D(outputs, kernel)
        layer.build((None, 14, 14, inputs))
        total += layer.count_params()
    return total + (1568 + 1) * 128 + 1290


@pytest.mark.parametrize(
    "function",
    [
        parameters,
        parameters_by_keras,
        lambda units: 205_450 + 880 * units,
        lambda units: np.int64(208_970 + 880 * (units - 4)),
        lambda units: float(parameters(units)),
        written("def f(u): return 160 + u * 880 + 3168 + 200832 + 1290", "f"),
        *disguised(parameters),
    ],
)
def test_parameters_pass_however_they_are_counted(function):
    verdict = checks.tutorial_parameters(function)
    assert verdict.passed is True, verdict
    assert "208,970" in verdict.message


@pytest.mark.parametrize(
    ("mistake", "says"),
    [
        ({"own_kernel": True}, "The projection has no kernel of its own"),
        ({"own_kernel": True, "own_bias": True}, "The projection has no weights of its own"),
        ({"own_bias": True}, "The projection has no bias of its own."),
        ({"second": (False, False)}, "Each unit has a second bias"),
        ({"second": (False, True)}, "Each identity bottleneck has a second bias"),
        ({"second": (True, False)}, "The unit that projects has a second bias too."),
        ({"side": 14}, "Two max-poolings halve the map"),
        ({"channels": 16}, "The dense layer sees 32 channels"),
        ({"extra_units": -1}, "One identity bottleneck is missing."),
        ({"extra_units": 1}, "There is one identity bottleneck too many."),
        ({"side": 28}, "Write the kernels and biases down, layer by layer."),
    ],
)
def test_wrong_parameters_hear_why(mistake, says):
    verdict = checks.tutorial_parameters(functools.partial(parameters, **mistake))
    answer, right = parameters(4, **mistake), 208_970
    off = f"4 units gave {answer:,}, {abs(answer - right):,} too {'many' if answer > right else 'few'}. "
    assert verdict.passed is False
    assert verdict.message.startswith(off + says)


def test_the_number_of_the_text_alone_does_not_pass():
    verdict = checks.tutorial_parameters(lambda _: 208_970)
    assert verdict.passed is False
    assert verdict.message.startswith("1 units gave 208,970")


# lowest_loss


def lowest_by_softmax(classes):
    certain = np.eye(classes)[0]
    return -np.log(np.exp(certain) / np.exp(certain).sum())[0]


@pytest.mark.parametrize(
    "function",
    [
        lowest_by_softmax,
        lambda classes: math.log(math.e + classes - 1) - 1,
        lambda classes: np.float32(np.log(1 + (classes - 1) / np.e)),
        lambda classes: keras.ops.log(1 + (classes - 1) / np.e),
        *disguised(lowest_by_softmax),
    ],
)
def test_the_lowest_loss_passes_however_it_is_computed(function):
    verdict = checks.lowest_loss(function)
    assert verdict.passed is True, verdict


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda _: 0.0, "10 classes gave 0. That is so when logits go in."),
        (math.log, "10 classes gave 2.303. That is the loss of a net that does not know."),
        (lambda n: math.e / (math.e + n - 1), "10 classes gave 0.232. That is the probability of the right class."),
        (lambda n: math.log2(1 + (n - 1) / math.e), "10 classes gave 2.108. Cross-entropy here has the natural"),
        (lambda n: math.log(math.e + n - 1), "10 classes gave 2.461. The right class's own score, 1, must be taken"),
        (lambda _: 1.461, "2 classes gave 1.461. Put (1, 0, ..., 0) into a softmax."),
        (lambda n: [lowest_by_softmax(n)], "For 10 classes it should return one number. It returned ["),
        (lambda _: math.nan, "For 10 classes it should return one number. It returned nan."),
    ],
)
def test_a_wrong_loss_hears_why(function, says):
    verdict = checks.lowest_loss(function)
    assert verdict.passed is False
    assert verdict.message.startswith(says)


# accuracy


def accuracy_by_loop(labels, outputs):
    right = 0
    for label, row in zip(labels, outputs, strict=True):
        right += max(range(len(row)), key=row.__getitem__) == label
    return right / len(labels)


@pytest.mark.parametrize(
    "function",
    [
        accuracy_by_loop,
        lambda labels, outputs: (np.argsort(outputs)[:, -1] == labels).mean(),
        lambda labels, outputs: 1 - np.count_nonzero(outputs.argmax(-1) - labels) / len(labels),
        lambda labels, outputs: float(
            np.mean(keras.ops.convert_to_numpy(keras.metrics.sparse_categorical_accuracy(labels, outputs)))
        ),
        *disguised(accuracy_by_loop),
    ],
)
def test_accuracy_passes_however_it_is_written(function):
    verdict = checks.accuracy(function)
    assert verdict.passed is True, verdict


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda y, z: 1 - accuracy_by_loop(y, z), "That is the error."),
        (lambda y, z: 100 * accuracy_by_loop(y, z), "That is in percent."),
        (lambda y, z: len(y) * accuracy_by_loop(y, z), "That is how many are right."),
        (lambda y, z: np.mean(z.argmin(axis=1) == y), "The prediction is where the output is largest."),
        (
            lambda y, z: np.mean(np.argsort(z)[:, -2] == y),
            "The prediction for an image is the place of its largest output",
        ),
        (lambda y, z: z.argmax(axis=1) == y, "It should return one number between 0 and 1. It returned array("),
    ],
)
def test_a_wrong_accuracy_hears_why(function, says):
    verdict = checks.accuracy(function)
    assert verdict.passed is False
    assert says in verdict.message
