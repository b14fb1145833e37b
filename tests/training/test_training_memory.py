"""How much memory it takes to train ResNet-20 on as many images as CIFAR-10 has, and what a training leaves behind."""

import dataclasses
import gc
import subprocess
import sys
from types import SimpleNamespace

from resnet_lessons import backend, machine, training
from resnet_lessons.batches import Batches

import numpy as np
import psutil
import pytest
from small_runs import RECIPE, SPEC

# The images are memory-mapped, as ``data.load`` gives them. What counts is the most that was ever resident. Batches of
# training, validation and test are as large as in a whole run; of the last two there is one.
TRAINED = """
import dataclasses, sys
from pathlib import Path
import numpy as np
from resnet_lessons import data, training
from resnet_lessons.recipes import Recipe
from resnet_lessons.specs import Spec

folder = Path(sys.argv[1])
arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("x_train", "y_train", "x_test", "y_test")}
images = data.Dataset("full", **arrays, class_names=tuple("0123456789"), source="noise", digest="0" * 64)
recipe = Recipe("few", steps=2, steps_per_epoch=2, validation=500)
training.train(Spec("v1", 20), recipe, images, folder / "run", precision="float32", progress=None)
print(Path("/proc/self/status").read_text())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_training_resnet_20_takes_less_than_1500_mb(tmp_path):
    rng = np.random.default_rng(0)
    some = rng.integers(0, 256, (500, 32, 32, 3), dtype=np.uint8)
    for part, count in (("train", 50_000), ("test", 500)):
        images = np.lib.format.open_memmap(tmp_path / f"x_{part}.npy", "w+", np.uint8, (count, 32, 32, 3))
        for start in range(0, count, len(some)):
            images[start : start + len(some)] = some
        images.flush()
        np.save(tmp_path / f"y_{part}.npy", np.arange(count) % 10)
    command = [sys.executable, "-c", TRAINED, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    status = dict(line.split(":", 1) for line in done.stdout.splitlines() if ":" in line)
    peak = int(status["VmHWM"].split()[0]) * 1024
    assert 3e8 < peak < 1.5e9  # a Python with TensorFlow alone has more than the first


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux's status file")
def test_the_peak_is_told_also_where_the_status_lacks_it(tmp_path):
    """A container under gVisor has these lines alone."""
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmSize:\t  900 kB\nVmRSS:\t  400 kB\nVmData:\t  100 kB\n")
    resident = psutil.Process().memory_info().rss
    assert 0.9 * resident < machine.peak_memory(status) < 1e11
    assert 0.9 * resident < machine.peak_memory(tmp_path / "absent") < 1e11
    status.write_text("VmHWM:\t  300 kB\n")
    assert machine.peak_memory(status) == 300 * 1024


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no getrusage")
@pytest.mark.parametrize(("system", "unit"), [("Darwin", 1), ("FreeBSD", 1024)])
def test_the_peak_is_in_bytes_whatever_the_system_counts_in(monkeypatch, system, unit):
    import resource  # not on Windows

    monkeypatch.setattr(machine.platform, "system", lambda: system)
    monkeypatch.setattr(resource, "getrusage", lambda _: SimpleNamespace(ru_maxrss=7))
    assert machine.peak_memory() == 7 * unit


@pytest.mark.skipif(backend.BACKEND != "tensorflow", reason="counts TensorFlow's graphs")
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_net_that_has_been_trained_leaves_no_graph_behind(images, optimizer):
    recipe = dataclasses.replace(RECIPE, optimizer=optimizer)
    training.fit(SPEC, recipe, Batches(*images, 8, "none", 0, steps_per_epoch=2), Batches(*images, 8))
    gc.collect()
    assert [thing.name for thing in gc.get_objects() if type(thing).__name__ == "FuncGraph"] == []
