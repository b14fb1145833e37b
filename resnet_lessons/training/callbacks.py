"""What happens between updates: the learning rate, the log, the guard against NaN, the checkpoint, the progress.

Each callback does one thing. The rate has one owner, ``Schedule``; a second one is refused when training starts, and
noticed while it runs.
"""

import math
import time

from resnet_lessons import backend

import keras
import numpy as np


class Diverged(ValueError):
    """The loss or the weights are no longer numbers; the message says since when and what to try."""


class Stopped(Exception):
    """Someone asked the training to stop; ``train`` catches it."""


def learning_rate(model):
    """Return the rate that the optimizer has now."""
    return float(model.optimizer.learning_rate + 0)  # a tensor: a variable on several devices is no float


class Schedule(keras.callbacks.Callback):
    """Set the learning rate before each update: the one owner of the rate.

    On JAX, ``fit`` holds the net's state back between updates, and a callback that asks for its ``model`` has all of it
    copied there and back, which for 56 layers takes tens of milliseconds on two cores (docs/performance.md). So the net
    is asked only when the rate changes and as an epoch ends, and a second owner is noticed then.

    Args:
        recipe: whose ``lr_at`` is obeyed.
        step: updates made already, by the run that is resumed.
    """

    def __init__(self, recipe, step=0):
        super().__init__()
        self.recipe, self.step = recipe, step
        self._set = None

    def on_train_batch_begin(self, batch, logs=None):  # noqa: ARG002 - Keras's signature
        """Set the rate of the update to come."""
        rate = self.recipe.lr_at(self.step)
        if rate != self._set:
            if self._set is not None:
                self._refuse_another_rate()
            self.model.optimizer.learning_rate = self._set = rate

    def on_train_batch_end(self, batch, logs=None):  # noqa: ARG002
        """Notice a second owner of the rate, count the update, and stop after the recipe's last."""
        if backend.BACKEND != "jax":
            self._refuse_another_rate()
        self.step += 1
        if self.step == self.recipe.steps:
            self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):  # noqa: ARG002
        """Notice a second owner of the rate."""
        self._refuse_another_rate()

    def _refuse_another_rate(self):
        found = learning_rate(self.model)
        if not math.isclose(found, self._set, rel_tol=1e-6):
            raise ValueError(f"{ONE_OWNER} Received: {found:g}, where it had set {self._set:g}. {LEAVE_IT_OUT}")


class ServeEpoch(keras.callbacks.Callback):
    """Have the batches serve the epoch that begins; on several devices, Keras has looked into another one before.

    Args:
        batches: with ``start_at``.
    """

    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def on_epoch_begin(self, epoch, logs=None):  # noqa: ARG002
        """Say which."""
        self.batches.start_at(epoch)


def refuse_second_schedule(callbacks):
    """Raise ValueError if one of Keras's callbacks for the learning rate is among ``callbacks``."""
    owners = (keras.callbacks.LearningRateScheduler, keras.callbacks.ReduceLROnPlateau)
    for callback in callbacks:
        if isinstance(callback, owners):
            raise ValueError(f"{ONE_OWNER} Received: a {type(callback).__name__}. {LEAVE_IT_OUT}")


ONE_OWNER = "The recipe alone sets the learning rate, before every update: two owners would undo each other's work."
LEAVE_IT_OUT = "Leave the other one out, or change the recipe."


class StepLog(keras.callbacks.Callback):
    """Keep each update's own loss and error, and a line for each epoch.

    Args:
        step: updates made already, by the run that is resumed.
        epochs: its lines.
    """

    def __init__(self, step=0, epochs=()):
        super().__init__()
        self.first_step = step
        self.loss, self.error, self.epochs = [], [], list(epochs)

    @property
    def step(self):
        """Updates made, by the run that is resumed too."""
        return self.first_step + len(self.loss)

    def on_epoch_begin(self, epoch, logs=None):  # noqa: ARG002
        """Note when the epoch began."""
        self._began = time.perf_counter()
        self._before = {"loss": 0.0, "accuracy": 0.0, "images": 0.0}

    def on_train_batch_end(self, batch, logs):  # noqa: ARG002
        """Take this batch's own figures from Keras's means over the images of the epoch so far."""
        sums = {key: logs[key] * logs["images"] for key in ("loss", "accuracy")} | {"images": logs["images"]}
        own = {key: sums[key] - self._before[key] for key in sums}
        self.loss.append(own["loss"] / own["images"])
        self.error.append(max(0.0, 1 - own["accuracy"] / own["images"]))  # Keras's means are float32
        self._before = sums

    def on_epoch_end(self, epoch, logs):
        """Write the epoch's line."""
        line = {"epoch": epoch + 1, "step": self.step}
        line |= {"train_loss": logs["loss"], "train_error": error(logs)}
        if "val_loss" in logs:
            line |= {"val_loss": logs["val_loss"], "val_error": error(logs, "val_")}
        rate = float(f"{learning_rate(self.model):.6g}")  # held as float32; 0.1 shall read 0.1
        self.epochs.append(line | {"lr": rate, "seconds": round(time.perf_counter() - self._began, 3)})


def error(logs, prefix=""):
    """Return the part of the images that were classified wrongly, from Keras's float32 mean and the images' number."""
    images = round(logs[f"{prefix}images"])
    return (images - round(logs[f"{prefix}accuracy"] * images)) / images


def diverged(model, what, advice=""):
    """Return the ``Diverged`` for something that is no number: ``what`` says since when."""
    precision = "" if model.dtype_policy.name == "float32" else "precision float32, or "
    return Diverged(
        f"Training diverged: {what}, at the learning rate {learning_rate(model):g}. "
        f"Try {precision}a recipe with a lower rate or a warm-up.{advice}"
    )


class Guard(keras.callbacks.Callback):
    """Stop at the first loss or weight that is not a number, before anything is written.

    Args:
        log: the ``StepLog``, which stands before it among the callbacks.
        advice: what has been kept and how to go on, the end of the message.
    """

    def __init__(self, log, advice=""):
        super().__init__()
        self.log, self.advice = log, advice

    def on_train_batch_end(self, batch, logs):  # noqa: ARG002
        """Look at the mean loss so far, which no later batch can mend."""
        if not math.isfinite(logs["loss"]):
            self._stop(f"the loss is {logs['loss']} at update {self.log.step}")

    def on_epoch_end(self, epoch, logs):  # noqa: ARG002
        """Look at the validation loss and at every weight, for the last update may have ruined them."""
        if not math.isfinite(logs.get("val_loss", 0.0)):
            self._stop(f"the validation loss is {logs['val_loss']} after update {self.log.step}")
        for variable in self.model.weights:
            if not np.isfinite(keras.ops.convert_to_numpy(variable)).all():
                self._stop(f"{variable.path} holds values that are not finite after update {self.log.step}")

    def _stop(self, what):
        raise diverged(self.model, what, self.advice)


class StopAsked(keras.callbacks.Callback):
    """Stop once an event such as threading.Event is set: before the first batch, or after the one under way.

    That is a batch of training, of validation or of the test.
    """

    def __init__(self, event):
        super().__init__()
        self.event = event

    def on_train_begin(self, logs=None):  # noqa: ARG002
        """Look at the event."""
        if self.event.is_set():
            raise Stopped

    def on_train_batch_end(self, batch, logs=None):  # noqa: ARG002
        """Look at the event."""
        self.on_train_begin()

    on_test_batch_end = on_train_batch_end


class CutShort(keras.callbacks.Callback):
    """Stop at once when another callback stops the training amid an epoch, which must not be kept as a whole one.

    Args:
        log: the ``StepLog``; it and all other callbacks stand before this one.
        steps: updates in all.
    """

    def __init__(self, log, steps):
        super().__init__()
        self.log, self.steps = log, steps

    def set_model(self, model):
        """Keep the model itself: asking for ``model`` after each update is slow on JAX (see ``Schedule``)."""
        super().set_model(model)
        self._trained = model

    def on_train_batch_end(self, batch, logs=None):  # noqa: ARG002
        """Look whether it has."""
        if self._trained.stop_training and self.log.step < self.steps:
            raise Stopped


class Keep(keras.callbacks.Callback):
    """Append the epoch's line to the run's folder, then its checkpoint: a line without one is taken back on resume.

    Args:
        folder: a ``RunFolder``.
        log: the ``StepLog``, which stands before it among the callbacks.
    """

    def __init__(self, folder, log):
        super().__init__()
        self.folder, self.log = folder, log

    def on_epoch_end(self, epoch, logs=None):  # noqa: ARG002
        """Write both."""
        line = self.log.epochs[-1]
        self.folder.append(line)
        self.folder.save(state(self.model), line["epoch"], line["step"])


def state(model):
    """Return all that decides how a compiled model goes on: weights, statistics, dropout's seeds, optimizer."""
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in _variables(model)]


def set_state(model, arrays):
    """Put ``state`` back.

    Raises:
        ValueError: for arrays of another model.
    """
    variables = _variables(model)
    if [v.shape for v in variables] != [a.shape for a in arrays]:
        raise ValueError(f"The checkpoint's {len(arrays)} arrays do not fit the {len(variables)} variables of the run.")
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def _variables(model):
    return [*model.variables, *model.optimizer.variables]
