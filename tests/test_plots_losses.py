"""The figure of several runs' losses: what is drawn, not its pixels."""

import types

from resnet_lessons import plots

import numpy as np
import pytest


def run(losses):
    return types.SimpleNamespace(step_loss=np.array(losses, "float32"))


@pytest.fixture
def ax():
    return plots.figure()[1]


def lines(ax):
    """Lines that the legend names, by name."""
    return {line.get_label(): line for line in ax.get_lines() if not line.get_label().startswith("_")}


def test_a_point_is_the_mean_of_the_updates_up_to_it(ax):
    losses = 2 + np.sin(np.arange(20))
    assert plots.loss_curves(ax, [("a", run(losses)), ("b", run(losses + 1))], window=4) is ax
    ax.figure.canvas.draw()
    x, y = lines(ax)["a"].get_data()
    assert x.tolist() == list(range(4, 21))
    np.testing.assert_allclose(y, [losses[end - 4 : end].mean() for end in x], rtol=1e-5)
    np.testing.assert_allclose(lines(ax)["b"].get_ydata(), y + 1, rtol=1e-5)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b", "guessing"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("update", "training loss")


@pytest.mark.parametrize("steps", [1, 3, 10])
def test_a_run_shorter_than_the_window_is_one_point(ax, steps):
    plots.loss_curves(ax, [("a", run(np.arange(steps)))], window=10)
    x, y = lines(ax)["a"].get_data()
    assert (x.tolist(), y.tolist()) == ([steps], [pytest.approx((steps - 1) / 2)])


def test_guessing_stands_at_the_loss_of_equal_probabilities(ax):
    plots.loss_curves(ax, [("a", run(np.ones(20)))], classes=10)
    assert lines(ax)["guessing"].get_ydata()[0] == pytest.approx(-np.log(0.1))


def test_the_legend_stands_beside_the_lines(ax):
    plots.loss_curves(ax, [("a", run(np.ones(20)))])
    ax.figure.canvas.draw()
    assert ax.get_legend().get_window_extent().x0 >= ax.get_window_extent().x1


def test_a_seventh_run_is_refused(ax):
    with pytest.raises(ValueError, match="6 lines apart"):
        plots.loss_curves(ax, [(str(number), run(np.ones(20))) for number in range(7)])
