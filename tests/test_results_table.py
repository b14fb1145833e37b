"""The table: published figures and recorded runs side by side, each in its own column, nothing invented."""

import re

from resnet_lessons import results
from resnet_lessons.specs import Spec

import html_tables
import pytest
import recorded_runs

KERAS_20 = Spec("v1", 20, style="keras-example")


def parsed(markdown):
    """Return the rows of a GitHub table, each a dict of heading to cell."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in markdown.splitlines()]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


def cells(records=(), **options):
    """Return the table by column key, not heading."""
    keys = {heading: key for key, heading in results.COLUMNS.items()}
    return [{keys[heading]: cell for heading, cell in row.items()} for row in parsed(results.table(records, **options))]


@pytest.fixture
def records(tmp_path):
    """Two seeds of v1-20 on CIFAR-10, a plain net, the Keras example's own, and one on shapes10."""
    seeds = [recorded_runs.run(seed=seed, test_wrong=wrong) for seed, wrong in ((0, 1_800), (1, 1_900))]
    drawn = recorded_runs.run()["data"] | {"name": "shapes10", "source": "shapes10: drawn"}
    others = [
        recorded_runs.run(spec=Spec("plain", 20)),
        recorded_runs.run(spec=KERAS_20),
        recorded_runs.run(spec=Spec("v1", 56), data=drawn),
    ]
    for number, run in enumerate(seeds + others):
        recorded_runs.write(tmp_path / f"run{number}", run)
    return results.load(tmp_path)


def test_every_published_figure_stands_in_the_row_of_its_network_and_no_other():
    shown = results.rows([])
    printed = [figure for row in shown for figure in (*row.paper, *filter(None, [row.keras_example]))]
    assert sorted(printed, key=str) == sorted(results.PUBLISHED, key=str)
    assert all(figure.network == row.spec for row in shown for figure in row.paper)
    assert len({row.spec for row in shown}) == len(shown)
    assert all(row.group is None for row in shown)


def test_published_cells_are_as_printed_and_the_rest_is_empty():
    by_network = {(row["network"], row["exactly"]): row for row in cells()}
    basic = "basic 16/32/64, shortcut A"
    row = by_network["ResNet-110 v1", basic]
    assert {key: cell for key, cell in row.items() if cell} == {
        "network": "ResNet-110 v1",
        "exactly": basic,
        "parameters": "1.7M",
        "paper": "6.61 ± 0.16 (2015, Table 6)",
    }
    row = by_network["ResNet-56 v2 of the Keras example", "bottleneck 16/64/128, shortcut B, conv biases, softmax"]
    assert {key: row[key] for key in ("paper", "keras_example", "keras_example_seconds", "recorded", "parameters")} == {
        "paper": "",
        "keras_example": "6.99",
        "keras_example_seconds": "100",
        "recorded": "",
        "parameters": "",
    }
    row = by_network["ResNet-1001 v2", "bottleneck 16/32/64, shortcut B"]
    assert row["paper"] == "4.92 (2016, Table 3), 4.89 ± 0.14 (2016, Table 4)"
    assert by_network["ResNet-110 v1", f"{basic}, skip: conv"]["paper"] == "12.22 (2016, Table 1)"


def test_recorded_runs_stand_beside(records):
    by_network = {row["network"]: row for row in cells(records) if row["recorded"]}
    assert set(by_network) == {"plain-20", "ResNet-20 v1", "ResNet-20 v1 of the Keras example"}
    assert by_network["ResNet-20 v1"] == {
        "network": "ResNet-20 v1",
        "exactly": "basic 16/32/64, shortcut A",
        "parameters": "269,722",
        "paper": "8.75 (2015, Table 6)",
        "keras_example": "",
        "recorded": "18.50 ± 0.71 (2)",
        "train": "10.00 ± 0.00 (2)",
        "recipe": "short, 704 updates",
        "data": "CIFAR-10, original",
        "precision": "float32",
        "hardware": "some processor, 2 cores",
        "epoch_seconds": "10",
        "keras_example_seconds": "",
        "hours": "0.01",
    }
    example = by_network["ResNet-20 v1 of the Keras example"]
    assert (example["keras_example"], example["recorded"]) == ("7.84", "19.00 (1)")
    assert (example["epoch_seconds"], example["keras_example_seconds"]) == ("10", "35")


def test_groups_are_shown_as_their_records_are(records):
    assert results.table(results.groups(records)) == results.table(records)
    assert results.table(results.groups(records, specs=[KERAS_20])) != results.table(records)


def test_recorded_rows_alone(records):
    rows = cells(records, recorded_only=True, columns=results.SHORT)
    assert [row["network"] for row in rows] == ["plain-20", "ResNet-20 v1", "ResNet-20 v1 of the Keras example"]
    assert list(rows[0]) == list(results.SHORT)
    assert cells([], recorded_only=True) == []


def test_a_network_trained_in_two_ways_has_two_rows(tmp_path):
    longer = recorded_runs.log(epochs=3)
    recorded_runs.write(tmp_path / "a")
    recorded_runs.write(tmp_path / "b", recorded_runs.run(longer, test_wrong=1_000), longer)
    shown = cells(results.load(tmp_path), columns=["network", "paper", "recorded", "recipe"])
    assert [(row["recorded"], row["recipe"]) for row in shown if row["recorded"]] == [
        ("19.00 (1)", "short, 704 updates"),
        ("10.00 (1)", "short, 1,056 updates"),
    ]
    assert [row["paper"] for row in shown if row["recorded"]] == ["8.75 (2015, Table 6)"] * 2


def test_html_has_the_same_cells(records):
    markdown = results.table(records, columns=results.SHORT)
    html = results.table(records, columns=results.SHORT, tablefmt="html")
    assert html_tables.rows(str(html))[1:] == [list(row.values()) for row in parsed(markdown)]


def test_cells_are_broken_at_a_width(records):
    whole = results.table(records, columns=["network", "recipe"], recorded_only=True)
    broken = results.table(records, columns=["network", "recipe"], recorded_only=True, widths=[12, 8])
    assert max(map(len, broken.splitlines())) < max(map(len, whole.splitlines()))
    words = sorted(word for row in parsed(broken) for cell in row.values() for word in cell.split())
    assert words == sorted(word for row in parsed(whole) for cell in row.values() for word in cell.split())


@pytest.mark.parametrize(("columns", "said"), [(["network", "accuracy"], "Received: accuracy"), ([], "Received: none")])
def test_an_unknown_column_is_refused(columns, said):
    with pytest.raises(ValueError, match=re.escape(said)) as refusal:
        results.table([], columns=columns)
    assert "columns must be some of network, exactly" in str(refusal.value)


def test_the_keras_example_s_times_are_its_table_s():
    seconds = {row.spec.name: row.keras_example.epoch_seconds for row in results.rows([]) if row.keras_example}
    v1 = {f"v1-{depth}-keras-example": s for depth, s in ((20, 35), (32, 50), (44, 70), (56, 90), (110, 165))}
    assert seconds == v1 | {"v2-56-keras-example": 100, "v2-110-keras-example": 180}
