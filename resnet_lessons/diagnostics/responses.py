"""How large the signals are that a network's layers put out."""

from resnet_lessons import backend  # noqa: F401 - loads Keras without its start-up messages

import keras
import numpy as np

from .units import BATCH, main_convolutions


def layer_responses(model, x):
    """Measure the standard deviation of each convolution's response, over images, pixels and channels.

    As in He et al. 2015, Fig. 7: after the batch norm that follows the convolution, before ReLU and addition. Where
    none follows it, as in pre-activated units, the convolution's own output is taken.

    Args:
        model: a network of ``models.build``.
        x: (B, H, W, C) float32, normalized as for training.

    Returns:
        The names of the convolutions from first to last, and the standard deviations in inference mode, (L,) float64.
        Those on shortcuts and gates are not among them.
    """
    convolutions = main_convolutions(model)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    followed_by = {norm.input.name: norm for norm in norms}
    tensors = [followed_by.get(layer.output.name, layer).output for layer in convolutions]
    outputs = keras.Model(model.input, tensors)
    sums = np.zeros((3, len(tensors)))  # count, sum, sum of squares
    for start in range(0, len(x), BATCH):
        for number, part in enumerate(outputs(x[start : start + BATCH], training=False)):
            values = keras.ops.convert_to_numpy(part).astype("float64")
            sums[:, number] += values.size, values.sum(), np.square(values).sum()
    mean = sums[1] / sums[0]
    return [layer.name for layer in convolutions], np.sqrt(sums[2] / sums[0] - mean**2)
