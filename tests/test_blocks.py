"""One residual unit at a time: against NumPy, written from the papers' figures."""

from resnet_lessons import blocks, specs
from resnet_lessons.blocks import Unit

import keras
import numpy as np
import pytest
from filled_models import output, randomize
from keras import layers
from numpy.lib.stride_tricks import sliding_window_view

SHAPE = (7, 8, 6)  # odd and even, so that a window off centre shows


# The reference: tokens of a sequence, interpreted in NumPy


def numpy_conv(x, kernel, stride=1, bias=0.0):
    """Convolve (B, H, W, C), windows centred on every ``stride``-th pixel from the first, zeros outside."""
    size = kernel.shape[0]
    margin = size // 2
    padded = np.pad(x, [(0, 0), (margin, margin), (margin, margin), (0, 0)])
    windows = sliding_window_view(padded, (size, size), axis=(1, 2))[:, ::stride, ::stride]  # (B, H, W, C, k, k)
    return np.einsum("bhwcij,ijcf->bhwf", windows, kernel, optimize=True) + bias


def numpy_batch_norm(x, gamma, beta, mean, variance, epsilon=1e-5):
    return (x - mean) / np.sqrt(variance + epsilon) * gamma + beta


# He et al. 2016, Fig. 4 (a) to (e): the branch, then what follows the addition. Bottlenecks: He et al. 2015, Fig. 5.
SEQUENCES = {
    ("original", "basic"): ("conv1 bn1 relu conv2 bn2", "relu"),
    ("bn-after-add", "basic"): ("conv1 bn1 relu conv2", "bn2 relu"),
    ("relu-before-add", "basic"): ("conv1 bn1 relu conv2 bn2 relu", ""),
    ("relu-pre", "basic"): ("relu conv1 bn1 relu conv2 bn2", ""),
    ("full-pre", "basic"): ("bn1 relu conv1 bn2 relu conv2", ""),
    ("original", "bottleneck"): ("conv1 bn1 relu conv2 bn2 relu conv3 bn3", "relu"),
    ("bn-after-add", "bottleneck"): ("conv1 bn1 relu conv2 bn2 relu conv3", "bn3 relu"),
    ("relu-before-add", "bottleneck"): ("conv1 bn1 relu conv2 bn2 relu conv3 bn3 relu", ""),
    ("relu-pre", "bottleneck"): ("relu conv1 bn1 relu conv2 bn2 relu conv3 bn3", ""),
    ("full-pre", "bottleneck"): ("bn1 relu conv1 bn2 relu conv2 bn3 relu conv3", ""),
}
PRE_ACTIVATED = {"relu-pre": "relu", "full-pre": "bn1 relu"}  # what branch and projection share


def numpy_run(x, sequence, weights, strides):
    for token in sequence.split():
        if token == "relu":
            x = np.maximum(x, 0)
        elif token.startswith("bn"):
            x = numpy_batch_norm(x, *weights[token])
        else:
            x = numpy_conv(x, *weights[token], stride=strides.get(token, 1))
    return x


def numpy_shortcut(x, weights, u):
    if u.shortcut == "C" or u.skip == "conv" or (u.shortcut == "B" and (u.stride > 1 or x.shape[-1] != u.filters)):
        y = numpy_conv(numpy_run(x, PRE_ACTIVATED.get(u.order, ""), weights, {}), *weights["shortcut_conv"], u.stride)
        return y if u.order in PRE_ACTIVATED else numpy_batch_norm(y, *weights["shortcut_bn"])
    kept = x[:, :: u.stride, :: u.stride]
    return np.concatenate([kept, np.zeros((*kept.shape[:3], u.filters - kept.shape[3]))], axis=3)


def numpy_unit(x, weights, u):
    """Compute a unit in inference mode from its layers' weights, by their names after the unit's own."""
    branch, after = SEQUENCES[u.order, u.block]
    strided = "conv2" if u.block == "bottleneck" and u.stride_in == "3x3" else "conv1"
    y = numpy_run(x, branch, weights, {strided: u.stride})
    if u.shortcut is not None:
        s = numpy_shortcut(x, weights, u)
        if u.skip == "constant-scaling":
            s, y = 0.5 * s, 0.5 * y
        elif u.skip.endswith("gating"):
            kernel, bias = weights["gate"]
            z = numpy_conv(numpy_run(x, PRE_ACTIVATED.get(u.order, ""), weights, {}), kernel, u.stride, bias)
            g = 1 / (1 + np.exp(-z))
            s, y = (1 - g) * s, g * y if u.skip == "exclusive-gating" else y
        y = s + y
    return numpy_run(y, after, weights, {})


# The unit under test


def build_unit(u, shape=SHAPE):
    inputs = keras.Input(shape)
    return keras.Model(inputs, blocks.unit(inputs, u))


def weights_by_name(model, u):
    """Return the weights of each layer as float64 arrays, under the layer's name without the unit's."""
    return {
        layer.name.removeprefix(f"{u.name}_"): [w.numpy().astype("float64") for w in layer.weights]
        for layer in model.layers
        if layer.weights
    }


def compare_with_numpy(u, shape=SHAPE):
    rng = np.random.default_rng(0)
    model = build_unit(u, shape)
    randomize(model, rng)
    x = rng.normal(size=(2, *shape)).astype("float32")
    expected = numpy_unit(x.astype("float64"), weights_by_name(model, u), u)
    found = output(model, x, training=False)
    assert found.shape == (2, -(-shape[0] // u.stride), -(-shape[1] // u.stride), u.filters)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("block", specs.BLOCKS)
@pytest.mark.parametrize("order", specs.ORDERS)
@pytest.mark.parametrize("shortcut", [None, *specs.SHORTCUTS])
def test_a_unit_that_changes_the_dimensions(block, order, shortcut):
    compare_with_numpy(Unit("u", 8, stride=2, block=block, order=order, shortcut=shortcut))


@pytest.mark.parametrize("block", specs.BLOCKS)
@pytest.mark.parametrize("order", specs.ORDERS)
@pytest.mark.parametrize("shortcut", [None, "A", "C"])
def test_a_unit_that_keeps_the_dimensions(block, order, shortcut):
    u = Unit("u", 6 if block == "basic" else 2, outer=6, block=block, order=order, shortcut=shortcut)
    compare_with_numpy(u)
    names = [layer.name for layer in build_unit(u).layers]
    assert ("u_shortcut_conv" in names) == (shortcut == "C")
    assert "u_shortcut_pad" not in names


@pytest.mark.parametrize("skip", specs.SKIPS)
@pytest.mark.parametrize("order", specs.ORDERS)
@pytest.mark.parametrize(("stride", "shortcut"), [(1, "A"), (2, "A"), (2, "B")])
def test_skips(skip, order, stride, shortcut):
    compare_with_numpy(Unit("u", 6 * stride, stride=stride, order=order, shortcut=shortcut, skip=skip))


def test_the_stride_in_the_3x3():
    compare_with_numpy(Unit("u", 3, stride=2, block="bottleneck", shortcut="B", stride_in="3x3"))


def test_the_comparison_sees_a_wrong_order():
    """Negative control: the figure's order (a) is not its order (b), and the comparison above says so."""
    u = Unit("u", 6, shortcut="A", order="bn-after-add")
    model = build_unit(u)
    randomize(model, np.random.default_rng(0))
    x = np.random.default_rng(1).normal(size=(2, *SHAPE)).astype("float32")
    wrong = numpy_unit(x, weights_by_name(model, u), Unit("u", 6, shortcut="A", order="original"))
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(output(model, x), wrong, rtol=1e-4, atol=1e-4)


# What stands where


@pytest.mark.parametrize(
    ("u", "names"),
    [
        (Unit("u", 6, shortcut="A"), "conv1 bn1 relu1 conv2 bn2 add relu2"),
        (Unit("u", 6), "conv1 bn1 relu1 conv2 bn2 relu2"),
        (Unit("u", 6, shortcut="A", order="full-pre"), "bn1 relu1 conv1 bn2 relu2 conv2 add"),
        (Unit("u", 6, shortcut="A", order="full-pre", activated=True), "conv1 bn2 relu2 conv2 add"),
        (Unit("u", 6, shortcut="A", order="relu-pre", activated=True), "conv1 bn1 relu2 conv2 bn2 add"),
        (Unit("u", 12, shortcut="A", stride=2), "pad1 conv1 bn1 relu1 conv2 bn2 shortcut_pad add relu2"),
        (Unit("u", 12, shortcut="B", stride=2), "pad1 conv1 bn1 relu1 conv2 shortcut_conv bn2 shortcut_bn add relu2"),
        (
            Unit("u", 12, shortcut="B", stride=2, order="full-pre"),
            "bn1 relu1 pad1 conv1 bn2 relu2 conv2 shortcut_conv add",
        ),
        (
            Unit("u", 12, shortcut="B", stride=2, style="keras-example"),
            "conv1 bn1 relu1 conv2 shortcut_conv bn2 add relu2",
        ),
        (
            Unit("u", 3, block="bottleneck", shortcut="B", stride=2),
            "conv1 bn1 relu1 conv2 bn2 relu2 conv3 shortcut_conv bn3 shortcut_bn add relu3",
        ),
        (Unit("u", 6, shortcut="A", skip="constant-scaling"), "conv1 bn1 relu1 conv2 bn2 skip_half half add relu2"),
        (Unit("u", 6, shortcut="A", skip="dropout"), "conv1 bn1 relu1 conv2 bn2 skip_dropout add relu2"),
        (
            Unit("u", 6, shortcut="A", skip="exclusive-gating"),
            "conv1 bn1 relu1 conv2 bn2 gate skip_weight skip_gated gated add relu2",
        ),
        (
            Unit("u", 6, shortcut="A", skip="shortcut-gating"),
            "conv1 bn1 relu1 conv2 bn2 gate skip_weight skip_gated add relu2",
        ),
    ],
    ids=str,
)
def test_layer_names_say_what_stands_where(u, names):
    found = [layer.name for layer in build_unit(u).layers[1:]]
    assert sorted(found) == sorted(f"u_{name}" for name in names.split())


@pytest.mark.parametrize("order", ["relu-pre", "full-pre"])
def test_an_activated_input_goes_into_branch_and_projection_as_it_is(order):
    model = build_unit(Unit("u", 8, stride=1, order=order, shortcut="B", activated=True))
    for name in ("u_conv1", "u_shortcut_conv"):
        assert model.get_layer(name).input is model.inputs[0]


def test_a_pre_activated_projection_shares_the_branch_activation_and_option_a_does_not():
    model = build_unit(Unit("u", 8, stride=2, order="full-pre", shortcut="B"))
    assert model.get_layer("u_shortcut_conv").input is model.get_layer("u_relu1").output
    model = build_unit(Unit("u", 8, stride=2, order="full-pre", shortcut="A"))
    assert model.get_layer("u_shortcut_pad").input is model.inputs[0]


@pytest.mark.parametrize("order", ["original", "full-pre"])
def test_the_keras_example_projects_x_as_it_is_with_bias_and_without_norm(order):
    model = build_unit(Unit("u", 8, stride=2, order=order, shortcut="B", style="keras-example"))
    projection = model.get_layer("u_shortcut_conv")
    assert projection.input is model.inputs[0]
    assert projection.use_bias
    assert "u_shortcut_bn" not in [layer.name for layer in model.layers]


@pytest.mark.parametrize(
    ("style", "bias", "momentum", "epsilon"), [("paper", False, 0.9, 1e-5), ("keras-example", True, 0.99, 1e-3)]
)
def test_styles_differ_throughout(style, bias, momentum, epsilon):
    model = build_unit(Unit("u", 8, stride=2, shortcut="B", style=style))
    convs = [layer for layer in model.layers if isinstance(layer, layers.Conv2D)]
    norms = [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    assert {conv.use_bias for conv in convs} == {bias}
    assert {(norm.momentum, norm.epsilon) for norm in norms} == {(momentum, epsilon)}
    assert all(isinstance(conv.kernel_initializer, keras.initializers.HeNormal) for conv in convs)


# Pixels


def copying_kernel(channels):
    kernel = np.zeros((3, 3, channels, channels), "float32")
    kernel[1, 1] = np.eye(channels)
    return kernel


@pytest.mark.parametrize("side", [7, 8])
def test_strided_windows_are_centred_on_the_pixels_the_shortcut_picks(side):
    """A kernel that copies its centre shows where the windows stand; in the Keras example they stand one further."""
    x = np.arange(side * side * 2, dtype="float32").reshape(1, side, side, 2)
    inputs = keras.Input((side, side, 2))
    picked = keras.ops.convert_to_numpy(blocks.ZeroPadShortcut(2, 2)(x))
    copied = {}
    for style in specs.STYLES:
        model = keras.Model(inputs, blocks.conv(inputs, 2, 3, 2, style, f"conv_{side}", bias=False))
        model.set_weights([copying_kernel(2)])
        copied[style] = output(model, x)
    np.testing.assert_array_equal(copied["paper"], picked)
    np.testing.assert_array_equal(copied["keras-example"], x[:, 1::2, 1::2] if side % 2 == 0 else picked)


@pytest.mark.parametrize(("shape", "stride", "filters"), [((5, 6, 2), 2, 5), ((4, 4, 3), 1, 4), ((5, 3, 2), 2, 2)])
def test_option_a_picks_every_second_pixel_and_adds_zero_channels_exactly(shape, stride, filters):
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")
    y = keras.ops.convert_to_numpy(blocks.ZeroPadShortcut(filters, stride)(x))
    rows, columns = range(0, shape[0], stride), range(0, shape[1], stride)
    assert y.shape == (2, len(rows), len(columns), filters)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            np.testing.assert_array_equal(y[:, i, j, : shape[2]], x[:, row, column])
    assert not y[..., shape[2] :].any()


def test_option_a_has_no_weights_and_is_rebuilt_from_its_config():
    layer = blocks.ZeroPadShortcut(8, 2, name="s")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert (type(again), again.name, again.filters, again.stride) == (blocks.ZeroPadShortcut, "s", 8, 2)
    assert build_unit(Unit("u", 8, stride=2, shortcut="A")).get_layer("u_shortcut_pad").weights == []


# Starting values of the skips


def test_gates_start_almost_open():
    """He et al. 2016, Table 1: the best initial bias, -6, leaves 1 - sigmoid(-6) = 0.9975 of the shortcut."""
    model = build_unit(Unit("u", 6, shortcut="A", skip="shortcut-gating"))
    np.testing.assert_array_equal(model.get_layer("u_gate").bias.numpy(), np.full(6, -6.0, "float32"))
    weight = keras.Model(model.input, model.get_layer("u_skip_weight").output)
    assert float(keras.ops.mean(weight(np.zeros((1, *SHAPE), "float32")))) == pytest.approx(0.9975, abs=1e-4)


def test_dropout_halves_the_shortcut_only_while_training():
    model = build_unit(Unit("u", 6, shortcut="A", skip="dropout"))
    dropped = keras.Model(model.input, model.get_layer("u_skip_dropout").output)
    ones = np.ones((8, *SHAPE), "float32")
    found = output(dropped, ones, training=True)
    assert set(np.unique(found)) == {0.0, 2.0}  # kept values are doubled, so the mean stays
    assert found.mean() == pytest.approx(1.0, abs=0.1)
    np.testing.assert_array_equal(output(dropped, ones, training=False), ones)


def test_the_words_of_specs_are_the_ones_built_here():
    assert tuple(blocks.ORDERS) == specs.ORDERS
    assert tuple(blocks.SKIPS) == specs.SKIPS
    assert tuple(blocks.STYLES) == specs.STYLES
    assert {*blocks.SHORTCUTS, "C"} == set(specs.SHORTCUTS)
