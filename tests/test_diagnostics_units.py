"""Removing and swapping units, against nets that are wired so by hand; and the net is left as it was."""

import itertools

from resnet_lessons import diagnostics, models
from resnet_lessons.specs import Spec

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

SHAPE = (8, 8, 3)
IMAGES = np.random.default_rng(0).normal(size=(12, *SHAPE)).astype("float32")
LABELS = np.arange(12) % 10
FAMILIES = {
    "plain": {"family": "plain", "depth": 14},
    "v1": {"family": "v1", "depth": 20},
    "v1 B": {"family": "v1", "depth": 14, "shortcut": "B"},
    "v1 relu-before-add": {"family": "v1", "depth": 14, "order": "relu-before-add"},
    "v1 bn-after-add": {"family": "v1", "depth": 14, "order": "bn-after-add"},
    "v1 exclusive-gating": {"family": "v1", "depth": 14, "skip": "exclusive-gating"},
    "v2 basic": {"family": "v2", "depth": 20, "block": "basic"},
    "v2": {"family": "v2", "depth": 20},
}


def net(name):
    """Build a narrow net with random weights throughout, statistics of batch norm included."""
    keras.utils.set_random_seed(1)
    model = models.build(Spec(**FAMILIES[name], width=4, input_shape=SHAPE))
    rng = np.random.default_rng(2)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            for variable in layer.weights:
                variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    classifier = model.layers[-1]  # whose answers must differ from image to image
    classifier.kernel.assign(rng.normal(size=classifier.kernel.shape))
    classifier.bias.assign(-output(model, IMAGES).mean(axis=0))
    return model


def values(model):
    return [np.array(ops.convert_to_numpy(v)) for v in model.variables]


def output(model, x):
    return ops.convert_to_numpy(model(x, training=False))


def without(model, unit, x):
    """Compute the logits without one unit, layer by layer: its branch is zero, or a plain pair is what it gets."""
    found = {model.layers[0].output: ops.convert_to_tensor(x)}
    entered = None
    for layer in model.layers[1:]:
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        arrays = [found[tensor] for tensor in inputs]
        if layer.name.startswith(f"{unit}_") and entered is None:
            entered = arrays[0]
        if layer.name == f"{unit}_add":
            arrays[1] = ops.zeros_like(arrays[1])
        found[layer.output] = layer(arrays if len(arrays) > 1 else arrays[0], training=False)
        if f"{unit}_add" not in {other.name for other in model.layers} and layer.name == f"{unit}_relu2":
            halved = entered.shape[1] // layer.output.shape[1]
            wider = layer.output.shape[-1] - entered.shape[-1]
            found[layer.output] = ops.pad(entered[:, ::halved, ::halved], [(0, 0)] * 3 + [(0, wider)])
    return ops.convert_to_numpy(found[model.output])


def test_units_are_listed_first_to_last():
    assert diagnostics.unit_names(net("v1 B")) == [f"stage{s}_block{b}" for s in (1, 2, 3) for b in (1, 2)]


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_left_is_the_shortcut(name):
    model = net(name)
    whole = output(model, IMAGES)
    for unit in diagnostics.unit_names(model):
        expected = without(model, unit, IMAGES)
        assert not np.allclose(expected, whole, rtol=1e-3), "negative control: each unit matters"
        with diagnostics.removed(model, unit):
            np.testing.assert_allclose(output(model, IMAGES), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["plain", "v1", "v2"])
def test_a_removed_unit_comes_back_after_an_exception_too(name):
    model = net(name)
    before = values(model)
    with pytest.raises(KeyboardInterrupt), diagnostics.removed(model, "stage2_block1"):
        raise KeyboardInterrupt
    for now, then in zip(values(model), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("name", FAMILIES)
def test_lesion_counts_the_wrong_answers_of_each_net_without_one_unit(name):
    model = net(name)
    before = values(model)
    names, errors = diagnostics.lesion(model, IMAGES, LABELS, batch_size=5)
    assert names == diagnostics.unit_names(model)
    expected = [np.mean(without(model, unit, IMAGES).argmax(axis=1) != LABELS) for unit in names]
    np.testing.assert_allclose(errors, expected)
    for now, then in zip(values(model), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_labels_that_a_net_gives_without_a_unit_make_only_that_error_zero():
    """The labels are those of the net without its fourth unit, so a lesion that took out another would show."""
    model = net("v1")
    unit = diagnostics.unit_names(model)[3]
    _, errors = diagnostics.lesion(model, IMAGES, without(model, unit, IMAGES).argmax(axis=1))
    assert errors[3] == 0
    assert np.delete(errors, 3).max() > 0


def kendall(order):
    """Count pairs in order less pairs out of order, over all pairs."""
    pairs = list(itertools.combinations(order, 2))
    return (sum(a < b for a, b in pairs) - sum(a > b for a, b in pairs)) / len(pairs)


@pytest.mark.parametrize("name", ["plain", "v1 B", "v2 basic"])
def test_without_swaps_the_net_is_its_own(name):
    model = net(name)
    tau, error = diagnostics.shuffle_blocks(model, IMAGES, output(model, IMAGES).argmax(axis=1), 0)
    assert (tau, error) == (1, 0)


@pytest.mark.parametrize("name", ["v1 B", "v2 basic", "plain"])
def test_one_swap_equals_a_net_whose_weights_were_swapped_by_hand(name):
    """So small a net has one to three such swaps, and eight seeds find them all."""
    model = net(name)
    labels = output(model, IMAGES).argmax(axis=1)
    units = diagnostics.unit_names(model)
    outcomes = set()
    for a, b in itertools.combinations(units, 2):
        other = net(name)
        layers = [[layer for layer in other.layers if layer.name.startswith(f"{unit}_")] for unit in (a, b)]
        weights = [[layer.get_weights() for layer in unit] for unit in layers]
        shapes = [[w.shape for layer in unit for w in layer] for unit in weights]
        if a.split("_")[0] != b.split("_")[0] or shapes[0] != shapes[1]:
            continue
        for unit, swapped in zip(layers, weights[::-1], strict=True):
            for layer, layer_weights in zip(unit, swapped, strict=True):
                layer.set_weights(layer_weights)
        outcomes.add(round(np.mean(output(other, IMAGES).argmax(axis=1) != labels), 6))
    found = {round(diagnostics.shuffle_blocks(model, IMAGES, labels, 1, seed)[1], 6) for seed in range(8)}
    assert len(set(labels)) > 2
    assert found == outcomes
    assert max(found) > 0


def test_the_net_is_left_as_it_was_after_swaps_and_after_a_failure_among_them():
    model = net("v1")
    before = values(model)
    diagnostics.shuffle_blocks(model, IMAGES, LABELS, 7)
    with pytest.raises(ValueError, match="shape"):
        diagnostics.shuffle_blocks(model, IMAGES[:, :4, :4, :2], LABELS, 3)
    for now, then in zip(values(model), before, strict=True):
        np.testing.assert_array_equal(now, then)


DEEP = net("v1")


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 30), st.integers(0, 2**32))
def test_a_seed_gives_one_order_and_kendalls_tau_is_within_its_bounds(swaps, seed):
    first = diagnostics.shuffle_blocks(DEEP, IMAGES[:2], LABELS[:2], swaps, seed)
    assert first == diagnostics.shuffle_blocks(DEEP, IMAGES[:2], LABELS[:2], swaps, seed)
    pairs = 3 + 1 + 1  # three like units in stage 1, two in stages 2 and 3 behind the first
    assert first[0] in {(pairs - 2 * wrong) / pairs for wrong in range(pairs + 1)}


def test_one_swap_of_neighbours_turns_one_pair_and_of_ends_three():
    """In stage 1 of three units a swap of the first and last turns all three pairs; every other turns one, of five."""
    found = {diagnostics.shuffle_blocks(DEEP, IMAGES[:1], LABELS[:1], 1, seed)[0] for seed in range(20, 25)}
    neighbours, ends = [3 * kendall(order) + 2 for order in ([1, 0, 2], [2, 1, 0])]
    assert {round(tau, 6) for tau in found} == {neighbours / 5, ends / 5} == {0.6, -0.2}


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda m: diagnostics.shuffle_blocks(m, IMAGES, LABELS, -1), "swaps must be 0 or more. Received: -1"),
        (lambda m: diagnostics.removed(m, "stage4_block1").__enter__(), "Received: 'stage4_block1'"),
        (lambda m: diagnostics.unit_names(keras.Sequential([keras.Input(SHAPE)])), "one of models.build"),  # noqa: ARG005
    ],
)
def test_what_is_not_there_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call(net("v1 B"))


def test_a_net_of_three_units_has_none_to_swap():
    with pytest.raises(ValueError, match="none can be swapped"):
        diagnostics.shuffle_blocks(models.plain(8, width=2, input_shape=SHAPE), IMAGES, LABELS, 1)
