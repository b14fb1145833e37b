"""What a run is and what it gave, as plain records."""

import dataclasses
import numbers

from resnet_lessons import backend
from resnet_lessons.recipes import HIGHEST_SEED, PRECISIONS, Recipe
from resnet_lessons.specs import Spec

import keras
import numpy as np


@dataclasses.dataclass(frozen=True)
class Settings:
    """All that decides how a run comes out, but for the data and the machine.

    Args:
        spec: the network.
        recipe: how it is trained.
        seed: of the initial weights, dropout, order and augmentation.
        precision: "float32" or "mixed_bfloat16".
        strategy: None, or "mirrored".
        deterministic: whether operations were asked to repeat bit for bit.
        devices: the parts of a divided processor that "mirrored" was over; None on GPUs, and in an old ``run.json``.

    Raises:
        ValueError: for a value that is not so.
    """

    spec: Spec
    recipe: Recipe
    seed: int
    precision: str
    strategy: str | None
    deterministic: bool
    devices: int | None = None

    def __post_init__(self):
        whole = isinstance(self.seed, numbers.Integral) and not isinstance(self.seed, bool)
        if not whole or not 0 <= self.seed <= HIGHEST_SEED:
            raise ValueError(f"seed must be a whole number from 0 to {HIGHEST_SEED}. Received: {self.seed!r}.")
        object.__setattr__(self, "seed", int(self.seed))  # the dataclass is frozen; NumPy's numbers are not JSON
        if self.precision not in PRECISIONS[1:]:
            raise ValueError(f"precision must be one of {PRECISIONS[1:]}. Received: {self.precision!r}.")
        if not isinstance(self.deterministic, bool):
            raise ValueError(f"deterministic must be true or false. Received: {self.deterministic!r}.")
        backend.check_strategy(self.strategy)
        if self.devices is not None and (type(self.devices) is not int or self.devices < 2 or self.strategy is None):
            raise ValueError(f"devices must be two or more, and with a strategy alone. Received: {self.devices!r}.")

    def to_json(self):
        """Return a dict of plain values that ``from_json`` turns back into these settings."""
        return {
            "spec": self.spec.to_json(),
            "recipe": self.recipe.to_json(),
            "seed": self.seed,
            "precision": self.precision,
            "strategy": self.strategy,
            "deterministic": self.deterministic,
            "devices": self.devices,
        }

    @classmethod
    def from_json(cls, values):
        """Return the settings that a ``run.json`` holds."""
        plain = {key: values[key] for key in ("seed", "precision", "strategy", "deterministic")}
        return cls(Spec(**values["spec"]), Recipe(**values["recipe"]), **plain, devices=values.get("devices"))


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """What one training gave.

    Args:
        spec: the network.
        recipe: how it was trained.
        seed: of the initial weights and of dropout; in ``train`` of order and augmentation too.
        precision: "float32" or "mixed_bfloat16".
        model: the trained keras.Model.
        step_error: (steps,) part of each batch that the net got wrong while it was training, between 0 and 1; only
            the updates that this call made.
        step_loss: (steps,) its loss.
        epochs: a dict for each epoch, with ``epoch``, ``step``, ``train_loss``, ``train_error``, ``val_loss``,
            ``val_error``, ``lr`` and ``seconds``. Training figures are means over the epoch, as it was running, and
            the rate is that of its last update. Without validation there is no ``val_...``.
        seconds: of ``train`` the sum of those of ``epochs``, whichever call made them: building, reading the images,
            writing, the test, and an epoch that was cut off are not counted. Of ``fit`` all that the call took,
            building included.
        finished: whether the recipe's last update was made; not if someone asked to stop, or a callback did.
        test_error: the part of the test images that the finished net gets wrong, between 0 and 1; None from ``fit``.
        test_loss: its mean loss.
    """

    spec: Spec
    recipe: Recipe
    seed: int
    precision: str
    model: keras.Model = dataclasses.field(repr=False)
    step_error: np.ndarray = dataclasses.field(repr=False)
    step_loss: np.ndarray = dataclasses.field(repr=False)
    epochs: tuple = dataclasses.field(repr=False)
    seconds: float
    finished: bool = True
    test_error: float | None = None
    test_loss: float | None = None
