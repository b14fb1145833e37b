"""Bars and grids of counts: what is drawn where, and that nothing is told by colour alone."""

from resnet_lessons import plots

import numpy as np
import pytest

ROWS = [("VGG", {"56": 3.0, "28": 1.0}), ("ResNet", {"56": 0.5, "28": 2.0})]


@pytest.fixture
def ax():
    return plots.figure()[1]


def test_bars_add_up_from_left_to_right(ax):
    assert plots.stacked_bars(ax, ROWS, "multiply-adds") is ax
    ax.figure.canvas.draw()
    spans = [[(bar.get_x(), bar.get_x() + bar.get_width()) for bar in part] for part in ax.containers]
    assert spans == [[(0, 3), (0, 0.5)], [(3, 4), (0.5, 2.5)]]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["56", "28"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["VGG", "ResNet"]
    assert ax.yaxis_inverted()  # the first row is on top
    assert ax.get_xlabel() == "multiply-adds"


def test_parts_differ_in_colour_and_in_hatching(ax):
    plots.stacked_bars(ax, [("net", dict.fromkeys("abcdef", 1))], "x")
    bars = [part[0] for part in ax.containers]
    assert len({bar.get_facecolor() for bar in bars}) == len({bar.get_hatch() for bar in bars}) == 6


def test_a_part_that_would_look_like_another_is_refused(ax):
    with pytest.raises(ValueError, match=r"tells 6 parts apart\. Received: 7"):
        plots.stacked_bars(ax, [("net", dict.fromkeys("abcdefg", 1))], "x")


def test_a_grid_shows_each_number_in_its_place(ax):
    values = np.array([[0, 1, 4], [2, 0, 9]])
    assert plots.number_grid(ax, values) is ax
    ax.figure.canvas.draw()
    shown = {text.get_position(): text.get_text() for text in ax.texts}
    assert shown == {(column, row): str(value) for (row, column), value in np.ndenumerate(values)}
    np.testing.assert_array_equal(ax.get_images()[0].get_array(), values)


@pytest.mark.parametrize("values", [np.zeros((2, 2), int), np.array([[7]])], ids=str)
def test_a_grid_of_one_value_can_be_drawn(ax, values):
    plots.number_grid(ax, values).figure.canvas.draw()


def test_the_numbers_stand_out_from_their_ground(ax):
    image = plots.number_grid(ax, np.array([[0, 9]])).get_images()[0]
    darkest = image.cmap(image.norm(9))[:3]
    assert np.dot(darkest, [0.2126, 0.7152, 0.0722]) > 0.4  # black text on it
