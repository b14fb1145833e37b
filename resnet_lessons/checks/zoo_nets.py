"""The bug zoo of lesson 06, networks: each check runs what a learner's function builds and says what it saw.

The bugs are of strides, of the projection in He et al. 2016 (appendix), of batch norm, and of a softmax too many.
"""

from resnet_lessons import accounting
from resnet_lessons.specs import Spec

import numpy as np

from .answers import Wrong, answer_of, real_number, show, specimen

SIDES = {16: 32, 32: 16, 64: 8}  # channels: pixels a side (He 2015, Sec. 4.2)


def _built(function, argument):
    """Return the model that the learner's function builds, and its account."""
    model = answer_of(function, argument)
    try:
        return model, accounting.account(model)
    except ValueError as error:
        if hasattr(model, "layers"):
            raise Wrong(f"The model cannot be counted: {error}"[:300]) from None
        raise Wrong(f"It should return a functional keras.Model. It returned {show(model)}.") from None


def _convolutions(account):
    """List the rows of convolutions: they multiply, and put out maps (H, W, C)."""
    return [row for row in account.layers if row.count.multiply_adds and len(row.output_shape) == 3]


def _run(model, x, wanted, **kwargs):
    """Call the model; return its outputs as float64, of the shape wanted."""
    y = np.asarray(model(x.astype("float32"), **kwargs)).astype("float64")
    if y.shape != wanted:
        raise Wrong(f"From {x.shape} it should go to {wanted}. It goes to {y.shape}.")
    return y


@specimen
def zoo_strides(function):
    """Check ``function(n)``: the ResNet of 6n+2 layers for images of 32x32 pixels, as a keras.Model."""
    for n in (1, 2):
        _, account = _built(function, n)
        rows = _convolutions(account)
        sides = {
            width: sorted({row.output_shape[0] for row in rows if row.output_shape[2] == width}) for width in SIDES
        }
        if sides == {width: [side] for width, side in SIDES.items()}:
            continue
        raise Wrong(_sides_in_words(sides, account.total.multiply_adds, n))
    return "Maps of 32, 16 and 8 pixels a side: each stage but the first begins with a stride of 2."


def _sides_in_words(sides, multiply_adds, n):
    missing = [width for width, found in sides.items() if not found]
    if missing:
        return f"For n = {n} no convolution has {missing[0]} channels. The three stages have 16, 32 and 64."
    found = "; ".join(f"{width} channels: {' and '.join(map(str, sides[width]))}" for width in SIDES)
    ratio = multiply_adds / accounting.count(Spec("v1", 6 * n + 2)).multiply_adds
    return (
        f"For n = {n} the maps have these sides: {found}. The paper's are 32, 16 and 8. "
        f"The net makes {ratio:.1f} times as many multiply-adds. Where does a stage halve its maps?"
    )


@specimen
def zoo_projection(function):
    """Check ``function(filters)``: a pre-activated unit, from (B, 8, 8, 16) to (B, 4, 4, filters), as a keras.Model."""
    rng = np.random.default_rng(0)
    for filters in (32, 24):
        model, account = _built(function, filters)
        one, other = rng.uniform(0.5, 1.5, size=(2, 8, 8, 16))
        batch = np.stack([-one, one, other, one + other])  # fresh batch norms in inference leave signs as they are
        silent, first, second, both = _run(model, batch, (4, 4, 4, filters))
        size = np.abs(first).max()
        if size < 1e-6:
            raise Wrong("It puts out zeros whatever goes in.")
        if np.abs(silent).max() > 1e-3 * size:
            raise Wrong(
                "I fed it negative numbers only. The unit's first batch norm and ReLU let none of them pass, but the "
                "unit did not put out zeros: something goes around them, from the raw x to the addition."
            )
        kernels = 9 * 16 * filters + 9 * filters**2 + 16 * filters
        if account.total.parameters < kernels:
            raise Wrong(
                "Nothing goes around the first batch norm and ReLU now, but the unit has lost weights: two 3x3 "
                f"convolutions and a projection have {kernels:,} for {filters} filters."
            )
        if np.abs(both - first - second).max() < 1e-3 * size:
            raise Wrong(
                "Nothing goes around the first batch norm and ReLU now, but for positive inputs the unit is linear: "
                "the ReLU between the two convolutions of the branch is missing."
            )
        right = kernels + 2 * 16 + 2 * filters  # and the scales and shifts of the two batch norms
        if account.total.parameters != right:
            raise Wrong(
                f"For {filters} filters the unit has {account.total.parameters:,} trainable parameters, and the "
                f"paper's has {right:,}: three kernels and two batch norms, one before the first convolution and one "
                "before the second."
            )
        if not _normalized(model, filters):
            raise Wrong(
                "I multiplied the weights of the first 3x3 convolution, each channel's by another number, and in "
                "training mode the unit put out something else: no batch norm follows."
            )
    return "Branch and projection start from the same, activated signal."


def _normalized(model, filters):
    """Tell whether the scale of each channel of the first 3x3 convolution is nothing to the output."""
    rng = np.random.default_rng(0)
    kernels = [weight for weight in model.trainable_weights if tuple(weight.shape) == (3, 3, 16, filters)]
    x, scale = rng.normal(size=(16, 8, 8, 16)), rng.uniform(2, 10, filters)
    before = _run(model, x, (16, 4, 4, filters), training=True)
    return all(_change(model, x, before, kernel, lambda values: scale * values) < 0.1 for kernel in kernels)


@specimen
def zoo_norms(function):
    """Check ``function(channels)``: a unit of two 3x3 convolutions, each with one batch norm, as a keras.Model.

    It goes from (B, 8, 8, channels) to the same shape.
    """
    for channels in (16, 6):
        model, _ = _built(function, channels)
        found = [_unnormalized(model, channels), _undone(model, channels)]
        if any(found):
            raise Wrong(" ".join(filter(None, found)))
    return "One batch norm after each convolution: it takes every scale off its input, and nothing undoes its own."


def _unnormalized(model, channels):
    """Say which convolutions have no batch norm: their channels at other scales are another output."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(16, 8, 8, channels))
    kernels = [weight for weight in model.trainable_weights if len(weight.shape) == 4]  # (height, width, in, out)
    if len(kernels) != 2:
        raise Wrong(f"It should have two convolutions. It has {len(kernels)}.")
    before = _run(model, x, x.shape, training=True)
    scales = [rng.uniform(2, 10, kernel.shape[-1]) for kernel in kernels]
    changes = [
        _change(model, x, before, kernel, lambda values, scale=scale: scale * values)
        for kernel, scale in zip(kernels, scales, strict=True)
    ]
    return " ".join(
        f"I multiplied the weights of convolution {number}, each channel's by another number, and in training mode the "
        "unit put out something else: no batch norm follows."
        for number, change in enumerate(changes, start=1)
        if change > 0.1
    )


def _undone(model, channels):
    """Say which weights of one number a channel do nothing: a batch norm that follows directly undoes them."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(16, 8, 8, channels))
    before = _run(model, x, x.shape, training=True)
    vectors = [weight for weight in model.trainable_weights if len(weight.shape) == 1]
    changes = [
        _change(model, x, before, vector, lambda values: values + rng.uniform(0.5, 1.5, values.shape))
        for vector in vectors
    ]
    idle = [vector for vector, change in zip(vectors, changes, strict=True) if change < 0.01]
    norms = {vector.path.rpartition("/")[0] for vector in idle if vector.name in ("gamma", "beta")}
    others = sum(vector.name not in ("gamma", "beta") for vector in idle)
    told = []
    if norms:
        counted = "one batch norm have" if len(norms) == 1 else f"{len(norms)} batch norms have"
        told.append(f"The scale and shift of {counted} no effect: another batch norm follows directly.")
    if others:
        counted = "one bias has" if others == 1 else f"{others} biases have"
        told.append(f"{counted.capitalize()} no effect: a batch norm follows directly.")
    return " ".join(told)


def _change(model, x, before, weight, changed):
    """Return the mean change of the output, as a part of its mean size, while one weight is changed."""
    kept = weight.numpy()
    weight.assign(changed(kept).astype(kept.dtype))
    try:
        return np.abs(_run(model, x, before.shape, training=True) - before).mean() / np.abs(before).mean()
    finally:
        weight.assign(kept)


@specimen
def zoo_softmax(function):
    """Check ``function(classes)``: a keras.Model from (B, 8), and the loss (labels, outputs) that goes with it."""
    rng = np.random.default_rng(0)
    for classes in (10, 3):
        model, loss = _model_and_loss(answer_of(function, classes))
        for weight in model.trainable_weights:
            weight.assign(rng.normal(scale=1e4, size=weight.shape).astype("float32"))
        x = rng.normal(size=(64, 8)).astype("float32")
        outputs = np.asarray(model(x)).astype("float32")  # an array, behind which no loss can look for logits
        if outputs.shape != (64, classes):
            raise Wrong(f"From (64, 8) the model should go to (64, {classes}). It goes to {outputs.shape}.")
        labels = outputs.argmax(axis=1).astype("int32")
        right, wrong = (_mean(loss(some, outputs)) for some in (labels, (labels + 1) % classes))
        lowest = np.log(1 + (classes - 1) / np.e)
        if abs(right - lowest) < 0.01:
            raise Wrong(
                f"I gave the net weights that make it certain, and the labels it is certain of. The loss should be "
                f"0.00. It is {right:.2f}, which is ln(1 + {classes - 1}/e): the loss takes a softmax of a softmax."
            )
        if not right < 0.1:
            raise Wrong(f"For answers that are certain and right the loss should be near 0. It is {right:.2f}.")
        if not wrong > 2:
            raise Wrong(f"For answers that are certain and wrong the loss should be large. It is {wrong:.2f}.")
    return "One softmax: the loss is near 0 for certain and right answers, and large for certain and wrong ones."


def _model_and_loss(answer):
    """Return the pair that the learner's function gives; refuse what cannot be trained."""
    pair = answer if isinstance(answer, tuple) and len(answer) == 2 else (None, None)
    if not hasattr(pair[0], "trainable_weights") or not callable(pair[1]):
        raise Wrong(f"It should return a keras.Model and its loss, a function. It returned {show(answer)}.")
    return pair


def _mean(losses):
    """Return the mean of one loss or of one for each example; infinity counts, nan does not."""
    try:
        mean = float(np.mean(np.asarray(losses).astype("float64")))
    except (TypeError, ValueError):
        raise Wrong(f"The loss should return numbers. It returned {show(losses)}.") from None
    return real_number(min(mean, 1e6), "The loss should return numbers, and not nan")
