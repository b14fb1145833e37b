"""Responses against NumPy on each layer's own output; gradients by path against finite differences and single paths."""

import itertools

from resnet_lessons import diagnostics, models
from resnet_lessons.specs import Spec

import keras
import numpy as np
import pytest
from keras import ops

SHAPE = (8, 8, 3)
IMAGES = np.random.default_rng(0).normal(size=(7, *SHAPE)).astype("float32")
LABELS = np.arange(7) % 10


def net(family="v1", depth=14, **kwargs):
    """Build a narrow net with random weights throughout, the classifier's larger than at the start."""
    keras.utils.set_random_seed(1)
    model = models.build(Spec(family, depth, **{"width": 3, "input_shape": SHAPE} | kwargs))
    rng = np.random.default_rng(2)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            for variable in layer.weights:
                variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    model.layers[-1].kernel.assign(rng.normal(size=model.layers[-1].kernel.shape))
    return model


def output(model, x):
    return ops.convert_to_numpy(model(x, training=False))


# layer_responses


@pytest.mark.parametrize("family", ["plain", "v1"])
def test_a_response_is_what_leaves_batch_norm(family):
    model = net(family)
    names, found = diagnostics.layer_responses(model, IMAGES, batch_size=3)
    assert names == ["stem_conv1"] + [f"stage{s}_block{b}_conv{c}" for s in (1, 2, 3) for b in (1, 2) for c in (1, 2)]
    for name, value in zip(names, found, strict=True):
        layer = model.get_layer(name.replace("conv", "bn"))
        assert value == pytest.approx(output(keras.Model(model.input, layer.output), IMAGES).std(), rel=1e-4)
        rectified = np.maximum(output(keras.Model(model.input, layer.output), IMAGES), 0)
        assert value != pytest.approx(rectified.std(), rel=0.02), "negative control: after the ReLU it is another"


def test_without_a_batch_norm_behind_it_a_response_is_the_convolutions_own():
    model = net("v2", 11)
    names, found = diagnostics.layer_responses(model, IMAGES)
    assert names == ["stem_conv1", "stage1_block1_conv2", "stage2_block1_conv2", "stage3_block1_conv2"]
    basic = net("v2", 8, block="basic")
    names, found = diagnostics.layer_responses(basic, IMAGES)
    expected = output(keras.Model(basic.input, basic.get_layer("stage2_block1_conv2").output), IMAGES).std()
    assert found[names.index("stage2_block1_conv2")] == pytest.approx(expected, rel=1e-4)


def test_a_net_without_images_has_no_responses():
    with pytest.raises(ValueError, match="at least one image"):
        diagnostics.layer_responses(net(), IMAGES[:0])


# gradients by path

RESIDUAL = {
    "v1": {"depth": 8},
    "v1 B": {"depth": 8, "shortcut": "B"},
    "v2": {"family": "v2", "depth": 11},
    "v2 basic": {"family": "v2", "depth": 8, "block": "basic"},
    "gated": {"depth": 8, "skip": "exclusive-gating"},
}


def start_and_rest(model):
    """Split a net before its first unit."""
    start = model.get_layer("stem_relu1").output
    return output(keras.Model(model.input, start), IMAGES), keras.Model(start, model.output)


def losses(rest, x):
    """Compute each image's cross-entropy, (B,) float64."""
    logits = output(rest, x).astype("float64")
    logits -= logits.max(axis=1, keepdims=True)
    return np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(x)), LABELS]


@pytest.mark.parametrize("name", RESIDUAL)
def test_the_parts_of_all_lengths_add_up_to_the_slope_of_the_loss(name):
    """The slope is a finite difference of losses, in random directions; per image, as each has its own gradient."""
    model = net(**RESIDUAL[name])
    x, rest = start_and_rest(model)
    whole = diagnostics.gradient_by_length(model, IMAGES, LABELS).sum(axis=0)
    rng = np.random.default_rng(3)
    slopes, found = [], []
    for _ in range(6):
        direction = rng.normal(size=x.shape).astype("float32")
        step = 1e-3
        slopes.append((losses(rest, x + step * direction) - losses(rest, x - step * direction)) / (2 * step))
        found.append((whole * direction).sum(axis=(1, 2, 3)))
    scale = np.abs(slopes).mean()
    assert scale > 1e-2
    assert np.median(np.abs(np.array(found) - slopes)) < 0.02 * scale  # a step over a ReLU's kink spoils some


@pytest.mark.parametrize("name", RESIDUAL)
def test_a_length_is_the_sum_of_all_its_single_paths(name, monkeypatch):
    """Draw each set of branches once, in place of random ones; the sums by size are the exact parts."""
    model = net(**RESIDUAL[name])
    n = len(diagnostics.unit_names(model))
    parts = diagnostics.gradient_by_length(model, IMAGES, LABELS)
    assert len(parts) == n + 1
    for length in range(n + 1):
        chosen = list(itertools.combinations(range(n), length))

        class Every:
            """Hands out each set in turn: the units of the set get the lowest ranks."""

            def __init__(self, sets):
                self.sets = iter(sets)

            def permutation(self, size):
                first = next(self.sets)
                ranks = np.empty(size, int)
                ranks[[*first, *(u for u in range(size) if u not in first)]] = np.arange(size)
                return ranks

        monkeypatch.setattr(np.random, "default_rng", lambda _, sets=chosen: Every(sets))
        single = diagnostics.path_gradients(model, IMAGES, LABELS, length, len(chosen))
        np.testing.assert_allclose(single.sum(axis=0), parts[length], rtol=1e-3, atol=1e-5 * np.abs(parts).max())


def test_with_silent_branches_only_the_path_of_length_zero_is_left():
    model = net()
    for unit in diagnostics.unit_names(model):
        norm = model.get_layer(f"{unit}_bn2")
        norm.gamma.assign(np.zeros(norm.gamma.shape))
    parts = diagnostics.gradient_by_length(model, IMAGES, LABELS)
    assert np.abs(parts[0]).max() > 1e-3
    assert not parts[1:].any()


def test_a_seed_gives_one_set_of_paths():
    model = net(depth=8)
    first, again, other = (diagnostics.path_gradients(model, IMAGES, LABELS, 1, 4, seed) for seed in (0, 0, 1))
    assert first.shape == (4, 7, 8, 8, 3)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_net_is_left_as_it_was():
    model = net()
    before = [np.array(ops.convert_to_numpy(v)) for v in model.variables]
    diagnostics.layer_responses(model, IMAGES)
    diagnostics.gradient_by_length(model, IMAGES, LABELS)
    diagnostics.path_gradients(model, IMAGES, LABELS, 2, 2)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(variable), value)


@pytest.mark.parametrize("length", [-1, 7])
def test_a_length_beyond_the_net_is_refused(length):
    with pytest.raises(ValueError, match=f"0 to 6, the number of units. Received: {length}"):
        diagnostics.path_gradients(net(), IMAGES, LABELS, length)


def test_a_plain_net_is_refused():
    with pytest.raises(ValueError, match="A plain net has one path"):
        diagnostics.gradient_by_length(net("plain"), IMAGES, LABELS)
