"""The explorer: its parts hear of each other, and what ships of a network is shown for it and for no other."""

import json

from resnet_lessons import recipes, results, widgets
from resnet_lessons.specs import Spec
from resnet_lessons.widgets import recorded_runs

import html_tables
import ipywidgets
import numpy as np
import pytest

NAMES = ("minute", "he2015", "minute-smoke")


class Images:
    """What the page reads of a data set before anything is trained."""

    name = title = "none"
    x_train = np.zeros((0, 32, 32, 3), "uint8")


@pytest.fixture
def recorded(tmp_path):
    """A folder of two recorded runs of v1-20, on two data sets, and one of v1-8, as training writes them."""
    folder = tmp_path / "recorded"
    for name, depth, data, error in (("a", 20, "cifar10", 0.25), ("b", 20, "shapes10", 0.5), ("c", 8, "cifar10", 0.75)):
        (folder / name).mkdir(parents=True)
        run = {
            "spec": Spec("v1", depth).to_json(),
            "recipe": recipes.get("short").to_json(),
            "seed": 3,
            "data": {"name": data, "source": f"{data}, really", "sha256": "0" * 64},
            "versions": {"python": "3"},
            "hardware": "some",
            "git": "some",
            "command": "some",
            "result": {"test_error": error},
        }
        line = {"train_loss": 1.0, "lr": 0.1, "seconds": 50.0, "val_loss": 1.0}
        lines = [line | {"epoch": n, "step": 4000 * n, "train_error": 1 / (n + 1), "val_error": 0.9} for n in (1, 2)]
        (folder / name / "run.json").write_text(json.dumps(run))
        (folder / name / "log.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    return folder


@pytest.fixture
def explorer(tmp_path, recorded):
    return widgets.Explorer(Images(), tmp_path / "runs", names=NAMES, recorded=recorded)


def control(box, label):
    [found] = [child for child in box.children if getattr(child, "description", None) == label]
    return found


def text(box):
    return " ".join(child.value for child in box.children if isinstance(child, ipywidgets.HTML))


# The recorded runs


def test_the_table_holds_the_runs_of_exactly_this_network(recorded):
    header, *rows = html_tables.rows(widgets.recorded_table(Spec("v1", 20), recorded))
    assert header == ["recipe", "seed", "data", "recorded: test error", "time"]
    assert rows == [
        ["short, 8,000 updates", "3", "cifar10, really", "25.00%", "2 min"],
        ["short, 8,000 updates", "3", "shapes10, really", "50.00%", "2 min"],
    ]


@pytest.mark.parametrize("spec", [Spec("v1", 26), Spec("plain", 20), Spec("v1", 20, shortcut="B")])
def test_without_a_run_it_says_so(recorded, spec):
    assert widgets.recorded_table(spec, recorded) == f"No run of {spec.name} ships with the package."
    assert widgets.recorded_png(spec, recorded) == b""
    assert "No run of" in widgets.recorded_table(spec, recorded / "not there")


def test_the_curves_are_drawn_at_the_updates_of_the_log(recorded, monkeypatch):
    drawn = []
    monkeypatch.setattr(recorded_runs.plots, "epoch_curves", lambda ax, runs: drawn.extend(runs))
    assert widgets.recorded_png(Spec("v1", 20), recorded).startswith(b"\x89PNG")
    assert [label for label, _ in drawn] == ["short, cifar10, seed 3", "short, shapes10, seed 3"]
    assert [line["step"] for line in drawn[0][1]] == [4000, 8000]


def test_what_ships_can_be_shown():
    """With every record that is in the package by now."""
    for record in results.load():
        assert record.data["source"] in widgets.recorded_table(record.spec)
        assert widgets.recorded_png(record.spec)


# The page


def test_the_page_begins_as_asked(explorer):
    assert repr(explorer) == "Explorer(v1-20, minute)"
    assert explorer.trainer.spec == explorer.picker.spec == Spec("v1", 20)
    assert explorer.trainer.recipe == explorer.schedule.recipe == recipes.get("minute")
    assert "25.00%" in text(explorer)
    assert explorer._curves.layout.display != "none"
    headings = [child.value for child in explorer.children if isinstance(child, ipywidgets.HTML)]
    assert [value for value in headings if value.startswith("<h3>")] == [
        f"<h3>{title}</h3>" for title in ("Network", "Recipe", "Recorded runs", "Training")
    ]


def test_a_choice_reaches_every_part(explorer):
    control(explorer.picker, "units n").value = 4
    assert explorer.trainer.spec == Spec("v1", 26)
    assert "No run of v1-26 ships" in text(explorer)
    assert explorer._curves.layout.display == "none"
    control(explorer.picker, "shortcut").value = "C"
    assert explorer.trainer.spec == Spec("v1", 26, shortcut="C")
    control(explorer.schedule, "recipe").value = "he2015"
    assert explorer.trainer.recipe == recipes.get("he2015")
    control(explorer.picker, "units n").value = 18
    assert explorer.trainer.spec.depth == 110
    assert explorer.trainer.recipe == recipes.get("he2015", depth=110)  # with its warm-up


def test_timing_is_off_while_a_net_trains(explorer):
    for state, disabled in (("training", True), ("stopping", True), ("stopped", False), ("finished", False)):
        explorer.trainer.set_trait("state", state)
        assert explorer.picker.timer.disabled is disabled


def test_the_times_are_those_of_the_recipes_to_choose_from(explorer, monkeypatch):
    monkeypatch.setattr("resnet_lessons.training.time_updates", lambda *_: (1.0, 0.1))
    explorer.picker.timer.click()
    table = html_tables.rows(text(explorer.picker))
    assert [row[0] for row in table[-3:]] == list(NAMES)


def test_two_pages_are_two(explorer, tmp_path):
    other = widgets.Explorer(Images(), tmp_path / "runs", names=NAMES)
    control(other.picker, "version").value = "plain"
    assert explorer.trainer.spec == Spec("v1", 20)
