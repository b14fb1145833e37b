"""Drawings of networks: boxes, arrows, shortcuts."""

from .figures import COLOURS


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
    ax.annotate("", (0, -len(layers) + 0.2), (0, -len(layers) + 0.73), arrowprops={"arrowstyle": "->"})
    ax.text(0, 0.9, "x", ha="center", fontsize=10, style="italic")
    if shortcut is not None:
        end, dashes = list(layers).index("+"), "-" if shortcut == "solid" else ":"
        ax.plot([0, 1.2, 1.2], [0.55, 0.55, -end], color="black", linewidth=1, linestyle=dashes)
        style = {"arrowstyle": "->", "linestyle": dashes, "shrinkA": 0, "shrinkB": 10}
        ax.annotate("", (0, -end), (1.2, -end), arrowprops=style)
        label = "x" if shortcut == "solid" else "x,\nresized"
        ax.text(1.3, (0.55 - end) / 2, label, fontsize=10, style="italic")
    drawn = 0 if ax.get_autoscaley_on() else ax.get_ylim()[0]  # by axes that share the scale
    ax.set(xlim=(-1.6, 1.9), ylim=(min(drawn, -len(layers) + 0.1), 1.3))
    ax.axis("off")
    return ax


def chain_diagram(ax, stages):
    """Draw a CIFAR-10 net as a row of convolutions, a shortcut over each pair (He 2015, Fig. 3, on its side).

    The arc of a shortcut is solid, and dotted over the first pair of a later stage, where the dimensions change.

    Args:
        ax: where to draw.
        stages: (label, pairs) of each stage, such as ("16 channels", 3).

    Returns:
        ``ax``.
    """
    place = 0
    for number, (label, pairs) in enumerate(stages):
        start = place
        for pair in range(pairs):
            for conv in (place, place + 1):
                box = {"boxstyle": "round,pad=0.25", "facecolor": COLOURS[number] + "33", "edgecolor": COLOURS[number]}
                ax.text(conv, 0, "3x3", ha="center", va="center", fontsize=8, rotation=90, bbox=box)
            _arc(ax, place - 0.5, place + 1.5, dotted=number > 0 and pair == 0)
            place += 2
        ax.text((start + place - 1) / 2, -0.45, label, ha="center", va="top", fontsize=9)
    ax.plot([-1, place], [0, 0], color="black", linewidth=0.8, zorder=0)
    ax.set(xlim=(-1.2, place + 0.2), ylim=(-0.8, 1.1))
    ax.axis("off")
    return ax


def _arc(ax, start, end, dotted):
    style = {"arrowstyle": "->", "linestyle": ":" if dotted else "-", "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", (end, 0.03), (start, 0.03), arrowprops=style | {"connectionstyle": "arc3,rad=-0.7"})
