"""A recipe in words, all but its learning rates."""


def in_words(recipe):
    """Say how a recipe trains, but for its learning rates and the images that it holds back.

    Args:
        recipe: a ``Recipe``.

    Returns:
        Two texts, such as "minute: 56 updates of 64 images" and "SGD with momentum 0.9, weight decay 0.0001 on
        kernels, augmentation pad-crop-flip".
    """
    length = f"{recipe.name}: {recipe.steps:,} updates of {recipe.batch_size} images"
    method = ["Adam"]
    if recipe.optimizer == "sgd":
        method = [f"SGD with {'Nesterov ' if recipe.nesterov else ''}momentum {recipe.momentum:g}"]
    if recipe.weight_decay:
        method.append(f"weight decay {recipe.weight_decay:g} on {recipe.decay_on}")
    method.append("no augmentation" if recipe.augment == "none" else f"augmentation {recipe.augment}")
    return length, ", ".join(method)
