"""The schedule viewer and its twin: what they show are the rates that training will have."""

from resnet_lessons import recipes, widgets
from resnet_lessons.recipes import Recipe
from resnet_lessons.widgets import schedule_viewer

import html_tables
import pytest
from widget_parts import assert_named, control, controls, drawings, picture, text

NAMES = [*recipes.NAMES, *(f"{name}-smoke" for name in recipes.NAMES)]


def rows(recipe):
    return html_tables.rows(widgets.schedule_table(recipe))[1:]


def test_the_table_of_the_paper_for_deep_nets():
    header, *found = html_tables.rows(widgets.schedule_table(recipes.get("he2015", depth=110)))
    assert header == ["updates", "learning rate at the first", "at the last"]
    assert found == [
        ["1 to 400", "0.01", "0.01"],
        ["401 to 32,000", "0.1", "0.1"],
        ["32,001 to 48,000", "0.01", "0.01"],
        ["48,001 to 64,000", "0.001", "0.001"],
    ]


def test_one_cycle_goes_up_and_down():
    up, down = rows(recipes.get("fast-accuracy"))
    assert (up[0], down[0]) == ("1 to 2,816", "2,817 to 14,080")
    assert float(up[1]) < float(up[2]) == 0.2
    assert float(down[2]) < float(down[1]) <= 0.2  # the first after the peak is lower by a part in 11,000


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("depth", [20, 110])
def test_the_phases_hold_every_update_once_and_bend_nowhere_inside(name, depth):
    recipe = recipes.get(name, depth)
    phases = schedule_viewer._phases(recipe)
    assert phases[0][0] == 0
    assert phases[-1][1] == recipe.steps - 1
    assert [first for first, _ in phases[1:]] == [last + 1 for _, last in phases[:-1]]
    for first, last in phases:
        for step in {first, (first + last) // 2, (first + 3 * last) // 4, last}:
            part = (step - first) / max(1, last - first)
            straight = recipe.lr_at(first) + part * (recipe.lr_at(last) - recipe.lr_at(first))
            assert recipe.lr_at(step) == pytest.approx(straight, rel=1e-6)


def test_a_recipe_of_one_update():
    assert rows(Recipe("one", steps=1, drops=())) == [["1 to 1", "0.1", "0.1"]]


def test_the_sentence_says_what_the_recipe_holds():
    said = schedule_viewer.recipe_words(recipes.get("fast-accuracy"))
    assert said.startswith("fast-accuracy: 14,080 updates of 128 images, SGD with Nesterov momentum 0.9, weight")
    assert "weight decay 0.0005 on kernels" in said
    adam = schedule_viewer.recipe_words(recipes.get("keras-example"))
    assert "of 32 images, Adam, weight decay 0.0002 on convolutions, augmentation shift-flip" in adam
    bare = schedule_viewer.recipe_words(Recipe("bare", steps=10, augment="none", weight_decay=0, validation=0))
    assert bare == "bare: 10 updates of 128 images, SGD with momentum 0.9, no augmentation, 0 images held back."


def test_the_viewer_and_its_twin_show_the_same():
    viewer, heard = widgets.ScheduleViewer(), []
    viewer.observe(lambda change: heard.append(change["new"]), "recipe")
    for name in recipes.NAMES:
        control(viewer, "recipe").value = name
        assert viewer.recipe == recipes.get(name, depth=20)
        assert widgets.schedule_table(viewer.recipe) in text(viewer)
        assert repr(viewer) == f"ScheduleViewer({name})"
    assert [recipe.name for recipe in heard] == list(recipes.NAMES[1:])


def test_the_slider_reads_the_rate_of_one_update():
    viewer = widgets.ScheduleViewer(recipe="he2015")
    [drawing] = drawings(viewer)
    seen = [drawing.value]
    for percent, says in (
        (0, "Update 1 of 64,000: learning rate 0.1."),
        (60, "Update 38,400 of 64,000: learning"),
        (100, "Update 64,000 of 64,000: learning rate 0.001."),
    ):
        control(viewer, "% made").value = percent
        assert says in text(viewer)
        seen.append(drawing.value)
    assert len(set(seen)) == 3
    alt = "Learning rate of he2015 against updates; the table above holds its values."
    assert picture(drawing.value) == (alt, 1286, 422)


def test_a_deep_net_is_warmed_up():
    viewer = widgets.ScheduleViewer(recipe="he2015", depth=56)
    assert viewer.recipe.warmup_steps == 0
    viewer.depth = 110
    assert viewer.recipe == recipes.get("he2015", depth=110)
    assert "1 to 400" in text(viewer)
    viewer.depth = 20
    assert "1 to 400" not in text(viewer)


def test_every_control_has_a_label_and_can_be_reached_by_keyboard():
    viewer = widgets.ScheduleViewer()
    assert [child.description for child in controls(viewer)] == ["recipe", "% made", ""]
    assert not any(child.disabled for child in controls(viewer))
    assert_named(viewer)


def test_two_viewers_are_two():
    one, other = widgets.ScheduleViewer(), widgets.ScheduleViewer()
    control(one, "recipe").value = "minute"
    assert other.recipe.name == recipes.NAMES[0]
