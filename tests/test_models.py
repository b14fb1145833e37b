"""Whole networks for CIFAR-10: counts, names, and the behaviour that tells the versions apart."""

import functools
import math
import re

from resnet_lessons import accounting, models
from resnet_lessons.specs import Spec

import hand_counts as hand
import keras
import numpy as np
import pytest
from filled_models import output, randomize
from keras import layers


@pytest.fixture(autouse=True)
def restored_policy():
    before = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(before)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def small(family, n=1, **kwargs):
    """Describe the smallest net of its kind: width 2 on 8x8 images."""
    bottleneck = kwargs.get("block", "bottleneck" if family == "v2" else "basic") == "bottleneck"
    example = kwargs.get("style") == "keras-example"
    return Spec(
        family,
        (9 if bottleneck else 6) * n + 2,
        **{"width": 2, "input_shape": (32, 32, 3) if example else (8, 8, 3)} | kwargs,
    )


VARIETY = [
    small("plain"),
    small("plain", block="bottleneck"),
    small("v1"),
    small("v1", shortcut="B"),
    small("v1", shortcut="C", block="bottleneck"),
    small("v1", order="relu-before-add", shortcut="B"),
    small("v1", order="bn-after-add", skip="conv"),
    small("v1", skip="constant-scaling"),
    small("v1", skip="exclusive-gating"),
    small("v1", skip="dropout"),
    small("v2"),
    small("v2", block="basic"),
    small("v2", order="relu-pre", shortcut="A"),
    small("v2", skip="shortcut-gating"),
    small("v1", style="keras-example"),
    small("v2", style="keras-example"),
]
each_variety = pytest.mark.parametrize("spec", VARIETY, ids=lambda spec: spec.name)


def images(rng, spec, count=2):
    return rng.normal(size=(count, *spec.input_shape)).astype("float32")


# What every network has


@functools.cache
def built(spec):
    """Build a net once for all tests that do not change it."""
    return models.build(spec)


@each_variety
def test_every_layer_says_where_it_stands(spec):
    model = built(spec)
    names = [layer.name for layer in model.layers]
    assert len(set(names)) == len(names)
    inside = r"(conv|bn|relu|pad)\d|add|shortcut_(conv|bn|pad)|gate|gated|half|skip_(half|weight|gated|dropout)"
    where = rf"image|stem_(conv|bn|relu)1|stage[123]_block{spec.n}_({inside})|final_(bn|relu)1|pool"
    end = "logits" if spec.style == "paper" else "flatten|probabilities"
    assert [name for name in names if not re.fullmatch(f"{where}|{end}", name)] == []
    assert model.name == spec.name.replace("-", "_")
    assert not any(isinstance(layer, layers.Lambda) for layer in model.layers)


@each_variety
def test_shapes_and_outputs(spec, rng):
    model = built(spec)
    assert model.input_shape == (None, *spec.input_shape)
    assert model.output_shape == (None, spec.num_classes)
    y = output(model, images(rng, spec))
    assert np.isfinite(y).all()
    if spec.style == "keras-example":
        np.testing.assert_allclose(y.sum(axis=1), 1, rtol=1e-5)
        assert (y >= 0).all()
    else:
        assert not np.allclose(y.sum(axis=1), 1)  # logits, not probabilities


@each_variety
def test_saved_and_loaded_without_custom_objects(spec, rng, tmp_path):
    model = built(spec)
    randomize(model, rng)  # the last of the tests that share it
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")  # safe mode: a Lambda would be refused
    x = images(rng, spec)
    np.testing.assert_array_equal(output(loaded, x), output(model, x))
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]


@each_variety
def test_mixed_precision_keeps_master_weights_and_outputs_in_float32(spec, rng):
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = models.build(spec)
    assert model.get_layer("stem_conv1").compute_dtype == "bfloat16"
    assert {weight.dtype for weight in model.weights} == {"float32"}
    y = model(images(rng, spec))
    assert keras.backend.standardize_dtype(y.dtype) == "float32"
    assert np.isfinite(keras.ops.convert_to_numpy(y)).all()


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_the_families_have_the_same_convolutions_under_the_same_names(block):
    def convolutions(family):
        model = models.build(small(family, n=2, block=block, **({} if family == "plain" else {"shortcut": "A"})))
        return {layer.name: layer.kernel.shape for layer in model.layers if isinstance(layer, layers.Conv2D)}

    plain, v1, v2 = map(convolutions, ("plain", "v1", "v2"))
    assert plain == v1 == v2
    assert "stage2_block2_conv1" in plain
    assert len(plain) == small("plain", n=2, block=block).depth - 1


def test_sides_halve_between_the_stages():
    model = models.build(Spec("v1", 8, width=2))
    shapes = [model.get_layer(f"stage{stage}_block1_add").output.shape[1:] for stage in (1, 2, 3)]
    assert shapes == [(32, 32, 2), (16, 16, 4), (8, 8, 8)]


# Counts of the built networks; test_accounting holds the larger ones


@pytest.mark.parametrize(
    ("build", "convs", "norms", "features", "bias", "trainable"),
    [
        (lambda: models.plain(56), hand.basic(9), hand.outputs(hand.basic(9)), 64, False, 853_018),
        (lambda: models.resnet_v1(20), hand.basic(3), hand.outputs(hand.basic(3)), 64, False, 269_722),
        (
            lambda: models.resnet_v1(20, shortcut="B"),
            hand.basic(3) + hand.BASIC_PROJECTIONS,
            hand.outputs(hand.basic(3) + hand.BASIC_PROJECTIONS),
            64,
            False,
            272_474,
        ),
        (
            lambda: models.resnet_v1(20, style="keras-example"),
            hand.basic(3) + hand.BASIC_PROJECTIONS,
            hand.outputs(hand.basic(3)),
            64,
            True,
            273_066,
        ),
        (
            lambda: models.resnet_v2(20, style="keras-example"),
            hand.bottleneck(2, inner=(16, 64, 128)) + hand.BOTTLENECK_PROJECTIONS,
            [16, *hand.inputs(hand.bottleneck(2, inner=(16, 64, 128))[2:]), 256],
            256,
            True,
            570_602,
        ),
        (
            lambda: models.resnet_v2(164),
            hand.bottleneck(18) + hand.BOTTLENECK_PROJECTIONS,
            [16, *hand.inputs(hand.bottleneck(18)[2:]), 256],
            256,
            False,
            1_703_258,
        ),
    ],
    ids=["plain-56", "v1-20", "v1-20-B", "v1-20-keras-example", "v2-20-keras-example", "v2-164"],
)
def test_parameters_of_built_networks(build, convs, norms, features, bias, trainable):
    with keras.StatelessScope(initialize_variables=False):  # shapes are what counts, not values
        model = build()
    by_hand = hand.parameters(convs, norms, (features, 10), conv_bias=bias)
    assert sum(math.prod(w.shape) for w in model.trainable_weights) == trainable == by_hand[0]
    assert model.count_params() == by_hand[1]


# Behaviour that tells the versions apart


def stage_with_silent_branches(family, rng, **kwargs):
    """Cut stage 2 out of a net of three units per stage whose branches all end in zero."""
    model = models.build(Spec(family, 20, block="basic", shortcut="A", width=2, input_shape=(8, 8, 3), **kwargs))
    randomize(model, rng)
    for layer in model.layers:
        if re.fullmatch(r"stage\d_block\d_conv2", layer.name):
            layer.kernel.assign(np.zeros(layer.kernel.shape))
        if family == "v1" and re.fullmatch(r"stage\d_block\d_bn2", layer.name):
            layer.beta.assign(np.zeros(layer.beta.shape))
            layer.moving_mean.assign(np.zeros(layer.moving_mean.shape))
    end = model.get_layer("stage2_block3_add" if family == "v2" else "stage2_block3_relu2")
    return keras.Model(model.get_layer("stage2_block1_shortcut_pad").input, end.output)


@pytest.mark.parametrize("training", [False, True])
def test_a_silent_v2_stage_passes_its_signal_on_and_a_v1_stage_rectifies_it(rng, training):
    x = rng.normal(size=(2, 8, 8, 2)).astype("float32")
    passed = np.concatenate([x[:, ::2, ::2], np.zeros((2, 4, 4, 2), "float32")], axis=3)
    v2 = output(stage_with_silent_branches("v2", rng), x, training=training)
    v1 = output(stage_with_silent_branches("v1", rng), x, training=training)
    np.testing.assert_array_equal(v2, passed)
    np.testing.assert_array_equal(v1, np.maximum(passed, 0))
    assert (v2 < 0).any()


def test_the_count_alone_does_not_tell_the_versions_apart():
    v1, v2 = (accounting.count(Spec(family, 20, block="basic")) for family in ("v1", "v2"))
    assert v1 == v2


def test_the_stem_activates_the_first_unit_and_a_last_activation_ends_a_pre_activated_net():
    for spec in (small("v2"), small("v2", style="keras-example")):
        model = models.build(spec)
        stem = model.get_layer("stem_relu1").output
        assert model.get_layer("stage1_block1_conv1").input is stem
        assert model.get_layer("stage1_block1_shortcut_conv").input is stem
        assert model.get_layer("pool").input is model.get_layer("final_relu1").output
        assert model.get_layer("final_bn1").input is model.get_layer("stage3_block1_add").output
    v1 = models.build(small("v1"))
    assert v1.get_layer("pool").input is v1.get_layer("stage3_block1_relu2").output


def test_projections_of_the_two_versions_and_of_the_keras_example():
    v1 = models.build(small("v1", n=2, shortcut="B"))
    assert v1.get_layer("stage2_block1_shortcut_bn").input is v1.get_layer("stage2_block1_shortcut_conv").output
    assert v1.get_layer("stage2_block1_shortcut_conv").input is v1.get_layer("stage1_block2_relu2").output

    v2 = models.build(small("v2", n=2))
    assert v2.get_layer("stage2_block1_shortcut_conv").input is v2.get_layer("stage2_block1_relu1").output
    assert not v2.get_layer("stage2_block1_shortcut_conv").use_bias

    example = models.build(small("v2", n=2, style="keras-example"))
    assert example.get_layer("stage2_block1_shortcut_conv").input is example.get_layer("stage1_block2_add").output
    assert example.get_layer("stage2_block1_shortcut_conv").use_bias
    for model in (v2, example):
        assert not any(layer.name.endswith("shortcut_bn") for layer in model.layers)


def test_the_keras_example_pools_8x8_and_weighs_what_is_left():
    model = models.build(small("v1", style="keras-example", input_shape=(64, 64, 3)))
    assert model.get_layer("pool").output.shape[1:3] == (2, 2)
    assert model.get_layer("probabilities").kernel.shape == (2 * 2 * 8, 10)


@pytest.mark.parametrize(("family", "depth"), [("plain", 20), ("v1", 20), ("v1", 110), ("v2", 20), ("v2", 110)])
def test_the_first_loss_is_near_that_of_a_guess(rng, family, depth):
    keras.utils.set_random_seed(0)
    model = models.build(Spec(family, depth))
    x = rng.normal(size=(16, 32, 32, 3)).astype("float32")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    labels = rng.integers(0, 10, size=16)
    assert float(loss(labels, model(x, training=True))) == pytest.approx(math.log(10), abs=0.25)


# Arguments


def test_the_three_short_forms_build_a_spec():
    assert models.plain(8, width=2).name == "plain_8_w2"
    assert models.resnet_v1(8, width=2, shortcut="C").name == "v1_8_C_w2"
    assert models.resnet_v2(11, width=2, num_classes=3).output_shape == (None, 3)
    with pytest.raises(ValueError, match=r"Received: depth=21\. The nearest such depth is 20"):
        models.resnet_v1(21)


@pytest.mark.parametrize("spec", ["v1-20", None, 20], ids=repr)
def test_build_takes_a_spec_only(spec):
    with pytest.raises(TypeError, match=r'spec must be a Spec, such as Spec\("v1", 20\)\. Received: '):
        models.build(spec)
