"""The exercises of lesson 07: counting paths, pooling a standard deviation, gradients by path length."""

import itertools
import math

import numpy as np

from .answers import Wrong, answer_of, array_answer, exercise, hint_for, real_number


@exercise
def path_counts(function):
    """Check ``function(n)``: how many paths through n residual units have 0, 1, ..., n branches."""
    for n in (3, 1, 9, 27):
        answer = array_answer(answer_of(function, n), f"For {n} units it should return {n + 1} numbers")
        right = np.array([math.comb(n, length) for length in range(n + 1)], float)
        if answer.shape == right.shape and np.array_equal(answer, right):
            continue
        raise Wrong(f"For {n} units: " + _counts_misconception(answer, right))
    return "Binomial coefficients: they add up to 2 to the power of n."


def _counts_misconception(answer, right):
    n = len(right) - 1
    if answer.shape != right.shape:
        if answer.shape == (n,) and np.array_equal(answer, right[1:]):
            return "the path past all branches is missing. It has length 0."
        return f"the lengths are 0 to {n}, so there are {n + 1} counts. It returned an array of shape {answer.shape}."
    if np.allclose(answer, right / 2**n):
        return "those are shares. It should return counts."
    if np.array_equal(answer, np.cumsum(right)):
        return "those are paths of up to that length. It should count paths of that length alone."
    if np.array_equal(answer, np.full(n + 1, 2**n)):
        return "that is the number of all paths, whatever their length."
    if (answer == 1).all():
        return "there are several ways to choose the units whose branch a path takes."
    return f"they should add up to {2**n:,}, two ways at each unit. Yours add up to {answer.sum():,.6g}."


@exercise
def paths_left(function):
    """Check ``function(n, removed)``: the share of a net's 2^n paths that is left when so many units are removed.

    Removing a unit cuts its branch, not its shortcut: Veit et al. 2016, Sec. 4.1.
    """
    for n, removed in ((27, 1), (9, 3), (54, 10), (9, 0), (4, 4)):
        answer = real_number(
            answer_of(function, n, removed), f"For {n} units, {removed} removed, it should be a number"
        )
        right = 0.5**removed
        if math.isclose(answer, right, rel_tol=1e-6):
            continue
        units_left = (n - removed) / n
        hints = [
            (0, "In a plain net none would be left. Here the shortcut of a removed unit still carries."),
            (1, "The paths that took a removed branch are cut."),
            (units_left, "That is the share of units that is left. How many paths went through a removed branch?"),
            (2 ** (n - removed), "That is how many paths are left. Of how many?"),
            (1 - right, "That is the share that is cut."),
            (100 * right, "It should be a share between 0 and 1, not percent."),
        ]
        hint = hint_for(answer, hints, "At a removed unit one way is left, of two.", rtol=1e-9)
        raise Wrong(f"{n} units, {removed} of them removed, gave {answer:.4g}. {hint}")
    return "Each removed unit halves the number of paths, however many units there are."


@exercise
def pooled_deviation(function):
    """Check ``function(batches)``: the standard deviation of all numbers in a list of arrays of unequal sizes."""
    rng = np.random.default_rng(0)
    cases = {
        "two batches with means 0 and 3": [rng.normal(size=(4, 6)), rng.normal(3, 1.5, size=(2, 3))],
        "batches of 2 and of 50 numbers": [rng.normal(2, 5, size=(2,)), rng.normal(size=(50,))],
        "one batch": [rng.normal(1, 2, size=(3, 2, 2))],
        "five batches around 100": [rng.normal(100, 0.5, size=(size, 3)) for size in (1, 2, 3, 4, 5)],
    }
    for case, batches in cases.items():
        copies = [batch.copy() for batch in batches]
        answer = real_number(answer_of(function, copies, case=case), f"For {case} it should return one number")
        everything = np.concatenate([batch.ravel() for batch in batches])
        right = everything.std()
        if math.isclose(answer, right, rel_tol=1e-4):
            continue
        sizes = [batch.size for batch in batches]
        means, variances = [batch.mean() for batch in batches], [batch.var() for batch in batches]
        hints = [
            (np.mean(np.sqrt(variances)), "That is the mean of the batches' deviations. Their means differ, too."),
            (np.average(np.sqrt(variances), weights=sizes), "The means of the batches differ, too."),
            (math.sqrt(np.mean(variances)), "That leaves out how far the batches' means lie apart."),
            (math.sqrt(np.average(variances, weights=sizes)), "That leaves out how far the batches' means lie apart."),
            (math.sqrt(np.mean(variances) + np.var(means)), "A batch counts by how many numbers it holds."),
            (everything.std(ddof=1), "Divide by the number of values, not by one less."),
            (everything.var(), "That is the variance. Take its root."),
            (math.sqrt(np.mean(everything**2)), "That is the root of the mean square. The mean has to be taken off."),
        ]
        hint = hint_for(answer, hints, "Add up the counts, the sums and the squares.", rtol=1e-4)
        raise Wrong(f"For {case} it returned {answer:.5g}, not {right:.5g}. {hint}")
    return "Count, sum and sum of squares add up over batches; standard deviations do not."


@exercise
def gradients_by_length(function):
    """Check ``function(branches, upstream)``: a gradient through linear units x + B x, split by path length.

    ``branches`` are the matrices B (C, C) of n units, first to last; ``upstream`` (C,) is the gradient at the end. It
    returns (n + 1, C): what arrives at the start by paths of 0, 1, ..., n branches.
    """
    rng = np.random.default_rng(0)
    for n in (1, 2, 3, 5):
        branches, upstream = [rng.normal(size=(4, 4)) for _ in range(n)], rng.normal(size=4)
        copies = [branch.copy() for branch in branches], upstream.copy()
        wanted = f"For {n} units of 4 channels it should return an array of shape ({n + 1}, 4)"
        answer = array_answer(answer_of(function, *copies, case=f"{n} units"), wanted, (n + 1, 4))
        right = _by_enumeration(branches, upstream)
        if np.allclose(answer, right, rtol=1e-4, atol=1e-6):
            continue
        raise Wrong(f"For {n} units: " + _length_misconception(answer, branches, upstream, right))
    return "Two terms a unit, one of them a branch longer: n(n + 1)/2 products where there are 2^n paths."


def _by_enumeration(branches, upstream):
    """Go every path on its own: (n + 1, C)."""
    right = np.zeros((len(branches) + 1, len(upstream)))
    for takes in itertools.product((False, True), repeat=len(branches)):
        gradient = upstream
        for branch, taken in zip(branches[::-1], takes[::-1], strict=True):
            gradient = branch.T @ gradient if taken else gradient
        right[sum(takes)] += gradient
    return right


def _length_misconception(answer, branches, upstream, right):
    if np.allclose(answer, _by_enumeration([branch.T for branch in branches], upstream)):
        return "the branches are not transposed. The gradient at x of g . (B x) is B^T g."
    if np.allclose(answer, _by_enumeration(branches[::-1], upstream)):
        return "a gradient meets the last unit first."
    if np.allclose(answer[::-1], right):
        return "the rows are upside down. Row 0 is the path past all branches."
    if not np.allclose(answer[0], upstream):
        return "row 0 should be the gradient at the end, untouched: one path, past all branches."
    if np.allclose(answer.sum(axis=0), right.sum(axis=0)):
        return "the rows add up to the whole gradient, but are not split by the number of branches."
    return "the rows do not add up to the whole gradient. Does every path come in, and once?"
