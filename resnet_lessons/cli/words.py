"""Recipes and images in words, for a person who is about to wait for a training."""

from resnet_lessons import recipes


def recipe(chosen, images):
    """Say how a recipe trains.

    Args:
        chosen: a ``recipes.Recipe``.
        images: to train on.
    """
    passes = chosen.steps * chosen.batch_size / images
    length, method = recipes.in_words(chosen)
    times = f"{passes:,.0f}" if passes >= 999.5 else f"{passes:.3g}"
    return f"{length}, {times} times all images\nlearning rate {_rates(chosen)}\n{method}"


def _rates(chosen):
    if chosen.schedule == "one-cycle":
        [top] = chosen.turns
        return f"up to {chosen.learning_rate:g} at update {top:,}, then down to near 0"
    later = [f"{chosen.lr_at(turn):.4g} after {turn:,}" for turn in chosen.turns if turn < chosen.steps]
    return ", ".join([f"{chosen.lr_at(0):.4g}", *later])


def images(train, validation, test):
    """Say what the images of a data set are for."""
    held_back = f"{validation:,} to validate on" if validation else "none to validate on"
    return f"{train:,} to train on, {held_back}, {test:,} to test on, once"
