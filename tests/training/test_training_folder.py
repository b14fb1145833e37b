"""A run's folder: another run, strange files and damage are refused with what to do, and nothing is touched."""

import contextlib
import dataclasses
import errno
import io
import json
import re
import zipfile
from pathlib import Path

from resnet_lessons import backend, training
from resnet_lessons.recipes import Recipe
from resnet_lessons.specs import Spec
from resnet_lessons.training import engine, refusals

import filelock
import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_runs import DROPPING, HELD_BACK, dataset, files, same_weights, train

SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # each example writes the file anew


# What a resume goes on from


def test_a_line_without_its_checkpoint_is_not_kept(ahead, finished):
    folder = training.RunFolder(ahead)
    assert [line["epoch"] for line in folder.lines()] == [1, 2, 3]
    assert folder.kept() == folder.lines()[:2]
    (ahead / "checkpoint.npz").unlink()
    assert folder.kept() == []
    assert [line["epoch"] for line in training.RunFolder(finished).kept()] == [1, 2, 3]  # it has no checkpoint any more


def test_a_checkpoint_that_does_not_say_what_it_holds_is_damaged(unfinished):
    folder, path = training.RunFolder(unfinished), unfinished / "checkpoint.npz"
    whole = path.read_bytes()
    np.savez(path, other=np.zeros(2))
    without = path.read_bytes()
    np.savez(path, progress=np.zeros(3, int))
    for damaged in (b"", whole[: len(whole) // 2], without, path.read_bytes()):
        path.write_bytes(damaged)
        with pytest.raises(training.FolderError, match=r"checkpoint\.npz is damaged"):
            folder.kept()


# Another run

OTHER_SPECS = {
    "family": "v2",
    "depth": 14,
    "block": "bottleneck",
    "shortcut": "B",
    "skip": "conv",
    "order": "full-pre",
    "width": 5,
}
OTHER_RECIPES = {
    "name": "other",
    "steps": 11,
    "batch_size": 8,
    "learning_rate": 0.2,
    "drops": (0.5,),
    "warmup_steps": 1,
    "warmup_rate": 0.02,
    "momentum": 0.8,
    "weight_decay": 1e-3,
    "augment": "none",
    "validation": 20,
    "steps_per_epoch": None,
    "factors": (0.5, 0.1),
    "schedule": "one-cycle",
    "peak": 0.5,
    "optimizer": "adam",
    "nesterov": True,
    "decay_on": "convolutions",
    "subtract_mean": False,
}


def other_spec(field):
    fields = {"family": {"block": "basic"}, "block": {"depth": 11, "shortcut": "A"}}.get(field, {})
    return dataclasses.replace(DROPPING, **{field: OTHER_SPECS[field]} | fields)


def other_recipe(field):
    fields = {"schedule": {"drops": ()}}.get(field, {})
    return dataclasses.replace(HELD_BACK, **{field: OTHER_RECIPES[field]} | fields)


def test_every_field_has_another_value():
    names = lambda cls: {field.name for field in dataclasses.fields(cls)}  # noqa: E731
    assert set(OTHER_RECIPES) == names(Recipe)
    assert set(OTHER_SPECS) == names(Spec) - {"_", "style", "input_shape", "num_classes"}  # those follow from the data


@pytest.fixture
def nothing_is_built(monkeypatch):
    for module in (engine, training.run):
        monkeypatch.setattr(module, "compile_model", lambda *_, **__: pytest.fail("it was built"))


def other_data():
    return dataclasses.replace(dataset(seed=1), source="bright: another draw")


OTHERS = [
    *[({"spec": other_spec(field)}, f"spec's {field} is ") for field in OTHER_SPECS],
    *[({"recipe": other_recipe(field)}, f"recipe's {field} is ") for field in OTHER_RECIPES],
    ({"seed": 1}, "seed is 0, asked for is 1"),
    ({"precision": "mixed_bfloat16"}, "precision is float32, asked for is mixed_bfloat16"),
    ({"strategy": "mirrored"}, "strategy is None, asked for is mirrored"),
    ({"deterministic": False}, "deterministic is True, asked for is False"),
    ({"images": other_data()}, "data is bright: noise of ten kinds ("),
]


@pytest.mark.parametrize(("options", "message"), OTHERS)
@pytest.mark.usefixtures("nothing_is_built")
def test_a_folder_that_holds_another_run_is_refused_and_untouched(stopped, reference, options, message):
    for folder in (stopped, reference[1]):
        before = files(folder)
        with pytest.raises(training.FolderError, match=f"{re.escape(str(folder))} holds another run: ") as error:
            train(folder, **options)
        assert message in str(error.value)
        advice = f"Choose another folder, or go on with that run: resnet-lessons resume {folder}"
        assert str(error.value).endswith(advice)
        assert files(folder) == before


class Reached(Exception):
    """The folder was taken for the run that is wanted, and its model was about to be built."""


@pytest.fixture
def reach(monkeypatch):
    """Let no model be built, and return what it would have been built from."""
    built_from = []

    def reached(*arguments):
        built_from[:] = arguments
        raise Reached

    for module in (engine, training.run):  # to train, and to read what is finished
        monkeypatch.setattr(module, "compile_model", reached)
    return built_from


def test_precision_left_open_is_the_runs_own(stopped, monkeypatch, reach):
    monkeypatch.setattr(engine, "choose_precision", lambda *_: pytest.fail("it was chosen anew"))
    with pytest.raises(Reached):
        train(stopped, precision="auto")
    assert reach == [DROPPING, HELD_BACK, 0, "float32", None]


@pytest.mark.skipif(len(backend.devices()) > 1, reason="has several devices")
@pytest.mark.usefixtures("nothing_is_built")
def test_a_run_that_was_begun_on_another_number_of_devices_is_refused(unfinished):
    path = unfinished / "run.json"
    run = json.loads(path.read_text()) | {"strategy": "mirrored", "devices": 4}
    path.write_text(json.dumps(run))
    before = files(unfinished)
    words = f"begun on a processor divided in 4, .* Received: .*resume {re.escape(str(unfinished))} --devices 4"
    for call in (lambda: train(unfinished, strategy="mirrored"), lambda: training.resume(unfinished, dataset())):
        with pytest.raises(training.FolderError, match=words):
            call()
    assert files(unfinished) == before
    del run["devices"]
    path.write_text(json.dumps(run))
    settings, _ = training.run_in(training.RunFolder(unfinished))  # an older one does not say, and is taken as it is
    assert settings.devices is None


def test_resume_needs_a_run(tmp_path):
    with pytest.raises(training.FolderError, match=f"{tmp_path} holds no run to go on with. To begin one there: "):
        training.resume(tmp_path, dataset())
    assert files(tmp_path) == {}
    with pytest.raises(training.FolderError, match="holds no run to go on with"):
        training.resume(tmp_path / "absent", dataset())
    assert not (tmp_path / "absent").exists()


# Strange files


@pytest.mark.parametrize("name", ["log.jsonl", "checkpoint.npz", "model.weights.h5", "thesis.tex", "notes.partial.txt"])
@pytest.mark.usefixtures("nothing_is_built")
def test_a_folder_with_strange_files_is_refused_and_untouched(tmp_path, name):
    (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(training.FolderError, match=f"{tmp_path} holds {re.escape(name)} but no run.json. Choose anoth"):
        train(tmp_path)
    assert files(tmp_path) == {name: b"mine"}


def test_strange_files_beside_a_run_are_left_alone(unfinished):
    for name in ("notes.txt", "notes.partial.txt"):
        (unfinished / name).write_bytes(b"mine")
    with training.RunFolder(unfinished).locked():
        pass
    assert {name: content for name, content in files(unfinished).items() if "notes" in name} == {
        "notes.txt": b"mine",
        "notes.partial.txt": b"mine",
    }


def test_what_a_killed_write_has_left_is_removed(tmp_path):
    left = ["run.partial.json", "log.partial.jsonl", "checkpoint.partial.npz", "model.partial.weights.h5"]
    for name in left:
        (tmp_path / name).write_bytes(b"half")
    with training.RunFolder(tmp_path).locked():
        assert files(tmp_path) == {}


def test_a_file_where_the_folder_should_be_is_refused(tmp_path):
    (tmp_path / "run").write_bytes(b"mine")
    with pytest.raises(training.FolderError, match=r"run cannot be a run's folder \(.*\). Choose another one."):
        train(tmp_path / "run")
    assert (tmp_path / "run").read_bytes() == b"mine"


# Bad arguments


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "seed must be a whole number from 0 to 4294967295. Received: -1."),
        ({"seed": 2**32}, "seed must be a whole number from 0 to 4294967295. Received: 4294967296."),
        ({"seed": 1.5}, "seed must be a whole number from 0 to 4294967295. Received: 1.5."),
        ({"seed": "0"}, "seed must be a whole number from 0 to 4294967295. Received: '0'."),
        ({"seed": True}, "seed must be a whole number from 0 to 4294967295. Received: True."),
        ({"precision": "float16"}, "precision must be one of"),
        ({"deterministic": "no"}, "deterministic must be true or false. Received: 'no'."),
        ({"strategy": "horovod"}, "strategy must be one of None, 'mirrored'. Received: 'horovod'."),
        ({"spec": dataclasses.replace(DROPPING, num_classes=9)}, "Make the Spec with .* num_classes=10."),
        ({"spec": dataclasses.replace(DROPPING, input_shape=(9, 8, 3))}, "Make the Spec with input_shape="),
        ({"recipe": dataclasses.replace(HELD_BACK, validation=50)}, "bright has 50 to train on. Choose a recipe"),
    ],
)
def test_a_bad_argument_is_refused_before_anything_is_written(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        train(tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("nothing_is_built")
def test_another_kind_of_progress_is_refused(stopped, tmp_path):
    before = files(stopped)
    for out in (None, tmp_path / "runs" / "x", stopped):
        with pytest.raises(ValueError, match=r"progress must be 'lines', 'bar' or None\. Received: 'dots'"):
            train(out, progress="dots")
    assert list(tmp_path.iterdir()) == []
    assert files(stopped) == before


@pytest.mark.skipif(len(backend.devices()) > 1, reason="has several devices")
def test_a_strategy_that_this_machine_cannot_follow_leaves_no_run(tmp_path):
    with pytest.raises(ValueError, match="strategy='mirrored' needs two devices or more"):
        train(tmp_path / "runs" / "x", strategy="mirrored")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_made_for_nothing_goes_again(tmp_path):
    (tmp_path / "there").mkdir()
    for place in ("there", "runs/x", "runs/y"):
        with contextlib.suppress(Reached), training.RunFolder(tmp_path / place).locked() as folder:
            assert (folder.path / ".lock").exists()
            if place == "runs/y":
                folder.describe({"a run": "has begun"})
            raise Reached
    assert sorted(path.name for path in tmp_path.rglob("*")) == [".lock", "run.json", "runs", "there", "y"]


@pytest.mark.parametrize("made", [True, False])
def test_a_folder_that_cannot_be_locked_goes_again(tmp_path, monkeypatch, made):
    def refuse(lock):
        if made:
            Path(lock.lock_file).touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    with (
        pytest.raises(training.FolderError, match="cannot be a run's folder"),
        training.RunFolder(tmp_path / "a/b").locked(),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_can_be_made_in_part_alone_goes_again(tmp_path):
    with (
        pytest.raises(training.FolderError, match="cannot be a run's folder"),
        training.RunFolder(tmp_path / "a" / ("b" * 300)).locked(),  # longer than a name can be
    ):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def no_flock(monkeypatch):
    """A file system without locks, as some of clusters are: the lock is then the file itself."""
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.mark.filterwarnings("ignore:flock not supported")
@pytest.mark.usefixtures("no_flock")
def test_without_locks_a_killed_process_leaves_one_that_the_message_tells_how_to_undo(tmp_path):
    lock = tmp_path / ".lock"
    lock.write_text("1\nanother-machine\n")  # as filelock writes it: of a process that cannot be looked at from here
    words = f"Another process is training in {tmp_path}. .* has left {lock} behind: remove that file"
    with pytest.raises(training.FolderError, match=words), training.RunFolder(tmp_path).locked():
        pass
    lock.unlink()
    with training.RunFolder(tmp_path).locked():
        assert lock.exists()
        with pytest.raises(training.FolderError, match=words), training.RunFolder(tmp_path).locked():
            pass
    assert list(tmp_path.iterdir()) == []


def test_where_there_are_locks_nobody_is_told_to_remove_one(tmp_path):
    """Whoever removes one that is held lets a second process in."""
    first, second = training.RunFolder(tmp_path).locked(), training.RunFolder(tmp_path).locked()
    with first, pytest.raises(training.FolderError) as error, second:
        pass
    assert str(error.value).endswith("Wait for it to end, or choose another folder.")


@pytest.mark.parametrize(
    ("parts", "advice"), [(None, "Set KERAS_BACKEND=tensorflow and CUDA_VISIBLE_DEVICES=-1"), (2, "--devices 3")]
)
def test_a_run_on_a_divided_processor_goes_on_only_on_one_divided_alike(tmp_path, monkeypatch, parts, advice):
    monkeypatch.setattr(backend, "processor_parts", lambda: parts)
    begun = training.Settings(DROPPING, HELD_BACK, 0, "float32", "mirrored", True, devices=3)
    with pytest.raises(training.FolderError, match=f"divided in 3.*{advice}"):
        refusals.refuse_other_devices(training.RunFolder(tmp_path), begun)


def test_a_finished_run_is_read_where_nothing_may_be_written(finished, checkpoint, reference, monkeypatch):
    (finished / "checkpoint.npz").write_bytes(checkpoint)  # left by a kill
    before = {path.name: path.read_bytes() for path in finished.iterdir() if path.name != ".lock"}
    (finished / ".lock").unlink(missing_ok=True)

    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    for owner, name in ((Path, "unlink"), (Path, "mkdir"), (Path, "replace"), (filelock.FileLock, "acquire")):
        monkeypatch.setattr(owner, name, refuse)
    run = training.resume(finished, dataset(), progress=None)
    with pytest.raises(training.FolderError, match="holds another run"):
        train(finished, seed=1)
    monkeypatch.undo()
    assert same_weights(run.model, reference[0].model)
    assert {path.name: path.read_bytes() for path in finished.iterdir()} == before


def test_a_numpy_number_is_as_good_a_seed(stopped, tmp_path, reach):
    for folder in (stopped, tmp_path):
        with pytest.raises(Reached):
            train(folder, seed=np.int64(0))
        assert type(reach[2]) is int


# Damage


def cut_or_changed(content):
    """Draw the content cut at any byte, or with any one byte changed."""
    cut = st.integers(0, len(content) - 1).map(lambda size: content[:size])
    places = st.tuples(st.integers(0, len(content) - 1), st.integers(1, 255))
    return cut | places.map(lambda p: content[: p[0]] + bytes([content[p[0]] ^ p[1]]) + content[p[0] + 1 :])


def outcome(read):
    """Return what reading gives and None, or None and the words of the FolderError; other errors are raised."""
    try:
        return read(), None
    except training.FolderError as error:
        return None, str(error)


@pytest.fixture(scope="session")
def checkpoint(stopped):
    return (stopped / "checkpoint.npz").read_bytes()


def test_a_whole_checkpoint_is_read(stopped):
    arrays, epoch, step = training.RunFolder(stopped).restore()
    assert (epoch, step) == (2, 8) == training.RunFolder(stopped).saved()
    assert arrays


@SHARED
@given(st.data())
def test_a_damaged_checkpoint_is_refused_or_reads_the_same(stopped, checkpoint, tmp_path, drawn):
    """A few bytes of the format, such as a date, mean nothing; the arrays have checksums."""
    (tmp_path / "checkpoint.npz").write_bytes(drawn.draw(cut_or_changed(checkpoint)))
    wanted, *counted = training.RunFolder(stopped).restore()
    found, error = outcome(training.RunFolder(tmp_path).restore)
    if error:
        assert error.startswith(f"{tmp_path / 'checkpoint.npz'} is damaged (")
        assert error.endswith("Remove it to start this run over, or restore it.")
    else:
        found, *progress = found
        assert progress == counted
        assert [(a.dtype, a.shape, a.tobytes()) for a in found] == [(a.dtype, a.shape, a.tobytes()) for a in wanted]


def test_an_array_that_claims_another_type_is_not_read_in_part(tmp_path):
    """NumPy alone reads half of a large one's bytes as float16, and never gets to the checksum."""
    folder = training.RunFolder(tmp_path)
    folder.save([np.ones(10_000, "float32")], 1, 1)
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(path.read_bytes().replace(b"'<f4'", b"'<f2'"))
    with np.load(path) as stored:
        assert stored["array00000"].dtype == "float16"
    with pytest.raises(training.FolderError, match="has another checksum"):
        folder.restore()


@pytest.mark.parametrize("kept", [0, 1, 10])
def test_a_checkpoint_of_another_net_is_refused(unfinished, kept):
    folder = training.RunFolder(unfinished)
    arrays, epoch, step = folder.restore()
    folder.save(arrays[:kept], epoch, step)
    before = files(unfinished)
    with pytest.raises(training.FolderError, match=r"checkpoint.npz .*do not fit .*Remove it to start this run over"):
        train(unfinished)
    assert files(unfinished) == before


def test_without_its_checkpoint_a_run_starts_over(unfinished, reference):
    (unfinished / "checkpoint.npz").unlink()
    assert same_weights(train(unfinished).model, reference[0].model)


@SHARED
@given(st.data())
@pytest.mark.usefixtures("reach")
def test_a_damaged_description_is_refused_or_describes_the_run(finished, reference, drawn):
    path = finished / "run.json"
    content = drawn.draw(cut_or_changed((reference[1] / "run.json").read_bytes()))
    path.write_bytes(content)
    with pytest.raises((training.FolderError, Reached)) as caught:
        train(finished)
    if caught.type is Reached:
        again = json.loads(content)
        assert engine.Settings.from_json(again).spec == DROPPING
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "content", ["", "[]", "null", "1", "{", '{"spec": {}}', '{"spec": 1, "recipe": 2}', "\x00" * 100]
)
def test_a_description_of_something_else_is_refused(finished, content):
    (finished / "run.json").write_text(content)
    with pytest.raises(training.FolderError, match=r"run.json .*Restore it"):
        train(finished)


@pytest.mark.parametrize("key", ["spec", "recipe", "seed", "precision", "strategy", "deterministic", "data"])
def test_a_description_that_lacks_something_is_refused(finished, key):
    path = finished / "run.json"
    description = json.loads(path.read_text())
    del description[key]
    path.write_text(json.dumps(description))
    with pytest.raises(training.FolderError, match=r"run.json does not describe a run .*Restore it"):
        train(finished)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("precision", "float16"),  # a policy of Keras's, and none of these runs'
        ("precision", "auto"),
        ("precision", None),
        ("deterministic", "no"),
        ("deterministic", 1),
        ("seed", -1),
        ("strategy", "horovod"),
        ("devices", 2),  # and no strategy
    ],
)
@pytest.mark.usefixtures("nothing_is_built")
def test_a_description_of_a_setting_that_there_is_not_is_refused(finished, key, value):
    path = finished / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(training.FolderError, match=rf"run.json does not describe a run \(.*{key} must be .*Restore it"):
        training.resume(finished, dataset())


@pytest.mark.parametrize("result", [{}, None, [], {"test_error": "small"}, {"test_error": 0.1}])
def test_a_result_that_is_none_is_refused(finished, result):
    path = finished / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"result": result}))
    with pytest.raises(training.FolderError, match=r"run.json .*Restore it"):
        train(finished)


@SHARED
@given(st.data())
def test_a_damaged_log_is_refused_or_is_a_log(finished, reference, drawn):
    """A digit that became another one cannot be told; all else can."""
    whole = (reference[1] / "log.jsonl").read_bytes()
    (finished / "log.jsonl").write_bytes(drawn.draw(cut_or_changed(whole)))
    lines, error = outcome(training.RunFolder(finished).lines)
    if error:
        assert re.search(r"log.jsonl is damaged \(.*\). Restore it", error, re.DOTALL)
    else:
        assert [line["epoch"] for line in lines] == [1, 2, 3][: len(lines)]
        assert all(line["seconds"] >= 0 and line["step"] >= 1 and 0 <= line["train_error"] <= 1 for line in lines)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"nonsense", "is not JSON"),
        (b"[1, 2]", "must hold an object. Received: b'[1, 2]'"),
        (b'{"epoch": 2}', "missing 5 required"),
        (None, "epoch must be 2. Received: 1"),
    ],
)
def test_a_damaged_log_is_refused_with_the_line_and_its_fault(finished, line, said):
    path = finished / "log.jsonl"
    first, _, *rest = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([first, first if line is None else line, *rest, b""]))
    with pytest.raises(training.FolderError, match=rf"log.jsonl is damaged \(line 2: {re.escape(said)}.*Restore it"):
        training.RunFolder(finished).lines()


@pytest.mark.parametrize("lines", [0, 1, 2])
def test_a_log_that_was_cut_is_refused(finished, unfinished, lines):
    for folder, needed in ((finished, 3), (unfinished, 2)):
        whole = (folder / "log.jsonl").read_bytes().splitlines(keepends=True)
        (folder / "log.jsonl").write_bytes(b"".join(whole[:lines]))
        before = files(folder)
        if lines < needed:
            with pytest.raises(training.FolderError, match=f"log.jsonl has {lines} lines.*Restore"):
                train(folder)
            assert files(folder) == before


def test_a_checkpoint_that_a_kill_has_left_beside_the_result_is_removed(finished, checkpoint, reference):
    (finished / "checkpoint.npz").write_bytes(checkpoint)
    assert same_weights(train(finished).model, reference[0].model)
    assert files(finished) == files(reference[1])


def test_a_line_cut_by_a_kill_is_taken_back(unfinished, reference):
    with (unfinished / "log.jsonl").open("ab") as log:
        log.write(b'{"epoch": 3, "st')
    assert same_weights(train(unfinished).model, reference[0].model)
    assert (unfinished / "log.jsonl").read_bytes().count(b"\n") == 3


def forget_hash(folder):
    """Make a finished run as old as those whose ``run.json`` does not have the hash of the weights."""
    description = json.loads((folder / "run.json").read_text())
    del description["weights_sha256"]
    (folder / "run.json").write_text(json.dumps(description))


@pytest.mark.parametrize("hashed", [True, False])
@pytest.mark.parametrize("damage", [bytes, lambda content: content[: len(content) // 2], None])
def test_final_weights_that_are_damaged_or_missing_are_refused(finished, damage, hashed):
    if not hashed:
        forget_hash(finished)
    path = finished / "model.weights.h5"
    path.write_bytes(damage(path.read_bytes())) if damage and damage is not bytes else path.unlink()
    if damage is bytes:
        path.write_bytes(b"")
    with pytest.raises(training.FolderError, match=r"model.weights.h5 is missing, damaged or not what .*Restore it"):
        train(finished)


@pytest.mark.parametrize("part", ["layers", "optimizer"])
def test_final_weights_of_which_one_bit_has_changed_are_refused(finished, reference, part):
    path = finished / "model.weights.h5"
    contents = bytearray(path.read_bytes())
    with h5py.File(path) as file:
        places = []
        file[part].visititems(lambda _, item: places.append(item.id.get_offset()) if hasattr(item, "shape") else None)
    contents[max(place for place in places if place)] ^= 1
    path.write_bytes(contents)
    words = (
        r"model.weights.h5 is .* not what the run ended with \(its SHA-256 begins with [0-9a-f]{12}, in run.json with"
    )
    with pytest.raises(training.FolderError, match=words):
        train(finished)
    forget_hash(finished)  # nothing else would notice
    assert same_weights(train(finished).model, reference[0].model) == (part == "optimizer")


def test_a_run_from_before_the_hash_of_the_weights_is_read(finished, reference):
    forget_hash(finished)
    assert same_weights(train(finished).model, reference[0].model)


def test_a_checkpoint_is_a_plain_zip_of_arrays(stopped):
    """Whoever keeps it can read it without this package."""
    with zipfile.ZipFile(stopped / "checkpoint.npz") as stored:
        assert stored.testzip() is None
        progress = np.lib.format.read_array(io.BytesIO(stored.read("progress.npy")))
    assert progress.tolist() == [2, 8]
