"""Gradients, layer by layer."""

from resnet_lessons import backend

import keras
import numpy as np

from .units import main_convolutions, puts_out_logits


def gradient_norms(model, x, y):
    """Measure the loss's gradient for every convolution kernel, on one batch in training mode.

    The model is left as it was. Its last layer decides whether the loss takes logits or probabilities.

    Args:
        model: a classifier that ends in a dense layer, such as ``models.build`` gives.
        x: (B, H, W, C) float32, normalized as for training.
        y: (B,) labels.

    Returns:
        The names of the convolutions from first to last, and their gradients' Euclidean norms, (L,) float64.
        Those on shortcuts, projections and gates, are not among them.

    Raises:
        ValueError: for a model that ends in neither logits nor probabilities.
    """
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=puts_out_logits(model))
    _, gradients = backend.gradients(model, x, y, loss)
    by_variable = {
        variable.path: np.linalg.norm(gradient.astype("float64"))
        for variable, gradient in zip(model.trainable_variables, gradients, strict=True)
    }
    convolutions = main_convolutions(model)
    norms = np.array([by_variable[layer.kernel.path] for layer in convolutions])
    return [layer.name for layer in convolutions], norms
