"""Through how many branches the gradient comes: a residual net unravelled into its 2^N paths.

In each of N units the backward signal takes the shortcut or the branch. Veit, Wilber, Belongie 2016, Sec. 3 and 5.
"""

import itertools
import math

from resnet_lessons import backend

import keras
import numpy as np

from .units import addition, boundaries, puts_out_logits, unit_names

AT_ONCE = 32  # gradients: the arrays of four images in the first stage of ResNet-20 are then 8 MB each
MOST = 1000  # paths at once: a net of 27 units has 20 million of length 13, which no memory holds


def gradient_by_path_length(model, x, y):
    """Split the loss's gradient at the first unit's input by how many branches it came through.

    All paths of one length are summed, and each sum is exact: for the activations of these images the backward pass is
    linear, so the gradient is the sum over all paths, whatever they are grouped by. Veit et al. draw single paths at
    random and multiply by their number instead.

    Args:
        model: a residual network of ``models.build`` that puts out logits.
        x: (B, H, W, C) float32, normalized as for training.
        y: (B,) labels.

    Returns:
        (N + 1, B, h, w, c): the sum over the paths through 0, 1, ..., N branches, in inference mode. Their sum is the
        gradient of the mean cross-entropy.

    Raises:
        ValueError: for a plain net, which has one path, and for a net that puts out probabilities.
    """
    units, gradient = _start(model, x, y)
    sums = gradient[None]
    for unit in reversed(units):
        shortcut, branch = _ways(unit, sums)
        nothing = np.zeros_like(shortcut[:1])
        sums = np.concatenate([shortcut, nothing]) + np.concatenate([nothing, branch])
    return sums


def path_gradients(model, x, y, length, paths=None, seed=0):
    """Take the loss's gradient back by single paths of one length (Veit et al. 2016, Sec. 5, who draw them at random).

    Args:
        model: a residual network of ``models.build`` that puts out logits.
        x: (B, H, W, C) float32, normalized as for training.
        y: (B,) labels.
        length: branches on each path, 0 to N.
        paths: how many to draw, 1 to ``MOST``, of which one may come twice; None: each of them once, N over ``length``
            in all.
        seed: of the draw.

    Returns:
        (paths, B, h, w, c): what each path brings to the first unit's input, in inference mode.

    Raises:
        ValueError: as for ``gradient_by_path_length``, for a length that the network's paths do not have, and for
            more paths than ``MOST`` or none.
    """
    units, gradient = _start(model, x, y)
    places = range(len(units))
    _check_paths(model.name, len(units), length, paths)
    if paths is None:
        chosen = [tuple(place in taken for place in places) for taken in itertools.combinations(places, length)]
    else:
        rng = np.random.default_rng(seed)
        chosen = [tuple((rng.permutation(len(units)) < length).tolist()) for _ in range(paths)]
    carried = {(): gradient}  # what has come back through the last units, by which of their branches it took
    for place in reversed(places):
        ends = list(dict.fromkeys(path[place + 1 :] for path in chosen))  # paths that end alike share the way so far
        shortcut, branch = _ways(units[place], np.stack([carried[end] for end in ends]))
        carried = {(False, *end): one for end, one in zip(ends, shortcut, strict=True)}
        carried |= {(True, *end): one for end, one in zip(ends, branch, strict=True)}
    return np.stack([carried[path] for path in chosen])


def _check_paths(name, units, length, paths):
    if not 0 <= length <= units:
        raise ValueError(f"length must be 0 to {units}, the number of units. Received: {length!r}.")
    if paths is not None and not 1 <= paths <= MOST:
        raise ValueError(f"paths must be a whole number from 1 to {MOST:,}. Received: {paths!r}.")
    if paths is None and (number := math.comb(units, length)) > MOST:
        raise ValueError(
            f"paths=None takes all paths of a length, if there are at most {MOST:,}. Received: {name!r}, which has "
            f"{number:,} of length {length}. Give paths= to draw some."
        )


def _start(model, x, y):
    """Return what ``_ways`` needs of each unit, and the loss's gradient at the last one's output.

    Of a unit these are the layer that adds, the tensors of its input and its output, and the input's values.
    """
    names = unit_names(model)
    if addition(model, names[0]) is None:
        raise ValueError(f"{model.name!r} has no shortcuts, so its gradient has one path. Take a residual network.")
    if not puts_out_logits(model):
        raise ValueError(f"{model.name!r} puts out probabilities. Take one of style 'paper', which puts out logits.")
    tensors = boundaries(model)
    values = [keras.ops.convert_to_numpy(value) for value in keras.Model(model.input, tensors)(x, training=False)]
    head = keras.Model(tensors[-1], model.output)
    probabilities = keras.ops.convert_to_numpy(keras.ops.softmax(head(values[-1], training=False)))
    upstream = (probabilities - np.eye(probabilities.shape[1])[y]) / len(y)  # of the mean cross-entropy, by the logits
    additions = [addition(model, name) for name in names]
    units = list(zip(additions, tensors[:-1], tensors[1:], values[:-1], strict=True))
    return units, _back(head, values[-1], upstream.astype("float32"))


def _ways(unit, gradients):
    """Bring (K, B, ...) gradients back through one unit, once by its shortcut alone and once by its branch alone."""
    add, tensor, output, values = unit
    after = None
    if output is not add.output:  # the ReLU after the addition, which both ways pass
        to_sum, after = keras.Model(tensor, add.output), keras.Model(add.output, output)
    ways = [None if end is tensor else keras.Model(tensor, end) for end in add.input]
    found = [[], []]
    for start in range(0, len(gradients), AT_ONCE):
        some = gradients[start : start + AT_ONCE]
        value = np.concatenate([values] * len(some))  # as one batch
        flat = some.reshape(-1, *some.shape[2:])
        if after is not None:
            flat = _back(after, to_sum(value, training=False), flat)
        for parts, way in zip(found, ways, strict=True):
            back = flat if way is None else _back(way, value, flat)
            parts.append(back.reshape(len(some), -1, *back.shape[1:]))
    return [np.concatenate(parts) for parts in found]


def _back(model, value, upstream):
    return backend.pull_back(model, value, upstream, training=False)
