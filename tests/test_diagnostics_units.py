"""Units taken out or swapped, against the same done by hand; the model is always left as it was."""

import contextlib

from resnet_lessons import backend, diagnostics
from resnet_lessons.diagnostics import units

import keras
import numpy as np
import pytest
from filled_models import net
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return rng.normal(size=(130, 8, 8, 3)).astype("float32"), rng.integers(10, size=130)


def weights(model):
    return [keras.ops.convert_to_numpy(variable + 0) for variable in model.weights]


def through(model, x, end):
    """The value of a tensor inside a model."""
    return keras.ops.convert_to_numpy(keras.Model(model.input, end)(x, training=False))


@contextlib.contextmanager
def unchanged(model):
    before = weights(model)
    yield
    for one, other in zip(before, weights(model), strict=True):
        np.testing.assert_array_equal(one, other)


NETS = [
    ("v1", 14, {}),
    ("v1", 14, {"shortcut": "B"}),
    ("v1", 11, {"block": "bottleneck"}),
    ("v2", 11, {}),
    ("v2", 14, {"block": "basic"}),
    ("v1", 14, {"order": "relu-before-add"}),
    ("v1", 14, {"order": "bn-after-add"}),
    ("v1", 14, {"style": "keras-example", "input_shape": (32, 32, 3)}),
]


@pytest.mark.parametrize(("family", "depth", "choices"), NETS)
def test_without_a_unit_its_branch_adds_nothing(family, depth, choices):
    model = net(family, depth, **choices)
    x = np.random.default_rng(1).normal(size=(3, *model.input_shape[1:])).astype("float32")
    for name in diagnostics.unit_names(model):
        shortcut, branch = model.get_layer(f"{name}_add").input
        assert np.abs(through(model, x, branch)).max() > 0
        expected = through(model, x, shortcut)
        with unchanged(model), diagnostics.removed(model, name):
            assert np.abs(through(model, x, branch)).max() == 0
            np.testing.assert_array_equal(through(model, x, model.get_layer(f"{name}_add").output), expected)


def test_without_a_plain_pair_its_input_passes(images):
    model, x = net("plain", 14), images[0][:5]
    tensors = units.boundaries(model)
    for number, name in enumerate(diagnostics.unit_names(model)):
        before = through(model, x, tensors[number])
        strided = number > 0 and name.endswith("block1")
        expected = before[:, ::2, ::2] if strided else before
        channels = tensors[number + 1].shape[-1] - expected.shape[-1]
        expected = np.pad(expected, [(0, 0), (0, 0), (0, 0), (0, channels)])
        with unchanged(model), diagnostics.removed(model, name):
            np.testing.assert_allclose(through(model, x, tensors[number + 1]), expected, rtol=1e-4, atol=1e-5)
        assert np.abs(through(model, x, tensors[number + 1]) - expected).max() > 0.1  # otherwise nothing was shown


@pytest.mark.parametrize("family", ["plain", "v1"])
def test_an_exception_puts_the_unit_back(family):
    model = net(family, 8)
    with unchanged(model), pytest.raises(ZeroDivisionError), diagnostics.removed(model, "stage2_block1"):
        _ = 1 / 0


@pytest.mark.parametrize(("family", "depth"), [("plain", 14), ("v1", 14), ("v2", 20)])
def test_lesions_are_those_of_the_whole_net_run_anew(images, family, depth):
    model = net(family, depth)
    x, y = images
    with unchanged(model):
        names, errors, whole = diagnostics.lesion(model, x, y)
    assert names == diagnostics.unit_names(model)
    assert whole == np.mean(units.inference(model, x).argmax(axis=1) != y)
    for name, error in zip(names, errors, strict=True):
        with diagnostics.removed(model, name):
            assert error == pytest.approx(np.mean(units.inference(model, x).argmax(axis=1) != y), abs=2 / len(y)), name
    assert len(set(errors)) > 1


def test_logits_are_told_from_probabilities():
    assert units.puts_out_logits(net("v1", 8)) is True
    assert units.puts_out_logits(net("v1", 8, style="keras-example", input_shape=(32, 32, 3))) is False
    inputs = keras.Input((3,))
    for end in (keras.layers.Dense(10, activation="sigmoid"), keras.layers.BatchNormalization(name="bn")):
        with pytest.raises(ValueError, match="must end in a dense layer, linear or with a softmax"):
            units.puts_out_logits(keras.Model(inputs, end(inputs)))


def test_unknown_units_and_gates_are_refused():
    plain, gated = net("v1", 8), net("v1", 8, skip="exclusive-gating")
    unknown = r"has the units stage1_block1, .* Received: 'stage4_block1'"
    with pytest.raises(ValueError, match=unknown), diagnostics.removed(plain, "stage4_block1"):
        pass
    with pytest.raises(ValueError, match="has a gate"), diagnostics.removed(gated, "stage1_block1"):
        pass
    with pytest.raises(ValueError, match=r"network of models\.build"):
        diagnostics.unit_names(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]))


# shuffle_blocks


@pytest.mark.parametrize("family", ["plain", "v1"])
def test_a_swap_is_the_swap_by_hand(images, family):
    """Of 14 layers only stage 1 has two units of one shape, so one swap is known."""
    model, (x, y) = net(family, 14), images
    with unchanged(model):
        error, tau = diagnostics.shuffle_blocks(model, x, y, swaps=1)
    swapped = net(family, 14)
    for one in units.layers_of(swapped, "stage1_block1"):
        other = swapped.get_layer(one.name.replace("block1", "block2"))
        if one.weights:
            values = one.get_weights()
            one.set_weights(other.get_weights())
            other.set_weights(values)
    expected = units.inference(swapped, x)
    assert np.abs(expected - units.inference(model, x)).max() > 1e-3
    assert error == np.mean(expected.argmax(axis=1) != y)
    assert tau == -1


def test_no_swap_leaves_all_in_order(images):
    model, (x, y) = net("v1", 20), images
    error, tau = diagnostics.shuffle_blocks(model, x, y, swaps=0)
    assert (error, tau) == (np.mean(units.inference(model, x).argmax(axis=1) != y), 1)


def test_the_same_seed_gives_the_same_order(images):
    model, (x, y) = net("v1", 20), images
    taus = [diagnostics.shuffle_blocks(model, x[:5], y[:5], 4, seed)[1] for seed in (0, 0, 1, 2, 3)]
    assert taus[0] == taus[1]
    assert len(set(taus)) > 1


def test_what_cannot_be_shuffled_is_refused(images):
    with pytest.raises(ValueError, match=r"No stage of 'v1_8.*' has two units of one shape"):
        diagnostics.shuffle_blocks(net("v1", 8), *images, 1)
    with pytest.raises(ValueError, match=r"swaps must be .* Received: -1"):
        diagnostics.shuffle_blocks(net("v1", 14), *images, -1)


@given(st.permutations(range(7)))
def test_the_rank_correlation_is_kendalls(order):
    assert units._rank_correlation([list(order)]) == pytest.approx(kendalltau(range(7), order).statistic)


GROWTHS = [
    ("v1", 8, 14, {}),
    ("v1", 11, 20, {"block": "bottleneck"}),
    ("v2", 11, 20, {}),
    ("v2", 8, 14, {"block": "basic"}),
    ("v1", 8, 14, {"order": "relu-pre"}),
    ("v1", 8, 14, {"style": "keras-example", "input_shape": (32, 32, 3)}),
]


@pytest.mark.parametrize(("family", "depth", "deeper", "choices"), GROWTHS, ids=str)
def test_a_grown_net_computes_the_same_and_its_new_units_can_learn(family, depth, deeper, choices):
    small, large = net(family, depth, **choices), net(family, deeper, **choices)
    x = np.random.default_rng(1).normal(size=(4, *small.input_shape[1:])).astype("float32")
    before, other = (through(model, x, model.output) for model in (small, large))
    assert not np.allclose(before, other, atol=1e-3)
    with unchanged(small):
        added = diagnostics.grow(small, large)
    assert added == [name for name in units.unit_names(large) if name not in units.unit_names(small)]
    np.testing.assert_allclose(through(large, x, large.output), before, atol=1e-4)
    from_logits = choices.get("style") is None
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)
    _, gradients = backend.gradients(large, x, np.arange(4), loss)
    names = [variable.path for variable in large.trainable_variables]
    for unit in added:
        assert any(np.any(g) for name, g in zip(names, gradients, strict=True) if name.startswith(f"{unit}_"))


def test_only_what_can_start_silent_is_grown():
    with pytest.raises(ValueError, match="They differ in stage1_block1_conv1"):
        diagnostics.grow(net("v2", 11), net("v1", 14))
    with pytest.raises(ValueError, match="They differ in stage1_block2"):
        diagnostics.grow(net("v1", 14), net("v1", 8))
    with pytest.raises(ValueError, match="has no shortcuts"):
        diagnostics.grow(net("plain", 8), net("plain", 14))
    with pytest.raises(ValueError, match="cannot pass its input on unchanged, because of stage1_block2"):
        diagnostics.grow(net("v1", 8, order="bn-after-add"), net("v1", 14, order="bn-after-add"))
    with pytest.raises(ValueError, match="cannot pass its input on unchanged, because of stage1_block2"):
        diagnostics.grow(net("v1", 8, shortcut="C"), net("v1", 14, shortcut="C"))
    late = {"order": "relu-before-add"}
    with pytest.raises(ValueError, match="would stay silent: stage1_block2_relu2"):
        diagnostics.grow(net("v1", 8, **late), net("v1", 14, **late))
    gated = {"skip": "exclusive-gating"}
    with pytest.raises(ValueError, match="cannot pass its input on unchanged, because of stage1_block2"):
        diagnostics.grow(net("v1", 8, **gated), net("v1", 14, **gated))


@pytest.mark.parametrize("skip", ["constant-scaling", "dropout"])
def test_added_units_with_a_layer_on_the_shortcut_are_refused(skip):
    """It has no weights, and halves the signal, or drops half of it in training."""
    with pytest.raises(ValueError, match="cannot pass its input on unchanged, because of stage1_block2_skip_"):
        diagnostics.grow(net("v1", 8, skip=skip), net("v1", 14, skip=skip))


@pytest.mark.parametrize("choice", [{"order": "relu-pre"}, {"skip": "constant-scaling"}, {"skip": "dropout"}], ids=str)
def test_nets_of_the_same_weights_that_are_wired_differently_are_refused(choice):
    small, large = net("v1", 8), net("v1", 14, **choice)
    with unchanged(large), pytest.raises(ValueError, match="They differ in stage1_block1_"):
        diagnostics.grow(small, large)
