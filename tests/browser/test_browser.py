"""Lessons 03 and 10 and the explorer's own page, as a person uses them in a browser."""

import json

from resnet_lessons import accounting
from resnet_lessons.specs import Spec

import pages
import pytest
from playwright.sync_api import TimeoutError as TooLate

RUN = "v1-8-short-shapes10-seed0"


def row_of(spec):
    count = accounting.count(spec)
    return [spec.name, str(spec.n), str(spec.depth), f"{count.parameters:,}", f"{count.multiply_adds:,}"]


def log(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_lesson_03_moving_the_slider_changes_the_table(page, lab):
    lesson = pages.Lesson(page, lab, "03_resnet_v1")
    lesson.run("resnet_20 = Spec(")
    lesson.run("widgets.model_table(networks)")
    picker = pages.Picker(lesson.run("picker = widgets.ModelPicker("))
    assert picker.row("v1-20")[:5] == row_of(Spec("v1", 20))
    picker.slide("ArrowRight")
    assert picker.row("v1-26")[:5] == row_of(Spec("v1", 26))
    assert picker.root.locator("td:text-is('v1-20')").count() == 0
    picker.type(1)
    assert picker.row("v1-8")[:5] == row_of(Spec("v1", 8))
    for role, names in {"combobox": ["version", "unit"], "spinbutton": ["units n"], "button": ["Time it here"]}.items():
        for name in names:
            assert picker.root.get_by_role(role, name=name, exact=True).count() == 1
    picker.root.get_by_role("img", name="Diagram of v1-8").wait_for()


def test_lesson_10_trains_stops_and_is_interrupted(page, lab, place):
    lesson = pages.Lesson(page, lab, "10_explorer")
    lesson.run("dataset = data.load(")
    shown = lesson.run("explorer = widgets.Explorer(")
    picker, trainer = pages.Picker(shown), pages.Trainer(shown)
    picker.type(1)
    assert picker.row("v1-8")[:5] == row_of(Spec("v1", 8))
    trainer.choose("short")
    trainer.words("v1-8 by short, seed 0: Not trained yet")
    empty = trainer.curve()

    trainer.button("Train").dblclick()  # the second press begins no second run
    first = trainer.updates()
    moved = trainer.curve_moves(empty)
    assert not pages.nobody_trains_in(place / "runs" / "explorer" / RUN)
    trainer.curve_moves(moved)
    assert trainer.updates(first + 1) > first

    limit = trainer.limit()
    assert trainer.stop(limit) < limit
    assert pages.nobody_trains_in(place / "runs" / "explorer" / RUN)
    assert [path.name for path in (place / "runs" / "explorer").iterdir()] == [RUN]
    assert trainer.button("Train").is_disabled()
    assert trainer.button("Stop").is_disabled()

    trainer.button("Resume").press("Enter")
    trainer.updates()
    lesson.interrupt()
    trainer.stopped(3 * limit)  # the promise of a second is Stop's; this goes by the server
    assert pages.nobody_trains_in(place / "runs" / "explorer" / RUN)

    lesson.run_instead("dataset = data.load(", "from resnet_lessons.training import Background; Background.stop = id")
    trainer.button("Resume").press("Enter")
    trainer.updates()
    with pytest.raises(TooLate):  # the negative control: what this test says of a trainer that ignores Stop
        trainer.stop(limit)
    page.goto("about:blank")  # the tab is closed; JupyterLab's kernel goes on
    lesson = pages.Lesson(page, lab, "10_explorer")
    assert not pages.nobody_trains_in(place / "runs" / "explorer" / RUN)
    lesson.end_kernels()
    pages.until(lambda: pages.nobody_trains_in(place / "runs" / "explorer" / RUN))


def opened(page, app, n, name, recipe):
    """Open the explorer's own page and choose a network and a recipe, with seed 1."""
    page.goto(app.address, wait_until="domcontentloaded")
    page.get_by_role("button", name="Train", exact=True).wait_for()
    picker, trainer = pages.Picker(page.locator("body")), pages.Trainer(page.locator("body"))
    picker.type(n)
    assert picker.row(name)[0] == name
    trainer.choose(recipe)
    trainer.seed(1)
    trainer.words(f"{name} by {recipe}, seed 1")
    return trainer


def test_the_page_shows_no_code_trains_stops_and_ends_its_training_when_it_is_closed(page, app, place):
    folder = place / "runs" / "explorer" / "v1-8-short-shapes10-seed1"
    trainer = opened(page, app, 1, "v1-8", "short")
    assert not page.locator("pre, .jp-InputArea").filter(has_text="widgets.Explorer").count()
    picker = pages.Picker(trainer.root)
    picker.slide("ArrowRight")
    assert picker.row("v1-14")[:5] == row_of(Spec("v1", 14))
    picker.slide("ArrowLeft")
    assert picker.row("v1-8")[:5] == row_of(Spec("v1", 8))
    trainer.words("v1-8 by short, seed 1: Not trained yet")
    empty = trainer.curve()
    trainer.button("Train").click()
    trainer.updates()
    trainer.curve_moves(trainer.curve_moves(empty))
    assert not pages.nobody_trains_in(folder)
    limit = trainer.limit()
    assert trainer.stop(limit) < limit
    assert pages.nobody_trains_in(folder)
    trainer.button("Resume").press("Enter")
    trainer.updates()
    assert not pages.nobody_trains_in(folder)
    page.goto("about:blank")  # which ends the kernel; a run of 8,000 updates would go on for minutes
    pages.until(lambda: pages.nobody_trains_in(folder))
    trainer = opened(page, app, 1, "v1-8", "short")
    trainer.words("Begun and not finished. No epoch was whole yet: Resume begins with update 1 of 8,000.")


def test_the_page_that_is_closed_amid_a_training_keeps_whole_epochs_and_resumes_in_another_kernel(page, app, place):
    folder = place / "runs" / "explorer" / "v1-32-minute-shapes10-seed1"
    trainer = opened(page, app, 5, "v1-32", "minute")  # its four epochs leave time to close the page
    trainer.button("Train").click()
    trainer.root.locator("td:text-is('14')").wait_for(timeout=180_000)  # ms; the first epoch's line
    assert not pages.nobody_trains_in(folder)
    page.goto("about:blank")
    pages.until(lambda: pages.nobody_trains_in(folder))
    kept = log(folder)
    assert 1 <= len(kept) < 4
    trainer = opened(page, app, 5, "v1-32", "minute")
    first = kept[-1]["step"] + 1
    epochs = "1 epoch is" if len(kept) == 1 else f"{len(kept)} epochs are"
    trainer.words(f"Begun and not finished. {epochs} kept: Resume begins with update {first} of 56.")
    trainer.button("Resume").click()
    assert trainer.updates(first) >= first
    assert log(folder)[: len(kept)] == kept
