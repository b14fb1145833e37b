"""Figures: what is drawn, in which line styles, and what a notebook is handed. No pixels are compared."""

import base64
import struct
import subprocess
import sys
import types

from resnet_lessons import plots, recipes

import matplotlib as mpl
import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from matplotlib import colors
from matplotlib.figure import Figure
from traitlets.config import Config


@pytest.fixture
def ax():
    return plots.figure()[1]


def run(steps=60, epochs=3, validation=True, level=0.5):
    error = level + 0.1 * np.sin(np.arange(steps))
    lines = [{"epoch": e + 1, "step": (e + 1) * steps // epochs, "train_error": level} for e in range(epochs)]
    for line in lines if validation else ():
        line["val_error"] = level + 0.01 * line["epoch"]
    return types.SimpleNamespace(step_error=error.astype("float32"), epochs=tuple(lines))


def curves(ax):
    """Lines that the legend names, by name."""
    return {line.get_label(): line for line in ax.get_lines() if not line.get_label().startswith("_")}


def style(line):
    return line.get_color(), line.get_linestyle(), tuple(line._dash_pattern[1] or ()), line.get_marker()


def drawn(ax):
    """Draw the whole figure, which fails on what cannot be drawn."""
    ax.figure.canvas.draw()
    return ax


def legend_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


# Lines


def test_lines_differ_in_colour_and_in_dashes(ax):
    for number in range(6):
        assert plots.line(ax, number, [0, 1], [0, number], f"line {number}") is ax
    styles = [style(line) for line in ax.get_lines()]
    assert len({colors.to_hex(colour) for colour, *_ in styles}) == 6
    assert len({(name, pattern) for _, name, pattern, _ in styles}) == 6


@pytest.mark.parametrize("number", [-1, 6, 100])
def test_a_line_that_would_look_like_another_is_refused(ax, number):
    with pytest.raises(ValueError, match=f"6 lines apart, number 0 to 5. Received: {number}"):
        plots.line(ax, number, [0], [0], "one too many")


def luminance(colour):
    """Relative luminance as WCAG 2 defines it."""
    channels = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in colors.to_rgb(colour)]
    return np.dot(channels, [0.2126, 0.7152, 0.0722])


def test_the_first_colours_stand_out_from_white():
    for colour in plots.COLOURS[:4]:  # most figures have no more
        assert 1.05 / (luminance(colour) + 0.05) > 2.8


def test_error_curves(ax):
    assert plots.error_curves(ax, [("plain-20", run(level=0.4)), ("plain-56", run(level=0.6))]) is drawn(ax)
    names = ["plain-20, training", "plain-20, validation", "plain-56, training", "plain-56, validation"]
    assert legend_of(ax) == list(curves(ax)) == names
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("update", "error (%)")
    found = [style(curves(ax)[name]) for name in names]
    assert len({(pattern, dashes, marker) for _, pattern, dashes, marker in found}) == 4  # without colour too
    assert found[0][0] == found[1][0] != found[2][0] == found[3][0]


def test_the_training_curve_is_a_moving_mean_in_percent(ax):
    shown = run(steps=23)
    plots.error_curves(ax, [("net", shown)])
    x, y = curves(ax)["net, training"].get_data()
    assert x.tolist() == list(range(10, 24))
    np.testing.assert_allclose(y, [100 * shown.step_error[end - 10 : end].mean() for end in x], rtol=1e-5)
    x, y = curves(ax)["net, validation"].get_data()
    assert list(x) == [line["step"] for line in shown.epochs]
    assert list(y) == pytest.approx([51, 52, 53])


def test_without_validation_no_dots_are_promised(ax):
    plots.error_curves(ax, [("net", run(validation=False))])
    assert legend_of(ax) == ["net, training"]


@pytest.mark.parametrize("steps", [1, 3, 9, 10])
def test_a_run_shorter_than_the_window_is_one_point(ax, steps):
    plots.error_curves(ax, [("net", run(steps, epochs=1))])
    x, y = curves(ax)["net, training"].get_data()
    assert x.tolist() == [steps]
    assert y == pytest.approx([100 * run(steps).step_error.mean()], rel=1e-5)


def test_the_line_of_guessing_is_named_where_it_is_seen(ax):
    plots.error_curves(ax, [("net", run())])
    [text] = [text for text in ax.texts if text.get_text().strip() == "guessing"]
    drawn(ax)
    box, page = text.get_window_extent(), ax.figure.bbox
    assert ax.get_window_extent().x1 <= box.x0 < box.x1 <= page.x1  # right of the curves, and on the page
    assert ax.transData.transform((0, 90))[1] == pytest.approx((box.y0 + box.y1) / 2, abs=3)


def losing(losses):
    return types.SimpleNamespace(step_loss=np.array(losses, "float32"))


def test_a_point_of_the_losses_is_the_mean_of_the_updates_up_to_it(ax):
    losses = 2 + np.sin(np.arange(20))
    assert plots.loss_curves(ax, [("a", losing(losses)), ("b", losing(losses + 1))]) is ax
    drawn(ax)
    x, y = curves(ax)["a"].get_data()
    assert x.tolist() == list(range(10, 21))
    np.testing.assert_allclose(y, [losses[end - 10 : end].mean() for end in x], rtol=1e-5)
    np.testing.assert_allclose(curves(ax)["b"].get_ydata(), y + 1, rtol=1e-5)
    assert legend_of(ax) == ["a", "b", "guessing"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("update", "training loss")


@pytest.mark.parametrize("steps", [1, 3, 10])
def test_the_losses_of_a_run_shorter_than_the_window_are_one_point(ax, steps):
    plots.loss_curves(ax, [("a", losing(np.arange(steps)))])
    x, y = curves(ax)["a"].get_data()
    assert (x.tolist(), y.tolist()) == ([steps], [pytest.approx((steps - 1) / 2)])


def test_guessing_stands_at_the_loss_of_equal_probabilities(ax):
    plots.loss_curves(ax, [("a", losing(np.ones(20)))])
    assert curves(ax)["guessing"].get_ydata()[0] == pytest.approx(-np.log(0.1))


def test_the_legend_of_the_losses_stands_beside_them(ax):
    plots.loss_curves(ax, [("a", losing(np.ones(20)))])
    drawn(ax)
    assert ax.get_legend().get_window_extent().x0 >= ax.get_window_extent().x1


def test_a_seventh_run_is_refused(ax):
    with pytest.raises(ValueError, match="6 lines apart"):
        plots.loss_curves(ax, [(str(number), losing(np.ones(20))) for number in range(7)])


def test_layer_profiles_of_different_depths_share_one_axis(ax):
    assert plots.layer_profile(ax, [("a", np.ones(3)), ("b", np.full(55, 1e-3))], "norm") is drawn(ax)
    assert legend_of(ax) == ["a", "b"]
    assert [line.get_xdata()[[0, -1]].tolist() for line in ax.get_lines()] == [[-2, 0], [-54, 0]]
    assert [len(line.get_xdata()) for line in ax.get_lines()] == [3, 55]
    assert (ax.get_yscale(), ax.get_ylabel()) == ("log", "norm")
    assert ax.get_xlabel()
    assert len({style(line)[:3] for line in ax.get_lines()}) == 2


# Images and diagrams


def test_images_stand_in_a_grid_unchanged():
    ax = plots.figure()[1]
    pictures = np.random.default_rng(0).integers(0, 255, (7, 8, 8, 3), dtype=np.uint8)
    assert plots.images(ax, pictures, [f"class {n}" for n in range(7)], columns=3) is drawn(ax)
    canvas = np.asarray(ax.get_images()[0].get_array())
    found = [canvas[t : t + 8, l : l + 8] for t in range(len(canvas) - 7) for l in range(canvas.shape[1] - 7)]  # noqa: E741
    assert all(any(np.array_equal(picture, window) for window in found) for picture in pictures)
    assert [text.get_text() for text in ax.texts] == [f"class {n}" for n in range(7)]
    assert not ax.axison
    tops = [text.get_position()[1] for text in ax.texts]
    assert tops == sorted(tops)
    assert len(set(tops)) == 3


def test_few_images_leave_no_room_for_more(ax):
    plots.images(ax, np.zeros((2, 8, 8, 3), np.uint8), columns=10)
    assert ax.get_images()[0].get_array().shape[1] == 2 * 10
    assert not ax.texts


@pytest.mark.parametrize("shortcut", [None, "solid", "dotted"])
def test_a_unit_is_boxes_top_to_bottom(ax, shortcut):
    layers = ["3x3 conv", "batch norm", "ReLU", "+", "ReLU"]
    assert plots.unit_diagram(ax, layers, shortcut) is drawn(ax)
    boxes = [text for text in ax.texts if text.get_bbox_patch() is not None]
    assert [box.get_text() for box in boxes] == layers
    heights = [box.get_position()[1] for box in boxes]
    assert heights == sorted(heights, reverse=True)
    arrows = [text.arrow_patch for text in ax.texts if getattr(text, "arrow_patch", None) is not None]
    assert len(arrows) == len(layers) + 1 + (shortcut is not None)  # one out of the last box
    if shortcut is not None:
        assert arrows[-1].get_linestyle() == {"solid": "-", "dotted": ":"}[shortcut]


# Into the notebook


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """An IPython that writes no history, the one that display functions look for."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    InteractiveShell.clear_instance()
    yield InteractiveShell.instance(config=Config(HistoryManager={"enabled": False}), ipython_dir=str(tmp_path))
    InteractiveShell.clear_instance()


def shown(fig, alt, *source):
    with capture_output() as captured:
        plots.show(fig, alt, *source)
    assert captured.stdout == captured.stderr == ""
    [output] = captured.outputs
    return output


@pytest.mark.usefixtures("shell")
def test_show_hands_over_a_png_with_its_words():
    fig, ax = plots.figure(width=6, height=2)
    plots.error_curves(ax, [("net", run())])
    output = shown(fig, "The error falls.")
    assert output.data["text/plain"] == "The error falls."
    assert output.metadata == {"image/png": {"width": 576, "alt": "The error falls."}}  # 6 inches of 96 CSS pixels
    png = base64.b64decode(output.data["image/png"])
    assert png.startswith(b"\x89PNG")
    assert struct.unpack(">II", png[16:24]) == (1152, 384)  # twice the 576 x 192 that it is shown at
    assert set(output.data) == {"image/png", "text/plain"}


@pytest.mark.usefixtures("shell")
def test_show_names_the_data_below():
    fig, ax = plots.figure()
    plots.error_curves(ax, [("net", run())])
    shown(fig, "words", "CIFAR-10")
    assert fig.get_supxlabel() == "Data: CIFAR-10"
    in_widget, _ = plots.figure()
    plots.html_image(in_widget, "words", "CIFAR-10")
    assert in_widget.get_supxlabel() == "Data: CIFAR-10"
    plots.html_image(without := plots.figure()[0], "words")
    assert without.get_supxlabel() == ""
    one, other = (plots.figure()[0] for _ in range(2))
    assert shown(one, "words").data["image/png"] != shown(other, "words", "CIFAR-10").data["image/png"]


@pytest.mark.usefixtures("shell")
def test_a_long_source_stays_inside_the_figure():
    fig, _ = plots.figure()
    shown(fig, "words", "shapes10: " + "drawn by this package, because no CIFAR-10 was found; " * 4)
    box = fig._supxlabel.get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= fig.bbox.x1 * 1.01
    assert box.y0 >= -1


@pytest.mark.usefixtures("shell")
def test_the_same_figure_gives_the_same_image():
    def image():
        fig, ax = plots.figure()
        plots.layer_profile(ax, [("a", np.arange(1, 9))], "norm")
        return shown(fig, "words").data["image/png"]

    assert image() == image()


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_a_figure_has_its_axes_side_by_side(columns):
    fig, axes = plots.figure(columns, width=9, height=3)
    assert isinstance(fig, Figure)
    assert (np.ndim(axes), np.size(axes)) == (columns > 1, columns)
    assert fig.get_size_inches().tolist() == [9, 3]
    assert len({ax.get_position().y0 for ax in np.atleast_1d(axes)}) == 1
    assert not any(ax.spines[side].get_visible() for ax in np.atleast_1d(axes) for side in ("top", "right"))


WITHOUT_PYPLOT = """
import sys
from resnet_lessons import plots, recipes
fig, ax = plots.figure()
plots.line(ax, 0, [0, 1], [0, 1], "a")
plots.show(fig, "words")
print("matplotlib.pyplot" in sys.modules, "matplotlib" in sys.modules)
import matplotlib.pyplot
print(matplotlib.pyplot.get_fignums())
"""


def test_pyplot_is_not_loaded_and_no_figure_is_left_open():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PYPLOT], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-2:] == ["False True", "[]"]


@pytest.mark.usefixtures("shell")
def test_drawing_leaves_matplotlibs_settings_alone():
    before = dict(mpl.rcParams)
    fig, ax = plots.figure()
    plots.error_curves(ax, [("net", run())])
    shown(fig, "words")
    assert dict(mpl.rcParams) == before


def test_learning_rates_are_those_of_the_recipes():
    shown = [recipes.get("he2015"), recipes.get("fast-accuracy")]
    _, ax = plots.figure()
    plots.learning_rates(ax, shown, points=5)
    for line, recipe in zip(ax.lines, shown, strict=True):
        steps = [0, (recipe.steps - 1) // 4, (recipe.steps - 1) // 2, (recipe.steps - 1) * 3 // 4, recipe.steps - 1]
        np.testing.assert_allclose(line.get_xdata(), [100 * step / recipe.steps for step in steps])
        np.testing.assert_allclose(line.get_ydata(), [recipe.lr_at(step) for step in steps])
        assert f"{recipe.steps:,}" in line.get_label()
    assert ax.get_yscale() == "log"


# Chains of convolutions


def arcs(ax):
    """The line styles of the arrows over the boxes, from left to right."""
    return [text.arrow_patch.get_linestyle() for text in ax.texts if getattr(text, "arrow_patch", None)]


def test_a_chain_has_a_box_for_each_convolution_and_an_arc_for_each_pair(ax):
    plots.chain_diagram(ax, [("16", 3), ("32", 3), ("64", 3)])
    assert sum(text.get_text() == "3x3" for text in ax.texts) == 18
    assert arcs(ax) == ["-"] * 3 + [":", "-", "-"] * 2  # dotted where the dimensions change
