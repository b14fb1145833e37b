"""The process that the kill script kills: train a small net in a folder, or go on with it, and say what is under way.

python tests/training/killed_run.py FOLDER SKIP PRECISION
"""

import os
import sys
from pathlib import Path

from resnet_lessons import training
from resnet_lessons.recipes import Recipe
from resnet_lessons.specs import Spec

import keras
import small_runs

EPOCHS, UPDATES = 18, 4  # updates in each epoch


def say(words):
    """Write a line on stdout at once."""
    os.write(1, f"{words}\n".encode())


class Tell(keras.callbacks.Callback):
    """Say what begins."""

    def on_epoch_begin(self, epoch, logs=None):  # noqa: ARG002
        say(f"epoch {epoch + 1}")

    def on_test_begin(self, logs=None):  # noqa: ARG002
        say("validation")

    def on_train_end(self, logs=None):  # noqa: ARG002
        say("trained")


def main(folder, skip, precision):
    """Train."""
    training.train(
        Spec("v1", 8, width=8, input_shape=(16, 16, 3), skip=skip),
        Recipe("killed", steps=EPOCHS * UPDATES, batch_size=16, validation=20, steps_per_epoch=UPDATES),
        small_runs.dataset((16, 16, 3), train=120, test=40),
        Path(folder),
        precision=precision,
        deterministic=True,
        progress=None,
        callbacks=[Tell()],
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
