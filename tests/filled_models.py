"""Fill a model with weights far from its initial ones, and call it."""

import math

from resnet_lessons import models
from resnet_lessons.specs import Spec

import keras
import numpy as np
from keras import ops

SMALL = {"width": 4, "input_shape": (8, 8, 3)}


def net(family, depth, **choices):
    """Build a small network of these choices and fill it."""
    model = models.build(Spec(family, depth, **SMALL | choices))
    randomize(model, np.random.default_rng(0))
    return model


def in_bfloat16(build, model):
    """Return what ``build`` makes, with the weights of ``model``, computing in bfloat16."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        other = build()
    finally:
        keras.config.set_dtype_policy(before)
    other.set_weights(model.get_weights())
    return other


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
