"""Drawings of networks: boxes, arrows, shortcuts."""


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
