"""What every test starts from: no data set, no cache and no Keras configuration of the person who runs it."""

import os
import tempfile

from hypothesis import settings

settings.register_profile("any-speed", parent=settings.default, deadline=None)  # shared machines are slow at times
settings.load_profile("any-speed")


def pytest_configure(config):
    """Point both caches at an empty folder before any test module imports Keras, which reads its own at import."""
    home = tempfile.TemporaryDirectory(prefix="resnet-lessons-")
    config.add_cleanup(home.cleanup)
    os.environ.pop("RESNET_LESSONS_DATA", None)
    os.environ.pop("RESNET_LESSONS_MODE", None)
    os.environ.update(RESNET_LESSONS_CACHE=home.name, KERAS_HOME=f"{home.name}/keras", MPLBACKEND="Agg")
