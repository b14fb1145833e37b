"""Recipes against the papers and the Keras example, rates against slow references, and every bad value refused."""

import ast
import dataclasses
import json
import math
import re
from pathlib import Path

import resnet_lessons
from resnet_lessons import backend, batches, recipes  # noqa: F401 - backend: Keras without its start-up messages
from resnet_lessons.recipes import Recipe

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(resnet_lessons.__file__).parent

positive = st.floats(1e-6, 10)


def parts(count):
    """Draw ``count`` increasing numbers between 0 and 1."""
    return st.lists(st.floats(0.01, 0.99), unique=True, min_size=count, max_size=count).map(sorted).map(tuple)


@st.composite
def schedules(draw):
    """Draw the fields that set the rate, none of which contradicts another."""
    if draw(st.booleans()):
        return {"schedule": "one-cycle", "drops": (), "factors": draw(st.sampled_from([None, ()])), "warmup_steps": 0}
    count = draw(st.integers(0, 4))
    factors = draw(st.none() | parts(count).map(lambda values: values[::-1]))
    return {"drops": draw(parts(count)), "factors": factors, "warmup_steps": draw(st.integers(0, 500))}


optimizers = st.fixed_dictionaries(
    {"optimizer": st.just("sgd"), "momentum": st.floats(0, 0.99), "nesterov": st.booleans()}
) | st.just({"optimizer": "adam"})
valid_recipes = st.builds(
    lambda schedule, optimizer, **fields: Recipe(**schedule, **optimizer, **fields),
    schedule=schedules(),
    optimizer=optimizers,
    name=st.text(min_size=1),
    steps=st.integers(1, 200_000),
    batch_size=st.integers(1, 512),
    learning_rate=positive,
    peak=st.floats(0, 1, exclude_min=True, exclude_max=True),
    warmup_rate=positive,
    weight_decay=st.floats(0, 1),
    augment=st.sampled_from(recipes.AUGMENTATIONS),
    validation=st.integers(0, 10_000),
    steps_per_epoch=st.none() | st.integers(1, 1000),
    decay_on=st.sampled_from(recipes.DECAYED),
    subtract_mean=st.booleans(),
)
COURSE = st.sampled_from(recipes.NAMES).map(recipes.get)


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
        "factors": None,
        "schedule": "drops",
        "peak": 0.25,  # of one-cycle, which this is not
        "optimizer": "sgd",
        "nesterov": False,
        "decay_on": "kernels",
        "subtract_mean": True,
    }


def test_he2015_divides_the_rate_at_32k_and_48k_and_nowhere_else():
    rates = [recipes.get("he2015").lr_at(step) for step in range(64_000)]
    assert [step for step in range(1, 64_000) if rates[step] != rates[step - 1]] == [32_000, 48_000]
    assert [rates[0], rates[32_000], rates[48_000]] == [0.1, 0.01, 0.001]


# Warm-up


@pytest.mark.parametrize("name", recipes.NAMES)
@pytest.mark.parametrize("depth", [None, 1, 20, 56, 109])
def test_below_110_layers_nothing_is_warmed_up(name, depth):
    assert recipes.get(name, depth) == recipes.get(name)
    assert recipes.get(name).warmup_steps == 0


@pytest.mark.parametrize("depth", [110, 164, 1202])
@pytest.mark.parametrize("name", ["he2015", "short"])
def test_from_110_layers_the_first_400_updates_run_at_a_hundredth(name, depth):
    recipe = recipes.get(name, depth)
    assert [recipe.lr_at(step) for step in (0, 399, 400, 3_999)] == [0.01, 0.01, 0.1, 0.1]
    assert dataclasses.replace(recipe, warmup_steps=0) == recipes.get(name)


def test_a_minute_is_not_all_warm_up():
    minute = recipes.get("minute", 110)
    assert minute == dataclasses.replace(recipes.get("minute"), warmup_steps=2)
    assert [minute.lr_at(step) for step in (0, 1, 2, 55)] == [0.01, 0.01, 0.03, 0.03]


@pytest.mark.parametrize("name", ["keras-example", "fast-accuracy"])
def test_what_starts_low_is_not_warmed_up(name):
    assert recipes.get(name, 1001) == recipes.get(name)


@pytest.mark.parametrize("name", ["he2015", "short", "minute"])
@given(steps=st.integers(20, 200_000), again=st.integers(20, 200_000))
def test_the_warm_up_of_a_deep_net_keeps_its_rule_in_every_size(name, steps, again):
    resized = recipes.get(name, 110).resized(steps)
    assert resized.warmup_steps == min(400, steps // 20)
    assert resized.resized(again).warmup_steps == min(400, again // 20)
    assert recipes.get(name).resized(steps).warmup_steps == 0


def test_another_warm_up_stays_in_proportion():
    assert Recipe("r", 1000, warmup_steps=100).resized(250).warmup_steps == 25
    assert Recipe("r", 1000, warmup_steps=100).resized(100_000).warmup_steps == 10_000


@pytest.mark.parametrize("depth", [0, -20, 110.0, "110", True])
def test_a_depth_that_is_none_is_refused(depth):
    with pytest.raises(ValueError, match=r"depth must be a whole number of at least 1\. Received: "):
        recipes.get("he2015", depth)


# Rates that drop


def slow_rate(recipe, step):
    """Walk through all updates up to ``step``, with the drops at rounded places."""
    factors = list(recipe.factors or (0.1, 0.01, 0.001, 0.0001)[: len(recipe.drops)])
    rate = recipe.learning_rate
    for number in range(step + 1):
        for drop in recipe.drops:
            if number == round(drop * recipe.steps):
                rate = recipe.learning_rate * factors.pop(0)
    return recipe.warmup_rate if step < recipe.warmup_steps else rate


@given(valid_recipes.filter(lambda recipe: recipe.schedule == "drops"), st.data())
def test_the_rate_equals_a_walk_through_all_updates(recipe, data):
    recipe = dataclasses.replace(recipe, steps=min(recipe.steps, 300))
    for step in data.draw(st.lists(st.integers(0, 299), min_size=1, max_size=5)):  # in any order, again and again
        assert recipe.lr_at(step) == pytest.approx(slow_rate(recipe, step), rel=1e-9)
        assert recipe.lr_at(step) == recipe.lr_at(step, steps_per_epoch=7)


@given(valid_recipes | COURSE, st.lists(st.integers(0, 300_000), min_size=2, max_size=20))
def test_rates_are_above_0_and_never_rise_after_the_warm_up_but_in_one_cycle(recipe, steps):
    rates = [recipe.lr_at(step) for step in sorted(steps) if step >= recipe.warmup_steps]
    assert all(isinstance(rate, float) and 0 < rate <= recipe.learning_rate for rate in rates)
    if recipe.schedule == "drops":
        assert rates == sorted(rates, reverse=True)


@given(valid_recipes.filter(lambda recipe: recipe.schedule == "drops"), st.integers(1, 500))
def test_the_turns_are_where_the_rate_jumps(recipe, steps):
    recipe = dataclasses.replace(recipe, steps=steps, learning_rate=0.1, factors=None, warmup_rate=7.0)
    rates = [recipe.lr_at(step) for step in range(steps)]
    jumps = [step for step in range(1, steps) if rates[step] != rates[step - 1]]
    assert [turn for turn in recipe.turns if turn < steps] == jumps


@given(st.integers(3, 500), st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_the_turn_of_one_cycle_is_its_peak(steps, peak):
    recipe = Recipe("r", steps, drops=(), schedule="one-cycle", peak=peak)
    rates = [recipe.lr_at(step) for step in range(steps)]
    assert recipe.turns == (rates.index(max(rates)) + 1,)  # after so many updates it falls


def test_the_turns_of_the_course():
    assert recipes.get("he2015").turns == (32_000, 48_000)
    assert recipes.get("he2015", depth=110).turns == (400, 32_000, 48_000)
    assert recipes.get("fast-accuracy").turns == (2_816,)
    assert Recipe("short", steps=10, drops=(0.01, 0.02, 0.5, 0.52, 0.99)).turns == (5, 10)


def test_factors_are_relative_to_the_first_rate_and_not_to_each_other():
    recipe = Recipe("r", 100, learning_rate=2.0, drops=(0.3, 0.6), factors=(0.5, 0.25))
    assert [recipe.lr_at(step) for step in (0, 29, 30, 59, 60, 99, 100)] == [2.0, 2.0, 1.0, 1.0, 0.5, 0.5, 0.5]


@given(valid_recipes | COURSE, st.data())
def test_a_step_that_is_none_is_refused(recipe, data):
    step = data.draw(NO_WHOLE | st.integers(max_value=-1))
    with pytest.raises(ValueError, match=r"^step must be a whole number of at least 0\. Received: "):
        recipe.lr_at(step)


@pytest.mark.parametrize("name", recipes.NAMES)
def test_a_step_may_be_a_numpy_number(name):
    recipe = recipes.get(name)
    assert recipe.lr_at(np.int64(17)) == recipe.lr_at(17)


# One cycle


@given(
    st.integers(1, 3000),
    st.floats(0, 1, exclude_min=True, exclude_max=True),
    st.floats(1e-6, 10),
)
def test_one_cycle_is_two_straight_lines_that_meet_at_the_peak(steps, peak, rate):
    recipe = Recipe("r", steps, learning_rate=rate, drops=(), schedule="one-cycle", peak=peak)
    rates = np.array([recipe.lr_at(step) for step in range(steps)])
    top = int(rates.argmax())
    assert rates[top] == rate
    assert abs(top + 1 - max(1, peak * steps)) <= 0.5
    assert (np.diff(rates[: top + 1]) > 0).all()
    assert (np.diff(rates[top:]) < 0).all()
    # Through 0 one update before the first and one after the last, so neither is wasted.
    corners = np.interp(np.arange(steps), [-1, top, steps], [0, rate, 0])
    np.testing.assert_allclose(rates, corners, rtol=1e-9)


def test_after_its_last_update_one_cycle_stays():
    recipe = Recipe("r", 10, drops=(), schedule="one-cycle")
    assert recipe.lr_at(9) == recipe.lr_at(10) == recipe.lr_at(10**9) > 0


# The Keras example


def rate_of_the_script(epoch):
    """The rate by epoch, counted from 0, as ``cifar10_resnet.py`` has it: multiplied, in one go, past each limit."""
    rate = 1e-3
    for limit, factor in [(180, 0.5e-3), (160, 1e-3), (120, 1e-2), (80, 1e-1)]:
        if epoch > limit:
            return rate * factor
    return rate


def test_keras_example_has_the_rates_of_the_script_in_all_its_200_epochs():
    recipe = recipes.get("keras-example")
    updates = math.ceil(45_000 / 32)
    assert recipe.steps == 200 * updates
    for epoch in range(200):
        first, last = epoch * updates, (epoch + 1) * updates - 1
        assert recipe.lr_at(first) == recipe.lr_at(last) == rate_of_the_script(epoch)
    assert [recipe.lr_at(epoch * updates) for epoch in (80, 81)] == [1e-3, 1e-4]


def test_keras_example_in_the_rest():
    recipe = recipes.get("keras-example")
    assert (recipe.optimizer, recipe.batch_size, recipe.augment) == ("adam", 32, "shift-flip")
    assert (recipe.decay_on, recipe.validation, recipe.subtract_mean) == ("convolutions", 5000, True)
    assert recipe.warmup_steps == 0


def test_the_decay_of_keras_example_is_the_gradient_of_its_penalty():
    penalty, weight, step = keras.regularizers.L2(1e-4), 3.0, 0.5
    above, below = (float(penalty(np.full((1, 1), weight + sign * step, "float32"))) for sign in (1, -1))
    assert recipes.get("keras-example").weight_decay * weight == pytest.approx((above - below) / (2 * step), rel=1e-4)


def test_each_fault_of_the_script_is_told_in_short_sentences():
    rows = recipes.KERAS_EXAMPLE_MENDED
    assert isinstance(rows, tuple)
    assert len({row.fault for row in rows}) == len(rows)
    for row in rows:
        for text in dataclasses.astuple(row):
            assert re.fullmatch(r"[A-Z0-9].*\.", text)
            assert len(text) <= 120
    with pytest.raises(dataclasses.FrozenInstanceError):
        rows[0].fault = ""
    told = " ".join(row.fault for row in rows)
    for fault in ("ReduceLROnPlateau", "'val_acc'", "test images", "50,000", "seed", "L2", "float32", "fit_generator"):
        assert fault in told


def test_the_numbers_in_the_table_follow_from_the_data_set():
    told = " ".join(text for row in recipes.KERAS_EXAMPLE_MENDED for text in dataclasses.astuple(row))
    images, values = 60_000, 32 * 32 * 3
    for number in (f"{images * values * 4 / 1e6:.0f} MB", f"{images * values / 1e6:.0f} MB"):
        assert number in told
    for count in (45_000, 50_000):
        assert f"{math.ceil(count / 32):,}" in told


class Rates(keras.callbacks.Callback):
    """Note the rate of each update, and what an epoch leaves behind."""

    def __init__(self):
        super().__init__()
        self.updates, self.left = [], []

    def on_train_batch_begin(self, batch, logs=None):  # noqa: ARG002 - Keras's signature
        self.updates.append(float(self.model.optimizer.learning_rate))

    def on_epoch_end(self, epoch, logs=None):  # noqa: ARG002
        self.left.append(float(self.model.optimizer.learning_rate))


def fit_with(*callbacks, epochs=4):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, activation="softmax")])
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    x, y = np.ones((4, 2), "float32"), np.zeros(4, "int32")
    model.fit(x, y, epochs=epochs, validation_data=(x, y), callbacks=list(callbacks), verbose=0)


def test_fault_two_owners_of_the_rate_and_the_second_never_acts():
    never_content = {"factor": 0.1, "patience": 1, "min_delta": 10.0}
    both, alone = Rates(), Rates()
    reducer, scheduler = keras.callbacks.ReduceLROnPlateau, keras.callbacks.LearningRateScheduler
    fit_with(reducer(**never_content), scheduler(lambda _: 1e-3), both)
    fit_with(reducer(**never_content), alone)
    assert both.updates == pytest.approx([1e-3] * 4)
    assert both.left[-1] == pytest.approx(1e-4)  # it does reduce the rate, after the last update of an epoch
    assert alone.updates[-1] < 1e-4


def test_fault_a_checkpoint_that_watches_val_acc(tmp_path):
    watch = {"filepath": tmp_path / "{epoch}.keras", "save_best_only": True}
    with pytest.raises(ValueError, match="monitor=val_acc"):
        fit_with(keras.callbacks.ModelCheckpoint(monitor="val_acc", **watch))
    assert list(tmp_path.iterdir()) == []
    fit_with(keras.callbacks.ModelCheckpoint(monitor="val_accuracy", **watch))
    assert list(tmp_path.iterdir())


def test_fault_calls_that_keras_has_no_more():
    assert not hasattr(keras.Model, "fit_generator")
    assert not hasattr(keras.preprocessing.image, "ImageDataGenerator")


# Fast accuracy


def test_fast_accuracy_is_one_cycle():
    recipe = recipes.get("fast-accuracy")
    assert (recipe.schedule, recipe.optimizer, recipe.validation) == ("one-cycle", "sgd", 5000)
    assert recipe.steps < recipes.get("he2015").steps / 2
    assert recipe.lr_at(0) < recipe.learning_rate / 100
    assert recipe.lr_at(recipe.steps - 1) < recipe.learning_rate / 100


# Plain data


@given(valid_recipes | COURSE)
def test_json_brings_the_same_recipe_back(recipe):
    again = Recipe(**json.loads(json.dumps(recipe.to_json())))
    assert again == recipe
    assert hash(again) == hash(recipe)
    assert isinstance(again.drops, tuple)
    assert isinstance(again.factors, tuple | None)


def test_a_recipe_recorded_before_there_was_another_optimizer_means_what_it_meant():
    recorded = """{"name": "short", "steps": 8000, "batch_size": 128, "learning_rate": 0.1, "drops": [0.5, 0.75],
                   "warmup_steps": 0, "warmup_rate": 0.01, "momentum": 0.9, "weight_decay": 0.0001,
                   "augment": "pad-crop-flip", "validation": 5000, "steps_per_epoch": null}"""
    assert Recipe(**json.loads(recorded)) == recipes.get("short")


def test_numpy_numbers_become_plain_ones():
    parts = {"drops": np.array([0.5]), "factors": np.array([0.2])}
    recipe = Recipe("r", np.int64(7), learning_rate=np.float32(0.5), validation=np.uint8(3), **parts)
    assert json.loads(json.dumps(recipe.to_json())) == recipe.to_json()
    assert (recipe.steps, recipe.learning_rate, recipe.validation) == (7, 0.5, 3)
    assert (recipe.drops, recipe.factors) == ((0.5,), (0.2,))


def test_a_recipe_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipes.get("he2015").steps = 3


NO_WHOLE = st.sampled_from([True, False, 3.0, "3", None, math.nan, [1], 1j])
NO_NUMBER = st.sampled_from([True, "0.1", None, math.nan, math.inf, -math.inf, [0.1], 1j])
NO_YES_OR_NO = st.sampled_from([0, 1, 0.0, 1.0, "True", "", None, [True], math.nan])
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
    "factors": st.sampled_from(  # of two drops
        [0.1, "ab", (), (0.1,), (0.1, 0.01, 0.001), (0.1, 0.1), (0.01, 0.1), (1.0, 0.1), (0.1, 0.0), (0.1, -0.1)]
    )
    | st.sampled_from([(0.1, math.nan), (True, 0.1), ("0.1", "0.01"), (2, 1), ((0.1, 0.01),)]),
    "schedule": st.sampled_from(["", "cosine", None, 3, ["drops"], "one cycle", True]),
    "peak": NO_NUMBER | st.floats(max_value=0) | st.floats(min_value=1),
    "optimizer": st.sampled_from(["", "SGD", "rmsprop", None, 3, ["sgd"], True]),
    "nesterov": NO_YES_OR_NO,
    "decay_on": st.sampled_from(["", "all", "kernel", None, 3, ["kernels"]]),
    "subtract_mean": NO_YES_OR_NO,
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


CONTRADICTIONS = {
    "drops": ({"schedule": "one-cycle", "drops": (0.5,)}, {"drops": ()}),
    "warmup_steps": ({"schedule": "one-cycle", "drops": (), "warmup_steps": 1}, {"warmup_steps": 0}),
    "nesterov": ({"optimizer": "adam", "nesterov": True}, {"nesterov": False}),
    "momentum": ({"optimizer": "adam", "momentum": 0.8}, {"momentum": 0.9}),
}


@pytest.mark.parametrize("field", CONTRADICTIONS)
def test_two_fields_that_contradict_each_other_are_refused(field):
    fields, mended = CONTRADICTIONS[field]
    choice = fields.get("schedule") or fields["optimizer"]
    with pytest.raises(ValueError, match=rf"^{field} must be .+ with '{choice}', which .*\. Received: "):
        Recipe("r", 10, **fields)
    Recipe("r", 10, **fields | mended)  # what the message asks for helps


def test_one_cycle_is_told_that_the_drops_it_has_by_default_must_go():
    with pytest.raises(ValueError, match=r"drops must be \(\) with 'one-cycle'.* Received: \(0.5, 0.75\)"):
        Recipe("r", 10, schedule="one-cycle")


# By name


def test_names_are_the_recipes_of_the_course():
    assert recipes.NAMES == ("he2015", "keras-example", "short", "fast-accuracy", "minute")
    assert [recipes.get(name).name for name in recipes.NAMES] == list(recipes.NAMES)


@pytest.mark.parametrize("name", recipes.NAMES)
@pytest.mark.parametrize("depth", [None, 20, 110])
def test_smoke_has_a_name_of_its_own(name, depth):
    smoke = recipes.get(f"{name}-smoke", depth)
    assert smoke == recipes.get(name, depth).smoke()
    assert smoke.name == f"{name}-smoke"


@pytest.mark.parametrize("name", ["he2016", "he2015-smoke-smoke", "-smoke", "smoke", "HE2015", "", None, 3, ["short"]])
def test_an_unknown_recipe_is_told_with_the_known_ones(name):
    known = "'he2015', 'keras-example', 'short', 'fast-accuracy', 'minute', or one of them with '-smoke' after it"
    with pytest.raises(ValueError, match=re.escape(f"recipe must be one of {known}. Received: {name!r}.")):
        recipes.get(name)


# Other sizes of the same recipe


def shape(recipe):
    """What makes the recipe what it is, whatever its length."""
    sized = {"name", "steps", "batch_size", "warmup_steps", "validation", "steps_per_epoch"}
    return {field: value for field, value in dataclasses.asdict(recipe).items() if field not in sized}


@given(valid_recipes | COURSE)
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
        assert resized.lr_at(max(round(drop * steps), resized.warmup_steps)) < recipe.learning_rate


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


# Smoke, fast and full


def test_without_the_variable_lessons_are_fast(monkeypatch):
    monkeypatch.delenv("RESNET_LESSONS_MODE", raising=False)
    assert recipes.mode() == "fast"
    monkeypatch.setenv("RESNET_LESSONS_MODE", "")  # set to nothing counts as not set
    assert recipes.mode() == "fast"
    assert recipes.for_lesson() == recipes.get("minute")


@pytest.mark.parametrize(
    ("value", "name", "steps"), [("smoke", "minute-12", 12), ("fast", "minute", 56), ("full", "short-1600", 1600)]
)
def test_the_variable_sizes_the_lessons(monkeypatch, value, name, steps):
    monkeypatch.setenv("RESNET_LESSONS_MODE", value)
    recipe = recipes.for_lesson()
    assert (recipes.mode(), recipe.name, recipe.steps) == (value, name, steps)


def test_smoke_mode_looks_at_few_images():
    smoke, fast = recipes.for_lesson("smoke"), recipes.for_lesson("fast")
    assert (smoke.batch_size, smoke.validation) == (16, 100)
    assert dataclasses.replace(smoke, batch_size=64, validation=1000) == fast.resized(12, epochs=1)


@pytest.mark.parametrize("value", ["FAST", "slow", "1", " full"])
def test_another_value_is_refused(monkeypatch, value):
    monkeypatch.setenv("RESNET_LESSONS_MODE", value)
    for read in (recipes.mode, recipes.for_lesson):
        with pytest.raises(
            ValueError, match=rf"RESNET_LESSONS_MODE must be 'smoke', 'fast' or 'full'.*Received: '{value}'"
        ):
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
    readers = [path for path in sorted(ROOT.rglob("*.py")) if reads_mode(path.read_text(encoding="utf-8"))]
    assert readers == [Path(recipes.__file__)]


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


@given(name=st.sampled_from(recipes.NAMES), steps=st.integers(1, 10**6))
def test_resized_with_no_number_of_lines_keeps_the_updates_between_two(name, steps):
    recipe = recipes.get(name)
    assert recipe.resized(steps, epochs=None).steps_per_epoch == recipe.steps_per_epoch
    assert recipe.resized(steps, epochs=None).steps == steps
