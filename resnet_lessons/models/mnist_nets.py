"""Two networks for MNIST: that of a TensorFlow 1 tutorial, its faults included, and what is left when they are mended.

Lesson 06 rebuilds the first, finds its faults one by one, and ends with the second.
"""

import collections

from resnet_lessons import blocks

import keras
from keras import layers

MNIST_SHAPE = (28, 28, 1)
MNIST_WIDTHS = (16, 32, 64)  # of the three stages of ``mnist``, on maps of 14x14, 7x7 and 4x4


def _initial():
    """Return initial values as tutorials of its day had them, anew for each layer: one object repeats its numbers."""
    return {
        "kernel_initializer": keras.initializers.TruncatedNormal(stddev=0.1),
        "bias_initializer": keras.initializers.Constant(0.1),
    }


@keras.saving.register_keras_serializable(package="resnet_lessons")
class Bias(layers.Layer):
    """Add one trainable number to each channel, 0.1 at first; the shape stays."""

    def build(self, input_shape):
        """Create the numbers, (C,)."""
        self.bias = self.add_weight((input_shape[-1],), keras.initializers.Constant(0.1), name="bias")

    def call(self, inputs):
        """Map (B, H, W, C) to the same shape."""
        return inputs + keras.ops.cast(self.bias, inputs.dtype)


def mnist_tutorial():
    """Build the tutorial's network as it is: bottlenecks with biases and without batch norm, probabilities at its end.

    208,970 parameters, if every unit, the one that projects too, has a second bias after its addition, the projection
    has no bias, and both max-poolings halve the map, so that 7 * 7 * 32 values reach the dense layer.

    Returns:
        A keras.Model from (B, 28, 28, 1) to probabilities (B, 10).
    """
    inputs = keras.Input(MNIST_SHAPE, name="image")
    x = layers.Conv2D(16, 3, padding="same", activation="relu", name="stem_conv1", **_initial())(inputs)
    x = layers.MaxPooling2D(2, name="stem_pool")(x)
    for number in range(1, 5):
        x = _tutorial_unit(x, 8, 16, f"stage1_block{number}")
    x = _tutorial_unit(x, 16, 32, "stage2_block1")
    x = layers.Flatten(name="flatten")(layers.MaxPooling2D(2, name="pool")(x))
    x = layers.Dense(128, activation="relu", name="dense1", **_initial())(x)
    outputs = layers.Dense(10, activation="softmax", dtype="float32", name="probabilities", **_initial())(x)
    return keras.Model(inputs, outputs, name="mnist_tutorial")


def _tutorial_unit(x, inner, outer, name):
    """Build relu(x' + relu(F(x)) + bias): (B, H, W, C) to (B, H, W, outer), where x' is x, or x by the third kernel."""
    y = layers.Conv2D(inner, 1, activation="relu", name=f"{name}_conv1", **_initial())(x)
    y = layers.Conv2D(inner, 3, padding="same", activation="relu", name=f"{name}_conv2", **_initial())(y)
    third = layers.Conv2D(outer, 1, use_bias=False, name=f"{name}_conv3", **_initial())
    y = layers.ReLU(name=f"{name}_relu3")(Bias(name=f"{name}_bias3")(third(y)))  # never negative: it can only add
    if x.shape[-1] != outer:
        x = third(x)  # the third convolution's weights once more, and at stride 1 whatever stride is asked for
    x = Bias(name=f"{name}_bias4")(layers.Add(name=f"{name}_add")([x, y]))
    return layers.ReLU(name=f"{name}_relu4")(x)


def mnist():
    """Build a network for MNIST in the manner of He et al. 2015, Sec. 4.2: one basic unit in each of three stages.

    Two deviations: the map is halved after the first convolution too, and the shortcuts that change the dimensions
    are projections.

    Returns:
        A keras.Model from (B, 28, 28, 1) to logits (B, 10).
    """
    inputs = keras.Input(MNIST_SHAPE, name="image")
    x = blocks.conv(inputs, MNIST_WIDTHS[0], 3, 1, "paper", "stem_conv1")
    x = blocks.norm_relu(x, "bn relu", "paper", "stem", collections.Counter())
    x = layers.MaxPooling2D(2, name="stem_pool")(x)
    for stage, width in enumerate(MNIST_WIDTHS, start=1):
        unit = blocks.Unit(f"stage{stage}_block1", width, stride=1 if stage == 1 else 2, shortcut="B")
        x = blocks.unit(x, unit)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, layers.Dense(10, dtype="float32", name="logits")(x), name="mnist")
