"""Every figure shown of a recorded run, worked out again from its files: plain JSON, none of the package's code.

``complaints`` takes a table as text and the folder of the records; made-up records are its controls.
"""

import hashlib
import json
import re
import shutil
import statistics
import subprocess
import sys
import zipfile
from pathlib import Path

from resnet_lessons import results
from resnet_lessons.specs import Spec

import pytest
import recorded_runs

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "resnet_lessons" / "recorded"
HEADINGS = {  # of the columns whose figures come from a log or a summary
    "network": "network",
    "which one exactly": "exactly",
    "parameters": "parameters",
    "recorded here: test error, %": "test",
    "recorded here: training error in the last epoch, %": "train",
    "recipe": "recipe",
    "recorded on": "data",
    "precision": "precision",
    "hardware": "hardware",
    "seconds an epoch, recorded": "epoch",
    "hours a run": "hours",
}


def runs(folder):
    """Return (run.json, log.jsonl) of every record, as plain values."""
    found = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    return [
        (
            json.loads((path / "run.json").read_text()),
            [json.loads(line) for line in (path / "log.jsonl").read_text().splitlines()],
        )
        for path in found
    ]


def worked_out(folder):
    """Return what a table has to show of each group of seeds on CIFAR-10: a list of dicts of texts."""
    groups = {}
    for run, log in runs(folder):
        if run["data"]["name"] == "cifar10":
            same = [run["spec"], run["recipe"], run["precision"], run["strategy"], run["data"]]
            groups.setdefault(json.dumps(same, sort_keys=True), []).append((run, log))
    return [_figures(group) for group in groups.values()]


def _figures(group):
    run = group[0][0]
    images, batch = run["data"]["training_images"], run["recipe"]["batch_size"]
    updates = (images + batch - 1) // batch
    paces, spent = {}, {}  # of each machine: of all its lines, and of each run that it had
    for number, (one, log) in enumerate(group):
        before, machine = 0, _machine(one)
        for line in log:
            for part in one.get("resumed", []):
                machine = _machine(part) if part["epoch"] == line["epoch"] - 1 else machine
            paces.setdefault(machine, []).append(line["seconds"] / (line["step"] - before))
            hours = spent.setdefault(machine, {})
            hours[number] = hours.get(number, 0) + line["seconds"] / 3600
            before = line["step"]
    return {
        **_network(run["spec"]),
        "precision": {"float32": "float32", "mixed_bfloat16": "bfloat16"}[run["precision"]],
        "parameters": f"{run['result']['parameters']:,}",
        "test": _percent([one["result"]["test_error"] for one, _ in group]),
        "train": _percent([log[-1]["train_error"] for _, log in group]),
        "recipe": f"{run['recipe']['name']}, {run['recipe']['steps']:,} updates",
        "data": run["data"]["source"].split(":")[0],
        "hardware": "; ".join(paces),
        "epoch": "; ".join(f"{updates * statistics.median(own):.0f}" for own in paces.values()),
        "hours": "; ".join(f"{sum(own.values()) / len(own):.2f}" for own in spent.values()),
    }


def _network(spec):
    """Return the two columns that tell networks apart."""
    name = f"plain-{spec['depth']}" if spec["family"] == "plain" else f"ResNet-{spec['depth']} {spec['family']}"
    example = spec["style"] == "keras-example"
    parts = ["pairs" if spec["family"] == "plain" else spec["block"]]
    parts[0] += " 16/64/128" if example and spec["family"] == "v2" else " 16/32/64"
    parts += [f"shortcut {spec['shortcut']}"] * (spec["shortcut"] is not None)
    parts += ["conv biases, softmax"] * example
    parts += [f"skip: {spec['skip']}"] * (spec["skip"] != "identity")
    parts += [f"order: {spec['order']}"] * (spec["order"] != ("full-pre" if spec["family"] == "v2" else "original"))
    return {"network": name + " of the Keras example" * example, "exactly": ", ".join(parts)}


def _machine(part):
    hardware = part["hardware"]
    return ", ".join(hardware["accelerators"]) or f"{hardware['processor']}, {hardware['cores']} cores"


def _percent(parts):
    mean = 100 * sum(parts) / len(parts)
    if len(parts) == 1:
        return f"{mean:.2f} (1)"
    deviation = (sum((100 * part - mean) ** 2 for part in parts) / (len(parts) - 1)) ** 0.5
    return f"{mean:.2f} ± {deviation:.2f} ({len(parts)})"


def shown(table):
    """Return what a GitHub table shows of recorded runs: a list of dicts of texts."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:1] == "|"]
    rows = [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]
    rows = [row for row in rows if row["recorded here: test error, %"]]
    return [{HEADINGS[heading]: cell for heading, cell in row.items() if heading in HEADINGS} for row in rows]


def complaints(table, folder):
    """Tell which rows a table has that the files do not give, and which it lacks."""
    rows, expected = shown(table), worked_out(folder)
    if rows:
        expected = [{key: one[key] for key in rows[0]} for one in expected]
    said = [f"{row} follows from no record" for row in rows if row not in expected]
    return said + [f"{row} is not shown" for row in expected if row not in rows]


def test_the_figures_of_the_table_follow_from_the_files():
    assert complaints(results.table(), FOLDER) == []


def test_the_figures_of_the_readme_follow_from_the_files():
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    table = page.partition("<!-- begin: make table -->")[2].partition("<!-- end: make table -->")[0]
    assert "recorded here" in table
    assert complaints(table, FOLDER) == []


def edited(folder):
    """Tell which files of the records are not those of SHA256SUMS, which it lacks, and which it names for nothing."""
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    noted = {name: digest for digest, name in (line.split("  ") for line in lines)}
    files = [path for path in folder.glob("*/*") if path.is_file()]
    found = {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    return sorted({name for name in noted | found if noted.get(name) != found.get(name)})


def test_what_ships_is_as_it_was_taken_in():
    assert edited(FOLDER) == []


def test_what_ships_was_trained_by_code_of_a_commit():
    for run, _ in runs(FOLDER):
        for part in [run, *run.get("resumed", [])]:
            assert part["git"]["changed"] is False
            assert re.fullmatch("[0-9a-f]{40}", part["git"]["commit"])


def test_what_ships_names_no_place_on_the_machine_that_made_it():
    for run, _ in runs(FOLDER):
        assert not re.search(r'["\s(]/\w', json.dumps(run))


# The checker itself


@pytest.fixture
def folder(tmp_path):
    """Made-up records: two seeds, one with a slow epoch, a run that changed machines, and one on shapes10."""
    slow = recorded_runs.log()
    slow[0]["seconds"] = 4000.0
    drawn = recorded_runs.run()["data"] | {"name": "shapes10", "source": "shapes10: drawn"}
    recorded_runs.write(tmp_path / "records" / "a", recorded_runs.run(seed=0))
    recorded_runs.write(tmp_path / "records" / "b", recorded_runs.run(slow, seed=1, test_wrong=1_700), slow)
    gpu = {"processor": "x", "cores": 8, "accelerators": ["A100"]}
    moved = {"epoch": 1, **recorded_runs.SURROUNDINGS, "hardware": gpu}
    lines = recorded_runs.log()
    lines[1]["seconds"] = 2000.0
    begun = recorded_runs.run(lines, spec=Spec("plain", 20), resumed=[moved])
    recorded_runs.write(tmp_path / "records" / "c", begun, lines)
    recorded_runs.write(tmp_path / "records" / "d", recorded_runs.run(data=drawn))
    return tmp_path / "records"


def test_a_right_table_passes(folder):
    assert complaints(results.table(results.load(folder)), folder) == []
    assert len(shown(results.table(results.load(folder)))) == 2
    short = results.table(results.load(folder), columns=results.SHORT, recorded_only=True)
    assert complaints(short, folder) == []


def change(folder, **result):
    path = folder / "run.json"
    run = json.loads(path.read_text())
    run["result"] |= result
    path.write_text(json.dumps(run))


def test_a_changed_figure_and_a_missing_row_are_told(folder):
    table = results.table(results.load(folder))
    change(folder / "b", test_error=0.1711)
    assert len(complaints(table, folder)) == 2
    change(folder / "b", test_error=0.17)
    assert complaints(table, folder) == []
    change(folder / "c", parameters=269_723)
    assert "269,722" in complaints(table, folder)[0]
    shutil.rmtree(folder / "c")
    [said] = complaints(table, folder)
    assert "follows from no record" in said
    [said] = complaints(results.table([]), folder)
    assert "is not shown" in said


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("18.00 ±", "18.01 ±"),
        ("± 1.41", "± 1.40"),
        ("(2)", "(3)"),
        ("704 updates", "8,000 updates"),
        ("2 cores", "4 cores"),
        ("269,722", "269,723"),
        (" 0.56 ", " 0.55 "),
        ("10; 2000", "2000; 10"),
        ("0.00; 0.56", "0.56; 0.00"),
        ("2 cores; A100", "A100; 2 cores"),
        ("CIFAR-10, original", "CIFAR-10, JPEG re-encoding"),
    ],
)
def test_a_table_that_was_edited_is_told(folder, old, new):
    table = results.table(results.load(folder))
    assert old in table
    assert complaints(table.replace(old, new), folder)


def test_an_edited_a_missing_and_an_added_file_are_told(tmp_path):
    records = shutil.copytree(FOLDER, tmp_path / "records")
    log = records / "plain-20-short-seed0" / "log.jsonl"
    log.write_text(log.read_text().replace('"val_error": 0.', '"val_error": 0.0', 1))
    (records / "plain-32-short-seed0" / "run.json").unlink()
    (records / "v1-20-short-seed1" / "model.weights.h5").touch()
    names = ["plain-20-short-seed0/log.jsonl", "plain-32-short-seed0/run.json", "v1-20-short-seed1/model.weights.h5"]
    assert edited(records) == names


# What a wheel holds


def test_a_wheel_holds_records_weights_and_hashes(tmp_path):
    source = tmp_path / "source"
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        source.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, source)
    ignored = shutil.ignore_patterns("__pycache__", "recorded")
    package = shutil.copytree(ROOT / "resnet_lessons", source / "resnet_lessons", ignore=ignored)
    recorded_runs.write(package / "recorded" / "a")
    (package / "recorded" / "a" / "model.weights.h5").touch()
    (package / "recorded" / "SHA256SUMS").touch()
    code = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=source, capture_output=True, check=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = {name for name in wheel.namelist() if "/recorded/" in name}
    files = ("SHA256SUMS", "a/run.json", "a/log.jsonl", "a/model.weights.h5")
    assert names == {f"resnet_lessons/recorded/{file}" for file in files}
