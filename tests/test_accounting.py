"""Counts by hand, by arithmetic, and from built models: three routes to one number."""

from resnet_lessons import accounting, models
from resnet_lessons.accounting import Count
from resnet_lessons.specs import Spec

import hand_counts as hand
import keras
import numpy as np
import pytest
from hypothesis import given, settings
from keras import layers
from spec_strategies import valid_specs

# CIFAR-10: convolutions and the widths of the batch norms, then what they must sum to


def v1_basic(n, norm_on_projections=True):
    convs = hand.basic(n) + hand.BASIC_PROJECTIONS
    return convs, hand.outputs(convs if norm_on_projections else hand.basic(n))


def v1_bottleneck(n):
    convs = hand.bottleneck(n) + hand.BOTTLENECK_PROJECTIONS
    return convs, hand.outputs(convs)


def v2_bottleneck(n, **widths):
    """Batch norms stand before the convolutions, not before the first unit's; the stem and the end have one each."""
    convs = hand.bottleneck(n, **widths)
    return convs + hand.BOTTLENECK_PROJECTIONS, [16, *hand.inputs(convs[2:]), 256]


def v2_basic(n):
    convs = hand.basic(n)
    return convs, [16, *hand.inputs(convs[2:]), 64]


CIFAR_COUNTS = [
    (Spec("plain", 20), hand.basic(3), hand.outputs(hand.basic(3)), 269_722),
    (Spec("v1", 20), hand.basic(3), hand.outputs(hand.basic(3)), 269_722),
    (Spec("v1", 20, shortcut="B"), *v1_basic(3), 272_474),
    (Spec("v1", 56), hand.basic(9), hand.outputs(hand.basic(9)), 853_018),
    (Spec("v1", 56, shortcut="B"), *v1_basic(9), 855_770),
    (Spec("v1", 110), hand.basic(18), hand.outputs(hand.basic(18)), 1_727_962),
    (Spec("v1", 110, shortcut="B"), *v1_basic(18), 1_730_714),
    (Spec("v2", 110, block="basic"), *v2_basic(18), 1_727_962),
    (Spec("v1", 164, block="bottleneck"), *v1_bottleneck(18), 1_704_154),
    (Spec("v2", 164), *v2_bottleneck(18), 1_703_258),
    (Spec("v2", 1001), *v2_bottleneck(111), 10_327_706),
]
EXAMPLE_COUNTS = [  # version, depth, trainable, all (None: not known from elsewhere)
    (1, 20, 273_066, 274_442),
    (1, 32, 467_946, 470_218),
    (1, 44, 662_826, 665_994),
    (1, 56, 857_706, 861_770),
    (1, 110, 1_734_666, 1_742_762),
    (1, 164, 2_611_626, 2_623_754),
    (2, 20, 570_602, 574_090),
    (2, 29, 843_786, 849_002),
    (2, 56, 1_663_338, 1_673_738),
    (2, 110, 3_302_442, 3_323_210),
    (2, 164, 4_941_546, 4_972_682),
    (2, 1001, 30_347_658, None),
]


@pytest.mark.parametrize(("spec", "convs", "norms", "trainable"), CIFAR_COUNTS, ids=lambda v: getattr(v, "name", ""))
def test_count_of_the_papers_cifar_nets(spec, convs, norms, trainable):
    classifier = (spec.outer_widths[-1], 10)
    by_hand = hand.parameters(convs, norms, classifier)
    found = accounting.count(spec)
    assert by_hand[0] == trainable
    assert (found.parameters, found.parameters + found.statistics) == by_hand
    assert found.multiply_adds == hand.multiply_adds(convs, classifier)


@pytest.mark.parametrize(
    ("depth", "millions"), [(20, "0.27"), (32, "0.46"), (44, "0.66"), (56, "0.85"), (110, "1.7"), (1202, "19.4")]
)
def test_count_rounds_to_table_6_of_the_first_paper(depth, millions):
    digits = len(millions.partition(".")[2])
    assert f"{accounting.count(Spec('v1', depth)).parameters / 1e6:.{digits}f}" == millions


@pytest.mark.parametrize(("version", "depth", "trainable", "complete"), EXAMPLE_COUNTS)
def test_count_of_the_keras_example(version, depth, trainable, complete):
    n = (depth - 2) // (6 if version == 1 else 9)
    if version == 1:
        convs, norms = v1_basic(n, norm_on_projections=False)
    else:  # the inner width grows fourfold, then twofold; the outer widths, and so the projections, are the paper's
        convs, norms = v2_bottleneck(n, inner=(16, 64, 128))
    classifier = (64 if version == 1 else 256, 10)
    by_hand = hand.parameters(convs, norms, classifier, conv_bias=True)
    found = accounting.count(Spec(f"v{version}", depth, style="keras-example"))
    assert by_hand == (trainable, complete or by_hand[1])
    assert (found.parameters, found.parameters + found.statistics) == by_hand
    assert found.multiply_adds == hand.multiply_adds(convs, classifier)


def test_option_b_without_norm_is_the_difference_of_the_counts():
    """Option B with and without batch norm on the two projections: 2 (32 + 64) scales and shifts apart."""
    bare = hand.parameters(v1_basic(3)[0], hand.outputs(hand.basic(3)), (64, 10))[0]
    assert (bare, accounting.count(Spec("v1", 20, shortcut="B")).parameters) == (272_282, 272_282 + 2 * 96)


def test_a_bottleneck_costs_a_seventeenth_of_two_wide_convolutions():
    narrow = hand.parameters([(1, 256, 64, 1), (3, 64, 64, 1), (1, 64, 256, 1)], [], (0, 0))[0]
    wide = hand.parameters([(3, 256, 256, 1)] * 2, [], (0, 0))[0]
    assert (narrow, wide) == (69_632, 1_179_648)


# Arithmetic against built models


@settings(max_examples=40, deadline=None)
@given(valid_specs(max_n=2, max_width=4, max_side=40))
def test_count_equals_the_account_of_the_built_model(spec):
    model = models.build(spec)
    total = accounting.account(model).total
    assert accounting.count(spec) == total
    assert total.parameters == sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    assert total.parameters + total.statistics == model.count_params()


@pytest.mark.parametrize(
    "spec",
    [
        # what hypothesis seldom draws together
        Spec("v1", 8, style="keras-example", width=2, input_shape=(60, 65, 3)),  # 8x8 pooling of 15x17
        Spec("v2", 11, style="keras-example", width=2, input_shape=(32, 47, 1)),
        Spec("v1", 11, block="bottleneck", shortcut="C", skip="exclusive-gating", order="relu-pre", width=2),
        Spec("v2", 20, skip="conv", order="bn-after-add", width=2, input_shape=(9, 7, 3)),
        Spec("v2", 14, block="basic", shortcut="B", width=2),
    ],
    ids=lambda spec: spec.name,
)
def test_count_equals_the_account_in_the_corners(spec):
    assert accounting.count(spec) == accounting.account(models.build(spec)).total


# ImageNet

UNITS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
IMAGENET = [
    # depth, keyword arguments, trainable parameters, multiply-adds in 1e9
    (18, {}, 11_689_512, 1.814),
    (34, {}, 21_797_672, 3.664),
    (34, {"shortcut": "A"}, None, 3.644),
    (50, {}, 25_557_032, 3.858),
    (50, {"stride_in": "3x3"}, 25_557_032, 4.089),
    (101, {}, 44_549_160, 7.570),
    (152, {}, 60_192_808, 11.282),
]
TABLE_1 = {18: 1.8, 34: 3.6, 50: 3.8, 101: 7.6, 152: 11.3}  # He 2015, multiply-adds in 1e9, rounded


@pytest.fixture(scope="module")
def imagenet_accounts():
    """Plan each network once: its hundred million weights have shapes alone."""
    found = {}

    def get(depth, **kwargs):
        key = (depth, *sorted(kwargs.items()))
        if key not in found:
            found[key] = accounting.planned(models.imagenet, depth, **kwargs)
        return found[key]

    return get


@pytest.mark.parametrize(("depth", "kwargs", "trainable", "billions"), IMAGENET, ids=str)
def test_imagenet_family(imagenet_accounts, depth, kwargs, trainable, billions):
    if depth < 50:
        convs = hand.imagenet_basic(UNITS[depth])
        convs += [] if kwargs else hand.IMAGENET_BASIC_PROJECTIONS
        classifier = (512, 1000)
    else:
        convs = hand.imagenet_bottleneck(UNITS[depth], **kwargs) + hand.IMAGENET_BOTTLENECK_PROJECTIONS
        classifier = (2048, 1000)
    by_hand = hand.parameters(convs, hand.outputs(convs), classifier)
    total = imagenet_accounts(depth, **kwargs).total
    assert (total.parameters, total.parameters + total.statistics) == by_hand
    assert trainable in (None, total.parameters)
    assert total.multiply_adds == hand.multiply_adds(convs, classifier)
    assert total.multiply_adds / 1e9 == pytest.approx(billions, abs=5e-4)
    if not kwargs:
        assert total.multiply_adds / 1e9 == pytest.approx(TABLE_1[depth], rel=0.02)


@pytest.mark.parametrize("depth", [50, 101, 152])
def test_keras_applications_differs_by_its_conv_biases(imagenet_accounts, depth):
    build = getattr(keras.applications, f"ResNet{depth}")
    with keras.StatelessScope(initialize_variables=False):  # their number is what counts, not their values
        theirs = build(weights=None, include_top=False, input_shape=(32, 32, 3))
    convs = [layer for layer in theirs.layers if isinstance(layer, layers.Conv2D)]
    assert len(convs) == depth - 1 + 4  # the layers of the longest path but the classifier, and the projections
    biases = sum(layer.filters for layer in convs)
    ours = imagenet_accounts(depth).total
    assert ours.parameters + ours.statistics == theirs.count_params() - biases + 2048 * 1000 + 1000


# Layer by layer


def test_rows_of_a_small_model_counted_by_hand():
    x = inputs = keras.Input((9, 8, 4), name="image")
    x = layers.Conv2D(6, (3, 2), strides=2, padding="same", name="conv")(x)
    x = layers.Conv2D(8, 3, groups=2, use_bias=False, padding="valid", name="grouped")(x)
    x = layers.DepthwiseConv2D(2, depth_multiplier=3, name="depthwise")(x)
    x = layers.BatchNormalization(name="bn")(x)
    x = layers.BatchNormalization(scale=False, name="shift")(x)
    x = layers.ReLU(name="relu")(x)
    x = layers.Flatten(name="flatten")(layers.Dropout(0.5, name="dropout")(x))
    x = layers.Dense(7, name="dense")(x)
    account = accounting.account(keras.Model(inputs, x))
    assert [(row.name, row.kind, row.output_shape, row.count) for row in account.layers] == [
        ("image", "InputLayer", (9, 8, 4), Count(0, 0, 0)),
        ("conv", "Conv2D", (5, 4, 6), Count(3 * 2 * 4 * 6 + 6, 0, 5 * 4 * 3 * 2 * 4 * 6)),
        ("grouped", "Conv2D", (3, 2, 8), Count(3 * 3 * 3 * 8, 0, 3 * 2 * 3 * 3 * 3 * 8)),
        ("depthwise", "DepthwiseConv2D", (2, 1, 24), Count(2 * 2 * 8 * 3 + 24, 0, 2 * 1 * 2 * 2 * 24)),
        ("bn", "BatchNormalization", (2, 1, 24), Count(48, 48, 0)),
        ("shift", "BatchNormalization", (2, 1, 24), Count(24, 48, 0)),
        ("relu", "ReLU", (2, 1, 24), Count(0, 0, 0)),
        ("dropout", "Dropout", (2, 1, 24), Count(0, 0, 0)),
        ("flatten", "Flatten", (48,), Count(0, 0, 0)),
        ("dense", "Dense", (7,), Count(48 * 7 + 7, 0, 48 * 7)),
    ]
    assert account.total == Count(150 + 216 + 120 + 48 + 24 + 343, 48 + 48, 2880 + 1296 + 192 + 336)


# A branch


def test_costs_of_a_branch_follow_the_channels_from_layer_to_layer():
    assert accounting.branch_costs(5, [(1, 2), (3, 3), (1, 4)], 10) == (10 + 54 + 12, 7600, 900)
    assert accounting.branch_costs(5, [], 10) == (0, 0, 0)
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(7, 3, padding="same", use_bias=False)(layers.Conv2D(4, 5, padding="same", use_bias=False)(inputs))
    total = accounting.account(keras.Model(inputs, x)).total
    assert accounting.branch_costs(3, [(5, 4), (3, 7)], 6)[:2] == (total.parameters, total.multiply_adds)


# Planned only


@pytest.mark.parametrize(
    ("build", "arguments", "keywords"),
    [
        (models.resnet_v1, (20,), {"shortcut": "B"}),
        (models.resnet_v2, (11,), {"style": "keras-example"}),
        (models.resnet_v2, (11,), {"skip": "shortcut-gating"}),
        (models.imagenet, (50,), {"stride_in": "3x3", "input_shape": (32, 32, 3)}),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),  # no address of a function, so the same everywhere
)
def test_a_planned_model_counts_as_a_built_one(build, arguments, keywords):
    found = accounting.planned(build, *arguments, **keywords)
    assert found == accounting.account(build(*arguments, **keywords))
    assert found.total.parameters > 0


def test_a_planned_model_has_no_weights():
    kept = []

    def build():
        kept.append(models.vgg19())
        return kept[-1]

    assert accounting.planned(build).total.parameters == 143_667_240
    assert {variable._value is None for variable in kept[-1].variables} == {True}
    built = models.plain(8, width=1)  # outside, models get their weights as ever
    assert {variable._value is None for variable in built.variables} == {False}


def test_a_planned_model_gets_no_weights_later_either():
    kept = []

    def build():
        kept.append(models.plain(8, width=1))
        return kept[-1]

    accounting.planned(build)
    called()  # a model without a build of its own is built now, and so is all that Keras still lists as without values
    assert {variable._value is None for variable in kept[-1].variables} == {True}


def test_a_planned_model_must_be_one_that_can_be_counted():
    with pytest.raises(ValueError, match="whose multiply-adds it does not know"):
        accounting.planned(functional, (8, 3), layers.Conv1D(2, 3))
    with pytest.raises(ValueError, match=r"built keras\.Model"):
        accounting.planned(lambda: 20)


def test_counts_add_and_repeat():
    assert Count(1, 2, 3) + Count(10, 20, 30) == Count(11, 22, 33)
    assert Count(1, 2, 3) * 4 == Count(4, 8, 12)
    assert accounting.Account(()).total == Count(0, 0, 0)


# Refusals


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(2, name="inside")

    def call(self, inputs):
        return self.dense(inputs)


def called():
    model = Subclassed()
    model(np.zeros((1, 3), "float32"))
    return model


def functional(shape, layer):
    inputs = keras.Input(shape)
    return keras.Model(inputs, layer(inputs))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: keras.Sequential([layers.Dense(2)]), ["built", "Call it on a batch first"]),
        (Subclassed, ["built", "Call it on a batch first"]),
        (lambda: "v1-20", ["built keras.Model", "'v1-20'"]),
        (called, ["'inside'", "functional or Sequential"]),
        (
            lambda: functional((None, None, 3), layers.Conv2D(2, 3)),
            ["output shapes", "keras.Input the full image shape"],
        ),
        (lambda: functional((8, 3), layers.Conv1D(2, 3, name="one")), ["'one'", "Conv1D", "does not know"]),
        (lambda: functional((8, 8, 3), layers.SeparableConv2D(2, 3, name="sep")), ["'sep'", "SeparableConv2D"]),
        (lambda: functional((8, 8, 3), layers.Conv2DTranspose(2, 3, name="up")), ["'up'", "Conv2DTranspose"]),
        (lambda: functional((8, 3), layers.LayerNormalization(name="ln")), ["'ln'", "LayerNormalization"]),
        (lambda: functional((3,), keras.Sequential([keras.Input((3,)), layers.Dense(2)], name="nest")), ["'nest'"]),
    ],
)
def test_what_cannot_be_counted_is_refused(make, says):
    with pytest.raises(ValueError, match="Received") as raised:
        accounting.account(make())
    assert [text for text in says if text not in str(raised.value)] == []


@pytest.mark.parametrize("spec", ["v1-20", None, {"family": "v1", "depth": 20}], ids=repr)
def test_count_takes_a_spec_only(spec):
    with pytest.raises(TypeError, match=r'spec must be a Spec, such as Spec\("v1", 20\)\. Received: '):
        accounting.count(spec)


def test_a_count_is_printed_in_words_with_thousands_apart():
    counted = accounting.count(Spec("v1", 20))
    assert str(counted) == "269,722 parameters, 1,376 statistics, 40,551,040 multiply-adds"
