from dataclasses import replace

from resnet_lessons.data import formats, shapes10

import data_samples
import pytest


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """An empty cache and an empty Keras home, so that no test reads or writes the user's."""
    monkeypatch.setenv("RESNET_LESSONS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("RESNET_LESSONS_DATA", raising=False)
    return tmp_path


@pytest.fixture
def small(monkeypatch):
    """Data sets of 60 images, so that a test reads one in milliseconds."""
    sizes = {"train": data_samples.TRAIN, "test": data_samples.TEST}
    for name, layout in list(formats.LAYOUTS.items()):
        monkeypatch.setitem(formats.LAYOUTS, name, replace(layout, **sizes))
    monkeypatch.setattr(shapes10, "TRAIN", 50)
    monkeypatch.setattr(shapes10, "TEST", 10)
