"""Lesson 09's exercises: right answers pass however written, wrong ones hear why."""

import contextlib
import math
import os
import shutil
import tempfile
from pathlib import Path

from resnet_lessons import checks

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from learners import disguised, written

# training_hours


def hours(updates, batch_size, images_per_second):
    return updates * batch_size / images_per_second / 3600


@pytest.mark.parametrize(
    "function",
    [
        hours,
        lambda u, b, r: np.float32(u * b / (3600 * r)),
        written("def f(u, b, r): return sum([u / r * b / 60]) / 60", "f"),
        *disguised(hours),
    ],
)
def test_hours_pass_however_they_are_computed(function):
    assert checks.training_hours(function).passed is True


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda u, b, r: u * b / r, "in seconds"),
        (lambda u, b, r: u * b / r / 60, "in minutes"),
        (lambda u, _, r: u / r / 3600, "a whole batch"),
        (lambda u, b, r: u * b * r / 3600, "divide by the rate"),
        (lambda u, b, r: 3600 * r / (u * b), "Turn it over"),
        (lambda *_: 1.75, "How many images are seen in all"),
    ],
)
def test_wrong_hours_hear_why(function, says):
    verdict = checks.training_hours(function)
    assert verdict.passed is False
    assert says in verdict.message


# save_checkpoint


def moved(path, write):
    partial = path.with_suffix(".new")
    try:
        with partial.open("wb") as file:
            write(file)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def moved_by_os(path, write):
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "wb") as file:
        write(file)
    Path(name).replace(path)


class Buffer(list):
    """A file in memory that has only what the exercise promises."""

    write = list.append

    def flush(self):
        """Nothing waits."""


def in_memory_then_moved(path, write):
    write(buffer := Buffer())
    path.with_suffix(".tmp").write_bytes(b"".join(buffer))
    path.with_suffix(".tmp").replace(path)


@pytest.mark.parametrize("function", [moved, moved_by_os, in_memory_then_moved, *disguised(moved)])
def test_what_keeps_the_old_content_passes(function):
    verdict = checks.save_checkpoint(function)
    assert verdict.passed is True, verdict


def direct(path, write):
    with path.open("wb") as file:
        write(file)


def removed_first(path, write):
    path.unlink(missing_ok=True)
    moved(path, write)


def copied_back(path, write):
    backup = path.with_suffix(".bak")
    shutil.copy(path, backup)
    try:
        direct(path, write)
    except OSError:
        backup.replace(path)
        raise


def silent(path, write):
    with contextlib.suppress(OSError):
        moved(path, write)


def moved_although_it_failed(path, write):
    partial = path.with_suffix(".new")
    try:
        with partial.open("wb") as file:
            write(file)
    finally:
        partial.replace(path)


def only_replaces(path, write):
    path.stat()
    moved(path, write)


def appended(path, write):
    old = path.read_bytes() if path.exists() else b""
    write(buffer := Buffer())
    path.with_suffix(".tmp").write_bytes(old + b"".join(buffer))
    path.with_suffix(".tmp").replace(path)


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (direct, "half a checkpoint"),
        (removed_first, "there is no file at path"),
        (copied_back, "half a checkpoint"),
        (silent, "the caller hears nothing"),
        (moved_although_it_failed, "no longer holds the old content"),
        (only_replaces, "The first checkpoint of a run"),
        (appended, "does not hold the new content"),
        (lambda *_: "done", "It did not call write"),
    ],
)
def test_what_may_lose_a_checkpoint_hears_why(function, says):
    verdict = checks.save_checkpoint(function)
    assert verdict.passed is False
    assert says in verdict.message


def test_it_leaves_no_files_behind():
    before = set(Path(tempfile.gettempdir()).glob("tmp*"))
    checks.save_checkpoint(moved)
    checks.save_checkpoint(direct)
    left = {path for path in set(Path(tempfile.gettempdir()).glob("tmp*")) - before if list(path.glob("*.npz"))}
    assert left == set()


# seeds_needed


def seeds(difference, spread):
    return max(1, math.ceil(8 * (spread / difference) ** 2))


def seeds_by_trying(difference, spread):
    return next(n for n in range(1, 1000) if difference >= 2 * spread * math.sqrt(2 / n))


@pytest.mark.parametrize("function", [seeds, seeds_by_trying, *disguised(seeds)])
def test_seeds_pass_however_they_are_found(function):
    verdict = checks.seeds_needed(function)
    assert verdict.passed is True, verdict


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda d, s: math.floor(8 * (s / d) ** 2), "Round up"),
        (lambda d, s: max(1, math.ceil(4 * (s / d) ** 2)), "Both means scatter"),
        (lambda d, s: math.ceil(2 * (s / d) ** 2), "twice the scatter"),
        (lambda d, s: math.ceil(math.sqrt(8) * s / d), "square to get at n"),
        (lambda d, s: 2 * seeds(d, s), "for each"),
        (lambda *_: 7, "Solve difference"),
        (lambda d, s: 8 * (s / d) ** 2, "one whole number"),
    ],
)
def test_wrong_seeds_hear_why(function, says):
    verdict = checks.seeds_needed(function)
    assert verdict.passed is False
    assert says in verdict.message


@given(st.floats(0.05, 2), st.floats(0.01, 1))
def test_the_solution_is_the_least_number_that_keeps_the_rule(difference, spread):
    n = seeds(difference, spread)
    assert difference >= 2 * spread * math.sqrt(2 / n) * (1 - 1e-9)
    assert n == 1 or difference < 2 * spread * math.sqrt(2 / (n - 1)) * (1 + 1e-9)
