"""Errors against updates of a training under way."""

import numpy as np

from .curves import WINDOW, guessing_level, running_mean
from .figures import COLOURS, MARKERS, line


def training_progress(ax, epochs, step_error, first_step=0, steps=None, window=WINDOW):
    """Draw what is known of a training: its error update by update and epoch by epoch, and that of its validation.

    Args:
        ax: where to draw.
        epochs: the lines of its log, as ``training.Run`` has them: dicts with ``step``, ``train_error`` and perhaps
            ``val_error``; errors are parts of 1.
        step_error: (N,) the error of each batch, update by update.
        first_step: updates made before the first of these.
        steps: updates in all, the end of the axis; None: as far as the run has come.
        window: updates that one point of the first line averages over, the last of them its place.

    Returns:
        ``ax``.
    """
    if len(step_error):
        places, smooth = running_mean(np.asarray(step_error), window)
        line(ax, 0, first_step + places, 100 * smooth, f"training, mean of {min(window, len(step_error))} updates")
    if epochs:
        _epochs(ax, epochs)
    _frame(ax, steps)
    return ax


def _epochs(ax, epochs):
    steps = [epoch["step"] for epoch in epochs]
    line(ax, 1, steps, [100 * epoch["train_error"] for epoch in epochs], "training, mean of an epoch")
    validated = [(epoch["step"], 100 * epoch["val_error"]) for epoch in epochs if epoch.get("val_error") is not None]
    if validated:
        # The last one stands on the frame's edge.
        ax.plot(*zip(*validated, strict=True), MARKERS[1], color=COLOURS[1], label="validation", clip_on=False)


def _frame(ax, steps):
    """Draw the level of guessing, name the axes, and put the legend below, off the lines."""
    guessing_level(ax)
    ax.set(xlabel="update", ylabel="error (%)", ylim=(0, 100))
    ax.set_xlim(0, steps)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize=8, frameon=False, ncol=3, loc="upper center", bbox_to_anchor=(0.5, -0.18))
