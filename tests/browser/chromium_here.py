"""Where Chromium is, and what happens without it."""

import os
import shutil

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium():
    """Return the path of an installed Chromium; without one, skip or fail, as the environment says."""
    found = os.environ.get("RESNET_LESSONS_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found:
        return found
    told = "no Chromium is installed (Debian: apt install chromium), so nothing is tested in a browser"
    if os.environ.get("RESNET_LESSONS_BROWSER") == "required":
        pytest.fail(f"{told}; RESNET_LESSONS_BROWSER=required")
    pytest.skip(told)
