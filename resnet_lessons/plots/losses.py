"""Losses of several runs side by side."""

import math

import numpy as np

from .figures import line


def loss_curves(ax, runs, window=10, classes=10):
    """Draw each run's training loss, smoothed, and the loss of guessing.

    Args:
        ax: where to draw.
        runs: at most six (label, run) pairs; a run has ``step_loss`` (steps,), as ``training.Run`` has.
        window: updates that one point averages over, the last of them its place.
        classes: that the guess is among; its loss is their number's natural logarithm.

    Returns:
        ``ax``.
    """
    for number, (label, run) in enumerate(runs):
        span = min(window, len(run.step_loss))
        smooth = np.convolve(run.step_loss, np.full(span, 1 / span), "valid")
        line(ax, number, np.arange(span, len(run.step_loss) + 1), smooth, label)
    ax.axhline(math.log(classes), color="#888888", linewidth=0.8, label="guessing")
    ax.set(xlabel="update", ylabel="training loss")
    ax.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))  # beside the lines
    return ax
