"""The exercises of lesson 05: gated shortcuts, the pre-activated unit, and the parameters of ResNet-164 and 1001."""

import math

from resnet_lessons import accounting
from resnet_lessons.specs import Spec, depth_for

import numpy as np

from .answers import Wrong, answer_of, array_answer, exercise, hint_for, real_number, whole_number


def _number(function, *arguments):
    """Return the learner's answer as a float."""
    case = "For " + ", ".join(map(str, arguments))
    return real_number(answer_of(function, *arguments), f"{case} it should return one finite number")


def _sigmoid(bias):
    return 1 / (1 + math.exp(-bias))


@exercise
def passed_share(function):
    """Check ``function(bias, units)``: the share of a signal left after so many gated shortcuts, gates' weights zero.

    Each shortcut multiplies by 1 - sigmoid(bias): He et al. 2016, Sec. 3.1.
    """
    for bias, units in ((-3.0, 9), (0.0, 2), (-6.0, 54), (1.5, 4)):
        answer, gate = _number(function, bias, units), _sigmoid(bias)
        right = (1 - gate) ** units
        if math.isclose(answer, right, rel_tol=1e-3, abs_tol=1e-12):
            continue
        hints = [
            (gate**units, "sigmoid(bias) weighs the branch. The shortcut has the rest, 1 - sigmoid(bias)."),
            (1 - gate, "That is one unit's share. Each unit takes its share of what the one before left."),
            (gate, "sigmoid(bias) weighs one branch. The shortcut has the rest, and there are several in a row."),
            (1 - units * gate, "Shares multiply: each unit takes its share of what the one before left."),
            ((1 - gate) * units, "Shares multiply: each unit takes its share of what the one before left."),
            (1 - gate**units, "First the share of one shortcut, 1 - sigmoid(bias), then its power."),
            (100 * right, "It should be a share between 0 and 1, not percent."),
        ]
        hint = hint_for(answer, hints, "What does one unit leave?", atol=1e-12)
        raise Wrong(f"Bias {bias} and {units} units gave {answer:.4g}. {hint}")
    return "(1 - sigmoid(bias)) to the power of the number of units."


@exercise
def gate_bias(function):
    """Check ``function(units, share)``: the gates' bias at which that share passes so many gated shortcuts."""
    for units, share in ((54, 0.5), (1, 0.5), (9, 0.9), (333, 0.25)):
        answer = _number(function, units, share)
        passed = _passed(answer, units)
        if math.isclose(passed, share, abs_tol=2e-3):  # a search by steps is an answer too
            continue
        part = min(max(answer, 0), 1)
        hints = [
            (_passed(-answer, units), "The sign is wrong: a negative bias keeps the gate nearly shut."),
            (_passed(answer, 1), "That is right for one unit. Of which share is the whole the power?"),
            (1 - _passed(answer, 1) ** units, "That is for the share that is lost, not the share that passes."),
            ((1 - part) ** units, "That is the gate's value. Which bias has it as its sigmoid?"),
            (part**units, "That is the share that one unit leaves. Which bias gives it?"),
        ]
        otherwise = "Solve (1 - sigmoid(bias)) to the power of units = share for the bias."
        hint = hint_for(share, hints, otherwise, rtol=0, atol=2e-3)
        raise Wrong(f"{units} units and the share {share} gave {answer:.4g}, at which {passed:.3g} passes. {hint}")
    return "Half of the signal passes 54 units at a bias of about -4.3."


def _passed(bias, units):
    return math.exp(-units * np.logaddexp(0, bias))  # 1 - sigmoid(b) = 1 / (1 + e^b)


@exercise
def preactivated(function):
    """Check ``function(x, norm1, conv1, norm2, conv2)``: the output of a pre-activated unit.

    The four are functions of one array each, x is (B, C): He et al. 2016, Fig. 1 (b).
    """
    for seed in (0, 1):
        x, parts = _unit_parts(seed)
        answer = answer_of(function, x.copy(), *parts, case=f"an x of shape {x.shape}")
        output = array_answer(answer, f"It should return real numbers in the shape of x, {x.shape}", x.shape)
        if np.allclose(output, x + _branch_full(x, *parts), rtol=1e-4, atol=1e-4):
            continue
        hints = [(make(x, *parts), hint) for make, hint in _OTHER_UNITS]
        otherwise = "The output differs. In which order do batch norm, ReLU and convolution come, twice?"
        raise Wrong(hint_for(output, hints, otherwise, rtol=1e-4, atol=1e-4))
    return "Batch norm, ReLU, convolution, twice, and x added as it came."


def _unit_parts(seed):
    """Return x (5, 4) and four functions: two affine maps of each channel, two that mix the channels."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(5, 4))

    def norm():
        scale, shift = rng.uniform(0.5, 2, 4), rng.normal(size=4)
        return lambda a: np.asarray(a, "float64") * scale + shift

    def conv():
        kernel = rng.normal(size=(4, 4))
        return lambda a: np.asarray(a, "float64") @ kernel

    return x, (norm(), conv(), norm(), conv())


def _relu(x):
    return np.maximum(x, 0)


def _branch_full(x, norm1, conv1, norm2, conv2):
    return conv2(_relu(norm2(conv1(_relu(norm1(x))))))


def _branch_original(x, norm1, conv1, norm2, conv2):
    return norm2(conv2(_relu(norm1(conv1(x)))))


_OTHER_UNITS = (
    (lambda x, *parts: _relu(x + _branch_original(x, *parts)), "That is the first paper's unit: convolutions first."),
    (lambda x, *parts: _relu(x + _branch_full(x, *parts)), "No ReLU after the addition: it would cut the signal."),
    (lambda x, *parts: _branch_full(x, *parts), "The shortcut is missing: add x."),
    (
        lambda x, *parts: _relu(parts[0](x)) + _branch_full(x, *parts),
        "The shortcut must carry x as it came, not x after batch norm and ReLU.",
    ),
    (
        lambda x, n1, c1, n2, c2: x + c2(n2(_relu(c1(n1(_relu(x)))))),
        "Batch norm comes before the ReLU, not after it.",
    ),
    (
        lambda x, *parts: x + _branch_original(_relu(x), *parts),
        "That is ReLU-only pre-activation: batch norm still stands after each convolution.",
    ),
    (lambda x, *parts: x + _relu(_branch_original(x, *parts)), "That branch ends in a ReLU, so it can only add."),
    (
        lambda x, *parts: x + _branch_original(x, *parts),
        "Batch norm and ReLU stand before each convolution, not after.",
    ),
    (lambda x, n1, c1, n2, c2: x + c2(n2(c1(n1(x)))), "The two ReLUs are missing: one before each convolution."),
)


@exercise
def bottleneck_parameters(function):
    """Check ``function(n)``: trainable parameters of the second paper's net of 9n+2 layers, on CIFAR-10."""
    for n in (18, 2, 111):
        answer, count = whole_number(function, n), accounting.count(Spec("v2", depth_for("v2", n)))
        if answer == count.parameters:
            continue
        hint = _parameter_hints(n, count).get(answer, "Write the sizes of one unit of each stage down, layer by layer.")
        off = abs(answer - count.parameters)
        direction = "many" if answer > count.parameters else "few"
        raise Wrong(f"n = {n} gave {answer:,}, which is {off:,} too {direction}. {hint}")
    return "1,703,258 for n = 18 (ResNet-164), 10,327,706 for n = 111 (ResNet-1001)."


def _parameter_hints(n, count):
    right, depth = count.parameters, depth_for("v2", n)
    projections = 16 * 64 + 64 * 128 + 128 * 256
    outputs = 16 + n * (2 * 16 + 64 + 2 * 32 + 128 + 2 * 64 + 256)  # channels that come out of the main path's convs
    return {
        right - projections: "A 1x1 projection stands where the dimensions change: once in each stage.",
        right - 16 * 64: "Stage 1 has a projection too: 16 channels come in, 64 go out.",
        right
        + 2 * (64 + 128 + 256): "In version 2 the projections are bare, without batch norm. Version 1, where they "
        "have one, comes to your count.",
        right - 2 * 256: "A last batch norm and ReLU stand before the average: 256 channels.",
        right - 2 * 16: "The first convolution has a batch norm: 16 channels.",
        right + 2 * 16: "The very first unit has no batch norm of its own before conv1: the stem's serves it.",
        right - 10: "The classifier has a bias for each class.",
        right - (256 * 10 + 10): "The classifier is missing: 256 channels to 10 classes, with biases.",
        right + outputs: "No convolution has a bias.",
        right + outputs + 64 + 128 + 256: "No convolution has a bias.",
        right + count.statistics: "Moving means and variances are not trained by gradient descent.",
        accounting.count(Spec("v2", depth, style="keras-example")).parameters: "These are the Keras example's widths, "
        "16, 64, 128 inside. The paper's are 16, 32, 64 inside, and four times that outside.",
        accounting.count(Spec("v2", depth_for("v2", n, "basic"), block="basic")).parameters: "These are basic units, "
        "two 3x3 convolutions. A bottleneck is 1x1, 3x3, 1x1.",
    }
