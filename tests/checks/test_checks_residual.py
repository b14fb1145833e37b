"""Lesson 02's exercises: correct answers written differently pass, wrong ones hear their own misconception."""

from resnet_lessons import blocks, checks

import keras
import numpy as np
import pytest
from keras import layers
from learners import disguised

# residual_of


def residual_by_definition(h):
    def f(x):
        return h(x) - x

    return f


@pytest.mark.parametrize("function", [lambda h: lambda x: -(x - h(x)), *disguised(residual_by_definition)])
def test_a_residual_passes_however_it_is_written(function):
    assert checks.residual_of(function).passed


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda h: h, "That is h(x) itself"),
        (lambda h: h - x, "Return a function of x"),  # noqa: F821 - the first error that many make
        (lambda h: h - 1, "Return a function of x"),
        (lambda h: lambda x: x - h(x), "The sign"),
        (lambda h: lambda x: h(x) + x, "the shortcut's work"),
        (lambda _: lambda x: 0 * x, "What must be added"),  # right for the identity alone
        (lambda _: lambda _: 3.0, "should have the shape"),
        (lambda _: 3, "It should return a function"),
    ],
)
def test_a_wrong_residual_hears_why(function, says):
    verdict = checks.residual_of(function)
    assert verdict.passed is False
    assert says in verdict.message


# merged_layer


def merged_by_basis(kernel):
    return np.stack([row @ kernel + row for row in np.eye(len(kernel))])


def merged_in_place(kernel):
    kernel += np.eye(len(kernel))
    return kernel


@pytest.mark.parametrize("function", [merged_in_place, *disguised(merged_by_basis)])
def test_a_merged_layer_passes_however_it_is_made(function):
    assert checks.merged_layer(function).passed


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda kernel: kernel, "the shortcut is missing"),
        (lambda kernel: kernel + 1, "Adding 1 to every weight"),
        (lambda kernel: kernel - np.eye(len(kernel)), "added, not taken away"),
        (lambda kernel: 2 * kernel, "not a second"),
        (lambda kernel: kernel.T + np.eye(len(kernel)), "the kernel is transposed"),
        (lambda kernel: np.eye(len(kernel)) - kernel, "the wrong sign"),
        (lambda kernel: kernel.T, "Which matrix maps x to x?"),
        (lambda kernel: kernel[0], "should have the shape"),
    ],
)
def test_a_wrong_merged_layer_hears_why(function, says):
    verdict = checks.merged_layer(function)
    assert verdict.passed is False
    assert says in verdict.message


# zero_padded


def padded_by_assignment(x, filters):
    kept = x[:, 0::2, 0::2, :]
    result = np.zeros((*kept.shape[:-1], filters))
    result[..., : x.shape[-1]] = kept
    return result


def padded_by_the_package(x, filters):
    return keras.ops.convert_to_numpy(blocks.ZeroPadShortcut(filters, 2)(x.astype("float32"))).astype("float64")


@pytest.mark.parametrize("function", [padded_by_the_package, *disguised(padded_by_assignment)])
def test_shortcut_a_passes_however_it_is_made(function):
    assert checks.zero_padded(function).passed


def padded(kept, filters, before=0):
    return np.pad(kept, [(0, 0), (0, 0), (0, 0), (before, filters - kept.shape[-1] - before)])


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda x, filters: padded(x, filters), "should have the shape"),
        (lambda x, filters: padded(x[:, ::2, ::2], filters, filters - x.shape[-1]), "the zeros stand before"),
        (lambda x, filters: np.tile(x[:, ::2, ::2], 8)[..., :filters], "must be zero"),
        (lambda x, filters: padded(x[:, ::2, ::2], filters, 1), "on both sides"),
        (lambda x, filters: 0 * padded(x[:, ::2, ::2], filters), "all of it is zero"),
        (lambda x, filters: padded(pooled(x, np.mean), filters), "that is average pooling"),
        (lambda x, filters: padded(pooled(x, np.max), filters), "that is max pooling"),
        (lambda x, filters: padded(x[:, 1::2, 1::2], filters), "beginning with pixel 0"),
    ],
)
def test_a_wrong_shortcut_hears_why(function, says):
    verdict = checks.zero_padded(function)
    assert verdict.passed is False
    assert says in verdict.message


def pooled(x, by):
    batch, height, width, channels = x.shape
    return by(x.reshape(batch, height // 2, 2, width // 2, 2, channels), axis=(2, 4))


# residual_block


def conv_bn(x, filters, kernel, stride=1, norm=True):
    """Apply a convolution and its batch norm, which may stand "before" it or "after relu"."""
    x = layers.BatchNormalization()(x) if norm == "before" else x
    x = layers.Conv2D(filters, kernel, strides=stride, padding="same")(x)
    x = relu_if(norm == "after relu", x)
    return layers.BatchNormalization()(x) if norm in (True, "after relu") else x


def relu_if(condition, x):
    return layers.ReLU()(x) if condition else x


RIGHT = {
    "first_relu": False,  # at the start of the branch
    "middle_relu": True,
    "branch_relu": False,  # before the addition
    "shortcut_relu": False,
    "last_relu": True,
    "shortcut": True,
    "strided": "first",
    "kernel": 1,  # of the projection
    "project_channels": True,
    "norm": True,  # on the projection
    "branch_norm": True,
    "second_norm": True,
    "sum_norm": False,  # after the addition
    "pool": False,
}


def block(x, filters, stride, **mistake):
    how = RIGHT | mistake
    if how["pool"] and stride > 1:
        x, stride = layers.MaxPooling2D(2)(x), 1
    strides = (stride, 1) if how["strided"] == "first" else (1, stride)
    y = conv_bn(relu_if(how["first_relu"], x), filters, 3, strides[0], how["branch_norm"])
    y = conv_bn(relu_if(how["middle_relu"], y), filters, 3, strides[1], how["second_norm"])
    y = relu_if(how["branch_relu"], y)
    if (x.shape[-1] != filters and how["project_channels"]) or stride > 1:
        x = relu_if(how["shortcut_relu"], conv_bn(x, filters, how["kernel"], stride, how["norm"]))
    y = layers.Add()([y, x]) if how["shortcut"] else y
    y = layers.BatchNormalization()(y) if how["sum_norm"] else y
    return relu_if(how["last_relu"], y)


def block_of_the_package(x, filters, stride):
    shortcut = "B" if stride > 1 or x.shape[-1] != filters else "A"
    return blocks.unit(x, blocks.Unit("block", width=filters, stride=stride, shortcut=shortcut))


@pytest.mark.parametrize("function", [block_of_the_package, *disguised(block)])
def test_a_residual_block_passes_however_it_is_built(function):
    verdict = checks.residual_block(function)
    assert verdict.passed, verdict


@pytest.mark.parametrize(
    ("mistake", "says"),
    [
        ({"last_relu": False}, "A ReLU comes last"),
        ({"first_relu": True}, "and none before the first"),
        ({"middle_relu": False}, "a ReLU stands between the two convolutions"),
        ({"branch_relu": True}, "no ReLU stands after the second convolution"),
        ({"shortcut_relu": True}, "no ReLU stands on the shortcut"),
        ({"shortcut": False}, "Is x added, as it is?"),
        ({"strided": "second"}, "the first 3x3 convolution has the stride"),
        ({"kernel": 3}, "its convolutions have the sizes [3, 3, 3]"),
        ({"project_channels": False}, "From 4 to 8 channels, stride 1: Keras refuses it."),
        ({"norm": False}, "3 convolutions have 2 batch norms"),
        ({"branch_norm": False}, "2 convolutions have 1 batch norms"),
        (
            {"branch_norm": "before", "second_norm": "before", "norm": "before"},
            "From 4 to 4 channels, stride 1: no batch norm follows the first 3x3 convolution directly.",
        ),
        ({"branch_norm": "after relu", "middle_relu": False}, "no batch norm follows the first 3x3 convolution"),
        ({"second_norm": "before"}, "no batch norm follows the second 3x3 convolution directly."),
        ({"second_norm": False, "sum_norm": True}, "no batch norm follows the second 3x3 convolution directly."),
        ({"norm": "before"}, "From 4 to 8 channels, stride 2: no batch norm follows the projection directly."),
        ({"pool": True}, "a max pooling is left"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_wrong_residual_block_hears_why(mistake, says):
    verdict = checks.residual_block(lambda x, filters, stride: block(x, filters, stride, **mistake))
    assert verdict.passed is False
    assert says in verdict.message


def relu_in_the_convolution(x, filters, _):
    y = layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same", activation="relu")(x))
    return layers.ReLU()(layers.Add()([conv_bn(y, filters, 3), x]))


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda x, filters, _: block(x, filters, 1), "gave (None, 8, 8, 8), not (None, 4, 4, 8)"),
        (lambda *_: np.zeros((2, 8, 8, 4)), "should return a Keras tensor"),
        (lambda x, filters, _: layers.Add()([x, conv_bn(x, filters, 3)]), "sizes [3]"),
        (relu_in_the_convolution, "no batch norm follows the first 3x3 convolution directly."),
    ],
)
def test_what_is_no_residual_block_is_told(function, says):
    verdict = checks.residual_block(function)
    assert verdict.passed is False
    assert says in verdict.message
