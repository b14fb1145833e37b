"""The exercises of lesson 02: F from H, one layer with a shortcut, zero padding, and a residual unit in Keras."""

from resnet_lessons import backend  # noqa: F401 - loads Keras without its start-up messages

import keras
import numpy as np

from .answers import Wrong, answer_of, array_answer, exercise, hint_for, show


@exercise
def residual_of(function):
    """Check ``function(h)``: for a mapping h, the residual f with f(x) + x = h(x)."""
    x = np.array([-2.0, 0.0, 0.5, 3.0])
    cases = {"h(x) = x": lambda x: x, "h(x) = 2x + 1": lambda x: 2 * x + 1, "h(x) = x * x": lambda x: x * x}
    for words, h in cases.items():
        residual = _residual_from(function, h, words)
        if not callable(residual):
            raise Wrong(f"It should return a function of x, such as a lambda. It returned {show(residual)}.")
        value = _array(_called(residual, x), x.shape, f"For {words} your f(x)")
        if np.allclose(value, h(x) - x):
            continue
        hints = [
            (h(x), "That is h(x) itself. The shortcut adds x, so the residual must leave x out."),
            (x - h(x), "The sign is the wrong way round."),
            (h(x) + x, "Adding x is the shortcut's work, not the residual's."),
        ]
        hint = hint_for(value, hints, "What must be added to x to get h(x)?", rtol=1e-5, atol=1e-8)
        raise Wrong(f"For {words}, f({x[3]:g}) + {x[3]:g} is {value[3] + x[3]:g}, not {h(x)[3]:g}. {hint}")
    return "f(x) = h(x) - x. For h(x) = x it is zero everywhere."


def _residual_from(function, h, words):
    try:
        return answer_of(function, h, case=words)
    except (NameError, TypeError) as error:
        if "'x'" in str(error) or "'function'" in str(error):  # return h(x) - x, or return h - x
            raise Wrong(
                "Return a function of x: x is not known yet, and h - x cannot be taken of functions."
            ) from error
        raise


def _called(residual, x):
    try:
        return residual(x.copy())
    except Exception as error:  # it is the learner's own
        raise Wrong(f"The function that it returned raised {type(error).__name__}: {error}") from error


@exercise
def merged_layer(function):
    """Check ``function(kernel)``: the kernel of the one dense layer that equals x @ kernel + x."""
    rng = np.random.default_rng(0)
    for channels in (3, 1, 5):
        kernel, x = rng.normal(size=(channels, channels)), rng.normal(size=(7, channels))
        merged = _array(answer_of(function, kernel.copy(), case=f"a kernel {kernel.shape}"), kernel.shape, "The kernel")
        if np.allclose(x @ merged, x @ kernel + x):
            continue
        hints = [
            (kernel, "That is the branch alone; the shortcut is missing."),
            (kernel + 1, "Adding 1 to every weight adds the sum of all inputs. Each output gets its own input only."),
            (kernel - np.eye(channels), "The shortcut is added, not taken away."),
            (2 * kernel, "The shortcut carries x, not a second x @ kernel."),
            (kernel.T + np.eye(channels), "The identity is right, but the kernel is transposed."),
            (np.eye(channels) - kernel, "The identity is right, but the kernel has the wrong sign."),
        ]
        hint = hint_for(merged, hints, "Which matrix maps x to x?", rtol=1e-5, atol=1e-8)
        raise Wrong(f"x @ yours is not x @ kernel + x. {hint}")
    return "kernel + identity: one dense layer, as before, that starts elsewhere."


@exercise
def zero_padded(function):
    """Check ``function(x, filters)``: shortcut A of a unit that halves (B, H, W, C) and has ``filters`` channels."""
    rng = np.random.default_rng(0)
    for size, channels, filters in ((4, 2, 4), (6, 3, 8), (5, 1, 2)):
        x = rng.normal(size=(2, size, size, channels))
        kept = x[:, ::2, ::2]
        wanted = np.concatenate([kept, np.zeros((*kept.shape[:3], filters - channels))], axis=-1)
        case = f"x of shape {x.shape} and {filters} filters"
        answer = _array(answer_of(function, x.copy(), filters, case=case), wanted.shape, f"For {case} it")
        if not np.allclose(answer, wanted):
            raise Wrong(f"For {case}: {_padding_misconception(answer, x, wanted)}")
    return "Every second pixel, then channels of zeros: no weights."


def _padding_misconception(answer, x, wanted):
    channels = x.shape[-1]
    first, rest, kept = answer[..., :channels], answer[..., channels:], wanted[..., :channels]
    places = range(1, answer.shape[-1] - channels + 1)
    moved = [place for place in places if np.allclose(answer, np.roll(wanted, place, axis=-1))]
    if moved:
        sides = "before the signal" if moved[0] == places[-1] else "on both sides of the signal"
        return f"the zeros stand {sides}. The package appends them."
    if np.allclose(first, kept) and rest.any():
        return "the added channels must be zero."
    if not answer.any():
        return "all of it is zero. The first channels are those of x."
    blocks = x[:, : 2 * (x.shape[1] // 2), : 2 * (x.shape[2] // 2)]
    blocks = blocks.reshape(len(x), blocks.shape[1] // 2, 2, blocks.shape[2] // 2, 2, channels)
    if first.shape == blocks.mean((2, 4)).shape and np.allclose(first, blocks.mean((2, 4))):
        return "that is average pooling. Shortcut A takes every second pixel as it is."
    if first.shape == blocks.max((2, 4)).shape and np.allclose(first, blocks.max((2, 4))):
        return "that is max pooling. Shortcut A takes every second pixel as it is."
    return "the signal is not every second pixel of x, beginning with pixel 0 in rows and columns."


@exercise
def residual_block(function):
    """Check ``function(x, filters, stride)``: a residual unit with a projection where the dimensions change.

    It maps a Keras tensor (B, H, W, C) to (B, H/stride, W/stride, filters) by two 3x3 convolutions with batch norm, a
    1x1 projection with batch norm where stride or channels change, the addition, and a ReLU.
    """
    for channels, filters, stride in ((4, 4, 1), (4, 8, 2), (4, 8, 1), (4, 4, 2)):
        where = f"From {channels} to {filters} channels, stride {stride}"
        model = _block_model(function, channels, filters, stride, where)
        changes = stride > 1 or channels != filters
        _check_layers(model, where, stride, changes)
        probes = _PROBES_OF_A_PROJECTION if changes else _PROBES_OF_AN_IDENTITY
        for probe in probes if stride == 1 else probes[:1]:  # where a strided 3x3 looks depends on its padding
            _check_probe(model, where, channels, stride, *probe)
    return "Shapes, layers, the stride, the way of x past the branch, and all ReLUs are as they should be."


def _block_model(function, channels, filters, stride, where):
    inputs = keras.Input((8, 8, channels))
    try:
        answer = answer_of(function, inputs, filters, stride, case=f"filters={filters}, stride={stride}")
    except ValueError as error:
        raise Wrong(f"{where}: Keras refuses it. {str(error).splitlines()[0]}") from error
    if not isinstance(answer, keras.KerasTensor):
        raise Wrong(f"{where}: it should return a Keras tensor. It returned {show(answer)}.")
    wanted = (None, 8 // stride, 8 // stride, filters)
    if tuple(answer.shape) != wanted:
        raise Wrong(f"{where}: an input of shape (None, 8, 8, {channels}) gave {answer.shape}, not {wanted}.")
    return keras.Model(inputs, answer)


def _convolutions(model):
    """Return the 3x3 convolutions from first to last, and the 1x1 ones."""
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    return [[layer for layer in convolutions if layer.kernel_size == (size, size)] for size in (3, 1)]


def _check_layers(model, where, stride, changes):
    sizes = sorted(layer.kernel_size[0] for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
    if sizes != ([1, 3, 3] if changes else [3, 3]):
        wanted = "two of 3x3, and a projection of 1x1" if changes else "two of 3x3, and nothing on the shortcut"
        raise Wrong(f"{where}: its convolutions have the sizes {sizes}; wanted are {wanted}.")
    if any(isinstance(layer, keras.layers.MaxPooling2D) for layer in model.layers):
        raise Wrong(f"{where}: a max pooling is left. The first convolution and the projection have the stride.")
    (first, second), _ = _convolutions(model)
    if (first.strides[0], second.strides[0]) != (stride, 1):
        raise Wrong(f"{where}: the first 3x3 convolution has the stride, so that the second works on the smaller map.")
    norms = sum(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers)
    if norms != len(sizes):
        raise Wrong(f"{where}: {len(sizes)} convolutions have {norms} batch norms. Each has one after it.")
    _check_norms(model, where)


def _check_norms(model, where):
    """Raise Wrong unless the output of each convolution, and no ReLU of it, goes into a batch norm."""
    (first, second), ones = _convolutions(model)
    normed = {id(layer.input) for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)}
    names = "the first 3x3 convolution", "the second 3x3 convolution", "the projection"
    for name, layer in zip(names, (first, second, *ones), strict=False):
        if id(layer.output) not in normed or layer.activation is not keras.activations.linear:
            raise Wrong(f"{where}: no batch norm follows {name} directly. It comes before any ReLU and the addition.")


# Kernels that only scale the signal, the convolutions' and the projection's, and what then comes out for x of either
# sign: each pair tells one misplaced ReLU from the right unit.
_PROBES_OF_AN_IDENTITY = (
    ((0, 0, None), lambda x: np.maximum(x, 0), "with a silent branch the output is relu(x). Is x added, as it is?"),
    ((-1, 2, None), np.abs, "a ReLU stands between the two convolutions, and none before the first."),
    ((1, -1, None), lambda x: 0 * x, "no ReLU stands after the second convolution, before the addition."),
)
_PROBES_OF_A_PROJECTION = (
    ((0, 0, 1), lambda x: np.maximum(x, 0), "with a silent branch the output is relu(projection)."),
    ((1, 1, -1), lambda x: np.maximum(-x, 0), "no ReLU stands on the shortcut: the sum alone is rectified."),
    ((1, -1, 1), lambda x: 0 * x, "no ReLU stands after the second convolution, before the addition."),
)


def _check_probe(model, where, channels, stride, scales, expected, says):
    threes, ones = _convolutions(model)
    for layer, scale in zip([*threes, *ones], scales, strict=False):
        layer.set_weights(_scaled_identity(layer, scale))
    x = np.random.default_rng(0).normal(size=(4, 8, 8, channels)).astype("float32")
    wanted = np.zeros((4, 8 // stride, 8 // stride, model.output.shape[-1]))
    wanted[..., :channels] = expected(x[:, ::stride, ::stride])
    output = _run(model, x)
    if output.min() < 0:
        raise Wrong(f"{where}: some outputs are negative. A ReLU comes last, after the addition.")
    if not np.allclose(output, wanted, atol=0.05):
        raise Wrong(f"{where}: {says}")


def _scaled_identity(layer, scale):
    kernel = np.zeros(layer.kernel.shape)
    middle = layer.kernel_size[0] // 2
    kernel[middle, middle] = scale * np.eye(*kernel.shape[2:])
    return [kernel, *(np.zeros_like(bias) for bias in layer.get_weights()[1:])]


def _run(model, x):
    return keras.ops.convert_to_numpy(model(x, training=False)).astype("float32")


def _array(answer, shape, what):
    """Return the learner's answer as float64 of that shape; say which shape another one has."""
    array = array_answer(answer, f"{what} should be an array of real numbers")
    if array.shape != shape:
        raise Wrong(f"{what} should have the shape {shape}. Received {array.shape}.")
    return array
