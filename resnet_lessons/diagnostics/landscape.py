"""The loss around a trained net, along one direction or two: Li et al. 2018, Sec. 4. Lesson 08 uses it.

A **direction** is a list of arrays in the shapes of ``model.trainable_variables``. A point of a slice has the weights
w + alpha a + beta b. The model itself is never changed: every point is a call of a pure function of the weights.
"""

import dataclasses
import weakref

from resnet_lessons import backend

import keras
import numpy as np

from .rows import Rows, digest
from .units import puts_out_logits

STATISTICS = ("batch", "moving")


@dataclasses.dataclass(frozen=True)
class Surface:
    """What a slice found.

    Args:
        alphas: (A,) float64, steps along the first direction.
        betas: (B,) float64, steps along the second; None for a slice along one.
        loss: mean cross-entropy in nats, float64, (B, A), or (A,) along one direction.
        error: share of images classified wrongly, 0 to 1, in the same shape.
    """

    alphas: np.ndarray
    betas: np.ndarray | None
    loss: np.ndarray
    error: np.ndarray


def raw_direction(model, seed):
    """Draw a direction of Gaussian numbers for the kernels, as long as all the kernels together.

    Args:
        model: a built keras.Model.
        seed: a whole number of at least 0; the direction is a function of it and of the model's weights.

    Returns:
        A list of float32 arrays in the shapes of ``model.trainable_variables``. Biases and batch norm's scales and
        shifts have zeros, so that a step leaves them alone.
    """
    weights, drawn = _kernels(model), _draw(model, seed)
    length = _norm(weights) / _norm(drawn)
    return _whole(model, [length * noise for noise in drawn])


def filter_direction(model, seed):
    """Draw a filter-normalized direction: Gaussian numbers, each filter of it as long as the model's own.

    A filter is what makes one channel: ``kernel[..., channel]``, of a dense layer too. A step of 1 moves each filter
    by its own length, so that the scale of a filter, which a batch norm behind it undoes, has no say in the picture.
    Li et al. 2018, Sec. 4. Biases and batch norm's scales and shifts get zeros, as in the authors' code (their option
    ``ignore=biasbn``): one number has no direction, only a sign.

    Args:
        model: a built keras.Model.
        seed: a whole number of at least 0; the direction is a function of it and of the model's weights.

    Returns:
        A list of float32 arrays in the shapes of ``model.trainable_variables``.
    """
    pairs = zip(_kernels(model), _draw(model, seed), strict=True)
    return _whole(model, [noise * _filter_norms(kernel) / _filter_norms(noise) for kernel, noise in pairs])


def loss_surface(model, x, y, directions, alphas, betas=None, *, statistics="batch", batch_size=128, out=None):
    """Measure loss and error on a line or a grid of points around a model's weights.

    A model is compiled at its first slice. Later slices see its new weights, but no new settings of its layers, such as
    another activation.

    The statistics that batch norm divides by belong to the weights. ``"batch"`` computes them afresh at each point,
    from the very images of a batch; ``"moving"`` keeps those that training gathered for the weights in the middle.

    Args:
        model: a built classifier, such as ``models.build`` gives. It is left as it was.
        x: (N, H, W, C) float32, normalized as for training.
        y: (N,) labels.
        directions: a list of one direction, or of two for a grid.
        alphas: (A,) steps along the first direction; 0 is the model itself.
        betas: (B,) steps along the second; None with one direction.
        statistics: "batch" or "moving".
        batch_size: images at a time. N must be a multiple of it, or not more than it, so that no batch's statistics
            come from fewer images than the others'.
        out: a file, such as "v1-56.npz", that keeps each finished row (fixed beta), or each finished point along one
            direction. If it exists, what it holds is not computed again, losses that are no numbers included.

    Returns:
        A ``Surface``.

    Raises:
        ValueError: for arguments that do not fit each other, for a model that ends in neither logits nor
            probabilities, and for a file ``out`` of another slice: other weights, directions, images, labels, steps
            or statistics, or one that another backend or precision computed.
    """
    alphas, betas = _steps("alphas", alphas), None if betas is None else _steps("betas", betas)
    _check_images(x, y, batch_size)
    _check_directions(model, directions, betas)
    if statistics not in STATISTICS:
        raise ValueError(f"statistics must be one of {', '.join(map(repr, STATISTICS))}. Received: {statistics!r}.")
    points = [[(a,)] for a in alphas] if betas is None else [[(a, b) for a in alphas] for b in betas]  # rows
    rows = Rows(out, _digests(model, x, y, directions, alphas, betas, statistics, batch_size), np.shape(points)[:2])
    if missing := rows.missing():  # a whole file is read without compiling the net, which takes far longer
        measure = _measure(model, x, y, statistics, batch_size)
        centre = [_array(variable) for variable in model.trainable_variables]
        for row in missing:
            rows.add(row, [measure(_moved(centre, directions, steps)) for steps in points[row]])
    shape = (len(alphas),) if betas is None else (len(betas), len(alphas))
    return Surface(alphas, betas, rows.loss.reshape(shape), rows.error.reshape(shape))


def slice_width(alphas, losses, rise):
    """Return how far a slice stays within ``rise`` of its middle, to the left and to the right together.

    Args:
        alphas: (A,) rising steps, 0 among them.
        losses: (A,) at these steps, with straight lines between them.
        rise: above the loss at 0, in the losses' unit, 0 or more.

    Returns:
        The width of the stretch around 0, a float. Where the slice ends before the loss has risen so far, so does it.

    Raises:
        ValueError: if 0 is not among the alphas, if the loss there is no finite number, and for a rise below 0.
    """
    alphas, losses = np.asarray(alphas, "float64"), np.asarray(losses, "float64")
    if 0 not in alphas:
        raise ValueError(f"0 must be among the alphas. Received: {len(alphas)} of them, {alphas[:3].tolist()} first.")
    middle = int(np.flatnonzero(alphas == 0)[0])
    if not np.isfinite(losses[middle]):
        raise ValueError(f"The loss at 0 must be a finite number. Received: {losses[middle]}.")
    if not rise >= 0:
        raise ValueError(f"rise must be a number of at least 0. Received: {rise}.")
    limit = losses[middle] + rise
    sides = (alphas[middle:], losses[middle:]), (-alphas[middle::-1], losses[middle::-1])
    return float(sum(_reach(distances, values, limit) for distances, values in sides))


def _reach(distances, losses, limit):
    """Return the distance at which the loss first crosses the limit, or the last distance there is."""
    above = np.flatnonzero(~(losses <= limit))  # a loss that is no number is above any
    if not len(above):
        return distances[-1]
    k = above[0]
    if not np.isfinite(losses[k]):
        return distances[k - 1]
    return np.interp(limit, losses[k - 1 : k + 1], distances[k - 1 : k + 1])


def _array(variable):
    return keras.ops.convert_to_numpy(variable.value)


def _is_kernel(variable):
    return len(variable.shape) > 1  # biases, scales and shifts are vectors


def _kernels(model):
    """Return the arrays that a direction moves, in float64."""
    return [_array(v).astype("float64") for v in model.trainable_variables if _is_kernel(v)]


def _draw(model, seed):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=kernel.shape) for kernel in _kernels(model)]


def _norm(arrays):
    return np.sqrt(sum(np.sum(np.square(array)) for array in arrays))


def _filter_norms(kernel):
    """Return the Euclidean norm of each ``kernel[..., channel]``, (channels,)."""
    return np.sqrt(np.sum(np.square(kernel), axis=tuple(range(kernel.ndim - 1))))


def _whole(model, kernels):
    """Put zeros between the kernels' arrays, where a direction has biases, scales and shifts."""
    kernels = iter(kernels)
    variables = model.trainable_variables
    return [next(kernels).astype("float32") if _is_kernel(v) else np.zeros(v.shape, "float32") for v in variables]


def _moved(centre, directions, steps):
    """Return the weights at a point: the centre plus each direction times its step."""
    moved = [array.copy() for array in centre]
    for direction, step in zip(directions, steps, strict=True):
        for weights, part in zip(moved, direction, strict=True):
            weights += np.float32(step) * part
    return moved


def _measure(model, x, y, statistics, batch_size):
    """Return a function of weights, a list of arrays, that returns mean loss and error over the images."""
    state = [variable.value for variable in model.non_trainable_variables]
    x, y = np.asarray(x, "float32"), np.asarray(y, "int32")
    batches = [(x[i : i + batch_size], y[i : i + batch_size]) for i in range(0, len(x), batch_size)]
    batches = [tuple(keras.ops.convert_to_tensor(array) for array in batch) for batch in batches]
    sums = _compiled_sums(model, statistics == "batch", state, *batches[0])

    def measure(weights):
        weights = [keras.ops.convert_to_tensor(array) for array in weights]
        found = [sums(weights, state, images, labels) for images, labels in batches]
        return np.sum([[float(loss), float(wrong)] for loss, wrong in found], axis=0) / len(x)

    return measure


# Model: {what it was compiled for: the function}. An entry ends with its model, and what a function computes does not
# hang on who called it before: weights and statistics are arguments. A model keeps its variables for as long as it
# lives, so no other variable can have an id that stands in one of its keys.
_COMPILED = weakref.WeakKeyDictionary()


def _compiled_sums(model, training, state, images, labels):
    """Return a compiled function of weights, state, images and labels: the sums of their losses and errors.

    It is kept for as long as the model is, as compiling a deep net takes longer than a point of a slice.
    """
    kept, key = _COMPILED.setdefault(model, {}), (training, tuple(images.shape), *map(id, model.trainable_variables))
    if key in kept:
        return kept[key]
    from_logits, net = puts_out_logits(model), weakref.ref(model)  # what is kept must not keep the model

    def sums(weights, state, images, labels):
        outputs, _ = net().stateless_call(weights, state, images, training=training)
        outputs = keras.ops.cast(outputs, "float32")
        loss = keras.ops.sparse_categorical_crossentropy(labels, outputs, from_logits=from_logits)
        wrong = keras.ops.cast(keras.ops.argmax(outputs, axis=-1), "int32") != labels
        return keras.ops.sum(loss), keras.ops.sum(keras.ops.cast(wrong, "float32"))

    weights = [variable.value for variable in model.trainable_variables]
    kept[key] = backend.compiled(sums, weights, state, images, labels)
    return kept[key]


def _steps(name, steps):
    steps = np.asarray(steps, "float64")
    if steps.ndim != 1 or not len(steps) or not np.isfinite(steps).all():
        shown = f"an array {steps.shape}" + ("" if np.isfinite(steps).all() else " with nan or infinity in it")
        raise ValueError(f"{name} must be a list of one finite number or more. Received: {shown}.")
    return steps


def _check_images(x, y, batch_size):
    if np.ndim(x) != 4 or np.shape(y) != np.shape(x)[:1] or not len(x):
        raise ValueError(f"x must be (N, H, W, C) and y (N,). Received: x {np.shape(x)}, y {np.shape(y)}.")
    if batch_size < 1 or (len(x) > batch_size and len(x) % batch_size):
        raise ValueError(
            f"The number of images must be a multiple of batch_size, or not more than it. Received: {len(x)} images, "
            f"batch_size={batch_size}."
        )


def _check_directions(model, directions, betas):
    wanted = [tuple(variable.shape) for variable in model.trainable_variables]
    if len(directions) != (1 if betas is None else 2):
        raise ValueError(
            "Give a list of one direction with alphas alone, of two with alphas and betas. "
            f"Received: {len(directions)} directions, betas={'None' if betas is None else 'given'}."
        )
    for direction in directions:
        received = [np.shape(part) for part in direction]
        if received != wanted:
            raise ValueError(
                f"A direction must have an array for each of the model's {len(wanted)} trainable variables, in its "
                f"shape. Received: {len(received)} arrays{_first_difference(received, wanted)}. Make one by "
                "filter_direction(model, seed)."
            )


def _first_difference(received, wanted):
    pairs = enumerate(zip(received, wanted, strict=False))
    return next((f"; number {n} is {a}, not {b}" for n, (a, b) in pairs if a != b), "")


def _digests(model, x, y, directions, alphas, betas, statistics, batch_size):
    """Return what tells this slice from others: names, in words for an error, and SHA-256 digests.

    Backend and precision are among them, as each rounds in its own way: no slice is to mix two of them.
    """
    parts = {
        "weights": [_array(variable) for variable in model.variables],
        "directions": [part for direction in directions for part in direction],
        "images": [np.asarray(x, "float32")],
        "labels": [np.asarray(y, "int32")],
        "alphas": [alphas],
        "betas": [] if betas is None else [betas],
        "statistics": [np.array(STATISTICS.index(statistics))],
        "batch size": [np.array(batch_size)],
        "backend": [np.array(backend.BACKEND)],
        "precision": [np.array([layer.compute_dtype for layer in model.layers])],
    }
    return {name: digest(arrays) for name, arrays in parts.items()}
