"""The networks of the ImageNet experiments: ResNets of 18 to 152 layers, their plain twins, and VGG-19.

He et al. 2015, Table 1 and Fig. 3. Lesson 04 builds and counts them.
"""

import collections
import numbers

from resnet_lessons import blocks
from resnet_lessons.specs import SHORTCUTS, at_least, image_shape

import keras
from keras import layers

# He et al. 2015, Table 1: block and units in each of the four stages.
IMAGENET = {
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
    152: ("bottleneck", (3, 8, 36, 3)),
}


def imagenet(depth, *, plain=False, shortcut="B", stride_in="1x1", input_shape=(224, 224, 3), num_classes=1000):
    """Build a ResNet for ImageNet, or a plain net of the same depth (He 2015, Fig. 3 and Table 1).

    Args:
        depth: 18, 34, 50, 101 or 152.
        plain: leave the shortcuts out; the paper has 18 and 34 so.
        shortcut: "A", "B" or "C", as in ``Spec``.
        stride_in: which convolution of a bottleneck has the stride, "1x1" as in the paper or "3x3" as many later nets.
        input_shape: (height, width, channels).
        num_classes: length of the output vector.

    Returns:
        A keras.Model from (B, *input_shape) to logits (B, num_classes).

    Raises:
        ValueError: for a depth, shortcut or stride_in that the family lacks, or another value of the wrong kind.
    """
    if not isinstance(depth, numbers.Integral) or isinstance(depth, bool) or depth not in IMAGENET:
        raise ValueError(f"depth must be one of {', '.join(map(str, IMAGENET))}. Received: {depth!r}.")
    for name, value, allowed in (("shortcut", shortcut, SHORTCUTS), ("stride_in", stride_in, ("1x1", "3x3"))):
        if value not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}. Received: {value!r}.")
    if not isinstance(plain, bool):
        raise ValueError(f"plain must be True or False. Received: {plain!r}.")
    num_classes = at_least("num_classes", num_classes, 2)
    block, units = IMAGENET[depth]
    inputs = keras.Input(image_shape(input_shape), name="image")
    x = _imagenet_stem(inputs)
    for stage, count in enumerate(units, start=1):
        for number in range(1, count + 1):
            unit = blocks.Unit(
                name=f"stage{stage}_block{number}",
                width=32 * 2**stage,
                stride=2 if stage > 1 and number == 1 else 1,
                block=block,
                shortcut=None if plain else shortcut,
                stride_in=stride_in,
            )
            x = blocks.unit(x, unit)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    outputs = layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.Model(inputs, outputs, name=f"{'plain' if plain else 'resnet'}_{depth}_imagenet")


def _imagenet_stem(x):
    x = blocks.conv(x, 64, 7, 2, "paper", "stem_conv1")
    x = blocks.norm_relu(x, "bn relu", "paper", "stem", collections.Counter())
    x = layers.ZeroPadding2D(1, name="stem_pool_pad")(x)  # zeros are neutral: a ReLU comes before
    return layers.MaxPooling2D(3, 2, name="stem_pool")(x)


def vgg19():
    """Build VGG-19, the reference of He 2015's Table 1 and Fig. 3, from (B, 224, 224, 3) to logits (B, 1000).

    Simonyan and Zisserman 2014 (arXiv 1409.1556), Table 1, column E.
    """
    x = inputs = keras.Input((224, 224, 3), name="image")
    for stage, (convs, filters) in enumerate([(2, 64), (2, 128), (4, 256), (4, 512), (4, 512)], start=1):
        for number in range(1, convs + 1):
            x = layers.Conv2D(
                filters,
                3,
                padding="same",
                activation="relu",
                kernel_initializer="he_normal",
                name=f"stage{stage}_conv{number}",
            )(x)
        x = layers.MaxPooling2D(2, name=f"stage{stage}_pool")(x)
    x = layers.Flatten(name="flatten")(x)
    for number in (1, 2):
        x = layers.Dense(4096, activation="relu", name=f"dense{number}")(x)
        x = layers.Dropout(0.5, name=f"dropout{number}")(x)
    return keras.Model(inputs, layers.Dense(1000, dtype="float32", name="logits")(x), name="vgg_19")
