"""Whatever a learner's function returns or raises, a check answers in words and the lesson goes on."""

import math

from resnet_lessons import checks

import numpy as np
import pytest

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


def test_praise_is_shown_as_such():
    assert repr(checks.plain_depth(lambda n: 6 * n + 2)).startswith("Correct. 6n + 2")


def test_a_check_does_not_change_the_random_numbers_of_the_lesson():
    before = np.random.get_state()[1].tolist()
    checks.dirac_kernel(lambda channels: np.zeros((3, 3, channels, channels)))
    assert np.random.get_state()[1].tolist() == before
