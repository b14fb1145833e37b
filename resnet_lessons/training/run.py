"""What a training gave, from its log, and from the folder of one that is finished."""

import contextlib
import dataclasses

from resnet_lessons import backend  # noqa: F401 - loads Keras without its start-up messages
from resnet_lessons.recipes import Recipe
from resnet_lessons.specs import Spec

import keras
import numpy as np

from .callbacks import StepLog
from .compiled import compile_model
from .folder import FolderError
from .refusals import understanding


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


def updates_of(log):
    """Return those fields of a ``Run`` that a ``StepLog`` holds, a dict."""
    return {
        "step_error": np.array(log.error, "float32"),
        "step_loss": np.array(log.loss, "float32"),
        "epochs": tuple(log.epochs),
    }


def run_of(settings, model, log, *, finished, **test):
    """Return the ``Run`` of these ``Settings`` with this log; ``test`` is what the test gave, if there was one."""
    return Run(
        spec=settings.spec,
        recipe=settings.recipe,
        seed=settings.seed,
        precision=settings.precision,
        model=model,
        **updates_of(log),
        seconds=round(sum(line["seconds"] for line in log.epochs), 3),
        finished=finished,
        **test,
    )


def finished_run(settings, folder, description):
    """Return the finished run that a folder holds; any machine can read it, whatever it was trained on.

    Args:
        settings: its ``Settings``.
        folder: a ``RunFolder``.
        description: what its ``run.json`` says.

    Raises:
        FolderError: for a log, a result or weights that are damaged.
    """
    steps, lines = settings.recipe.steps, folder.lines()
    if not lines or lines[-1]["step"] != steps:
        raise FolderError(f"{folder.path}/log.jsonl has {len(lines)} lines and lacks update {steps}. Restore it.")
    with understanding(folder):
        test = {key: float(description["result"][key]) for key in ("test_loss", "test_error")}
    model = compile_model(settings.spec, settings.recipe, settings.seed, settings.precision)
    folder.load_weights(model)
    with contextlib.suppress(OSError):  # in a folder that may only be read, it stays
        folder.drop_checkpoint()
    return run_of(settings, model, StepLog(steps, lines), finished=True, **test)
