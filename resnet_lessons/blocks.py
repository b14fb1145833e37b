"""Residual units as functions on Keras tensors; a plain unit is the same without its shortcut.

He et al. 2015, Fig. 2 and 5, for the units, Sec. 3.3 for the shortcuts A and B, Sec. 4.1 for C; He et al. 2016, Fig. 2
and Table 1 for the shortcut variants, Fig. 4 and Table 2 for the activation orders. Lessons 02 to 06 build from
here.

Every layer's name says where it stands: ``stage2_block3_conv1``. Tensors are (B, H, W, C).
"""

import collections
import dataclasses

from resnet_lessons import backend

import keras
from keras import layers, ops


@dataclasses.dataclass(frozen=True)
class Style:
    """What the papers' networks and the Keras example's do differently throughout."""

    conv_bias: bool
    momentum: float  # of the moving statistics; Keras's own 0.99 leaves them stale after a short run
    epsilon: float
    paper_padding: bool  # see conv
    paper_projection: bool  # see projected


STYLES = {
    "paper": Style(conv_bias=False, momentum=0.9, epsilon=1e-5, paper_padding=True, paper_projection=True),
    "keras-example": Style(conv_bias=True, momentum=0.99, epsilon=1e-3, paper_padding=False, paper_projection=False),
}


@dataclasses.dataclass(frozen=True)
class Order:
    """Which layers stand before the branch, between its convolutions, after the last, and after the addition."""

    before: str
    between: str
    last: str
    after: str


# He et al. 2016, Fig. 4 (a) to (e).
ORDERS = {
    "original": Order(before="", between="bn relu", last="bn", after="relu"),
    "bn-after-add": Order(before="", between="bn relu", last="", after="bn relu"),
    "relu-before-add": Order(before="", between="bn relu", last="bn relu", after=""),
    "relu-pre": Order(before="relu", between="bn relu", last="bn", after=""),
    "full-pre": Order(before="bn relu", between="bn relu", last="", after=""),
}


@dataclasses.dataclass(frozen=True)
class Unit:
    """Say where one unit stands and what it is made of; the fields mean what they mean in ``specs.Spec``.

    Args:
        name: such as "stage2_block3".
        width: inner channels; a bottleneck ends in four times as many unless ``outer`` says otherwise.
        outer: channels of the output; None for the block's own.
        stride: 2 where the unit halves the feature map, else 1.
        activated: whether the input is normalized and rectified already, so that a pre-activated unit need not.
        block: "basic" or "bottleneck".
        shortcut: "A", "B" or "C"; None makes the unit plain.
        skip: a key of ``SKIPS``.
        order: a key of ``ORDERS``.
        style: a key of ``STYLES``.
        stride_in: which convolution of a bottleneck has the stride: the first "1x1", as in the paper, or the "3x3".
    """

    name: str
    width: int
    outer: int | None = None
    stride: int = 1
    activated: bool = False
    block: str = "basic"
    shortcut: str | None = None
    skip: str = "identity"
    order: str = "original"
    style: str = "paper"
    stride_in: str = "1x1"

    @property
    def kernels(self):
        """The unit's convolutions as (kernel size, filters, stride): He 2015, Fig. 5."""
        if self.block == "basic":
            return ((3, self.width, self.stride), (3, self.filters, 1))
        first, second = (self.stride, 1) if self.stride_in == "1x1" else (1, self.stride)
        return ((1, self.width, first), (3, self.width, second), (1, self.filters, 1))

    @property
    def filters(self):
        """Channels of the unit's output."""
        return self.outer or self.width * (4 if self.block == "bottleneck" else 1)


def conv(x, filters, kernel, stride, style, name, bias=None):
    """Convolve (B, H, W, C) to (B, ceil(H/stride), ceil(W/stride), filters), He-initialised.

    In style "paper" a strided convolution is padded alike on every side, as in the authors' own code. Its windows are
    then centred on pixels 0, 2, 4, ..., the ones that a strided shortcut picks; TensorFlow's "same" would centre
    them on 1, 3, 5, ...
    """
    padding = "same"
    if STYLES[style].paper_padding and stride > 1 and kernel > 1:
        x = layers.ZeroPadding2D(kernel // 2, name=name.replace("conv", "pad"))(x)
        padding = "valid"
    return layers.Conv2D(
        filters,
        kernel,
        strides=stride,
        padding=padding,
        use_bias=STYLES[style].conv_bias if bias is None else bias,
        kernel_initializer="he_normal",
        name=name,
    )(x)


def batch_norm(x, style, name):
    """Normalize each channel; the shape stays."""
    return backend.BatchNormalization(momentum=STYLES[style].momentum, epsilon=STYLES[style].epsilon, name=name)(x)


def norm_relu(x, tokens, style, name, count):
    """Apply the layers that ``tokens`` lists, such as "bn relu", numbered on from ``count``; the shape stays."""
    for token in tokens.split():
        count[token] += 1
        label = f"{name}_{token}{count[token]}"
        x = batch_norm(x, style, label) if token == "bn" else layers.ReLU(name=label)(x)
    return x


def unit(x, u):
    """Build one unit: after(F(before(x)) + shortcut(x)).

    Args:
        x: (B, H, W, C).
        u: the ``Unit`` to build.

    Returns:
        (B, ceil(H/stride), ceil(W/stride), u.filters).
    """
    order = ORDERS[u.order]
    count = collections.Counter()
    if u.activated:
        count.update(order.before.split())  # a bn2 stands before conv2 in every pre-activated unit
        activated = x
    else:
        activated = norm_relu(x, order.before, u.style, u.name, count)
    y = branch(activated, u, count)
    if u.shortcut is not None:
        y = SKIPS[u.skip](shortcut(x, activated, u), y, activated, u)
        y = layers.Add(name=f"{u.name}_add")(y)
    return norm_relu(y, order.after, u.style, u.name, count)


def branch(x, u, count):
    """Build F: the unit's convolutions with what stands between them and after the last one."""
    order = ORDERS[u.order]
    for number, (kernel, filters, stride) in enumerate(u.kernels, start=1):
        x = conv(x, filters, kernel, stride, u.style, f"{u.name}_conv{number}")
        x = norm_relu(x, order.last if number == len(u.kernels) else order.between, u.style, u.name, count)
    return x


def shortcut(x, activated, u):
    """Build the shortcut: x itself where the dimensions allow it, else what ``SHORTCUTS`` holds.

    A convolution on every shortcut (He 2016, Table 1) is what the first paper calls option C.
    """
    if u.skip == "conv" or u.shortcut == "C":
        return projected(x, activated, u)
    if u.stride == 1 and x.shape[-1] == u.filters:
        return x
    return SHORTCUTS[u.shortcut](x, activated, u)


@keras.saving.register_keras_serializable(package="resnet_lessons")
class ZeroPadShortcut(layers.Layer):
    """Shortcut A: keep every ``stride``-th pixel and append channels of zeros; no weights (He 2015, Sec. 3.3)."""

    def __init__(self, filters, stride, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.stride = stride

    def call(self, inputs):
        """Map (B, H, W, C) to (B, ceil(H/stride), ceil(W/stride), filters)."""
        # The mean over a window of one pixel is that pixel: inputs[:, ::stride, ::stride], for which TensorFlow takes
        # seven times as long on a CPU.
        kept = ops.average_pool(inputs, 1, self.stride)
        return ops.pad(kept, [[0, 0], [0, 0], [0, 0], [0, self.filters - inputs.shape[-1]]])

    def get_config(self):
        """Return what ``__init__`` needs, for saving."""
        return super().get_config() | {"filters": self.filters, "stride": self.stride}


def zero_padded(x, activated, u):  # noqa: ARG001 - the shortcuts share one signature
    """Shortcut A, from x as it is: in a pre-activated unit too, the signal goes on untouched."""
    return ZeroPadShortcut(u.filters, u.stride, name=f"{u.name}_shortcut_pad")(x)


def projected(x, activated, u):
    """Shortcuts B and C: a strided 1x1 convolution.

    In a pre-activated unit it follows the activation it shares with the branch and stands bare (He 2016, appendix);
    in others batch norm follows it. The Keras example projects x as it is, without batch norm, in both versions.
    """
    style = STYLES[u.style]
    y = conv(activated if style.paper_projection else x, u.filters, 1, u.stride, u.style, f"{u.name}_shortcut_conv")
    if style.paper_projection and not ORDERS[u.order].before:
        y = batch_norm(y, u.style, f"{u.name}_shortcut_bn")
    return y


SHORTCUTS = {"A": zero_padded, "B": projected}


# He et al. 2016, Table 1: each takes the shortcut, the branch's output, the activated input and the unit, and returns
# the two terms of the addition.

GATE_BIAS = -6.0  # the best of the paper's initial biases: sigmoid(-6) = 0.0025, so the shortcut starts almost open


def identity(s, y, activated, u):  # noqa: ARG001
    """Add the two as they are."""
    return [s, y]


def constant_scaling(s, y, activated, u):  # noqa: ARG001
    """Halve both: Table 1's only constant scaling that did not fail."""
    return [layers.Rescaling(0.5, name=f"{u.name}_skip_half")(s), layers.Rescaling(0.5, name=f"{u.name}_half")(y)]


def gate(activated, u):
    """Compute g(x) = sigmoid(W x + b), a 1x1 convolution in the shape of the unit's output."""
    return layers.Conv2D(
        u.filters,
        1,
        strides=u.stride,
        activation="sigmoid",
        bias_initializer=keras.initializers.Constant(GATE_BIAS),
        kernel_initializer="he_normal",
        name=f"{u.name}_gate",
    )(activated)


def exclusive_gating(s, y, activated, u):
    """Weigh the branch by g(x) and the shortcut by 1 - g(x)."""
    g = gate(activated, u)
    return [_times_complement(s, g, u), layers.Multiply(name=f"{u.name}_gated")([y, g])]


def shortcut_gating(s, y, activated, u):
    """Weigh the shortcut by 1 - g(x) and leave the branch alone."""
    return [_times_complement(s, gate(activated, u), u), y]


def _times_complement(s, g, u):
    complement = layers.Rescaling(-1.0, offset=1.0, name=f"{u.name}_skip_weight")(g)
    return layers.Multiply(name=f"{u.name}_skip_gated")([s, complement])


def dropped_out(s, y, activated, u):  # noqa: ARG001
    """Drop half of the shortcut's values while training."""
    return [layers.Dropout(0.5, name=f"{u.name}_skip_dropout")(s), y]


SKIPS = {
    "identity": identity,
    "constant-scaling": constant_scaling,
    "exclusive-gating": exclusive_gating,
    "shortcut-gating": shortcut_gating,
    "conv": identity,  # shortcut has put the convolution there
    "dropout": dropped_out,
}
