"""Recipes against Sec. 4.2 of the first paper, rates against a slow loop, and every bad value refused."""

import ast
import dataclasses
import json
import math
from pathlib import Path

from resnet_lessons import batches, recipes
from resnet_lessons.recipes import Recipe

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

PACKAGE = Path(recipes.__file__).parent

positive = st.floats(1e-6, 10)
valid_recipes = st.builds(
    Recipe,
    name=st.text(min_size=1),
    steps=st.integers(1, 200_000),
    batch_size=st.integers(1, 512),
    learning_rate=positive,
    drops=st.lists(st.floats(0.01, 0.99), unique=True, max_size=4).map(sorted).map(tuple),
    warmup_steps=st.integers(0, 500),
    warmup_rate=positive,
    momentum=st.floats(0, 0.99),
    weight_decay=st.floats(0, 1),
    augment=st.sampled_from(recipes.AUGMENTATIONS),
    validation=st.integers(0, 10_000),
    steps_per_epoch=st.none() | st.integers(1, 1000),
)


# The paper's recipe


def test_he2015_to_the_letter():
    assert dataclasses.asdict(recipes.get("he2015")) == {
        "name": "he2015",
        "steps": 64_000,
        "batch_size": 128,
        "learning_rate": 0.1,
        "drops": (0.5, 0.75),
        "warmup_steps": 0,
        "warmup_rate": 0.01,
        "momentum": 0.9,
        "weight_decay": 1e-4,
        "augment": "pad-crop-flip",
        "validation": 5000,
        "steps_per_epoch": None,
    }


def test_he2015_divides_the_rate_at_32k_and_48k_and_nowhere_else():
    rates = [recipes.get("he2015").lr_at(step) for step in range(64_000)]
    assert [step for step in range(1, 64_000) if rates[step] != rates[step - 1]] == [32_000, 48_000]
    assert [rates[0], rates[32_000], rates[48_000]] == pytest.approx([0.1, 0.01, 0.001])


@pytest.mark.parametrize("depth", [None, 20, 56, 109])
def test_below_110_layers_nothing_is_warmed_up(depth):
    assert recipes.get("he2015", depth) == recipes.get("he2015")


@pytest.mark.parametrize("depth", [110, 164, 1202])
def test_from_110_layers_the_first_400_updates_run_at_a_hundredth(depth):
    recipe = recipes.get("he2015", depth)
    assert [recipe.lr_at(step) for step in (0, 399, 400, 31_999)] == [0.01, 0.01, 0.1, 0.1]
    assert dataclasses.replace(recipe, warmup_steps=0) == recipes.get("he2015")


def slow_rate(recipe, step):
    """Walk through all updates up to ``step``, with the drops at rounded places."""
    rate = recipe.learning_rate
    for number in range(step + 1):
        for drop in recipe.drops:
            if number == round(drop * recipe.steps):
                rate /= 10
    return recipe.warmup_rate if step < recipe.warmup_steps else rate


@given(valid_recipes, st.data())
def test_the_rate_equals_a_walk_through_all_updates(recipe, data):
    recipe = dataclasses.replace(recipe, steps=min(recipe.steps, 300))
    for step in data.draw(st.lists(st.integers(0, 299), min_size=1, max_size=5)):  # in any order, again and again
        assert recipe.lr_at(step) == pytest.approx(slow_rate(recipe, step), rel=1e-9)
        assert recipe.lr_at(step) == recipe.lr_at(step, steps_per_epoch=7)


# Plain data


@given(valid_recipes)
def test_json_brings_the_same_recipe_back(recipe):
    again = Recipe(**json.loads(json.dumps(recipe.to_json())))
    assert again == recipe
    assert hash(again) == hash(recipe)
    assert isinstance(again.drops, tuple)


def test_numpy_numbers_become_plain_ones():
    recipe = Recipe("r", np.int64(7), learning_rate=np.float32(0.5), drops=np.array([0.5]), validation=np.uint8(3))
    assert json.loads(json.dumps(recipe.to_json())) == recipe.to_json()
    assert (recipe.steps, recipe.learning_rate, recipe.drops, recipe.validation) == (7, 0.5, (0.5,), 3)


def test_a_recipe_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipes.get("he2015").steps = 3


NO_WHOLE = st.sampled_from([True, False, 3.0, "3", None, math.nan, [1], 1j])
NO_NUMBER = st.sampled_from([True, "0.1", None, math.nan, math.inf, -math.inf, [0.1], 1j])
BAD = {
    "name": st.sampled_from(["", None, 3]),
    "steps": NO_WHOLE | st.integers(max_value=0),
    "batch_size": NO_WHOLE | st.integers(max_value=0),
    "warmup_steps": NO_WHOLE | st.integers(max_value=-1),
    "validation": NO_WHOLE | st.integers(max_value=-1),
    "steps_per_epoch": NO_WHOLE.filter(lambda value: value is not None) | st.integers(max_value=0),
    "learning_rate": NO_NUMBER | st.floats(max_value=0),
    "warmup_rate": NO_NUMBER | st.floats(max_value=0),
    "momentum": NO_NUMBER | st.floats(max_value=0, exclude_max=True) | st.floats(min_value=1),
    "weight_decay": NO_NUMBER | st.floats(max_value=0, exclude_max=True),
    "drops": st.sampled_from(
        [0.5, None, "ab", (0.75, 0.5), (0.5, 0.5), (0,), (0.0,), (1.0,), (-0.5,), (math.nan,), (True,), ("0.5",), (2,)]
    ),
    "augment": st.sampled_from(["", "flip", None, 3, ["none"], "None"]),
}


def test_every_field_has_its_bad_values():
    assert set(BAD) == {field.name for field in dataclasses.fields(Recipe)}


@pytest.mark.parametrize("field", BAD)
@given(data=st.data())
def test_a_bad_value_is_refused_by_name(field, data):
    value = data.draw(BAD[field])
    with pytest.raises(ValueError, match=rf"^{field} must .*Received: "):
        Recipe(**{"name": "r", "steps": 10} | {field: value})


def test_the_augmentations_are_those_of_batches():
    assert set(recipes.AUGMENTATIONS) == set(batches.AUGMENT)


def test_an_unknown_recipe_is_told_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'he2015', 'short', 'minute'\. Received: 'he2016'"):
        recipes.get("he2016")


# Other sizes of the same recipe


def shape(recipe):
    """What makes the recipe what it is, whatever its length."""
    kept = ("learning_rate", "drops", "warmup_rate", "momentum", "weight_decay", "augment")
    return {field: getattr(recipe, field) for field in kept}


@given(valid_recipes)
def test_smoke_is_short_and_of_the_same_shape(recipe):
    smoke = recipe.smoke()
    assert shape(smoke) == shape(recipe)
    assert (smoke.steps, smoke.batch_size, smoke.steps_per_epoch) == (20, 32, 10)
    assert smoke.validation <= 100
    assert (smoke.warmup_steps > 0) == (recipe.warmup_steps > 0)


@given(valid_recipes, st.integers(1, 100_000), st.integers(1, 30))
def test_resized_keeps_the_shape_and_writes_few_lines(recipe, steps, epochs):
    resized = recipe.resized(steps, epochs=epochs)
    assert shape(resized) == shape(recipe)
    assert (resized.steps, resized.batch_size, resized.validation) == (steps, recipe.batch_size, recipe.validation)
    assert 1 <= math.ceil(steps / resized.steps_per_epoch) <= epochs
    assert (resized.name == recipe.name) == (steps == recipe.steps)
    for drop in recipe.drops:
        assert resized.lr_at(max(round(drop * steps), recipe.warmup_steps)) < recipe.learning_rate


def test_resized_may_hold_back_another_number():
    assert recipes.get("short").resized(100, validation=0).validation == 0


@pytest.mark.parametrize("bad", [{"steps": 0}, {"steps": 10, "epochs": 0}, {"steps": 10, "validation": -1}])
def test_resized_refuses_bad_values(bad):
    with pytest.raises(ValueError, match=r"^(steps|epochs|validation) must be a whole number of at least .\. Received"):
        recipes.get("short").resized(**bad)


def test_short_is_the_paper_in_an_eighth():
    short = recipes.get("short")
    assert shape(short) == shape(recipes.get("he2015"))
    assert [step for step in range(1, 8000) if short.lr_at(step) != short.lr_at(step - 1)] == [4000, 6000]


# Fast and full


def test_without_the_variable_lessons_are_fast(monkeypatch):
    monkeypatch.delenv("RESNET_LESSONS_MODE", raising=False)
    assert recipes.mode() == "fast"
    monkeypatch.setenv("RESNET_LESSONS_MODE", "")  # set to nothing counts as not set
    assert recipes.mode() == "fast"
    assert recipes.for_lesson() == recipes.get("minute")


@pytest.mark.parametrize(("value", "name", "steps"), [("fast", "minute", 56), ("full", "short-1600", 1600)])
def test_the_variable_sizes_the_lessons(monkeypatch, value, name, steps):
    monkeypatch.setenv("RESNET_LESSONS_MODE", value)
    recipe = recipes.for_lesson()
    assert (recipes.mode(), recipe.name, recipe.steps) == (value, name, steps)


@pytest.mark.parametrize("value", ["FAST", "slow", "1", " full"])
def test_another_value_is_refused(monkeypatch, value):
    monkeypatch.setenv("RESNET_LESSONS_MODE", value)
    for read in (recipes.mode, recipes.for_lesson):
        with pytest.raises(ValueError, match=rf"RESNET_LESSONS_MODE must be 'fast' or 'full'.*Received: '{value}'"):
            read()


def test_a_recipe_by_name_ignores_the_variable(monkeypatch):
    monkeypatch.setenv("RESNET_LESSONS_MODE", "neither")
    assert recipes.get("he2015").steps == 64_000


def reads_mode(source):
    """Tell whether code looks the variable up: os.environ[...], os.environ.get(...), os.getenv(...) and the like."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            what, keys = ast.unparse(node.func), [*node.args, *(keyword.value for keyword in node.keywords)]
        elif isinstance(node, ast.Subscript):
            what, keys = ast.unparse(node.value), [node.slice]
        else:
            continue
        looks_up = what.endswith(("environ", "getenv", "environ.get", "environ.pop", "environ.setdefault"))
        if looks_up and any("RESNET_LESSONS_MODE" in ast.unparse(key) for key in keys):
            return True
    return False


def test_recipes_alone_reads_the_variable():
    modules = sorted(PACKAGE.rglob("*.py"))
    assert [path.name for path in modules if reads_mode(path.read_text(encoding="utf-8"))] == ["recipes.py"]


@pytest.mark.parametrize(
    ("source", "reads"),
    [
        ("import os\nos.environ['RESNET_LESSONS_MODE']", True),
        ("from os import environ\ndef f():\n    return environ.get('RESNET_LESSONS_MODE', 'fast')", True),
        ("import os\nos.getenv(key='RESNET_LESSONS_MODE')", True),
        ("import os\nos.environ['RESNET_LESSONS_DATA']", False),
        ("advice('unset RESNET_LESSONS_MODE')", False),
    ],
)
def test_a_second_reader_would_be_found(source, reads):
    assert reads_mode(source) is reads
