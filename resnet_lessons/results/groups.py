"""Recorded runs of one network, recipe, precision and data, put together over their seeds."""

import json
import statistics
from collections import defaultdict
from dataclasses import dataclass

from resnet_lessons.specs import Spec

from .agreement import updates_per_pass
from .records import Record, load


@dataclass(frozen=True)
class Group:
    """Runs of one network, recipe, precision, strategy and training set, one for each seed.

    Attributes:
        records: the runs, in the order of their seeds.
    """

    records: tuple[Record, ...]

    @property
    def spec(self):
        """The network."""
        return self.records[0].spec

    @property
    def recipe(self):
        """How it was trained, as in ``Record``."""
        return self.records[0].recipe

    @property
    def precision(self):
        """Either "float32" or "mixed_bfloat16"."""
        return self.records[0].precision

    @property
    def data(self):
        """On what, as in ``Record``."""
        return self.records[0].data

    @property
    def data_title(self):
        """What the images are, in a few words."""
        return training_set(self.data)[0]

    @property
    def seeds(self):
        """The seeds, a tuple of whole numbers."""
        return tuple(record.seed for record in self.records)

    @property
    def parameters(self):
        """How many trainable parameters the network has."""
        return self.records[0].result["parameters"]

    @property
    def test_errors(self):
        """The test error of each run, percent."""
        return tuple(100 * record.result["test_error"] for record in self.records)

    @property
    def test_error(self):
        """Mean and standard deviation (n - 1) of ``test_errors``; of a single run the second is None."""
        return mean_and_deviation(self.test_errors)

    @property
    def train_error(self):
        """The same of the training error, percent, a mean over the last epoch while the net was changing."""
        return mean_and_deviation([100 * record.log[-1].train_error for record in self.records])

    @property
    def val_error(self):
        """The same of the error on the images held back, after the last epoch; None if none were."""
        if self.records[0].log[-1].val_error is None:
            return None
        return mean_and_deviation([100 * record.log[-1].val_error for record in self.records])

    @property
    def hardware(self):
        """What the runs had, in words, each kind of machine once."""
        return "; ".join(self.times)

    @property
    def times(self):
        """What the runs took on each kind of machine: a dict of its name to (seconds an epoch, hours a run).

        An epoch is one pass over the training images, its seconds the median of what the log's lines tell, validation
        included: a machine that has other work now and then takes many times longer. The hours are a mean over the runs
        that were there, of what each spent there; whatever else the machine did meanwhile is in them.
        """
        updates = updates_per_pass(self.data["training_images"], self.recipe["batch_size"])
        paces, hours = defaultdict(list), defaultdict(list)
        for record in self.records:
            there = defaultdict(list)  # this run's lines by the machine that made them, one that made none left out
            for line, pace in zip(record.log, record.seconds_per_update, strict=True):
                machine = hardware_in_words(record.hardware_of(line.epoch))
                paces[machine].append(pace)
                there[machine].append(line.seconds)
            for machine, seconds in there.items():
                hours[machine].append(sum(seconds) / 3600)
        return {name: (updates * statistics.median(paces[name]), statistics.mean(hours[name])) for name in paces}


def mean_and_deviation(values):
    """Return the mean and the standard deviation (n - 1) of some numbers; of a single one the second is None."""
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else None


def hardware_in_words(hardware):
    """Name the accelerators of a machine, or its processor and the cores."""
    if hardware.get("accelerators"):
        return ", ".join(hardware["accelerators"])
    return f"{hardware['processor']}, {hardware['cores']} cores"


def groups(records=None, *, data=None, recipe=None, specs=None):
    """Put the seeds of recorded runs together, whatever machine had them; of a seed that ran twice, the first counts.

    Args:
        records: some ``Record``; None: those that ship.
        data: the name of a data set, such as "cifar10"; None: all of them.
        recipe: the name of a recipe, such as "short"; None: all of them.
        specs: some networks, such as [Spec("plain", 20)]; None: all of them.

    Returns:
        A tuple of ``Group``, by family, depth, and updates.
    """
    specs = None if specs is None else tuple(specs)
    chosen = [
        record
        for record in (load() if records is None else records)
        if data in (None, record.data["name"])
        and recipe in (None, record.recipe["name"])
        and (specs is None or record.spec in specs)
    ]
    return tuple(sorted(map(Group, seeds_together(chosen)), key=_order))


def seeds_together(runs):
    """Put runs together that differ in nothing but the seed; of a seed that ran twice, the first counts.

    Args:
        runs: some ``Record``, or others that have a seed and what ``all_but_the_seed`` asks for.

    Returns:
        A list of tuples of runs, each in the order of their seeds.
    """
    together = defaultdict(dict)
    for run in runs:
        together[all_but_the_seed(run)].setdefault(run.seed, run)
    return [tuple(seeds[seed] for seed in sorted(seeds)) for seeds in together.values()]


def training_set(data):
    """Return what tells training sets apart: the data set in a few words, its SHA-256, the number of images."""
    return data.get("source", "").partition(":")[0], data.get("sha256", ""), data.get("training_images") or 0


def all_but_the_seed(run):
    """Return a text that is the same for runs that may be averaged, and for no others.

    Args:
        run: a ``Record``, or another that has its spec, recipe, precision, strategy and data; the spec may also be as
            ``Spec.to_json`` gives it.
    """
    how = [run.spec, dict(run.recipe), run.precision, run.strategy, training_set(run.data)]
    return json.dumps(how, sort_keys=True, default=Spec.to_json)


def _order(group):
    spec, recipe = group.spec, group.recipe
    return spec.family, spec.depth, spec.name, group.data["name"], recipe["steps"], recipe["name"], group.precision
