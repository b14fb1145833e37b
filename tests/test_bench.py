"""The benchmark: real workers at small sizes, and stand-in contenders where the order, a death or an orphan matters.

Nothing here asserts how fast anything is.
"""

import contextlib
import dataclasses
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from resnet_lessons import bench
from resnet_lessons.accounting import count
from resnet_lessons.bench import contenders, processes, report
from resnet_lessons.specs import Spec

import numpy as np
import psutil
import pytest

SMALL = bench.Settings(depth=8, width=4, images=256, matmul=64, warmup=2, settle=1, precision="float32")
KINDS = ("keras-32", "ours", "torch-float32")
STAND_INS = """
import os, sys, time

def steady(contender, settings, turns):
    turns.facts.update(precision=contender.precision, versions={"stand-in": "1"})
    while True:
        time.sleep(0.001)
        print("chatter on standard output")
        with open(LOG, "a") as log:
            log.write(contender.name + "\\n")
        turns.tick()

def dies(contender, settings, turns):
    turns.facts.update(precision="float32", versions={})
    turns.tick()
    turns.tick()
    raise RuntimeError("the disk of " + contender.name + " is full")

def returns(contender, settings, turns):
    pass

def tells(contender, settings, turns):
    from resnet_lessons import backend

    turns.facts.update(precision="any", versions={"oneDNN": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "as it comes")})
    while True:
        turns.tick()

def hangs(contender, settings, turns):
    print("looking for a device", file=sys.stderr, flush=True)
    open(LOG, "w").close()
    time.sleep(600)
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Return a function (name, kind) that makes a contender of a few lines, which logs its updates to log.txt."""
    (tmp_path / "stand_ins.py").write_text(f"LOG = {str(tmp_path / 'log.txt')!r}\n{STAND_INS}")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    # In a precision of its own it is compared with no matrix product, whose workers take seconds to start.
    return lambda name, kind="steady", precision="any": bench.Contender(
        name, name.title(), f"stand_ins:{kind}", 128, precision
    )


def descendants():
    """List the processes that this one has started and that still live, their own children included."""
    return [child for child in psutil.Process().children(recursive=True) if child.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture(autouse=True)
def no_orphan():
    """Hold every test to ending what it started."""
    before = set(descendants())
    yield
    assert set(descendants()) <= before


@pytest.fixture(scope="module")
def small_report():
    """Run one contender of each kind, two rounds of two updates; the others differ in batch size and precision."""
    return bench.run(KINDS, rounds=2, updates=2, settings=SMALL)


def test_every_contender_trains_or_says_why_not(small_report):
    told = {result.title for result in small_report.results} | set(small_report.skipped)
    assert told == {bench.NETWORKS[name].title for name in KINDS}
    assert "ours" in {result.name for result in small_report.results}
    for result in small_report.results:
        assert len(result.rates) == 2
        assert all(np.isfinite(result.rates))
        assert min(result.rates) > 0
        assert 30e6 < result.peak_bytes < 64e9
        assert result.versions


def test_shares_and_ratios_are_taken_round_by_round(small_report):
    ours = small_report["ours"]
    shares = small_report.shares("ours")
    for number in range(2):
        flops = 6 * count(Spec("v1", 8, width=4)).multiply_adds
        assert shares[number] == pytest.approx(flops * ours.rates[number] / small_report.peaks["float32"][number])
    assert small_report.ratios("ours") == (1.0, 1.0)


def test_the_peak_is_measured_in_the_precisions_that_are_used(small_report):
    used = {result.precision for result in small_report.results}
    assert set(small_report.peaks) == used
    assert all(len(peak) == 2 and min(peak) > 0 for peak in small_report.peaks.values())


def test_each_round_has_every_contender_once(small_report):
    names = {result.name for result in small_report.results} | {f"matmul-{p}" for p in small_report.peaks}
    assert [sorted(turns) for turns in small_report.order] == [sorted(names)] * 2


def test_the_table_of_a_real_run_has_a_line_for_each(small_report):
    text = bench.table(small_report)
    for result in small_report.results:
        assert f"{result.rate:,.0f}" in next(line for line in text.splitlines() if line.startswith(result.title + " "))


# The order of the turns, with stand-ins


def runs_of(names):
    """Shorten a, a, b, b, a to (a, 2), (b, 2), (a, 1)."""
    runs = []
    for name in names:
        if runs and runs[-1][0] == name:
            runs[-1] = (name, runs[-1][1] + 1)
        else:
            runs.append((name, 1))
    return runs


def test_contenders_take_turns(stand_in, tmp_path):
    trio = [stand_in(name) for name in ("anna", "bert", "carl")]
    found = bench.run(trio, rounds=4, updates=3, settings=SMALL, seed=1)
    updates = (tmp_path / "log.txt").read_text().split()
    warm_up, training = updates[: SMALL.warmup * 3], updates[SMALL.warmup * 3 :]
    assert sorted(warm_up) == sorted(["anna", "bert", "carl"] * SMALL.warmup)
    order = [name for turns in found.order for name in turns if not name.startswith("matmul")]
    assert runs_of(training) == [(name, (SMALL.settle + 3) * times) for name, times in runs_of(order)]
    assert [sorted(set(order[start : start + 3])) for start in range(0, 12, 3)] == [["anna", "bert", "carl"]] * 4


def test_a_run_in_blocks_is_not_taken_for_turns():
    assert runs_of("aabb") == [("a", 2), ("b", 2)]
    assert runs_of("abab") != runs_of("aabb")


def test_the_order_is_random_but_for_its_seed(stand_in):
    pair = [stand_in(name) for name in ("anna", "bert", "carl")]
    orders = [bench.run(pair, rounds=6, updates=1, settings=SMALL, seed=seed).order for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert len(set(orders[0])) > 1


class Enough(Exception):
    """Ends a loop that would never end."""


def timed(durations, requests, settings, monkeypatch):
    """Let a contender's updates take the given seconds, and return the seconds that it reports for each turn."""
    clock, answers, coming = [0.0], [], iter(requests)
    monkeypatch.setattr(contenders.time, "perf_counter", lambda: clock[0])

    def ask():
        for wanted in coming:
            return wanted
        raise Enough

    turns = contenders.Turns(ask, answers.append, settings)
    with contextlib.suppress(Enough):
        for seconds in durations:
            clock[0] += seconds
            turns.tick()
    return [answer["seconds"] for answer in answers]


def test_only_the_updates_asked_for_are_timed(monkeypatch):
    settings = dataclasses.replace(SMALL, warmup=2, settle=1)
    #            warm-up   settle, timed      settle, timed
    durations = [100, 100, 50, 1.0, 2.0, 4.0, 50, 8.0, 16.0]
    assert timed(durations, [3, 2], settings, monkeypatch)[1:] == [7.0, 24.0]


# What goes wrong


def test_a_dying_worker_is_told_with_its_last_words(stand_in):
    with pytest.raises(bench.WorkerError) as caught:
        bench.run([stand_in("anna"), stand_in("bert", "dies")], rounds=2, updates=5, settings=SMALL)
    assert "'bert' ended with exit code 1" in str(caught.value)
    assert "RuntimeError: the disk of bert is full" in str(caught.value)


def test_a_contender_that_comes_to_an_end_is_told(stand_in):
    with pytest.raises(bench.WorkerError, match="came to an end by itself"):
        bench.run([stand_in("anna", "returns")], rounds=1, updates=1, settings=SMALL)


def test_a_silent_worker_is_not_waited_for_for_ever(stand_in):
    with pytest.raises(bench.WorkerError) as caught:
        bench.run([stand_in("anna", "hangs")], rounds=1, updates=1, settings=SMALL, timeout=3)
    assert "'anna' has not answered for 3 s" in str(caught.value)
    assert "looking for a device" in str(caught.value)


def test_a_killed_worker_is_told_with_its_signal(stand_in):
    with processes.Worker(stand_in("anna"), SMALL, 60) as worker:
        worker.answer()
        worker.process.kill()
        worker.process.wait()
        with pytest.raises(bench.WorkerError, match="'anna' was killed by signal 9"):
            worker.turn(1)


def test_a_steady_worker_raises_nothing(stand_in):
    with processes.Worker(stand_in("anna"), SMALL, 60) as worker:
        assert set(worker.answer()) == {"precision", "versions", "seconds", "peak_bytes"}
        assert worker.turn(2)["seconds"] > 0


ENDLESS_RUN = """
from resnet_lessons import bench
try:
    bench.run([bench.Contender("anna", "Anna", "stand_ins:hangs", 128)])
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.skipif(os.name != "posix", reason="signals as on POSIX")
@pytest.mark.parametrize("stop", ["SIGINT", "SIGKILL"])  # Windows has no SIGKILL to name here
def test_no_worker_outlives_the_benchmark(stand_in, tmp_path, stop):
    stand_in("anna", "hangs")
    child = subprocess.Popen([sys.executable, "-c", ENDLESS_RUN], stdout=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "log.txt").exists():
            assert time.monotonic() < deadline, "the worker never began"
            time.sleep(0.05)
        workers = psutil.Process(child.pid).children(recursive=True)
        assert workers
        child.send_signal(signal.Signals[stop])
        told, _ = child.communicate(timeout=30)
    finally:
        child.kill()
        child.wait()
    assert told == (b"interrupted\n" if stop == "SIGINT" else b"")
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert alive == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"contenders": ["keras-64"]}, "Received: 'keras-64'"),
        ({"contenders": []}, "one or more"),
        ({"contenders": ["ours", "ours"]}, "each named once"),
        ({"rounds": 0}, "rounds must be"),
        ({"updates": True}, "updates must be"),
        ({"updates": 2.0}, "updates must be"),
    ],
)
def test_bad_arguments_are_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        bench.run(**arguments)


@pytest.mark.parametrize(
    "wrong", [{"settle": 0}, {"warmup": 0}, {"images": 100}, {"matmul": 1.5}, {"precision": "float8"}]
)
def test_bad_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
        bench.Settings(**wrong)


def test_settings_reach_a_worker_as_they_are():
    assert bench.Settings.from_json(SMALL.to_json()) == SMALL
    assert json.loads(SMALL.to_json())["depth"] == 8


# Who cannot take part


def test_a_contender_without_its_software_is_skipped(stand_in):
    absent = dataclasses.replace(stand_in("bert"), needs="no_such_module", without="Bertism is not installed")
    found = bench.run([stand_in("anna", precision="float32"), absent], rounds=1, updates=1, settings=SMALL)
    assert [result.name for result in found.results] == ["anna"]
    assert "Bert: skipped. Bertism is not installed." in bench.table(found).splitlines()
    with pytest.raises(ValueError, match="Bertism is not installed"):
        bench.run([absent], settings=SMALL)


@pytest.mark.parametrize(
    ("name", "module"), [("keras-32", "scipy"), ("torch-bfloat16", "torch"), ("keras-128", "scipy")]
)
def test_what_is_optional_is_asked_for(name, module, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda wanted: None if wanted == module else find(wanted))
    assert "is not installed" in bench.NETWORKS[name].missing
    assert bench.NETWORKS["ours"].missing is None


# Arithmetic and the table, by hand


def test_the_example_runs_on_tensorflow_as_that_comes(stand_in, monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")  # as the package leaves it
    published = dataclasses.replace(stand_in("anna", "tells"), first="keras")
    found = bench.run([published, stand_in("bert", "tells")], rounds=1, updates=1)
    assert [result.versions["oneDNN"] for result in found.results] == ["as it comes", "1"]
    assert [name for name, contender in bench.NETWORKS.items() if contender.first] == ["keras-32", "keras-128"]


def test_operations_by_hand():
    # ResNet-20, shortcut A, 40,813,184 multiply-adds by hand: stem 3*3*3*16 * 32*32 = 442,368; stage 1, 6 convolutions
    # of 3*3*16*16 * 1024 = 14,155,776; stage 2, 3*3*16*32 * 256 + 5 * 3*3*32*32 * 256 = 12,976,128; stage 3,
    # 3*3*32*64 * 64 + 5 * 3*3*64*64 * 64 = 12,976,128; classifier 640.
    by_hand = 442_368 + 14_155_776 + 12_976_128 + 12_976_128 + 640
    assert report.training_flops(count(Spec("v1", 20)).multiply_adds) == 6 * by_hand
    assert report.training_flops(1) == 6


def made_up():
    """Return a report whose figures are easy to check: ours does 300, 100 and 200 images/s, another 100, 50, 25."""

    def result(name, title, precision, rates):
        return bench.Result(name, title, 128, precision, 1_000_000, rates, 512_000_000, {"stand-in": "1"})

    return bench.Report(
        results=(
            result("ours", "this package", "bfloat16", (300.0, 100.0, 200.0)),
            result("other", "another", "float32", (100.0, 50.0, 25.0)),
        ),
        peaks={"float32": (1e9, 1e9, 1e9), "bfloat16": (2e9, 2e9, 1e9)},
        skipped={},
        order=(("ours", "other"),) * 3,
        updates=20,
        settings=bench.Settings(),
        processor="a processor, 2 cores usable",
        load=0.25,
        memory="VmHWM",
    )


def test_ratios_by_hand():
    found = made_up()
    assert found.ratios("other") == (3.0, 2.0, 8.0)  # their median is 3; that of the rates' medians would be 4
    assert found.shares("other") == pytest.approx((0.1, 0.05, 0.025))
    assert found.shares("ours") == pytest.approx((0.15, 0.05, 0.2))
    assert found["ours"].rate == 200


def test_the_table_says_what_was_found():
    lines = bench.table(made_up()).splitlines()
    other = next(line for line in lines if line.startswith("another"))
    ours = next(line for line in lines if line.startswith("this package"))
    assert " ".join(other.split()) == "another 128 float32 50 25 to 100 5.0% 512 MB x 3.00 2.00 to 8.00"
    assert " ".join(ours.split()) == "this package 128 bfloat16 200 100 to 300 15.0% 512 MB"
    text = "\n".join(lines)
    for words in ("a processor, 2 cores usable", "before the run: 0.25", "stand-in 1", "3 rounds of 20", "VmHWM"):
        assert words in text
    assert "float32: 1 GFLOP/s" in text
    assert max(map(len, lines)) <= 130


def test_without_this_package_the_table_has_no_ratios():
    found = made_up()
    alone = dataclasses.replace(found, results=found.results[1:])
    assert "x 3.00" not in bench.table(alone)


@pytest.mark.parametrize(("platform", "source"), [("linux", "VmHWM"), ("darwin", "ru_maxrss"), ("win32", "peak_wset")])
def test_the_source_of_peak_memory_is_named(platform, source):
    assert source in report.memory_source(platform)


def test_peak_memory_is_the_processes_own():
    held = np.ones(200 * 2**20, np.uint8)  # a child of a large parent must not report its parent's peak
    code = (
        "import numpy as np; from resnet_lessons.machine import peak_memory as peak_bytes\n"
        "before = peak_bytes(); x = np.ones(64 * 2**20, np.uint8); after = peak_bytes(); del x\n"
        "print(before, after, peak_bytes())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after, later = map(int, done.stdout.split())
    assert before < 150 * 2**20 < held.nbytes
    assert 60 * 2**20 < after - before < 80 * 2**20
    assert later > after - 2**20  # the kernel keeps it per thread and adds up now and then


# The contenders are what they are said to be


def test_the_example_has_keras_own_layers_and_penalty():
    from resnet_lessons import backend, models
    from resnet_lessons.bench.keras_nets import stock

    import keras

    built = models.build(Spec("v1", 8, style="keras-example", width=4))
    cloned = stock(built)
    assert any(isinstance(layer, backend.BatchNormalization) for layer in built.layers)
    norms = [layer for layer in cloned.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert norms
    assert {type(layer) for layer in norms} == {keras.layers.BatchNormalization}
    convs = [layer for layer in cloned.layers if isinstance(layer, keras.layers.Conv2D)]
    squares = sum(float((layer.kernel.numpy() ** 2).sum()) for layer in convs)
    assert float(sum(cloned.losses)) == pytest.approx(1e-4 * squares, rel=1e-4)
    assert cloned.get_layer("probabilities").kernel_regularizer is None
    assert [w.shape for w in cloned.weights] == [w.shape for w in built.weights]


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
@pytest.mark.parametrize(("depth", "width"), [(20, 16), (8, 4)])
def test_the_network_on_pytorch_is_the_same(depth, width):
    code = (
        "import torch; from resnet_lessons.bench.torch_net import build\n"
        f"net = build({depth}, {width}); print(sum(p.numel() for p in net.parameters()))\n"
        "print(*net(torch.zeros(2, 3, 32, 32)).shape)"
    )  # in another process: two frameworks in one may disagree about threads
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(count(Spec("v1", depth, width=width)).parameters), "2", "10"]


def test_the_training_set_is_whole_batches():
    x, y = SMALL.arrays(100)
    assert x.shape == (200, 32, 32, 3)
    assert x.dtype == np.uint8
    assert y.shape == (200,)
    assert set(np.unique(y)) == set(range(10))
    assert np.array_equal(x, SMALL.arrays(100)[0])


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
def test_it_runs_on_jax(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    found = bench.run(["ours"], rounds=1, updates=1, settings=SMALL)
    assert "jax" in found["ours"].versions


def test_the_module_leaves_keras_alone_until_it_runs():
    code = "import sys, resnet_lessons.bench; print({'keras', 'torch', 'tensorflow', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    assert Path(bench.__file__).name == "__init__.py"
