"""Lesson 01's exercises: correct answers written differently pass, wrong ones hear their own misconception."""

import decimal
import fractions
import functools
import itertools
import math

from resnet_lessons import checks
from resnet_lessons.checks import degradation

import keras
import numpy as np
import pytest
from learners import disguised, written

KINDS = ("degradation", "overfitting", "neither")


# plain_depth


def depth_by_list(n):
    layers = ["conv"]
    for _ in range(3):
        for _ in range(n):
            layers += ["conv", "conv"]
    return len([*layers, "dense"])


DEPTHS = [
    lambda n: 6 * n + 2,
    depth_by_list,
    lambda n: np.int64(2 * 3 * n + 2),
    lambda n: np.array(6 * n + 2),
    lambda n: 6.0 * n + 2,
    lambda n: fractions.Fraction(12 * n + 4, 2),
    lambda n: decimal.Decimal(6 * n + 2),
    written("def f(n):\n    return sum([1, n * 2, n * 2, n * 2, 1])", "f"),
]


@pytest.mark.parametrize("function", DEPTHS + disguised(depth_by_list))
def test_depth_passes_however_it_is_written(function):
    verdict = checks.plain_depth(function)
    assert verdict.passed is True, verdict
    assert "6n + 2" in verdict.message


def layers_with_batch_norm(n):
    return len(["conv", "bn"] + 3 * n * ["conv", "bn", "conv", "bn"] + ["dense"])


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda n: depth_by_list(n) - 2, "n = 3 gave 18. The first convolution and the classifier have weights too"),
        (lambda n: depth_by_list(n) - 1, "n = 3 gave 19. Both the first convolution and the classifier count"),
        (lambda n: 2 + sum(2 for _ in range(n)), "n = 3 gave 8. There are three stages"),
        (lambda n: 2 + sum(1 for _ in range(3 * n)), "n = 3 gave 11. A pair is two convolutions"),
        (lambda n: 2 + sum(3 for _ in range(3 * n)), "n = 3 gave 29. That counts three convolutions in a pair"),
        (layers_with_batch_norm, "n = 3 gave 39. Batch norm is not counted as a layer here"),
        (lambda n: 20 + 0 * n, "n = 1 gave 20. Count the first convolution, three stages, the classifier"),
        (lambda n: {3: 20, 1: 8}.get(n, 6 * n), "n = 9 gave 54. The first convolution"),
        (lambda n: -n, "n = 3 gave -3. Count"),
    ],
)
def test_a_wrong_depth_hears_why(function, says):
    verdict = checks.plain_depth(function)
    assert verdict.passed is False
    assert verdict.message.startswith(says)


# pairs_of


def pairs_by_search(depth):
    return next((n for n in range(1, depth) if depth_by_list(n) == depth), None)


PAIRS = [
    lambda depth: None if depth < 8 or (depth - 2) % 6 else (depth - 2) // 6,
    pairs_by_search,
    lambda depth: np.int64((depth - 2) / 6) if depth > 2 and ((depth - 2) / 6).is_integer() else None,
]


@pytest.mark.parametrize("function", PAIRS + disguised(pairs_by_search))
def test_pairs_pass_however_they_are_written(function):
    verdict = checks.pairs_of(function)
    assert verdict.passed is True, verdict


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda depth: depth // 6, "No net of the family has 21 layers, but 21 gave 3"),
        (lambda depth: (depth - 2) // 6, "No net of the family has 21 layers, but 21 gave 3. Is (depth - 2) / 6"),
        (
            lambda depth: None if (depth - 2) % 6 else (depth - 2) // 6,
            "No net of the family has 2 layers, but 2 gave 0",
        ),
        (lambda depth: (depth - 2) // 3, "20 layers gave n = 6. A pair is two convolutions"),
        (lambda depth: (depth - 2) // 2, "20 layers gave n = 9. There are three stages"),
        (lambda depth: depth, "20 layers gave n = 20. Solve depth = 6n + 2 for n"),
    ],
)
def test_wrong_pairs_hear_why(function, says):
    verdict = checks.pairs_of(function)
    assert verdict.passed is False
    assert verdict.message.startswith(says)


# plain_parameters


def plain_sizes(n):
    """List the convolutions of a plain net as (inputs, outputs), stem first."""
    widths = [3, 16] + [16] * 2 * n + [32] * 2 * n + [64] * 2 * n
    return list(itertools.pairwise(widths))


def parameters(n, *, scales=1, shifts=1, statistics=0, conv_biases=0, classifier=650, stem=True, halved=True):
    """Count layer by layer, with what learners forget or add as arguments."""
    total = classifier
    for number, (inputs, outputs) in enumerate(plain_sizes(n)):
        if number == 0 and not stem:
            continue
        into = inputs if halved or number == 0 else outputs
        total += 9 * into * outputs + outputs * (scales + shifts + 2 * statistics + conv_biases)
    return total


def parameters_in_closed_form(n):
    kernels = 9 * (3 * 16 + 2 * n * 16**2 + 2 * n * (32**2 + 64**2) - 16 * 32 - 32 * 64)
    return kernels + 2 * (16 + 224 * n) + 64 * 10 + 10


def parameters_by_keras(n):
    """Build the net with Keras's own layers and let Keras count."""
    x = inputs = keras.Input((32, 32, 3))
    for _, filters in plain_sizes(n):
        x = keras.layers.BatchNormalization()(keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)(x))
    x = keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(x))
    return sum(math.prod(weight.shape) for weight in keras.Model(inputs, x).trainable_weights)


def test_the_counts_by_hand_are_the_papers():
    assert (parameters(3), parameters(9)) == (269_722, 853_018)


@pytest.mark.parametrize(
    "function",
    [
        parameters,
        parameters_in_closed_form,
        parameters_by_keras,
        lambda n: np.int32(parameters(n)),
        lambda n: float(parameters(n)),
        written("def f(n): return 464 + 650 + n * (9 * 2 * 5376 + 448) - 9 * 2560", "f"),
        *disguised(parameters),
    ],
)
def test_parameters_pass_however_they_are_counted(function):
    verdict = checks.plain_parameters(function)
    assert verdict.passed is True, verdict
    assert "269,722 for n = 3, 853,018 for n = 9" in verdict.message


@pytest.mark.parametrize(
    ("mistake", "says"),
    [
        ({"scales": 0, "shifts": 0}, "Batch norm has a scale and a shift for every channel."),
        ({"shifts": 0}, "Batch norm has both a scale and a shift for every channel."),
        ({"scales": 0}, "Batch norm has both a scale and a shift for every channel."),
        ({"statistics": 1}, "Moving means and variances are not trained by gradient descent."),
        ({"conv_biases": 1}, "A convolution followed by batch norm has no bias here."),
        ({"classifier": 640}, "The classifier has a bias for each class."),
        ({"classifier": 0}, "The classifier is missing: 64 channels to 10 classes, with biases."),
        ({"stem": False}, "The first convolution is missing, with its batch norm."),
        ({"halved": False}, "The first convolution of stages 2 and 3 takes half as many channels in."),
        ({"classifier": 0, "stem": False}, "Write the sizes of the layers down, stage by stage."),
    ],
)
def test_wrong_parameters_hear_what_they_forgot(mistake, says):
    verdict = checks.plain_parameters(functools.partial(parameters, **mistake))
    answer, right = parameters(3, **mistake), parameters(3)
    off = f"{abs(answer - right):,} too {'many' if answer > right else 'few'}"
    assert verdict == checks.Verdict(False, f"n = 3 gave {answer:,}, which is {off}. {says}")


def test_parameters_right_for_one_net_only_are_found_out():
    verdict = checks.plain_parameters(lambda n: 269_722 if n == 3 else parameters(n, shifts=0))
    assert verdict.passed is False
    assert verdict.message.startswith("n = 1 gave ")


# dirac_kernel


def dirac_by_loop(channels):
    kernel = np.zeros((3, 3, channels, channels))
    for channel in range(channels):
        kernel[1, 1, channel, channel] = 1
    return kernel


def at(row, column, values):
    """Return a kernel that holds ``values`` (in, out) at one place and zero elsewhere."""
    kernel = np.zeros((3, 3, *values.shape))
    kernel[row, column] = values
    return kernel


@pytest.mark.parametrize(
    "function",
    [
        dirac_by_loop,
        lambda c: at(1, 1, np.eye(c)),
        lambda c: np.pad(np.eye(c, dtype=int)[None, None], ((1, 1), (1, 1), (0, 0), (0, 0))),
        lambda c: dirac_by_loop(c).tolist(),
        lambda c: np.einsum("h,w,io->hwio", [0, 1, 0], [0, 1, 0], np.eye(c, dtype="float16")),
        lambda c: keras.ops.convert_to_tensor(dirac_by_loop(c)),
        lambda c: dirac_by_loop(c) > 0,
        written("def f(c):\n    k = np.zeros((3, 3, c, c))\n    k[1, 1] = np.diag(np.ones(c))\n    return k", "f"),
        *disguised(dirac_by_loop),
    ],
)
def test_a_dirac_kernel_passes_however_it_is_made(function):
    verdict = checks.dirac_kernel(function)
    assert verdict.passed is True, verdict


def with_neighbours(channels):
    kernel = dirac_by_loop(channels)
    kernel[0, 0], kernel[2, 2] = 1, -1  # which cancel in a sum over places
    return kernel


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda c: np.zeros((3, 3, c, c)), "all weights are zero"),
        (lambda c: np.ones((3, 3, c, c)), "neighbouring pixels come in as well"),
        (lambda c: np.full((3, 3, c, c), 1 / 9), "neighbouring pixels come in as well"),
        (with_neighbours, "neighbouring pixels come in as well"),
        (lambda c: at(1, 1, np.ones((c, c))), "every output channel is the sum of all input channels"),
        (lambda c: at(0, 0, np.eye(c)), "the centre weight is zero, so the image is shifted"),
        (lambda c: at(2, 2, np.eye(c)), "the centre weight is zero, so the image is shifted"),
        (lambda c: 3 * dirac_by_loop(c), "the output is 3 times the input"),
        (lambda c: dirac_by_loop(c) / c, "the output is 0.25 times the input"),
        (lambda c: -dirac_by_loop(c), "the output is -1 times the input"),
        (lambda c: at(1, 1, np.eye(c)[::-1]), "the channels are mixed up"),
        (lambda c: at(1, 1, np.diag(np.arange(1.0, c + 1))), "the channels are mixed up"),
    ],
)
def test_a_wrong_kernel_hears_why(function, says):
    verdict = checks.dirac_kernel(function)
    assert verdict.passed is False
    assert verdict.message.startswith(f"For 4 channels, {says}")


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda c: dirac_by_loop(c)[..., :1], "shape (3, 3, in, out) = (3, 3, 4, 4). Yours has (3, 3, 4, 1)"),
        (lambda c: np.eye(c), "shape (3, 3, in, out) = (3, 3, 4, 4). Yours has (4, 4)"),
        (lambda _: dirac_by_loop(4), "shape (3, 3, in, out) = (3, 3, 1, 1). Yours has (3, 3, 4, 4)"),
        (lambda _: 1.0, "Yours has ()"),
        (lambda c: dirac_by_loop(c).transpose(3, 2, 0, 1), "Keras keeps kernels as (height, width, in, out)"),
        (lambda c: at(1, 1, np.full((c, c), np.nan)), "holds nan or infinity"),
        (lambda c: np.full((3, 3, c, c), np.inf), "holds nan or infinity"),
    ],
)
def test_a_kernel_of_another_form_hears_which_is_wanted(function, says):
    verdict = checks.dirac_kernel(function)
    assert verdict.passed is False
    assert says in verdict.message


def test_the_checks_convolution_is_keras_own():
    """What the check computes by shifts is what a Conv2D computes: odd kernels would show a flip or a transpose."""
    rng = np.random.default_rng(0)
    image, kernel = rng.normal(size=(6, 7, 3)), rng.normal(size=(3, 3, 3, 3))
    own = keras.ops.conv(image[None].astype("float32"), kernel.astype("float32"), padding="same")[0]
    np.testing.assert_allclose(degradation.convolve(image, kernel), keras.ops.convert_to_numpy(own), atol=1e-4)


# diagnose


def diagnosed_by_rule(shallow_train, shallow_val, deep_train, deep_val):
    if deep_train - shallow_train >= 1:
        return "degradation"
    return "overfitting" if deep_val - shallow_val >= 1 else "neither"


def diagnosed_by_table(*errors):
    train, val = np.subtract(errors[2:], errors[:2]) > 0.99
    return np.array([["neither", "overfitting"], ["degradation", "degradation"]])[int(train), int(val)]


@pytest.mark.parametrize("function", [diagnosed_by_rule, diagnosed_by_table, *disguised(diagnosed_by_rule)])
def test_a_diagnosis_passes_however_it_is_reached(function):
    verdict = checks.diagnose(function)
    assert verdict.passed is True, verdict


@pytest.mark.parametrize(
    ("function", "says"),
    [
        # validation alone
        (
            lambda _, shallow, __, deep: "overfitting" if deep > shallow + 1 else "neither",
            "Overfitting means a low training error. Here the training error itself rose.",
        ),
        (
            lambda _, shallow, __, deep: "degradation" if deep > shallow + 1 else "neither",
            "Its training error is lower or the same, so it fits what it saw: overfitting.",
        ),
        # the gap between validation and training alone
        (
            lambda a, b, c, d: "overfitting" if d - c > b - a + 1 else "degradation" if c > a + 1 else "neither",
            None,
        ),
        # no allowance for noise
        (
            lambda a, b, c, d: "degradation" if c > a else "overfitting" if d > b else "neither",
            "Against the shallow net, nothing got worse by more than the noise.",
        ),
        (lambda a, b, c, d: "degradation" if c > a + 1 and d > b + 1 else diagnosed_by_rule(a, b, a, d), "look there"),
        (lambda a, _, c, __: "degradation" if c >= a + 1 else "neither", "The deep net validates worse though it fits"),
        (lambda *_: "degradation", "so it fits what it saw"),
        (lambda *_: "overfitting", "Here the training error itself rose"),
        (lambda *_: "neither", "The deep net has the higher training error"),
        (lambda *_: "Degradation", 'It should return "degradation", "overfitting" or "neither"'),
        (lambda *errors: errors[0] > 3, "It returned True"),
    ],
)
def test_a_wrong_diagnosis_hears_why(function, says):
    verdict = checks.diagnose(function)
    if says is None:  # this rule gives the right answers
        assert verdict.passed is True
        return
    assert verdict.passed is False
    assert says in verdict.message
