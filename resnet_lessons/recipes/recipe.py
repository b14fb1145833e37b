"""``Recipe``: one way to train as plain data, checked when it is made, and the learning rate of each of its updates.

He et al. 2015, Sec. 4.2, is what its defaults are.
"""

import dataclasses
import math
import numbers

AUGMENTATIONS = ("none", "pad-crop-flip", "shift-flip")
SCHEDULES = ("drops", "one-cycle")
OPTIMIZERS = ("sgd", "adam")
DECAYED = ("kernels", "convolutions")


def deep_warmup(steps):
    """Return the length of a deep net's warm-up: 400 updates, and no more than a twentieth of all."""
    return min(400, steps // 20)


def whole(field, value, minimum, maximum=math.inf):
    """Return ``value`` as an int; refuse True, 3.0, "3", what is below ``minimum`` and what is above ``maximum``."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or not minimum <= value <= maximum:
        allowed = f"of at least {minimum}" if maximum == math.inf else f"from {minimum} to {maximum}"
        raise ValueError(f"{field} must be a whole number {allowed}. Received: {value!r}.")
    return int(value)


def _number(field, value, allowed, says):
    """Return ``value`` as a float; refuse what is no finite number and what ``allowed`` does not let through."""
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not (is_number and math.isfinite(value) and allowed(value)):
        raise ValueError(f"{field} must be {says}. Received: {value!r}.")
    return float(value)


def _choice(field, value, choices):
    """Return ``value``; refuse what is not among ``choices``, and 1 where True is."""
    if not isinstance(value, type(choices[0])) or value not in choices:
        raise ValueError(f"{field} must be one of {choices}. Received: {value!r}.")
    return value


def _parts(field, values, says, allowed):
    """Return ``values`` as a tuple of floats between 0 and 1; refuse others, and those not ``allowed`` together."""
    refusal = ValueError(f"{field} must be {says}. Received: {values!r}.")
    try:
        parts = [_number(field, value, lambda part: 0 < part < 1, says) for value in values]
    except (TypeError, ValueError) as error:
        raise refusal from error
    if not allowed(parts):
        raise refusal
    return tuple(parts)


_WHOLE = {"steps": 1, "batch_size": 1, "warmup_steps": 0, "validation": 0}  # field: the least it may be
_NUMBERS = {
    "learning_rate": (lambda rate: rate > 0, "above 0"),
    "warmup_rate": (lambda rate: rate > 0, "above 0"),
    "peak": (lambda part: 0 < part < 1, "above 0 and below 1"),
    "momentum": (lambda part: 0 <= part < 1, "at least 0 and below 1"),
    "weight_decay": (lambda decay: decay >= 0, "at least 0"),
}
_CHOICES = {
    "augment": AUGMENTATIONS,
    "schedule": SCHEDULES,
    "optimizer": OPTIMIZERS,
    "decay_on": DECAYED,
    "nesterov": (False, True),
    "subtract_mean": (False, True),
}
_ONLY = {  # what a choice asks of other fields, and why
    "one-cycle": {"drops": ((), "which has none"), "warmup_steps": (0, "which starts low")},
    "adam": {"nesterov": (False, "which has no such form"), "momentum": (0.9, "which keeps its own, 0.9 and 0.999")},
}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Say how to train: so many updates of such a batch, at these rates.

    Args:
        name: what records call it.
        steps: updates in all.
        batch_size: images an update.
        learning_rate: before the first drop; with "one-cycle" the highest.
        drops: parts of ``steps`` after which the rate falls.
        warmup_steps: updates at ``warmup_rate``, before all else.
        warmup_rate: the rate of the warm-up.
        momentum: of "sgd"; "adam" keeps its own two, 0.9 and 0.999.
        weight_decay: added to the gradient of a weight as weight_decay * weight; batch norm and biases have none.
        augment: "none"; "pad-crop-flip": 4 pixels of zeros on each side, a random crop, a flip half of the time;
            "shift-flip": a shift by up to a tenth of height and of width, a flip half of the time.
        validation: images held back from training, as many of each class as of any other.
        steps_per_epoch: updates between two lines of the log; None: one pass over the training images.
        factors: what ``learning_rate`` is multiplied by after each drop; None: 0.1, 0.01 and so on.
        schedule: "drops", or "one-cycle": up to ``learning_rate`` in a straight line from near 0, and down to near 0
            in another. It starts low, so it has neither drops nor warm-up.
        peak: the part of ``steps`` at which "one-cycle" reaches ``learning_rate``.
        optimizer: "sgd" or "adam".
        nesterov: Nesterov's momentum, for "sgd".
        decay_on: which weights have the decay: "kernels" are those of convolutions and of the classifier;
            "convolutions" leaves the classifier out.
        subtract_mean: take the per-pixel mean of the training images off every image.

    Raises:
        ValueError: for a value that is not so, and for two that contradict each other.
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
    factors: tuple[float, ...] | None = None
    schedule: str = "drops"
    peak: float = 0.25
    optimizer: str = "sgd"
    nesterov: bool = False
    decay_on: str = "kernels"
    subtract_mean: bool = True

    def __post_init__(self):
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"name must be a text that is not empty. Received: {self.name!r}.")
        for field, minimum in _WHOLE.items():
            self._fill(field, whole(field, getattr(self, field), minimum))
        for field, (allowed, says) in _NUMBERS.items():
            self._fill(field, _number(field, getattr(self, field), allowed, says))
        for field, choices in _CHOICES.items():
            self._fill(field, _choice(field, getattr(self, field), choices))
        if self.steps_per_epoch is not None:
            self._fill("steps_per_epoch", whole("steps_per_epoch", self.steps_per_epoch, 1))
        self._fill_drops_and_factors()
        for choice in (self.schedule, self.optimizer):
            for field, (only, why) in _ONLY.get(choice, {}).items():
                value = getattr(self, field)
                if value != only:
                    raise ValueError(f"{field} must be {only!r} with {choice!r}, {why}. Received: {value!r}.")

    def _fill(self, field, value):
        object.__setattr__(self, field, value)  # the dataclass is frozen; only __post_init__ may do this

    def _fill_drops_and_factors(self):
        says = "increasing parts of the steps, between 0 and 1, such as (0.5, 0.75)"
        self._fill("drops", _parts("drops", self.drops, says, lambda parts: parts == sorted(set(parts))))
        if self.factors is not None:
            count = len(self.drops)
            says = f"None or {count} falling numbers between 0 and 1, one for each drop, such as (0.1, 0.01) for two"
            falling = lambda parts: len(parts) == count and parts == sorted(set(parts), reverse=True)  # noqa: E731
            self._fill("factors", _parts("factors", self.factors, says, falling))

    def lr_at(self, step, steps_per_epoch=None):  # noqa: ARG002
        """Return the learning rate of one update, always above 0.

        Args:
            step: its number, counted from 0; after the last update the rate stays.
            steps_per_epoch: updates in an epoch, for a recipe that counts in epochs; these count in updates.

        Raises:
            ValueError: if ``step`` is no whole number of at least 0.
        """
        step = whole("step", step, 0)
        if self.schedule == "one-cycle":
            return self._one_cycle(step)
        if step < self.warmup_steps:
            return self.warmup_rate
        passed = sum(step >= fall for fall in self._falls)
        if passed and self.factors is not None:
            return self.learning_rate * self.factors[passed - 1]
        return self.learning_rate / 10**passed

    @property
    def turns(self):
        """After how many updates the rate jumps or bends, a rising tuple; a short run may not come to the last."""
        if self.schedule == "one-cycle":
            return (max(1, round(self.peak * self.steps)),)
        return tuple(sorted({max(self.warmup_steps, fall) for fall in (0, *self._falls)} - {0}))

    @property
    def _falls(self):
        """After how many updates each drop comes: in a short run two at once, or during the warm-up."""
        return tuple(round(drop * self.steps) for drop in self.drops)

    def _one_cycle(self, step):
        """Return a rate on the way up or down; the first update has one part of the way up, the last one of down."""
        [rising] = self.turns  # updates, the last of them at learning_rate
        done, falling = step + 1, self.steps - rising
        part = done / rising if done <= rising else max(1, self.steps + 1 - done) / (falling + 1)
        return self.learning_rate * part

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
        """Return the same recipe over another number of steps, its drops, peak and warm-up in proportion.

        The warm-up of deep nets stays the one that ``get`` gives for so many steps.

        Args:
            steps: updates in all.
            validation: images held back; None: as many as before.
            epochs: lines of the log, at the most; None: as many updates between two of them as before.
        """
        steps = whole("steps", steps, 1)
        return dataclasses.replace(
            self,
            name=self.name if steps == self.steps else f"{self.name}-{steps}",
            steps=steps,
            warmup_steps=self._warmup_over(steps),
            validation=self.validation if validation is None else validation,
            steps_per_epoch=self.steps_per_epoch if epochs is None else -(-steps // whole("epochs", epochs, 1)),
        )

    def _warmup_over(self, steps):
        if self.warmup_steps and self.warmup_steps == deep_warmup(self.steps):
            return deep_warmup(steps)
        return round(self.warmup_steps * steps / self.steps)

    def to_json(self):
        """Return a dict of plain values that ``Recipe(**...)`` turns back into this recipe."""
        tuples = {"drops": list(self.drops), "factors": None if self.factors is None else list(self.factors)}
        return dataclasses.asdict(self) | tuples
