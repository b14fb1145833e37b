"""How strongly each layer responds: He et al. 2015, Sec. 4.2, "Analysis of Layer Responses", and Fig. 7."""

from resnet_lessons import backend  # noqa: F401 - loads Keras without its start-up messages

import keras
import numpy as np


def layer_responses(model, x, batch_size=100):
    """Measure the standard deviation of each 3x3 convolution's response, in inference mode.

    The response is taken after batch norm and before what comes next, a ReLU or the addition. Where no batch norm
    follows, as behind the last convolution of a pre-activated branch, it is the convolution's own output.

    Args:
        model: a net of ``models.build``; left as it was.
        x: (N, H, W, C) images, normalized as for training.
        batch_size: images at a time.

    Returns:
        The names of the 3x3 convolutions, first to last, and the standard deviations over all images, pixels and
        channels, (L,) float64.

    Raises:
        ValueError: if there are no images.
    """
    if len(x) == 0:
        raise ValueError("x must hold at least one image. Received: none.")
    convs = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D) and layer.kernel_size == (3, 3)]
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    after = [next((norm for norm in norms if norm.input is conv.output), conv) for conv in convs]
    probe = keras.Model(model.input, [layer.output for layer in after])
    counts, sums, squares = np.zeros((3, len(convs)))
    for start in range(0, len(x), batch_size):
        outputs = probe(x[start : start + batch_size], training=False)
        outputs = [keras.ops.convert_to_numpy(output).astype("float64") for output in outputs]
        counts += [output.size for output in outputs]
        sums += [output.sum() for output in outputs]
        squares += [np.square(output).sum() for output in outputs]
    variances = squares / counts - np.square(sums / counts)
    return [conv.name for conv in convs], np.sqrt(np.maximum(variances, 0))
