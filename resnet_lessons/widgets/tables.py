"""The tables of widgets: HTML, and where it is shown."""

import ipywidgets
import tabulate


def html_table(rows, header, align):
    """Make a table of texts and numbers, each written as it is.

    Args:
        rows: lists of cells, as many in each as in ``header``.
        header: the columns' names.
        align: "left" or "right", one a column.

    Returns:
        HTML, text that a notebook shows as a table.
    """
    return tabulate.tabulate(rows, header, "html", colalign=align, disable_numparse=True)


def table_view(value=""):
    """Return a widget for an HTML table, drawn as a notebook draws one, at the left, and scrolled if it is too wide."""
    view = ipywidgets.HTML(value, layout={"width": "fit-content", "max_width": "100%", "overflow": "auto"})
    view.add_class("jp-RenderedHTMLCommon")
    return view
