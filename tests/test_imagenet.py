"""The ImageNet family and VGG-19: structure, and transplants from keras.applications."""

import gc
import re

from resnet_lessons import accounting, models

import hand_counts as hand
import keras
import numpy as np
import pytest
from filled_models import output, randomize
from keras import layers


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# Arguments and structure


@pytest.mark.parametrize("depth", [20, 0, "50", 50.0, True, None, [50]], ids=repr)
def test_imagenet_refuses_another_depth(depth):
    with pytest.raises(ValueError, match=r"depth must be one of 18, 34, 50, 101, 152\. Received: ") as raised:
        models.imagenet(depth)
    assert repr(depth) in str(raised.value)


@pytest.mark.parametrize("kwargs", [{"shortcut": "D"}, {"shortcut": None}, {"stride_in": "2x2"}], ids=str)
def test_imagenet_refuses_other_shortcuts_and_strides(kwargs):
    allowed = {"shortcut": "'A', 'B', 'C'", "stride_in": "'1x1', '3x3'"}[next(iter(kwargs))]
    with pytest.raises(ValueError, match=f"must be one of {allowed}") as raised:
        models.imagenet(18, **kwargs)
    assert repr(next(iter(kwargs.values()))) in str(raised.value)


def test_plain_imagenet_nets_have_no_shortcuts():
    plain = models.imagenet(18, plain=True, input_shape=(32, 32, 3), num_classes=3)
    names = [layer.name for layer in plain.layers]
    assert not any("add" in name or "shortcut" in name for name in names)
    assert (plain.name, plain.output_shape) == ("plain_18_imagenet", (None, 3))
    convs = hand.imagenet_basic((2, 2, 2, 2))
    assert plain.count_params() == hand.parameters(convs, hand.outputs(convs), (512, 3))[1]


def test_the_stride_stands_where_it_is_asked_for():
    for stride_in, strides in {"1x1": [2, 1, 1], "3x3": [1, 2, 1]}.items():
        with keras.StatelessScope(initialize_variables=False):  # a net without weights
            model = models.imagenet(50, stride_in=stride_in, input_shape=(32, 32, 3), num_classes=2)
        found = [model.get_layer(f"stage2_block1_conv{number}").strides[0] for number in (1, 2, 3)]
        assert (found, model.get_layer("stage1_block1_conv1").strides) == (strides, (1, 1))


# Transplants


def theirs_name(name):
    """Map a layer's name to the one keras.applications gives it: stage1_block2_conv3 to conv2_block2_3_conv."""
    if name.startswith("stem_"):
        return "conv1_" + name[5:-1]
    stage, block, layer = re.fullmatch(r"stage(\d)_block(\d+)_(.+)", name).groups()
    number, kind = ("0", layer[len("shortcut_") :]) if layer.startswith("shortcut_") else (layer[-1], layer[:-1])
    return f"conv{int(stage) + 1}_block{block}_{number}_{kind}"


def transplant(theirs, ours):
    """Copy convolutions and batch norms; fold their conv biases and epsilon, which ours lack, into the statistics."""
    folded = {}
    for layer in ours.layers:
        if isinstance(layer, layers.Conv2D):
            kernel, bias = theirs.get_layer(theirs_name(layer.name)).get_weights()
            layer.set_weights([kernel])
            folded[layer.name.replace("conv", "bn")] = bias
    for layer in ours.layers:
        if isinstance(layer, layers.BatchNormalization):
            donor = theirs.get_layer(theirs_name(layer.name))
            gamma, beta, mean, variance = donor.get_weights()
            layer.set_weights([gamma, beta, mean - folded.pop(layer.name), variance + donor.epsilon - layer.epsilon])
    assert folded == {}


def test_resnet_50_computes_what_keras_applications_computes(rng):
    theirs = keras.applications.ResNet50(weights=None, include_top=False, pooling="avg", input_shape=(64, 64, 3))
    randomize(theirs, rng)
    ours = models.imagenet(50, input_shape=(64, 64, 3), num_classes=2)
    x = rng.normal(size=(2, 64, 64, 3)).astype("float32")
    expected = output(theirs, x, training=False)
    features = keras.Model(ours.input, ours.get_layer("pool").output)
    transplant(theirs, ours)
    np.testing.assert_allclose(output(features, x, training=False), expected, rtol=1e-3, atol=1e-3 * expected.std())
    assert expected.std() > 0.01
    # negative control: one convolution's biases forgotten, early, late or on a shortcut
    for name in ("stem_bn1", "stage2_block1_shortcut_bn", "stage3_block2_bn2", "stage4_block3_bn3"):
        bn = ours.get_layer(name)
        folded = bn.moving_mean.numpy()
        bn.moving_mean.assign(theirs.get_layer(theirs_name(name)).moving_mean.numpy())
        assert not np.allclose(output(features, x), expected, rtol=1e-3, atol=0.05 * expected.std()), name
        bn.moving_mean.assign(folded)


@pytest.fixture(scope="module")
def vgg19():
    yield models.vgg19()
    gc.collect()


VGG_CONVS = [
    # Simonyan and Zisserman 2014, Table 1, column E
    *[(3, 3, 64, 224), (3, 64, 64, 224), (3, 64, 128, 112), (3, 128, 128, 112), (3, 128, 256, 56)],
    *[(3, 256, 256, 56)] * 3,
    (3, 256, 512, 28),
    *[(3, 512, 512, 28)] * 3,
    *[(3, 512, 512, 14)] * 4,
]


def test_vgg19_counts(vgg19):
    dense = 25_088 * 4096 + 4096 * 4096
    by_hand = hand.parameters(VGG_CONVS, [], (4096, 1000), conv_bias=True)[0] + dense + 2 * 4096
    assert vgg19.count_params() == by_hand == 143_667_240
    total = accounting.account(vgg19).total
    assert total.multiply_adds == hand.multiply_adds(VGG_CONVS, (4096, 1000)) + dense
    assert total.multiply_adds / 1e9 == pytest.approx(19.632, abs=5e-4)


def test_vgg19_computes_what_keras_applications_computes(vgg19, rng):
    theirs = keras.applications.VGG19(weights=None, include_top=False, input_shape=(224, 224, 3))
    randomize(theirs, rng)
    convs = [[layer for layer in model.layers if isinstance(layer, layers.Conv2D)] for model in (vgg19, theirs)]
    for ours, donor in zip(*convs, strict=True):
        ours.set_weights(donor.get_weights())
    x = rng.normal(size=(1, 224, 224, 3)).astype("float32")
    pooled = output(theirs, x)
    both = keras.Model(vgg19.input, [vgg19.get_layer("stage5_pool").output, vgg19.output])
    features, logits = map(keras.ops.convert_to_numpy, both(x))  # one pass for both
    np.testing.assert_allclose(features, pooled, rtol=1e-3, atol=1e-3 * pooled.std())
    y = pooled.reshape(1, -1)
    for name in ("dense1", "dense2"):
        kernel, bias = vgg19.get_layer(name).get_weights()
        y = np.maximum(y @ kernel + bias, 0)
    kernel, bias = vgg19.get_layer("logits").get_weights()
    expected = y @ kernel + bias
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-3 * expected.std())


@pytest.mark.parametrize(
    "kwargs", [{"num_classes": True}, {"num_classes": 1}, {"plain": "no"}, {"input_shape": (224, 224)}], ids=str
)
def test_a_value_of_the_wrong_kind_is_refused_by_name(kwargs):
    with pytest.raises(ValueError, match=rf"{next(iter(kwargs))} must be .* Received: "):
        models.imagenet(18, **kwargs)
