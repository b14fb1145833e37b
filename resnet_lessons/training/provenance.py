"""Where a run comes from: what repeats it, and what is known to make it come out otherwise."""

import datetime
import importlib.metadata
import os
import platform
import shlex
import subprocess
from pathlib import Path

from resnet_lessons import __version__, backend, machine, recipes
from resnet_lessons.specs import CHOICES, Spec

ENVIRONMENT = (
    *("XLA_FLAGS", "TF_XLA_FLAGS", "TF_ENABLE_ONEDNN_OPTS", "TF_ONEDNN_USE_SYSTEM_ALLOCATOR", "NVIDIA_TF32_OVERRIDE"),
    *("ONEDNN_MAX_CPU_ISA", "ONEDNN_DEFAULT_FPMATH_MODE", "JAX_DEFAULT_MATMUL_PRECISION"),
)


def describe(settings, dataset):
    """Return what ``run.json`` says of a run from its beginning, but for its ``surroundings``.

    Args:
        settings: a ``Settings``.
        dataset: a ``data.Dataset``.
    """
    recipe = settings.recipe
    held_back = recipe.validation
    return settings.to_json() | {
        "data": {
            "name": dataset.name,
            "source": dataset.source,
            "sha256": dataset.digest,
            "training_images": len(dataset.y_train) - held_back,
            "validation_images": held_back,
        },
        "command": command(settings, dataset.name),
    }


def surroundings():
    """Return what a part of a run had around it: versions, hardware, this package's commit, switches, when it began."""
    now = datetime.datetime.now(datetime.UTC)
    found = {"versions": versions(), "hardware": hardware(), "git": commit(), "environment": environment()}
    return found | {"began": now.isoformat(timespec="seconds")}


def environment():
    """Return the environment variables that are set and change how a backend computes, a dict of name to value."""
    return {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}


def versions():
    """Return the versions that decide what comes out: a dict of name to version."""
    numpy = importlib.metadata.version("numpy")
    return {"resnet-lessons": __version__, "python": platform.python_version(), **backend.versions(), "numpy": numpy}


def hardware():
    """Return what the run had at its disposal."""
    return {
        "processor": machine.processor_name(),
        "cores": min(machine.usable_cores(), backend.threads()),
        "memory_gb": round(machine.usable_memory() / machine.GB, 1),
        "accelerators": [name for kind, name in backend.devices() if kind != "CPU"],
        "system": f"{platform.system()} {platform.machine()}",
    }


def commit():
    """Return the commit of the package's checkout and whether files differ from it, or the release without one.

    What git does not tell is None: there may be no git, one that does not answer, or one that reads no other user's
    checkout, as in a container.
    """
    folder = Path(__file__).parents[2]
    if not (folder / ".git").exists():
        return {"release": __version__}
    head, changes = (_git(folder, *words) for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "-uno")))
    return {"commit": head, "changed": None if changes is None else bool(changes)}


def _git(folder, *words):
    try:
        done = subprocess.run(["git", "-C", folder, *words], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None  # no git, or none that answers
    return done.stdout.strip() if done.returncode == 0 else None


def command(settings, data):
    """Return the command line that repeats a run, or the call in Python if its network or recipe has no name there."""
    spec, recipe = settings.spec, settings.recipe
    named = _named(recipe, spec.depth)
    options = _options(spec)
    if named is None or options is None:
        divide = f"backend.divide_processor({settings.devices}); " if settings.devices else ""
        return (
            f"{divide}training.train({spec!r}, {recipe!r}, data.load({data!r}), seed={settings.seed}, "
            f"precision={settings.precision!r}, strategy={settings.strategy!r}, "
            f"deterministic={settings.deterministic!r})"
        )
    words = ["resnet-lessons", "train", spec.family, "--depth", spec.depth]
    words += [word for field, value in options.items() for word in (f"--{field}", value)]
    words += [*named, "--seed", settings.seed, "--data", data, "--precision", settings.precision]
    words += ["--strategy", settings.strategy] if settings.strategy else []
    words += ["--devices", settings.devices] if settings.devices else []
    words += ["--deterministic" if settings.deterministic else "--no-deterministic"]
    return shlex.join(map(str, words))


def _named(recipe, depth):
    """Return the options that name a recipe, or None for one that the command line cannot name."""
    for name in recipes.NAMES:
        usual = recipes.get(name, depth)
        if recipe == usual:
            return ["--recipe", name]
        if recipe == usual.smoke():
            return ["--recipe", name, "--smoke"]
        if recipe == usual.resized(recipe.steps, epochs=None):
            return ["--recipe", name, "--steps", recipe.steps]
    return None


def _options(spec):
    """Return the fewest options that make ``spec`` from family, depth and data, or None if the command lacks some."""
    options = {field: getattr(spec, field) for field in CHOICES if getattr(spec, field) is not None}
    for field in CHOICES:
        fewer = {name: value for name, value in options.items() if name != field}
        if _makes(spec, fewer):
            options = fewer
    return options if _makes(spec, options) else None


def _makes(spec, options):
    try:
        # images and classes are the data's, as of every network that ``train`` has let through
        usual = Spec(spec.family, spec.depth, input_shape=spec.input_shape, num_classes=spec.num_classes, **options)
        return usual == spec
    except ValueError:
        return False
