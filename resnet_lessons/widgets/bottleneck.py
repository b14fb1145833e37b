"""The bottleneck of lesson 04 (He et al. 2015, Fig. 5): what two convolutions cost and what three narrower ones do.

A table for given widths, and dropdowns over it.
"""

from resnet_lessons import accounting
from resnet_lessons.tables import html_table

import ipywidgets

from .controls import table_view

WIDTHS = tuple(2**power for power in range(2, 12))  # 4 to 2048 channels
SIDES = (7, 14, 28, 56, 112)  # of the feature maps on ImageNet


def bottleneck_table(outer=256, inner=64, side=56):
    """Compare a bottleneck with two 3x3 convolutions of its outer width, and with two of its inner width.

    Args:
        outer: channels that enter and leave the bottleneck.
        inner: channels of its 3x3 convolution.
        side: height and width of the feature map, pixels.

    Returns:
        The table, HTML that a notebook shows.
    """
    branches = {
        f"two 3x3, {outer} channels": (outer, [(3, outer), (3, outer)]),
        f"bottleneck {outer}-{inner}-{inner}-{outer}": (outer, [(1, inner), (3, inner), (1, outer)]),
        f"two 3x3, {inner} channels": (inner, [(3, inner), (3, inner)]),
    }
    rows = []
    for name, (channels, convolutions) in branches.items():
        weights, multiply_adds, values = accounting.branch_costs(channels, convolutions, side)
        rows.append([name, f"{weights:,}", f"{multiply_adds:,}", f"{values:,}", f"{multiply_adds / values:,.0f}"])
    header = ["branch", "weights", "multiply-adds", "values put out", "multiply-adds a value"]
    return html_table(rows, header, ["left"] + ["right"] * 4)


def bottleneck_calculator(outer=256, inner=64, side=56):
    """Return dropdowns for the widths and the feature map over ``bottleneck_table`` for them."""
    choices = [
        _choice("outer width", WIDTHS, outer, "channels that enter and leave the bottleneck"),
        _choice("inner width", WIDTHS, inner, "channels of the 3x3 convolution inside"),
        _choice("map side", SIDES, side, "height and width of the feature map, pixels"),
    ]
    table = table_view()

    def redraw(_=None):
        table.value = bottleneck_table(*(choice.value for choice in choices))

    for choice in choices:
        choice.observe(redraw, names="value")
    redraw()
    return ipywidgets.VBox([*choices, table])


def _choice(description, options, value, tooltip):
    """Make a dropdown of a few values, set to the one nearest to ``value``."""
    # Not a slider: a screen reader reads the position of one, not the value that stands there.
    nearest = min(options, key=lambda option: abs(option - value))
    return ipywidgets.Dropdown(options=options, value=nearest, description=description, tooltip=tooltip)
