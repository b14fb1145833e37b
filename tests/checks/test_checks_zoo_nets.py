"""The zoo's checks of networks: specimens are caught, cures of several kinds pass, and half a cure is told."""

from resnet_lessons import accounting, blocks, checks, models
from resnet_lessons.specs import Spec

import keras
import numpy as np
import pytest
from keras import layers, ops
from learners import disguised

# zoo_strides


def staged(strides):
    """Return a builder of nets whose stages begin with the given strides; later units have the last of the triple's."""

    def build(n, widths=(16, 32, 64)):
        x = inputs = keras.Input((32, 32, 3))
        x = layers.Conv2D(16, 3, padding="same", use_bias=False)(x)
        for stage, (width, stride) in enumerate(zip(widths, strides, strict=True)):
            for block in range(n):
                unit = blocks.Unit(f"s{stage}_b{block}", width, stride=1 if block else stride, shortcut="B")
                x = blocks.unit(x, unit)
        return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))

    return build


def pooled(n):
    """Halve by pooling between stages: another network, with maps of the right size."""
    x = inputs = keras.Input((32, 32, 3))
    for stage, width in enumerate((16, 32, 64)):
        x = layers.AveragePooling2D(2)(x) if stage else x
        for _ in range(n):
            x = layers.Conv2D(width, 3, padding="same", activation="relu")(x)
    return keras.Model(inputs, layers.Dense(10)(layers.Flatten()(x)))


@pytest.mark.parametrize(
    "function",
    [
        staged((1, 2, 2)),
        pooled,
        lambda n: models.resnet_v1(6 * n + 2),
        lambda n: models.build(Spec("plain", 6 * n + 2)),
    ],
)
def test_maps_of_32_16_8_pass(function):
    verdict = checks.zoo_strides(function)
    assert verdict.passed is True, verdict


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (staged((2, 1, 1)), "16 channels: 16 and 32; 32 channels: 16; 64 channels: 16. The paper's are 32, 16 and 8."),
        (staged((1, 2, 1)), "16 channels: 32; 32 channels: 16; 64 channels: 16."),
        (staged((1, 1, 1)), "16 channels: 32; 32 channels: 32; 64 channels: 32."),
        (staged((1, 1, 2)), "16 channels: 32; 32 channels: 32; 64 channels: 16."),
        (staged((2, 2, 2)), "16 channels: 16 and 32; 32 channels: 8; 64 channels: 4."),
        (lambda n: staged((1, 2, 2))(n, widths=(16, 32, 48)), "For n = 1 no convolution has 64 channels."),
        (lambda n: staged((1, 2, 2 if n == 1 else 1))(n), "For n = 2 the maps have these sides: 16 channels: 32;"),
        (lambda _: keras.Sequential([layers.Dense(3)]), "The model cannot be counted"),
        (lambda _: keras.Input((32, 32, 3)), "It should return a functional keras.Model."),
    ],
)
def test_other_maps_are_told(function, says):
    verdict = checks.zoo_strides(function)
    assert verdict.passed is False
    assert says in verdict.message


def test_the_work_is_compared_with_the_papers():
    """Without any stride stages 2 and 3 work on 4 and 16 times the pixels, the 2% of stem and projections aside."""
    plain, strided = (accounting.account(staged(strides)(1)).total.multiply_adds for strides in ((1, 1, 1), (1, 2, 2)))
    ratio = plain / accounting.count(Spec("v1", 8)).multiply_adds
    assert ratio == pytest.approx(plain / strided, rel=0.03)
    assert f"makes {ratio:.1f} times as many" in checks.zoo_strides(staged((1, 1, 1))).message


# zoo_projection


def raising(source="activated", *, branch=True, shortcut=True, inner_relu=True, inner_norm=True, norms=0, bias=False):
    """Return a builder of the unit, with so many ``norms`` on the projection.

    The shortcut starts at "x", "normalized", "activated" or a second norm and ReLU, "apart".
    """
    norm = layers.BatchNormalization

    def build(filters):
        x = keras.Input((8, 8, 16))
        normalized = norm()(x)
        signal = {"x": x, "normalized": normalized, "activated": layers.ReLU()(normalized)}
        y = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=bias)(signal["activated"])
        y = norm()(y) if inner_relu and inner_norm else y
        y = layers.ReLU()(y) if inner_relu else y
        y = layers.Conv2D(filters, 3, padding="same", use_bias=False)(y)
        start = layers.ReLU()(norm()(x)) if source == "apart" else signal[source]
        s = layers.Conv2D(filters, 1, strides=2, use_bias=False)(start)
        for _ in range(norms):
            s = norm()(s)
        parts = [part for part, kept in ((s, shortcut), (y, branch)) if kept]
        return keras.Model(x, layers.Add()(parts) if len(parts) == 2 else parts[0])

    return build


def by_the_package(filters):
    x = keras.Input((8, 8, 16))
    unit = blocks.Unit("unit", filters, stride=2, shortcut="B", order="full-pre")
    return keras.Model(x, blocks.unit(x, unit))


@pytest.mark.parametrize("function", [raising(), by_the_package, *disguised(raising())])
def test_a_projection_of_the_activated_signal_passes(function):
    verdict = checks.zoo_projection(function)
    assert verdict.passed is True, verdict


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (raising("x"), "something goes around them, from the raw x to the addition"),
        (raising("normalized"), "something goes around them"),
        (raising(branch=False), "the unit has lost weights"),
        (raising(shortcut=False), "the unit has lost weights"),
        (raising(inner_relu=False), "for positive inputs the unit is linear"),
        (raising("apart"), "For 32 filters the unit has 14,464 trainable parameters, and the paper's has 14,432:"),
        (raising(norms=1), "the unit has 14,496 trainable parameters, and the paper's has 14,432:"),
        (raising(bias=True), "the unit has 14,464 trainable parameters, and the paper's has 14,432:"),
        (raising(inner_norm=False), "the unit has 14,368 trainable parameters, and the paper's has 14,432:"),
        (raising(inner_norm=False, norms=1), "in training mode the unit put out something else: no batch norm follows"),
        (lambda filters: raising()(filters + 1), "it should go to (4, 4, 4, 32). It goes to (4, 4, 4, 33)."),
        (lambda _: models.mnist(), "Your function raised"),
    ],
)
def test_another_unit_is_told(function, says):
    verdict = checks.zoo_projection(function)
    assert verdict.passed is False
    assert says in verdict.message


# zoo_norms


def normed(first=1, second=1, **kwargs):
    """Return a builder of the unit with so many batch norms after each convolution."""

    def build(channels):
        x = keras.Input((8, 8, channels))
        y = layers.Conv2D(channels, 3, padding="same", use_bias=False)(x)
        for _ in range(first):
            y = layers.BatchNormalization(**kwargs)(y)
        y = layers.Conv2D(channels, 3, padding="same", use_bias=False)(layers.ReLU()(y))
        for _ in range(second):
            y = layers.BatchNormalization(**kwargs)(y)
        return keras.Model(x, layers.ReLU()(layers.Add()([x, y])))

    return build


def unit_of_the_package(channels):
    x = keras.Input((8, 8, channels))
    return keras.Model(x, blocks.unit(x, blocks.Unit("unit", channels, shortcut="A")))


@pytest.mark.parametrize("function", [normed(), normed(momentum=0.5, epsilon=1e-5), unit_of_the_package])
def test_one_norm_a_convolution_passes(function):
    verdict = checks.zoo_norms(function)
    assert verdict.passed is True, verdict


@pytest.mark.parametrize(
    ("counts", "bare", "idle"),
    [
        ((2, 0), ["convolution 2"], "of one batch norm have no effect"),
        ((0, 2), ["convolution 1"], "of one batch norm have no effect"),
        ((1, 0), ["convolution 2"], None),
        ((0, 1), ["convolution 1"], None),
        ((0, 0), ["convolution 1", "convolution 2"], None),
        ((2, 1), [], "of one batch norm have no effect"),
        ((1, 2), [], "of one batch norm have no effect"),
        ((2, 2), [], "of 2 batch norms have no effect"),
    ],
)
def test_missing_and_doubled_norms_are_told_apart(counts, bare, idle):
    verdict = checks.zoo_norms(normed(*counts))
    assert verdict.passed is False
    assert [number in verdict.message for number in ("convolution 1", "convolution 2")] == [
        number in bare for number in ("convolution 1", "convolution 2")
    ]
    assert idle in verdict.message if idle else "no effect" not in verdict.message


def test_a_bias_before_a_norm_is_told():
    def biased(channels):
        x = keras.Input((8, 8, channels))
        y = layers.BatchNormalization()(layers.Conv2D(channels, 3, padding="same")(x))
        y = layers.Conv2D(channels, 3, padding="same")(layers.ReLU()(y))
        return keras.Model(x, layers.ReLU()(layers.Add()([x, layers.BatchNormalization()(y)])))

    verdict = checks.zoo_norms(biased)
    assert verdict.passed is False
    assert verdict.message == "2 biases have no effect: a batch norm follows directly."


def test_a_unit_of_one_convolution_is_told():
    def single(channels):
        x = keras.Input((8, 8, channels))
        y = layers.BatchNormalization()(layers.Conv2D(channels, 3, padding="same", use_bias=False)(x))
        return keras.Model(x, layers.ReLU()(layers.Add()([x, y])))

    verdict = checks.zoo_norms(single)
    assert verdict.passed is False
    assert verdict.message == "It should have two convolutions. It has 1."


# zoo_softmax


def sparse(labels, outputs):
    return -ops.mean(ops.take_along_axis(outputs, ops.reshape(labels, (-1, 1)), axis=1))


def by_hand(labels, outputs):
    return sparse(labels, ops.log_softmax(outputs))


def from_probabilities(labels, outputs):
    return sparse(labels, ops.log(outputs + 1e-7))


def each(labels, outputs):
    return keras.losses.sparse_categorical_crossentropy(labels, outputs, from_logits=True)


def pair(activation, loss):
    def build(classes):
        x = keras.Input((8,))
        return keras.Model(x, layers.Dense(classes, activation=activation)(x)), loss

    return build


@pytest.mark.parametrize(
    "function",
    [
        pair(None, by_hand),
        pair(None, keras.losses.SparseCategoricalCrossentropy(from_logits=True)),
        pair("softmax", keras.losses.SparseCategoricalCrossentropy()),
        pair("softmax", from_probabilities),
        pair(None, each),
    ],
)
def test_one_softmax_passes(function):
    verdict = checks.zoo_softmax(function)
    assert verdict.passed is True, verdict


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (pair("softmax", by_hand), "It is 1.46, which is ln(1 + 9/e): the loss takes a softmax of a softmax."),
        (
            pair("softmax", keras.losses.SparseCategoricalCrossentropy(from_logits=True)),
            "the loss takes a softmax of a softmax.",
        ),
        (
            pair(None, lambda labels, outputs: 0 * by_hand(labels, outputs)),
            "certain and wrong the loss should be large",
        ),
        (pair(None, lambda *_: 3.0), "certain and right the loss should be near 0. It is 3.00."),
        (pair(None, lambda *_: float("nan")), "The loss should return numbers, and not nan."),
        (pair(None, lambda *_: "low"), "The loss should return numbers."),
        (lambda classes: pair(None, by_hand)(classes)[0], "It should return a keras.Model and its loss"),
        (lambda classes: pair(None, by_hand)(classes + 1), "From (64, 8) the model should go to (64, 10)."),
    ],
)
def test_another_loss_is_told(function, says):
    verdict = checks.zoo_softmax(function)
    assert verdict.passed is False
    assert says in verdict.message


def test_the_checks_leave_numpys_random_numbers_alone():
    before = np.random.get_state()[1].tolist()
    checks.zoo_norms(normed())
    assert np.random.get_state()[1].tolist() == before
