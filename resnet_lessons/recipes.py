"""How a network is trained, before anything runs: steps, batch, learning rates, augmentation, decay.

He et al. 2015, Sec. 4.2, for "he2015". A recipe is plain data: ``training`` obeys it, lesson 01 shows it. This is the
only module that reads ``RESNET_LESSONS_MODE``, which sizes the training cells of the lessons.
"""

import dataclasses
import math
import numbers
import os

MODES = ("fast", "full")
AUGMENTATIONS = ("none", "pad-crop-flip")


def _whole(field, value, minimum):
    """Return ``value`` as an int; refuse True, 3.0, "3" and what is below ``minimum``."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < minimum:
        raise ValueError(f"{field} must be a whole number of at least {minimum}. Received: {value!r}.")
    return int(value)


def _number(field, value, allowed, says):
    """Return ``value`` as a float; refuse what is no finite number and what ``allowed`` does not let through."""
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not (is_number and math.isfinite(value) and allowed(value)):
        raise ValueError(f"{field} must be {says}. Received: {value!r}.")
    return float(value)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Say how to train, by stochastic gradient descent with momentum.

    Args:
        name: what records call it.
        steps: updates in all.
        batch_size: images an update.
        learning_rate: before the first drop.
        drops: parts of ``steps`` after which the rate is divided by 10.
        warmup_steps: updates at ``warmup_rate``, before all else.
        warmup_rate: the rate of the warm-up.
        momentum: of the updates.
        weight_decay: added to a kernel's gradient as weight_decay * kernel; batch norm and biases have none.
        augment: "none", or "pad-crop-flip": 4 pixels of zeros on each side, a random crop, a flip half of the time.
        validation: images held back from training, as many of each class as of any other.
        steps_per_epoch: updates between two lines of the log; None: one pass over the training images.
    """

    name: str
    steps: int
    batch_size: int = 128
    learning_rate: float = 0.1
    drops: tuple[float, ...] = (0.5, 0.75)
    warmup_steps: int = 0
    warmup_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 1e-4
    augment: str = "pad-crop-flip"
    validation: int = 5000
    steps_per_epoch: int | None = None

    def __post_init__(self):
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"name must be a text that is not empty. Received: {self.name!r}.")
        for field, minimum in (("steps", 1), ("batch_size", 1), ("warmup_steps", 0), ("validation", 0)):
            self._fill(field, _whole(field, getattr(self, field), minimum))
        if self.steps_per_epoch is not None:
            self._fill("steps_per_epoch", _whole("steps_per_epoch", self.steps_per_epoch, 1))
        for field in ("learning_rate", "warmup_rate"):
            self._fill(field, _number(field, getattr(self, field), lambda rate: rate > 0, "above 0"))
        self._fill("momentum", _number("momentum", self.momentum, lambda m: 0 <= m < 1, "at least 0 and below 1"))
        self._fill("weight_decay", _number("weight_decay", self.weight_decay, lambda d: d >= 0, "at least 0"))
        self._fill("drops", _drops(self.drops))
        if self.augment not in AUGMENTATIONS:
            raise ValueError(f"augment must be one of {AUGMENTATIONS}. Received: {self.augment!r}.")

    def _fill(self, field, value):
        object.__setattr__(self, field, value)  # the dataclass is frozen; only __post_init__ may do this

    def lr_at(self, step, steps_per_epoch=None):  # noqa: ARG002
        """Return the learning rate of one update.

        Args:
            step: its number, counted from 0.
            steps_per_epoch: updates in an epoch, for a recipe that counts in epochs; these count in updates.
        """
        if step < self.warmup_steps:
            return self.warmup_rate
        passed = sum(step >= round(drop * self.steps) for drop in self.drops)
        return self.learning_rate / 10**passed

    def smoke(self):
        """Return the same recipe in 20 updates, to see that everything runs; it teaches a net next to nothing."""
        return dataclasses.replace(
            self,
            name=f"{self.name}-smoke",
            steps=20,
            batch_size=32,
            warmup_steps=min(self.warmup_steps, 2),
            validation=min(self.validation, 100),
            steps_per_epoch=10,
        )

    def resized(self, steps, *, validation=None, epochs=10):
        """Return the same recipe over another number of steps, its drops in proportion.

        Args:
            steps: updates in all.
            validation: images held back; None: as many as before.
            epochs: lines of the log, at the most.
        """
        steps, epochs = _whole("steps", steps, 1), _whole("epochs", epochs, 1)
        return dataclasses.replace(
            self,
            name=self.name if steps == self.steps else f"{self.name}-{steps}",
            steps=steps,
            validation=self.validation if validation is None else validation,
            steps_per_epoch=-(-steps // epochs),
        )

    def to_json(self):
        """Return a dict of plain values that ``Recipe(**...)`` turns back into this recipe."""
        return dataclasses.asdict(self) | {"drops": list(self.drops)}


def _drops(drops):
    says = "increasing parts of the steps, between 0 and 1, such as (0.5, 0.75)"
    try:
        drops = tuple(_number("Each drop", drop, lambda part: 0 < part < 1, "between 0 and 1") for drop in drops)
    except (TypeError, ValueError) as error:
        raise ValueError(f"drops must be {says}. Received: {drops!r}.") from error
    if list(drops) != sorted(set(drops)):
        raise ValueError(f"drops must be {says}. Received: {drops!r}.")
    return drops


_RECIPES = {
    # 64k iterations, the rate divided by 10 at 32k and 48k, 45k images to train on and 5k to validate.
    "he2015": Recipe("he2015", steps=64_000),
    # The same shape in an eighth of the time.
    "short": Recipe("short", steps=8_000),
    # As far as a minute goes on two cores: small batches for more updates, and a rate at which plain-56 moves at all.
    "minute": Recipe(
        "minute", steps=56, batch_size=64, learning_rate=0.03, drops=(), validation=1000, steps_per_epoch=14
    ),
}
WARMUP_DEPTH = 110  # Sec. 4.2: from here up a rate of 0.1 is too large to start with


def get(name, depth=None):
    """Return a recipe by name.

    Args:
        name: "he2015", "short" or "minute".
        depth: the net's depth; from 110 layers up the first 400 updates are a warm-up at 0.01. The paper warms up
            until the training error is below 80%, which takes about so many.

    Raises:
        ValueError: for an unknown name.
    """
    if not isinstance(name, str) or name not in _RECIPES:
        raise ValueError(f"recipe must be one of {', '.join(map(repr, _RECIPES))}. Received: {name!r}.")
    recipe = _RECIPES[name]
    if depth is not None and depth >= WARMUP_DEPTH:
        return dataclasses.replace(recipe, warmup_steps=400)
    return recipe


def mode():
    """Return "fast" or "full": how long the training cells of a lesson run, from ``RESNET_LESSONS_MODE``.

    Raises:
        ValueError: if the variable holds anything else.
    """
    value = os.environ.get("RESNET_LESSONS_MODE") or "fast"
    if value not in MODES:
        raise ValueError(
            f"The environment variable RESNET_LESSONS_MODE must be 'fast' or 'full'. Received: {value!r}. "
            "Unset it for fast mode."
        )
    return value


def for_lesson(size=None):
    """Return the recipe by which a lesson trains its nets: "minute" in fast mode, 1,600 updates of "short" in full.

    Args:
        size: "fast" or "full"; None: the mode that is on.

    Raises:
        ValueError: for any other size.
    """
    size = mode() if size is None else size
    if size not in MODES:
        raise ValueError(f"size must be 'fast' or 'full'. Received: {size!r}.")
    return get("minute") if size == "fast" else get("short").resized(1600)
