"""Split the gradient by the paths it takes: through which branches it went, and past which.

Each unit gives a path two ways, so a net of n units has 2^n. Veit, Wilber, Belongie 2016 (arXiv 1605.06431), Sec. 3 and
4.2 and Fig. 6. All is in inference mode, where each image has a gradient of its own.
"""

import dataclasses

from resnet_lessons import backend

import keras
import numpy as np

from .units import stage_input, unit_names


def gradient_by_length(model, x, y):
    """Split the gradient at the first unit's input by path length, and add up all paths of one length, exactly.

    The length of a path is the number of branches on it. The parts of all lengths add up to the whole gradient.

    Args:
        model: a residual net of ``models.build`` that ends in logits; left as it was.
        x: (B, H, W, C) images, normalized as for training.
        y: (B,) labels.

    Returns:
        (n + 1, B, H, W, C') float32: for n units, the gradient of each image's cross-entropy that came by paths of
        length 0, 1, ..., n.

    Raises:
        ValueError: for a net without residual units.
    """
    units, gradient = _chain(model, x, y)
    parts = [gradient]  # by the number of branches between here and the output
    for unit in reversed(units):
        past, through = unit.pull(np.concatenate(parts), len(parts))
        past, through = (np.split(array, len(parts)) for array in (past, through))
        zero = np.zeros_like(past[0])
        parts = [s + b for s, b in zip([*past, zero], [zero, *through], strict=True)]
    return np.stack(parts)


def path_gradients(model, x, y, length, paths=10, seed=0):
    """Take the gradient back by single paths of one length, drawn at random (Veit et al. 2016, Sec. 4.2).

    Args:
        model: a residual net of ``models.build`` that ends in logits; left as it was.
        x: (B, H, W, C) images, normalized as for training.
        y: (B,) labels.
        length: branches on each path, 0 to the number of units.
        paths: how many to draw; the same one may come twice.
        seed: which.

    Returns:
        (paths, B, H, W, C') float32: what each path brings to the first unit's input of the gradient of each image's
        cross-entropy.

    Raises:
        ValueError: for a net without residual units, and for a length that it does not have.
    """
    units, gradient = _chain(model, x, y)
    if not 0 <= length <= len(units):
        raise ValueError(f"length must be 0 to {len(units)}, the number of units. Received: {length}.")
    rng = np.random.default_rng(seed)
    takes = np.array([rng.permutation(len(units)) < length for _ in range(paths)])  # (paths, units): through the branch
    carried = np.concatenate([gradient] * paths)
    for unit, branch in zip(reversed(units), takes.T[::-1], strict=True):
        past, through = unit.pull(carried, paths)
        carried = np.where(np.repeat(branch, len(x))[:, None, None, None], through, past)
    return carried.reshape(paths, len(x), *carried.shape[1:])


@dataclasses.dataclass(frozen=True)
class _Unit:
    """One unit at the images at hand: its parts as models, and what enters them."""

    shortcut: keras.Model | None  # None: the input itself
    branch: keras.Model
    after: keras.Model | None  # None: nothing comes after the addition
    entered: np.ndarray  # (B, H, W, C)
    added: np.ndarray  # (B, H', W', C'), before what comes after the addition

    def pull(self, upstream, copies):
        """Take gradients (copies * B, H', W', C') back by the shortcut alone and by the branch alone."""
        entered, added = (np.concatenate([array] * copies) for array in (self.entered, self.added))
        if self.after is not None:
            upstream = _pull(self.after, added, upstream)
        past = upstream if self.shortcut is None else _pull(self.shortcut, entered, upstream)
        return past, _pull(self.branch, entered, upstream)


def _pull(model, x, upstream):
    return backend.pull_back(model, x, upstream, training=False)


def _chain(model, x, y):
    """Return the units at these images, and the gradient of each image's cross-entropy at the last one's output."""
    names = unit_names(model)
    named = {layer.name: layer for layer in model.layers}
    if f"{names[0]}_add" not in named:
        raise ValueError(f"A plain net has one path; the model must have residual units. Received: {model.name!r}.")
    units, start = [], stage_input(model, "stage1")
    x = _run(keras.Model(model.input, start), x)
    for name in names:
        addition = named[f"{name}_add"]
        shortcut, branch = addition.input
        end = [layer for layer in model.layers if layer.name.startswith(f"{name}_")][-1].output
        x_added = _run(keras.Model(start, addition.output), x)
        after = None if end is addition.output else keras.Model(addition.output, end)
        past = None if shortcut is start else keras.Model(start, shortcut)
        units.append(_Unit(past, keras.Model(start, branch), after, x, x_added))
        start, x = end, x_added if after is None else _run(after, x_added)
    head = keras.Model(start, model.output)
    probabilities = keras.ops.convert_to_numpy(keras.ops.softmax(head(x, training=False)))
    return units, _pull(head, x, probabilities - np.eye(probabilities.shape[1], dtype="float32")[y])


def _run(model, x):
    return keras.ops.convert_to_numpy(model(x, training=False))
