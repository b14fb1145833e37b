"""What every check is made of: the verdict, and how a learner's function is called and its answer read."""

import dataclasses
import functools
import html
import math
import reprlib

import numpy as np


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a check found.

    Args:
        passed: True, False, or None before an attempt.
        message: what to tell the learner.
        folded: whether a notebook folds the message of a "not yet".
    """

    passed: bool | None
    message: str
    folded: bool = False

    def __repr__(self):
        label = {True: "Correct.", False: "Not yet.", None: "Not attempted."}[self.passed]
        return f"{label} {self.message}"

    def _repr_html_(self):
        """Return HTML for a notebook, which would break plain text within words."""
        if self.folded and self.passed is False:
            return f"<details><summary>Not yet. What the check saw</summary>{_paragraph(self.message)}</details>"
        return _paragraph(repr(self))


def _paragraph(text):
    return f'<p style="white-space: pre-wrap">{html.escape(text)}</p>'


class Wrong(Exception):
    """The answer is wrong; its text says how."""


class Unattempted(Exception):
    """The learner's function returned nothing; the text says for what."""


def exercise(check):
    """Turn a function that raises ``Wrong`` or ``Unattempted`` or returns praise into one with a ``Verdict``."""

    @functools.wraps(check)
    def verdict(function):
        if not callable(function):
            received = show(function)
            return Verdict(False, f"Give the check your function itself, not what it returns. Received: {received}.")
        try:
            return Verdict(True, check(function))
        except Unattempted as nothing:
            return Verdict(None, f"The function returns nothing for {nothing}. Write your answer and run the cell.")
        except Wrong as wrong:
            return Verdict(False, str(wrong))
        except Exception as error:  # a learner's function may raise anything, and the lesson goes on
            return Verdict(False, f"Your function raised {type(error).__name__}: {error}")

    return verdict


def specimen(check):
    """Turn a check as ``exercise`` does, for the bug zoo: what it says of an untouched specimen tells the bug."""
    told = exercise(check)

    @functools.wraps(check)
    def verdict(function):
        return dataclasses.replace(told(function), folded=True)

    return verdict


def show(value):
    """Return a value in words short enough for a message."""
    try:
        return reprlib.repr(value)
    except Exception:  # a whole number of thousands of digits, or an object of the learner's own
        return f"a {type(value).__name__} that cannot be printed"


def hint_for(answer, hints, otherwise, *, rtol=1e-3, atol=0.0):
    """Return what to tell the learner of a wrong answer: the hint of the first mistake that leads to it.

    Args:
        answer: a number or an array.
        hints: (value, hint) pairs; ``value`` is what a mistake leads to, of the answer's shape. Not a dict, in which
            two mistakes that lead to one number would be one.
        otherwise: the hint for all other answers.
        rtol: how far the answer may be from a value, as a part of the value.
        atol: what is added to that.
    """
    return next((hint for value, hint in hints if np.allclose(answer, value, rtol=rtol, atol=atol)), otherwise)


def answer_of(function, *arguments, case=None):
    """Call the learner's function, and tell an attempt from none; ``case`` says for what, if not the arguments do."""
    try:
        answer = function(*arguments)
    except NotImplementedError:
        answer = None
    if answer is None or answer is Ellipsis:
        raise Unattempted(case or ", ".join(map(str, arguments)))
    return answer


def whole_number(function, *arguments):
    """Return the learner's answer as an int; refuse what is no whole number, and what no network could have."""
    case = f"n = {arguments[0]}" if len(arguments) == 1 else ", ".join(map(str, arguments))
    answer = answer_of(function, *arguments)
    number = _single(answer, int)
    if number is None or number != answer:
        raise Wrong(f"For {case} it should return one whole number. It returned {show(answer)}.")
    if abs(number) > 10**15:
        raise Wrong(f"For {case} it returned a number of more than 15 digits. Did a product or a power slip in?")
    return number


def real_number(answer, wanted="It should return one number"):
    """Return an answer as a float; refuse what is no single real, finite number, and True and False.

    ``wanted`` says what it should be; what it is follows.
    """
    number = _single(answer, float)
    if number is None or not math.isfinite(number):
        raise Wrong(f"{wanted}. It returned {show(answer)}.")
    return number


def _single(answer, kind):
    """Return one real number as ``kind``, int or float; None for all else, and for True and False."""
    try:
        refused = isinstance(answer, (bool, np.bool, str, bytes)) or np.ndim(answer) or np.iscomplexobj(answer)
        return None if refused else kind(answer)
    except (TypeError, ValueError, OverflowError):  # a dict, rows of unequal lengths, nan or inf as an int
        return None


def array_answer(answer, wanted, shape=None):
    """Return an answer as a float64 array; refuse what holds no real numbers, and another shape if one is given.

    ``wanted`` says what it should be; what it is follows. True and False are taken for 1 and 0, nan and infinity for
    numbers.
    """
    try:
        array = np.asarray(answer).astype("float64", casting="same_kind")
    except (TypeError, ValueError):  # texts, complex numbers, rows of unequal lengths
        array = None
    if array is None or shape not in (None, array.shape):
        raise Wrong(f"{wanted}. It returned {show(answer)}.")
    return array
