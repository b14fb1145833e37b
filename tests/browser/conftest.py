"""A real browser, and the servers it opens: JupyterLab on a copy of the lessons, and the explorer's page by Voila.

Without Chromium these tests are skipped and say so; with ``RESNET_LESSONS_BROWSER=required`` they fail instead.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from resnet_lessons import data

import pytest
from chromium_here import chromium

ROOT = Path(__file__).resolve().parents[2]
STARTING = 90  # seconds that a server may take
LESSONS = ("03_resnet_v1.ipynb", "10_explorer.ipynb")
SETTINGS = {  # of JupyterLab: all cells are on the page, and nothing is asked or fetched
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
}


@pytest.fixture(scope="module")
def browser():
    """Chromium; closed after the module, because Playwright's event loop would be in the way of other tests'."""
    path = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        options = ["--disable-dev-shm-usage"]  # in a container shared memory is small
        if getattr(os, "geteuid", lambda: 1)() == 0:
            options.append("--no-sandbox")  # which root cannot have
        opened = driver.chromium.launch(executable_path=path, args=options)
        yield opened
        opened.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Keep what the browser showed when a test failed, before its page is closed."""
    report = yield
    page = getattr(item, "funcargs", {}).get("page")
    if call.when == "call" and report.failed and page is not None:
        from playwright.sync_api import Error

        path = ROOT / "build" / "test" / f"{item.name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(Error):  # of a browser that has crashed; the failure itself is to be seen
            page.screenshot(path=path)
            report.sections.append(("screenshot", str(path)))
    return report


@pytest.fixture
def page(browser):
    opened = browser.new_page(viewport={"width": 1400, "height": 1000})
    opened.set_default_timeout(60_000)  # milliseconds; a loaded machine is slow
    yield opened
    opened.close()


class Server:
    """A server in a process of its own, on a free port of this machine."""

    def __init__(self, command, log, environment):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.address, self.log = f"http://127.0.0.1:{self.port}", log
        with log.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, *command(self.port)], stdout=out, stderr=subprocess.STDOUT, env=environment
            )

    def wait(self, path):
        """Wait until the server answers at ``path``."""
        deadline = time.monotonic() + STARTING
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError, urllib.error.URLError), urllib.request.urlopen(self.address + path):
                return self
            time.sleep(0.1)
        raise AssertionError(f"the server did not start:\n{self.log.read_text()}")

    def end(self):
        """End it and its kernels."""
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a copy of the lessons, so that no test changes the stored ones; runs are kept in it too."""
    folder = tmp_path_factory.mktemp("browser")
    (folder / "notebooks").mkdir()
    for lesson in LESSONS:
        shutil.copy(ROOT / "notebooks" / lesson, folder / "notebooks")
    for name, values in SETTINGS.items():
        path = folder / "settings" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    return folder


@pytest.fixture(scope="module")
def servers(browser, place):  # noqa: ARG001 - without a browser none is started
    """Both servers, which start while shapes10 is drawn into the cache that their kernels share."""
    environment = {key: value for key, value in os.environ.items() if key != "MPLBACKEND"}
    environment |= {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), environment.get("PYTHONPATH")])),
        "JUPYTERLAB_SETTINGS_DIR": str(place / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(place / "workspaces"),
        "JUPYTER_CONFIG_DIR": str(place / "config"),
    }
    lab = ["-m", "jupyter", "lab", "--allow-root", "--no-browser", "--ip=127.0.0.1", "--IdentityProvider.token=test"]
    started = {}
    with contextlib.ExitStack() as ending:

        def start(name, command):
            started[name] = Server(command, place / f"{name}.log", environment)
            ending.callback(started[name].end)

        start("lab", lambda port: [*lab, f"--ServerApp.root_dir={place}", f"--port={port}"])
        start("app", lambda port: [str(place_app(place)), "--no-browser", f"--port={port}"])
        data.load("shapes10")
        started["lab"].wait("/api")
        started["app"].wait("/voila/static/voila.js")
        yield started


def place_app(place):
    """Put a copy of the page's script where its runs are to be kept."""
    path = place / "notebooks" / "app.py"
    shutil.copy(ROOT / "notebooks" / "app.py", path)
    return path


@pytest.fixture
def lab(servers):
    return servers["lab"]


@pytest.fixture
def app(servers):
    return servers["app"]
