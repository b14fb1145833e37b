"""The exercises of lesson 04: what a bottleneck saves, a bias moved into batch norm, and where the stride sits."""

import math

from resnet_lessons import (
    accounting,
    backend,  # noqa: F401 - loads Keras without its start-up messages
    models,
)

import keras
import numpy as np

from .answers import Wrong, answer_of, array_answer, exercise, hint_for, real_number, show, whole_number

EPSILON = 1e-5  # of our batch norm


@exercise
def bottleneck_saving(function):
    """Check ``function(expansion)``: how many times the weights of a bottleneck two 3x3 convolutions have.

    Both have the same outer width, ``expansion`` times the inner width of the bottleneck.
    """
    for e in (4, 2, 1, 3):
        answer = real_number(answer_of(function, e), f"For {e} it should return one number")
        right = 18 * e**2 / (2 * e + 9)
        if math.isclose(answer, right, rel_tol=1e-3):
            continue
        hints = [
            (1 / right, "That is the bottleneck's share of the weights. The other way round is asked."),
            (18 * e**2 / (2 * e + 1), "The bottleneck's middle kernel has nine places."),
            (18 * e**2 / (18 * e + 9), "The bottleneck's first and third kernels have one place each."),
            (18 * e**2 / (e + 9), "The bottleneck has two 1x1 convolutions."),
            (9 * e**2 / (2 * e + 9), "There are two 3x3 convolutions at the outer width."),
            (18 / (2 * e + 9), "The two 3x3 convolutions have the outer width, that is expansion times the inner one."),
            (e**2, "That would be so if both had the same kernels."),
        ]
        otherwise = "Write both counts in terms of the inner width w, with e * w for the outer width."
        raise Wrong(f"An expansion of {e} gave {answer:.4g}. {hint_for(answer, hints, otherwise)}")
    return "18 e^2 / (2 e + 9), at any width: 16.94 for the paper's 4, and 1.64 where nothing is narrowed."


@exercise
def fold_bias(function):
    """Check ``function(bias, gamma, beta, mean, variance, epsilon)``: the same batch norm, without the bias.

    It returns gamma, beta, mean and variance of a batch norm with epsilon 1e-5 that does to a convolution without
    bias what the given one does to the convolution with it. All arrays are (C,).
    """
    rng = np.random.default_rng(0)
    for channels, epsilon, biased in ((5, EPSILON, 1), (4, 0.01, 0), (3, 0.01, 1)):  # each condition alone, then both
        bias, gamma, beta, mean = rng.normal(size=(4, channels))
        bias = bias * biased
        theirs = gamma, beta, mean, rng.uniform(0.5, 2, channels)
        outputs = rng.normal(size=(50, channels))  # of the convolution, its bias not yet added
        copies = [array.copy() for array in (bias, *theirs)]
        answer = answer_of(function, *copies, epsilon, case=f"a batch norm of {channels} channels")
        found = normalized(outputs, *_statistics(answer, channels), EPSILON)
        if not np.allclose(found, normalized(outputs + bias, *theirs, epsilon), rtol=0, atol=2e-6):
            case = f"With {'a bias' if biased else 'a bias of zero'} and an epsilon of {epsilon} the outputs differ. "
            raise Wrong(case + _folding_misconception(found, outputs, bias, theirs, epsilon))
    return "In inference a bias before batch norm is a shift of the mean, and another epsilon a shift of the variance."


def normalized(x, gamma, beta, mean, variance, epsilon):
    """Apply batch norm as in inference: ``x`` is (N, C), the statistics are (C,)."""
    return gamma * (x - mean) / np.sqrt(variance + epsilon) + beta


def _statistics(answer, channels):
    """Return the learner's four arrays as float64 (4, C); refuse other forms."""
    wanted = f"It should return four arrays of shape ({channels},): gamma, beta, mean, variance"
    arrays = array_answer(answer, wanted, (4, channels))
    if not np.isfinite(arrays).all() or (arrays[3] <= -EPSILON).any():
        raise Wrong("All four must be finite, and no variance may be negative.")
    return arrays


def _folding_misconception(found, outputs, bias, theirs, epsilon):
    gamma, beta, mean, variance = theirs
    shifted = variance + epsilon - EPSILON
    mistakes = [
        ((gamma, beta, mean), "The bias is lost. What does it do to the numerator, x + bias - mean?"),
        (
            (gamma, beta, mean + bias),
            "The bias has the wrong sign: x + bias - mean is x - (mean - bias).",
        ),
        (
            (gamma, beta + bias, mean),
            "The bias is added after the scaling. On its way to beta batch norm scales it.",
        ),
        ((gamma, beta + gamma * bias, mean), "On its way to beta the bias is divided by the standard deviation too."),
    ]
    for v in (variance, variance - epsilon, variance + epsilon):
        if _alike(found, normalized(outputs, gamma, beta, mean - bias, v, EPSILON)):
            return f"Theirs adds {epsilon} to the variance, ours adds {EPSILON}: which variance makes the sums equal?"
    for statistics, hint in mistakes:
        if any(_alike(found, normalized(outputs, *statistics, v, EPSILON)) for v in (variance, shifted)):
            return hint
    return "Write both batch norms down and compare numerator, denominator and shift."


def _alike(found, other):
    return np.allclose(found, other, rtol=0, atol=1e-4)


@exercise
def moved_stride(function):
    """Check ``function(channels, width, side)``: multiply-adds that a unit gains when the stride moves to the 3x3.

    The unit's input has ``channels`` channels and side x side pixels; ``width`` is its inner width.
    """
    for channels, width, side in ((256, 128, 56), (512, 256, 28), (12, 5, 10)):
        answer, kernel, area = whole_number(function, channels, width, side), channels * width, side**2
        right = kernel * (area - area // 4)
        if answer == right:
            continue
        hints = {
            kernel * area: "That is the first convolution without a stride. With the stride it is not free.",
            kernel * area // 4: "That is what the first convolution costs with the stride. By how much does it grow?",
            3 * kernel * area: "side is that of the map that enters the unit, not of the one that leaves it.",
            kernel * area // 2: "The stride halves the height and the width: a quarter of the pixels is left.",
            0: "The first 1x1 convolution puts out the whole map when it has no stride.",
            -right: "The 3x3 variant costs more, not less.",
            right + 9 * width**2 * (area - area // 4): "The 3x3 convolution puts out the small map in both variants.",
            right + kernel * (area - area // 4) * 4: "The shortcut has its own stride in both variants.",
        }
        hint = hints.get(answer, "Which of the unit's convolutions puts out a larger map when the stride moves?")
        raise Wrong(f"{channels}, {width} and {side} gave {answer:,}. {hint}")
    return "Three quarters of the first 1x1 convolution on the whole map: 77,070,336 in each of ResNet-50's three."


@exercise
def lean_stages(function):
    """Check ``function(x)``: the stages of ResNet-50, with their stride in the 1x1, in fewer multiply-adds.

    ``x`` is what the stem puts out, a Keras tensor (B, H, W, 64). The layers have the names of ``models.imagenet(50)``,
    whose weights the check gives them.
    """
    x = keras.Input((16, 16, 64))
    y = answer_of(function, x, case="a map of 16x16 pixels and 64 channels")
    if not isinstance(y, keras.KerasTensor):
        raise Wrong(f"It should return a Keras tensor, as stages(x) does. It returned {show(y)}.")
    lean, reference = _model(x, y), _reference_stages()
    if lean.output_shape != reference.output_shape:
        raise Wrong(f"It should put out {reference.output_shape}. It puts out {lean.output_shape}.")
    rng = np.random.default_rng(0)
    _fill(reference, rng)
    _copy_weights(reference, lean)
    images = rng.normal(size=(2, 16, 16, 64)).astype("float32")
    expected, found = (keras.ops.convert_to_numpy(model(images)) for model in (reference, lean))
    if not np.allclose(found, expected, rtol=1e-3, atol=1e-3 * expected.std()):
        raise Wrong("With the same weights it puts out something else. " + _lean_misconception(lean))
    _refuse_idle_work(*(accounting.account(model).total.multiply_adds for model in (lean, reference)))
    return "The same outputs, and every pixel that is computed is read: 3,482,255,360 multiply-adds at 224x224."


def _model(x, y):
    try:
        return keras.Model(x, y)
    except ValueError:
        raise Wrong("What it returns does not depend on x.") from None


def _reference_stages():
    net = models.imagenet(50, input_shape=(64, 64, 3), num_classes=2)
    return keras.Model(net.get_layer("stem_pool").output, net.get_layer("pool").input)


def _fill(model, rng):
    """Give every weight a value far from trivial; scales below 1 keep the signal from growing unit by unit."""
    for weight in model.weights:
        value = rng.normal(size=weight.shape)
        values = {
            "kernel": value * math.sqrt(2 / math.prod(weight.shape[:-1])),
            "gamma": 0.7 * np.exp(0.3 * value),
            "moving_variance": np.exp(0.3 * value),
        }
        weight.assign(values.get(weight.name, 0.3 * value))


def _copy_weights(reference, lean):
    """Copy weights by the layers' names; refuse layers that are missing, changed or more than there should be."""
    theirs, ours = ({layer.name: layer for layer in model.layers if layer.weights} for model in (reference, lean))
    names = "Keep the names stage1_block1, ..., as stages(x) has them."
    if missing := [name for name in theirs if name not in ours]:
        raise Wrong(f"There is no layer {missing[0]!r} for the weights of ResNet-50's. {names}")
    if extra := [name for name in ours if name not in theirs]:
        raise Wrong(f"The layer {extra[0]!r} has weights, and ResNet-50 has no such layer. {names}")
    for name, layer in theirs.items():
        shapes = [[tuple(weight.shape) for weight in one.weights] for one in (layer, ours[name])]
        if shapes[0] != shapes[1]:
            raise Wrong(f"The weights of {name!r} should have the shapes {shapes[0]}. They have {shapes[1]}.")
        ours[name].set_weights(layer.get_weights())


def _lean_misconception(lean):
    strides = {layer.name: layer.strides[0] for layer in lean.layers if isinstance(layer, keras.layers.Conv2D)}
    if strides["stage1_block3_conv1"] == 2:
        return "The last unit's 3x3 needs the neighbours of the pixels it keeps: leave the 1x1 before it alone."
    if strides["stage2_block1_conv2"] == 2:
        return "With the stride in the 3x3 of the first unit it is another network, which reads every pixel."
    return "Only pixels 0, 2, 4, ... of a stage's output may be dropped before they are computed, no others."


def _refuse_idle_work(cost, reference):
    idle = sum(13 * width**2 * side**2 * 3 // 4 for width, side in ((64, 16), (128, 8), (256, 4)))
    if cost >= reference:
        raise Wrong(
            f"It computes the same, in {cost:,} multiply-adds, no fewer. Which unit computes what nobody reads?"
        )
    if cost > reference - idle:
        raise Wrong(
            f"It computes the same for less: {cost:,} multiply-adds instead of {reference:,}. There is more idle work: "
            "in all three stages that end in a stride, and in the 3x3 convolution too."
        )
