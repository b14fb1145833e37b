"""What a person finds in a widget: its controls by their labels, its text, and its picture with the words for it."""

import base64
import re
import struct

import ipywidgets


def controls(box):
    """List all that has a label or can be pressed, also in boxes within, from the top down."""
    found = []
    for child in box.children:
        if isinstance(child, ipywidgets.Box):
            found += controls(child)
        elif not isinstance(child, ipywidgets.HTML):
            found.append(child)
    return found


def control(box, label):
    """Return the control with a label."""
    [found] = [child for child in controls(box) if child.description == label]
    return found


def text(box):
    """Return all that the widget itself says."""
    return " ".join(child.value for child in box.children if isinstance(child, ipywidgets.HTML))


def drawings(box):
    """List the widgets that hold a picture."""
    return [child for child in box.children if isinstance(child, ipywidgets.HTML) and "<img " in child.value]


def picture(markup):
    """Take an image in HTML apart: its words, and width and height of the PNG file that it holds."""
    [(alt, source)] = re.findall(r'<img alt="([^"]+)" .*src="data:image/png;base64,([^"]+)">', markup)
    file = base64.b64decode(source, validate=True)
    assert file.startswith(b"\x89PNG")
    return alt, *struct.unpack(">II", file[16:24])


def assert_named(box):
    """Check that every control but a slider has a label; what a slider means is said by an input with the same value.

    A slider's handle has no name in a browser, so nobody may need it.
    """
    all_of_them = controls(box)
    for child in all_of_them:
        assert child.tabbable is not False
        if isinstance(child, ipywidgets.IntSlider):
            [field] = [one for one in all_of_them if one.tooltip == child.tooltip and one is not child]
            assert isinstance(field, ipywidgets.BoundedIntText)
            assert (field.value, field.min, field.max) == (child.value, child.min, child.max)
            child.value, before = child.min, child.value
            assert field.value == child.min
            field.value = child.max
            assert child.value == child.max
            field.value = before
        else:
            assert child.description
            assert not isinstance(child, ipywidgets.SelectionSlider | ipywidgets.FloatSlider)
