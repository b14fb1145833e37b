"""Lesson 10's exercises: correct answers written differently pass, wrong ones hear their own misconception."""

from resnet_lessons import accounting, checks, results
from resnet_lessons.checks import explorer
from resnet_lessons.specs import Spec

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from learners import disguised, written

# updates_kept


def kept(made, per_epoch):
    return made - made % per_epoch


@pytest.mark.parametrize(
    "function",
    [
        kept,
        lambda made, per_epoch: made // per_epoch * per_epoch,
        lambda made, per_epoch: np.float64(made // per_epoch * per_epoch),
        lambda made, per_epoch: max(range(0, made + 1, per_epoch)),
        written("def f(a, b): return divmod(a, b)[0] * b", "f"),
        *disguised(kept),
    ],
)
def test_what_is_kept_passes_however_it_is_written(function):
    assert checks.updates_kept(function).passed is True


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda made, _: made, "After 130 updates, 50 an epoch, it gave 130. The state in the folder"),
        (lambda made, per: made // per, "it gave 2. That is the number of whole epochs"),
        (lambda made, per: made % per, "it gave 30. Those are the updates that are lost"),
        (lambda made, per: -(-made // per) * per, "it gave 150. That is where the epoch under way"),
        (lambda made, per: kept(made, per) + 1, "it gave 101. That is the first update that is made again"),
        (lambda made, per: max(0, made - 1) // per * per, "After 100 updates, 50 an epoch, it gave 50. An epoch whose"),
        (lambda made, per: kept(made, per) + 7, "it gave 107. Only whole epochs are kept"),
        (lambda *_: "100", "should return one whole number"),
        (lambda *_: 99.5, "should return one whole number"),
    ],
)
def test_a_wrong_count_hears_why(function, says):
    verdict = checks.updates_kept(function)
    assert verdict.passed is False
    assert says in verdict.message


# largest_n


def work(n):
    return accounting.count(Spec("v1", 6 * n + 2)).multiply_adds


def by_counting(budget):
    n = 1
    while work(n + 1) <= budget:
        n += 1
    return n


def by_formula(budget):
    return (budget - work(1)) // (work(2) - work(1)) + 1


@pytest.mark.parametrize("function", [by_counting, by_formula, *disguised(by_formula)])
def test_the_largest_n_passes_however_it_is_found(function):
    verdict = checks.largest_n(function)
    assert verdict.passed is True
    assert f"{work(9):,}" in verdict.message
    assert by_counting(100_000_000) == 7


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda budget: by_formula(budget) + 1, "it gave 8, which needs 111,329,920 multiply-adds"),
        (lambda budget: max(1, by_formula(budget) - 1), "it gave 6; 7 fits too, with 97,174,144"),
        (lambda budget: max(1, by_formula(budget - 1)), "it gave 8; 9 fits too, with 125,485,696. Exactly the budget"),
        (lambda budget: 6 * by_formula(budget) + 2, "it gave 44, which needs"),
        (lambda _: 0, "it gave 0. Even n = 1 fits: it needs 12,239,488"),
        (lambda _: 10**9, "Such a net needs far more"),
        (lambda _: [7], "should return one whole number"),
    ],
)
def test_a_wrong_n_hears_why(function, says):
    verdict = checks.largest_n(function)
    assert verdict.passed is False
    assert says in verdict.message


# unbeaten


def by_pairs(costs, errors):
    nets = list(zip(costs, errors, strict=True))
    return [i for i, (c, e) in enumerate(nets) if not any(a <= c and b <= e and (a, b) != (c, e) for a, b in nets)]


def by_sorting(costs, errors):
    best, found = np.inf, []
    for cost in sorted(set(costs)):
        least = min(error for c, error in zip(costs, errors, strict=True) if c == cost)
        if least < best:
            found += [i for i in range(len(costs)) if (costs[i], errors[i]) == (cost, least)]
            best = least
    return sorted(found)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=8))
def test_two_ways_to_find_the_unbeaten_agree(nets):
    costs, errors = zip(*nets, strict=True)
    assert by_pairs(costs, errors) == by_sorting(costs, errors)


@pytest.mark.parametrize(
    "function",
    [
        by_pairs,
        by_sorting,
        lambda c, e: np.array(by_pairs(c, e)),
        lambda c, e: tuple(by_pairs(c, e)),
        *disguised(by_pairs),
    ],
)
def test_the_unbeaten_pass_however_they_are_found(function):
    verdict = checks.unbeaten(function)
    assert verdict.passed is True, verdict


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda c, e: by_pairs(c, e)[::-1], "gave [1, 0], not [0, 1]. The indices in order"),
        (lambda c, e: [i for i in range(len(c)) if i not in by_pairs(c, e)], "These are the beaten ones"),
        (lambda c, _: list(range(len(c))), "Net 2 is beaten by net 1: no worse in either, better in one"),
        (
            lambda c, e: [
                i for i in range(len(c)) if not any(a < c[i] and b < e[i] for a, b in zip(c, e, strict=True))
            ],
            "Costs [2.0, 2.0, 1.0] and errors [7.0, 6.0, 8.0] gave [0, 1, 2], not [1, 2]. Net 0 is beaten by net 1",
        ),
        (
            lambda c, e: [
                i for i in range(len(c)) if not any(c[j] <= c[i] and e[j] <= e[i] for j in range(len(c)) if j != i)
            ],
            "A net that is only equal in both does not beat another",
        ),
        (lambda _, e: [int(np.argmin(e))], "No net is as good as net 0 in both"),
        (lambda *_: [0, 7], "gave [0, 7], not [0, 1]"),
        (lambda *_: [0.5], "indices, a list of whole numbers"),
        (lambda *_: 1, "indices, a list of whole numbers"),
        (lambda *_: ["v1-20"], "indices, a list of whole numbers"),
    ],
)
def test_a_wrong_choice_hears_why(function, says):
    verdict = checks.unbeaten(function)
    assert verdict.passed is False
    assert says in verdict.message


def test_of_the_papers_nets_six_are_unbeaten():
    """What the lesson says of its table."""
    rows = [row for row in results.PUBLISHED if row.source in (results.HE_2015, results.HE_2016_DEPTHS)]
    costs = [accounting.count(row.network).multiply_adds for row in rows]
    left = by_pairs(costs, [row.error for row in rows])
    assert len(rows) == 11
    assert [rows[i].network.name for i in left] == ["v1-20", "v1-32", "v1-44", "v1-56", "v2-164", "v2-1001"]


# claim_holds


def test_the_claims_are_those_that_can_be_looked_up():
    for (parameters, error), wrong in explorer.CLAIMS.items():
        assert by_looking_up(parameters, error) is not bool(wrong)
    assert sum(map(bool, explorer.CLAIMS.values())) == 4  # as the praise says
    assert round(accounting.count(Spec("v1", 56, shortcut="B")).parameters / 1e6, 2) == 0.86
    for family, depth, parameters in (("v2", 110, 3.3), ("v1", 164, 2.61)):
        assert round(accounting.count(Spec(family, depth, style="keras-example")).parameters / 1e6, 2) == parameters


def by_looking_up(parameters, error):
    found = [row.network for row in results.PUBLISHED if row.error == error]
    return parameters in [round(accounting.count(spec).parameters / 1e6, 2) for spec in found]


@pytest.mark.parametrize(
    "function",
    [
        by_looking_up,
        lambda parameters, error: np.bool(by_looking_up(parameters, error)),
        *disguised(by_looking_up),
    ],
)
def test_the_claims_pass_however_they_are_looked_up(function):
    verdict = checks.claim_holds(function)
    assert verdict.passed is True, verdict


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda *_: True, "For 0.86 million parameters and 6.97% it returned True. The 56 layers that have 6.97%"),
        (lambda *_: False, "For 0.85 million parameters and 6.97% it returned False, and a published net has both"),
        (lambda p, e: round(p, 1) in (0.8, 0.9) or by_looking_up(p, e), "With projections they would have 0.86"),
        (lambda p, e: 3 < p < 4 or by_looking_up(p, e), "The Keras example's ResNet110 v2 has 3.30"),
        (lambda p, e: by_looking_up(p, e) or (p > 10), "A net of 10.33 million has been published, with 4.92%"),
        (lambda p, e: by_looking_up(p, e) or 2 < p < 3, "The Keras example's ResNet164 v1 has 2.61"),
        (lambda p, e: by_looking_up(p * 1e6, e), "Do you compare rounded parameters, in millions?"),
        (lambda *_: Spec("v1", 56), "it should return True or False"),
        (lambda *_: 1, "it should return True or False"),
    ],
)
def test_a_wrong_verdict_on_a_claim_hears_why(function, says):
    verdict = checks.claim_holds(function)
    assert verdict.passed is False
    assert says in verdict.message
