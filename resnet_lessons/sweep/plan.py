"""A sweep as plain data: which networks, recipes and seeds a TOML file asks for, checked whole before anything runs."""

import dataclasses
import tomllib
from pathlib import Path

from resnet_lessons import recipes, specs
from resnet_lessons.data import NAMES as DATA_SETS
from resnet_lessons.data.formats import LAYOUTS
from resnet_lessons.results.records import run_name
from resnet_lessons.specs import Spec

CIFAR_SHAPE = (32, 32, 3)  # shapes10's too


class SweepError(ValueError):
    """A sweep cannot start: its file, its folder or its cluster is not as it must be; the message says what to do."""


@dataclasses.dataclass(frozen=True)
class Planned:
    """One run of a sweep.

    Args:
        spec: the network.
        recipe: how it is trained.
        seed: of weights, order and augmentation.
        precision: "auto", "float32" or "mixed_bfloat16".
        data: name of the data set, the sweep's.
    """

    spec: Spec
    recipe: recipes.Recipe
    seed: int
    precision: str = "auto"
    data: str = "cifar10"

    @property
    def name(self):
        """The name of the run's folder, the one that ``resnet-lessons train`` gives it."""
        return run_name(self.spec, self.recipe, self.seed, self.data)


@dataclasses.dataclass(frozen=True)
class Plan:
    """A sweep.

    Args:
        runs: a ``Planned`` for each network and seed.
        out: the folder that gets a folder for each run.
        data: name of the data set.
        source: where it lies; None to search.
        cores: processor cores for each run; None to share all that there are. They decide how many runs have room at
            once; TensorFlow keeps to them, JAX takes all that a process may run on.
        gpus: GPUs for each run, 0 or 1; None: one if there are any.
    """

    runs: tuple[Planned, ...]
    out: Path
    data: str = "cifar10"
    source: Path | None = None
    cores: int | None = None
    gpus: int | None = None


def _text(value):
    return isinstance(value, str) and value != ""


def _whole(least):
    return lambda value: type(value) is int and value >= least


def _sizes(value):
    sizes = value if isinstance(value, list) else [value]
    return sizes != [] and all(map(_whole(1), sizes)) and len(set(sizes)) == len(sizes)


def _seeds(value):
    whole = isinstance(value, list) and value != [] and all(type(seed) is int for seed in value)
    return whole and len(set(value)) == len(value) and 0 <= min(value) <= max(value) <= recipes.HIGHEST_SEED


def _one_of(*values):
    return lambda value: any(type(value) is type(allowed) and value == allowed for allowed in values)


def _choice(values):
    return _one_of(*values), f"one of {', '.join(map(repr, values))}"


_SIZES = "a whole number of at least 1, or a list of different ones"
_HOW = {  # key: (whether a value is allowed, what is allowed)
    "recipe": _choice(recipes.NAMES),
    "steps": (_whole(1), "a whole number of at least 1"),
    "smoke": (_one_of(True, False), "true or false"),
    "seeds": (_seeds, f"a list of different whole numbers from 0 to {recipes.HIGHEST_SEED}, such as [0, 1, 2]"),
    "precision": _choice(recipes.PRECISIONS),
}
_TOP = _HOW | {
    "out": (_text, "the name of a folder"),
    "data": _choice(DATA_SETS),
    "source": (_text, "the name of a file or a folder"),
    "cores": (_whole(1), "a whole number of at least 1"),
    "gpus": (_one_of(0, 1), "0 or 1, as a run of a sweep trains on one device"),
}
_NETWORK = _HOW | {
    "family": _choice(specs.FAMILIES),
    "n": (_sizes, _SIZES),
    "depth": (_sizes, _SIZES),
    **{field: _choice(values) for field, values in specs.CHOICES.items()},
}
_INSTEAD_OF = {"steps": "smoke", "smoke": "steps"}  # a network's own goes before the sweep's other


def read(path, out=None):
    """Read a sweep from a TOML file.

    Args:
        path: the file.
        out: the sweep's folder, instead of the one that the file names; without either it is runs/ and the file's name.

    Returns:
        A ``Plan`` whose folders are absolute.

    Raises:
        SweepError: for anything that is not as it must be, before anything is run.
    """
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SweepError(
            f"{path} cannot be read ({error.strerror}). Name a TOML file that says what to run; an example: "
            "resnet-lessons sweep --help"
        ) from error
    except ValueError as error:
        raise SweepError(f"{path} is not TOML: {error}.") from error
    networks = table.pop("network", None)
    if not isinstance(networks, list) or not networks or not all(isinstance(one, dict) for one in networks):
        raise SweepError(
            f"{path}: it must have a [[network]] table for each network. Received: network = {networks!r}."
        )
    _check(table, _TOP, path)
    data = table.get("data", "cifar10")
    usual = {key: table[key] for key in _HOW if key in table}
    named = [(f"{path}, network {number}", one) for number, one in enumerate(networks, 1)]
    runs = [(where, run) for where, one in named for run in _runs(where, one, usual, data)]
    _refuse_repeated(runs)
    return Plan(
        runs=tuple(run for _, run in runs),
        out=Path(out or table.get("out") or Path("runs") / path.stem).absolute(),
        data=data,
        source=Path(table["source"]).absolute() if "source" in table else None,
        cores=table.get("cores"),
        gpus=table.get("gpus"),
    )


def _check(table, allowed, where):
    for key, value in table.items():
        if key not in allowed:
            raise SweepError(f"{where}: there is no key {key!r}. Allowed are {', '.join(allowed)}.")
        is_allowed, says = allowed[key]
        if not is_allowed(value):
            raise SweepError(f"{where}: {key} must be {says}. Received: {value!r}.")


def _runs(where, table, usual, data):
    """List the runs that one [[network]] table asks for."""
    _check(table, _NETWORK, where)
    if "family" not in table:
        raise SweepError(f"{where}: it lacks family, one of {', '.join(map(repr, specs.FAMILIES))}.")
    inherited = {key: value for key, value in usual.items() if not table.get(_INSTEAD_OF.get(key))}
    how = inherited | {key: table[key] for key in _HOW if key in table}
    choices = {key: table[key] for key in specs.CHOICES if key in table}
    shape = LAYOUTS[data].image_shape if data in LAYOUTS else CIFAR_SHAPE
    try:
        found = [specs.sized(table["family"], **size, **choices, input_shape=shape) for size in _each_size(table)]
        return [planned for spec in found for planned in _each_seed(spec, data, **how)]
    except ValueError as error:
        raise SweepError(f"{where}: {error}") from error


def _each_size(table):
    """List the sizes, as {"n": 3}, {"n": 9}; what holds both keys or none is left for ``specs.sized`` to refuse."""
    given = {
        key: table[key] if isinstance(table[key], list) else [table[key]] for key in ("n", "depth") if key in table
    }
    if len(given) != 1:
        return [{key: values[0] for key, values in given.items()}]
    return [{key: value} for key, values in given.items() for value in values]


def _each_seed(spec, data, recipe="short", steps=None, smoke=False, seeds=(0,), precision="auto"):
    chosen = recipes.choose(recipe, spec.depth, steps, smoke)
    return [Planned(spec, chosen, seed, precision, data) for seed in seeds]


def _refuse_repeated(runs):
    """Raise SweepError if two of the runs, pairs of where each is asked for and the run, share a folder."""
    first = {}
    for where, run in runs:
        if run.name in first:
            raise SweepError(
                f"{where}: {run.name} is asked for already by {first[run.name].rpartition(', ')[2]}. "
                "Runs are told apart by network, recipe and seed; leave one out."
            )
        first[run.name] = where
