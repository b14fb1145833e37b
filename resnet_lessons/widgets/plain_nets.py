"""The plain nets of lesson 01: a table of some, and a choice of one row of it."""

from resnet_lessons import accounting, specs
from resnet_lessons.tables import html_table

import ipywidgets

from .controls import number, table_view


def plain_net_table(ns):
    """Make a table of the plain nets with n pairs of convolutions a stage.

    Args:
        ns: the values of n.

    Returns:
        The table, HTML that a notebook shows.
    """
    header = ["n", "layers", "parameters", "multiply-adds per image"]
    rows = []
    for n in ns:
        spec = specs.Spec("plain", specs.depth_for("plain", n))
        count = accounting.count(spec)
        rows.append([n, spec.depth, f"{count.parameters:,}", f"{count.multiply_adds:,}"])
    return html_table(rows, header, ["right"] * 4)


def plain_net_picker(n=9):
    """Return an input and a slider for n, from 1 to 18, over the row of ``plain_net_table`` for it."""
    field, row = number("pairs n", n, 1, 18, "pairs of convolutions in each of the three stages")
    table = table_view(plain_net_table([field.value]))  # n, or the nearest allowed

    def redraw(change):
        table.value = plain_net_table([change["new"]])

    field.observe(redraw, names="value")
    return ipywidgets.VBox([row, table])
