"""What several widgets are made of: controls that have a name for screen readers too, and a place for a table."""

import ipywidgets


def number(description, value, least, most, tooltip):
    """Make an input for a whole number, and a slider beside it for the mouse.

    ipywidgets gives an input a name for screen readers, and none to a slider's handle.

    Args:
        description: the input's label.
        value: to begin with; out of range, the nearest in range.
        least: of the range.
        most: of the range.
        tooltip: what is meant, in more words.

    Returns:
        The input, whose ``value`` is to be observed, and a box of both.
    """
    field = ipywidgets.BoundedIntText(value=value, min=least, max=most, description=description, tooltip=tooltip)
    field.layout.width = "160px"
    slider = ipywidgets.IntSlider(value=field.value, min=least, max=most, readout=False, tooltip=tooltip)
    ipywidgets.link((field, "value"), (slider, "value"))
    return field, ipywidgets.HBox([field, slider], layout={"flex_flow": "row wrap"})


def table_view(value=""):
    """Return a widget for an HTML table, drawn as a notebook draws one, at the left, and scrolled if it is too wide."""
    view = ipywidgets.HTML(value, layout={"width": "fit-content", "max_width": "100%", "overflow": "auto"})
    view.add_class("jp-RenderedHTMLCommon")
    return view
