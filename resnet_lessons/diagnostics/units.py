"""Take a trained net's units out or swap them, and put everything back.

Both are done by the weights alone, so the net keeps its layers. Veit, Wilber, Belongie 2016 (arXiv 1605.06431),
*Residual Networks Behave Like Ensembles of Relatively Shallow Networks*, Sec. 4.1 to 4.3.
"""

import contextlib
import itertools
import re

from resnet_lessons import backend  # noqa: F401 - loads Keras without its start-up messages

import keras
import numpy as np


def unit_names(model):
    """List the units of a net of ``models.build``, first to last: "stage1_block1" and so on.

    Raises:
        ValueError: for a model without such units.
    """
    names = [match[1] for layer in model.layers if (match := re.fullmatch(r"(stage\d+_block\d+)_conv1", layer.name))]
    if not names:
        raise ValueError(
            f"The model must be one of models.build, with units named stage1_block1 and on. Received: {model.name!r}."
        )
    return names


@contextlib.contextmanager
def removed(model, unit):
    """Remove one unit while the block runs; the model is then as it was, after an exception too.

    A residual unit's branch gives zero, so that its shortcut alone is left. A plain pair passes on its input in the way
    that shortcut A would: where it halves the feature map, every second pixel, with channels of zeros appended. For use
    in inference mode, on float32 nets.

    Args:
        model: a net of ``models.build``.
        unit: its name, such as "stage2_block3".

    Raises:
        ValueError: for a unit that the model does not have, and for a plain pair that pads its images unevenly.
    """
    names = unit_names(model)
    if unit not in names:
        raise ValueError(f"unit must be one of {names[0]} to {names[-1]}. Received: {unit!r}.")
    layers = _layers_of(model, unit)
    convs = [layer for layer in layers if re.fullmatch(rf"{unit}_conv\d+", layer.name)]
    residual = any(layer.name == f"{unit}_add" for layer in layers)
    with _put_back(layers):
        for conv in convs[-1:] if residual else convs:
            _silence(model, conv) if residual else _pass_on(model, conv)
        yield


def lesion(model, x, y, batch_size=100):
    """Measure the error with each unit removed in turn (Veit et al. 2016, Sec. 4.1).

    What lies before a stage is computed once for all units of that stage.

    Args:
        model: a net of ``models.build``, trained; left as it was.
        x: (N, H, W, C) images, normalized as for training.
        y: (N,) labels.
        batch_size: images at a time.

    Returns:
        The units' names, first to last, and the share of images classified wrongly without each, (U,) float64.
    """
    names, errors, before = unit_names(model), [], model.input
    for stage, units in itertools.groupby(names, lambda name: name.split("_")[0]):
        start = stage_input(model, stage)
        x = _run(keras.Model(before, start), x, batch_size)
        before, rest = start, keras.Model(start, model.output)
        for unit in units:
            with removed(model, unit):
                errors.append(_error(rest, x, y, batch_size))
    return names, np.array(errors)


def shuffle_blocks(model, x, y, swaps, seed=0, batch_size=100):
    """Swap units of the same shape within their stages, and measure the error (Veit et al. 2016, Sec. 4.3).

    Each swap takes two units at random from those whose weights have the same shapes; a stage is drawn in proportion to
    how many such pairs it has.

    Args:
        model: a net of ``models.build``, trained; left as it was, after an exception too.
        x: (N, H, W, C) images, normalized as for training.
        y: (N,) labels.
        swaps: how many, 0 or more.
        seed: which.
        batch_size: images at a time.

    Returns:
        Kendall's rank correlation of the new order with the old, over the pairs that could be swapped: 1 for the order
        of training, -1 for its reverse; and the share of images classified wrongly.

    Raises:
        ValueError: for a number of swaps below 0, and for a net in which no two units have the same shapes.
    """
    if swaps < 0:
        raise ValueError(f"swaps must be 0 or more. Received: {swaps}.")
    groups = _interchangeable(model)
    pairs = [
        (group, pair) for group in range(len(groups)) for pair in itertools.combinations(range(len(groups[group])), 2)
    ]
    if not pairs:
        raise ValueError(f"No two units of {model.name} have the same shapes, so none can be swapped.")
    orders = [list(range(len(group))) for group in groups]  # orders[g][place] is the unit that stands there
    rng = np.random.default_rng(seed)
    for _ in range(swaps):
        group, (a, b) = pairs[rng.integers(len(pairs))]
        orders[group][a], orders[group][b] = orders[group][b], orders[group][a]
    signs = [np.sign(orders[group][b] - orders[group][a]) for group, (a, b) in pairs]
    layers = [[_layers_of(model, unit) for unit in group] for group in groups]
    with _put_back(itertools.chain(*itertools.chain(*layers))):
        weights = [[_weights(unit) for unit in group] for group in layers]
        for group, order in enumerate(orders):
            for place, unit in enumerate(order):
                _assign(layers[group][place], weights[group][unit])
        return float(np.mean(signs)), _error(model, x, y, batch_size)


def stage_input(model, stage):
    """Return the symbolic tensor that enters a stage such as "stage2"."""
    first = model.get_layer(f"{stage}_block1_conv1")
    position = model.layers.index(first)
    earlier = [layer for layer in model.layers[:position] if not layer.name.startswith(f"{stage}_")]
    return earlier[-1].output


def _layers_of(model, unit):
    return [layer for layer in model.layers if layer.name.startswith(f"{unit}_")]


def _weights(layers):
    return [[keras.ops.convert_to_numpy(w).copy() for w in layer.weights] for layer in layers]


def _assign(layers, weights):
    for layer, values in zip(layers, weights, strict=True):
        for variable, value in zip(layer.weights, values, strict=True):
            variable.assign(value)


@contextlib.contextmanager
def _put_back(layers):
    """Give layers back the weights they had before."""
    layers = list(layers)
    before = _weights(layers)
    try:
        yield
    finally:
        _assign(layers, before)


def _norm_after(model, conv):
    """Return the batch norm that takes a convolution's output, or None."""
    norms = (layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization))
    return next((layer for layer in norms if layer.input is conv.output), None)


def _silence(model, conv):
    """Make a convolution, or the batch norm behind it, give zero."""
    norm = _norm_after(model, conv)
    layer = conv if norm is None else norm
    for variable in layer.trainable_variables:  # kernel and bias, or gamma and beta
        variable.assign(np.zeros(variable.shape))


def _pass_on(model, conv):
    """Make a convolution and its batch norm give their input's pixels, channels of zeros appended.

    The kernel has a one at its centre from each channel to itself; the batch norm neither shifts nor scales.
    """
    height, width, channels, filters = conv.kernel.shape
    if max(conv.strides) > 1 and conv.padding == "same":  # whose windows TensorFlow centres on pixels 1, 3, 5
        raise ValueError(f"{conv.name} is padded unevenly, so its windows are not centred on pixels 0, 2, 4.")
    kernel = np.zeros(conv.kernel.shape)
    kernel[height // 2, width // 2] = np.eye(channels, filters)
    conv.kernel.assign(kernel)
    if conv.use_bias:
        conv.bias.assign(np.zeros(conv.bias.shape))
    norm = _norm_after(model, conv)
    for variable, value in ((norm.gamma, 1), (norm.beta, 0), (norm.moving_mean, 0)):
        variable.assign(np.full(variable.shape, value))
    norm.moving_variance.assign(np.full(norm.moving_variance.shape, 1 - norm.epsilon))


def _interchangeable(model):
    """Group the units by stage and shapes of weights, in order; groups of one are left out."""
    groups = {}
    for unit in unit_names(model):
        shapes = tuple(tuple(w.shape) for layer in _layers_of(model, unit) for w in layer.weights)
        strides = tuple(getattr(layer, "strides", None) for layer in _layers_of(model, unit))
        groups.setdefault((unit.split("_")[0], shapes, strides), []).append(unit)
    return [group for group in groups.values() if len(group) > 1]


def _run(model, x, batch_size):
    """Return the model's output for all of x, in inference mode, (N, ...).

    ``predict`` would compile each of the many small models that are run here once or twice.
    """
    parts = range(0, len(x), batch_size)
    return np.concatenate(
        [keras.ops.convert_to_numpy(model(x[start : start + batch_size], training=False)) for start in parts]
    )


def _error(model, x, y, batch_size):
    return float(np.mean(_run(model, x, batch_size).argmax(axis=1) != y))
