"""Figures of the lessons: arrays in, matplotlib Axes out, and ``show`` to put a figure into a notebook.

Colours are those of Okabe and Ito, which colour-blind readers can tell apart, and no line is told by colour alone: each
has a dash pattern of its own. Figures are made without pyplot, so that none is shown twice or left open.
"""

import base64
import html
import io

import numpy as np
from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)))
MARKERS = "os^Dv*"
DPI = 192  # of the stored picture
SCREEN = 96  # at which it is shown; the rest is for sharp screens


def figure(columns=1, *, width=8.0, height=3.4):
    """Return a new figure and its axes, side by side.

    Args:
        columns: how many axes; they share the vertical scale.
        width: of the whole, inches.
        height: inches.

    Returns:
        The Figure, and one Axes or an array of them.
    """
    fig = Figure(figsize=(width, height), layout="constrained")
    axes = fig.subplots(1, columns, sharey=True)
    for ax in np.atleast_1d(axes):
        ax.spines[["top", "right"]].set_visible(False)
    return fig, axes


def show(fig, alt, source=None):
    """Display a figure in the notebook.

    Args:
        fig: a matplotlib Figure.
        alt: what it shows, in words, for readers who do not see it.
        source: what the data are, written below the figure; None: nothing is.
    """
    from IPython.display import display  # notebooks alone need it

    _say_source(fig, source)
    shown_as = {"width": int(fig.get_figwidth() * SCREEN), "alt": alt}
    bundle = {"image/png": _png(fig), "text/plain": alt}
    display(bundle, raw=True, metadata={"image/png": shown_as})


def html_image(fig, alt, source=None):
    """Return a figure as an HTML image, for a widget; ``alt`` and ``source`` as for ``show``.

    Its size is written down and it is decoded before the page is drawn, so that one can replace another without a jump.
    """
    _say_source(fig, source)
    width, height = (round(inches * SCREEN) for inches in fig.get_size_inches())
    size = f'width="{width}" height="{height}" style="display: block; max-width: 100%; height: auto"'
    return f'<img alt="{html.escape(alt)}" {size} decoding="sync" src="data:image/png;base64,{_png(fig)}">'


def _say_source(fig, source):
    """Write below a figure what its data are; nothing for None."""
    if source is not None:
        fig.supxlabel(f"Data: {source}", fontsize=8, color="#444444", x=0.01, ha="left", wrap=True)


def _png(fig):
    """Return a figure as a PNG file in base64."""
    file = io.BytesIO()
    fig.savefig(file, format="png", dpi=DPI)
    return base64.b64encode(file.getvalue()).decode()


def line(ax, number, x, y, label):
    """Draw line ``number`` (0, 1, ...) in its own colour and dashes; ``x`` and ``y`` are (N,).

    Returns:
        ``ax``.

    Raises:
        ValueError: for a seventh line, which no reader could tell from the others.
    """
    if not 0 <= number < len(DASHES):
        raise ValueError(
            f"A figure tells {len(DASHES)} lines apart, number 0 to {len(DASHES) - 1}. Received: {number}."
        )
    ax.plot(x, y, label=label, color=COLOURS[number], linestyle=DASHES[number])
    return ax
