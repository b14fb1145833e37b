"""The networks written out by hand, as the papers' tables print them: lists of convolutions, then a sum.

A convolution is (kernel size, input channels, output channels, side of the output map).
"""


def basic(n, widths=(16, 32, 64)):
    """List the convolutions of 6n+2 layers on 32x32 images, shortcuts left out: He 2015, Sec. 4.2."""
    a, b, c = widths
    return [
        (3, 3, a, 32),
        *[(3, a, a, 32)] * (2 * n),
        (3, a, b, 16),
        *[(3, b, b, 16)] * (2 * n - 1),
        (3, b, c, 8),
        *[(3, c, c, 8)] * (2 * n - 1),
    ]


def bottleneck(n, inner=(16, 32, 64), outer=(64, 128, 256)):
    """List the convolutions of 9n+2 layers on 32x32 images, shortcuts left out: He 2016, appendix."""
    convs = [(3, 3, 16, 32)]
    channels = 16
    for a, b, side in zip(inner, outer, (32, 16, 8), strict=True):
        convs += [(1, channels, a, side), (3, a, a, side), (1, a, b, side)]
        convs += [(1, b, a, side), (3, a, a, side), (1, a, b, side)] * (n - 1)
        channels = b
    return convs


def imagenet_basic(units):
    """List the convolutions of ResNet-18 or 34, shortcuts left out: He 2015, Table 1."""
    convs = [(7, 3, 64, 112), *[(3, 64, 64, 56)] * (2 * units[0])]
    for filters, side, count in zip((128, 256, 512), (28, 14, 7), units[1:], strict=True):
        convs += [(3, filters // 2, filters, side), *[(3, filters, filters, side)] * (2 * count - 1)]
    return convs


def imagenet_bottleneck(units, stride_in="1x1"):
    """List the convolutions of ResNet-50, 101 or 152, shortcuts left out: He 2015, Table 1."""
    convs, channels, side_before = [(7, 3, 64, 112)], 64, 56
    for inner, side, count in zip((64, 128, 256, 512), (56, 28, 14, 7), units, strict=True):
        first_side = side if stride_in == "1x1" else side_before
        convs += [(1, channels, inner, first_side), (3, inner, inner, side), (1, inner, 4 * inner, side)]
        convs += [(1, 4 * inner, inner, side), (3, inner, inner, side), (1, inner, 4 * inner, side)] * (count - 1)
        channels, side_before = 4 * inner, side
    return convs


BASIC_PROJECTIONS = [(1, 16, 32, 16), (1, 32, 64, 8)]
BOTTLENECK_PROJECTIONS = [(1, 16, 64, 32), (1, 64, 128, 16), (1, 128, 256, 8)]
IMAGENET_BASIC_PROJECTIONS = [(1, 64, 128, 28), (1, 128, 256, 14), (1, 256, 512, 7)]
IMAGENET_BOTTLENECK_PROJECTIONS = [(1, 64, 256, 56), (1, 256, 512, 28), (1, 512, 1024, 14), (1, 1024, 2048, 7)]


def outputs(convs):
    """Return the output channels of each convolution: what a batch norm after it has."""
    return [out for _, _, out, _ in convs]


def inputs(convs):
    """Return the input channels of each convolution: what a batch norm before it has."""
    return [into for _, into, _, _ in convs]


def parameters(convs, norms, classifier, conv_bias=False):
    """Sum kernels, conv biases, scales and shifts of batch norms of these widths, and a classifier (features, classes).

    Returns:
        Trainable parameters, and parameters with the moving means and variances.
    """
    kernels = sum(kernel * kernel * into * out for kernel, into, out, _ in convs)
    biases = sum(outputs(convs)) if conv_bias else 0
    features, classes = classifier
    trainable = kernels + biases + 2 * sum(norms) + features * classes + classes
    return trainable, trainable + 2 * sum(norms)


def multiply_adds(convs, classifier):
    """Sum one multiply-add per kernel weight and output pixel, and the classifier's."""
    return sum(kernel * kernel * into * out * side * side for kernel, into, out, side in convs) + (
        classifier[0] * classifier[1]
    )
