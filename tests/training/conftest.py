import gc
import shutil
from pathlib import Path

from resnet_lessons.batches import Batches

import numpy as np
import pytest
import small_runs


@pytest.fixture(autouse=True)
def heap():
    """Spare the collections of garbage, two after each training, all that was there before: a quarter of the time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def thawed():
    """Let what a module has left be collected; what is imported stays spared, as tests/conftest.py has it."""
    yield
    gc.unfreeze()
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (22, 8, 8, 3), dtype=np.uint8), np.arange(22) % 10


@pytest.fixture
def batches(images):
    recipe = small_runs.RECIPE
    return Batches(*images, recipe.batch_size, "pad-crop-flip", 3, steps_per_epoch=recipe.steps_per_epoch)


@pytest.fixture(scope="session")
def reference(tmp_path_factory):
    """A run that was left alone, and its folder, which no test may write to."""
    folder = tmp_path_factory.mktemp("reference") / "run"
    return small_runs.train(folder), folder


@pytest.fixture
def finished(reference, tmp_path):
    """A copy of its folder."""
    return Path(shutil.copytree(reference[1], tmp_path / "finished"))


@pytest.fixture(scope="session")
def stopped(tmp_path_factory):
    """The folder of the same run, stopped amid its third epoch; no test may write to it."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    small_runs.train(folder, stop=small_runs.AfterUpdates(9))
    return folder


@pytest.fixture
def unfinished(stopped, tmp_path):
    """A copy of it."""
    return Path(shutil.copytree(stopped, tmp_path / "unfinished"))


@pytest.fixture
def ahead(reference, unfinished):
    """A run killed between the last epoch's line and its checkpoint: the log has 3 epochs, the checkpoint 2."""
    (unfinished / "log.jsonl").write_bytes((reference[1] / "log.jsonl").read_bytes())
    return unfinished
