"""Parameters and multiply-adds, twice: from a ``Spec`` by arithmetic, and from a built model layer by layer.

Multiply-adds are those of the convolutions and the classifier for one image, as in He et al. 2015, Table 1. The two
ways share no code, so that each tests the other. Nearly every lesson uses ``count`` or ``account``, lesson 04
also ``planned`` and, in its widget, ``branch_costs``.
"""

import dataclasses
import math
from concurrent.futures import ThreadPoolExecutor

from resnet_lessons import backend  # noqa: F401 - loads Keras without its start-up messages
from resnet_lessons.models import Bias
from resnet_lessons.specs import Spec

import keras


@dataclasses.dataclass(frozen=True)
class Count:
    """What a network costs.

    Args:
        parameters: what gradient descent trains: kernels, biases, batch norm's scales and shifts.
        statistics: batch norm's moving means and variances.
        multiply_adds: per image.
    """

    parameters: int
    statistics: int
    multiply_adds: int

    def __add__(self, other):
        return Count(*(a + b for a, b in zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)))

    def __mul__(self, times):
        return Count(*(times * value for value in dataclasses.astuple(self)))

    def __str__(self):
        return f"{self.parameters:,} parameters, {self.statistics:,} statistics, {self.multiply_adds:,} multiply-adds"


NOTHING = Count(0, 0, 0)


@dataclasses.dataclass(frozen=True)
class LayerCount:
    """What one layer costs, and where it stands.

    Args:
        name: the layer's name, such as "stage2_block3_conv1".
        kind: its class, such as "Conv2D".
        output_shape: of one image, such as (16, 16, 32); of a layer that is used several times, at its first use.
        count: its ``Count``: the parameters once, the multiply-adds as often as the layer is used.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    count: Count


@dataclasses.dataclass(frozen=True)
class Account:
    """A model's layers, each with its cost, and their sum."""

    layers: tuple[LayerCount, ...]

    @property
    def total(self):
        """The sum over all layers, a ``Count``."""
        return sum((layer.count for layer in self.layers), NOTHING)


def account(model):
    """Read parameters and multiply-adds off a built model, layer by layer.

    Args:
        model: a functional or Sequential keras.Model whose layers' output shapes are known but for the batch, such as
            ``models.build`` gives. A layer may be used several times.

    Returns:
        An ``Account``; exact, on any backend.

    Raises:
        ValueError: for a model not built yet, a layer without a known output shape, or a layer with weights whose
            multiply-adds no rule here counts.
    """
    if not isinstance(model, keras.Model) or not model.built:
        raise ValueError(f"account takes a built keras.Model. Received: {model!r}. Call it on a batch first.")
    return Account(tuple(_layer_count(layer, _output_shapes(layer, model)) for layer in model.layers))


def planned(build, *arguments, **keywords):
    """Account for the model that a function would build, without making its weights.

    The weights' shapes are all that counting needs, and VGG-19's values alone would take half a gigabyte.

    Args:
        build: a function that returns a model ``account`` takes, such as ``models.imagenet``.
        arguments: what to call it with.
        keywords: what to call it with, by name.

    Returns:
        An ``Account``, equal to ``account(build(*arguments, **keywords))``.

    Raises:
        ValueError: as for ``account``.
    """

    def build_and_account():
        with keras.StatelessScope(initialize_variables=False):
            return account(build(*arguments, **keywords))

    # Keras lists a thread's variables without values, and gives all of them theirs when next a layer builds itself.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(build_and_account).result()


def _layer_count(layer, shapes):
    parameters, statistics = _size(layer.weights) - _statistics(layer), _statistics(layer)
    multiply_adds = sum(_multiply_adds(layer, shape) for shape in shapes)
    return LayerCount(layer.name, type(layer).__name__, shapes[0], Count(parameters, statistics, multiply_adds))


def _output_shapes(layer, model):
    """Return the shape for one image, use by use; refuse a layer that has no place in a graph or no known size."""
    depths = getattr(getattr(model, "_functional", model), "_nodes_by_depth", {})  # Keras tells uses apart nowhere else
    uses = [node for nodes in depths.values() for node in nodes if node.operation is layer]
    shapes = [tuple(node.output_tensors[0].shape[1:]) for node in uses]
    if not shapes or any(None in shape for shape in shapes):
        raise ValueError(
            "account needs a functional or Sequential model whose layers' output shapes are known. "
            f"Received {layer.name!r}, a layer without. Build such a model, and give keras.Input the full image shape."
        )
    return shapes


def _size(variables):
    return sum(math.prod(variable.shape) for variable in variables)


def _statistics(layer):
    is_norm = isinstance(layer, keras.layers.BatchNormalization)
    return _size([layer.moving_mean, layer.moving_variance]) if is_norm else 0


def _multiply_adds(layer, output_shape):
    """Count one multiplication and addition per kernel weight and output position; biases and the rest are free."""
    if isinstance(layer, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense)):
        return math.prod(output_shape[:-1]) * math.prod(layer.kernel.shape)
    if layer.weights and not isinstance(layer, (keras.layers.BatchNormalization, Bias)):
        raise ValueError(
            f"account counts convolutions, dense layers and batch norm. Received a model with the layer "
            f"{layer.name!r} of class {type(layer).__name__}, whose multiply-adds it does not know."
        )
    return 0


def count(spec):
    """Compute parameters and multiply-adds from a ``Spec`` by arithmetic, without building anything.

    Args:
        spec: a ``specs.Spec``.

    Returns:
        A ``Count``, equal to ``account(models.build(spec)).total``.

    Raises:
        TypeError: if ``spec`` is not a ``Spec``.
    """
    if not isinstance(spec, Spec):
        raise TypeError(f'spec must be a Spec, such as Spec("v1", 20). Received: {spec!r} ({type(spec).__name__}).')
    height, width, channels = spec.input_shape
    area = height * width
    total = _conv(spec, 3, channels, spec.width, area) + _bn(spec.width)  # the stem
    channels = spec.width
    for stage, (inner, outer) in enumerate(zip(spec.inner_widths, spec.outer_widths, strict=True)):
        if stage > 0:
            height, width = (height + 1) // 2, (width + 1) // 2
            area = height * width
        first = _unit(spec, channels, inner, outer, area, activated=stage == 0, changes=stage > 0 or channels != outer)
        others = _unit(spec, outer, inner, outer, area, activated=False, changes=False)
        total += first + others * (spec.n - 1)
        channels = outer
    if spec.order == "full-pre":
        total += _bn(channels)
    pooled = (height // 8) * (width // 8) if spec.style == "keras-example" else 1  # pixels left by its 8x8 pooling
    features = channels * pooled
    return total + Count((features + 1) * spec.num_classes, 0, features * spec.num_classes)


def branch_costs(channels, convolutions, side):
    """Count what a branch of unstrided convolutions costs, without biases and batch norm.

    Args:
        channels: of the input.
        convolutions: (kernel size, filters) pairs, first to last.
        side: height and width of the feature map, pixels.

    Returns:
        Weights, multiply-adds for one image, and the values that the convolutions put out for one image.
    """
    weights = values = 0
    for kernel, filters in convolutions:
        weights += kernel**2 * channels * filters
        values += side**2 * filters
        channels = filters
    return weights, side**2 * weights, values


def _conv(spec, kernel, channels, filters, area, bias=None):
    weights = kernel**2 * channels * filters
    has_bias = spec.style == "keras-example" if bias is None else bias
    return Count(weights + filters * has_bias, 0, weights * area)


def _bn(channels):
    return Count(2 * channels, 2 * channels, 0)  # scale and shift; moving mean and variance


def _unit(spec, channels, inner, outer, area, activated, changes):
    return (
        _branch_convs(spec, channels, inner, outer, area)
        + _branch_norms(spec, channels, inner, outer, activated)
        + _shortcut(spec, channels, outer, area, changes)
        + _gate(spec, channels, outer, area)
    )


def _branch_convs(spec, channels, inner, outer, area):
    """Convolutions of the branch; the first is the strided one, so all of them give maps of ``area`` pixels."""
    if spec.block == "basic":
        return _conv(spec, 3, channels, inner, area) + _conv(spec, 3, inner, outer, area)
    return (
        _conv(spec, 1, channels, inner, area) + _conv(spec, 3, inner, inner, area) + _conv(spec, 1, inner, outer, area)
    )


def _branch_norms(spec, channels, inner, outer, activated):
    between = _bn(inner) * (1 if spec.block == "basic" else 2)
    if spec.order != "full-pre":
        return between + _bn(outer)  # after the last convolution or after the addition: both have ``outer`` channels
    return between if activated else between + _bn(channels)


def _shortcut(spec, channels, outer, area, changes):
    everywhere = spec.shortcut == "C" or spec.skip == "conv"
    if spec.shortcut is None or not (everywhere or (changes and spec.shortcut == "B")):
        return NOTHING
    projection = _conv(spec, 1, channels, outer, area)
    bare = spec.style == "keras-example" or spec.order in ("relu-pre", "full-pre")
    return projection if bare else projection + _bn(outer)


def _gate(spec, channels, outer, area):
    return _conv(spec, 1, channels, outer, area, bias=True) if spec.skip.endswith("gating") else NOTHING
