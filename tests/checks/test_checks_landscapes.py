"""The exercises of lesson 08: right answers written in several ways pass, each misconception is heard."""

from resnet_lessons import checks, diagnostics

import numpy as np
import pytest
from learners import disguised

# filter_normalized


def by_norm(direction, kernel):
    flat = (array.reshape(-1, array.shape[-1]) for array in (direction, kernel))
    found, wanted = (np.linalg.norm(array, axis=0) for array in flat)
    return direction / found * wanted


def filter_by_filter(direction, kernel):
    for c in range(kernel.shape[-1]):
        direction[..., c] *= np.sqrt((kernel[..., c] ** 2).sum() / (direction[..., c] ** 2).sum())
    return direction


@pytest.mark.parametrize(
    "function",
    [
        by_norm,
        filter_by_filter,
        lambda d, k: by_norm(d, k).astype("float32"),
        lambda d, k: by_norm(d, k).tolist(),
        *disguised(by_norm),
    ],
)
def test_a_normalized_direction_passes_however_it_is_written(function):
    verdict = checks.filter_normalized(function)
    assert verdict.passed is True, verdict


def over(axes):
    """Return a normalization whose filters are what is left when these axes are summed over."""

    def function(direction, kernel):
        found, wanted = (np.sqrt(np.sum(array**2, axis=axes(array), keepdims=True)) for array in (direction, kernel))
        return direction * wanted / found

    return function


def length(array):
    return np.linalg.norm(array.reshape(-1, array.shape[-1]), axis=0)


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda d, k: d, "as it came"),  # noqa: ARG005
        (over(lambda a: None), "the whole kernel is one filter"),  # noqa: ARG005
        (over(lambda a: tuple(n for n in range(a.ndim) if n != a.ndim - 2)), "each channel that comes in"),
        (over(lambda a: tuple(range(a.ndim - 2))), "spans all of its input channels"),
        (lambda d, k: d / length(d), "each filter has length 1"),  # noqa: ARG005
        (lambda d, k: d * length(k), "divide by the length of the direction's filter, too"),
        (lambda d, k: d * length(d) / length(k), "upside down"),
        (lambda d, k: d * (length(k) / length(d)) ** 2, "the root of the sum of squares."),
        (
            lambda d, k: d * np.abs(k).reshape(-1, k.shape[-1]).sum(0) / np.abs(d).reshape(-1, k.shape[-1]).sum(0),
            "not a sum of absolute values",
        ),
        (lambda d, k: np.abs(k) * np.sign(d), "leaves of it a sign"),
        (lambda d, k: -by_norm(d, k), "does it point where"),
        (lambda d, k: 3 * by_norm(d, k), "the kernel's first filter has length"),
        (lambda d, k: by_norm(d, k)[0], "one array of that shape"),
    ],
)
def test_another_direction_hears_why(function, says):
    verdict = checks.filter_normalized(function)
    assert verdict.passed is False
    assert says in verdict.message, verdict


# slice_width


def by_walking(alphas, losses, rise):
    """Walk in tiny steps over straight lines."""
    start = np.interp(0, alphas, losses)
    width = 0.0
    for sign in (1, -1):
        way = np.linspace(0, max(sign * alphas[-1], sign * alphas[0]), 300_001)
        values = np.interp(sign * way, alphas, losses)
        above = np.flatnonzero(values > start + rise + 1e-12)
        width += way[above[0]] if len(above) else way[-1]
    return width


@pytest.mark.parametrize(
    "function",
    [by_walking, diagnostics.slice_width, lambda *a: np.float32(diagnostics.slice_width(*a)), *disguised(by_walking)],
)
def test_a_width_passes_however_it_is_found(function):
    verdict = checks.slice_width(function)
    assert verdict.passed is True, verdict


def side(sign):
    def function(alphas, losses, rise):
        inside = sign * alphas >= 0
        line = np.where(inside, losses, np.interp(0, alphas, losses) + 2 * rise + 1e3)
        line[np.argmin(np.abs(alphas))] = np.interp(0, alphas, losses)
        reach = diagnostics.slice_width(alphas, line, rise)
        other = next(i for i in range(len(alphas)) if alphas[i] == 0) - sign
        step = abs(alphas[other]) * rise / (line[other] - line[np.argmin(np.abs(alphas))])
        return reach - step

    return function


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda a, y, r: 2 * by_walking(a[a >= 0], y[a >= 0], r) if len(a) > 3 else 2, "measure both"),
        (side(1), "the right side alone"),
        (side(-1), "the left side alone"),
        (lambda a, y, r: np.ptp(a[y <= np.interp(0, a, y) + r]), "find where it crosses"),
        (lambda a, y, r: float(np.sum(y <= np.interp(0, a, y) + r)), "That counts points"),
        (lambda a, y, r: by_walking(a, y, r - np.interp(0, a, y)) if r > np.interp(0, a, y) else 0, "not from zero"),
        (
            lambda a, y, r: (
                np.mean(np.interp(np.linspace(a[0], a[-1], 600_001), a, y) <= np.interp(0, a, y) + r) * np.ptp(a)
            ),
            "A second valley",
        ),
        (lambda a, y, r: 17.0, "Walk from the middle"),  # noqa: ARG005
        (lambda a, y, r: a, "one finite number"),  # noqa: ARG005
    ],
)
def test_another_width_hears_why(function, says):
    verdict = checks.slice_width(function)
    assert verdict.passed is False
    assert says in verdict.message, verdict


# most_moved


def by_ratio(direction, kernels, measure=lambda d, k: length(d) / length(k)):
    ratios = [measure(d, k) for d, k in zip(direction, kernels, strict=True)]
    layer = int(np.argmax([r.max() for r in ratios]))
    return layer, int(ratios[layer].argmax()), float(ratios[layer].max())


@pytest.mark.parametrize(
    "function",
    [by_ratio, lambda d, k: np.array(by_ratio(d, k)), lambda d, k: list(by_ratio(d, k)), *disguised(by_ratio)],
)
def test_the_filter_is_found_however_it_is_written(function):
    verdict = checks.most_moved(function)
    assert verdict.passed is True, verdict


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda d, k: by_ratio(d, k, lambda d, k: length(k) / length(d)), "moves least"),
        (lambda d, k: by_ratio(d, k, lambda d, k: length(d)), "makes the longest step"),  # noqa: ARG005
        (lambda d, k: by_ratio(d, k, lambda d, k: 1 / length(k)), "the shortest filter"),  # noqa: ARG005
        (lambda d, k: (*by_ratio(d, k)[:2], by_ratio(d, k)[2] ** 2), "the right filter, but its ratio is"),
        (lambda d, k: (by_ratio(d, k)[0], by_ratio(d, k)[1] + 1, 1), "count from 0"),
        (lambda d, k: (len(k), 0, 1.0), "there is no filter 0 in a layer"),  # noqa: ARG005
        (lambda d, k: by_ratio(d, k)[2], "three numbers: layer, filter, ratio"),
        (lambda d, k: (0.5, 0, 1.0), "the first two whole"),  # noqa: ARG005
    ],
)
def test_another_filter_hears_why(function, says):
    verdict = checks.most_moved(function)
    assert verdict.passed is False
    assert says in verdict.message, verdict
