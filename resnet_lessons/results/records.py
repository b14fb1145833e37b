"""Recorded runs: ``run.json`` and ``log.jsonl`` as training wrote them, read, checked, and held to each other."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from resnet_lessons.specs import Spec

from .agreement import disagreement

RECORDED = Path(__file__).parents[1] / "recorded"  # the runs that ship with the package
RUN, LOG = "run.json", "log.jsonl"  # of each run: what it is and came to, and a line for each epoch
WEIGHTS, WEIGHTS_HASH = "model.weights.h5", "weights_sha256"  # what it ended with, and the key of its hash in RUN
SUMS = "SHA256SUMS"  # beside the records, as sha256sum writes it: a line for each file of every record


class RecordError(ValueError):
    """A recorded run is damaged or does not say where it came from; the message names the file and the fault."""


@dataclass(frozen=True)
class Epoch:
    """A line of a run's log.

    Attributes:
        epoch: its number, from 1.
        step: updates made by its end, since the run began.
        train_loss: mean over the epoch, as it was running.
        train_error: the part of the training images that the net got wrong, 0 to 1.
        lr: the learning rate at its end.
        seconds: that it took.
        val_loss: after the epoch; None in a run that holds no images back.
        val_error: as train_error, on the images held back.
    """

    epoch: int
    step: int
    train_loss: float
    train_error: float
    lr: float
    seconds: float
    val_loss: float | None = None
    val_error: float | None = None

    def __post_init__(self):
        optional = {name: value for name, value in vars(self).items() if name.startswith("val_") and value is None}
        for name, value in vars(self).items():
            if name not in optional:
                _check_number(name, value, highest=1 if name.endswith("_error") else math.inf)
        if len(optional) == 1:
            raise ValueError("has only one of val_loss and val_error")
        if type(self.step) is not int or self.step < self.epoch:
            raise ValueError(f"step must be a whole number of at least {self.epoch}. Received: {self.step!r}")

    @classmethod
    def from_line(cls, text, number):
        """Return the epoch that a line of a log tells of; what else the line holds is left out.

        Args:
            text: the line, as str or bytes.
            number: that the epoch must have: the line's, from 1.

        Raises:
            ValueError: for a line that is no JSON object, lacks a value or holds a wrong one; the message does not
                name the file and the line.
        """
        values = _object(text)
        try:
            epoch = cls(**{key: values[key] for key in cls.__dataclass_fields__ if key in values})
        except TypeError as error:
            raise ValueError(str(error).removeprefix("Epoch.__init__() ")) from error
        if epoch.epoch != number:
            raise ValueError(f"epoch must be {number}. Received: {epoch.epoch}")
        return epoch


@dataclass(frozen=True)
class Record:
    """A finished run and where it came from.

    Attributes:
        name: of its folder.
        spec: the network.
        recipe: how it was trained, as ``recipes.Recipe.to_json`` gives it.
        seed: of the weights, the order and the augmentation.
        precision: "float32" or "mixed_bfloat16".
        deterministic: whether operations were asked to repeat bit for bit.
        data: "name", "source" (what the images really are), "sha256" of the arrays, and how many images were trained
            on ("training_images") and held back ("validation_images").
        versions: of Python and the packages that decide what comes out.
        hardware: what it ran on: "processor", "cores" and more.
        git: "commit" of this package and whether files were "changed", each None if git did not tell, or the "release".
        command: that repeats it.
        result: "test_error", the part of the test images it got wrong, 0 to 1, and more: "peak_memory" is the most
            bytes that the process which ended the run had resident since it began, whatever else it did before.
        log: an ``Epoch`` for each epoch.
        strategy: None, or "mirrored".
        devices: the parts of a divided processor that "mirrored" was over; None on GPUs, and in older records.
        resumed: for each time it was taken up again the "epoch" done by then, and its surroundings as above.
        environment: variables that change how a backend computes, such as "XLA_FLAGS"; None in older
            records, which do not tell.
    """

    name: str
    spec: Spec
    recipe: Mapping
    seed: int
    precision: str
    deterministic: bool
    data: Mapping
    versions: Mapping
    hardware: Mapping
    git: Mapping
    command: str
    result: Mapping
    log: tuple[Epoch, ...]
    strategy: str | None = None
    devices: int | None = None
    resumed: tuple[Mapping, ...] = ()
    environment: Mapping | None = None

    def hardware_of(self, epoch):
        """Return the hardware that made an epoch: of the last time the run was taken up before it, or as it began."""
        parts = [part["hardware"] for part in self.resumed if part["epoch"] < epoch]
        return parts[-1] if parts else self.hardware

    @property
    def seconds_per_update(self):
        """The mean of each line of the log, validation included, a tuple of seconds."""
        steps = [0, *(epoch.step for epoch in self.log)]
        return tuple(epoch.seconds / (epoch.step - before) for epoch, before in zip(self.log, steps, strict=False))


def load(folder=None):
    """Return the recorded runs, a tuple of ``Record`` in the order of their names.

    Args:
        folder: holds one folder a run; None: the runs that ship with the package, if any do.

    Raises:
        RecordError: for a folder that does not exist, or a run that is damaged, unfinished, lacks its provenance, or
            has a log that tells of another run than its summary.
    """
    if folder is None:
        return load(RECORDED) if RECORDED.is_dir() else ()
    folder = Path(folder)
    if not folder.is_dir():
        raise RecordError(f"{folder} is not a folder. Name one that holds a folder for each run.")
    return tuple(read(run) for run in sorted(folder.iterdir()) if run.is_dir() and not run.name.startswith((".", "_")))


def read(folder):
    """Read one run's folder: ``run.json`` and ``log.jsonl``.

    Raises:
        RecordError: as for ``load``.
    """
    path = Path(folder) / RUN
    text = _text(path)
    try:
        run = _object(text)
    except ValueError as error:
        raise _fault(path, str(error)) from error
    provenance = _provenance(run, path)
    record = Record(name=path.parent.absolute().name, log=_log(path.with_name(LOG)), **provenance)
    fault = disagreement(record)
    if fault:
        raise _fault(path.parent, f"{RUN} and {LOG} do not agree: {fault}")
    return record


def run_name(spec, recipe, seed, data="cifar10"):
    """Return the name of a run's folder: network, recipe and seed, and the data set if it is not CIFAR-10."""
    return "-".join([spec.name, recipe.name, *([data] if data != "cifar10" else []), f"seed{seed}"])


def read_sums(path):
    """Read a file that sha256sum wrote.

    Args:
        path: the file, such as ``SUMS`` beside the records.

    Returns:
        A dict of name to hexadecimal digits; empty if there is no such file.

    Raises:
        RecordError: for a line that is not as sha256sum writes it.
    """
    if not path.exists():
        return {}
    lines = [re.fullmatch("([0-9a-f]{64}) [ *](.+)", line) for line in path.read_text(encoding="utf-8").splitlines()]
    if None in lines:
        raise RecordError(f"{path}, line {lines.index(None) + 1} is not as sha256sum writes it. Restore the file.")
    return {line[2]: line[1] for line in lines}


_NEEDED = {  # key: what it must be
    "spec": dict,
    "recipe": dict,
    "seed": int,
    "precision": str,
    "deterministic": bool,
    "data": dict,
    "versions": dict,
    "hardware": dict,
    "git": dict,
    "command": str,
    "result": dict,
}
_SURROUNDINGS = {"versions": {"resnet-lessons", "python", "keras", "numpy"}, "hardware": {"processor", "cores"}}
_BACKENDS = {"tensorflow", "jax"}
_KINDS = {dict: "an object", int: "a whole number", str: "a text", bool: "true or false"}


def _provenance(run, path):
    """Check what must be known about a run; return it with its network as a ``Spec``."""
    lacking = [key for key in _NEEDED if run.get(key) in (None, "", {}, [])]
    if lacking:
        raise _fault(path, f"lacks {', '.join(lacking)}")
    for key, kind in _NEEDED.items():
        if type(run[key]) is not kind:
            raise _fault(path, f"{key} must be {_KINDS[kind]}. Received: {run[key]!r}")
    _check_data(run["data"], path)
    resumed = run.get("resumed", [])
    if not isinstance(resumed, list) or not all(isinstance(part, dict) for part in resumed):
        raise _fault(path, f"resumed must be a list of objects. Received: {resumed!r}")
    for part in (run, *resumed):
        _check_surroundings(part, path)
    for part in resumed:
        if type(part.get("epoch")) is not int or part["epoch"] < 0:
            raise _fault(path, f"resumed must say after which epoch. Received: {part.get('epoch')!r}")
    _check_result(run["result"], run["data"]["validation_images"] > 0, path)
    try:
        spec = Spec(**run["spec"])
    except (TypeError, ValueError) as error:
        raise _fault(path, str(error)) from error
    return {key: run[key] for key in _NEEDED} | {
        "spec": spec,
        "strategy": run.get("strategy"),
        "devices": run.get("devices"),
        "resumed": tuple(resumed),
        "environment": run.get("environment"),
    }


def _check_data(data, path):
    lacking = [key for key in ("name", "source", "sha256") if not isinstance(data.get(key), str) or not data[key]]
    lacking += [key for key in ("training_images", "validation_images") if key not in data]
    if lacking:
        raise _fault(path, f"its data lack {', '.join(lacking)}")
    if not re.fullmatch("[0-9a-f]{64}", data["sha256"]):
        raise _fault(path, f"data.sha256 must be 64 hexadecimal digits. Received: {data['sha256']!r}")
    for key, least in (("training_images", 1), ("validation_images", 0)):
        if type(data[key]) is not int or data[key] < least:
            raise _fault(path, f"data.{key} must be a whole number of at least {least}. Received: {data[key]!r}")


def _check_surroundings(part, path):
    """Check what a part of the run had around it; each part must say so."""
    for key, names in _SURROUNDINGS.items():
        told = part.get(key)
        lacking = sorted(names - set(told if isinstance(told, dict) else ()))
        if lacking:
            raise _fault(path, f"{key} must say {', '.join(lacking)} of every part of the run. Received: {told!r}")
    if not _BACKENDS & set(part["versions"]):
        told = part["versions"]
        raise _fault(path, f"versions must say tensorflow or jax of every part of the run. Received: {told!r}")
    if not isinstance(part.get("environment", {}), dict):
        raise _fault(path, f"environment must be an object. Received: {part['environment']!r}")
    git = part.get("git")
    if not isinstance(git, dict) or not ({"commit", "changed"} <= set(git) or "release" in git):
        raise _fault(path, f"git must hold commit and changed, or release. Received: {git!r}")


def _check_result(result, validated, path):
    needed = {"test_error": 1, "test_loss": math.inf, "test_images": math.inf, "parameters": math.inf}
    needed |= {"seconds": math.inf} | ({"val_loss": math.inf, "val_error": 1} if validated else {})
    try:
        for key, highest in needed.items():
            _check_number(f"result.{key}", result.get(key), highest)
        for key in ("test_images", "parameters"):
            if type(result[key]) is not int or result[key] < 1:
                raise ValueError(f"result.{key} must be a whole number of at least 1. Received: {result[key]!r}")
    except ValueError as error:
        raise _fault(path, str(error)) from error


def _log(path):
    """Read an epoch a line; the epochs must be numbered 1, 2, 3, ... and the last line must be whole."""
    text = _text(path)
    if not text.endswith("\n"):
        raise _fault(path, "is empty or its last line was cut")
    epochs = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            epochs.append(Epoch.from_line(line, number))
        except ValueError as error:
            raise _fault(f"{path}, line {number}", str(error)) from error
    return tuple(epochs)


def _text(path):
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _fault(path, f"cannot be read ({error})") from error


def _object(text):
    """Return the object that a JSON text holds, a dict; raise ValueError if it holds none."""
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        raise ValueError(f"is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise ValueError(f"must hold an object. Received: {text[:40]!r}")
    return value


def _refuse_constant(name):
    raise ValueError(f"{name} is not a number")


def _check_number(name, value, highest):
    if type(value) not in (int, float) or not 0 <= value <= highest or math.isinf(value):
        raise ValueError(
            f"{name} must be a number from 0{f' to {highest}' if highest < math.inf else ''}. Received: {value!r}"
        )


def _fault(where, what):
    return RecordError(f"{where}: {what}. Restore the folder as training wrote it, or remove it.")
