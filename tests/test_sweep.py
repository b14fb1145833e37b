"""Sweeps: the file is checked whole, what is done is skipped, what was cut goes on, and no worker is left behind."""

import contextlib
import dataclasses
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

from resnet_lessons import data, machine, recipes, sweep, training
from resnet_lessons.cli import main
from resnet_lessons.specs import Spec
from resnet_lessons.sweep import SweepError, cluster, plan, spread
from resnet_lessons.sweep.plan import Plan, Planned
from resnet_lessons.training import provenance

import numpy as np
import psutil
import pytest
from at_epoch import AtEpoch
from command_line import WIDTH, process, refused, run
from hypothesis import given
from hypothesis import strategies as st

FILE = """
recipe = "short"
steps = 1600
seeds = [0, 1]
[[network]]
family = "plain"
n = [3, 9]
[[network]]
family = "v2"
depth = 29
smoke = true
seeds = [5]
precision = "float32"
[[network]]
family = "v1"
n = 3
block = "bottleneck"
recipe = "he2015"
"""


@pytest.fixture
def file(tmp_path):
    """Write a sweep's file and return its path."""

    def write(text):
        path = tmp_path / "mine.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


# The file


def test_a_file_is_networks_times_seeds(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = sweep.read(file(FILE))
    usual = recipes.get("short").resized(1600, epochs=None)
    he2015 = recipes.get("he2015").resized(1600, epochs=None)
    assert found.runs == (
        *(Planned(Spec("plain", depth), usual, seed) for depth in (20, 56) for seed in (0, 1)),
        Planned(Spec("v2", 29), recipes.get("short").smoke(), 5, "float32"),
        *(Planned(Spec("v1", 29, block="bottleneck"), he2015, seed) for seed in (0, 1)),
    )
    assert [one.name for one in found.runs][::2] == [
        "plain-20-short-1600-seed0",
        "plain-56-short-1600-seed0",
        "v2-29-short-smoke-seed5",
        "v1-29-bottleneck-he2015-1600-seed1",
    ]
    assert (found.out, found.data, found.source) == (tmp_path / "runs" / "mine", "cifar10", None)
    assert (found.cores, found.gpus) == (None, None)


def test_a_file_may_say_where_and_on_what(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = file('out = "a/b"\ndata = "mnist"\nsource = "d"\ncores = 2\ngpus = 0\n[[network]]\nfamily = "v1"\nn = 1')
    found = sweep.read(path)
    assert found.runs == (Planned(Spec("v1", 8, input_shape=(28, 28, 1)), recipes.get("short"), 0, data="mnist"),)
    assert (found.out, found.source, found.cores, found.gpus) == (tmp_path / "a" / "b", tmp_path / "d", 2, 0)
    assert sweep.read(path, out="c").out == tmp_path / "c"


def test_a_deep_network_is_warmed_up_as_the_recipe_says(file):
    [one] = sweep.read(file('recipe = "he2015"\n[[network]]\nfamily = "v1"\ndepth = 110')).runs
    assert one.recipe == recipes.get("he2015", 110) != recipes.get("he2015")


@pytest.mark.parametrize("name", data.NAMES)
def test_a_run_has_the_name_that_train_gives_it(file, name, monkeypatch, tmp_path):
    [one] = sweep.read(file(f'data = "{name}"\nsmoke = true\nseeds = [7]\n[[network]]\nfamily = "v1"\nn = 3')).runs
    images = np.zeros((1000, *one.spec.input_shape), np.uint8)
    stand_in = SimpleNamespace(
        x_train=images, y_train=images, y_test=images, class_names=range(10), name=name, source=""
    )
    outs = []
    monkeypatch.setattr(data, "load", lambda *_: stand_in)
    monkeypatch.setattr(
        training, "train", lambda *given, **_: outs.append(given[3]) or SimpleNamespace(test_error=0, seconds=0)
    )
    monkeypatch.chdir(tmp_path)
    assert run("train", "v1", "--n", 3, "--smoke", "--seed", 7, "--data", name).exit_code == 0
    assert outs == [Path("runs") / one.name]


NETWORK = '\n[[network]]\nfamily = "v1"\nn = 3\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("recipe = short", "mine.toml is not TOML: Invalid value .at line 1, column 10"),
        ("", r"mine.toml: it must have a \[\[network\]\] table for each network. Received: network = None"),
        ("network = 3", "Received: network = 3"),
        ("network = []", r"Received: network = \[\]"),
        ("recipes = 1" + NETWORK, "mine.toml: there is no key 'recipes'. Allowed are recipe, steps, smoke, seeds,"),
        ('recipe = "long"' + NETWORK, "mine.toml: recipe must be one of 'he2015', .* Received: 'long'"),
        ("steps = 0" + NETWORK, "mine.toml: steps must be a whole number of at least 1. Received: 0"),
        ("steps = true" + NETWORK, "steps must be a whole number of at least 1. Received: True"),
        ("smoke = 1" + NETWORK, "smoke must be true or false. Received: 1"),
        ("smoke = true\nsteps = 5" + NETWORK, "network 1: Give steps or smoke, not both"),
        ("seeds = 3" + NETWORK, "seeds must be a list of different whole numbers from 0 to 4294967295.* Received: 3"),
        ("seeds = []" + NETWORK, r"Received: \[\]"),
        ("seeds = [1, 1]" + NETWORK, r"Received: \[1, 1\]"),
        ("seeds = [-1]" + NETWORK, r"Received: \[-1\]"),
        ("seeds = [4294967296]" + NETWORK, r"Received: \[4294967296\]"),
        ('precision = "float16"' + NETWORK, "precision must be one of 'auto'"),
        ('data = "svhn"' + NETWORK, "data must be one of 'cifar10', 'mnist', 'shapes10'. Received: 'svhn'"),
        ('out = ""' + NETWORK, "out must be the name of a folder. Received: ''"),
        ("source = 1" + NETWORK, "source must be the name of a file or a folder. Received: 1"),
        ("cores = 0" + NETWORK, "cores must be a whole number of at least 1. Received: 0"),
        ("gpus = -1" + NETWORK, "gpus must be 0 or 1, as a run of a sweep trains on one device. Received: -1"),
        ("gpus = 2" + NETWORK, "gpus must be 0 or 1, as a run of a sweep trains on one device. Received: 2"),
        ("[[network]]\nn = 3", "mine.toml, network 1: it lacks family, one of 'plain', 'v1', 'v2'"),
        (NETWORK + '[[network]]\nfamily = "v3"', "network 2: family must be one of .* Received: 'v3'"),
        (NETWORK + "width = 32", "network 1: there is no key 'width'. Allowed are"),
        ('[[network]]\nfamily = "v1"', "network 1: Give the size of the network once: .* Received: neither"),
        (NETWORK + "depth = 20", "network 1: Give the size of the network once: .* Received: n=3 and depth=20"),
        ('[[network]]\nfamily = "v1"\ndepth = [20, 21]', r"network 1: A v1 net of basic blocks has 6n\+2 layers.*=21"),
        ('[[network]]\nfamily = "v1"\nn = []', r"network 1: n must be a whole number .* Received: \[\]"),
        ('[[network]]\nfamily = "v1"\nn = [3, 3]', r"network 1: n must be .* Received: \[3, 3\]"),
        ('[[network]]\nfamily = "v1"\nn = 3.0', r"network 1: n must be .* Received: 3\.0"),
        ('[[network]]\nfamily = "plain"\nn = 3\nshortcut = "A"', "network 1: A plain net has no shortcuts"),
        (NETWORK + 'block = "wide"', "network 1: block must be one of 'basic', 'bottleneck'. Received: 'wide'"),
        (NETWORK + NETWORK, "network 2: v1-20-short-seed0 is asked for already by network 1"),
        (NETWORK + NETWORK + 'precision = "float32"', "Runs are told apart by network, recipe and seed"),
    ],
)
def test_an_error_names_the_table_the_key_what_was_received_and_what_is_allowed(file, text, said):
    with pytest.raises(SweepError, match=said):
        sweep.read(file(text))


def test_a_file_may_begin_with_the_mark_that_windows_puts_before_a_text(tmp_path):
    (tmp_path / "x.toml").write_text(NETWORK, encoding="utf-8-sig")
    assert len(sweep.read(tmp_path / "x.toml").runs) == 1


def test_a_file_that_is_no_text_or_missing_is_refused(tmp_path):
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SweepError, match=r"x\.toml is not TOML"):
        sweep.read(tmp_path / "x.toml")
    said = refused(run("sweep", tmp_path / "y.toml"))
    assert "y.toml cannot be read (No such file or directory). Name a TOML file that says what to run; an ex" in said


def toml(value):
    """Write a value as TOML does; JSON's texts, lists and numbers are TOML's."""
    return json.dumps(value)


JUNK = st.one_of(
    st.booleans(),
    st.integers(-3, 30),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "v1", "plain", "short", "A", "basic", "paper", "conv", "mnist", "float32", "full-pre"]),
    st.lists(st.integers(-1, 9), max_size=3),
)
KEYS = [*plan._TOP, *plan._NETWORK, "width", "name"]


@given(
    top=st.dictionaries(st.sampled_from(KEYS), JUNK, max_size=3),
    networks=st.lists(st.dictionaries(st.sampled_from(KEYS), JUNK, max_size=4), max_size=3),
)
def test_whatever_a_file_holds_it_is_a_plan_or_refused(tmp_path_factory, top, networks):
    lines = [f"{key} = {toml(value)}" for key, value in top.items()]
    for network in networks:
        lines += [
            "[[network]]",
            *(f"{key} = {toml(value)}" for key, value in ({"family": "v1", "n": 2} | network).items()),
        ]
    path = tmp_path_factory.getbasetemp() / "junk.toml"
    path.write_text("\n".join(lines))
    try:
        names = [one.name for one in sweep.read(path).runs]
    except SweepError as error:
        names = [str(error).partition("junk.toml")[1]]  # where the fault is
    assert len(set(names)) == len(names) >= 1
    assert all(names)


def test_the_example_in_the_help_is_a_file_that_can_be_read(file):
    help_text = main.commands["sweep"].help
    example = help_text.partition("\b\n")[2].partition("\n\n")[0]
    assert [one.name for one in sweep.read(file(example)).runs] == [
        *(f"plain-{depth}-short-seed{seed}" for depth in (20, 56) for seed in (0, 1, 2)),
        *(f"v1-{depth}-short-seed0" for depth in (20, 56)),
    ]


# What is done already


@pytest.fixture(scope="module")
def digits():
    return data.load("mnist")


@pytest.fixture(scope="module")
def done(tmp_path_factory, digits):
    """A plan of two runs, one of which is finished and one stopped after its first epoch; no test may write to it."""
    out = tmp_path_factory.mktemp("standing") / "out"
    spec, recipe = Spec("plain", 8, input_shape=(28, 28, 1)), recipes.get("short").smoke()
    found = Plan(tuple(Planned(spec, recipe, seed, data="mnist") for seed in (0, 1, 2)), out, "mnist")

    second = threading.Event()
    for one, watch in zip(
        found.runs, ({}, {"stop": second, "callbacks": [AtEpoch(2, lambda _: second.set())]}), strict=False
    ):
        training.train(one.spec, one.recipe, digits, out / one.name, one.seed, progress=None, **watch)
    assert training.RunFolder(out / found.runs[1].name).restore()[1] == 1  # epochs
    return found


@pytest.fixture
def begun(done, tmp_path):
    """A copy of it."""
    return dataclasses.replace(done, out=Path(shutil.copytree(done.out, tmp_path / "out")))


def test_finished_unfinished_and_new_runs_are_told_apart(begun, digits):
    held = list(sweep.standing(begun, digits).values())
    assert [one.state for one in held] == ["finished", "unfinished", "new"]
    record = json.loads((begun.out / begun.runs[0].name / "run.json").read_text())
    assert held[0].test_error == record["result"]["test_error"]
    assert held[0].hours == pytest.approx(record["result"]["seconds"] / 3600)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"seed": 3}, r"holds another run than the sweep's: seed is 3, asked for is [01]\."),
        ({"precision": "float32"}, None),
        ({"data": {"sha256": "0" * 64}}, r"data is 000000000000, asked for is \w{12} \(MNIST, 5,000 digits\)"),
        ({"strategy": "mirrored"}, "strategy is mirrored, asked for is None"),
        ({"spec": {"depth": 14}}, "spec's depth is 14, asked for is 8"),
        ({"recipe": {"momentum": 0.5}, "seed": 4}, "recipe's momentum is 0.5, asked for is 0.9; seed is 4, asked for"),
        ({"deterministic": None}, "cannot be read"),
        ({"spec": 3}, "cannot be read"),
        ({"recipe": {"unknown": 3}}, "cannot be read"),
    ],
    ids=str,
)
@pytest.mark.parametrize("number", [0, 1])
def test_a_folder_that_holds_another_run_is_refused_before_anything_starts(begun, digits, values, said, number):
    folder = begun.out / begun.runs[number].name
    record = json.loads((folder / "run.json").read_text())
    for key, value in values.items():
        record[key] = record[key] | value if isinstance(value, dict) else value
    (folder / "run.json").write_text(json.dumps(record))
    if said is None:  # whatever a machine has chosen goes on where precision is left to it
        sweep.standing(begun, digits)
        return
    with pytest.raises(SweepError, match=said) as refusal:
        sweep.run(begun, digits)
    assert str(folder) in str(refusal.value)


def test_another_precision_is_refused_where_one_is_asked_for(begun, digits):
    stored = json.loads((begun.out / begun.runs[0].name / "run.json").read_text())["precision"]
    other = {"float32": "mixed_bfloat16", "mixed_bfloat16": "float32"}[stored]
    asked = [dataclasses.replace(one, precision=other) for one in begun.runs]
    with pytest.raises(SweepError, match=r"precision is .*, asked for is "):
        sweep.standing(dataclasses.replace(begun, runs=tuple(asked)), digits)


def test_a_damaged_finished_run_is_refused(begun, digits):
    (begun.out / begun.runs[0].name / "log.jsonl").write_text("")
    with pytest.raises(SweepError, match=r"log\.jsonl: is empty or its last line was cut\. Restore the folder"):
        sweep.standing(begun, digits)


def test_a_recipe_that_holds_back_more_than_there_is_is_refused(begun, digits):
    short = dataclasses.replace(begun.runs[0], recipe=recipes.get("short"))
    with pytest.raises(SweepError, match="holds 5,000 images back and MNIST, 5,000 digits has 4,000"):
        sweep.run(dataclasses.replace(begun, runs=(short,)), digits)


# Cores and GPUs


TWO_CORES, EIGHT, GPUS = {"CPU": 2.0}, {"CPU": 8.0}, {"CPU": 16.0, "GPU": 4.0}


@pytest.mark.parametrize(
    ("nodes", "asked", "parallel", "cores", "gpus", "room"),
    [
        ([TWO_CORES], {}, None, 2, 0, 1),  # a laptop: one at a time, with all it has
        ([TWO_CORES], {}, 2, 1, 0, 2),
        ([TWO_CORES], {}, 5, 1, 0, 2),
        ([EIGHT], {"cores": 3}, None, 3, 0, 2),
        ([EIGHT], {"cores": 3}, 1, 3, 0, 1),
        ([GPUS], {}, None, 4, 1, 4),  # a run for each GPU
        ([GPUS], {}, 2, 4, 1, 2),
        ([GPUS], {"gpus": 1, "cores": 8}, None, 8, 1, 2),
        ([GPUS], {"gpus": 0}, None, 16, 0, 1),
        ([{"CPU": 4.0}, GPUS], {}, None, 4, 1, 4),  # the machine without GPUs stays idle
        ([EIGHT, EIGHT, TWO_CORES], {}, None, 2, 0, 9),  # what fits the smallest fits all
        ([EIGHT, EIGHT], {}, 4, 4, 0, 4),
        ([{"CPU": 0.0}, EIGHT], {}, None, 8, 0, 1),  # a head that computes nothing
    ],
)
def test_runs_share_what_there_is(nodes, asked, parallel, cores, gpus, room):
    wanted = Plan((), Path("x"), **asked)
    assert cluster.share(nodes, wanted, parallel) == (cores, gpus)
    assert cluster.room(nodes, cores, gpus, parallel) == room


@pytest.mark.parametrize(
    ("nodes", "asked", "said"),
    [
        ([TWO_CORES], {"cores": 4}, "cores = 4 and gpus = 0. Cores and GPUs found: 2 and 0."),
        ([TWO_CORES], {"gpus": 1}, "cores = 1 and gpus = 1. Cores and GPUs found: 2 and 0."),
        ([], {}, "No machine has room"),
    ],
)
def test_what_fits_nowhere_is_refused(nodes, asked, said):
    with pytest.raises(SweepError, match=re.escape(said)):
        cluster.share(nodes, Plan((), Path("x"), **asked))


@given(
    nodes=st.lists(
        st.fixed_dictionaries({"CPU": st.integers(1, 64).map(float), "GPU": st.integers(0, 8).map(float)}), min_size=1
    ),
    parallel=st.none() | st.integers(1, 20),
)
def test_no_node_is_given_more_than_it_has(nodes, parallel):
    cores, gpus = cluster.share(nodes, Plan((), Path("x")), parallel)
    room = cluster.room(nodes, cores, gpus, parallel)
    assert 1 <= room <= (parallel or room)
    placed = 0  # one run after another, each on the first node that has what it needs
    free = [dict(node) for node in nodes]
    while node := next((n for n in free if n["CPU"] >= cores and n["GPU"] >= gpus), None):
        node["CPU"] -= cores
        node["GPU"] -= gpus
        placed += 1
    assert room == min(placed, parallel or placed)
    assert gpus == int(any(node["GPU"] for node in nodes))


# Ray and clusters


def test_without_ray_the_command_that_installs_it_is_named(begun, digits, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SweepError, match=re.escape('python -m pip install -e ".[sweep]"')):
        sweep.run(begun, digits)


def test_what_is_finished_needs_no_ray(begun, digits, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    said = []
    [outcome] = sweep.run(dataclasses.replace(begun, runs=begun.runs[:1]), digits, tell=said.append)
    assert (outcome.state, outcome.name) == ("skipped", begun.runs[0].name)
    assert said == [f"finished  {outcome.name} before: test error {outcome.test_error:.2%}, {outcome.hours:.2f} h"]


@pytest.mark.parametrize("address", ["nonsense", "host", "http://host:1", "host:port", ":6379", "ray://host"])
def test_an_address_that_is_none_is_refused_at_once(file, address, monkeypatch):
    monkeypatch.setattr(data, "load", lambda *_: pytest.fail("it was refused too late"))
    said = "address must be 'auto', 'host:port' or 'ray://host:port'"
    with pytest.raises(SweepError, match=said), cluster.connected(address):
        pytest.fail("it was accepted")
    assert said in refused(run("sweep", file(NETWORK), "--dry-run", "--address", address))


def test_where_nothing_answers_the_wait_is_short():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        cluster._knock(f"127.0.0.1:{port}")
        cluster._knock(f"ray://127.0.0.1:{port}")
    with pytest.raises(SweepError, match=f"Nothing answers at 127.0.0.1:{port}"):
        cluster._knock(f"127.0.0.1:{port}")
    with pytest.raises(SweepError, match=r"Nothing answers at .*:99999"):
        cluster._knock("127.0.0.1:99999")


class Cluster:
    """As much of the module ``ray`` as a sweep uses, of a cluster whose workers train within this process."""

    def __init__(self, error=None):
        self.error, self.said = error, []

    def init(self, **options):
        self.said.append(options)
        if self.error:
            raise self.error

    def shutdown(self):
        self.said.append("shut down")

    def nodes(self):
        return [{"Alive": True, "Resources": {"CPU": 3.0}}, {"Alive": False, "Resources": {"CPU": 8.0}}]

    def remote(self, **options):
        self.said.append(options)
        return lambda function: SimpleNamespace(remote=lambda task: tuple(function(task).items()))

    def wait(self, references, **_):
        return references[:1], references[1:]

    def get(self, reference):
        return dict(reference)


def test_a_sweep_runs_on_the_cluster_at_an_address(file, digits, tmp_path, monkeypatch):
    ray, trained = Cluster(), []
    monkeypatch.setattr(cluster, "_imported", lambda: ray)
    monkeypatch.setattr(spread, "_confine", trained.append)
    monkeypatch.setattr(training, "train", lambda *_, **__: SimpleNamespace(test_error=0.25, seconds=7200))
    path = file('data = "mnist"\nsmoke = true\nseeds = [1]\n[[network]]\nfamily = "plain"\nn = 1')
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        shown = run("sweep", path, "--out", tmp_path / "out", "--address", address)
    assert shown.exit_code == 0, shown.output
    first, worker, last = ray.said
    assert (first["address"], last) == (address, "shut down")
    assert worker == {"max_calls": 1, "max_retries": 0, "num_cpus": 3, "num_gpus": 0}
    [task] = trained
    assert (task.cores, task.digest, task.folder) == (3, digits.digest, str(tmp_path / "out" / task.run.name))
    assert shown.stdout.splitlines()[-4:] == [
        f"connecting to the cluster at {address}",
        "1 run at once, each on 3 cores",
        f"started   {task.run.name}",
        f"finished  {task.run.name}: test error 25.00%, 2.00 h",
    ]


def test_a_cluster_that_cannot_be_used_is_told(monkeypatch):
    monkeypatch.setattr(cluster, "_imported", lambda: Cluster(ConnectionError("version mismatch")))
    said = re.escape("No Ray cluster could be used at the address 'auto' (version mismatch). To run the sweep on this")
    with pytest.raises(SweepError, match=said), cluster.connected("auto"):
        pytest.fail("it was used")


def test_a_worker_that_finds_other_data_says_so(digits, monkeypatch, tmp_path):
    monkeypatch.setattr(spread, "_confine", lambda _: None)
    one = Planned(Spec("plain", 8, input_shape=(28, 28, 1)), recipes.get("short").smoke(), 0)
    task = spread.Task(one, str(tmp_path / "x"), "mnist", None, "0" * 64, 1, 0)
    answer = spread.train_one(task)
    assert answer["state"] == "failed"
    assert answer["reason"].startswith(f"The worker finds other data than the sweep is on: {digits.source}")
    assert not (tmp_path / "x").exists()


def test_a_worker_records_the_cores_that_it_was_given(monkeypatch):
    for name in ("TF_NUM_INTRAOP_THREADS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.setenv(name, "0")  # all of them; and undone in the end
    whole = machine.usable_cores()
    assert provenance.hardware()["cores"] == whole
    for cores in (1, 1000):
        spread._confine(spread.Task(None, "x", "mnist", None, "", cores, 0))
        assert provenance.hardware()["cores"] == min(cores, whole)


class SlowRay:
    """A Ray whose first starts fail as on a busy machine, or for another reason."""

    def __init__(self, *failures):
        self.failures, self.calls = list(failures), []

    def init(self, **_):
        self.calls.append("init")
        if self.failures:
            raise Exception(self.failures.pop(0))

    def shutdown(self):
        self.calls.append("shutdown")

    def is_initialized(self):
        return False


LATE = "The current node timed out during startup. This could happen because"


def test_a_ray_that_starts_too_late_is_started_once_more(monkeypatch):
    ray = SlowRay(LATE)
    monkeypatch.setattr(cluster, "_imported", lambda: ray)
    with cluster.connected() as given:
        assert given is ray
    assert ray.calls == ["init", "shutdown", "init", "shutdown"]


@pytest.mark.parametrize(
    ("failures", "error", "starts"),
    [((LATE, LATE), SweepError, 2), (("no room",), Exception, 1), ((LATE, "no room"), Exception, 2)],
)
def test_a_ray_that_does_not_start_is_told(monkeypatch, failures, error, starts):
    ray = SlowRay(*failures)
    monkeypatch.setattr(cluster, "_imported", lambda: ray)
    said = "did not start .*timed out.* run the sweep again" if error is SweepError else "no room"
    with pytest.raises(error, match=said), cluster.connected():
        pytest.fail("it is not connected")
    assert ray.calls.count("init") == starts
    assert ray.calls[-1] == "shutdown"


def test_it_is_said_that_cores_bind_tensorflow_alone():
    for text in (main.commands["sweep"].help, plan.Plan.__doc__, spread.Task.__doc__):
        said = " ".join(text.split())
        assert re.search(r"TensorFlow (alone )?keeps to them|Only TensorFlow keeps a run to its cores", said)


# The command


def test_the_command_that_watches_a_sweep_stands_whole_on_a_line(file, tmp_path):
    path = file('data = "mnist"\nsmoke = true\n[[network]]\nfamily = "plain"\nn = 1')
    out = tmp_path / ("d" * 60) / ("my " + "e" * 60)
    lines = run("sweep", path, "--out", out, "--dry-run").stdout.splitlines()
    assert f"To watch: resnet-lessons results '{out}'" in lines
    assert max(len(line) for line in lines if "d" * 60 not in line) <= WIDTH


def test_a_dry_run_lists_the_runs_and_starts_nothing(begun, file, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    path = file('data = "mnist"\nsmoke = true\nseeds = [0, 1, 2]\n[[network]]\nfamily = "plain"\nn = 1')
    before = sorted(begun.out.rglob("*"))
    shown = run("sweep", path, "--out", begun.out, "--dry-run")
    assert shown.exit_code == 0
    assert "3: 1 finished, 1 new, 1 unfinished" in shown.stdout
    rows = [line.split() for line in shown.stdout.splitlines() if line.startswith("plain-8")]
    assert rows == [
        [one.name, "8", "20", "32", str(one.seed), state]
        for one, state in zip(begun.runs, ("finished", "unfinished", "new"), strict=True)
    ]
    assert max(len(line) for line in shown.stdout.splitlines() if str(begun.out) not in line) <= WIDTH
    assert sorted(begun.out.rglob("*")) == before


def test_a_sweep_is_not_trained_on_what_stands_in_for_its_data(file, digits, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "load", lambda *_: dataclasses.replace(digits, name="shapes10"))
    path = file(NETWORK)
    for arguments in ((), ("--dry-run",)):
        assert refused(run("sweep", path, "--out", tmp_path / "out", *arguments)) == (
            "error: No cifar10 was found, and a sweep of it must not train on shapes10. To get it: resnet-lessons data "
            f'fetch cifar10. To train on shapes10, write data = "shapes10" in {path}.\n'
        )
    assert not (tmp_path / "out").exists()


def test_a_sweep_of_which_a_run_fails_ends_with_a_list_and_exit_code_1(file, tmp_path, monkeypatch):
    outcomes = [spread.Outcome("a", "failed", reason="x"), spread.Outcome("b", "finished", 0.5, 1.0)]
    monkeypatch.setattr(sweep, "run", lambda *_, **__: outcomes)
    said = refused(run("sweep", file('data = "mnist"\nsmoke = true' + NETWORK), "--out", tmp_path / "out"))
    assert said == "error: 1 of 2 runs failed: a. The same command tries them again; what diverged will do so again.\n"


def test_a_failure_and_a_success_are_one_line_each():
    assert spread.Outcome("a", "failed", reason="it diverged").words() == "failed    a: it diverged"
    assert spread.Outcome("b", "finished", 0.125, 1.5).words() == "finished  b: test error 12.50%, 1.50 h"


# With Ray


SMALL = """
data = "mnist"
recipe = "minute"
steps = 42
seeds = [0, 1, 2]
precision = "float32"
[[network]]
family = "plain"
n = 1
"""


def read_into(stream, lines):
    """Read a stream's lines as they come, in a thread."""
    thread = threading.Thread(target=lambda: lines.extend(stream), daemon=True)
    thread.start()
    return thread


def wait_for(condition, child, seconds=300):
    deadline = time.monotonic() + seconds
    while not condition():
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(processes):
    """Those that still run."""
    found = []
    for one in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if one.is_running() and one.status() != psutil.STATUS_ZOMBIE:
                found.append(one)
    return found


def listening(processes):
    """The addresses that processes listen at."""
    addresses = set()
    for one in processes:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            connections = one.net_connections("tcp")
            addresses |= {c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN}
    return addresses


def temporary_folders(processes):
    """The folders that Ray's processes were told to keep their files in."""
    words = [word for one in processes for word in one.cmdline()]
    return {Path(match[0]) for word in words if (match := re.search(r"/[^=]*/ray-\w+", word))}


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home of the test's own, and workers that are as quick as the test: Ray's usual ones give way to others."""
    monkeypatch.setenv("RAY_worker_niceness", "0")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent the POSIX way")
def test_an_interrupted_sweep_goes_on_where_it_was(file, tmp_path, digits, home):
    pytest.importorskip("ray", reason='Ray is not installed: python -m pip install -e ".[sweep]"')
    out, path = tmp_path / "out", file(SMALL)
    first, *others = sweep.read(path, out).runs
    training.train(first.spec, first.recipe, digits, out / first.name, 0, "float32", progress=None)
    finished = {entry.name: entry.read_bytes() for entry in (out / first.name).iterdir()}

    child = process("sweep", path, "--out", out, "--parallel", 2, start_new_session=True)
    lines = []
    reader = read_into(child.stdout, lines)
    wait_for(lambda: any(out.glob("*/checkpoint.npz")), child)
    workers = psutil.Process(child.pid).children(recursive=True)
    addresses, folders = listening(workers), temporary_folders(workers)
    os.killpg(child.pid, signal.SIGINT)  # as a terminal does
    with child:  # closes its pipes
        errors = child.stderr.read()
        reader.join()
    assert child.returncode == 130, errors
    assert re.fullmatch(r"Interrupted: .*\bunfinished. To go on, give the same command again\.\n", errors)
    assert alive(workers) == []
    assert addresses
    assert addresses <= {"127.0.0.1", "::ffff:127.0.0.1"}
    assert next(line.split()[1] for line in lines if line.startswith("started")) == others[0].name
    cut = [one.name for one in others if (out / one.name / "checkpoint.npz").exists()]
    assert cut

    with process("sweep", path, "--out", out, "--parallel", 2) as child:
        lines, workers = [], set()
        for line in child.stdout:
            lines.append(line)
            workers.update(psutil.Process(child.pid).children(recursive=True))
        errors = child.stderr.read()
    assert (child.returncode, errors) == (0, "")
    assert alive(workers) == []
    assert {line.split()[1].rstrip(":") for line in lines if line.startswith("finished")} == {
        one.name for one in (first, *others)
    }
    assert any(line.startswith(f"finished  {first.name} before: ") for line in lines)
    assert {entry.name: entry.read_bytes() for entry in (out / first.name).iterdir()} == finished
    for one in others:
        record = json.loads((out / one.name / "run.json").read_text())
        assert ("resumed" in record) == (one.name in cut)
        assert record["result"]["test_error"] <= 1
        assert record["data"]["sha256"] == digits.digest
    assert folders
    assert not any(map(Path.exists, folders))
    assert not (home / ".ray").exists()


@pytest.fixture
def heard():
    """Handlers of Ctrl-C and SIGTERM that list them, where a signal that is let through would end these tests."""
    signals = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda number, _: signals.append(number)) for number in numbers}
    yield signals
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.skipif(os.name == "nt", reason="signals are sent the POSIX way")
@pytest.mark.parametrize("sent", [(), (signal.SIGINT, signal.SIGTERM)], ids=["none", "both"])
def test_an_interrupt_does_not_cut_the_shutdown_short_and_is_told(heard, sent):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    before = set(psutil.Process().children(recursive=True)) - {psutil.Process(child.pid)}

    def shutdown():
        for number in sent:
            os.kill(os.getpid(), number)

    try:
        ray = SimpleNamespace(is_initialized=lambda: False, shutdown=shutdown)
        assert cluster._shut_down(ray, before) is bool(sent)
        assert child.poll() is not None
    finally:
        child.kill()
        child.wait()
    assert heard == []
    os.kill(os.getpid(), signal.SIGTERM)
    assert heard == [signal.SIGTERM]  # the handlers are back


def test_an_interrupt_between_two_attempts_to_start_ends_the_sweep(monkeypatch):
    def init(**_):
        raise RuntimeError("The current node timed out during startup.")

    monkeypatch.setattr(cluster, "_imported", lambda: SimpleNamespace(init=init))
    monkeypatch.setattr(cluster, "_shut_down", lambda *_: True)
    with pytest.raises(KeyboardInterrupt), contextlib.ExitStack() as stack:
        cluster._local(stack)


def test_a_worker_that_is_lost_or_breaks_is_a_failed_run():
    ray = pytest.importorskip("ray", reason='Ray is not installed: python -m pip install -e ".[sweep]"')

    class Answers:
        exceptions = ray.exceptions

        def get(self, reference):
            raise reference

    lost = spread._outcome(Answers(), "a", ray.exceptions.WorkerCrashedError())
    assert (lost.name, lost.state) == ("a", "failed")
    assert lost.reason == f"{spread.WORKER_GONE} (WorkerCrashedError)"
    broken = ray.exceptions.RayTaskError("train_one", "Traceback ...", KeyError("x"))
    assert spread._outcome(Answers(), "b", broken).reason == "KeyError: 'x'"
