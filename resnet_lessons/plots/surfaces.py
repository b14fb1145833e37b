"""Loss surfaces side by side on one scale: contour maps, and hills in three dimensions. Lesson 08.

A surface is anything with ``alphas`` (A,), ``betas`` (B,) and ``loss`` (B, A), as ``diagnostics.loss_surface`` returns.
"""

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

MAP = "cividis"  # its lightness rises steadily, for colour-blind readers and for print
HILLS = (8.0, 3.8)  # inches, width and height of a figure of hills


def loss_levels(surfaces, count=9, top=None):
    """Return contour levels at equal ratios, for surfaces that are to be compared.

    Args:
        surfaces: a list of surfaces, none of whose losses is zero or less.
        count: levels.
        top: a ceiling; losses above it are drawn as the ceiling. None: there is none.

    Returns:
        (count,) float64, from the lowest loss of all surfaces up to the highest, or to ``top`` if that is lower.

    Raises:
        ValueError: for losses that a logarithmic scale cannot show, and a top below all of them.
    """
    losses = np.concatenate([surface.loss.ravel() for surface in surfaces])
    losses = losses[np.isfinite(losses)]
    if not len(losses) or losses.min() <= 0:
        raise ValueError("A logarithmic scale needs losses above zero. Received: a surface without, or with others.")
    top = losses.max() if top is None else min(top, losses.max())
    if top <= losses.min():
        raise ValueError(f"top must lie above the lowest loss, {losses.min():.3g}. Received: {top}.")
    return np.geomspace(losses.min(), top, count)


def contours(axes, surfaces, levels):
    """Draw contour maps on one scale, with the levels written on their lines and one colour bar for all.

    Args:
        axes: an array of as many Axes as there are surfaces, of one figure.
        surfaces: (title, surface) pairs.
        levels: (L,) rising losses, as ``loss_levels`` returns; all above the last is filled alike.

    Returns:
        ``axes``.
    """
    norm = LogNorm(levels[0], levels[-1])
    for ax, (title, surface) in zip(np.atleast_1d(axes), surfaces, strict=True):
        loss = _clipped(surface.loss, levels)
        filled = ax.contourf(surface.alphas, surface.betas, loss, levels, cmap=MAP, norm=norm)
        inner = levels[1:-1]
        ink = ["white" if place < 0.5 else "black" for place in norm(inner)]  # the upper half of the scale is light
        lines = ax.contour(surface.alphas, surface.betas, loss, inner, colors=ink, linewidths=0.8)
        ax.clabel(lines, fmt="%.2g", fontsize=7, manual=_label_places(lines, surface))
        ax.plot(0, 0, "+", color="white", markersize=8)
        ax.set(title=title, xlabel="alpha", aspect="equal")
        ax.locator_params(nbins=2)  # with more of them those of neighbouring maps meet
    np.atleast_1d(axes)[0].set(ylabel="beta")
    bar = ax.figure.colorbar(filled, ax=axes, ticks=levels, shrink=0.85)
    bar.ax.set_title("loss", fontsize=9)
    bar.ax.minorticks_off()
    cut = any(not (surface.loss <= levels[-1]).all() for _, surface in surfaces)  # nan is cut, too
    bar.ax.set_yticklabels(
        [f"{level:.2g}" for level in levels[:-1]] + [f"{levels[-1]:.2g}{' or more' if cut else ''}"], fontsize=7
    )
    return axes


def _label_places(lines, surface):
    """Choose a point for each contour's label, on the line and well inside the map, in turn above and below the middle.

    A contour that only passes the corners gets none, as its label would be cut off, nor does one that is smaller than
    its label: the colours tell their levels.
    """
    half = np.array([np.abs(surface.alphas).max(), np.abs(surface.betas).max()])
    places = []
    for number, path in enumerate(lines.get_paths()):
        vertices = path.vertices / half
        distance = np.abs(vertices).max(axis=1, initial=0)
        vertices = vertices[(distance > 0.25) & (distance < 0.75)]
        if len(vertices):
            wanted = np.array([0.3, 1.0 if number % 2 else -1.0])  # off the vertical, where the middle's cross is
            places.append(tuple(half * vertices[np.argmax(vertices @ wanted)]))
    return places


def hills(surfaces, levels):
    """Return a figure of surfaces in three dimensions, side by side: height and colour are the logarithm of the loss.

    Args:
        surfaces: (title, surface) pairs.
        levels: (L,) rising losses; the first is the floor, the last a ceiling that cuts what is above.
    """
    fig = Figure(figsize=HILLS, layout="constrained")
    ticks = levels[:: max(1, len(levels) // 4)]
    for number, (title, surface) in enumerate(surfaces, start=1):
        ax = fig.add_subplot(1, len(surfaces), number, projection="3d")
        grid = np.meshgrid(surface.alphas, surface.betas)
        loss = np.log(_clipped(surface.loss, levels))
        scale = {"vmin": np.log(levels[0]), "vmax": np.log(levels[-1])}
        ax.plot_surface(*grid, loss, cmap=MAP, rcount=60, ccount=60, edgecolor="#FFFFFF60", linewidth=0.3, **scale)
        ax.set(title=title, xlabel="alpha", ylabel="beta", zlim=(scale["vmin"], scale["vmax"]))
        ax.set_zticks(np.log(ticks), [f"{tick:.2g}" for tick in ticks])
        ax.set_zlabel("loss (log)", fontsize=9)
        ax.set_box_aspect(None, zoom=0.85)  # room for that label
        ax.locator_params(axis="x", nbins=4)
        ax.locator_params(axis="y", nbins=4)
        ax.tick_params(labelsize=7)
        ax.view_init(elev=35, azim=-60)
    return fig


def _clipped(loss, levels):
    """Cut losses to the levels' range; what is no number counts as the top."""
    return np.clip(np.where(np.isfinite(loss), loss, levels[-1]), levels[0], levels[-1])
