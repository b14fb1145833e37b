"""Drawings of counts: bars that add up, a grid of whole numbers."""

import numpy as np

from .figures import COLOURS

HATCHES = ("", "//", "..", "xx", "\\\\", "++")  # a part is told by these too, not by colour alone


def stacked_bars(ax, rows, xlabel):
    """Draw a horizontal bar a row, made of parts that add up, the first row on top.

    Args:
        ax: where to draw.
        rows: (label, parts) pairs; parts are a dict from a part's name to its length, the same names in every row.
        xlabel: what the lengths are.

    Returns:
        ``ax``.

    Raises:
        ValueError: for a seventh part, which no reader could tell from the others.
    """
    labels, parts = zip(*rows, strict=True)
    names = list(parts[0])
    if len(names) > len(HATCHES):
        raise ValueError(f"A bar tells {len(HATCHES)} parts apart. Received: {len(names)}.")
    start = np.zeros(len(rows))
    for name, colour, hatch in zip(names, COLOURS, HATCHES, strict=False):
        lengths = np.array([row[name] for row in parts], float)  # (rows,)
        ax.barh(labels, lengths, left=start, label=name, facecolor=colour, hatch=hatch, edgecolor="white")
        start += lengths
    ax.invert_yaxis()
    ax.set(xlabel=xlabel)
    ax.legend(fontsize=8)
    return ax


def number_grid(ax, values):
    """Draw a small grid of whole numbers, zeros in white and larger numbers darker.

    Args:
        ax: where to draw.
        values: (H, W) whole numbers, not negative.

    Returns:
        ``ax``.
    """
    ax.imshow(values, cmap="Blues", vmin=0, vmax=2 * max(1, np.max(values)))  # half the scale: black text stays legible
    for (row, column), value in np.ndenumerate(values):
        ax.text(column, row, str(value), ha="center", va="center", fontsize=9)
    ax.set(xticks=np.arange(values.shape[1]), yticks=np.arange(values.shape[0]))
    ax.tick_params(length=0, labelsize=8)
    return ax
