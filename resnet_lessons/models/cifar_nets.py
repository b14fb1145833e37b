"""From a ``Spec`` to a keras.Model: the CIFAR-10 nets of both papers and of the Keras example.

He et al. 2015, Sec. 4.2; He et al. 2016, appendix. Lesson 01 builds plain nets, 02 and 03 version 1, 05 version 2.
"""

import collections

from resnet_lessons import blocks
from resnet_lessons.specs import Spec

import keras
from keras import layers


def build(spec):
    """Build the network that ``spec`` describes, with fresh weights.

    Style "paper" outputs logits, style "keras-example" probabilities. Under a mixed dtype policy the last layer stays
    float32. A fresh net of style "paper" guesses: its loss is near ln(num_classes), 2.30 for ten classes. Style
    "keras-example" keeps that script's larger classifier, so that its ResNet-20 v1 starts at a loss of 4 to 6,
    its ResNet-20 v2, whose features are normalized last, at 2.4 to 2.6.

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
