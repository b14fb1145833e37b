"""Memory that is free goes back to the system: when asked, after each cell of a notebook, after a training."""

import os
import platform
import subprocess
import sys

from resnet_lessons import backend

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a matter of glibc")

# The pieces are too small to be mapped one by one. The last one pins the heap's end, or glibc gave all back itself.
FREED = """
import os

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 10**6

def use_and_free():
    pieces = [bytearray(100_000) for _ in range(2000)]
    return pieces[-1]
"""


def printed(code, **environment):
    """Run code in a new interpreter, where this one has set no switch; return the numbers that it prints."""
    unset = {name: value for name, value in os.environ.items() if name != "TF_ONEDNN_USE_SYSTEM_ALLOCATOR"}
    run = subprocess.run(
        [sys.executable, "-c", FREED + code],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env=unset | environment,
    )
    return [int(word) for word in run.stdout.split()]


def test_freed_memory_goes_back_when_asked():
    code = """
from resnet_lessons import backend
before = resident()
kept = use_and_free()
freed = resident()
backend.give_back()
print(before, freed, resident())
"""
    before, freed, left = printed(code)
    assert freed > before + 150  # the negative control: by itself it stays
    assert left < before + 50


CELLS = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.user_ns.update(use_and_free=use_and_free)
shell.run_cell("{first}")
before = resident()
shell.run_cell("kept = use_and_free();")
print(before, resident(), len(shell.events.callbacks["post_run_cell"]))
"""


def test_a_notebook_gives_back_what_a_cell_has_freed():
    before, after, callbacks = printed(CELLS.format(first="from resnet_lessons import models; import keras"))
    assert after < before + 50
    _, _, without = printed(CELLS.format(first="pass"))
    assert callbacks == without + 1


def test_a_notebook_without_the_package_keeps_it():
    before, after, _ = printed(CELLS.format(first="pass"))
    assert after > before + 150


def test_a_training_gives_back_what_it_has_freed(monkeypatch):
    from resnet_lessons import batches, recipes, training
    from resnet_lessons.specs import Spec

    import numpy as np

    calls = []
    monkeypatch.setattr(training.engine.backend, "give_back", lambda: calls.append("given back"))
    images = batches.Batches(np.zeros((40, 32, 32, 3), "uint8"), np.zeros(40, "uint8"), 20, seed=0)
    recipe = recipes.get("minute").resized(2, validation=0)
    training.fit(Spec("plain", 8), recipe, images)
    assert calls == ["given back"]


# An update's tensors have 8 MB and less. To give them back and to ask for them anew took a fifth of a training's time.
FAULTS = """
import resource, statistics
import keras, numpy as np
from resnet_lessons import batches, recipes, training
from resnet_lessons.specs import Spec

class Faults(keras.callbacks.Callback):
    counts = []
    def on_train_batch_end(self, batch, logs=None):
        self.counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)

images = batches.Batches(np.zeros((128, 32, 32, 3), "uint8"), np.zeros(128, "uint8"), 128, seed=0)
recipe = recipes.get("short").resized(8, validation=0, epochs=1)
training.fit(Spec("plain", 8), recipe, images, precision="float32", callbacks=[Faults()])
print(int(statistics.median(np.diff(Faults.counts))))
"""


@pytest.mark.skipif(
    backend.BACKEND != "tensorflow" or platform.machine() != "x86_64" or len(backend.devices()) > 1,
    reason="a matter of TensorFlow with oneDNN, on a processor",
)
def test_an_update_reuses_the_memory_of_the_one_before():
    """Counted in pages of 4 kB that were new to the process."""
    [usual], [by_malloc] = printed(FAULTS), printed(FAULTS, TF_ONEDNN_USE_SYSTEM_ALLOCATOR="1")
    assert 10 * usual < by_malloc  # the negative control: TensorFlow asks malloc for each tensor anew
