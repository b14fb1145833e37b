"""The bottleneck calculator and its twin: what they show is what built units hold, and no mouse is needed."""

from resnet_lessons import accounting, blocks, widgets

import html_tables
import ipywidgets
import keras
import pytest
from widget_parts import assert_named

HEADER = ["branch", "weights", "multiply-adds", "values put out", "multiply-adds a value"]


def parts(calculator):
    *choices, table = calculator.children
    assert [type(part) for part in choices] == [ipywidgets.Dropdown] * 3
    assert isinstance(table, ipywidgets.HTML)
    return choices, table


def counted(block, width, channels, side):
    """Build the unit and sum its convolutions: weights, multiply-adds, values put out."""
    inputs = keras.Input((side, side, channels))
    model = keras.Model(inputs, blocks.unit(inputs, blocks.Unit("u", width, block=block, shortcut="B")))
    convolutions = [row for row in accounting.account(model).layers if row.kind == "Conv2D"]
    values = sum(row.output_shape[0] * row.output_shape[1] * row.output_shape[2] for row in convolutions)
    weights = sum(row.count.parameters for row in convolutions)
    return weights, sum(row.count.multiply_adds for row in convolutions), values


@pytest.mark.parametrize(("outer", "inner", "side"), [(256, 64, 56), (64, 16, 28), (8, 2, 7)])
def test_the_table_holds_what_built_units_hold(outer, inner, side):
    header, *rows = html_tables.rows(widgets.bottleneck_table(outer, inner, side))
    units = [("basic", outer, outer), ("bottleneck", inner, outer), ("basic", inner, inner)]
    assert header == HEADER
    for row, (block, width, channels) in zip(rows, units, strict=True):
        weights, multiply_adds, values = counted(block, width, channels, side)
        each = f"{multiply_adds / values:,.0f}"
        assert row[1:] == [f"{weights:,}", f"{multiply_adds:,}", f"{values:,}", each]


def test_the_table_of_the_paper():
    rows = html_tables.rows(widgets.bottleneck_table())[1:]
    assert [row[0] for row in rows] == ["two 3x3, 256 channels", "bottleneck 256-64-64-256", "two 3x3, 64 channels"]
    assert [row[1] for row in rows] == ["1,179,648", "69,632", "73,728"]
    assert [row[3] for row in rows] == ["1,605,632", "1,204,224", "401,408"]


def test_moving_any_choice_changes_the_table():
    choices, table = parts(widgets.bottleneck_calculator())
    seen = {table.value}
    for choice, value in zip(choices, (512, 128, 28), strict=True):
        choice.value = value
        seen.add(table.value)
    assert len(seen) == 4
    assert table.value == widgets.bottleneck_table(512, 128, 28)


@pytest.mark.parametrize("values", [(256, 64, 56), (4, 4, 7), (2048, 2048, 112)])
def test_the_calculator_and_its_twin_show_the_same(values):
    choices, table = parts(widgets.bottleneck_calculator(*values))
    assert tuple(choice.value for choice in choices) == values
    assert table.value == widgets.bottleneck_table(*values)


def test_out_of_range_is_the_nearest_in_range():
    choices, table = parts(widgets.bottleneck_calculator(10**6, 0, 50))
    assert [choice.value for choice in choices] == [2048, 4, 56]
    assert table.value == widgets.bottleneck_table(2048, 4, 56)


def test_the_choices_have_labels_and_steps_that_keys_can_take():
    calculator = widgets.bottleneck_calculator()
    choices, _ = parts(calculator)
    assert [choice.description for choice in choices] == ["outer width", "inner width", "map side"]
    assert_named(calculator)
    for choice in choices:
        assert choice.tooltip
        assert not choice.disabled
        before = choice.index
        choice.index += 1  # what an arrow key does
        assert choice.value == choice.options[before + 1]


def test_two_calculators_are_two():
    first, second = (parts(widgets.bottleneck_calculator()) for _ in range(2))
    first[0][0].value = 4
    assert (second[0][0].value, second[1].value) == (256, widgets.bottleneck_table())
