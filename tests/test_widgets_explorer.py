"""The explorer: its parts hear of each other, and what ships of a network is shown for it and for no other."""

import json
import shutil

from resnet_lessons import recipes, results, widgets
from resnet_lessons.specs import Spec
from resnet_lessons.widgets import recorded_runs

import html_tables
import ipywidgets
import numpy as np
import pytest
from widget_parts import assert_named, control, picture, text

NAMES = ("minute", "he2015", "minute-smoke")


class Images:
    """What the page reads of a data set before anything is trained."""

    name = title = "none"
    x_train = np.zeros((0, 32, 32, 3), "uint8")
    class_names = tuple("0123456789")


@pytest.fixture
def recorded(tmp_path):
    """A folder with two of the runs that ship, both of v1-20, on two data sets."""
    for name in ("v1-20-short-seed0", "v1-20-short-1000-shapes10-seed0"):
        (tmp_path / "recorded" / name).mkdir(parents=True)
        for file in ("run.json", "log.jsonl"):
            shutil.copy(results.RECORDED / name / file, tmp_path / "recorded" / name)
    return tmp_path / "recorded"


@pytest.fixture
def explorer(tmp_path, recorded):
    return widgets.Explorer(Images(), tmp_path / "runs", names=NAMES, recorded=recorded)


# The recorded runs


def test_the_table_holds_the_runs_of_exactly_this_network(recorded):
    header, *rows = html_tables.rows(widgets.recorded_table(Spec("v1", 20), recorded))
    assert header == ["recipe", "data", "seeds", "recorded: test error", "hardware"]
    said = {}
    for run in recorded.iterdir():
        found = json.loads((run / "run.json").read_text())
        error = f"{100 * found['result']['test_error']:.2f}%"
        said[found["data"]["name"]] = [f"{found['recipe']['steps']:,} updates", error, "0"]
    assert len(rows) == len(said) == 2
    for title, (updates, error, seed) in zip(
        ("CIFAR-10", "shapes10"), (said["cifar10"], said["shapes10"]), strict=True
    ):
        [row] = [row for row in rows if row[1].startswith(title)]
        assert row[0].endswith(updates)
        assert row[2:4] == [seed, error]
        assert row[4]


def test_seeds_are_put_together(recorded):
    other = recorded / "v1-20-short-seed1"
    shutil.copytree(recorded / "v1-20-short-seed0", other)
    run = json.loads((other / "run.json").read_text())
    (other / "run.json").write_text(json.dumps(run | {"seed": 1}))
    rows = html_tables.rows(widgets.recorded_table(Spec("v1", 20), recorded))[1:]
    assert len(rows) == 2
    [row] = [row for row in rows if row[2] == "0, 1"]
    assert row[3].endswith(" ± 0.00%")


@pytest.mark.parametrize("spec", [Spec("v1", 26), Spec("plain", 20), Spec("v1", 20, shortcut="B")])
def test_without_a_run_it_says_so(recorded, spec):
    assert widgets.recorded_table(spec, recorded) == f"No run of {spec.name} ships with the package."
    assert widgets.recorded_image(spec, recorded) == ""


def test_the_curves_have_a_line_for_each_row(recorded, monkeypatch):
    drawn = []
    monkeypatch.setattr(recorded_runs.plots, "recorded_curves", lambda _, groups, **__: drawn.extend(groups))
    alt, *_ = picture(widgets.recorded_image(Spec("v1", 20), recorded))
    assert sorted(label for label, _ in drawn) == ["short, cifar10", "short-1000, shapes10"]
    log = [json.loads(line) for line in (recorded / "v1-20-short-seed0" / "log.jsonl").read_text().splitlines()]
    first, last = (f"{100 * log[place]['train_error']:.1f}%" for place in (0, -1))
    validation = f"{100 * log[-1]['val_error']:.1f}%"
    said = f"training error {first} in the first epoch, {last} in the last, validation error in the end {validation}"
    assert f"short, cifar10: {said}" in alt


def test_copies_of_a_data_set_have_labels_that_tell_them_apart(recorded, monkeypatch):
    other = json.loads((recorded / "v1-20-short-seed0" / "run.json").read_text())
    other["data"] |= {"source": "CIFAR-10, original: told by its checksums", "sha256": "0f" * 32}
    log = (recorded / "v1-20-short-seed0" / "log.jsonl").read_text()
    (recorded / "original").mkdir()
    (recorded / "original" / "run.json").write_text(json.dumps(other))
    (recorded / "original" / "log.jsonl").write_text(log)
    drawn = []
    monkeypatch.setattr(recorded_runs.plots, "recorded_curves", lambda _, groups, **__: drawn.extend(groups))
    widgets.recorded_image(Spec("v1", 20), recorded)
    labels = [label for label, _ in drawn]
    assert len(set(labels)) == len(labels) == 3
    assert sum("CIFAR-10, original" in label for label in labels) == 1


def test_the_curves_say_what_they_were_trained_on(recorded, monkeypatch):
    said = []
    monkeypatch.setattr(recorded_runs.plots, "html_image", lambda *given: said.append(given[-1]))
    widgets.recorded_image(Spec("v1", 20), recorded)
    assert sorted(said[0].split("; ")) == ["CIFAR-10, JPEG re-encoding", "shapes10"]


def test_more_runs_than_a_figure_tells_apart_are_said_to_be_left_out(recorded, monkeypatch):
    drawn = []
    monkeypatch.setattr(recorded_runs.plots, "recorded_curves", lambda ax, groups, **__: drawn.append((ax, groups)))
    for number in range(5):
        other = recorded / f"another-{number}"
        shutil.copytree(recorded / "v1-20-short-seed0", other)
        run = json.loads((other / "run.json").read_text())
        run["recipe"]["weight_decay"] = 0.2 + number
        (other / "run.json").write_text(json.dumps(run))
    widgets.recorded_image(Spec("v1", 20), recorded)
    [(ax, groups)] = drawn
    assert (len(groups), ax.get_title(loc="left")) == (6, "the first 6 of 7")


def test_what_ships_can_be_shown():
    """With every record that is in the package by now."""
    for record in results.load():
        assert record.data["source"].partition(":")[0] in widgets.recorded_table(record.spec)
        assert picture(widgets.recorded_image(record.spec))[0]


def test_what_ships_is_read_once(monkeypatch):
    load, read = results.load, []
    monkeypatch.setattr(recorded_runs.results, "load", lambda *args: read.append(args) or load(*args))
    recorded_runs._shipped.cache_clear()
    for depth in (20, 56):
        widgets.recorded_table(Spec("v1", depth))
        widgets.recorded_image(Spec("v1", depth))
    assert len(read) == 1


# The page


def test_the_page_begins_as_asked(explorer):
    assert repr(explorer) == "Explorer(v1-20, minute)"
    assert explorer.trainer.spec == explorer.picker.spec == Spec("v1", 20)
    assert explorer.trainer.recipe == explorer.schedule.recipe == recipes.get("minute")
    assert widgets.recorded_table(Spec("v1", 20), explorer._recorded) in text(explorer)
    assert picture(explorer._curves.value)
    assert "Quoted, for the original CIFAR-10: 8.75% (He et al. 2015, Table 6)." in text(explorer)
    headings = [child.value for child in explorer.children if isinstance(child, ipywidgets.HTML)]
    assert [value for value in headings if value.startswith("<h3>")] == [
        f"<h3>{title}</h3>" for title in ("Network", "Recipe", "Recorded runs", "Training")
    ]


def test_a_choice_reaches_every_part(explorer):
    control(explorer.picker, "units n").value = 4
    assert explorer.trainer.spec == Spec("v1", 26)
    assert "No run of v1-26 ships" in text(explorer)
    assert explorer._curves.value == ""
    assert "Quoted, for the original CIFAR-10: none for this network." in text(explorer)
    control(explorer.picker, "shortcut").value = "C"
    assert explorer.trainer.spec == Spec("v1", 26, shortcut="C")
    control(explorer.schedule, "recipe").value = "he2015"
    assert explorer.trainer.recipe == recipes.get("he2015")
    control(explorer.picker, "units n").value = 18
    assert explorer.trainer.spec.depth == 110
    assert explorer.trainer.recipe == recipes.get("he2015", depth=110)  # with its warm-up


class Letters(Images):
    """Of another shape, and of more classes."""

    x_train = np.zeros((0, 28, 28, 1), "uint8")
    class_names = tuple("abcdefghijklmnopqrstuvwxyz")


@pytest.mark.parametrize("spec", [None, Spec("v1", 20, input_shape=(28, 28, 1), num_classes=26)])
def test_the_network_fits_the_data(tmp_path, recorded, spec):
    fitting = {"input_shape": (28, 28, 1), "num_classes": 26}
    page = widgets.Explorer(Letters(), tmp_path / "runs", spec, names=NAMES, recorded=recorded)
    assert page.trainer.spec == page.picker.spec == Spec("v1", 20, **fitting)
    control(page.picker, "version").value = "v2"
    assert page.trainer.spec == Spec("v2", 29, **fitting)


def test_a_deep_net_to_begin_with_is_kept_with_its_recipe(tmp_path, recorded):
    page = widgets.Explorer(Images(), tmp_path / "runs", Spec("v1", 1202), "he2015", NAMES, recorded)
    assert page.trainer.spec == Spec("v1", 1202)
    assert page.trainer.recipe == recipes.get("he2015", depth=1202)


def test_no_run_is_looked_for_by_the_recipe_of_another_network(tmp_path, recorded):
    """A net of 110 layers is warmed up by a recipe of the same name, which the run of 20 layers was not made by."""
    run, images = recorded / "v1-20-short-seed0", Images()
    images.digest = json.loads((run / "run.json").read_text())["data"]["sha256"]
    page = widgets.Explorer(images, tmp_path / "runs", None, "short", ("short",), recorded)
    shutil.copytree(run, page.trainer.out)
    states = []
    page.trainer.observe(lambda change: states.append(change["new"]), "state")
    for n in (4, 3, 18):
        control(page.picker, "units n").value = n
    assert states == ["finished", "ready"]


def test_timing_is_off_while_a_net_trains(explorer):
    for state, disabled in (("training", True), ("stopping", True), ("stopped", False), ("finished", False)):
        explorer.trainer.set_trait("state", state)
        assert explorer.picker.timer.disabled is disabled


def test_timing_is_off_on_a_page_made_while_a_net_trains(tmp_path, recorded, monkeypatch):
    monkeypatch.setattr(widgets.LiveTrainer, "_look", lambda trainer, *_: trainer.set_trait("state", "training"))
    page = widgets.Explorer(Images(), tmp_path / "runs", names=NAMES, recorded=recorded)
    assert page.picker.timer.disabled


def test_the_times_are_those_of_the_recipes_to_choose_from(explorer, monkeypatch):
    monkeypatch.setattr("resnet_lessons.training.time_updates", lambda *_: (1.0, 0.1))
    explorer.picker.timer.click()
    table = html_tables.rows(text(explorer.picker))
    assert [row[0] for row in table[-3:]] == list(NAMES)


def test_every_control_has_a_name(explorer):
    assert_named(explorer)


def test_two_pages_are_two(explorer, tmp_path):
    other = widgets.Explorer(Images(), tmp_path / "runs", names=NAMES)
    control(other.picker, "version").value = "plain"
    assert explorer.trainer.spec == Spec("v1", 20)
