"""The exercises of lesson 10: what a stop keeps, what fits a budget, which nets are unbeaten, whether a claim holds.

He et al. 2015, Table 6, and He et al. 2016, Table 3, have the figures.
"""

from resnet_lessons import accounting
from resnet_lessons.specs import Spec

import numpy as np

from .answers import Wrong, answer_of, array_answer, exercise, show, whole_number

CLAIMS = {  # (million parameters, test error on CIFAR-10 in percent): what is wrong with a claim of both, or nothing
    (0.85, 6.97): "",
    (0.86, 6.97): "The 56 layers that have 6.97% have 0.85 million. With projections they would have 0.86.",
    (1.73, 6.37): "",
    (3.3, 6.37): "The 110 layers that have 6.37% have 1.73 million. The Keras example's ResNet110 v2 has 3.30.",
    (1.7, 5.46): "",
    (1.7, 5.93): "",
    (2.61, 5.93): "The 164 layers that have 5.93% have 1.70 million. The Keras example's ResNet164 v1 has 2.61.",
    (10.33, 4.92): "",
    (10.33, 5.46): "A net of 10.33 million has been published, with 4.92%, and one with 5.46%, of 1.70 million.",
}


@exercise
def updates_kept(function):
    """Check ``function(made, per_epoch)``: the updates that Resume need not make again after a stop."""
    for made, per_epoch in ((130, 50), (49, 50), (100, 50), (0, 50), (7, 1), (8_000, 352)):
        answer, right = whole_number(function, made, per_epoch), made // per_epoch * per_epoch
        if answer == right:
            continue
        hints = {
            made: "The state in the folder is that after the last whole epoch; later updates are lost.",
            made // per_epoch: "That is the number of whole epochs. How many updates are they?",
            made % per_epoch: "Those are the updates that are lost.",
            right + per_epoch: "That is where the epoch under way would have ended.",
            right + 1: "That is the first update that is made again.",
            (made - 1) // per_epoch * per_epoch: "An epoch whose last update is made is whole.",
        }
        hint = hints.get(answer, "Only whole epochs are kept.")
        raise Wrong(f"After {made:,} updates, {per_epoch} an epoch, it gave {answer:,}. {hint}")
    return "130 updates, 50 an epoch: 100 are kept, 30 are made again."


@exercise
def largest_n(function):
    """Check ``function(budget)``: the largest n whose v1 net of basic units needs at most so many multiply-adds."""
    exact = _work(9)
    for budget in (100_000_000, exact, exact - 1, _work(1), 2_000_000_000):
        answer = whole_number(function, budget)
        if answer < 1:
            raise Wrong(f"For {budget:,} it gave {answer}. Even n = 1 fits: it needs {_work(1):,}.")
        if answer > 10**4:
            raise Wrong(f"For {budget:,} it gave {answer:,}. Such a net needs far more.")
        if _work(answer) > budget:
            raise Wrong(f"For {budget:,} it gave {answer}, which needs {_work(answer):,} multiply-adds.")
        if _work(answer + 1) <= budget:
            most = " Exactly the budget is within it." if _work(answer + 1) == budget else ""
            raise Wrong(f"For {budget:,} it gave {answer}; {answer + 1} fits too, with {_work(answer + 1):,}.{most}")
    return f"100,000,000 multiply-adds allow n = 7; n = 9, ResNet-56, needs {exact:,}."


def _work(n):
    return accounting.count(Spec("v1", 6 * n + 2)).multiply_adds


@exercise
def unbeaten(function):
    """Check ``function(costs, errors)``: the indices, in order, of the nets that no other beats.

    One net beats another if it is no worse in cost and in error, and better in one of them.
    """
    cases = {
        "a cheap, a good and a bad net": ([1.0, 3.0, 4.0], [9.0, 5.0, 6.0], [0, 1]),
        "two nets of one cost": ([2.0, 2.0, 1.0], [7.0, 6.0, 8.0], [1, 2]),
        "two nets of one error": ([3.0, 1.0], [6.0, 6.0], [1]),
        "two nets alike in both": ([1.0, 1.0, 2.0], [6.0, 6.0, 6.5], [0, 1]),
        "one net": ([1.0], [6.0], [0]),
        "nets in no order": ([5.0, 1.0, 3.0, 2.0, 4.0], [4.0, 8.0, 7.5, 6.0, 6.0], [0, 1, 3]),
    }
    for case, (costs, errors, right) in cases.items():
        wanted = "It should return indices, a list of whole numbers"
        found = array_answer(answer_of(function, list(costs), list(errors), case=case), f"For {case}: {wanted}")
        if found.ndim != 1 or (found % 1).any():
            raise Wrong(f"For {case}: {wanted}. It returned {show(found.tolist())}.")
        indices = [int(index) for index in found]
        if indices != right:
            what = f"Costs {costs} and errors {errors} gave {show(indices)}, not {right}. "
            raise Wrong(what + _unbeaten_hint(indices, right, costs, errors, case))
    return "Every other net is matched or beaten in both by one of these."


def _unbeaten_hint(indices, right, costs, errors, case):
    if sorted(indices) == right:
        return "The indices in order."
    if set(indices) == set(range(len(costs))) - set(right):
        return "These are the beaten ones."
    if case == "two nets alike in both" and len(indices) < len(right):
        return "A net that is only equal in both does not beat another."
    if set(right) < set(indices):
        beaten = min(set(indices) - set(right))
        better = next(i for i in right if costs[i] <= costs[beaten] and errors[i] <= errors[beaten])
        return f"Net {beaten} is beaten by net {better}: no worse in either, better in one."
    missing = sorted(set(right) - set(indices))
    return f"No net is as good as net {missing[0]} in both." if missing else "Compare every net with every other."


@exercise
def claim_holds(function):
    """Check ``function(parameters, error)``: whether a published net has both, the parameters in millions."""
    for (parameters, error), fault in CLAIMS.items():
        answer, claim = answer_of(function, parameters, error), f"{parameters} million parameters and {error}%"
        if not isinstance(answer, bool | np.bool):
            raise Wrong(f"For {claim} it should return True or False. It returned {show(answer)}.")
        if answer and fault:
            raise Wrong(f"For {claim} it returned True. {fault}")
        if not answer and not fault:
            hint = "Do you compare rounded parameters, in millions?"
            raise Wrong(f"For {claim} it returned False, and a published net has both. {hint}")
    return "Four of the nine claims fall: a figure belongs to one network, and a count can tell that it is another."
