"""Curves: learning rates, errors and losses while training, one value a layer."""

import math

import numpy as np
from matplotlib.ticker import MaxNLocator

from .figures import COLOURS, MARKERS, line

WINDOW = 10  # updates that a point of a smoothed curve averages over, the last of them its place
CLASSES = 10  # that a guess is among


def learning_rates(ax, recipes, points=400):
    """Draw the learning rate of each recipe over the run, on a logarithmic scale.

    Args:
        ax: where to draw.
        recipes: at most six ``recipes.Recipe``.
        points: of each line.

    Returns:
        ``ax``.
    """
    for number, recipe in enumerate(recipes):
        steps = np.linspace(0, recipe.steps - 1, points).astype(int)  # (points,)
        rates = [recipe.lr_at(int(step)) for step in steps]
        line(ax, number, 100 * steps / recipe.steps, rates, f"{recipe.name}, {recipe.steps:,} updates")
    ax.set(xlabel="updates made, % of all", ylabel="learning rate", yscale="log")
    ax.legend(frameon=False, loc="lower left", bbox_to_anchor=(1, 0))
    return ax


def error_curves(ax, runs):
    """Draw each run's training error, smoothed, and its validation error as dots.

    Args:
        ax: where to draw.
        runs: (label, run) pairs; a run has ``step_error`` (steps,) and ``epochs``, as ``training.Run`` has.

    Returns:
        ``ax``.
    """
    for number, (label, run) in enumerate(runs):
        steps, smooth = running_mean(run.step_error, WINDOW)
        line(ax, number, steps, 100 * smooth, f"{label}, training")
        validated = [epoch for epoch in run.epochs if "val_error" in epoch]
        if validated:
            steps, errors = zip(*((epoch["step"], 100 * epoch["val_error"]) for epoch in validated), strict=True)
            ax.plot(steps, errors, MARKERS[number], color=COLOURS[number], label=f"{label}, validation")
    guessing_level(ax)
    ax.set(xlabel="update", ylabel="error (%)")
    ax.legend(
        fontsize=8, frameon=False, ncol=2, loc="upper center", bbox_to_anchor=(0.5, -0.18)
    )  # below, off the lines
    return ax


def guessing_level(ax):
    """Draw the error of guessing, in percent, as a line across ``ax``, and name it at its right end."""
    error = 100 * (1 - 1 / CLASSES)
    ax.axhline(error, color="#888888", linewidth=0.8)
    words = {"color": "#555555", "fontsize": 8, "ha": "left", "va": "center"}
    ax.annotate(" guessing", (1, error), xycoords=("axes fraction", "data"), annotation_clip=False, **words)


def loss_curves(ax, runs):
    """Draw each run's training loss, smoothed, and the loss of guessing.

    Args:
        ax: where to draw.
        runs: at most six (label, run) pairs; a run has ``step_loss`` (steps,), as ``training.Run`` has.

    Returns:
        ``ax``.
    """
    for number, (label, run) in enumerate(runs):
        line(ax, number, *running_mean(run.step_loss, WINDOW), label)
    ax.axhline(math.log(CLASSES), color="#888888", linewidth=0.8, label="guessing")
    ax.set(xlabel="update", ylabel="training loss")
    ax.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))  # beside the lines
    return ax


def running_mean(values, window):
    """Return the updates (N,) at which a window ends, and the mean over each; a run shorter than it is one window."""
    span = min(window, len(values))
    return np.arange(span, len(values) + 1), np.convolve(values, np.full(span, 1 / span), "valid")


def layer_profile(ax, profiles, ylabel):
    """Draw one value a layer for several nets on a logarithmic scale, their last layers above each other.

    Args:
        ax: where to draw.
        profiles: (label, values) pairs; values are (L,), first layer first.
        ylabel: what the values are.

    Returns:
        ``ax``.
    """
    for number, (label, values) in enumerate(profiles):
        line(ax, number, np.arange(1 - len(values), 1), values, label)
    ax.set(xlabel="convolution, counted from the last (0)", ylabel=ylabel, yscale="log")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(fontsize=8)
    return ax
