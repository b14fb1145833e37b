"""Controls that have a name for screen readers too, which ipywidgets gives an input and not a slider's handle."""

import ipywidgets


def number(description, value, least, most, tooltip):
    """Make an input for a whole number, and a slider beside it for the mouse.

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
