"""Responses against batch norm by hand; gradients by path length against paths taken one by one."""

import itertools

from resnet_lessons import backend, diagnostics
from resnet_lessons.diagnostics import paths, units

import keras
import numpy as np
import pytest
from filled_models import net


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return rng.normal(size=(6, 8, 8, 3)).astype("float32"), rng.integers(10, size=6)


def value(model, x, tensor):
    return keras.ops.convert_to_numpy(keras.Model(model.input, tensor)(x, training=False)).astype("float64")


@pytest.mark.parametrize(("family", "choices"), [("plain", {}), ("v1", {"shortcut": "B"})])
def test_responses_are_normalized_convolutions(family, choices):
    model = net(family, 8, **choices)
    x = np.random.default_rng(0).normal(size=(60, 8, 8, 3)).astype("float32")  # two batches
    names, deviations = diagnostics.layer_responses(model, x)
    expected = ["stem_conv1"] + [f"stage{stage}_block1_conv{conv}" for stage in (1, 2, 3) for conv in (1, 2)]
    assert names == expected
    for name, deviation in zip(names, deviations, strict=True):
        gamma, beta, mean, variance = model.get_layer(name.replace("conv", "bn")).get_weights()
        response = value(model, x, model.get_layer(name).output)
        by_hand = (response - mean) / np.sqrt(variance + 1e-5) * gamma + beta
        assert deviation == pytest.approx(by_hand.std(), rel=1e-4)


def test_where_no_norm_follows_the_convolution_itself_is_taken(images):
    model = net("v2", 11)
    found = dict(zip(*diagnostics.layer_responses(model, images[0]), strict=True))
    for name in ("stage1_block1_conv3", "stage2_block1_conv3", "stage3_block1_conv3"):  # the addition follows
        convolution = value(model, images[0], model.get_layer(name).output)
        assert found[name] == pytest.approx(convolution.std(), rel=1e-4)
    assert len(found) == 10


def along_one_path(model, x, y, branches):
    """The gradient at the first unit's input if unit k lets it pass its branch alone, or its shortcut alone.

    The network is cloned with the way not taken stopped; this shares no code with the package.
    """

    def call(layer, *arguments, **options):
        if layer.name.endswith("_add"):
            shortcut, branch = arguments[0]
            taken = branches[units.unit_names(model).index(layer.name.removesuffix("_add"))]
            stop = keras.ops.stop_gradient
            arguments = ([stop(shortcut), branch] if taken else [shortcut, stop(branch)],)
        return layer(*arguments, **options)

    start = units.boundaries(model)[0]
    tail = keras.Model(start, model.output)
    clone = keras.models.clone_model(tail, clone_function=lambda layer: layer, call_function=call)
    logits = keras.ops.convert_to_numpy(tail(value(model, x, start).astype("float32"), training=False))
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    upstream = ((chances - np.eye(10)[y]) / len(y)).astype("float32")
    return backend.pull_back(clone, value(model, x, start).astype("float32"), upstream, training=False)


@pytest.mark.parametrize(
    ("family", "depth", "choices"),
    [("v1", 8, {}), ("v1", 8, {"shortcut": "B"}), ("v2", 11, {}), ("v2", 8, {"block": "basic"})],
)
def test_sums_over_paths_are_those_of_single_paths(images, family, depth, choices):
    model, (x, y) = net(family, depth, **choices), images
    sums = diagnostics.gradient_by_path_length(model, x, y)
    by_hand = np.zeros_like(sums)
    for branches in itertools.product((0, 1), repeat=3):
        by_hand[sum(branches)] += along_one_path(model, x, y, branches)
    scale = np.abs(sums).max(axis=(1, 2, 3, 4))
    assert (scale > 0).all()
    for found, expected, size in zip(sums, by_hand, scale, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4 * size)


@pytest.mark.parametrize(("family", "depth"), [("v1", 14), ("v2", 20)])
def test_all_lengths_together_are_the_gradient(images, family, depth):
    model, (x, y) = net(family, depth), images
    start = units.boundaries(model)[0]
    tail, inputs = keras.Model(start, model.output), value(model, x, start).astype("float32")

    def loss(shift):
        logits = keras.ops.convert_to_numpy(tail(inputs + shift, training=False)).astype("float64")
        return (np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(y)), y]).mean()

    gradient = diagnostics.gradient_by_path_length(model, x, y).sum(axis=0)
    direction = gradient / np.linalg.norm(gradient)
    step = 1e-2
    slope = (loss(step * direction) - loss(-step * direction)) / (2 * step)
    assert slope == pytest.approx(np.linalg.norm(gradient), rel=0.03)  # float32 differences of a kinked function


def test_the_model_is_left_as_it_was(images):
    model = net("v1", 8)
    before = [keras.ops.convert_to_numpy(v + 0) for v in model.weights]
    diagnostics.gradient_by_path_length(model, *images)
    diagnostics.layer_responses(model, images[0])
    for one, variable in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(one, keras.ops.convert_to_numpy(variable + 0))


def test_plain_nets_and_probabilities_are_refused(images):
    with pytest.raises(ValueError, match="has no shortcuts"):
        diagnostics.gradient_by_path_length(net("plain", 8), *images)
    example = net("v1", 8, style="keras-example", input_shape=(32, 32, 3))
    with pytest.raises(ValueError, match="puts out probabilities"):
        diagnostics.gradient_by_path_length(example, *images)


@pytest.mark.parametrize(("family", "depth"), [("v1", 8), ("v2", 11)])
def test_a_drawn_path_is_one_of_its_length(images, family, depth):
    model, (x, y) = net(family, depth), images
    for length in range(4):
        chosen = [branches for branches in itertools.product((0, 1), repeat=3) if sum(branches) == length]
        expected = [along_one_path(model, x, y, branches) for branches in chosen]
        drawn = diagnostics.path_gradients(model, x, y, length, paths=6)
        size = max(np.abs(one).max() for one in expected)
        assert size > 0
        which = [[np.abs(path - one).max() < 1e-4 * size for one in expected] for path in drawn]
        assert np.any(which, axis=1).all()
        assert length in (0, 3) or np.any(which, axis=0).sum() > 1, "the draw chooses among the paths"


@pytest.mark.parametrize(("family", "depth"), [("v1", 8), ("v2", 11)])
def test_all_paths_of_a_length_come_once_each_and_add_up(images, family, depth):
    model, (x, y) = net(family, depth), images
    sums = diagnostics.gradient_by_path_length(model, x, y)
    for length, number in enumerate((1, 3, 3, 1)):
        found = diagnostics.path_gradients(model, x, y, length)
        assert len(found) == number
        assert len(np.unique(found.reshape(number, -1).round(9), axis=0)) == number
        np.testing.assert_allclose(found.sum(axis=0), sums[length], atol=1e-5 * np.abs(sums).max())


def test_more_paths_than_memory_holds_are_refused_and_none_too(images, monkeypatch):
    model, (x, y) = net("v1", 8), [array[:1] for array in images]
    for number in (0, -1, 1001):
        with pytest.raises(ValueError, match=f"paths must be .* from 1 to 1,000. Received: {number}"):
            diagnostics.path_gradients(model, x, y, 1, paths=number)
    monkeypatch.setattr(paths, "MOST", 2)
    with pytest.raises(ValueError, match=r"at most 2. .* has 3 of length 1. Give paths= to draw"):
        diagnostics.path_gradients(model, x, y, 1)
    assert len(diagnostics.path_gradients(model, x, y, 0)) == 1
    assert len(diagnostics.path_gradients(model, x, y, 1, paths=2)) == 2


def test_all_paths_of_a_deep_net_are_refused_before_they_are_listed():
    with pytest.raises(ValueError, match="'v1_56', which has 20,058,300 of length 13"):
        paths._check_paths("v1_56", 27, 13, None)


def test_paths_in_several_portions_are_those_in_one(images, monkeypatch):
    model, (x, y) = net("v1", 14), images
    whole = diagnostics.path_gradients(model, x, y, 3)  # 20 paths
    monkeypatch.setattr(paths, "AT_ONCE", 7)
    np.testing.assert_allclose(diagnostics.path_gradients(model, x, y, 3), whole, atol=1e-6 * np.abs(whole).max())


def test_drawn_paths_repeat_by_their_seed_and_of_a_length_that_there_is(images):
    model = net("v1", 8)
    first, again, other = (diagnostics.path_gradients(model, *images, 1, 8, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    for length in (-1, 4):
        with pytest.raises(ValueError, match=f"0 to 3, the number of units. Received: {length}"):
            diagnostics.path_gradients(model, *images, length)
