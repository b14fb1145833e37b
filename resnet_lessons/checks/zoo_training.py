"""The bug zoo of lesson 06, training: each check runs a learner's function on small arrays and says what it saw.

The bugs are of learning rates, of the checkpoint that is kept, of crops, of the order of images, and of validation.
"""

import types

import numpy as np

from .answers import Wrong, answer_of, array_answer, real_number, show, specimen

PATIENCE, STUCK, DROPS = 5, 10, (80, 120)  # epochs
HOOKS = ("set_model", "on_train_begin", "on_epoch_begin", "on_epoch_end")


@specimen
def zoo_rates(function):
    """Check ``function(patience)``: callbacks that divide a rate of 0.1 by 10 at epochs 80 and 120, and halve it too.

    They halve it when the validation loss has not improved for ``patience`` epochs.
    """
    falling, _ = _rates(function, lambda epoch: 2 - epoch / 100)
    for epoch, right in ((0, 0.1), (79, 0.1), (80, 0.01), (119, 0.01), (120, 0.001), (139, 0.001)):
        if not np.isclose(falling[epoch], right, rtol=1e-3):
            raise Wrong(
                f"With a validation loss that improves in every epoch, the rate of epoch {epoch} should be {right:g}. "
                f"It is {falling[epoch]:.3g}."
            )
    before, after = _rates(function, lambda epoch: 2 - min(epoch, STUCK) / 100)
    _refuse_undone(before, after)
    told = f"With a validation loss that stands still from epoch {STUCK} on, "
    cut = next((epoch for epoch, rate in enumerate(before) if rate < 0.0999), len(before))
    if not STUCK + PATIENCE <= cut <= STUCK + 2 * PATIENCE:
        when = cut if cut < len(before) else "no epoch"
        raise Wrong(f"{told}the rate should be halved after {PATIENCE} more epochs. It first falls in {when}.")
    if not np.isclose(before[cut], 0.05, rtol=1e-3):
        raise Wrong(f"{told}the rate should be halved, from 0.1 to 0.05. In epoch {cut} it becomes {before[cut]:.3g}.")
    if not all(before[drop] < 0.11 * before[drop - 1] for drop in DROPS):
        raise Wrong(f"{told}the rate should still be divided by 10 at epochs {DROPS[0]} and {DROPS[1]}. It is not.")
    return "Both act: what one has changed, the other goes on from."


def _rates(function, val_loss, epochs=140):
    """Run the callbacks as ``fit`` would; return the rates that an epoch trains with and those that it leaves."""
    callbacks = answer_of(function, PATIENCE, case=f"a patience of {PATIENCE} epochs")
    callbacks = list(callbacks) if isinstance(callbacks, (list, tuple)) else []
    if not callbacks or not all(hasattr(callback, hook) for callback in callbacks for hook in HOOKS):
        raise Wrong("It should return a list of Keras callbacks.")
    optimizer = types.SimpleNamespace(learning_rate=np.float32(0.1))
    for callback in callbacks:
        callback.set_model(types.SimpleNamespace(optimizer=optimizer))
        callback.on_train_begin({})
    before, after = [], []
    for epoch in range(epochs):
        for callback in callbacks:
            callback.on_epoch_begin(epoch, {})
        before.append(float(optimizer.learning_rate))
        logs = {"loss": val_loss(epoch), "val_loss": val_loss(epoch)}
        for callback in callbacks:
            callback.on_epoch_end(epoch, dict(logs))
        after.append(float(optimizer.learning_rate))
    return before, after


def _refuse_undone(before, after):
    for epoch, (left, begun) in enumerate(zip(after, before[1:], strict=False)):
        if begun > 1.01 * left:
            raise Wrong(
                f"The validation loss stood still from epoch {STUCK} on. After epoch {epoch} the rate was cut to "
                f"{left:.2g}; before the first update of epoch {epoch + 1} it was set back to {begun:.2g}. So one "
                "callback undoes what the other has done."
            )


@specimen
def zoo_report(function):
    """Check ``function(val_accuracy, test_accuracy)``: the epoch whose weights are kept, and the accuracy to report."""
    rng = np.random.default_rng(0)
    for epochs in (30, 12):
        val, test = rng.normal(0.9, 0.003, (2, epochs))
        best = int(val.argmax())
        answer = answer_of(function, val.copy(), test.copy(), case=f"the accuracies of {epochs} epochs")
        if not isinstance(answer, (tuple, list)) or len(answer) != 2:
            raise Wrong(f"It should return an epoch and an accuracy. It returned {show(answer)}.")
        epoch = real_number(answer[0], "The epoch should be one number")
        accuracy = real_number(answer[1], "The accuracy should be one number")
        if epoch == test.argmax():
            excess = 100 * (test.max() - test[best])
            raise Wrong(
                f"It keeps epoch {epoch:.0f}, the one of {epochs} that does best on the test images. I drew the "
                f"accuracies at random, all around one mean; this choice reports {excess:.1f} points more than the "
                "epoch that is best on the validation images."
            )
        if epoch != best:
            raise Wrong(f"Epoch {best} is the best on the validation images, counted from 0. It keeps {epoch:.0f}.")
        if np.isclose(accuracy, val[best]):
            raise Wrong("It reports the validation accuracy, which the choice has made too good. Report the test's.")
        if not np.isclose(accuracy, test[best]):
            raise Wrong(f"The test accuracy of epoch {best} is {test[best]:.4f}. It reports {accuracy:.4f}.")
    return "The validation images choose, and the test images are read for what was chosen."


PAD, BATCH, SHAPE = 4, 64, (12, 10)  # pixels of zeros on each side; images; their height and width


@specimen
def zoo_crops(function):
    """Check ``function(images, rng)``: each image cropped at random from itself padded by 4 pixels of zeros."""
    offsets = np.concatenate([_offsets(function, seed) for seed in range(32)])  # (2048, 2), to see all 81 places
    first = offsets[:BATCH]
    shared = (first == first[0]).all(axis=0).tolist()
    if any(shared):
        what = {(True, True): "place", (True, False): "row", (False, True): "column"}[tuple(shared)]
        raise Wrong(f"All {BATCH} images of a batch were cropped at one and the same {what}. Each should have its own.")
    if (offsets[:, 0] == offsets[:, 1]).all():
        raise Wrong("Every image was moved as far down as to the right. Height and width need draws of their own.")
    for axis, name in enumerate(("row", "column")):
        missing = sorted(set(range(2 * PAD + 1)) - set(offsets[:, axis].tolist()))
        if missing:
            raise Wrong(
                f"Of {len(offsets)} crops none began at {name} {missing[-1]} of the padded image, where 0 to {2 * PAD} "
                "are possible. The upper limit of rng.integers is not among its draws."
            )
    places, possible = len(np.unique(offsets, axis=0)), (2 * PAD + 1) ** 2
    if places < possible:
        raise Wrong(
            f"{len(offsets)} crops began at only {places} of {possible} places. Draw the row and the column for each "
            "image, neither depending on the other."
        )
    if not np.array_equal(_offsets(function, 0), first):
        raise Wrong("Two generators with the same seed gave different crops: some draws are not from rng.")
    return f"Every image has a crop of its own, from all {possible} places."


def _offsets(function, seed):
    """Return where each image was cropped, (B, 2): its pixels hold their own place, and the image's number."""
    height, width = SHAPE
    places = np.arange(1, height * width + 1, dtype="uint8").reshape(1, height, width)
    numbers = np.arange(1, BATCH + 1, dtype="uint8").reshape(BATCH, 1, 1)
    images = np.stack(np.broadcast_arrays(places, numbers), axis=-1)  # (B, H, W, 2)
    wanted = f"images of the shape {images.shape}"
    answer = answer_of(function, images.copy(), np.random.default_rng(seed), case=f"{BATCH} images")
    crops = array_answer(answer, f"It should return {wanted}")
    if crops.shape != images.shape:
        raise Wrong(f"It should return {wanted}. The shape is {crops.shape}.")
    padded = np.pad(images, ((0, 0), (PAD, PAD), (PAD, PAD), (0, 0)))
    offsets = np.full((BATCH, 2), -1)
    for top in range(2 * PAD + 1):
        for left in range(2 * PAD + 1):
            window = padded[:, top : top + height, left : left + width]
            offsets[(window == crops).all(axis=(1, 2, 3))] = top, left
    if (offsets < 0).any():
        number = int(np.flatnonzero(offsets[:, 0] < 0)[0])
        raise Wrong(f"Image {number} of the result is no window of image {number}, padded by {PAD} pixels of zeros.")
    return offsets


@specimen
def zoo_order(function):
    """Check ``function(count, seed, epoch)``: the order in which an epoch serves the images 0 to count - 1."""
    orders = {(seed, epoch): _order(function, 50, seed, epoch) for seed in range(5) for epoch in range(5)}
    if np.array_equal(orders[0, 0], np.arange(50)) and np.array_equal(orders[1, 1], np.arange(50)):
        raise Wrong("The images come in the order in which they lie. They should be shuffled.")
    if np.array_equal(orders[0, 0], orders[0, 1]) or np.array_equal(orders[0, 1], orders[0, 2]):
        raise Wrong("Two epochs of one run serve the images in the same order, so every batch comes again as it was.")
    if not np.array_equal(orders[0, 1], _order(function, 50, 0, 1)):
        raise Wrong("The same seed and epoch gave two different orders: the run cannot be repeated.")
    if any(np.array_equal(orders[0, epoch], orders[1, epoch]) for epoch in (0, 1, 2)):
        raise Wrong("Runs with the seeds 0 and 1 serve the images in the same order. The seed should matter too.")
    _refuse_repeated(orders)
    return "A new order in each epoch, and the same one whenever that epoch is served again."


def _refuse_repeated(orders):
    """Raise Wrong for an order that is the images' own or another epoch's, begun at any image."""
    seen = {}
    for (seed, epoch), order in orders.items():
        from_zero = tuple(np.roll(order, -order.argmin()))
        if from_zero == tuple(range(len(order))):
            raise Wrong(
                f"For seed {seed}, epoch {epoch} the images come in the order in which they lie, begun at image "
                f"{order[0]:.0f}. They should be shuffled."
            )
        if from_zero in seen:
            other = seen[from_zero]
            same = "the same order" if np.array_equal(order, orders[other]) else "the same order, begun elsewhere"
            raise Wrong(
                f"Seed {other[0]}, epoch {other[1]} and seed {seed}, epoch {epoch} have {same}. Each epoch of each "
                "run should have its own."
            )
        seen[from_zero] = seed, epoch


def _order(function, count, seed, epoch):
    case = f"{count} images, seed {seed}, epoch {epoch}"
    answer = answer_of(function, count, seed, epoch, case=case)
    order = array_answer(answer, f"It should return the numbers 0 to {count - 1} in some order")
    if order.shape != (count,) or not np.array_equal(np.sort(order), np.arange(count)):
        raise Wrong(f"For {case} it should return each number from 0 to {count - 1} once. It does not.")
    return order


@specimen
def zoo_validation(function):
    """Check ``function(images, labels, augment)``: (images, labels) to train on, and a fifth to validate on."""
    for count in (100, 45):
        numbers = np.arange(count)
        images = np.broadcast_to(2 * numbers.reshape(-1, 1, 1, 1), (count, 4, 4, 1)).astype("uint8")  # all even
        labels = (7 * numbers) % 10
        answer = answer_of(function, images, labels.copy(), lambda some: some + np.uint8(1), case=f"{count} images")
        parts = [_part(part, labels) for part in _pairs(answer)]
        (train, train_odd), (val, val_odd) = parts
        if len(val) != count // 5 or len(train) != count - count // 5:
            raise Wrong(f"Of {count} images it trains on {len(train)} and validates on {len(val)}, not {count // 5}.")
        if set(train) & set(val):
            raise Wrong(f"{len(set(train) & set(val))} images are among those to train and those to validate on.")
        if val_odd.any():
            raise Wrong(
                f"{val_odd.sum()} of {len(val)} validation images had been through augment. They should be as they "
                "came: the error is to be that on images as they are, and the same images in each epoch."
            )
        if not train_odd.all():
            raise Wrong(f"{(~train_odd).sum()} of the {len(train)} images to train on were not augmented.")
    return "What is trained on is augmented, and what is validated on is left as it came."


def _pairs(answer):
    try:
        (train, train_labels), (val, val_labels) = answer
    except (TypeError, ValueError):
        raise Wrong(f"It should return two pairs of images and labels. It returned {show(answer)}.") from None
    return (train, train_labels), (val, val_labels)


def _part(part, labels):
    """Return which images a part holds, (N,), and which of them augment has been over: it makes pixels odd."""
    images, own = (array_answer(values, "It should return images and labels") for values in part)
    if images.ndim != 4 or own.shape != images.shape[:1]:
        raise Wrong(f"Images should be (N, 4, 4, 1) and labels (N,). They are {images.shape} and {own.shape}.")
    pixels = images[:, 0, 0, 0].astype(int)
    numbers = pixels // 2
    if (numbers < 0).any() or (numbers >= len(labels)).any() or (labels[numbers] != own).any():
        raise Wrong("Some images have labels that are not theirs. Images and labels must be divided in the same way.")
    return numbers.tolist(), pixels % 2 == 1
