"""``results`` on folders that training wrote: every number in its table comes from there."""

import dataclasses
import hashlib
import json
import re
import shutil
import statistics
import subprocess
import sys
import threading

from resnet_lessons import data, results, training
from resnet_lessons.cli import runs
from resnet_lessons.recipes import Recipe
from resnet_lessons.specs import Spec

import numpy as np
import pytest
import recorded_runs
from at_epoch import AtEpoch
from command_line import START, WIDTH, refused, run

SPEC = Spec("plain", 8, width=4, input_shape=(8, 8, 3))
RECIPE = Recipe("tiny", steps=6, batch_size=16, validation=10, steps_per_epoch=2)


def bright():
    """A small data set: each class has a brightness of its own."""
    rng = np.random.default_rng(0)
    labels = {"train": np.arange(50) % 10, "test": np.arange(20) % 10}
    arrays = {f"y_{part}": y for part, y in labels.items()}
    for part, y in labels.items():
        arrays[f"x_{part}"] = rng.integers(0, 128 + 12 * y[:, None, None, None], (len(y), 8, 8, 3), dtype=np.uint8)
    digest = hashlib.sha256(arrays["x_train"].tobytes()).hexdigest()
    return data.Dataset("shapes10", **arrays, class_names=tuple("0123456789"), source="bright: noise", digest=digest)


def train(out, spec=SPEC, **options):
    return training.train(spec, RECIPE, bright(), out, precision="float32", progress=None, **options)


def change(folder, errors=None, drop=(), **values):
    """Rewrite a run as it would be with other values: ``data=dict(...)`` changes parts of its data, and so on.

    Args:
        folder: the run's.
        errors: in training, validation and test at the end; before it, half of the training images were wrong.
        drop: what the log does not have.
        values: by the keys of ``run.json``.
    """
    path, log = folder / "run.json", folder / "log.jsonl"
    record = json.loads(path.read_text())
    for key, value in values.items():
        record[key] = record[key] | value if isinstance(value, dict) else value
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    if errors is not None:
        train, val, test = errors
        record["result"] |= {"test_error": test, "val_error": val}
        lines = [line | {"train_error": 0.5} for line in lines]
        lines[-1] |= {"train_error": train, "val_error": val}
    lines = [{key: value for key, value in line.items() if key not in drop} for line in lines]
    path.write_text(json.dumps(record))
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Runs of all kinds, which no test may write to: three that were trained, and what others would have left."""
    folder = tmp_path_factory.mktemp("results") / "runs"
    train(folder / "seeds" / "seed0", seed=0)
    train(folder / "deeper", spec=dataclasses.replace(SPEC, depth=14), seed=6)
    second = threading.Event()
    train(folder / "stopped", seed=7, stop=second, callbacks=[AtEpoch(2, lambda _: second.set())])
    others = {
        "seeds/seed1": {"seed": 1, "errors": (0.5, 0.2, 0.6)},
        "seeds/seed2": {"seed": 2, "errors": (0.75, 0.3, 0.9)},
        "again": {"seed": 2, "errors": (0.25, 0.2, 0.7)},
        "other recipe": {"seed": 3, "recipe": {"momentum": 0.5}},
        "fewer images": {
            "seed": 4,
            "recipe": {"validation": 20},
            "data": {"training_images": 30, "validation_images": 20},
            "errors": (0.5, 0.2, 0.6),
        },
        "other data": {"seed": 5, "data": {"source": "dark: noise", "sha256": "0" * 64}},
    }
    for name, values in others.items():
        change(shutil.copytree(folder / "seeds" / "seed0", folder / name), **values)
    return folder


@pytest.fixture
def folder(trained, tmp_path):
    """A copy of them."""
    return shutil.copytree(trained, tmp_path / "runs")


def found(*folders):
    """What ``results --json`` says: runs by the name of their folder, and means."""
    said = json.loads(run("results", "--json", *folders).stdout)
    return {record["folder"].rpartition("/")[2]: record for record in said["runs"]}, said["means"]


def rows(output):
    """The tables' cells that stand on the first line of a row, by the row's first word."""
    return {line.split()[0]: line.split() for line in output.splitlines() if re.match(r"\S+ .* \d+\.\d\d$", line)}


# Runs


def test_every_run_is_found_at_and_below_a_folder(trained):
    records, _ = found(trained)
    assert set(records) == {
        *("seed0", "seed1", "seed2", "again", "other recipe", "fewer images", "other data", "deeper", "stopped")
    }
    assert set(found(trained / "seeds")[0]) == {"seed0", "seed1", "seed2"}
    assert set(found(trained / "again")[0]) == {"again"}
    assert len(found(trained, trained / "seeds", trained / "again")[0]) == 9


def test_a_finished_run_is_shown_as_it_was_recorded(trained):
    folder = trained / "deeper"
    record, log = json.loads((folder / "run.json").read_text()), (folder / "log.jsonl").read_text().splitlines()
    last = json.loads(log[-1])
    shown = found(folder)[0]["deeper"]
    assert (shown["state"], shown["network"], shown["seed"]) == ("finished", "plain-14-w4-8x8x3", 6)
    assert shown["parameters"] == record["result"]["parameters"]
    assert shown["test_error"] == record["result"]["test_error"]
    assert (shown["train_error"], shown["val_error"]) == (last["train_error"], last["val_error"])
    assert (shown["epochs"], shown["epochs_in_all"]) == (len(log), 3)
    assert shown["seconds"] == pytest.approx(sum(json.loads(line)["seconds"] for line in log))
    assert (shown["recipe"], shown["data"]) == (record["recipe"], record["data"])
    percents = [f"{100 * part:.2f}" for part in (last["train_error"], last["val_error"], shown["test_error"])]
    cells = rows(run("results", folder).stdout)["deeper"]
    assert cells == ["deeper", "plain-14-w4-", "0.01M", "6", "3/3", *percents, "0.00"]


def test_an_unfinished_run_is_shown_with_the_command_that_goes_on(trained):
    shown = found(trained)[0]["stopped"]
    assert (shown["state"], shown["epochs"], shown["epochs_in_all"]) == ("unfinished", 1, 3)
    assert (shown["test_error"], shown["parameters"]) == (None, None)
    assert 0 <= shown["train_error"] <= 1
    output = run("results", trained).stdout
    assert f"resnet-lessons resume {trained / 'stopped'}" in output
    assert "unfinished" in output


def test_precision_and_strategy_of_an_unfinished_run_are_those_of_its_summary(folder):
    assert (found(folder)[0]["stopped"]["precision"], found(folder)[0]["stopped"]["strategy"]) == ("float32", None)
    change(folder / "stopped", precision="mixed_bfloat16", strategy="mirrored")
    shown = found(folder)[0]["stopped"]
    assert (shown["precision"], shown["strategy"]) == ("mixed_bfloat16", "mirrored")


def test_a_run_before_its_first_epoch_and_one_with_a_line_half_written_are_unfinished(folder):
    (folder / "stopped" / "log.jsonl").unlink()
    shown = found(folder)[0]["stopped"]
    assert (shown["state"], shown["epochs"], shown["train_error"], shown["seconds"]) == ("unfinished", 0, None, 0)
    (folder / "stopped" / "log.jsonl").write_text('{"epoch": 1, "tr')
    assert found(folder)[0]["stopped"]["epochs"] == 0
    assert run("results", folder).exit_code == 0


def test_an_epoch_is_a_pass_unless_the_recipe_says_otherwise(folder):
    change(folder / "stopped", recipe={"steps_per_epoch": None})
    assert found(folder)[0]["stopped"]["epochs_in_all"] == 2  # 40 images in batches of 16 are 3 updates, of 6


def test_a_finished_run_whose_summary_tells_of_another_is_damaged(folder):
    change(folder / "deeper", result={"val_error": 0.123})
    assert found(folder)[0]["deeper"]["state"] == "damaged"
    assert "do not agree: val_error" in found(folder)[0]["deeper"]["reason"]


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("run.json", "{", "run.json"),
        ("run.json", "[]", "run.json"),
        ("run.json", "{}", "KeyError"),
        ("run.json", None, "run.json"),
        ("log.jsonl", "", "log.jsonl: is empty"),
        ("log.jsonl", '{"epoch": 2}\n', "log.jsonl, line 1"),
        ("log.jsonl", None, "log.jsonl: cannot be read"),
    ],
)
def test_a_damaged_run_is_named_with_the_reason_and_the_others_are_listed(folder, file, text, said):
    path = folder / "deeper" / file
    path.unlink() if text is None else path.write_text(text)
    shown = run("results", folder)
    assert shown.exit_code == 1
    damaged = "".join(shown.stdout.partition("Damaged:")[2].split())  # lines break where the folder's length has it
    assert str(folder / "deeper") in damaged
    assert said.replace(" ", "") in damaged
    records, means = found(folder)
    assert [name for name, record in records.items() if record["state"] == "damaged"] == ["deeper"]
    assert "other" in rows(shown.stdout)
    assert [mean["seeds"] for mean in means] == [[0, 1, 2]]


@pytest.mark.parametrize("log", ["nonsense\n", "[1, 2]\n", "{line}{line}"], ids=["no JSON", "no object", "twice"])
def test_a_damaged_unfinished_run_is_named_too(folder, log):
    path = folder / "stopped" / "log.jsonl"
    path.write_text(log.replace("{line}", path.read_text()))
    shown = run("results", folder)
    assert shown.exit_code == 1
    assert "stopped" in shown.stdout.partition("Damaged:")[2].replace("\n  ", "")


def test_nothing_but_the_two_files_is_read(folder):
    for path in folder.rglob("*"):
        if path.is_file() and path.name not in ("run.json", "log.jsonl"):
            path.unlink()
    shown = run("results", folder)
    assert shown.exit_code == 0
    assert shown.stdout.count("finished") - shown.stdout.lower().count("unfinished") == 8


def test_keras_is_not_loaded(trained):
    code = START.replace("main()", f"main(['results', {str(trained)!r}], standalone_mode=False)")
    code += "\nprint(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "SHA-256" in ended.stdout
    assert not {"keras", "tensorflow", "jax", "matplotlib"} & set(ended.stderr.split())


# Means


def test_means_are_over_the_seeds_of_one_network_recipe_and_training_set(trained):
    records, [mean] = found(trained)
    assert mean["seeds"] == [0, 1, 2]
    first = ("seed0", "seed1", "again")  # seed 2 was run twice
    for key in ("train_error", "val_error", "test_error"):
        values = [records[name][key] for name in first]
        middle = sum(values) / 3
        spread = (sum((value - middle) ** 2 for value in values) / 2) ** 0.5
        assert mean[key] == pytest.approx([middle, spread])
    said = run("results", trained).stdout.partition("Means and standard deviations")[2]
    assert f"{100 * statistics.mean(records[name]['test_error'] for name in first):.2f} +/- " in said


@pytest.mark.parametrize(
    "values",
    [
        {"spec": {"width": 8}},
        {"recipe": {"weight_decay": 1e-3}},
        {"data": {"sha256": "1" * 64}},
        {"data": {"training_images": 34}},
        {"data": {"source": "else: noise"}},
        {"precision": "mixed_bfloat16"},
        {"strategy": "mirrored"},
    ],
    ids=str,
)
def test_what_differs_is_never_averaged(folder, values):
    change(folder / "seeds" / "seed1", **values)
    _, [mean] = found(folder)
    assert mean["seeds"] == [0, 2]
    assert [0, 2] in [list(group.seeds) for group in results.groups(results.load(folder / "seeds"))]


def test_the_same_images_from_another_file_are_averaged(folder):
    """Negative control: what follows the colon says where they lay."""
    change(folder / "seeds" / "seed1", data={"source": "bright: noise (from elsewhere.npz)"})
    assert [mean["seeds"] for mean in found(folder)[1]] == [[0, 1, 2]]
    assert [group.seeds for group in results.groups(results.load(folder / "seeds"))] == [(0, 1, 2)]


def test_without_validation_there_is_no_mean_of_it(folder):
    for seed in (0, 1, 2):
        none = {"recipe": {"validation": 0}, "data": {"validation_images": 0}}
        change(folder / "seeds" / f"seed{seed}", drop=("val_loss", "val_error"), **none)
    records, [mean] = found(folder / "seeds")
    assert mean["val_error"] is None
    assert records["seed0"]["val_error"] is None
    assert run("results", folder).exit_code == 0


def test_training_sets_stand_in_tables_of_their_own(trained):
    headings = [line for line in run("results", trained).stdout.splitlines() if "training images" in line]
    digests = [bright().digest[:12], bright().digest[:12], "0" * 12]
    assert [re.match(r"(\w+), (\d+) training images \(SHA-256 (\w+)\)", line).groups() for line in headings] == [
        ("bright", "30", digests[0]),
        ("bright", "40", digests[1]),
        ("dark", "40", digests[2]),
    ]


# Where it looks, and what it says


def test_the_table_fits_whatever_the_names(folder):
    spec = {"family": "v1", "shortcut": "B", "order": "relu-before-add", "skip": "shortcut-gating"}
    recipe, result = {"name": "keras-example-1234567890"}, {"parameters": 123_456_789}
    change(folder / "deeper", (1, 1, 1), spec=spec, recipe=recipe, seed=2**32 - 1, result=result)
    change(folder / "stopped", recipe={"steps": 10**9, "steps_per_epoch": 1})
    (folder / "deeper").rename(folder / ("n" * 60))
    output = run("results", folder).stdout
    cells = [line for line in output.splitlines() if "resnet-lessons resume" not in line and line.strip()[:1] != "/"]
    assert max(map(len, cells)) <= WIDTH


def test_without_a_folder_it_looks_below_runs_and_at_what_ships(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(results.records, "RECORDED", tmp_path / "recorded")
    empty = run("results")
    assert (empty.exit_code, empty.stdout) == (0, "No runs yet. To train one: resnet-lessons train --help\n")
    assert json.loads(run("results", "--json").stdout) == {"runs": [], "means": []}
    shutil.copytree(trained / "deeper", tmp_path / "runs" / "mine")
    shutil.copytree(trained / "again", tmp_path / "recorded" / "ours")
    records, _ = found()
    assert {name: record["folder"] for name, record in records.items()} == {
        "mine": "runs/mine",
        "ours": "recorded/ours",
    }


def test_the_published_table_stands_beside_what_ships(tmp_path, monkeypatch):
    monkeypatch.setattr(results.records, "RECORDED", tmp_path)
    recorded_runs.write(tmp_path / "a")
    shown = run("results", "--published")
    assert shown.exit_code == 0
    assert max(map(len, shown.stdout.splitlines())) <= WIDTH
    cells = [re.split(r"  +", line.strip()) for line in shown.stdout.splitlines()]
    assert ["ResNet-20 v1", "basic 16/32/64,", "8.75 (2015,", "19.00 (1)", "short,", "CIFAR-10,"] in cells
    assert ["ResNet-32 v1", "basic 16/32/64,", "7.51 (2015,"] in cells
    assert "original CIFAR-10" in shown.stdout


def test_the_published_table_takes_no_folder_and_no_json(tmp_path):
    for arguments in ((tmp_path,), ("--json",)):
        assert "Leave FOLDER and --json out" in refused(run("results", "--published", *arguments), code=2)


def test_a_folder_without_a_run_or_that_is_missing_is_an_error(tmp_path):
    assert "No run is in" in refused(run("results", tmp_path))
    said = f"{tmp_path / 'x'} cannot be listed (No such file or directory). Name a folder that holds runs."
    assert said in refused(run("results", tmp_path / "x"))
    (tmp_path / "file").write_text("")
    assert "is a file" in refused(run("results", tmp_path / "file"), code=2)


def test_hidden_folders_are_left_out(trained, tmp_path):
    shutil.copytree(trained / "again", tmp_path / "runs" / ".trash" / "x")
    assert "No run is in" in refused(run("results", tmp_path))


def test_runs_are_sorted_by_data_depth_recipe_and_seed(trained):
    order = [record.folder.rpartition("/")[2] for record in runs.find([trained])]
    assert order == [
        *("fewer images", "seed0", "seed1", "again", "seed2", "other recipe", "stopped", "deeper", "other data")
    ]
