"""The units of a built network as places to intervene: take one out, swap some, and see what the network still knows.

Veit, Wilber, Belongie 2016, *Residual Networks Behave Like Ensembles of Relatively Shallow Networks*, Sec. 4.
The networks are those of ``models.build``, whose layers' names say where they stand. Lesson 07.
"""

import contextlib
import itertools
import re

from resnet_lessons import backend  # noqa: F401 - loads Keras without its start-up messages

import keras
import numpy as np

BATCH = 50  # images at a time: Keras keeps what every layer puts out until a call ends, 400 MB for ResNet-56


def unit_names(model):
    """Return the names of a network's units from first to last, such as "stage1_block1".

    Raises:
        ValueError: for a model that has none.
    """
    found = [re.match(r"stage\d+_block\d+(?=_)", layer.name) for layer in model.layers]
    names = list(dict.fromkeys(match[0] for match in found if match))
    if not names:
        raise ValueError(f"The model must be a network of models.build, of named units. Received: {model.name!r}.")
    return sorted(names, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])


def layers_of(model, name):
    """Return the layers of one unit, in the order of the model's."""
    return [layer for layer in model.layers if layer.name.startswith(f"{name}_")]


def boundaries(model):
    """Return the tensors between the units: the first one's input, then each one's output, a list of N + 1."""
    names = unit_names(model)
    before = [layer for layer in model.layers if layer.name.startswith("stem_")]
    return [before[-1].output, *(layers_of(model, name)[-1].output for name in names)]


def addition(model, name):
    """Return the layer at which a unit's shortcut meets its branch; None in a plain net."""
    return next((layer for layer in layers_of(model, name) if layer.name == f"{name}_add"), None)


def puts_out_logits(model):
    """Tell whether a classifier's last layer puts out logits (True) or, by a softmax, probabilities (False).

    Raises:
        ValueError: for a last layer that does neither.
    """
    activation = getattr(model.layers[-1], "activation", None)
    if activation not in (keras.activations.linear, keras.activations.softmax):
        raise ValueError(
            "The model must end in a dense layer, linear or with a softmax. "
            f"Received: {model.name!r}, which ends in {model.layers[-1].name!r}."
        )
    return activation is keras.activations.linear


def main_convolutions(model):
    """List a model's convolutions from first to last, those on shortcuts and gates left out."""
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    return [layer for layer in convolutions if "_shortcut_" not in layer.name and "_gate" not in layer.name]


def inference(model, x):
    """Return the outputs for (B, ...) images, in inference mode, as one array."""
    parts = [x[start : start + BATCH] for start in range(0, len(x), BATCH)]
    return np.concatenate([keras.ops.convert_to_numpy(model(part, training=False)) for part in parts])


@contextlib.contextmanager
def weights_kept(layers):
    """Put the weights of some layers back when the block ends, however it ends."""
    before = [layer.get_weights() for layer in layers]
    try:
        yield
    finally:
        for layer, weights in zip(layers, before, strict=True):
            layer.set_weights(weights)


@contextlib.contextmanager
def removed(model, name):
    """Take one unit out while the block runs: what is left of it is its shortcut.

    In a residual unit the branch puts out zeros. A plain pair of convolutions passes on what it gets; where it changes
    the dimensions, every second pixel and channels of zeros, as shortcut A does.

    Args:
        model: a network of ``models.build`` without gates.
        name: of the unit.

    Raises:
        ValueError: for a unit that the model lacks, and for one with a gate.
    """
    if name not in unit_names(model):
        raise ValueError(f"The network has the units {', '.join(unit_names(model))}. Received: {name!r}.")
    layers = _weighted(model, name)
    if any("_gate" in layer.name for layer in layers):
        raise ValueError(f"{name} has a gate, which weighs its shortcut. Choose a network with skip='identity'.")
    with weights_kept(layers):
        if addition(model, name) is None:
            _pass_on(layers)
        else:
            _silence(_end_of_branch(model, name))
        yield


def _end_of_branch(model, name):
    """Return the last layer with weights before the addition; the shortcut's own are not among them."""
    layers = layers_of(model, name)
    before = layers[: layers.index(addition(model, name))]
    return [layer for layer in before if layer.weights and "_shortcut_" not in layer.name][-1]


def _silence(layer):
    layer.set_weights([np.zeros_like(weight) for weight in layer.get_weights()])  # batch norm's scale and shift too


def _pass_on(layers):
    """Let convolutions copy the pixel in their middle, channel by channel, and batch norms undo nothing."""
    for layer in layers:
        if isinstance(layer, keras.layers.Conv2D):
            kernel, *bias = layer.get_weights()
            height, width, channels, filters = kernel.shape
            kernel = np.zeros_like(kernel)
            copied = np.arange(min(channels, filters))
            kernel[height // 2, width // 2, copied, copied] = 1
            layer.set_weights([kernel, *map(np.zeros_like, bias)])
        else:
            _, _, mean, variance = layer.get_weights()
            layer.set_weights([np.sqrt(variance + layer.epsilon), mean, mean, variance])


def grow(model, larger):
    """Give a deeper network the weights of a trained one and units that start silent, so that both compute the same.

    A unit is silent if its branch puts out zeros: the last batch norm's scale and shift, or the last convolution's
    kernel where none follows it, are zero. It can learn, for that scale or kernel gets a gradient from the first
    update on. ``larger`` is changed in place.

    Args:
        model: a residual network of ``models.build``.
        larger: one that has the same layers and further units, of which none changes the dimensions.

    Returns:
        The names of the units that are added, from first to last.

    Raises:
        ValueError: for a plain net, for a pair that differs in more than the added units, for units that change their
            input on another way than the branch, and for those whose branch ends in a ReLU, which would never learn.
    """
    added = [name for name in unit_names(larger) if name not in unit_names(model)]
    shared = [layer for layer in larger.layers if not layer.name.startswith(tuple(f"{unit}_" for unit in added))]
    _refuse_differences(model, larger, shared)
    for name in added:
        layers, add = layers_of(larger, name), addition(larger, name)
        if add is None:
            raise ValueError(
                f"{larger.name!r} has no shortcuts, so none of its layers can be silent. Take a residual net."
            )
        behind = [layer.name for layer in layers[layers.index(add) :] if layer.weights]
        beside = [layer.name for layer in layers if re.search("_(shortcut|gate|skip)", layer.name)]
        if behind or beside:
            raise ValueError(
                f"{name} cannot pass its input on unchanged, because of {', '.join(behind + beside)}. Add units whose "
                "shortcut is the identity and behind whose addition no weights stand."
            )
        last = layers[layers.index(_end_of_branch(larger, name)) + 1 : layers.index(add)]
        if dead := [layer.name for layer in last if isinstance(layer, keras.layers.ReLU)]:
            raise ValueError(
                f"A silent branch of {name} would stay silent: {dead[0]} sends no gradient back at zero. Take an order "
                "whose branch ends in no ReLU."
            )
    for layer, source in zip(shared, model.layers, strict=True):
        layer.set_weights(source.get_weights())
    for name in added:
        end = _end_of_branch(larger, name)
        silenced = 2 if isinstance(end, keras.layers.BatchNormalization) else len(end.weights)
        weights = end.get_weights()
        end.set_weights([*map(np.zeros_like, weights[:silenced]), *weights[silenced:]])
    return added


def _refuse_differences(model, larger, shared):
    """Raise ValueError unless the layers of the larger net that are in no added unit are those of the model."""
    # Layers without weights count, and so does the order: nets of two activation orders, or with another layer on the
    # shortcut, can have the same weights and compute something else.
    for one, other in itertools.zip_longest(model.layers, shared):
        if one is None or other is None or one.name != other.name or _shapes(one) != _shapes(other):
            raise ValueError(
                f"{larger.name!r} must be {model.name!r} with units added. They differ in {(one or other).name}. "
                "Build both from Specs that differ in depth alone."
            )


def _shapes(layer):
    return [tuple(weight.shape) for weight in layer.weights]


def lesion(model, x, y):
    """Measure the error with each unit taken out in turn; see ``removed`` for what that means.

    The model is left as it was. The moving statistics are those of the whole net: nothing is re-estimated.

    Args:
        model: a network of ``models.build`` without gates.
        x: (B, H, W, C) float32, normalized as for training.
        y: (B,) labels.

    Returns:
        The units' names, the error without each, (N,) float64 between 0 and 1, and the error of the whole net.

    Raises:
        ValueError: as for ``removed``.
    """
    names, tensors = unit_names(model), boundaries(model)
    # From each unit's input to the output: what comes before a unit is computed once, not once for each unit.
    tails = [keras.Model(tensor, model.output) for tensor in tensors[:-1]]
    inputs = keras.Model(model.input, tensors[:-1])
    wrong, whole = np.zeros(len(names)), 0
    for start in range(0, len(x), BATCH):
        images, labels = x[start : start + BATCH], y[start : start + BATCH]
        parts = inputs(images, training=False)
        parts = parts if isinstance(parts, (list, tuple)) else [parts]
        whole += _wrong(tails[0](parts[0], training=False), labels)
        for number, (name, tail, part) in enumerate(zip(names, tails, parts, strict=True)):
            with removed(model, name):
                wrong[number] += _wrong(tail(part, training=False), labels)
    return names, wrong / len(x), whole / len(x)


def _wrong(outputs, labels):
    return int((keras.ops.convert_to_numpy(outputs).argmax(axis=1) != labels).sum())


def shuffle_blocks(model, x, y, swaps, seed=0):
    """Measure the error after swapping units of the same shape within their stage, so many times at random.

    The model is left as it was.

    Args:
        model: a network of ``models.build``.
        x: (B, H, W, C) float32, normalized as for training.
        y: (B,) labels.
        swaps: how many; 0 leaves the order alone.
        seed: of the random choices; more swaps by one seed begin with the same ones.

    Returns:
        The error, between 0 and 1, and Kendall's rank correlation of the order with the old one, over pairs of the
        same stage: 1 for the old order, 0 for a random one, -1 for the reverse. Veit et al. 2016, Sec. 4.3.

    Raises:
        ValueError: for a network in which no stage has two units of one shape, and for swaps below 0.
    """
    if swaps < 0:
        raise ValueError(f"swaps must be a whole number of at least 0. Received: {swaps!r}.")
    groups = _alike(model)
    places = np.concatenate([[number] * len(group) for number, group in enumerate(groups)])
    order = [list(range(len(group))) for group in groups]
    rng = np.random.default_rng(seed)
    for _ in range(swaps):
        group = order[rng.choice(places)]  # a stage is chosen as often as it has units
        one, other = rng.choice(len(group), size=2, replace=False)
        group[one], group[other] = group[other], group[one]
    layers = [[_weighted(model, name) for name in group] for group in groups]
    with weights_kept([layer for group in layers for unit in group for layer in unit]):
        for units, permutation in zip(layers, order, strict=True):
            weights = [[layer.get_weights() for layer in unit] for unit in units]
            for unit, source in zip(units, permutation, strict=True):
                for layer, values in zip(unit, weights[source], strict=True):
                    layer.set_weights(values)
        error = np.mean(inference(model, x).argmax(axis=1) != y)
    return float(error), _rank_correlation(order)


def _weighted(model, name):
    return [layer for layer in layers_of(model, name) if layer.weights]


def _alike(model):
    """Group the units that can stand in each other's place: the same stage, the same shapes."""
    groups = {}
    for name in unit_names(model):
        shapes = tuple(tuple(weight.shape) for layer in _weighted(model, name) for weight in layer.weights)
        groups.setdefault((name.split("_")[0], shapes), []).append(name)
    groups = [group for group in groups.values() if len(group) > 1]
    if not groups:
        raise ValueError(f"No stage of {model.name!r} has two units of one shape. Take a deeper network.")
    return groups


def _rank_correlation(orders):
    """Return Kendall's tau over all pairs within a group: concordant less discordant, as part of all."""
    signs = [
        np.sign(order[later] - order[earlier])
        for order in orders
        for later in range(len(order))
        for earlier in range(later)
    ]
    return float(np.mean(signs))
