"""Recipes and images in words, for a person who is about to wait for a training."""


def recipe(chosen, images):
    """Say how a recipe trains.

    Args:
        chosen: a ``recipes.Recipe``.
        images: to train on.
    """
    passes = chosen.steps * chosen.batch_size / images
    augmentation = "no augmentation" if chosen.augment == "none" else f"augmentation {chosen.augment}"
    return "\n".join(
        [
            f"{chosen.name}: {chosen.steps:,} updates of {chosen.batch_size} images, {passes:.3g} times all images",
            f"learning rate {_rates(chosen)}",
            f"{_optimizer(chosen)}, {augmentation}",
        ]
    )


def _rates(chosen):
    if chosen.schedule == "one-cycle":
        [top] = chosen.turns
        return f"up to {chosen.learning_rate:g} at update {top:,}, then down to near 0"
    later = [f"{chosen.lr_at(turn):.4g} after {turn:,}" for turn in chosen.turns if turn < chosen.steps]
    return ", ".join([f"{chosen.lr_at(0):.4g}", *later])


def _optimizer(chosen):
    if chosen.optimizer == "adam":
        name = "Adam"
    else:
        name = f"SGD with {'Nesterov' if chosen.nesterov else 'momentum'} {chosen.momentum:g}"
    return f"{name}, weight decay {chosen.weight_decay:g} on {chosen.decay_on}" if chosen.weight_decay else name


def images(train, validation, test):
    """Say what the images of a data set are for."""
    held_back = f"{validation:,} to validate on" if validation else "none to validate on"
    return f"{train:,} to train on, {held_back}, {test:,} to test on, once"
