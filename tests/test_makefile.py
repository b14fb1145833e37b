"""The Makefile: what it lists, which Python it takes, what it leaves behind when an installation fails."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import require_gpu

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(*arguments, cwd=ROOT, **variables):
    """Run make; return its exit status and everything it prints."""
    command = [shutil.which("make"), *arguments, *(f"{name}={value}" for name, value in variables.items())]
    outer = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "PYTHON"}  # of the make that may run these tests
    environment = {name: value for name, value in os.environ.items() if name not in outer}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def fake_python(tmp_path):
    """A function that makes an interpreter which says it is of some version, or does not run; returns its path."""

    def install(version):
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\necho {version}\n" if version else "#!/bin/sh\nexit 127\n")
        path.chmod(0o755)
        return path

    return install


def test_make_alone_lists_every_target():
    status, text = make()
    assert status == 0
    targets = re.findall(r"^  ([a-z-]+) +\w", text, re.MULTILINE)
    first = ["help", "install", "lab", "app", "lint", "test", "test-gpu", "test-jax", "kills", "notebooks", "handout"]
    assert targets == [*first, "record", "table", "lock", "clean"]


def test_a_record_needs_a_run(tmp_path):
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / ".installed").touch()
    status, text = make("record", cwd=tmp_path)
    assert status != 0
    assert "make record RUN=runs/x" in text


@pytest.mark.parametrize(("version", "said"), [("3.10", "is 3.10"), ("3.14", "is 3.14"), (None, "none that runs")])
def test_make_says_which_python_it_found_and_what_to_do(fake_python, version, said):
    status, text = make("python", PYTHON=fake_python(version))
    assert status != 0
    assert said in text
    assert "Allowed: 3.11 3.12 3.13" in text
    assert "PYTHON=" in text


def test_make_takes_a_supported_python():
    assert make("-s", "python", PYTHON=sys.executable) == (0, sys.executable + "\n")


def test_an_installation_that_fails_leaves_no_stamp(tmp_path):
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "requirements.lock").write_text("")
    venv = tmp_path / ".venv" / "bin"
    venv.mkdir(parents=True)
    broken = 'case "$*" in *--version*) echo pip;; *) echo no network >&2; exit 1;; esac'
    (venv / "python").write_text(f"#!/bin/sh\n{broken}\n")
    (venv / "python").chmod(0o755)
    status, text = make(".venv/.installed", cwd=tmp_path)
    assert status != 0
    assert "no network" in text
    assert not (tmp_path / ".venv" / ".installed").exists()


@pytest.mark.parametrize(("mode", "heading"), [("smoke", "all lessons in smoke mode, no"), ("", "all lessons, no")])
def test_the_lessons_are_tested_in_the_mode_that_is_asked_for(tmp_path, mode, heading):
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    status, text = make("--dry-run", "test", cwd=tmp_path, MODE=mode, RESNET_LESSONS_DATA="")
    assert status == 0
    assert f"RESNET_LESSONS_MODE={mode} " in text
    assert heading in text


def test_another_mode_is_refused():
    status, text = make("--dry-run", "test", MODE="slow")
    assert status != 0
    assert "MODE must be smoke, fast or full. Received: slow" in text


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
@pytest.mark.parametrize("devices", [(), (("CPU", "CPU:0"),)])
def test_without_a_gpu_the_gpu_tests_stop_with_a_message(devices, backend):
    assert f"No GPU is visible to {backend}" in require_gpu.missing_gpu(devices, backend)


def test_with_a_gpu_the_gpu_tests_go_on():
    assert require_gpu.missing_gpu((("CPU", "CPU:0"), ("GPU", "some GPU")), "tensorflow") is None


def test_a_visible_cpu_is_no_gpu():
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "-1"}
    script = os.fspath(ROOT / "tests" / "require_gpu.py")
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr.startswith("No GPU is visible to ")
