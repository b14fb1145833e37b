"""How a network is trained, before anything runs: steps, batch, learning rates, optimizer, augmentation, decay.

``get`` returns a recipe by its name: He et al. 2015, Sec. 4.2, is "he2015", Keras's own example "keras-example". A
recipe is plain data: ``training`` obeys it, lesson 01 shows it. This is the only module that reads
``RESNET_LESSONS_MODE``, which sizes the training cells of the lessons.
"""

import dataclasses
import os

from .keras_example import KERAS_EXAMPLE_MENDED, Mended
from .recipe import AUGMENTATIONS, DECAYED, OPTIMIZERS, SCHEDULES, Recipe, deep_warmup, whole
from .words import in_words

__all__ = [
    "AUGMENTATIONS",
    "DECAYED",
    "HIGHEST_SEED",
    "KERAS_EXAMPLE_MENDED",
    "MODES",
    "NAMES",
    "OPTIMIZERS",
    "PRECISIONS",
    "SCHEDULES",
    "STRATEGIES",
    "WARMUP_DEPTH",
    "Mended",
    "Recipe",
    "choose",
    "for_lesson",
    "get",
    "in_words",
    "mode",
]

MODES = ("smoke", "fast", "full")
PRECISIONS = ("auto", "float32", "mixed_bfloat16")  # Keras's dtype policies; auto: the faster of the two on a machine
STRATEGIES = (None, "mirrored")  # one device, or a copy of the network on each
HIGHEST_SEED = 2**32 - 1  # what NumPy's and Keras's seeds admit

_RECIPES = {
    # 64k iterations, the rate divided by 10 at 32k and 48k, 45k images to train on and 5k to validate.
    "he2015": Recipe("he2015", steps=64_000),
    # 200 passes over 45,000 images. The script's rate falls once the epoch's index exceeds 80, 120, 160 and 180.
    "keras-example": Recipe(
        "keras-example",
        steps=200 * 1407,  # ceil(45,000 / 32) updates a pass
        batch_size=32,
        learning_rate=1e-3,
        drops=(81 / 200, 121 / 200, 161 / 200, 181 / 200),
        factors=(1e-1, 1e-2, 1e-3, 0.5e-3),
        optimizer="adam",
        weight_decay=2e-4,  # the gradient of the penalty 1e-4 * weight**2 is 2e-4 * weight
        decay_on="convolutions",
        augment="shift-flip",
    ),
    # The shape of he2015 in an eighth of the time.
    "short": Recipe("short", steps=8_000),
    # 40 passes over 45,000 images.
    "fast-accuracy": Recipe(
        "fast-accuracy",
        steps=40 * 352,  # ceil(45,000 / 128) updates a pass
        learning_rate=0.2,
        drops=(),
        schedule="one-cycle",
        peak=0.2,
        nesterov=True,
        weight_decay=5e-4,
    ),
    # As far as a minute goes on two cores: small batches for more updates, and a rate at which plain-56 moves at all.
    "minute": Recipe(
        "minute", steps=56, batch_size=64, learning_rate=0.03, drops=(), validation=1000, steps_per_epoch=14
    ),
}
NAMES = tuple(_RECIPES)
WARMUP_DEPTH = 110  # Sec. 4.2: from here up a rate of 0.1 is too large to start with
_WARMED_UP = ("he2015", "short", "minute")  # Adam's rate is small as it is, and one-cycle starts low


def get(name, depth=None):
    """Return a recipe by name.

    Args:
        name: one of ``NAMES``, or one of them with "-smoke" after it for its form in 20 updates.
        depth: the net's depth; from 110 layers up "he2015", "short" and "minute" start with a warm-up at 0.01, of
            400 updates, or of a twentieth of all if that is less. The paper warms up until the training error is
            below 80%, which takes about 400.

    Raises:
        ValueError: for an unknown name, and for a depth that is no whole number.
    """
    known = name.removesuffix("-smoke") if isinstance(name, str) else None
    if known not in _RECIPES:
        raise ValueError(
            f"recipe must be one of {', '.join(map(repr, NAMES))}, or one of them with '-smoke' after it. "
            f"Received: {name!r}."
        )
    recipe = _RECIPES[known]
    if depth is not None and whole("depth", depth, 1) >= WARMUP_DEPTH and known in _WARMED_UP:
        recipe = dataclasses.replace(recipe, warmup_steps=deep_warmup(recipe.steps))
    return recipe if name == known else recipe.smoke()


def choose(name, depth, steps=None, smoke=False):
    """Return a recipe by name, over another number of updates if ``steps`` says so, or in its smoke form.

    Raises:
        ValueError: for an unknown name, and for ``steps`` together with ``smoke``.
    """
    chosen = get(name, depth)
    if steps is None:
        return chosen.smoke() if smoke else chosen
    if smoke:
        raise ValueError(f"Give steps or smoke, not both: a smoke form has 20 updates. Received: steps={steps}.")
    return chosen.resized(steps, epochs=None)


def mode():
    """Return "smoke", "fast" or "full": how long the training cells of a lesson run, from ``RESNET_LESSONS_MODE``.

    Raises:
        ValueError: if the variable holds anything else.
    """
    value = os.environ.get("RESNET_LESSONS_MODE") or "fast"
    if value not in MODES:
        raise ValueError(
            f"The environment variable RESNET_LESSONS_MODE must be 'smoke', 'fast' or 'full'. Received: {value!r}. "
            "Unset it for fast mode."
        )
    return value


def for_lesson(size=None):
    """Return the recipe by which a lesson trains its nets: "minute" in fast mode, 1,600 updates of "short" in full.

    In smoke mode it is 12 updates of "minute" on 16 images each, with 100 held back: all cells run, no net learns.

    Args:
        size: one of ``MODES``; None: the mode that is on.

    Raises:
        ValueError: for any other size.
    """
    size = mode() if size is None else size
    if size not in MODES:
        raise ValueError(f"size must be 'smoke', 'fast' or 'full'. Received: {size!r}.")
    if size == "full":
        return get("short").resized(1600)
    if size == "fast":
        return get("minute")
    return dataclasses.replace(get("minute").resized(12, validation=100, epochs=1), batch_size=16)
