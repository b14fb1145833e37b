"""Whatever a learner's function returns or raises, a check answers in words and the lesson goes on."""

import math
import re

from resnet_lessons import checks

import keras
import numpy as np
import pytest
from keras import layers

EXERCISES = tuple(getattr(checks, name) for name in checks.__all__ if name != "Verdict")


@pytest.mark.parametrize("check", EXERCISES)
@pytest.mark.parametrize("nothing", [None, ..., NotImplementedError(), NotImplementedError])
def test_before_an_attempt_it_says_so(check, nothing):
    def stub(*_):
        if nothing is None or nothing is ...:
            return nothing
        raise nothing

    verdict = check(stub)
    assert verdict.passed is None
    assert repr(verdict).startswith("Not attempted. The function returns nothing for ")


def test_a_forgotten_branch_is_named():
    def forgets(a, b, c, d):
        if c > a + 1:
            return "degradation"
        if d > b + 1:
            return "overfitting"

    verdict = checks.diagnose(forgets)
    assert verdict.passed is None
    assert "returns nothing for 8.0, 12.0, 5.0, 10.0" in verdict.message


@pytest.mark.parametrize("check", EXERCISES)
@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ZeroDivisionError("division by zero"), "Your function raised ZeroDivisionError: division by zero"),
        (KeyError("n"), "Your function raised KeyError: 'n'"),
        (AssertionError(), "Your function raised AssertionError"),
        (RecursionError("too deep"), "Your function raised RecursionError: too deep"),
        (StopIteration(), "Your function raised StopIteration"),
    ],
)
def test_a_learners_exception_is_told_not_raised(check, error, says):
    def fails(*_):
        raise error

    verdict = check(fails)
    assert verdict.passed is False
    assert verdict.message.startswith(says)


@pytest.mark.parametrize("check", EXERCISES)
def test_a_function_of_other_arguments_is_told(check):
    verdict = check(lambda: 1)
    assert verdict.passed is False
    assert "TypeError" in verdict.message
    assert "argument" in verdict.message


@pytest.mark.parametrize("check", EXERCISES)
def test_an_interrupt_ends_the_check(check):
    def interrupted(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(interrupted)


@pytest.mark.parametrize("check", EXERCISES)
@pytest.mark.parametrize(
    "value",
    [20, "6n + 2", None, np.zeros((3, 3, 1, 1)), [1] * 10**6, 10**5000],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_function_is_told(check, value):
    verdict = check(value)
    assert verdict.passed is False
    assert verdict.message.startswith("Give the check your function itself, not what it returns. Received: ")
    assert len(verdict.message) < 300


class Odd:
    """Compares in no sensible way and cannot be printed."""

    def __eq__(self, other):
        raise RuntimeError("odd")

    __hash__ = None

    def __repr__(self):
        raise RuntimeError("odd")


ODD_ANSWERS = [
    *("20", "", b"20", True, False, 20.5, math.nan, math.inf, -math.inf, 20j, 20 + 0j, 10**5000, 1e300, -(10**20)),
    *(
        [20],
        (20,),
        [],
        {},
        {20},
        set(),
        object(),
        Odd(),
        (20).__add__,
        iter([20]),
        range(20),
        [[1], [1, 2]],
        Ellipsis,
        int,
    ),
    *([1] * 10**6, "x" * 10**6, [[[[]]]], np.array([20]), np.array([]), np.array("20"), np.complex64(20), np.True_),
    *(np.array([None, "x"], dtype=object), np.datetime64("2015-12-10"), float, lambda: 20, np.nan, np.float32("nan")),
]


@pytest.mark.parametrize("check", EXERCISES)
@pytest.mark.parametrize("number", range(len(ODD_ANSWERS)))
def test_an_odd_answer_is_wrong_in_words_of_its_own(check, number):
    answer = ODD_ANSWERS[number]
    verdict = check(lambda *_: answer)
    if answer is Ellipsis:
        assert verdict.passed is None
        return
    assert verdict.passed is False
    assert len(repr(verdict)) < 400
    assert isinstance(answer, Odd) or "Your function raised" not in verdict.message


@pytest.mark.parametrize("check", EXERCISES)
def test_a_verdict_is_shown_as_one_sentence_of_status_and_why(check):
    assert repr(check(lambda *_: None)).startswith("Not attempted. ")
    assert repr(check(lambda *_: "?")).startswith("Not yet. ")


@pytest.mark.parametrize("check", EXERCISES)
def test_a_notebook_folds_what_the_zoo_says_of_a_bug_and_nothing_else(check):
    folded = check(lambda *_: "?")._repr_html_()
    if check.__name__.startswith("zoo_"):
        assert folded.startswith("<details><summary>Not yet. What the check saw</summary>")
    else:
        assert re.match(r"<p[^>]*>Not yet\. ", folded)
    assert re.match(r"<p[^>]*>Not attempted\. ", check(lambda *_: None)._repr_html_())


def test_what_is_folded_is_text_and_praise_is_not_folded():
    assert "1 &lt; 2</p></details>" in checks.Verdict(False, "1 < 2", folded=True)._repr_html_()
    assert checks.Verdict(True, "1 < 2", folded=True)._repr_html_().endswith(">Correct. 1 &lt; 2</p>")


def test_a_message_of_several_lines_keeps_them():
    assert '<p style="white-space: pre-wrap">Not yet. a\nb</p>' in checks.Verdict(False, "a\nb")._repr_html_()


def test_praise_is_shown_as_such():
    assert repr(checks.plain_depth(lambda n: 6 * n + 2)).startswith("Correct. 6n + 2")


# A wrong answer to each exercise that does not ask for a number. It gets the check to where random numbers are drawn.
WRONG = {
    "diagnose": lambda *_: "neither",
    "dirac_kernel": lambda channels: np.zeros((3, 3, channels, channels)),
    "filter_normalized": lambda direction, _: direction,
    "fold_bias": lambda *arrays: arrays[1:5],
    "honest_split": lambda labels, validation, _: (np.arange(validation, len(labels)), np.arange(validation)),
    "lean_stages": lambda x: layers.Conv2D(2048, 1, strides=8)(x),
    "merged_layer": lambda kernel: kernel,
    "most_moved": lambda *_: (0, 0, 1.0),
    "pad_crop_flip": lambda images, _: images,
    "preactivated": lambda x, norm1, conv1, norm2, conv2: conv2(norm2(conv1(norm1(x)))),
    "residual_block": lambda x, filters, _: layers.Add()([x, normed(normed(x, filters), filters)]),
    "residual_of": lambda h: h,
    "save_checkpoint": lambda path, _: path.write_bytes(b""),
    "stage_output": lambda _: (32, 32),
    "zero_padded": lambda x, filters: np.zeros((*x[:, ::2, ::2, 0].shape, filters)),
    "zoo_crops": lambda images, _: images,
    "zoo_norms": lambda channels: convolutions((8, 8, channels), (channels, 1), (channels, 1)),
    "zoo_order": lambda count, *_: np.arange(count),
    "zoo_projection": lambda filters: convolutions((8, 8, 16), (filters, 2), (filters, 1)),
    "zoo_rates": lambda _: [keras.callbacks.LearningRateScheduler(lambda _: 0.1)],
    "zoo_report": lambda _, test: (int(test.argmax()), test.max()),
    "zoo_softmax": lambda classes: (convolutions((8,), classes=classes), lambda labels, _: np.ones(len(labels))),
    "zoo_strides": lambda _: convolutions((32, 32, 3), (16, 1), (32, 1), (64, 1), classes=10),
    "zoo_validation": lambda images, labels, _: ((images, labels), (images[:1], labels[:1])),
}


def normed(x, filters):
    """Apply a 3x3 convolution and batch norm."""
    return layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same")(x))


def convolutions(shape, *filters_and_strides, classes=None):
    """Build a model of 3x3 convolutions without any batch norm, and a dense layer if it has classes."""
    x = inputs = keras.Input(shape)
    for filters, strides in filters_and_strides:
        x = layers.Conv2D(filters, 3, strides=strides, padding="same")(x)
    return keras.Model(inputs, layers.Dense(classes)(layers.Flatten()(x)) if classes else x)


@pytest.mark.parametrize("check", EXERCISES, ids=lambda check: check.__name__)
def test_a_check_does_not_change_the_random_numbers_of_the_lesson(check):
    np.random.seed(3)
    np.random.normal()  # leaves a second one in the state
    before = np.random.get_state(legacy=False)
    verdict = check(WRONG.get(check.__name__, lambda *_: 1))
    after = np.random.get_state(legacy=False)
    assert verdict.passed is False
    assert "Your function raised" not in verdict.message
    np.testing.assert_array_equal(after["state"].pop("key"), before["state"].pop("key"))
    assert after == before
