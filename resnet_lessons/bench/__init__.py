"""Measure training speed beside the Keras example and PyTorch: all on this machine, in one run, in turns.

A busy or throttled machine slows everything that runs at the time. So every contender lives in a process of its own,
built and warm, and waits; in each round all of them train for a few updates, one after the other in random order, and
two are compared round by round. ``docs/performance.md`` holds what came out.
"""

import contextlib
import random
import sys

from . import report
from .contenders import NETWORKS, PEAKS, Contender, Settings
from .processes import Worker, WorkerError
from .report import Report, Result, table

__all__ = ["NETWORKS", "Contender", "Report", "Result", "Settings", "WorkerError", "run", "table"]


def _say_nothing(text):
    """Report progress to nobody."""


def run(
    contenders=tuple(NETWORKS),
    *,
    rounds=10,
    updates=20,
    settings=None,
    seed=0,
    timeout=600.0,
    progress=_say_nothing,
):
    """Time the contenders in turns.

    Args:
        contenders: names of ``NETWORKS``, or ``Contender`` objects of one's own.
        rounds: turns of each contender.
        updates: training steps of a turn.
        settings: a ``Settings``: the network, the number of images, this package's precision; None for the full size.
        seed: of the order in each round.
        timeout: seconds to wait for a worker to be warm, or to finish a turn.
        progress: called with a few words before each step of the run.

    Returns:
        A ``Report``. A contender whose software is not installed is in ``skipped`` instead.

    Raises:
        ValueError: for an unknown contender, none that can run, or rounds or updates below 1.
        WorkerError: if a worker dies or is silent for ``timeout``; none is left running, after Ctrl-C neither.
    """
    chosen, settings = _chosen(contenders), settings or Settings()
    for name, value in (("rounds", rounds), ("updates", updates)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1. Received: {value!r}.")
    running = [contender for contender in chosen if not contender.missing]
    skipped = {contender.title: contender.missing for contender in chosen if contender.missing}
    if not running:
        raise ValueError("None of the contenders can run here. " + " ".join(f"{why}." for why in skipped.values()))
    surroundings = _surroundings()
    with contextlib.ExitStack() as stack:
        progress(f"starting {len(running)} contenders")
        workers = _started(stack, running, settings, timeout)
        facts = {name: worker.answer() for name, worker in workers.items()}
        products = [PEAKS[p] for p in PEAKS if any(facts[c.name]["precision"] == p for c in running)]
        peaks = _started(stack, products, settings, timeout)
        for worker in peaks.values():
            worker.answer()
        order, answers = _rounds(workers | peaks, rounds, updates, random.Random(seed), progress)
    return Report(
        results=tuple(_result(c, facts[c.name], answers[c.name], updates, settings) for c in running),
        peaks={p.precision: _flops_per_second(answers[p.name], updates, settings) for p in products},
        skipped=skipped,
        order=order,
        updates=updates,
        settings=settings,
        memory=report.memory_source(sys.platform),
        **surroundings,
    )


def _chosen(contenders):
    for contender in contenders:
        if not isinstance(contender, Contender) and contender not in NETWORKS:
            raise ValueError(f"contenders are {', '.join(map(repr, NETWORKS))}. Received: {contender!r}.")
    chosen = [c if isinstance(c, Contender) else NETWORKS[c] for c in contenders]
    names = [contender.name for contender in chosen]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"contenders must be one or more, each named once. Received: {names}.")
    return chosen


def _surroundings():
    from resnet_lessons import machine

    import psutil

    cores = machine.usable_cores()
    processor = f"{machine.processor_name()}, {cores:g} core{'s' * (cores != 1)} usable"
    return {"processor": processor, "load": psutil.getloadavg()[0]}


def _started(stack, contenders, settings, timeout):
    return {c.name: stack.enter_context(Worker(c, settings, timeout)) for c in contenders}


def _rounds(workers, rounds, updates, rng, progress):
    """Let all workers take their turns; return the order of each round, and each one's answers."""
    order, answers = [], {name: [] for name in workers}
    for number in range(1, rounds + 1):
        order.append(tuple(rng.sample(list(workers), len(workers))))
        for name in order[-1]:
            progress(f"round {number} of {rounds}: {workers[name].contender.title}")
            answers[name].append(workers[name].turn(updates))
    return tuple(order), answers


def _result(contender, facts, answers, updates, settings):
    from resnet_lessons.accounting import count  # loads Keras

    return Result(
        name=contender.name,
        title=contender.title,
        batch_size=contender.batch_size,
        precision=facts["precision"],
        flops=report.training_flops(count(settings.spec(contender.style)).multiply_adds),
        rates=tuple(contender.batch_size * updates / answer["seconds"] for answer in answers),
        peak_bytes=max(answer["peak_bytes"] for answer in answers),
        versions=facts["versions"],
    )


def _flops_per_second(answers, products, settings):
    return tuple(2 * settings.matmul**3 * products / answer["seconds"] for answer in answers)
