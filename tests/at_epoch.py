"""A callback for the tests that act in the middle of a run."""

import resnet_lessons.backend  # noqa: F401 - loads Keras without its start-up messages

import keras


class AtEpoch(keras.callbacks.Callback):
    """Do something as epoch number ``epoch``, counted from 1, begins."""

    def __init__(self, epoch, act):
        super().__init__()
        self.number, self.act = epoch, act

    def on_epoch_begin(self, epoch, logs=None):  # noqa: ARG002
        """Count Keras's epochs, which begin at 0."""
        if epoch + 1 == self.number:
            self.act(self.model)
