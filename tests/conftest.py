"""What every test starts from: no data set, no cache and no Keras configuration of the person who runs it."""

import gc
import os
import sys
import tempfile

import pytest
from hypothesis import settings

# Shared machines are slow at times. In CI the examples are the same in every run; elsewhere they go on searching.
settings.register_profile("lessons", parent=settings.default, deadline=None, derandomize="CI" in os.environ)
settings.load_profile("lessons")

# The files that take longest, the longest first. They come after all others, so that a common mistake is told within a
# minute; and in this order, so that of two processes neither is left alone with a long file at the end.
SLOW = (
    "test_training_resume.py",
    "test_sweep.py",
    "test_live_trainer.py",
    "test_diagnostics_units.py",
    "test_training_background.py",
    "test_backend.py",
    "test_models.py",
    "test_nbval.py",
    "test_cli_train.py",
    "test_training_mirrored.py",
    "test_training_compiled.py",
    "test_every_check.py",
    "test_handout.py",
    "test_landscape.py",
    "test_training_disk.py",
    "test_training_trained.py",
    "test_training_fit.py",
    "test_diagnostics.py",
    "test_training_testset.py",
    "test_build.py",
    "test_checks_bottlenecks.py",
    "test_bench.py",
)


def pytest_configure(config):
    """Point both caches at an empty folder before any test module imports Keras, which reads its own at import."""
    home = tempfile.TemporaryDirectory(prefix="resnet-lessons-")
    config.add_cleanup(home.cleanup)
    folder = os.environ.pop("RESNET_LESSONS_DATA", None)
    if folder is not None:
        os.environ["RESNET_LESSONS_TEST_DATA"] = folder  # for the tests of what was recorded on it, in every process
    os.environ.pop("RESNET_LESSONS_MODE", None)
    os.environ.update(RESNET_LESSONS_CACHE=home.name, KERAS_HOME=f"{home.name}/keras", MPLBACKEND="Agg")


def pytest_collection_modifyitems(items):
    """Run the fast files first, then those of ``SLOW`` in their order; a file's own tests stay in theirs."""
    items.sort(key=lambda item: SLOW.index(item.path.name) if item.path.name in SLOW else -1)


def pytest_collection_finish():
    """Spare later collections, and each training makes one, the half a million objects of what is imported."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def seed():
    """Start each test that builds a net from the same random weights, whichever tests ran before it."""
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(0)
