"""The published figures and the loader of recorded runs."""

import math
import shutil

from resnet_lessons import results
from resnet_lessons.results import QUOTED_BY_KERAS_EXAMPLE, Epoch, RecordError
from resnet_lessons.specs import Spec

import pytest
import recorded_runs


def test_he_2015_gives_its_table():
    table = {r.network.depth: (r.error, r.parameters) for r in results.PUBLISHED if r.source == results.HE_2015}
    assert table == {
        20: (8.75, "0.27M"),
        32: (7.51, "0.46M"),
        44: (7.17, "0.66M"),
        56: (6.97, "0.85M"),
        110: (6.61, "1.7M"),
        1202: (7.93, "19.4M"),
    }


def test_the_other_tables_are_there():
    by_name = {}
    for record in results.PUBLISHED:
        by_name.setdefault((record.source, record.network.name), record.error)
    depths = {
        "v1-164-bottleneck": 5.93,
        "v1-1001-bottleneck": 7.61,
        "v2-110-basic": 6.37,
        "v2-164": 5.46,
        "v2-1001": 4.92,
    }
    assert {name: e for (source, name), e in by_name.items() if source == results.HE_2016_DEPTHS} == depths
    orders = [error for (source, _), error in by_name.items() if source == results.HE_2016_ORDERS]
    assert orders == [8.17, 7.84, 6.71, 6.50, 6.14, 5.91]
    shortcuts = {name: error for (source, name), error in by_name.items() if source == results.HE_2016_SHORTCUTS}
    assert shortcuts == {
        "v1-110-constant-scaling": 12.35,
        "v1-110-exclusive-gating": 8.70,
        "v1-110-shortcut-gating": 6.91,
        "v1-110-conv": 12.22,
    }
    example = {name: round(100 - e, 2) for (source, name), e in by_name.items() if source == results.KERAS_EXAMPLE}
    assert example["v1-20-keras-example"] == 92.16
    assert example["v2-110-keras-example"] == 93.15


def test_no_figure_stands_twice_and_each_is_an_error_in_percent():
    keys = [(record.network, record.source) for record in results.PUBLISHED]
    assert len(keys) == len(set(keys))
    assert all(4 < record.error < 13 for record in results.PUBLISHED)


def test_a_figure_is_found_by_its_exact_network():
    [record] = results.published(Spec("v1", 110))
    assert (record.error, record.spread) == (6.61, 0.16)
    assert [r.error for r in results.published(Spec("v2", 1001))] == [4.92, 4.89]
    assert results.published(Spec("v2", 110)) == ()  # 93.63% is the basic-block net's
    assert results.published(Spec("v1", 20, width=32)) == ()


@pytest.mark.parametrize(
    ("row", "owner", "accuracy"),
    [
        (Spec("v1", 164, style="keras-example"), Spec("v1", 164, block="bottleneck"), 94.07),
        (Spec("v2", 110, style="keras-example"), Spec("v2", 110, block="basic"), 93.63),
        (Spec("v2", 164, style="keras-example"), Spec("v2", 164), 94.54),
        (Spec("v1", 56, style="keras-example"), Spec("v1", 56), 93.03),
    ],
)
def test_a_quoted_number_belongs_to_another_network(row, owner, accuracy):
    figure = QUOTED_BY_KERAS_EXAMPLE[row]
    assert figure.network == owner
    assert 100 - figure.error == pytest.approx(accuracy)


RUN, LINES = recorded_runs.run(), recorded_runs.log()
WITHOUT_BACKEND = {name: told for name, told in RUN["versions"].items() if name != "tensorflow"}
LINE = LINES[0]
NEEDED = sorted(set(RUN) - {"strategy"})


@pytest.fixture
def run_folder(tmp_path):
    """A folder with one good run, "a"."""
    return write_run(tmp_path / "runs" / "a")


def write_run(folder, run=RUN, lines=LINES):
    return recorded_runs.write(folder, run, lines)


def test_a_run_is_read_as_it_was_written(run_folder):
    [record] = results.load(run_folder.parent)
    assert (record.name, record.spec, record.seed) == ("a", Spec("v1", 20), 0)
    assert record.data == RUN["data"]
    assert record.result["test_error"] == 0.19
    assert (record.precision, record.strategy, record.deterministic) == ("float32", None, True)
    assert [epoch.lr for epoch in record.log] == [0.1, 0.001]
    assert record.log[0] == Epoch(**LINE)
    assert record.seconds_per_update == (9.5 / 352, 9.625 / 352)


def test_runs_come_in_the_order_of_their_names_and_files_beside_them_are_left_alone(run_folder):
    write_run(run_folder.with_name("c"))
    write_run(run_folder.with_name("b"))
    write_run(run_folder.with_name(".hidden"), run={})
    run_folder.with_name("README.md").write_text("what these are")
    assert [record.name for record in results.load(run_folder.parent)] == ["a", "b", "c"]


def test_a_run_is_called_by_its_folder_also_where_one_stands_in_it(run_folder, monkeypatch):
    monkeypatch.chdir(run_folder)
    assert results.read(".").name == "a"


def test_without_recorded_runs_there_are_none(tmp_path, monkeypatch):
    monkeypatch.setattr(results.records, "RECORDED", tmp_path / "recorded")
    assert results.load() == ()
    write_run(tmp_path / "recorded" / "one")
    assert [record.name for record in results.load()] == ["one"]


def test_the_runs_that_ship_are_sound():
    assert all(record.log for record in results.load())


def test_a_log_may_hold_more_and_may_hold_no_validation(tmp_path):
    lines = [{key: value for key, value in line.items() if not key.startswith("val_")} | {"more": 1} for line in LINES]
    run = RUN | {"recipe": RUN["recipe"] | {"validation": 0}, "data": RUN["data"] | {"validation_images": 0}}
    write_run(tmp_path / "a", run, lines)
    assert results.read(tmp_path / "a").log[0].val_error is None


def test_a_run_that_was_taken_up_again_says_what_each_part_had(tmp_path):
    resumed = [{"epoch": 1, **recorded_runs.SURROUNDINGS, "hardware": {"processor": "another", "cores": 8}}]
    write_run(tmp_path / "a", RUN | {"resumed": resumed})
    record = results.read(tmp_path / "a")
    assert [record.hardware_of(epoch)["processor"] for epoch in (1, 2)] == ["some processor", "another"]


def test_a_folder_that_does_not_exist_is_told(tmp_path):
    with pytest.raises(RecordError, match="nowhere is not a folder"):
        results.load(tmp_path / "nowhere")


@pytest.mark.parametrize("key", NEEDED)
@pytest.mark.parametrize("empty", ["absent", None, "", {}])
def test_a_record_without_its_provenance_is_refused(tmp_path, key, empty):
    run = {name: value for name, value in RUN.items() if name != key} | ({} if empty == "absent" else {key: empty})
    write_run(tmp_path / "a", run=run)
    with pytest.raises(RecordError, match=rf"run\.json: lacks {key}"):
        results.read(tmp_path / "a")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": True}, "seed must be a whole number"),
        ({"seed": "0"}, "seed must be a whole number"),
        ({"recipe": "short"}, "recipe must be an object"),
        ({"deterministic": 1}, "deterministic must be true or false"),
        ({"command": ["resnet-lessons"]}, "command must be a text"),
        ({"spec": {"family": "v1", "depth": 21}}, "nearest such depth is 20"),
        ({"spec": {"family": "v1", "deep": 20}}, "deep"),
        ({"data": RUN["data"] | {"sha256": "0f"}}, "64 hexadecimal digits"),
        ({"data": {"name": "cifar10", "source": ""}}, "lack source, sha256, training_images, validation_images"),
        ({"data": RUN["data"] | {"training_images": 0}}, "training_images must be a whole number of at least 1"),
        ({"data": RUN["data"] | {"validation_images": "5000"}}, "validation_images must be a whole number"),
        ({"versions": {"python": "3.12"}}, "versions must say keras, numpy, resnet-lessons of every part"),
        ({"versions": WITHOUT_BACKEND}, "versions must say tensorflow or jax"),
        ({"hardware": {"processor": "some"}}, "hardware must say cores"),
        ({"git": {"commit": "c0ffee"}}, "git must hold commit and changed, or release"),
        ({"resumed": {"epoch": 1}}, "resumed must be a list"),
        ({"resumed": [{"epoch": 1}]}, "versions must say keras, numpy"),
        ({"resumed": [recorded_runs.SURROUNDINGS | {"git": "c0ffee"}]}, "git must hold commit"),
        ({"resumed": [recorded_runs.SURROUNDINGS]}, "after which epoch"),
        ({"environment": ["XLA_FLAGS"]}, "environment must be an object"),
        ({"result": {"error": 0.1}}, "test_error must be a number"),
        ({"result": RUN["result"] | {"test_error": 8.75}}, "test_error must be a number from 0 to 1. Received: 8.75"),
        ({"result": RUN["result"] | {"test_error": math.nan}}, "NaN is not a number"),
        ({"result": RUN["result"] | {"parameters": 0.5}}, "parameters must be a whole number"),
        ({"result": RUN["result"] | {"val_error": None}}, "val_error must be a number"),
    ],
)
def test_a_damaged_record_is_refused(tmp_path, change, said):
    write_run(tmp_path / "a", run=RUN | change)
    with pytest.raises(RecordError, match=r"a.run\.json: ") as refusal:
        results.load(tmp_path)
    assert said in str(refusal.value)
    assert "Restore the folder" in str(refusal.value)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([LINE, LINE], "line 2: epoch must be 2. Received: 1"),
        ([LINE | {"epoch": 2}], "line 1: epoch must be 1. Received: 2"),
        ([LINE | {"step": 0}], "line 1: step must be a whole number of at least 1. Received: 0"),
        ([LINE | {"step": 352.0}], "line 1: step must be a whole number of at least 1. Received: 352.0"),
        ([LINE | {"val_error": 45}], "line 1: val_error must be a number from 0 to 1. Received: 45"),
        ([LINE | {"train_error": 1.01}], "line 1: train_error must be a number from 0 to 1. Received: 1.01"),
        ([LINE | {"train_loss": "1.5"}], "train_loss must be a number from 0"),
        ([LINE | {"train_loss": math.inf}], "Infinity is not a number"),
        ([LINE | {"seconds": -1}], "seconds must be a number from 0"),
        ([LINE | {"val_loss": None}], "has only one of val_loss and val_error"),
        ([{"epoch": 1}], "missing 5 required"),
        ([[1, 2]], "must hold an object"),
        ([], "is empty or its last line was cut"),
    ],
)
def test_a_damaged_log_is_refused(tmp_path, lines, said):
    write_run(tmp_path / "a", lines=lines)
    with pytest.raises(RecordError, match=r"log\.jsonl") as refusal:
        results.load(tmp_path)
    assert said in str(refusal.value)


def test_a_file_cut_anywhere_is_refused(run_folder):
    for name in ("run.json", "log.jsonl"):
        whole = (run_folder / name).read_bytes()
        for size in range(0, len(whole), 7):
            (run_folder / name).write_bytes(whole[:size])
            with pytest.raises(RecordError, match=name):
                results.read(run_folder)
        (run_folder / name).write_bytes(whole)


@pytest.mark.parametrize("name", ["run.json", "log.jsonl"])
def test_a_missing_file_a_folder_in_its_place_and_no_text_are_refused(run_folder, name):
    (run_folder / name).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecordError, match=f"{name}: cannot be read"):
        results.read(run_folder)
    (run_folder / name).unlink()
    with pytest.raises(RecordError, match=f"{name}: cannot be read"):
        results.read(run_folder)
    (run_folder / name).mkdir()
    with pytest.raises(RecordError, match=f"{name}: cannot be read"):
        results.read(run_folder)
    shutil.rmtree(run_folder)
