"""Through how many branches the gradient comes: a residual net unravelled into its 2^N paths.

In each of N units the backward signal takes the shortcut or the branch. Veit, Wilber, Belongie 2016, Sec. 3 and 4.3.
"""

from resnet_lessons import backend

import keras
import numpy as np

from .units import addition, boundaries, puts_out_logits, unit_names


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
    tensors, values, gradient = _start(model, x, y)
    sums = [gradient]
    for name, tensor, value in reversed(list(zip(unit_names(model), tensors[:-1], values[:-1], strict=True))):
        sums = _through(model, name, tensor, value, sums)
    return np.stack(sums)


def path_gradients(model, x, y, length, paths=8, seed=0):
    """Take the loss's gradient back by single paths of one length, drawn at random (Veit et al. 2016, Sec. 4.2).

    Args:
        model: a residual network of ``models.build`` that puts out logits.
        x: (B, H, W, C) float32, normalized as for training.
        y: (B,) labels.
        length: branches on each path, 0 to N.
        paths: how many to draw; one may come twice.
        seed: of the draw.

    Returns:
        (paths, B, h, w, c): what each path brings to the first unit's input, in inference mode.

    Raises:
        ValueError: as for ``gradient_by_path_length``, and for a length that the network's paths do not have.
    """
    tensors, values, gradient = _start(model, x, y)
    names = unit_names(model)
    if not 0 <= length <= len(names):
        raise ValueError(f"length must be 0 to {len(names)}, the number of units. Received: {length!r}.")
    rng = np.random.default_rng(seed)
    branches = np.array([rng.permutation(len(names)) < length for _ in range(paths)])  # (paths, N): taken or not
    carried = np.concatenate([gradient] * paths)  # path after path, so that a unit is passed by all of them at once
    for number in reversed(range(len(names))):
        value = np.concatenate([keras.ops.convert_to_numpy(values[number])] * paths)
        (shortcut,), (branch,) = _ways(model, names[number], tensors[number], value, [carried])
        taken = np.repeat(branches[:, number], len(x))[:, None, None, None]
        carried = np.where(taken, branch, shortcut)
    return carried.reshape(paths, len(x), *carried.shape[1:])


def _start(model, x, y):
    """Return the tensors between the units, their values, and the loss's gradient at the last one."""
    if addition(model, unit_names(model)[0]) is None:
        raise ValueError(f"{model.name!r} has no shortcuts, so its gradient has one path. Take a residual network.")
    if not puts_out_logits(model):
        raise ValueError(f"{model.name!r} puts out probabilities. Take one of style 'paper', which puts out logits.")
    tensors = boundaries(model)
    values = keras.Model(model.input, tensors)(x, training=False)
    head = keras.Model(tensors[-1], model.output)
    probabilities = keras.ops.convert_to_numpy(keras.ops.softmax(head(values[-1], training=False)))
    upstream = (probabilities - np.eye(probabilities.shape[1])[y]) / len(y)  # of the mean cross-entropy, by the logits
    return tensors, values, _back(head, values[-1], upstream.astype("float32"))


def _through(model, name, tensor, value, sums):
    """Bring the sums over paths of 0, 1, ... branches back through one unit, of which either way may be taken."""
    shortcut, branch = _ways(model, name, tensor, value, sums)
    nothing = np.zeros_like(shortcut[0])
    return [one + other for one, other in zip([*shortcut, nothing], [nothing, *branch], strict=True)]


def _ways(model, name, tensor, value, sums):
    """Bring gradients back through one unit, once by its shortcut alone and once by its branch alone."""
    add = addition(model, name)
    output = boundaries(model)[unit_names(model).index(name) + 1]
    if output is not add.output:  # the ReLU after the addition, which both ways pass
        after, added = keras.Model(add.output, output), keras.Model(tensor, add.output)(value, training=False)
        sums = [_back(after, added, each) for each in sums]
    ways = []
    for end in add.input:
        way = None if end is tensor else keras.Model(tensor, end)
        ways.append([each if way is None else _back(way, value, each) for each in sums])
    return ways


def _back(model, value, upstream):
    return backend.pull_back(model, value, upstream, training=False)
