"""Where widgets show their tables."""

import ipywidgets


def table_view(value=""):
    """Return a widget for an HTML table, drawn as a notebook draws one, at the left, and scrolled if it is too wide."""
    view = ipywidgets.HTML(value, layout={"width": "fit-content", "max_width": "100%", "overflow": "auto"})
    view.add_class("jp-RenderedHTMLCommon")
    return view
