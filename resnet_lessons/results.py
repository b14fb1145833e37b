"""What has been measured: figures the papers print, and runs recorded by this package with where they came from.

``PUBLISHED`` says of every figure which network it belongs to, which is not always the one it is quoted for:
``QUOTED_BY_KERAS_EXAMPLE`` holds what that script's table prints beside its own networks. ``load`` reads the runs that
ship in ``recorded/``, one folder a run, as training wrote it. Lessons 01, 03, 05 and 09 show them.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from resnet_lessons.specs import Spec

HE_2015 = "He et al. 2015, Table 6"
HE_2016_SHORTCUTS = "He et al. 2016, Table 1"
HE_2016_ORDERS = "He et al. 2016, Table 2"
HE_2016_DEPTHS = "He et al. 2016, Table 3"
KERAS_EXAMPLE = "Keras example cifar10_resnet.py, its table"
RECORDED = Path(__file__).parent / "recorded"


@dataclass(frozen=True)
class Published:
    """A test error on CIFAR-10 as a publication prints it.

    Attributes:
        network: the network that has it.
        error: percent.
        source: the publication and its table.
        spread: standard deviation over the runs, percent, where one is printed.
        parameters: the number of parameters as printed, such as "0.27M", where one is.
        statistic: what the error is of several runs, where that is said.
    """

    network: Spec
    error: float
    source: str
    spread: float | None = None
    parameters: str = ""
    statistic: str = ""


def _he2015(depth, error, parameters, **more):
    return Published(Spec("v1", depth), error, HE_2015, parameters=parameters, **more)


def _he2016(network, error, source=HE_2016_DEPTHS):
    return Published(network, error, source, statistic="median of 5 runs")


def _keras_example(family, depth, accuracy):
    error = round(100 - accuracy, 2)  # the script prints accuracies; on the test set, which also chose the epoch
    return Published(Spec(family, depth, style="keras-example"), error, KERAS_EXAMPLE)


PUBLISHED = (
    _he2015(20, 8.75, "0.27M"),
    _he2015(32, 7.51, "0.46M"),
    _he2015(44, 7.17, "0.66M"),
    _he2015(56, 6.97, "0.85M"),
    _he2015(110, 6.61, "1.7M", spread=0.16, statistic="mean of 5 runs; the best: 6.43"),
    _he2015(1202, 7.93, "19.4M"),
    _he2016(Spec("v1", 164, block="bottleneck"), 5.93),
    _he2016(Spec("v1", 1001, block="bottleneck"), 7.61),
    _he2016(Spec("v2", 110, block="basic"), 6.37),
    _he2016(Spec("v2", 164), 5.46),
    _he2016(Spec("v2", 1001), 4.92),
    _he2016(Spec("v1", 110, skip="constant-scaling"), 12.35, HE_2016_SHORTCUTS),  # both terms halved
    _he2016(Spec("v1", 110, skip="exclusive-gating"), 8.70, HE_2016_SHORTCUTS),  # gates' bias -6, as in blocks
    _he2016(Spec("v1", 110, skip="shortcut-gating"), 6.91, HE_2016_SHORTCUTS),  # the same
    _he2016(Spec("v1", 110, skip="conv"), 12.22, HE_2016_SHORTCUTS),  # the dropout shortcut's row says "fail"
    Published(Spec("v2", 1001), 4.89, "He et al. 2016, Table 4", spread=0.14, statistic="mean of 5 runs"),
    _he2016(Spec("v1", 110, order="bn-after-add"), 8.17, HE_2016_ORDERS),
    _he2016(Spec("v1", 110, order="relu-before-add"), 7.84, HE_2016_ORDERS),
    _he2016(Spec("v1", 110, order="relu-pre"), 6.71, HE_2016_ORDERS),
    _he2016(Spec("v1", 164, block="bottleneck", order="bn-after-add"), 6.50, HE_2016_ORDERS),
    _he2016(Spec("v1", 164, block="bottleneck", order="relu-before-add"), 6.14, HE_2016_ORDERS),
    _he2016(Spec("v1", 164, block="bottleneck", order="relu-pre"), 5.91, HE_2016_ORDERS),
    _keras_example("v1", 20, 92.16),
    _keras_example("v1", 32, 92.46),
    _keras_example("v1", 44, 92.50),
    _keras_example("v1", 56, 92.71),
    _keras_example("v1", 110, 92.65),
    _keras_example("v2", 56, 93.01),
    _keras_example("v2", 110, 93.15),
)


def published(spec):
    """Return the figures published for exactly this network, a tuple of ``Published``, empty if there are none."""
    return tuple(record for record in PUBLISHED if record.network == spec)


def _quotations():
    """Pair each row of the Keras example's table with the figure it prints as the original paper's, by its error."""
    rows = [
        ("v1", 20, 8.75),
        ("v1", 32, 7.51),
        ("v1", 44, 7.17),
        ("v1", 56, 6.97),
        ("v1", 110, 6.61),
        ("v1", 164, 5.93),
    ]
    rows += [("v2", 110, 6.37), ("v2", 164, 5.46), ("v2", 1001, 4.92)]  # the last as 95.08+-.14: median, mean's spread
    papers = {record.error: record for record in PUBLISHED if record.source in (HE_2015, HE_2016_DEPTHS)}
    return MappingProxyType({Spec(name, depth, style="keras-example"): papers[error] for name, depth, error in rows})


QUOTED_BY_KERAS_EXAMPLE = _quotations()  # its network -> the figure, whose ``network`` is the one that has it


class RecordError(ValueError):
    """A recorded run is damaged or does not say where it came from; the message names the file and the fault."""


@dataclass(frozen=True)
class Epoch:
    """A line of a run's log.

    Attributes:
        epoch: its number, from 1.
        train_loss: mean over the epoch, as it was running.
        train_error: the part of the training images that the net got wrong, 0 to 1.
        lr: the learning rate at its end.
        seconds: that it took.
        val_loss: after the epoch; None in a run that holds no images back.
        val_error: as train_error, on the images held back.
    """

    epoch: int
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


@dataclass(frozen=True)
class Record:
    """A finished run and where it came from.

    Attributes:
        name: of its folder.
        spec: the network.
        recipe: how it was trained, as ``recipes.Recipe.to_json`` gives it.
        seed: of the weights, the order and the augmentation.
        data: "name", "source" (what the images really are) and "sha256" of the arrays.
        versions: of Python and the packages that decide what comes out.
        hardware: what it ran on.
        git: the commit of this package.
        command: that repeats it.
        result: "test_error", the part of the test images it got wrong, 0 to 1, and more.
        log: an ``Epoch`` for each epoch.
    """

    name: str
    spec: Spec
    recipe: Mapping
    seed: int
    data: Mapping
    versions: Mapping
    hardware: object
    git: object
    command: object
    result: Mapping
    log: tuple[Epoch, ...]


def load(folder=None):
    """Return the recorded runs, a tuple of ``Record`` in the order of their names.

    Args:
        folder: holds one folder a run; None: the runs that ship with the package, if any do.

    Raises:
        RecordError: for a folder that does not exist, or a run that is damaged, unfinished or lacks its provenance.
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
    path = Path(folder) / "run.json"
    run = _json(_text(path), path)
    provenance = _provenance(run, path)
    return Record(name=path.parent.name, log=_log(path.with_name("log.jsonl")), **provenance)


def _provenance(run, path):
    """Check what must be known about a run; return it with its network as a ``Spec``."""
    needed = ("spec", "recipe", "seed", "data", "versions", "hardware", "git", "command", "result")
    lacking = [key for key in needed if run.get(key) in (None, "", {}, [])]
    if lacking:
        raise _fault(path, f"lacks {', '.join(lacking)}")
    for key in ("spec", "recipe", "data", "versions", "result"):
        if not isinstance(run[key], dict):
            raise _fault(path, f"{key} must be an object. Received: {run[key]!r}")
    if type(run["seed"]) is not int:
        raise _fault(path, f"seed must be a whole number. Received: {run['seed']!r}")
    _check_data(run["data"], path)
    try:
        spec = Spec(**run["spec"])
        _check_number("test_error", run["result"].get("test_error"), highest=1)
    except (TypeError, ValueError) as error:
        raise _fault(path, str(error)) from error
    return {key: run[key] for key in needed} | {"spec": spec}


def _check_data(data, path):
    lacking = [key for key in ("name", "source", "sha256") if not isinstance(data.get(key), str) or not data[key]]
    if lacking:
        raise _fault(path, f"its data lack {', '.join(lacking)}")
    if not re.fullmatch("[0-9a-f]{64}", data["sha256"]):
        raise _fault(path, f"data.sha256 must be 64 hexadecimal digits. Received: {data['sha256']!r}")


def _log(path):
    """Read an epoch a line; the epochs must be numbered 1, 2, 3, ... and the last line must be whole."""
    text = _text(path)
    if not text.endswith("\n"):
        raise _fault(path, "is empty or its last line was cut")
    epochs = []
    for number, line in enumerate(text.splitlines(), start=1):
        values = _json(line, f"{path}, line {number}")
        try:
            epochs.append(Epoch(**{key: values[key] for key in Epoch.__dataclass_fields__ if key in values}))
        except (TypeError, ValueError) as error:
            raise _fault(f"{path}, line {number}", str(error).removeprefix("Epoch.__init__() ")) from error
        if epochs[-1].epoch != number:
            raise _fault(f"{path}, line {number}", f"epoch must be {number}. Received: {epochs[-1].epoch}")
    return tuple(epochs)


def _text(path):
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _fault(path, f"cannot be read ({error})") from error


def _json(text, where):
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        raise _fault(where, f"is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise _fault(where, f"must hold an object. Received: {text[:40]!r}")
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
