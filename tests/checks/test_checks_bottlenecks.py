"""Lesson 04's exercises: correct answers written differently pass, wrong ones hear their own misconception."""

import fractions
import functools

from resnet_lessons import accounting, blocks, checks, models
from resnet_lessons.checks import bottlenecks

import keras
import numpy as np
import pytest
from filled_models import output
from keras import layers
from learners import disguised, written


def calculates(names, formula):
    """Return a function of the named arguments from the text of its formula."""
    return eval(f"lambda {names}: {formula}", globals())


# bottleneck_saving


def saving_by_lists(e, width=6):
    basic = [(3, e * width, e * width)] * 2
    bottleneck = [(1, e * width, width), (3, width, width), (1, width, e * width)]
    weigh = [sum(k * k * a * b for k, a, b in convolutions) for convolutions in (basic, bottleneck)]
    return weigh[0] / weigh[1]


def saving_by_keras(e, width=4):
    def count(*convolutions):
        x = inputs = keras.Input((7, 7, e * width))
        for kernel, filters in convolutions:
            x = layers.Conv2D(filters, kernel, padding="same", use_bias=False)(x)
        return keras.Model(inputs, x).count_params()

    return count((3, e * width), (3, e * width)) / count((1, width), (3, width), (1, e * width))


@pytest.mark.parametrize(
    "function",
    [
        saving_by_lists,
        saving_by_keras,
        lambda e: np.float32(18 * e * e / (9 + e + e)),
        lambda e: fractions.Fraction(18 * e * e, 9 + 2 * e),
        lambda e: np.array(saving_by_lists(e)),
        written("def f(e):\n    return round(2 * (3 * e) ** 2 / (2 * e + 3 * 3), 3)", "f"),
        *disguised(saving_by_lists),
    ],
)
def test_the_saving_passes_however_it_is_found(function):
    verdict = checks.bottleneck_saving(function)
    assert verdict.passed is True, verdict
    assert "16.94" in verdict.message


def test_the_saving_is_that_of_the_papers_units():
    assert saving_by_lists(4) == 1_179_648 / 69_632


@pytest.mark.parametrize(
    ("formula", "says"),
    [
        ("(2 * e + 9) / (18 * e * e)", "An expansion of 4 gave 0.05903. That is the bottleneck's share"),
        ("18 * e**2 / (2 * e + 1)", "The bottleneck's middle kernel has nine places"),
        ("18 * e**2 / (9 * e + 9 + 9 * e)", "first and third kernels have one place each"),
        ("18 * e**2 / (e + 9)", "The bottleneck has two 1x1 convolutions"),
        ("9 * e**2 / (2 * e + 9)", "There are two 3x3 convolutions at the outer width"),
        ("18 / (2 * e + 9)", "The two 3x3 convolutions have the outer width"),
        ("e**2", "An expansion of 4 gave 16. That would be so if both had the same kernels"),
        ("288 / 17", "An expansion of 2 gave 16.94. Write both counts in terms of the inner width w"),
        ("'17'", "For 4 it should return one number. It returned '17'"),
        ("[17]", "For 4 it should return one number. It returned [17]"),
    ],
)
def test_a_wrong_saving_hears_why(formula, says):
    verdict = checks.bottleneck_saving(calculates("e", formula))
    assert verdict.passed is False
    assert says in verdict.message


# fold_bias


def folded(bias, gamma, beta, mean, variance, epsilon):
    return gamma, beta, mean - bias, variance + epsilon - 1e-5


def folded_into_the_shift(bias, gamma, beta, mean, variance, epsilon):
    return gamma, beta + gamma * bias / np.sqrt(variance + epsilon), mean, variance + epsilon - 1e-5


def folded_into_scale_and_shift(bias, gamma, beta, mean, variance, epsilon):
    scale = gamma / np.sqrt(variance + epsilon)
    ones = np.ones_like(scale)
    return scale, beta + scale * (bias - mean), 0 * mean, ones - 1e-5


@pytest.mark.parametrize(
    "function",
    [
        folded,
        folded_into_the_shift,
        folded_into_scale_and_shift,
        lambda *arguments: list(folded(*arguments)),
        lambda *arguments: np.stack(folded(*arguments)),
        lambda *arguments: [part.astype("float32") for part in folded(*arguments)],
        lambda *arguments: [keras.ops.convert_to_tensor(part) for part in folded(*arguments)],
        *disguised(folded),
    ],
)
def test_folding_passes_however_it_is_done(function):
    verdict = checks.fold_bias(function)
    assert verdict.passed is True, verdict


@pytest.mark.parametrize(
    ("formula", "says"),
    [
        ("(g, s, m, v)", "With a bias and an epsilon of 1e-05 the outputs differ. The bias is lost"),
        ("(g, s, m, v + e - 1e-5)", "The bias is lost"),
        ("(g, s, m + b, v)", "The bias has the wrong sign"),
        ("(g, s + b, m, v + e - 1e-5)", "The bias is added after the scaling"),
        ("(g, s + g * b, m, v)", "divided by the standard deviation too"),
        (
            "(g, s, m - b, v)",
            "a bias of zero and an epsilon of 0.01 the outputs differ. Theirs adds 0.01 to the variance",
        ),
        ("(g, s, m - b, v + e)", "Theirs adds 1e-05 to the variance, ours adds 1e-05: which variance"),
        ("(g, s, m - b, v - e)", "which variance makes the sums equal?"),
        ("(s, g, m - b, v + e - 1e-5)", "the outputs differ. Write both batch norms down"),
        ("(g, s, m - b)", "four arrays of shape (5,): gamma, beta, mean, variance"),
        ("m - b", "four arrays of shape (5,)"),
        ("(g, s, m - b, v[:2])", "four arrays of shape (5,)"),
        ("(g, s, m - b, -v)", "no variance may be negative"),
        ("(g, s, m * np.nan, v)", "must be finite"),
    ],
)
def test_a_wrong_folding_hears_why(formula, says):
    verdict = checks.fold_bias(calculates("b, g, s, m, v, e", formula))
    assert verdict.passed is False
    assert says in verdict.message


def test_a_function_that_changes_its_arguments_does_not_change_the_check():
    def in_place(bias, gamma, beta, mean, variance, epsilon):
        mean += bias  # wrong, and theirs would be wrong with it
        return gamma, beta, mean, variance + epsilon - 1e-5

    assert checks.fold_bias(in_place).passed is False


def test_the_checks_batch_norm_is_keras_own():
    rng = np.random.default_rng(0)
    gamma, beta, mean = rng.normal(size=(3, 4))
    variance = rng.uniform(0.5, 2, 4)
    layer = layers.BatchNormalization(epsilon=0.01)
    layer.build((None, 4))
    layer.set_weights([gamma, beta, mean, variance])
    x = rng.normal(size=(6, 4)).astype("float32")
    found = bottlenecks.normalized(x, gamma, beta, mean, variance, 0.01)
    np.testing.assert_allclose(found, output(layer, x), atol=1e-5)


# moved_stride


def gain_by_sums(channels, width, side):
    before = channels * width * (side // 2) * (side // 2)
    return channels * width * side * side - before


def gain_by_counting(channels, width, side):
    """Build the unit in both variants and let the package count."""

    def unit(stride_in):
        x = keras.Input((side, side, channels))
        u = blocks.Unit("u", width, block="bottleneck", shortcut="B", stride=2, stride_in=stride_in)
        return keras.Model(x, blocks.unit(x, u))

    costs = [accounting.planned(unit, where).total.multiply_adds for where in ("3x3", "1x1")]
    return costs[0] - costs[1]


@pytest.mark.parametrize(
    "function",
    [
        gain_by_sums,
        gain_by_counting,
        lambda channels, width, side: 0.75 * channels * width * side**2,
        lambda channels, width, side: 3 * channels * width * (side // 2) ** 2,
        *disguised(gain_by_sums),
    ],
)
def test_the_gain_passes_however_it_is_found(function):
    verdict = checks.moved_stride(function)
    assert verdict.passed is True, verdict


def test_the_gain_of_the_three_units_is_that_of_the_whole_net():
    units = [(256, 128, 56), (512, 256, 28), (1024, 512, 14)]
    assert [gain_by_sums(*unit) for unit in units] == [77_070_336] * 3
    costs = [accounting.planned(models.imagenet, 50, stride_in=s).total.multiply_adds for s in ("3x3", "1x1")]
    assert costs[0] - costs[1] == 3 * 77_070_336


@pytest.mark.parametrize(
    ("formula", "says"),
    [
        ("c * w * s * s", "That is the first convolution without a stride"),
        ("c * w * s * s // 4", "That is what the first convolution costs with the stride"),
        ("3 * c * w * s * s", "side is that of the map that enters the unit"),
        ("c * w * s * s // 2", "The stride halves the height and the width"),
        ("0", "puts out the whole map when it has no stride"),
        ("-gain_by_sums(c, w, s)", "The 3x3 variant costs more, not less"),
        ("gain_by_sums(c + 9 * w, w, s)", "The 3x3 convolution puts out the small map in both"),
        ("gain_by_sums(c, 5 * w, s)", "The shortcut has its own stride in both variants"),
        ("77_070_336 if s > 10 else 1", "12, 5 and 10 gave 1. Which of the unit's convolutions"),
    ],
)
def test_a_wrong_gain_hears_why(formula, says):
    verdict = checks.moved_stride(calculates("c, w, s", formula))
    assert verdict.passed is False
    assert says in verdict.message


# lean_stages

# What a unit gets at the end of stages 1 to 3, and at the beginning of stages 2 to 4.
AS_PUBLISHED = {}, {"stride": 2}
LEAN = {"stride": 2, "stride_in": "3x3", "shortcut": "A"}, {}


def stages(x, ends=LEAN[0], begins=LEAN[1], where=(1, 2, 3)):
    """Build the stages of ResNet-50, with changed units where a stage in ``where`` meets the next."""
    for stage, count in enumerate((3, 4, 6, 3), start=1):
        for number in range(1, count + 1):
            last, first = number == count and stage < 4, number == 1 and stage > 1
            border = stage if last else stage - 1
            changed, published = (ends, AS_PUBLISHED[0]) if last else (begins, AS_PUBLISHED[1])
            more = (changed if border in where else published) if last or first else {}
            name, usual = f"stage{stage}_block{number}", {"block": "bottleneck", "shortcut": "B"}
            x = blocks.unit(x, blocks.Unit(name, 32 * 2**stage, **usual | more))
    return x


def test_the_lean_stages_pass():
    verdict = checks.lean_stages(stages)
    assert verdict.passed is True, verdict
    assert "3,482,255,360" in verdict.message


def test_the_lean_net_costs_what_the_verdict_says():
    def build(**kwargs):
        inputs = keras.Input((56, 56, 64))
        return keras.Model(inputs, stages(inputs, **kwargs))

    published = accounting.planned(build, ends=AS_PUBLISHED[0], begins=AS_PUBLISHED[1]).total.multiply_adds
    lean = accounting.planned(build).total.multiply_adds
    whole = accounting.planned(models.imagenet, 50).total.multiply_adds
    assert whole - (published - lean) == 3_482_255_360


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ends": AS_PUBLISHED[0], "begins": AS_PUBLISHED[1]}, "no fewer. Which unit computes what nobody reads?"),
        ({"where": (1,)}, "There is more idle work: in all three stages"),
        ({"ends": LEAN[0] | {"stride_in": "1x1"}}, "needs the neighbours of the pixels it keeps"),
        ({"ends": {}, "begins": {"stride": 2, "stride_in": "3x3"}}, "it is another network, which reads every pixel"),
    ],
    ids=["as published", "one stage only", "1x1 too", "3x3 of the first unit"],
)
def test_other_stages_hear_what_is_wrong(change, says):
    verdict = checks.lean_stages(functools.partial(stages, **change))
    assert verdict.passed is False
    assert says in verdict.message


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda _: keras.Input((2, 2, 2048)), "What it returns does not depend on x"),
        (lambda x: x, "It should put out (None, 2, 2, 2048). It puts out (None, 16, 16, 64)"),
        (lambda x: keras.Model(x, layers.ReLU()(x)), "It should return a Keras tensor, as stages(x) does"),
        (lambda x: layers.Conv2D(2048, 1, 8)(x), "There is no layer 'stage1_block1_"),
        (
            lambda x: layers.Conv2D(2048, 1, name="more")(stages(x)),
            "The layer 'more' has weights, and ResNet-50 has no",
        ),
        (lambda x: layers.Rescaling(2.0)(stages(x)), "Only pixels 0, 2, 4, ... of a stage's output may be dropped"),
    ],
)
def test_stages_of_another_form_hear_which_is_wanted(function, says):
    verdict = checks.lean_stages(function)
    assert verdict.passed is False
    assert says in verdict.message
