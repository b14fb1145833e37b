"""Drawings of whole networks: the stages of a ``Spec`` side by side, each unit with its shortcut.

He et al. 2015, Fig. 3, for solid and dotted shortcuts. Lesson 03 and its model picker show it.
"""

from matplotlib.patches import Arc, Rectangle

UNITS_DRAWN = 20  # a stage; of more, its frame alone is drawn, for no eye could count them
GAP = 0.055  # between two boxes, in parts of the drawing's width
WIDTHS = {"image": 0.04, "stage": 0.195}  # of the boxes; a single layer is LAYER wide
LAYER = 0.02
FLOOR, TALLEST = 0.2, 0.52  # of the boxes, in parts of the drawing's height: their foot, the largest feature map


def network_diagram(ax, spec):
    """Draw image, first convolution, three stages and classifier from left to right.

    A box is as tall as its feature maps, in proportion; a stage is divided into its units. Arcs are the shortcuts:
    solid where they carry x itself, dotted where the dimensions change or a convolution stands there.

    Args:
        ax: where to draw.
        spec: a ``specs.Spec``.

    Returns:
        ``ax``.
    """
    left = 0.03
    for title, map_height, shape, styles in _boxes(spec):
        width = WIDTHS.get(title.split()[0], LAYER)
        height = TALLEST * map_height / spec.input_shape[0]
        face = "white" if styles is None else "#DCE9F3"
        ax.add_patch(Rectangle((left, FLOOR), width, height, facecolor=face, edgecolor="black"))
        ax.text(left + width / 2, 0.99, title, ha="center", va="top", fontsize=8)
        ax.text(left + width / 2, FLOOR - 0.05, shape, ha="center", va="top", fontsize=8)
        if styles is not None:
            _draw_units(ax, left, width, height, styles)
        if left > 0.03:
            foot = FLOOR + TALLEST / 32  # the height of the last box's middle
            ax.annotate("", (left, foot), (left - GAP, foot), arrowprops={"arrowstyle": "->"})
        left += width + GAP
    ax.set(xlim=(0, 1), ylim=(0, 1))
    ax.axis("off")
    return ax


def network_in_words(spec):
    """Return what ``network_diagram`` shows, in one sentence, for readers who do not see it."""
    _, *stages, _ = _boxes(spec)[1:]
    shapes = ", ".join(shape for _, _, shape, _ in stages)
    together = {"basic": "pairs", "bottleneck": "triples"}[spec.block]
    units = f"{together} of convolutions" if spec.family == "plain" else f"{spec.block} units"
    dotted = sum(styles.count(":") for *_, styles in stages)
    shortcuts = "" if spec.family == "plain" else f", {3 * spec.n - dotted} solid shortcuts and {dotted} dotted"
    return f"{spec.name}: three stages of {spec.n} {units} on feature maps of {shapes}{shortcuts}."


def _boxes(spec):
    """List the boxes: title, height and shape of the feature maps, and the line styles of a stage's shortcuts."""
    height, width, channels = spec.input_shape
    convolutions = spec.n * {"basic": 2, "bottleneck": 3}[spec.block]  # of a stage
    boxes = [
        ("image", height, f"{height}x{width}x{channels}", None),
        ("conv 3x3", height, f"{height}x{width}x{spec.width}", None),
    ]
    for stage, channels in enumerate(spec.outer_widths, start=1):
        title, shape = f"stage {stage}\n{convolutions} convolutions", f"{height}x{width}x{channels}"
        boxes.append((title, height, shape, _arcs(spec, stage)))
        height, width = (height + 1) // 2, (width + 1) // 2
    return [*boxes, ("mean, dense", spec.input_shape[0] / 16, f"{spec.num_classes} classes", None)]


def _arcs(spec, stage):
    """List the line style of each unit's shortcut, "-" or ":"; None in a plain net."""
    if spec.family == "plain":
        return [None] * spec.n
    changes = stage > 1 or spec.outer_widths[0] != spec.width  # so the stage's first unit changes the dimensions
    everywhere = spec.shortcut == "C" or spec.skip == "conv"
    return [":" if everywhere or (changes and unit == 0) else "-" for unit in range(spec.n)]


def _draw_units(ax, left, width, height, styles):
    if len(styles) > UNITS_DRAWN:
        ax.text(left + width / 2, FLOOR + height / 2, f"{len(styles)} units", ha="center", va="center", fontsize=8)
        return
    step = width / len(styles)
    for number, style in enumerate(styles):
        start = left + number * step
        if number:
            ax.plot([start, start], [FLOOR, FLOOR + height], color="black", linewidth=0.5)
        if style is not None:
            arc = {"theta1": 0, "theta2": 180, "linestyle": style, "linewidth": 1.1}
            ax.add_patch(Arc((start + step / 2, FLOOR + height), 0.9 * step, 0.14, **arc))
