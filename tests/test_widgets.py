"""The slider and its twin: what it shows is what ``accounting`` counts, and it can be used without a mouse."""

from resnet_lessons import accounting, widgets
from resnet_lessons.specs import Spec

import html_tables
import ipywidgets
import pytest
from widget_parts import assert_named, control

NS = range(1, 19)


def parts(picker):
    """Return the one slider and the one table of a picker."""
    row, table = picker.children
    _, slider = row.children
    assert isinstance(slider, ipywidgets.IntSlider)
    assert isinstance(table, ipywidgets.HTML)
    return slider, table


def row_of(n):
    count = accounting.count(Spec("plain", 6 * n + 2))
    return [str(n), str(6 * n + 2), f"{count.parameters:,}", f"{count.multiply_adds:,}"]


def test_the_table_holds_what_accounting_counts():
    header, *rows = html_tables.rows(widgets.plain_net_table(NS))
    assert header == ["n", "layers", "parameters", "multiply-adds per image"]
    assert rows == [row_of(n) for n in NS]
    assert rows[2][2] == "269,722"
    assert rows[8][2] == "853,018"


def test_moving_the_slider_changes_the_table():
    slider, table = parts(widgets.plain_net_picker())
    seen = []
    for n in NS:
        slider.value = n
        assert html_tables.rows(table.value)[1:] == [row_of(n)]
        seen.append(table.value)
    assert len(set(seen)) == len(NS)


@pytest.mark.parametrize("n", [1, 9, 18])
def test_the_picker_and_its_twin_show_the_same(n):
    slider, table = parts(widgets.plain_net_picker(n))
    assert (slider.value, table.value) == (n, widgets.plain_net_table([n]))


@pytest.mark.parametrize(("asked", "given"), [(0, 1), (-5, 1), (19, 18), (1000, 18)])
def test_out_of_range_is_the_nearest_in_range(asked, given):
    slider, table = parts(widgets.plain_net_picker(asked))
    assert slider.value == given
    assert html_tables.rows(table.value)[1:] == [row_of(given)]
    slider.value = 9
    slider.value = asked
    assert html_tables.rows(table.value)[1:] == [row_of(given)]


def test_the_slider_has_an_input_with_a_label_a_range_and_steps_of_one():
    picker = widgets.plain_net_picker()
    field, (slider, _) = control(picker, "pairs n"), parts(picker)
    assert (field.min, field.max, field.step, field.value) == (1, 18, 1, 9)
    assert (slider.step, slider.disabled, field.disabled) == (1, False, False)
    assert_named(picker)


def test_two_pickers_are_two():
    first, second = (parts(widgets.plain_net_picker()) for _ in range(2))
    first[0].value = 1
    assert (second[0].value, html_tables.rows(second[1].value)[1]) == (9, row_of(9))
