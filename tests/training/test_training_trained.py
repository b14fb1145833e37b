"""Trained nets that ship: found by network and data set, checked against their hash, as good as recorded."""

import dataclasses
import hashlib
import math
import os
import runpy
import shutil
from pathlib import Path

from resnet_lessons import batches, data, results, training
from resnet_lessons.results import records

import keras
import numpy as np
import pytest
from small_runs import DROPPING, same_weights

WEIGHTS = "model.weights.h5"
IMAGES = {("shapes10", 20): 1_000, ("cifar10", 20): 2_000, ("cifar10", 56): 500}  # of the test images, the first ones


@pytest.fixture
def shipped(reference, tmp_path):
    """A folder of records with one run, "small", and its hash."""
    shutil.copytree(reference[1], tmp_path / "small")
    write_sums(tmp_path)
    return tmp_path


def write_sums(folder):
    """Write what sha256sum would write of all weights."""
    found = sorted(folder.glob(f"*/{WEIGHTS}"))
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.parent.name}/{WEIGHTS}\n" for path in found]
    (folder / "SHA256SUMS").write_text("".join(lines))


def test_the_net_has_the_weights_that_the_run_ended_with(shipped, reference):
    assert same_weights(training.trained(DROPPING, "bright", shipped), reference[0].model)


def test_weights_ship_without_the_optimizer_s_state(shipped, reference):
    path = shipped / "small" / WEIGHTS
    tool = runpy.run_path(str(Path(__file__).parents[2] / "tools" / "records.py"), run_name="tool")
    whole, stripped = path.read_bytes(), tool["without_optimizer"](path)
    assert len(stripped) < 0.8 * len(whole)
    path.write_bytes(stripped)
    write_sums(shipped)
    assert same_weights(training.trained(DROPPING, "bright", shipped), reference[0].model)


def test_the_folder_can_be_read_only(shipped):
    (shipped / "small" / WEIGHTS).chmod(0o400)
    shipped.chmod(0o500)
    try:
        assert training.trained(DROPPING, "bright", shipped).count_params()
    finally:
        shipped.chmod(0o700)


def test_without_a_folder_it_is_what_ships(shipped, monkeypatch):
    monkeypatch.setattr(records, "RECORDED", shipped)
    assert training.trained(DROPPING, "bright").count_params()
    monkeypatch.setattr(records, "RECORDED", shipped / "nothing")
    with pytest.raises(ValueError, match="Those that ship: none"):
        training.trained(DROPPING, "bright")


@pytest.mark.parametrize(("spec", "name"), [(DROPPING, "cifar10"), (dataclasses.replace(DROPPING, width=8), "bright")])
def test_another_network_and_another_data_set_are_refused_by_name(shipped, spec, name):
    with pytest.raises(ValueError, match=f"no trained weights of {spec.name} on {name}") as refusal:
        training.trained(spec, name, shipped)
    assert f"Those that ship: {DROPPING.name} on bright." in str(refusal.value)


def test_weights_without_a_hash_do_not_ship(shipped):
    (shipped / "SHA256SUMS").write_text("")
    with pytest.raises(ValueError, match="Those that ship: none"):
        training.trained(DROPPING, "bright", shipped)


@pytest.mark.parametrize("position", [0, 0.3, 0.6, 1])
def test_a_file_of_which_one_bit_has_changed_is_refused(shipped, position):
    path = shipped / "small" / WEIGHTS
    contents = bytearray(path.read_bytes())
    contents[round(position * (len(contents) - 1))] ^= 1
    path.write_bytes(contents)
    with pytest.raises(training.FolderError, match=r"model\.weights\.h5 is not the file that was recorded") as refusal:
        training.trained(DROPPING, "bright", shipped)
    assert "Restore it from the repository" in str(refusal.value)


def test_a_file_that_was_cut_or_is_missing_is_refused(shipped):
    path = shipped / "small" / WEIGHTS
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(training.FolderError, match="is not the file that was recorded"):
        training.trained(DROPPING, "bright", shipped)
    path.unlink()
    with pytest.raises(training.FolderError, match="cannot be read"):
        training.trained(DROPPING, "bright", shipped)


@pytest.mark.parametrize("line", ["nonsense", f"{'0' * 63}  small/{WEIGHTS}", f"{'0' * 64} small/{WEIGHTS}", ""])
def test_a_list_of_hashes_that_is_none_is_refused(shipped, line):
    with (shipped / "SHA256SUMS").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(training.FolderError, match="SHA256SUMS, line 2 is not as sha256sum writes it"):
        training.trained(DROPPING, "bright", shipped)


# What ships


def listed():
    """Return the records that ship with weights."""
    path = records.RECORDED / "SHA256SUMS"
    files = {line.split()[1] for line in path.read_text().splitlines()}
    return [record for record in results.load() if f"{record.name}/{WEIGHTS}" in files]


def test_every_file_of_weights_that_ships_has_a_hash_and_a_record():
    there = {path.parent.name for path in records.RECORDED.glob("*/*.h5")}
    assert there == {record.name for record in listed()}


def test_a_net_ships_once_for_each_data_set():
    kinds = [(record.spec, record.data["name"]) for record in listed()]
    assert len(kinds) == len(set(kinds))


@pytest.fixture(scope="module")
def images():
    """A function that returns test images, labels and the training part's mean of a data set, or None."""
    loaded = {}

    def load(record):
        name, folder = record.data["name"], os.environ.get("RESNET_LESSONS_TEST_DATA")
        if name == "cifar10" and folder is None:
            return None
        if name not in loaded:
            loaded[name] = data.load(name, folder if name == "cifar10" else None)
        return loaded[name] if loaded[name].digest == record.data["sha256"] else None

    return load


@pytest.mark.parametrize(("name", "depth"), IMAGES)
def test_a_net_that_ships_is_as_good_as_recorded(name, depth, images):
    chosen = [record for record in listed() if (record.data["name"], record.spec.depth) == (name, depth)]
    assert {record.spec.family for record in chosen} == {"plain", "v1"}
    for record in chosen:
        dataset = images(record)
        if dataset is None:
            pytest.skip(f"RESNET_LESSONS_DATA names no {name} with the SHA-256 that was recorded")
        count = IMAGES[name, depth]
        error = record.result["test_error"]
        assert measured(record, dataset, count) == pytest.approx(error, abs=allowed(record, count))


def measured(record, dataset, count):
    """Return the part of the first ``count`` test images that a shipped net gets wrong."""
    train, _ = batches.split(dataset.y_train, record.recipe["validation"])
    served = batches.Batches(
        dataset.x_test[:count], dataset.y_test[:count], 250, mean=batches.pixel_mean(dataset.x_train, train)
    )
    model = training.trained(record.spec, record.data["name"])
    guesses = [keras.ops.convert_to_numpy(model(served[index][0])).argmax(axis=1) for index in range(len(served))]
    return float(np.mean(np.concatenate(guesses) != dataset.y_test[:count]))


def allowed(record, count):
    """Return four standard deviations of the error on so many of the test images: they are a part of those recorded."""
    error = record.result["test_error"]
    return 4 * math.sqrt(max(error, 1 / count) * (1 - error) / count)


def test_what_is_allowed_tells_a_net_from_an_untrained_one():
    record = type("", (), {"result": {"test_error": 0.2}})
    assert allowed(record, 2_000) < 0.04
    record = type("", (), {"result": {"test_error": 0.0}})
    assert 0 < allowed(record, 1_000) < 0.01
