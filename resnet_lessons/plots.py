"""Figures of the lessons: arrays in, matplotlib Axes out, and ``show`` to put a figure into a notebook.

Colours are those of Okabe and Ito, which colour-blind readers can tell apart, and no line is told by colour alone: each
has a dash pattern of its own. Figures are made without pyplot, so that none is shown twice or left open.
"""

import base64
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

    if source is not None:
        fig.supxlabel(f"Data: {source}", fontsize=7, color="#444444", x=0.01, ha="left", wrap=True)
    png = io.BytesIO()
    fig.savefig(png, format="png", dpi=DPI)
    shown_as = {"width": int(fig.get_figwidth() * SCREEN), "alt": alt}
    bundle = {"image/png": base64.b64encode(png.getvalue()).decode(), "text/plain": alt}
    display(bundle, raw=True, metadata={"image/png": shown_as})


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


def error_curves(ax, runs, window=10):
    """Draw each run's training error, smoothed, and its validation error as dots.

    Args:
        ax: where to draw.
        runs: (label, run) pairs; a run has ``step_error`` (steps,) and ``epochs``, as ``training.Run`` has.
        window: updates that one point of the training error averages over, the last of them its place.

    Returns:
        ``ax``.
    """
    for number, (label, run) in enumerate(runs):
        span = min(window, len(run.step_error))
        smooth = np.convolve(run.step_error, np.full(span, 1 / span), "valid")
        line(ax, number, np.arange(span, len(run.step_error) + 1), 100 * smooth, f"{label}, training")
        validated = [epoch for epoch in run.epochs if "val_error" in epoch]
        if validated:
            steps, errors = zip(*((epoch["step"], 100 * epoch["val_error"]) for epoch in validated), strict=True)
            ax.plot(steps, errors, MARKERS[number], color=COLOURS[number], label=f"{label}, validation")
    ax.axhline(90, color="#888888", linewidth=0.8)
    words = {"color": "#555555", "fontsize": 8, "ha": "left", "va": "center"}
    ax.annotate(" guessing", (1, 90), xycoords=("axes fraction", "data"), annotation_clip=False, **words)
    ax.set(xlabel="update", ylabel="error (%)")
    ax.legend(fontsize=8, loc="lower left")
    return ax


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
    ax.legend(fontsize=8)
    return ax


def images(ax, pictures, labels=(), columns=10):
    """Draw images in a grid, each under its label.

    Args:
        ax: where to draw.
        pictures: (N, H, W, 3) uint8.
        labels: N strings; none: no labels.
        columns: images a row.

    Returns:
        ``ax``.
    """
    count, height, width, channels = pictures.shape
    columns = min(columns, count)
    rows = -(-count // columns)
    gap = 10 if len(labels) else 2
    canvas = np.full((rows * (height + gap), columns * (width + 2), channels), 255, "uint8")
    for number, picture in enumerate(pictures):
        top, left = (number // columns) * (height + gap) + gap, (number % columns) * (width + 2)
        canvas[top : top + height, left : left + width] = picture
        if len(labels):
            ax.text(left + width / 2, top - 1, labels[number], fontsize=7, ha="center", va="bottom")
    ax.imshow(canvas)
    ax.axis("off")
    return ax


def unit_diagram(ax, layers, shortcut=None):
    """Draw a stack of layers as boxes, top to bottom, with an optional shortcut around it.

    Args:
        ax: where to draw.
        layers: the boxes' texts; "+" is drawn as the addition.
        shortcut: None, "solid" for an identity, or "dotted" where the dimensions change (He 2015, Fig. 3).

    Returns:
        ``ax``.
    """
    for number, text in enumerate(layers):
        shape = "circle" if text == "+" else "round,pad=0.35"
        box = {"boxstyle": shape, "facecolor": "white", "edgecolor": "black"}
        ax.text(0, -number, text, ha="center", va="center", fontsize=9, bbox=box)
        if number:
            ax.annotate("", (0, -number + 0.27), (0, -number + 0.73), arrowprops={"arrowstyle": "->"})
    ax.annotate("", (0, 0.27), (0, 0.8), arrowprops={"arrowstyle": "->"})
    ax.text(0, 0.9, "x", ha="center", fontsize=10, style="italic")
    if shortcut is not None:
        end, dashes = list(layers).index("+"), "-" if shortcut == "solid" else ":"
        ax.plot([0, 1.2, 1.2], [0.55, 0.55, -end], color="black", linewidth=1, linestyle=dashes)
        style = {"arrowstyle": "->", "linestyle": dashes, "shrinkA": 0, "shrinkB": 10}
        ax.annotate("", (0, -end), (1.2, -end), arrowprops=style)
        ax.text(1.3, (0.55 - end) / 2, "x", fontsize=10, style="italic")
    ax.set(xlim=(-1.6, 1.9), ylim=(-len(layers) + 0.3, 1.3))
    ax.axis("off")
    return ax
