"""Without Chromium the browser's tests are skipped with a word why, and fail where they are required."""

import chromium_here
import pytest


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch):
    for name in ("RESNET_LESSONS_BROWSER", "RESNET_LESSONS_CHROMIUM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(chromium_here.shutil, "which", lambda _: None)


def test_without_it_they_are_skipped_and_say_so():
    with pytest.raises(pytest.skip.Exception, match="no Chromium is installed"):
        chromium_here.chromium()


def test_where_they_are_required_they_fail(monkeypatch):
    monkeypatch.setenv("RESNET_LESSONS_BROWSER", "required")
    with pytest.raises(pytest.fail.Exception, match="no Chromium is installed"):
        chromium_here.chromium()


def test_the_first_name_that_is_found_is_taken(monkeypatch):
    monkeypatch.setattr(chromium_here.shutil, "which", {"google-chrome": "/there"}.get)
    assert chromium_here.chromium() == "/there"
    monkeypatch.setenv("RESNET_LESSONS_CHROMIUM", "/another")
    assert chromium_here.chromium() == "/another"
