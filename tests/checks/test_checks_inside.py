"""Lesson 07's exercises: correct answers written differently pass, wrong ones hear their own misconception."""

import math

from resnet_lessons import checks

import numpy as np
import pytest
from learners import disguised

# path_counts


def by_pascal(n):
    row = [1]
    for _ in range(n):
        row = [a + b for a, b in zip([0, *row], [*row, 0], strict=True)]
    return row


COUNTS = [
    by_pascal,
    lambda n: [math.comb(n, k) for k in range(n + 1)],
    lambda n: np.array([math.comb(n, k) for k in range(n + 1)], float),
    lambda n: np.round(np.polynomial.polynomial.polypow([1, 1], n)),
]


@pytest.mark.parametrize("function", COUNTS + disguised(by_pascal))
def test_counts_pass_however_they_are_written(function):
    verdict = checks.path_counts(function)
    assert verdict.passed is True, verdict


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda n: by_pascal(n)[1:], "It has length 0"),
        (lambda n: by_pascal(n - 1), "the lengths are 0 to 3"),
        (lambda n: 2**n, "the lengths are 0 to 3"),
        (lambda n: np.array(by_pascal(n)) / 2**n, "those are shares"),
        (lambda n: np.cumsum(by_pascal(n)), "up to that length"),
        (lambda n: [2**n] * (n + 1), "whatever their length"),
        (lambda n: [1] * (n + 1), "several ways to choose"),
        (lambda n: [2 * c for c in by_pascal(n)], "add up to 8, two ways at each unit. Yours add up to 16"),
        (lambda n: by_pascal(n) if n < 9 else [0] * (n + 1), "For 9 units"),
    ],
)
def test_wrong_counts_hear_why(function, says):
    verdict = checks.path_counts(function)
    assert verdict.passed is False
    assert says in verdict.message


# paths_left


def share(n, removed):
    return 2 ** (n - removed) / 2**n


SHARES = [
    lambda n, removed: 0.5**removed,  # noqa: ARG005
    lambda n, removed: np.float32(2.0**-removed),  # noqa: ARG005
    share,
]


@pytest.mark.parametrize("function", SHARES + disguised(share))
def test_a_share_of_paths_passes_however_it_is_written(function):
    verdict = checks.paths_left(function)
    assert verdict.passed is True, verdict


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda n, d: (n - d) / n, "the share of units that is left"),
        (lambda n, d: 2 ** (n - d), "how many paths are left"),
        (lambda n, d: 1 - 0.5**d, "the share that is cut"),  # noqa: ARG005
        (lambda n, d: 50.0 if d == 1 else 100 * 0.5**d, "not percent"),  # noqa: ARG005
        (lambda n, d: 0, "In a plain net none would be left"),  # noqa: ARG005
        (lambda n, d: 1, "are cut"),  # noqa: ARG005
        (lambda n, d: 0.25, "one way is left, of two"),  # noqa: ARG005
        (lambda n, d: 0.5**d if d else 0.75, "9 units, 0 of them removed, gave 0.75"),  # noqa: ARG005
    ],
)
def test_a_wrong_share_of_paths_hears_why(function, says):
    verdict = checks.paths_left(function)
    assert verdict.passed is False
    assert says in verdict.message


# pooled_deviation


def by_sums(batches):
    count = sum(batch.size for batch in batches)
    mean = sum(batch.sum() for batch in batches) / count
    return math.sqrt(sum(np.square(batch - mean).sum() for batch in batches) / count)


def by_moments(batches):
    count = sum(batch.size for batch in batches)
    mean = sum(batch.sum() for batch in batches) / count
    return (sum((batch**2).sum() for batch in batches) / count - mean**2) ** 0.5


@pytest.mark.parametrize(
    "function", [by_moments, lambda b: np.concatenate([a.ravel() for a in b]).std(), *disguised(by_sums)]
)
def test_a_deviation_passes_however_it_is_written(function):
    verdict = checks.pooled_deviation(function)
    assert verdict.passed is True, verdict


def weighted(batches, values):
    return np.average(values, weights=[batch.size for batch in batches])


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda b: np.mean([a.std() for a in b]), "the mean of the batches' deviations"),
        (lambda b: math.sqrt(np.mean([a.var() for a in b])), "how far the batches' means lie apart"),
        (lambda b: math.sqrt(weighted(b, [a.var() for a in b])), "how far the batches' means lie apart"),
        (lambda b: math.sqrt(np.mean([a.var() for a in b]) + np.var([a.mean() for a in b])), "by how many numbers"),
        (lambda b: by_sums(b) * (sum(a.size for a in b) / (sum(a.size for a in b) - 1)) ** 0.5, "not by one less"),
        (lambda b: by_sums(b) ** 2, "Take its root"),
        (lambda b: math.sqrt(sum((a**2).sum() for a in b) / sum(a.size for a in b)), "The mean has to be taken off"),
        (lambda b: 0.1, "Add up the counts"),  # noqa: ARG005
    ],
)
def test_a_wrong_deviation_hears_why(function, says):
    verdict = checks.pooled_deviation(function)
    assert verdict.passed is False
    assert says in verdict.message


def test_the_batches_are_copies():
    def spoils(batches):
        answer = by_sums(batches)
        for batch in batches:
            batch[:] = 0
        return answer

    assert checks.pooled_deviation(spoils).passed is True


# gradients_by_length


def step_by_step(branches, upstream):
    parts = [upstream]
    for branch in reversed(branches):
        longer = [branch.T @ part for part in parts]
        parts = [a + b for a, b in zip([*parts, 0 * upstream], [0 * upstream, *longer], strict=True)]
    return np.array(parts)


def by_interpolation(branches, upstream):
    """Scale all branches by z: the gradient is a polynomial in z whose coefficients are the parts."""
    n = len(branches)
    points = np.linspace(-1, 1, n + 1)
    whole = []
    for z in points:
        gradient = upstream
        for branch in reversed(branches):
            gradient = gradient + z * branch.T @ gradient
        whole.append(gradient)
    return np.linalg.solve(np.vander(points, increasing=True), np.array(whole))


@pytest.mark.parametrize("function", [by_interpolation, *disguised(step_by_step)])
def test_parts_pass_however_they_are_found(function):
    verdict = checks.gradients_by_length(function)
    assert verdict.passed is True, verdict


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda bs, g: step_by_step([b.T for b in bs], g), "not transposed"),
        (lambda bs, g: step_by_step(bs[::-1], g), "meets the last unit first"),
        (lambda bs, g: step_by_step(bs, g)[::-1], "upside down"),
        (lambda bs, g: 2 * step_by_step(bs, g), "row 0 should be the gradient at the end"),
        (lambda bs, g: step_by_step(bs, g)[:-1], "(2, 4)"),
        (
            lambda bs, g: np.array([g, *np.tile((step_by_step(bs, g).sum(0) - g) / len(bs), (len(bs), 1))]),
            "not split by the number",
        ),
        (lambda bs, g: step_by_step([b / 2 for b in bs], g), "do not add up"),
    ],
)
def test_wrong_parts_hear_why(function, says):
    verdict = checks.gradients_by_length(function)
    assert verdict.passed is False
    assert says in verdict.message
