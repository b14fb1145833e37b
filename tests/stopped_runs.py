"""Runs that have begun and are not finished."""

import threading

import resnet_lessons.backend  # noqa: F401 - loads Keras without its start-up messages

import keras


class AfterOneEpoch(keras.callbacks.Callback):
    """Set an event once the second epoch begins; as ``stop`` of ``training.train`` it ends the run amid that epoch."""

    def __init__(self):
        super().__init__()
        self.event = threading.Event()

    def on_epoch_begin(self, epoch, logs=None):  # noqa: ARG002
        """Count Keras's epochs, which begin at 0."""
        if epoch == 1:
            self.event.set()
