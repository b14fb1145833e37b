"""A training in a thread of its own, to be watched and stopped by whoever started it: the live trainer of lesson 10."""

import atexit
import dataclasses
import threading
import time
import weakref
from pathlib import Path

import numpy as np

from .callbacks import StepLog
from .engine import train
from .folder import RunFolder

ENDING = 10  # seconds that a process which ends waits for its trainings to stop
_started = weakref.WeakSet()


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a training has come; what it holds does not change any more.

    Args:
        phase: "starting" until the first update is made, "training", "validating", "ended", or "testing" once all
            updates are made.
        first_step: updates made before this call, by the run that is resumed.
        step_error: (N,) part of each batch that the net got wrong, of the updates that this call made.
        epochs: the lines of the log, as ``Run.epochs``, also those from before this call.
        left: seconds to the last update, expected from those made so far; None before the second.
    """

    phase: str = "starting"
    first_step: int = 0
    step_error: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, "float32"))
    epochs: tuple = ()
    left: float | None = None

    @property
    def step(self):
        """Updates made in all."""
        return self.first_step + len(self.step_error)


class Background:
    """Call ``train`` in a thread of its own, which starts at once.

    The thread ends with the process: on a normal exit it is asked to stop first.

    Args:
        spec: as for ``train``, and so are ``recipe``, ``dataset``, ``out`` and ``seed``; the run is kept in a folder.
        recipe: how to train.
        dataset: a ``data.Dataset``.
        out: the run's folder.
        seed: of all that is random.
        changed: called without arguments, in the thread, when ``progress`` has changed, and once when all is over.
        every: seconds at least between two of these calls.
        options: further ones of ``train``.

    Attributes:
        run: the ``Run`` once the training has ended, also if it was stopped; None before, and if it failed.
        error: the exception that ended it; None if none did.
    """

    def __init__(self, spec, recipe, dataset, out, seed=0, *, changed=lambda: None, every=0.5, **options):
        self.spec, self.recipe, self.dataset, self.out, self.seed = spec, recipe, dataset, Path(out), seed
        self.run = self.error = None
        self._stop, self._options = threading.Event(), options
        self._watch = _Watch(self.out, recipe.steps, changed, every)
        self._thread = threading.Thread(target=self._work, name=f"training {self.out.name}", daemon=True)
        _started.add(self)
        self._thread.start()

    def _work(self):
        try:
            self._watch.take_over()
            watch = {"progress": None, "stop": self._stop, "callbacks": [self._watch]}
            self.run = train(self.spec, self.recipe, self.dataset, self.out, self.seed, **watch, **self._options)
        except BaseException as error:  # whatever it is, the thread's owner has to hear of it
            self.error = error
        finally:
            self._watch.enter("ended")

    @property
    def done(self):
        """Whether the thread has ended, well or not."""
        return not self._thread.is_alive() or self._watch.phase == "ended"

    @property
    def asked_to_stop(self):
        """Whether ``stop`` has been called."""
        return self._stop.is_set()

    def stop(self):
        """Ask it to stop after the batch under way, and return at once."""
        self._stop.set()

    def wait(self, timeout=None):
        """Wait for the end, at most ``timeout`` seconds; return whether it has come."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def progress(self):
        """Return the ``Progress`` made so far."""
        return self._watch.progress()

    def result(self):
        """Wait for the end and return the ``Run``, or raise what ended it."""
        self.wait()
        if self.error is not None:
            raise self.error
        return self.run


class _Watch(StepLog):
    """Keep the log of a run, also of the part before a resume, for another thread to read; say when it has changed."""

    def __init__(self, out, steps, changed, every):
        super().__init__()
        self.phase = "starting"
        self._out, self._steps, self._changed, self._every = out, steps, changed, every
        self._said = -float("inf")
        self._first = None  # when the first update of this call was done

    def progress(self):
        """Return it; lists only grow, so a copy of one is what it was at some moment.

        The phase is read first: once it is "ended", all the rest is there.
        """
        phase, errors = self.phase, np.array(self.error, "float32")
        return Progress(phase, self.first_step, errors, tuple(self.epochs), self._left(len(errors)))

    def _left(self, made):
        if made < 2 or self._first is None:
            return None
        return (self._steps - self.first_step - made) * (time.monotonic() - self._first) / (made - 1)

    def enter(self, phase):
        """Note a new phase, and say so at once."""
        self.phase = phase
        self._say()

    def _say(self):
        self._said = time.monotonic()
        self._changed()

    def take_over(self):
        """Take over the lines that the folder keeps; of a run that lacks the test alone, say that this begins."""
        folder = RunFolder(self._out)
        self.epochs = folder.kept()
        self.first_step = self.epochs[-1]["step"] if self.epochs else 0
        if self.first_step == self._steps and "result" not in (folder.description() or {}):
            self.enter("testing")

    def on_train_begin(self, logs=None):  # noqa: ARG002
        """Do so again, now that the log has been cut back to what the checkpoint holds."""
        self.take_over()

    def on_train_batch_end(self, batch, logs):
        """Take the batch's figures."""
        super().on_train_batch_end(batch, logs)
        if self._first is None:
            self._first = time.monotonic()
            self.enter("training")
        elif time.monotonic() - self._said >= self._every:
            self._say()

    def on_test_begin(self, logs=None):  # noqa: ARG002
        """Note that validation begins; the test itself is not watched."""
        self.enter("validating")

    def on_epoch_end(self, epoch, logs):  # noqa: ARG002
        """Take the epoch's line from the folder; one of our own would count the writing of the checkpoint too."""
        self.epochs = RunFolder(self._out).lines()
        self.enter("training")

    def on_train_end(self, logs=None):  # noqa: ARG002
        """Note that the test begins."""
        self.enter("testing")


@atexit.register
def _stop_all():
    """Let what still trains end in order when the process does, so that nothing is cut off amid TensorFlow's code."""
    running = [one for one in _started if not one.done]
    for one in running:
        one.stop()
    deadline = time.monotonic() + ENDING
    for one in running:
        one.wait(max(0, deadline - time.monotonic()))
