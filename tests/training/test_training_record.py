"""What a run's folder says about it: where it comes from, what repeats it, what came out."""

import dataclasses
import datetime
import hashlib
import json
import math
import platform
import re
import shlex
from types import SimpleNamespace

from resnet_lessons import __version__, backend, cli, data, machine, recipes, results, training
from resnet_lessons.accounting import count
from resnet_lessons.recipes import Recipe
from resnet_lessons.specs import Spec
from resnet_lessons.training import provenance

import keras
import numpy as np
import pytest
import spec_strategies
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_runs import DROPPING, HELD_BACK, dataset, train

# run.json


@pytest.fixture(scope="module")
def described(reference):
    return json.loads((reference[1] / "run.json").read_text(encoding="utf-8"))


def test_it_says_what_was_run(described):
    assert Spec(**described["spec"]) == DROPPING
    assert Recipe(**described["recipe"]) == HELD_BACK
    chosen = {key: described[key] for key in ("seed", "precision", "strategy", "deterministic")}
    assert chosen == {"seed": 0, "precision": "float32", "strategy": None, "deterministic": True}


def test_it_says_on_what(described):
    images = dataset()
    assert described["data"] == {
        "name": "bright",
        "source": images.source,
        "sha256": images.digest,
        "training_images": 40,
        "validation_images": 10,
    }


def test_it_says_with_what(described):
    assert described["versions"]["keras"] == keras.__version__
    assert described["versions"]["numpy"] == np.__version__
    assert described["versions"]["python"] == platform.python_version()
    assert described["versions"]["resnet-lessons"] == __version__
    assert keras.backend.backend() in described["versions"]
    hardware = described["hardware"]
    assert hardware["processor"]
    assert hardware["cores"] == machine.usable_cores()
    assert hardware["memory_gb"] > 0.5
    assert described["git"] == provenance.commit()
    assert set(described["git"]) in ({"release"}, {"commit", "changed"})
    assert datetime.datetime.fromisoformat(described["began"]).tzinfo is not None


def test_it_says_which_switches_of_the_backend_were_set(monkeypatch):
    for name in provenance.ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XLA_FLAGS", "--xla_disable_hlo_passes=algsimp")
    monkeypatch.setenv("HOME", "/somewhere")
    assert provenance.surroundings()["environment"] == {"XLA_FLAGS": "--xla_disable_hlo_passes=algsimp"}


def test_it_says_what_came_out(described, reference):
    run, folder = reference
    result = described["result"]
    last = json.loads((folder / "log.jsonl").read_text().splitlines()[-1])
    assert result["test_error"] == run.test_error
    assert result["test_error"] * 20 == pytest.approx(round(result["test_error"] * 20), abs=1e-9)  # whole images
    assert result["test_loss"] == run.test_loss
    assert result["test_images"] == 20
    assert (result["val_loss"], result["val_error"]) == (last["val_loss"], last["val_error"])
    assert result["parameters"] == count(DROPPING).parameters
    assert 1e8 < result["peak_memory"] < 1e11
    assert result["seconds"] == run.seconds == pytest.approx(sum(line["seconds"] for line in run.epochs))


def test_it_says_which_weights_it_ended_with(described, reference):
    digest = hashlib.sha256((reference[1] / "model.weights.h5").read_bytes()).hexdigest()
    assert described["weights_sha256"] == digest


def test_the_result_is_that_of_the_nets_own_predictions(reference):
    run, _ = reference
    images = dataset()
    mean = images.x_train[kept_for_training(images)].astype("float64").mean(axis=0) / 255
    outputs = run.model.predict((images.x_test / 255 - mean).astype("float32"), verbose=0)
    assert run.test_error == pytest.approx(np.mean(outputs.argmax(axis=1) != images.y_test))


def kept_for_training(images):
    from resnet_lessons import batches

    return batches.split(images.y_train, HELD_BACK.validation)[0]


def test_no_place_on_this_machine_is_told(described):
    assert not re.search(r'["\s]/\w', json.dumps({key: value for key, value in described.items() if key != "data"}))


def test_a_release_without_git_says_which(monkeypatch, tmp_path):
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "resnet_lessons/training/provenance.py"))
    assert provenance.commit() == {"release": __version__}


def test_what_git_does_not_tell_of_a_checkout_is_neither_clean_nor_a_release(monkeypatch, tmp_path):
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "resnet_lessons/training/provenance.py"))
    (tmp_path / ".git").mkdir()  # one that git refuses to read, as it does another user's
    assert provenance.commit() == {"commit": None, "changed": None}
    monkeypatch.setenv("PATH", str(tmp_path))  # no git
    assert provenance.commit() == {"commit": None, "changed": None}
    told = {"rev-parse": "c0ffee", "status": None}  # it takes too long
    monkeypatch.setattr(provenance, "_git", lambda _, word, *__: told[word])
    assert provenance.commit() == {"commit": "c0ffee", "changed": None}
    told["status"] = ""
    assert provenance.commit() == {"commit": "c0ffee", "changed": False}


# Records


def test_a_finished_folder_is_a_record_as_it_stands(reference):
    run, folder = reference
    record = results.read(folder)
    assert (record.spec, record.seed, record.result["test_error"]) == (DROPPING, 0, run.test_error)
    assert Recipe(**record.recipe) == HELD_BACK
    assert [dataclasses.asdict(epoch) for epoch in record.log] == list(run.epochs)
    assert (record.precision, record.strategy, record.deterministic) == ("float32", None, True)
    assert results.load(folder.parent) == (record,)


def test_an_unfinished_folder_is_none(stopped):
    with pytest.raises(results.RecordError, match="lacks result"):
        results.read(stopped)


def test_without_validation_it_is_a_record_too(tmp_path):
    train(tmp_path, recipe=dataclasses.replace(HELD_BACK, validation=0, steps=2))
    record = results.read(tmp_path)
    assert record.log[0].val_loss is None
    assert "val_loss" not in record.result
    assert record.data["training_images"] == 50


# The command

IMAGES = {"cifar10": (32, 32, 3), "mnist": (28, 28, 1), "shapes10": (32, 32, 3)}


@pytest.fixture
def called(monkeypatch, tmp_path):
    """Carry out commands up to the call of ``training.train``, and return what it is called with."""
    calls, divided = [], []

    def call(spec, recipe, images, out=None, seed=0, precision="auto", strategy=None, **options):  # noqa: ARG001
        kept = options.get("deterministic")
        calls.append(training.Settings(spec, recipe, seed, precision, strategy, kept, *divided))
        calls.append(images)
        return SimpleNamespace(test_error=0.5, seconds=1)

    alike = {"y_train": range(50_000), "y_test": range(10_000), "class_names": range(10), "source": ""}
    known = {
        name: SimpleNamespace(name=name, x_train=np.empty((1, *shape), np.uint8), **alike)
        for name, shape in IMAGES.items()
    }
    monkeypatch.setattr(training, "train", call)
    monkeypatch.setattr(backend, "divide_processor", divided.append)
    monkeypatch.setattr(data, "load", lambda name, source=None: known[name])  # noqa: ARG005
    monkeypatch.chdir(tmp_path)

    def carry_out(command):
        calls.clear()
        divided.clear()
        if command.startswith("resnet-lessons "):
            done = CliRunner().invoke(cli.main, shlex.split(command)[1:], catch_exceptions=False)
            assert done.exit_code == 0, done.output
        else:
            exec(command, {"backend": backend, "training": training, "data": data, "Spec": Spec, "Recipe": Recipe})
        return calls[0], calls[1].name

    return carry_out


@st.composite
def named_recipes(draw, depth):
    recipe = recipes.get(draw(st.sampled_from(recipes.NAMES)), depth)
    change = draw(st.sampled_from(["none", "smoke", "resized"]))
    if change == "smoke":
        return recipe.smoke()
    return recipe.resized(draw(st.integers(1, 100_000)), epochs=None) if change == "resized" else recipe


@st.composite
def runs(draw, specs):
    spec = draw(specs)
    precision, strategy = draw(st.sampled_from(training.PRECISIONS[1:])), draw(st.sampled_from([None, "mirrored"]))
    devices = draw(st.none() | st.integers(2, 8)) if strategy else None
    seed, deterministic = draw(st.integers(0, 2**32 - 1)), draw(st.booleans())
    return training.Settings(spec, draw(named_recipes(spec.depth)), seed, precision, strategy, deterministic, devices)


CALLED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # it is emptied for each call
small_specs = spec_strategies.valid_specs(max_n=20)


@st.composite
def usual_runs(draw):
    """Draw a run of a network of the size that the command line builds for a data set, and the name of that."""
    name = draw(st.sampled_from(data.NAMES))
    specs = small_specs.filter(lambda spec: spec.style == "paper" or min(IMAGES[name][:2]) >= 32)
    size = {"width": 16, "input_shape": IMAGES[name], "num_classes": 10}
    return draw(runs(specs.map(lambda spec: dataclasses.replace(spec, **size)))), name


@CALLED
@given(usual_runs())
def test_the_command_repeats_a_run_of_the_papers_size(called, usual):
    run, name = usual
    command = provenance.command(run, name)
    assert command.startswith(f"resnet-lessons train {run.spec.family} --depth {run.spec.depth} ")
    assert called(command) == (run, name)


@CALLED
@given(runs(small_specs), st.sampled_from(data.NAMES), st.floats(1e-3, 1))
def test_the_command_repeats_any_other_run_too(called, run, name, rate):
    run = dataclasses.replace(run, recipe=dataclasses.replace(run.recipe, learning_rate=rate, name="my own"))
    command = provenance.command(run, name)
    assert command.removeprefix(f"backend.divide_processor({run.devices}); ").startswith("training.train(Spec(")
    assert called(command) == (run, name)


@given(runs(small_specs), st.sampled_from(data.NAMES))
def test_no_command_names_a_place_on_this_machine(run, name):
    assert not re.search(r"(^|[\s'\"=])/", provenance.command(run, name))


def test_the_command_is_as_short_as_it_can_be():
    run = training.Settings(Spec("v1", 20), recipes.get("short", 20), 3, "float32", None, True)
    wanted = "resnet-lessons train v1 --depth 20 --recipe short --seed 3 --data cifar10 --precision float32"
    assert provenance.command(run, "cifar10") == f"{wanted} --deterministic"


def test_of_mnist_it_is_as_short(called):
    spec = Spec("v1", 20, input_shape=IMAGES["mnist"])
    run = training.Settings(spec, recipes.get("short", 20), 3, "float32", None, True)
    wanted = "resnet-lessons train v1 --depth 20 --recipe short --seed 3 --data mnist --precision float32"
    assert provenance.command(run, "mnist") == f"{wanted} --deterministic"
    assert called(f"{wanted} --deterministic") == (run, "mnist")


def test_another_depth_is_another_command(called):
    """Negative control: what is read back is the run, not what was expected."""
    run = training.Settings(Spec("v1", 20), recipes.get("short", 20), 3, "float32", None, True)
    command = provenance.command(run, "cifar10").replace("--depth 20", "--depth 32")
    assert called(command)[0].spec == Spec("v1", 32)


def test_a_finite_result_is_json(described):
    assert all(math.isfinite(value) for value in described["result"].values())


# What ships


def inconsistencies(record):
    """Tell which of a record's command and parameters are not those of its network, recipe, seed and data."""
    kept = ("recipe", "seed", "precision", "strategy", "deterministic", "devices")
    stored = {"spec": record.spec.to_json()} | {key: getattr(record, key) for key in kept}
    command = provenance.command(training.Settings.from_json(stored), record.data["name"])
    found = {"command": command, "parameters": count(record.spec).parameters}
    told = {"command": record.command, "parameters": record.result["parameters"]}
    return [key for key, value in found.items() if value != told[key]]


@pytest.mark.parametrize("record", results.load(), ids=lambda record: record.name)
def test_a_record_that_ships_tells_of_one_network_recipe_and_seed(record):
    assert inconsistencies(record) == []
    assert record.command.startswith("resnet-lessons train ")  # so its recipe is one that has a name, at some length


def test_a_record_that_was_edited_tells_of_two():
    record = next(record for record in results.load() if record.name == "plain-20-short-seed0")
    for changes, said in (
        ({"spec": Spec("v1", 20)}, ["command"]),
        ({"spec": Spec("plain", 56)}, ["command", "parameters"]),
        ({"seed": 1}, ["command"]),
        ({"precision": "float32"}, ["command"]),
        ({"recipe": record.recipe | {"weight_decay": 2e-4}}, ["command"]),
        ({"data": record.data | {"name": "shapes10"}}, ["command"]),
        ({"result": record.result | {"parameters": 269_723}}, ["parameters"]),
    ):
        assert inconsistencies(dataclasses.replace(record, **changes)) == said
