"""What a person sees of a training under way: a line an epoch, or a bar."""

import time

import resnet_lessons.backend  # noqa: F401 - loads Keras without its start-up messages

import keras


class Lines(keras.callbacks.Callback):
    """Print one line an epoch; nothing is overwritten, so that it reads the same in a notebook and in a file.

    Args:
        log: the ``StepLog``, which stands before it among the callbacks.
        steps: updates in all.
        images: an update.
        write: takes each line.
    """

    def __init__(self, log, steps, images, write=lambda text: print(text, flush=True)):
        super().__init__()
        self.log, self.steps, self.images, self.write = log, steps, images, write
        self._made, self._seconds = 0, 0.0  # by this process

    def on_epoch_begin(self, epoch, logs=None):  # noqa: ARG002
        """Note when the epoch began, and how many updates had been made."""
        self._began, self._trained = time.perf_counter(), None
        self._before = self.log.step

    def on_test_begin(self, logs=None):  # noqa: ARG002
        """Note when the updates were done."""
        self._trained = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):  # noqa: ARG002
        """Print the epoch's line."""
        now, line = time.perf_counter(), self.log.epochs[-1]
        made = line["step"] - self._before
        self._made, self._seconds = self._made + made, self._seconds + now - self._began
        speed = made * self.images / ((self._trained or now) - self._began)
        left = (self.steps - line["step"]) * self._seconds / self._made
        self.write(epoch_line(line, self.steps, speed, left))


def epoch_line(line, steps, speed, left):
    """Return an epoch as text.

    Args:
        line: of the log.
        steps: updates in all.
        speed: images a second.
        left: seconds to the end.
    """
    validation = f"  validation {line['val_loss']:.3f} {line['val_error']:6.1%}" if "val_loss" in line else ""
    return (
        f"epoch {line['epoch']:3}  update {line['step']:{len(str(steps))}}/{steps}"
        f"  loss {line['train_loss']:.3f} error {line['train_error']:6.1%}{validation}"
        f"  rate {line['lr']:.2g}  {speed:,.0f} images/s  {duration(left)} left"
    )


def duration(seconds):
    """Return seconds in the two largest units that matter: "45 s", "12 min", "3 h 05 min"."""
    seconds = round(seconds)
    if seconds < 100:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"


class Bar(keras.callbacks.Callback):
    """Show a bar of updates on a terminal, and the epochs' lines above it.

    Args:
        log: the ``StepLog``, which stands before it among the callbacks.
        steps: updates in all.
        images: an update.
        done: updates made already, by the run that is resumed.
    """

    def __init__(self, log, steps, images, done=0):
        from tqdm import tqdm

        super().__init__()
        self.log = log
        self._bar = tqdm(total=steps, initial=done, unit="update", dynamic_ncols=True, smoothing=0.05)
        self._lines = Lines(log, steps, images, self._bar.write)

    def on_train_batch_end(self, batch, logs=None):  # noqa: ARG002
        """Move the bar."""
        self._bar.set_postfix(loss=f"{self.log.loss[-1]:.3f}", refresh=False)
        self._bar.update()

    def on_epoch_begin(self, epoch, logs=None):
        """Time the epoch."""
        self._lines.on_epoch_begin(epoch, logs)

    def on_test_begin(self, logs=None):
        """Time its updates."""
        self._lines.on_test_begin(logs)

    def on_epoch_end(self, epoch, logs=None):
        """Print the epoch's line above the bar."""
        self._lines.on_epoch_end(epoch, logs)

    def close(self):
        """Leave the bar as it stands, also after an error."""
        self._bar.close()


def refuse_other_kind(kind):
    """Raise ValueError for a kind of progress that there is not."""
    if kind not in ("lines", "bar", None):
        raise ValueError(f"progress must be 'lines', 'bar' or None. Received: {kind!r}.")


def progress(kind, log, steps, images, done=0):
    """Return the callbacks of a kind of progress: "lines", "bar", or None for none.

    Raises:
        ValueError: for another kind.
    """
    refuse_other_kind(kind)
    if kind is None:
        return []
    return [Lines(log, steps, images) if kind == "lines" else Bar(log, steps, images, done)]
