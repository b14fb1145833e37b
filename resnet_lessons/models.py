"""From a ``Spec`` to a keras.Model: the CIFAR-10 nets of both papers and the Keras example, and the ImageNet family.

He et al. 2015, Sec. 4.2 and Table 1; He et al. 2016, appendix. Lesson 01 builds plain nets, 02 and 03 version 1, 04 the
ImageNet family, 05 version 2.
"""

import collections
import numbers

from resnet_lessons import blocks
from resnet_lessons.specs import Spec, at_least, image_shape

import keras
from keras import layers


def build(spec):
    """Build the network that ``spec`` describes, with fresh weights.

    Style "paper" outputs logits, style "keras-example" probabilities. Under a mixed dtype policy the last layer stays
    float32.

    Args:
        spec: a ``specs.Spec``.

    Returns:
        A keras.Model from (B, H, W, C) to (B, num_classes).

    Raises:
        TypeError: if ``spec`` is not a ``Spec``.
    """
    if not isinstance(spec, Spec):
        raise TypeError(f'spec must be a Spec, such as Spec("v1", 20). Received: {spec!r} ({type(spec).__name__}).')
    inputs = keras.Input(spec.input_shape, name="image")
    x = _stem(inputs, spec)
    for stage in range(1, 4):
        x = _stage(x, stage, spec)
    x = blocks.norm_relu(x, blocks.ORDERS[spec.order].before, spec.style, "final", collections.Counter())
    return keras.Model(inputs, _HEADS[spec.style](x, spec), name=spec.name.replace("-", "_"))


def plain(depth, **kwargs):
    """Build a plain net: ``build(Spec("plain", depth, **kwargs))``."""
    return build(Spec("plain", depth, **kwargs))


def resnet_v1(depth, **kwargs):
    """Build a ResNet of the first paper: ``build(Spec("v1", depth, **kwargs))``."""
    return build(Spec("v1", depth, **kwargs))


def resnet_v2(depth, **kwargs):
    """Build a ResNet of the second paper: ``build(Spec("v2", depth, **kwargs))``."""
    return build(Spec("v2", depth, **kwargs))


def _stem(x, spec):
    # A pre-activated net needs its first activation here, before the paths split (He 2016, appendix); so stage1_block1
    # has none of its own.
    x = blocks.conv(x, spec.width, 3, 1, spec.style, "stem_conv1")
    return blocks.norm_relu(x, "bn relu", spec.style, "stem", collections.Counter())


def _stage(x, stage, spec):
    for block in range(1, spec.n + 1):
        unit = blocks.Unit(
            name=f"stage{stage}_block{block}",
            width=spec.inner_widths[stage - 1],
            outer=spec.outer_widths[stage - 1],
            stride=2 if stage > 1 and block == 1 else 1,
            activated=(stage, block) == (1, 1),
            block=spec.block,
            shortcut=spec.shortcut,
            skip=spec.skip,
            order=spec.order,
            style=spec.style,
        )
        x = blocks.unit(x, unit)
    return x


def _paper_head(x, spec):
    # Small weights instead of He's: residual sums grow with depth, and the first loss should be near ln(num_classes).
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    small = keras.initializers.RandomNormal(stddev=0.01)
    return layers.Dense(spec.num_classes, kernel_initializer=small, dtype="float32", name="logits")(x)


def _keras_example_head(x, spec):
    x = layers.Flatten(name="flatten")(layers.AveragePooling2D(8, name="pool")(x))
    return layers.Dense(
        spec.num_classes, activation="softmax", kernel_initializer="he_normal", dtype="float32", name="probabilities"
    )(x)


_HEADS = {"paper": _paper_head, "keras-example": _keras_example_head}


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
    if shortcut not in ("A", "B", "C") or stride_in not in ("1x1", "3x3"):
        raise ValueError(
            'shortcut must be "A", "B" or "C" and stride_in "1x1" or "3x3". '
            f"Received: shortcut={shortcut!r}, stride_in={stride_in!r}."
        )
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
