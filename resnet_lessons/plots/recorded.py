"""Curves of recorded runs: a line for the mean over seeds, a band for what the seeds span."""

import numpy as np

from .figures import COLOURS, MARKERS, line


def recorded_curves(ax, groups, *, validation=False):
    """Draw the training error of recorded runs, a line each group: the mean over its seeds.

    The band reaches from the lowest to the highest of the seeds; a group of one seed has none. The training error is
    a mean over an epoch while the net was changing, and stands at the epoch's end. Where one group has more than four
    times the updates of another, the scale of updates is logarithmic, and says so.

    Args:
        ax: where to draw.
        groups: at most six (label, group) pairs; a group is a ``results.Group``, whose runs share a recipe.
        validation: whether to draw the error on the images held back too, as marks.

    Returns:
        ``ax``.

    Raises:
        ValueError: for a seventh group.
    """
    for number, (label, group) in enumerate(groups):
        steps = [epoch.step for epoch in group.records[0].log]  # (epochs,)
        errors = _errors(group, "train_error")
        line(ax, number, steps, errors.mean(axis=0), f"{label}, {_seeds(group)}")
        if len(errors) > 1:
            ax.fill_between(steps, errors.min(axis=0), errors.max(axis=0), color=COLOURS[number], alpha=0.2, lw=0)
        if validation and group.val_error is not None:
            mean = _errors(group, "val_error").mean(axis=0)
            ax.plot(steps, mean, MARKERS[number], color=COLOURS[number], ms=3, label=f"{label}, validation")
    ends = [group.records[0].log[-1].step for _, group in groups]
    far_apart = bool(ends) and max(ends) > 4 * min(ends)
    ax.set(xlabel="update (logarithmic)" if far_apart else "update", ylabel="error (%)")
    ax.set_xscale("log" if far_apart else "linear")
    if groups:
        title = "line: training error"
        if any(len(group.seeds) > 1 for _, group in groups):
            title += ", mean over seeds\nband: lowest to highest"
        style = {"fontsize": 8, "title_fontsize": 8, "alignment": "left", "frameon": False}
        ax.legend(title=title, loc="upper left", bbox_to_anchor=(1, 1), **style)  # beside the lines
    return ax


def _errors(group, key):
    """Return errors in percent, (seeds, epochs)."""
    return 100 * np.array([[getattr(epoch, key) for epoch in record.log] for record in group.records])


def _seeds(group):
    count = len(group.seeds)
    return "one seed" if count == 1 else f"{count} seeds"
