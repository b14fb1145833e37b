"""Lesson 05's exercises: correct answers written differently pass, wrong ones hear their own misconception."""

import math

from resnet_lessons import checks

import hand_counts
import keras
import numpy as np
import pytest
from learners import disguised, written

# passed_share


def share_step_by_step(bias, units):
    signal = 1.0
    for _ in range(units):
        gate = 1 / (1 + math.exp(-bias))
        signal -= gate * signal
    return signal


SHARES = [
    share_step_by_step,
    lambda bias, units: (1 - 1 / (1 + np.exp(-bias))) ** units,
    lambda bias, units: (1 / (1 + np.exp(bias))) ** units,
    lambda bias, units: np.float32(math.exp(-units * math.log1p(math.exp(bias)))),
    lambda bias, units: keras.ops.sigmoid(-bias) ** units,
    written("def f(b, L):\n    return (1 - 1 / (1 + 2.718281828459045 ** -b)) ** L", "f"),
]


@pytest.mark.parametrize("function", SHARES + disguised(share_step_by_step))
def test_a_share_passes_however_it_is_written(function):
    verdict = checks.passed_share(function)
    assert verdict.passed is True, verdict


def sigmoid(bias):
    return 1 / (1 + math.exp(-bias))


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda b, n: sigmoid(b) ** n, "sigmoid(bias) weighs the branch"),
        (lambda b, n: 1 - sigmoid(b), "That is one unit's share"),  # noqa: ARG005
        (lambda b, n: sigmoid(b), "sigmoid(bias) weighs one branch"),  # noqa: ARG005
        (lambda b, n: 1 - n * sigmoid(b), "Shares multiply"),
        (lambda b, n: n * (1 - sigmoid(b)), "Shares multiply"),
        (lambda b, n: 1 - sigmoid(b) ** n, "First the share of one shortcut"),
        (lambda b, n: 100 * (1 - sigmoid(b)) ** n, "not percent"),
        (lambda b, n: 0.5**n, "What does one unit leave?"),  # noqa: ARG005
        (lambda b, n: (1 - sigmoid(max(b, -5))) ** n, "Bias -6.0 and 54 units gave 0.6958"),
    ],
)
def test_a_wrong_share_hears_why(function, says):
    verdict = checks.passed_share(function)
    assert verdict.passed is False
    assert says in verdict.message


# gate_bias


def bias_by_search(units, share):
    biases = np.arange(-12, 5, 0.001)
    passed = (1 - 1 / (1 + np.exp(-biases))) ** units
    return biases[np.abs(passed - share).argmin()]


def bias_by_formula(units, share):
    left = share ** (1 / units)
    return math.log((1 - left) / left)


@pytest.mark.parametrize(
    "function",
    [
        bias_by_search,
        bias_by_formula,
        lambda units, share: np.log(np.expm1(-np.log(share) / units)),
        lambda units, share: np.float32(bias_by_formula(units, share)),
        *disguised(bias_by_formula),
    ],
)
def test_a_bias_passes_however_it_is_found(function):
    verdict = checks.gate_bias(function)
    assert verdict.passed is True, verdict


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda units, share: -bias_by_formula(units, share), "The sign is wrong"),
        (lambda units, share: bias_by_formula(1, share), "right for one unit"),  # noqa: ARG005
        (lambda units, share: 1 - share ** (1 / units), "That is the gate's value"),
        (lambda units, share: share ** (1 / units), "the share that one unit leaves"),
        (lambda units, share: bias_by_formula(units, 1 - share) if units < 54 else -4.35, "the share that is lost"),
        (lambda units, share: -6.0, "54 units and the share 0.5 gave -6, at which 0.875 passes"),  # noqa: ARG005
    ],
)
def test_a_wrong_bias_hears_why(function, says):
    verdict = checks.gate_bias(function)
    assert verdict.passed is False
    assert says in verdict.message


# preactivated


def relu(x):
    return np.maximum(x, 0)


def unit_in_steps(x, norm1, conv1, norm2, conv2):
    y = x
    for norm, conv in ((norm1, conv1), (norm2, conv2)):
        y = norm(y)
        y = np.where(y > 0, y, 0)
        y = conv(y)
    return y + x


@pytest.mark.parametrize(
    "function",
    [
        lambda x, n1, c1, n2, c2: x + c2(relu(n2(c1(relu(n1(x)))))),
        lambda x, n1, c1, n2, c2: x + c2(keras.ops.relu(n2(c1(keras.ops.relu(n1(x)))))),
        lambda x, n1, c1, n2, c2: (x + c2(relu(n2(c1(relu(n1(x))))))).astype("float32"),
        lambda x, *parts: unit_in_steps(x, *parts).tolist(),
        *disguised(unit_in_steps),
    ],
)
def test_a_preactivated_unit_passes_however_it_is_written(function):
    verdict = checks.preactivated(function)
    assert verdict.passed is True, verdict


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda x, n1, c1, n2, c2: relu(x + n2(c2(relu(n1(c1(x)))))), "the first paper's unit"),
        (lambda x, n1, c1, n2, c2: relu(x + c2(relu(n2(c1(relu(n1(x))))))), "No ReLU after the addition"),
        (lambda x, n1, c1, n2, c2: c2(relu(n2(c1(relu(n1(x)))))), "The shortcut is missing"),
        (lambda x, n1, c1, n2, c2: relu(n1(x)) + c2(relu(n2(c1(relu(n1(x)))))), "carry x as it came"),
        (lambda x, n1, c1, n2, c2: x + c2(n2(relu(c1(n1(relu(x)))))), "Batch norm comes before the ReLU"),
        (lambda x, n1, c1, n2, c2: x + n2(c2(relu(n1(c1(relu(x)))))), "ReLU-only pre-activation"),
        (lambda x, n1, c1, n2, c2: x + relu(n2(c2(relu(n1(c1(x)))))), "so it can only add"),
        (lambda x, n1, c1, n2, c2: x + n2(c2(relu(n1(c1(x))))), "before each convolution, not after"),
        (lambda x, n1, c1, n2, c2: x + c2(n2(c1(n1(x)))), "The two ReLUs are missing"),
        (lambda x, n1, c1, n2, c2: x + c2(relu(n2(c1(n1(x))))), "In which order do"),
        (lambda x, *_: x[0], "in the shape of x, (5, 4)"),
    ],
)
def test_another_unit_hears_which_it_is(function, says):
    verdict = checks.preactivated(function)
    assert verdict.passed is False
    assert says in verdict.message


def test_a_unit_that_changes_x_in_place_is_judged_by_what_it_returns():
    def careless(x, norm1, conv1, norm2, conv2):
        y = conv2(relu(norm2(conv1(relu(norm1(x))))))
        x += y
        return x

    assert checks.preactivated(careless).passed is True


def test_an_untouched_unit_is_told_without_addresses():
    assert checks.preactivated(lambda *_: None).message.startswith("The function returns nothing for an x of shape")


# bottleneck_parameters


def by_hand(n, projections=hand_counts.BOTTLENECK_PROJECTIONS, first_norm=False, last_norm=True, bias=False):
    convs = hand_counts.bottleneck(n)
    norms = hand_counts.inputs(convs)[1:]  # a batch norm before each convolution but the stem's ...
    norms = norms[1:] if not first_norm else norms  # ... and the very first unit's first
    norms = [16, *norms, *([256] if last_norm else [])]
    return hand_counts.parameters(convs + list(projections), norms, (256, 10), bias)[0]


@pytest.mark.parametrize("function", [by_hand, lambda n: np.int64(by_hand(n)), *disguised(by_hand)])
def test_parameters_pass_however_they_are_counted(function):
    verdict = checks.bottleneck_parameters(function)
    assert verdict.passed is True, verdict


def statistics(n):
    convs = hand_counts.bottleneck(n)
    return 2 * (16 + sum(hand_counts.inputs(convs)[2:]) + 256)


KERAS = [(1, 16, 64, 32), (1, 64, 128, 16), (1, 128, 256, 8)]


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda n: by_hand(n, projections=()), "A 1x1 projection stands where"),
        (lambda n: by_hand(n, projections=KERAS[1:]), "Stage 1 has a projection too"),
        (lambda n: by_hand(n) + 2 * 448, "the projections are bare"),
        (lambda n: by_hand(n, last_norm=False), "A last batch norm"),
        (lambda n: by_hand(n) - 32, "The first convolution has a batch norm"),
        (lambda n: by_hand(n, first_norm=True), "The very first unit has no batch norm of its own"),
        (lambda n: by_hand(n) - 10, "a bias for each class"),
        (lambda n: by_hand(n) - 2570, "The classifier is missing"),
        (lambda n: by_hand(n, bias=True), "No convolution has a bias"),
        (lambda n: by_hand(n) + sum(hand_counts.outputs(hand_counts.bottleneck(n))), "No convolution has a bias"),
        (lambda n: by_hand(n) + statistics(n), "not trained by gradient descent"),
        (lambda n: {18: 4_941_546}.get(n, 0), "the Keras example's widths"),
        (lambda n: {18: 1_704_154}.get(n, 0), "Version 1, where they have one, comes to your count"),
        (lambda n: {18: 1_727_962}.get(n, 0), "These are basic units"),
        (lambda n: by_hand(n) + 3, "Write the sizes"),
        (lambda n: 1_703_258, "n = 2 gave 1,703,258"),  # noqa: ARG005
    ],
)
def test_a_wrong_count_hears_why(function, says):
    verdict = checks.bottleneck_parameters(function)
    assert verdict.passed is False
    assert says in verdict.message, verdict
