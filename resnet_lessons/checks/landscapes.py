"""The exercises of lesson 08: filter normalization, the width of a slice, the filter that a direction moves most."""

import math

import numpy as np

from .answers import Wrong, answer_of, array_answer, exercise, hint_for, real_number, show


@exercise
def filter_normalized(function):
    """Check ``function(direction, kernel)``: the direction with each filter scaled to the length of the kernel's.

    Both are (height, width, channels in, channels out) or, of a dense layer, (inputs, outputs); a filter is
    ``kernel[..., channel]``. Li et al. 2018, Sec. 4.
    """
    rng = np.random.default_rng(8)
    for shape in ((3, 3, 4, 5), (1, 1, 3, 2), (6, 4)):
        kernel = rng.normal(size=shape) * rng.uniform(0.2, 5, size=shape[-1])
        direction = rng.normal(size=shape)
        case = f"a direction and a kernel of shape {shape}"
        answer = answer_of(function, direction.copy(), kernel.copy(), case=case)
        found = array_answer(answer, f"For {case} it should return one array of that shape", shape)
        right = _scaled(direction, kernel, _others(shape))
        if np.allclose(found, right, rtol=1e-4):
            continue
        raise Wrong(f"For {case}: {_normalization_hint(found, direction, kernel)}")
    return "Each filter of the direction is now as long as the kernel's, whatever its scale."


def _others(shape):
    return tuple(range(len(shape) - 1))


def _length(array, axes):
    return np.sqrt(np.sum(np.square(array), axis=axes, keepdims=True))


def _scaled(direction, kernel, axes):
    return direction * _length(kernel, axes) / _length(direction, axes)


def _normalization_hint(found, direction, kernel):
    axes, whole, incoming = _others(kernel.shape), None, tuple(n for n in range(kernel.ndim) if n != kernel.ndim - 2)
    lengths = {"kernel": _length(kernel, axes), "direction": _length(direction, axes)}
    absolute = np.abs(kernel).sum(axis=axes, keepdims=True) / np.abs(direction).sum(axis=axes, keepdims=True)
    hints = (
        (direction, "that is the direction as it came."),
        (_scaled(direction, kernel, whole), "the whole kernel is one filter to you. Each output channel has its own."),
        (
            _scaled(direction, kernel, incoming),
            "you took a filter for each channel that comes in. It is kernel[..., c].",
        ),
        (_scaled(direction, kernel, axes[:-1]), "a filter spans all of its input channels, too."),
        (direction / lengths["direction"], "each filter has length 1. It should have the length of the kernel's."),
        (direction * lengths["kernel"], "divide by the length of the direction's filter, too."),
        (direction * lengths["direction"] / lengths["kernel"], "the ratio is upside down."),
        (direction * (lengths["kernel"] / lengths["direction"]) ** 2, "the length is the root of the sum of squares."),
        (direction * absolute, "the length is the root of the sum of squares, not a sum of absolute values."),
        (np.abs(kernel) * np.sign(direction), "you scaled each weight by itself, which leaves of it a sign."),
    )
    wanted, received = (float(_length(a, axes).ravel()[0]) for a in (kernel, found))
    otherwise = f"the kernel's first filter has length {wanted:.3g}, that of your direction has {received:.3g}."
    if np.isclose(received, wanted, rtol=1e-4):
        otherwise = "the first filter has the right length; does it point where the direction's filter points?"
    return hint_for(found, hints, otherwise, rtol=1e-4, atol=1e-8)


_SLICES = (  # alphas, losses, rise, the width
    ([-2, -1, 0, 1, 2], [5, 2.6, 1, 1.5, 5], 1.0, 1 / 1.6 + 1 + 0.5 / 3.5),
    ([-1, -0.5, 0, 0.5, 1], [2.5, 1.5, 0.5, 0.9, 3.3], 0.5, 0.25 + 0.5 + 0.5 * 0.1 / 2.4),
    ([-3, -2, -1, 0, 1, 2, 3], [0.4, 2.0, 1.0, 0.5, 1.5, 2.5, 0.3], 0.25, 0.5 + 0.25),
    ([-1, 0, 1], [0.6, 0.5, 0.7], 1.0, 2.0),
)


@exercise
def slice_width(function):
    """Check ``function(alphas, losses, rise)``: how far the slice stays within ``rise`` of its middle, left plus right.

    Straight lines between the points; only the stretch that holds alpha = 0 counts.
    """
    for alphas, losses, rise, right in _SLICES:
        arrays = np.array(alphas, "float64"), np.array(losses, "float64")
        case = f"alphas {alphas}, losses {losses} and a rise of {rise:g}"
        answer = answer_of(function, *arrays, rise, case=case)
        width = real_number(answer, f"For {case} it should return one finite number")
        if not math.isclose(width, right, rel_tol=1e-3):
            raise Wrong(
                f"For {case} it is {right:.4g}, yours is {width:.4g}. {_width_hint(width, alphas, losses, rise)}"
            )
    return "A width counts from the loss in the middle, and ends at the first crossing on each side."


def _width_hint(width, alphas, losses, rise):
    alphas, losses = np.array(alphas, "float64"), np.array(losses, "float64")
    middle = int(np.flatnonzero(alphas == 0)[0])
    limit = losses[middle] + rise
    dense = np.linspace(alphas[0], alphas[-1], 600_001)
    low = np.interp(dense, alphas, losses) <= limit
    sides = [_reach(alphas[middle:], losses[middle:], limit), _reach(-alphas[middle::-1], losses[middle::-1], limit)]
    below = alphas[losses <= limit]
    hints = (
        (
            _reach(alphas[middle:], losses[middle:], rise) + _reach(-alphas[middle::-1], losses[middle::-1], rise),
            "The rise counts from the loss at alpha = 0, not from zero.",
        ),
        (low.mean() * (alphas[-1] - alphas[0]), "A second valley further out does not count: stop at the crossing."),
        (np.ptp(below), "Between two points the loss is on a straight line: find where it crosses."),
        (float(len(below)), "That counts points. A width is a difference of alphas."),
        (2 * sides[0], "Left and right differ: measure both."),
        (2 * sides[1], "Left and right differ: measure both."),
        (sides[0], "That is the right side alone."),
        (sides[1], "That is the left side alone."),
    )
    otherwise = "Walk from the middle to each side, up to the first point above the limit."
    return hint_for(width, hints, otherwise, atol=1e-9)


def _reach(alphas, losses, limit):
    """Return how far the loss stays at or below the limit, from alphas[0] = 0 on."""
    if losses[0] > limit:
        return 0.0
    above = np.flatnonzero(losses > limit)
    if not len(above):
        return float(alphas[-1])
    k = above[0]
    return float(np.interp(limit, losses[k - 1 : k + 1], alphas[k - 1 : k + 1]))


@exercise
def most_moved(function):
    """Check ``function(direction, kernels)``: (layer, filter, ratio) of the filter that a step of 1 moves most.

    Both are lists of arrays (..., channels out). Most is meant as a share of the filter's own length.
    """
    rng = np.random.default_rng(18)
    for shapes in ([(3, 3, 2, 4), (3, 3, 4, 6), (1, 1, 6, 3)], [(5, 3)], [(3, 3, 3, 2), (8, 5)]):
        kernels = [rng.normal(size=s) * rng.uniform(0.3, 3, s[-1]) * rng.uniform(0.3, 3) for s in shapes]
        direction = [rng.normal(size=s) for s in shapes]
        case = f"kernels of shapes {', '.join(map(str, shapes))}"
        answer = answer_of(function, [d.copy() for d in direction], [k.copy() for k in kernels], case=case)
        ratios = [_filters(d) / _filters(k) for d, k in zip(direction, kernels, strict=True)]
        layer, channel, ratio = _triple(answer, case)
        if (layer, channel) == _largest(ratios) and math.isclose(ratio, _at(ratios, layer, channel), rel_tol=1e-3):
            continue
        raise Wrong(f"For {case}: {_moved_hint((layer, channel), ratio, ratios, direction, kernels)}")
    return "A step of one length for all moves some filters by many times the share that it moves others."


def _filters(array):
    return _length(array, _others(array.shape)).ravel()


def _triple(answer, case):
    wanted = f"For {case} it should return three numbers: layer, filter, ratio"
    try:
        parts = list(answer) if len(answer) == 3 and not isinstance(answer, (str, bytes, dict, set)) else None
    except TypeError:
        parts = None
    if parts is None:
        raise Wrong(f"{wanted}. It returned {show(answer)}.")
    layer, channel, ratio = (real_number(part, wanted) for part in parts)
    if layer != int(layer) or channel != int(channel):
        raise Wrong(f"{wanted}, the first two whole. It returned {show(answer)}.")
    return int(layer), int(channel), ratio


def _largest(values):
    """Return (layer, channel) of the largest value in a list of arrays."""
    layer = max(range(len(values)), key=lambda number: values[number].max())
    return layer, int(values[layer].argmax())


def _at(values, layer, channel):
    inside = 0 <= layer < len(values) and 0 <= channel < len(values[layer])
    return values[layer][channel] if inside else math.nan


def _moved_hint(place, ratio, ratios, direction, kernels):
    layer, channel = place
    if not 0 <= layer < len(ratios) or not 0 <= channel < len(ratios[layer]):
        return f"there is no filter {channel} in a layer {layer}. Both count from 0."
    hints = (
        ([1 / r for r in ratios], "That is the filter that moves least: the direction's length goes on top."),
        ([_filters(d) for d in direction], "That one makes the longest step. Divide by its own length."),
        ([1 / _filters(k) for k in kernels], "That is the shortest filter. Its step counts, too."),
    )
    best = _largest(ratios)
    right = f"filter {best[1]} of layer {best[0]} moves by {_at(ratios, *best):.4g} of its length."
    for values, hint in hints:
        if place == _largest(values) and (place != best or math.isclose(ratio, _at(values, *place), rel_tol=1e-3)):
            return f"{right} {hint}"
    if place == best:
        return f"it is the right filter, but its ratio is {_at(ratios, *best):.4g}, not {ratio:.4g}."
    return f"{right} Compare all filters of all layers."
