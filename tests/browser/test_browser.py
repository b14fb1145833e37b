"""Lessons 03 and 10 and the explorer's own page, as a person uses them in a browser."""

import json
import re

from resnet_lessons import accounting
from resnet_lessons.specs import Spec

import pages
import pytest
from playwright.sync_api import TimeoutError as TooLate

LIMIT = 10  # seconds that Stop may take on a loaded machine; idle it takes about a tenth of one
DEAF = 3  # seconds after which a trainer that ignores Stop is told
RUN = "shapes10-v1-8-short-0"


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
    picker.slide("Home")
    assert picker.row("v1-8")[:5] == row_of(Spec("v1", 8))


def test_lesson_10_trains_stops_and_is_interrupted(page, lab, place):
    lesson = pages.Lesson(page, lab, "10_explorer")
    lesson.run("dataset = data.load(")
    shown = lesson.run("explorer = widgets.Explorer(")
    picker, trainer = pages.Picker(shown), pages.Trainer(shown)
    picker.slide("Home")
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

    seconds = trainer.stop(LIMIT)
    assert seconds < LIMIT
    assert pages.nobody_trains_in(place / "runs" / "explorer" / RUN)
    assert [path.name for path in (place / "runs" / "explorer").iterdir()] == [RUN]
    assert trainer.button("Train").is_disabled()
    assert trainer.button("Stop").is_disabled()

    trainer.button("Resume").press("Enter")
    trainer.words("training error")
    lesson.interrupt()
    trainer.stopped(LIMIT)
    assert pages.nobody_trains_in(place / "runs" / "explorer" / RUN)

    lesson.run_instead("dataset = data.load(", "from resnet_lessons.training import Background; Background.stop = id")
    trainer.button("Resume").press("Enter")
    trainer.words("training error")
    with pytest.raises(TooLate):  # the negative control: what this test says of a trainer that ignores Stop
        trainer.stop(DEAF)
    assert not pages.nobody_trains_in(place / "runs" / "explorer" / RUN)


def test_the_page_keeps_whole_epochs_when_it_is_closed(page, app, place):
    folder = place / "runs" / "explorer" / RUN.replace("-0", "-1")

    def opened():
        page.goto(app.address, wait_until="domcontentloaded")
        page.get_by_role("button", name="Train", exact=True).wait_for()
        picker, trainer = pages.Picker(page.locator("body")), pages.Trainer(page.locator("body"))
        picker.slide("Home")
        picker.row("v1-8")
        trainer.choose("short")
        page.get_by_role("spinbutton").last.fill("1")
        page.keyboard.press("Tab")
        trainer.words("v1-8 by short, seed 1")
        return trainer

    trainer = opened()
    assert not page.locator("pre, .jp-InputArea").filter(has_text="widgets.Explorer").count()  # no code is shown
    trainer.words("Not trained yet")
    empty = trainer.curve()
    trainer.button("Train").click()
    trainer.updates()
    moved = trainer.curve_moves(empty)
    trainer.curve_moves(moved)
    trainer.root.locator("td:text-is('352')").wait_for(timeout=240_000)  # the first epoch's line, of 45,000 images
    assert trainer.stop(LIMIT) < LIMIT
    [line] = log(folder)
    assert line["step"] == 352

    trainer.button("Resume").click()
    trainer.updates(353)
    trainer.words("training error")
    trainer = opened()  # the page is left while it trains
    trainer.words(re.compile("Begun and not finished. 1 epochs? .*Resume begins with update 353 of 8,000"))
    assert log(folder) == [line]
    trainer.button("Resume").click()
    trainer.updates(353)
    assert trainer.stop(LIMIT) < LIMIT
    assert log(folder)[0] == line
