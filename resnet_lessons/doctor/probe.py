"""Load TensorFlow or JAX in a child process: one that cannot be loaded, hangs or crashes is then a finding too."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

BACKENDS = ("tensorflow", "jax")
SECONDS = 180  # a first import from a cold or networked disk takes a minute

QUESTIONS = """
import json
from resnet_lessons import backend, training
print(json.dumps({
    "backend": backend.BACKEND, "versions": backend.versions(), "devices": backend.devices(),
    "flags": sorted(backend.processor_flags()), "precision": training.choose_precision()}))
"""


@dataclass(frozen=True)
class Probe:
    """What the child saw.

    Attributes:
        backend: "tensorflow" or "jax"; empty when it cannot be loaded.
        versions: of Keras and the backend.
        devices: pairs of a kind, "CPU" or "GPU", and a name.
        flags: the processor's instruction sets.
        precision: the dtype policy that training chooses.
        error: why the backend cannot be loaded, or empty.
    """

    backend: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    devices: tuple = ()
    flags: tuple = ()
    precision: str = ""
    error: str = ""


def supported(backend):
    """Tell whether the lessons run on this value of KERAS_BACKEND; without one, Keras decides."""
    return not backend or backend in BACKENDS


def run(command=None, timeout=SECONDS):
    """Load the backend in a child process and ask it what it sees.

    A KERAS_BACKEND that the lessons do not run on is left out: that is a finding of its own.

    Args:
        command: what to run instead of the questions, a list.
        timeout: seconds.

    Returns:
        A ``Probe``.
    """
    environment = dict(os.environ)
    if not supported(environment.get("KERAS_BACKEND")):
        del environment["KERAS_BACKEND"]
    try:
        child = subprocess.run(
            command or [sys.executable, "-c", QUESTIONS],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Probe(error=f"not loaded after {timeout:g} s")
    except OSError as error:
        return Probe(error=f"no process to load it in can be started ({error})")
    return _answer(child)


def _answer(child):
    if child.returncode < 0:
        return Probe(error=f"crashes when loaded ({signal.Signals(-child.returncode).name})")
    lines = (child.stderr if child.returncode else child.stdout).strip().splitlines()
    if child.returncode:
        return Probe(error=lines[-1] if lines else f"ends with exit code {child.returncode} when loaded")
    try:
        return Probe(**json.loads(lines[-1]))
    except (IndexError, ValueError, TypeError):
        answer = repr(lines[-1][:80]) if lines else "nothing"
        return Probe(error=f"loads, but answers {answer} when asked what it sees")
