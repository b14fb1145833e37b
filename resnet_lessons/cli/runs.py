"""What ``results`` shows: the runs below some folders, read from ``run.json`` and ``log.jsonl`` alone, and their means.

A damaged run is listed with the reason, where ``results.load`` raises. Means are over the runs that ``results.groups``
would put together.
"""

import dataclasses
import json
import os
from pathlib import Path

from resnet_lessons import results
from resnet_lessons.results.agreement import epoch_starts
from resnet_lessons.results.groups import mean_and_deviation, seeds_together
from resnet_lessons.results.records import LOG, RUN
from resnet_lessons.specs import Spec

FINISHED, UNFINISHED, DAMAGED = "finished", "unfinished", "damaged"


@dataclasses.dataclass(frozen=True)
class Found:
    """A run as it lies in its folder; of a damaged one only the folder and the reason.

    Args:
        folder: its path.
        state: "finished", "unfinished" or "damaged".
        reason: what is wrong with a damaged one.
        network: its name.
        spec: all of it, as ``Spec.to_json`` gives it.
        parameters: their number, once finished.
        recipe: as ``Recipe.to_json`` gives it.
        precision: "float32" or "mixed_bfloat16".
        strategy: None, or "mirrored".
        seed: of the run.
        data: "name", "source", "sha256" and "training_images".
        epochs: that are done.
        epochs_in_all: of the recipe.
        train_error: in the last epoch, while the net was changing, between 0 and 1.
        val_error: after the last epoch.
        test_error: once finished.
        seconds: of training.
    """

    folder: str
    state: str
    reason: str = ""
    network: str = ""
    spec: dict = dataclasses.field(default_factory=dict, repr=False)
    parameters: int | None = None
    recipe: dict = dataclasses.field(default_factory=dict, repr=False)
    precision: str = ""
    strategy: str | None = None
    seed: int | None = None
    data: dict = dataclasses.field(default_factory=dict)
    epochs: int = 0
    epochs_in_all: int | None = None
    train_error: float | None = None
    val_error: float | None = None
    test_error: float | None = None
    seconds: float = 0.0

    @property
    def trained_on(self):
        """The training set: see ``results.training_set``."""
        return results.training_set(self.data)


@dataclasses.dataclass(frozen=True)
class Mean:
    """Several seeds of one network, recipe, precision, strategy and training set.

    Args:
        network: its name.
        recipe: its name.
        precision: of all of them.
        strategy: likewise.
        data: as in ``Found``.
        seeds: that the mean is over; of one that was run twice, the first run counts.
        train_error: mean and standard deviation (n - 1) over the seeds, between 0 and 1.
        val_error: likewise; None if a run holds no images back.
        test_error: likewise.
    """

    network: str
    recipe: str
    precision: str
    strategy: str | None
    data: dict
    seeds: tuple[int, ...]
    train_error: tuple[float, float]
    val_error: tuple[float, float] | None
    test_error: tuple[float, float]

    @property
    def trained_on(self):
        """The training set: see ``results.training_set``."""
        return results.training_set(self.data)


def find(folders):
    """Return every run at or below some folders, once each, sorted by data set, network, recipe and seed."""
    places = dict.fromkeys(place.resolve() for folder in folders for place in _places(folder))
    return sorted((look(place) for place in places), key=_order)


def _places(folder):
    for path, inner, files in os.walk(folder, onerror=_refuse):
        inner[:] = [name for name in inner if not name.startswith(".")]
        if {RUN, LOG} & set(files):
            yield Path(path)


def _refuse(error):
    raise OSError(f"{error.filename} cannot be listed ({error.strerror}). Name a folder that holds runs.") from error


def _order(run):
    return *run.trained_on, run.spec.get("depth", 0), run.network, run.recipe.get("name", ""), run.seed or 0, run.folder


def look(folder):
    """Read one run's folder, whatever state it is in.

    Args:
        folder: holds a ``run.json`` or a ``log.jsonl``.

    Returns:
        A ``Found``.
    """
    try:
        run = json.loads((folder / RUN).read_text(encoding="utf-8"))
        return _finished(folder, run, results.read(folder)) if "result" in run else _unfinished(folder, run)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        is_plain = isinstance(error, (OSError, results.RecordError))
        reason = str(error) if is_plain else f"{RUN} or {LOG} does not describe a run ({error!r})"
        return Found(_shown(folder), DAMAGED, reason)


def _finished(folder, run, record):
    return Found(
        state=FINISHED,
        parameters=record.result.get("parameters"),
        test_error=record.result["test_error"],
        **_common(folder, run, record.spec, record.log),
    )


def _unfinished(folder, run):
    log = [results.Epoch.from_line(line, number) for number, line in enumerate(_whole_lines(folder / LOG), start=1)]
    return Found(state=UNFINISHED, **_common(folder, run, Spec(**run["spec"]), log))


def _whole_lines(path):
    """Return the log's lines; none before the first epoch, and without a last one that is being written."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return text.rpartition("\n")[0].splitlines()


def _common(folder, run, spec, log):
    """Return what is known of a run in any state, by the fields of ``Found``."""
    last = log[-1] if log else None
    return {
        "folder": _shown(folder),
        "network": spec.name,
        "spec": spec.to_json(),
        "recipe": dict(run["recipe"]),
        "precision": run.get("precision", ""),
        "strategy": run.get("strategy"),
        "seed": run["seed"],
        "data": dict(run["data"]),
        "epochs": len(log),
        "epochs_in_all": _epochs_in_all(run["recipe"], run["data"]),
        "train_error": last and last.train_error,
        "val_error": last and last.val_error,
        "seconds": sum(epoch.seconds for epoch in log),
    }


def _shown(folder):
    """Return a path as a person would write it: relative if it is below the working folder."""
    folder = Path(folder).resolve()
    return str(folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder)


def _epochs_in_all(recipe, data):
    """Return how many epochs a recipe has; None if it or the data do not say."""
    try:
        return len(epoch_starts(recipe, data.get("training_images")))
    except (KeyError, TypeError):
        return None


def means(found):
    """Return a ``Mean`` of all finished runs that differ in nothing but the seed, where there are several."""
    groups = seeds_together(run for run in found if run.state == FINISHED)
    return [_mean(runs) for runs in groups if len(runs) > 1]


def _mean(runs):
    validated = [run.val_error for run in runs]
    return Mean(
        network=runs[0].network,
        recipe=runs[0].recipe["name"],
        precision=runs[0].precision,
        strategy=runs[0].strategy,
        data=runs[0].data,
        seeds=tuple(run.seed for run in runs),
        train_error=mean_and_deviation([run.train_error for run in runs]),
        val_error=None if None in validated else mean_and_deviation(validated),
        test_error=mean_and_deviation([run.test_error for run in runs]),
    )
