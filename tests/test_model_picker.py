"""The model picker and its twins: what it shows is counted and quoted for the network chosen, and for no other."""

import re
import types

from resnet_lessons import accounting, models, plots, recipes, results, widgets
from resnet_lessons.specs import Spec
from resnet_lessons.widgets import model_picker

import html_tables
import ipywidgets
import pytest
from widget_parts import assert_named, control, controls, drawings, picture, text

PAPERS = [Spec("v1", depth) for depth in (20, 32, 44, 56, 110, 1202)]


# The table


def test_the_table_holds_what_is_counted_and_what_is_quoted():
    header, *rows = html_tables.rows(widgets.model_table(PAPERS))
    assert header[-1] == "quoted: test error on CIFAR-10"
    assert [row[:3] for row in rows] == [[spec.name, str(spec.n), str(spec.depth)] for spec in PAPERS]
    counts = [accounting.count(spec) for spec in PAPERS]
    assert [row[3:5] for row in rows] == [[f"{c.parameters:,}", f"{c.multiply_adds:,}"] for c in counts]
    assert rows[0][3:5] == ["269,722", "40,551,040"]  # by hand: tests/checks/test_checks_cifar.py
    errors = ["8.75%", "7.51%", "7.17%", "6.97%", "6.61%", "7.93%"]  # Table 6 of the paper
    assert [row[5][:5] for row in rows] == errors
    assert rows[4][5] == "6.61%, mean of 5 runs; the best: 6.43 (He et al. 2015, Table 6)"


def test_what_is_counted_is_what_is_built():
    [_, row] = html_tables.rows(widgets.model_table([Spec("v2", 29)]))
    assert row[3] == f"{accounting.account(models.resnet_v2(29)).total.parameters:,}"


@pytest.mark.parametrize(
    "spec", [Spec("plain", 20), Spec("v1", 20, shortcut="B"), Spec("v1", 20, order="full-pre"), Spec("v2", 20)]
)
def test_no_figure_is_lent_to_another_network(spec):
    assert model_picker.quoted(spec) == "none for this network"


def test_a_figure_of_110_layers_is_that_of_its_version_and_unit():
    assert model_picker.quoted(Spec("v1", 110)).startswith("6.61%")
    assert model_picker.quoted(Spec("v2", 110, block="basic")).startswith("6.37%")


def test_a_network_with_two_figures_has_both():
    said = model_picker.quoted(Spec("v2", 1001))
    assert said.startswith("4.92%, median of 5 runs (He et al. 2016, Table 3); 4.89%")
    assert len(results.published(Spec("v2", 1001))) == 2


# The time


def test_the_time_is_that_of_all_images_at_the_speed_measured():
    table = widgets.time_table([recipes.get("minute"), recipes.get("he2015")], (4.0, 0.5), batch_size=64)
    header, *rows = html_tables.rows(table)
    assert header == ["recipe", "updates", "images an update", "expected time"]
    assert rows[0] == ["minute", "56", "64", "32 s"]  # 4 + 56 * 0.5
    assert rows[1] == ["he2015", "64,000", "128", "17 h 47 min"]  # 4 + 64,000 * 2 * 0.5 = 64,004 s


@pytest.fixture
def measured(monkeypatch):
    """Replace the measurement by one that notes what it is asked for."""
    asked = []

    def time_updates(spec, batch_size):
        asked.append((spec.name, batch_size))
        return 1.0, 0.1 * len(asked)

    monkeypatch.setattr(model_picker.training, "time_updates", time_updates)
    return asked


def test_nothing_is_timed_before_the_button(measured):
    picker = widgets.ModelPicker(recipes=[recipes.get("minute")])
    control(picker, "units n").value = 5
    assert measured == []
    assert "expected time" not in text(picker)


def test_the_button_times_the_network_chosen_once(measured):
    picker = widgets.ModelPicker(recipes=[recipes.get("minute")])
    button = control(picker, "Time it here")
    button.click()
    assert "7 s" in text(picker)  # 1 + 56 * 0.1
    control(picker, "units n").value = 9
    assert "expected time" not in text(picker)  # the other network's time has gone
    button.click()
    assert "12 s" in text(picker)
    control(picker, "units n").value = 3
    assert "7 s" in text(picker)  # remembered
    button.click()
    assert measured == [("v1-20", 64), ("v1-56", 64)]


def test_a_measurement_that_fails_says_so_and_leaves_a_button_to_press(monkeypatch):
    def fails(*_):
        raise MemoryError("no room for <arrays>")

    monkeypatch.setattr(model_picker.training, "time_updates", fails)
    picker = widgets.ModelPicker(recipes=[recipes.get("minute")])
    control(picker, "Time it here").click()
    assert "v1-20 could not be timed: MemoryError: no room for &lt;arrays&gt;" in text(picker)
    assert not control(picker, "Time it here").disabled


def test_nothing_is_timed_while_another_page_trains(measured, monkeypatch):
    training = types.SimpleNamespace(done=False)
    monkeypatch.setattr(model_picker.interrupts, "running", [types.SimpleNamespace(_training=training)])
    picker = widgets.ModelPicker(recipes=[recipes.get("minute")])
    control(picker, "Time it here").click()
    assert "A training is under way. Stop it or wait for its end" in text(picker)
    assert measured == []
    training.done = True  # though its page has not been redrawn
    control(picker, "Time it here").click()
    assert "7 s" in text(picker)


def test_a_button_that_is_disabled_times_nothing(measured):
    """A press can be on its way when the button is disabled; it does not enable it either."""
    picker = widgets.ModelPicker(recipes=[recipes.get("minute")])
    picker.timer.disabled = True
    picker.timer.click()
    assert measured == []
    assert picker.timer.disabled


def test_a_real_measurement():
    picker = widgets.ModelPicker(Spec("v1", 8), recipes=[recipes.get("minute")])
    control(picker, "Time it here").click()
    _, [name, updates, images, expected] = html_tables.rows(text(picker))[-2:]
    assert (name, updates, images) == ("minute", "56", "64")
    assert re.fullmatch(r"\d+ (s|min)", expected)


def test_without_recipes_there_is_no_button():
    assert not any(isinstance(child, ipywidgets.Button) for child in controls(widgets.ModelPicker()))


# The choice


@pytest.mark.parametrize(
    "spec",
    [
        Spec("v1", 20),
        Spec("v1", 110),
        Spec("v1", 1202),
        Spec("v2", 20),
        Spec("v2", 8, block="basic"),
        Spec("plain", 56),
        Spec("v1", 20, input_shape=(28, 28, 1)),
        Spec("v2", 20, input_shape=(64, 48, 3), num_classes=100, width=32),
    ],
)
def test_the_picker_and_its_twins_show_the_same(spec):
    picker = widgets.ModelPicker(spec)
    assert picker.spec == spec
    assert widgets.model_table([spec]) in text(picker)
    assert plots.network_in_words(spec) in text(picker)


def test_each_control_changes_the_network_and_observers_hear_of_it():
    picker = widgets.ModelPicker()
    heard = []
    picker.observe(lambda change: heard.append(change["new"]), "spec")
    control(picker, "units n").value = 9
    control(picker, "unit").value = "bottleneck"
    control(picker, "version").value = "v2"
    control(picker, "version").value = "plain"
    wanted = [Spec("v1", 56), Spec("v1", 83, block="bottleneck"), Spec("v2", 83), Spec("plain", 56)]
    assert heard == wanted
    assert widgets.model_table([Spec("plain", 56)]) in text(picker)


# The shortcut


def test_the_shortcut_is_offered_when_asked_for():
    assert not any(child.description == "shortcut" for child in controls(widgets.ModelPicker()))
    picker = widgets.ModelPicker(Spec("v1", 20, shortcut="C"), shortcuts=True)
    assert picker.spec == Spec("v1", 20, shortcut="C")
    assert control(picker, "shortcut").tooltip
    control(picker, "shortcut").value = "B"
    assert picker.spec == Spec("v1", 20, shortcut="B")
    control(picker, "units n").value = 9
    assert picker.spec == Spec("v1", 56, shortcut="B")  # it stays when only n moves


def test_another_version_or_unit_has_its_usual_shortcut_and_is_heard_of_once():
    picker, heard = widgets.ModelPicker(Spec("v1", 20), shortcuts=True), []
    picker.observe(lambda change: heard.append(change["new"]), "spec")
    control(picker, "shortcut").value = "C"
    control(picker, "unit").value = "bottleneck"
    assert control(picker, "shortcut").value == "B"
    control(picker, "version").value = "plain"
    assert (control(picker, "shortcut").value, control(picker, "shortcut").disabled) == (None, True)
    control(picker, "version").value = "v2"
    assert (control(picker, "shortcut").value, control(picker, "shortcut").disabled) == ("B", False)
    wanted = [Spec("v1", 20, shortcut="C"), Spec("v1", 29, block="bottleneck"), Spec("plain", 20), Spec("v2", 29)]
    assert heard == wanted


def test_the_drawing_is_a_png_that_follows_and_says_what_it_shows():
    picker = widgets.ModelPicker()
    [drawing] = drawings(picker)
    first = drawing.value
    assert picture(first) == ("Diagram of v1-20, which the text below describes.", 1632, 422)  # 8.5 x 2.2 in, 192 an in
    control(picker, "units n").value = 4
    assert picture(drawing.value)[0].startswith("Diagram of v1-26,")
    assert picker.children[picker.children.index(drawing) + 1].value == plots.network_in_words(picker.spec)


def test_every_control_has_a_label_and_can_be_reached_by_keyboard():
    picker = widgets.ModelPicker(recipes=[recipes.get("minute")])
    assert [child.description for child in controls(picker)] == ["version", "unit", "units n", "", "Time it here"]
    assert not any(child.disabled for child in controls(picker))
    assert_named(picker)


@pytest.mark.parametrize(("most", "given"), [(18, 18), (200, 200)])
def test_n_ends_where_it_is_said(most, given):
    picker = widgets.ModelPicker(most=most)
    control(picker, "units n").value = 1000
    assert picker.spec.n == given


def test_n_reaches_as_far_as_the_network_to_begin_with():
    picker = widgets.ModelPicker(Spec("v1", 1202))
    assert (control(picker, "units n").value, control(picker, "units n").max) == (200, 200)
    assert_named(picker)


def test_the_data_s_shape_and_the_width_stay_whatever_is_chosen():
    kept = {"input_shape": (28, 28, 1), "num_classes": 26, "width": 8}
    picker = widgets.ModelPicker(Spec("v1", 20, **kept), shortcuts=True)
    control(picker, "units n").value = 2
    assert picker.spec == Spec("v1", 14, **kept)
    control(picker, "shortcut").value = "C"
    assert picker.spec == Spec("v1", 14, shortcut="C", **kept)
    control(picker, "version").value = "v2"
    assert picker.spec == Spec("v2", 20, **kept)
    control(picker, "version").value = "plain"
    assert picker.spec == Spec("plain", 14, **kept)


def test_two_pickers_are_two():
    one, other = widgets.ModelPicker(), widgets.ModelPicker()
    control(one, "units n").value = 1
    assert (one.spec.depth, other.spec.depth) == (8, 20)


def test_a_picker_fits_into_another_box_and_is_named_by_its_network():
    picker = widgets.ModelPicker(Spec("v1", 56))
    assert ipywidgets.HBox([picker]).children == (picker,)
    assert repr(picker) == "ModelPicker(v1-56)"
