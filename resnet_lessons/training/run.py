"""What a training gave."""

import dataclasses

from resnet_lessons.recipes import Recipe
from resnet_lessons.specs import Spec

import keras
import numpy as np


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
