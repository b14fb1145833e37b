"""Whether a run's log and its summary tell of the same run: what can be worked out twice must come out the same."""

import math

from resnet_lessons.recipes import Recipe


def disagreement(record):
    """Say where the log of a run tells of another run than its summary.

    Args:
        record: a ``Record``.

    Returns:
        A sentence on the first such place, or None.
    """
    try:
        recipe = Recipe(**record.recipe)
    except (TypeError, ValueError) as error:
        return f"the recipe is none: {error}"
    found = (say(record, recipe) for say in (_data, _updates, _rates, _last_line, _counts, _seconds))
    return next(filter(None, found), None)


def _data(record, recipe):
    if record.data["validation_images"] != recipe.validation:
        return f"{record.data['validation_images']} images were held back, the recipe holds back {recipe.validation}"
    validated = [epoch.epoch for epoch in record.log if epoch.val_error is not None]
    expected = [epoch.epoch for epoch in record.log] if recipe.validation else []
    if validated != expected:
        return f"{recipe.validation} images were held back, and {len(validated)} of {len(record.log)} epochs validated"
    return None


def _updates(record, recipe):
    """The log has a line after so many updates as the recipe says, and the last after the recipe's last."""
    expected = [*epoch_starts(recipe.to_json(), record.data["training_images"])[1:], recipe.steps]
    for epoch, step in zip(record.log, expected, strict=False):
        if epoch.step != step:
            return f"epoch {epoch.epoch} ends after {epoch.step:,} updates, by the recipe after {step:,}"
    if len(record.log) != len(expected):
        return f"the log has {len(record.log)} epochs, the recipe {len(expected)}"
    return None


def _rates(record, recipe):
    for epoch in record.log:
        rate = recipe.lr_at(epoch.step - 1)
        if not math.isclose(epoch.lr, rate, rel_tol=1e-5):
            return f"epoch {epoch.epoch} ends at the learning rate {epoch.lr:g}, by the recipe at {rate:g}"
    return None


def _last_line(record, recipe):
    last = record.log[-1]
    for key in ("val_loss", "val_error") if recipe.validation else ():
        if getattr(last, key) != record.result[key]:
            return f"{key} is {record.result[key]} in the summary, {getattr(last, key)} in the log's last line"
    return None


def _counts(record, recipe):
    """Every error is a whole number of images by the number of images looked at."""
    read, result = 0, record.result
    errors = [("test_error", result["test_error"], result["test_images"])]
    for epoch in record.log:
        seen = _images_after(epoch.step, record, recipe)
        errors += [(f"train_error of epoch {epoch.epoch}", epoch.train_error, seen - read)]
        errors += [(f"val_error of epoch {epoch.epoch}", epoch.val_error, recipe.validation)] * bool(recipe.validation)
        read = seen
    for name, error, images in errors:
        wrong = error * images
        if abs(wrong - round(wrong)) > 1e-4:
            return f"{name}, {error}, is no whole number of {images:,} images"
    return None


def _seconds(record, _):
    in_log, said = sum(epoch.seconds for epoch in record.log), record.result["seconds"]
    return None if abs(in_log - said) < 0.002 else f"the log's seconds sum up to {in_log:.3f}, the summary has {said}"


def epoch_starts(recipe, images):
    """Return after how many updates each epoch begins: one is a pass over the images unless the recipe says otherwise.

    Args:
        recipe: as ``Recipe.to_json`` gives it.
        images: how many are trained on.

    Returns:
        A range, as long as there are epochs.
    """
    between = recipe.get("steps_per_epoch") or updates_per_pass(images, recipe["batch_size"])
    return range(0, recipe["steps"], between)


def updates_per_pass(images, batch_size):
    """Return how many updates one pass over so many training images takes: the last batch may be smaller."""
    return -(-images // batch_size)


def _images_after(step, record, recipe):
    """Return how many images so many updates have seen."""
    images = record.data["training_images"]
    passes, rest = divmod(step, updates_per_pass(images, recipe.batch_size))
    return passes * images + rest * recipe.batch_size
