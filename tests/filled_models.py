"""Fill a model with weights far from its initial ones, and call it."""

import math

from resnet_lessons import backend  # noqa: F401 - loads Keras without its start-up messages

import numpy as np
from keras import ops


def randomize(model, rng):
    """Give every weight, biases and statistics included, a value far from trivial.

    Scales lie below 1, for in a residual net the shortcut adds as much again: signals that grew from unit to unit would
    drown what is wrong in the later ones.
    """
    for weight in model.weights:
        value = rng.normal(size=weight.shape).astype("float32")
        if weight.name == "kernel":
            value *= math.sqrt(2 / math.prod(weight.shape[:-1]))
        elif weight.name == "gamma":
            value = 0.7 * np.exp(0.2 * value)
        elif weight.name == "moving_variance":
            value = np.exp(0.5 * value)
        else:
            value *= 0.3
        weight.assign(value)


def output(model, x, **kwargs):
    """Call ``model`` and return a NumPy array."""
    return ops.convert_to_numpy(model(x, **kwargs))
