"""What the commands print, as text that reads the same in a terminal and in a file.

Lines have at most 100 columns, except those to be copied whole: paths, and commands that mend something.
"""

import dataclasses
import json
import textwrap
from pathlib import Path

from resnet_lessons.doctor.finding import join
from resnet_lessons.results import QUOTED_BY_KERAS_EXAMPLE, published, table
from resnet_lessons.specs import Spec

from tabulate import tabulate

WIDE = 70  # columns of the widest cell

PAPER_NETWORKS = [
    *(("v1", depth, "basic") for depth in (20, 32, 44, 56, 110, 1202)),
    *(("v1", depth, "bottleneck") for depth in (164, 1001)),
    ("v2", 110, "basic"),
    *(("v2", depth, "bottleneck") for depth in (20, 56, 110, 164, 1001)),
]
KERAS_EXAMPLE_NETWORKS = [
    *(("v1", depth) for depth in (20, 32, 44, 56, 110, 164)),
    *(("v2", depth) for depth in (20, 56, 110, 164, 1001)),
]
PAPER_CAPTION = """\
The papers' networks. Errors on CIFAR-10's test images as printed, of several runs the median or the
mean +/- standard deviation. M: millions, for one image.
"""
PUBLISHED_NOTE = """

Errors in %. Paper and Keras example: on the original CIFAR-10. The last column says what the
recorded ones are on. Several seeds: mean ± standard deviation, their number in brackets."""
KERAS_EXAMPLE_CAPTION = """
The Keras example's networks (cifar10_resnet.py), with what its table prints: the accuracy it
reached itself, the accuracy it quotes from the papers, and which network that one belongs to.
"""


def report(findings):
    """Show the doctor's findings as a table, then the commands that mend things, then the number of problems."""
    rows = [(_STATUS[finding.status], finding.topic, _wrapped(finding.value)) for finding in findings]
    parts = [tabulate(rows, tablefmt="plain", disable_numparse=True)]
    for status, title in (("note", "To improve:"), ("problem", "To mend:")):
        remedies = [(f.topic, f.remedy) for f in findings if f.status == status and f.remedy]
        parts += [title + "".join(f"\n  {topic}:\n    {remedy}" for topic, remedy in remedies)] if remedies else []
    problems = sum(finding.status == "problem" for finding in findings)
    return "\n\n".join([*parts, f"{problems or 'No'} problem{'s' * (problems > 1)} found."])


_STATUS = {"ok": "ok", "note": "note", "problem": "PROBLEM"}


def facts(pairs):
    """Show pairs of a topic and a text, a line or more each."""
    return tabulate([(topic, _wrapped(text)) for topic, text in pairs], tablefmt="plain", disable_numparse=True)


def data_table(rows):
    """Show the rows of ``data.status``."""
    table = [(row.dataset, f"{row.size / 1e6:.1f} MB" if row.size else "", _data_cell(row)) for row in rows]
    return _number_table(table, ["data set", "size", "what it is and where"], numbers={1})


def _data_cell(row):
    lines = [_wrapped(line) for line in (row.source, row.where, row.problem) if line]
    lines += [f"to {'mend' if row.problem else 'get'} it: {row.mend}"] if row.mend else []
    return "\n".join(lines)


def runs_table(found, means):
    """Show runs, a table for each training set, their means over seeds, then the unfinished and the damaged ones.

    Args:
        found: a list of ``runs.Found``.
        means: a list of ``runs.Mean``.
    """
    whole = [run for run in found if run.state != "damaged"]
    parts = []
    for trained_on in dict.fromkeys(run.trained_on for run in whole):
        together = [mean for mean in means if mean.trained_on == trained_on]
        parts += [_training_set(trained_on), _run_rows([run for run in whole if run.trained_on == trained_on])]
        parts += ["Means and standard deviations over seeds, errors in %:", _mean_rows(together)] if together else []
    unfinished = [f"  resnet-lessons resume {join([run.folder])}" for run in whole if run.state == "unfinished"]
    damaged = [_wrapped(f"{run.folder}: {run.reason}") for run in found if run.state == "damaged"]
    parts += ["\n".join(["Unfinished; to go on with one that does not train now:", *unfinished])] if unfinished else []
    parts += ["\n".join(["Damaged:", *(textwrap.indent(text, "  ") for text in damaged)])] if damaged else []
    return "\n\n".join(parts)


def _training_set(trained_on):
    title, sha256, images = trained_on
    return f"{title}, {images:,} training images (SHA-256 {sha256[:12]}). Errors in %; train: while training."


_RUN_COLUMNS = {  # header: columns of the widest cell
    "name": 16,
    "network\nrecipe": 16,
    "para-\nmeters": 6,
    "seed": 5,
    "epochs\nstate": 10,
    "train": 6,
    "val.": 6,
    "test": 6,
    "hours": 6,
}


def _run_rows(found):
    rows = [
        [
            Path(run.folder).name,
            f"{run.network}\n{run.recipe.get('name', '')}",
            _millions(run.parameters),
            run.seed,
            f"{run.epochs}/{run.epochs_in_all or '?'}\n{run.state}",
            *map(_percent, (run.train_error, run.val_error, run.test_error)),
            f"{run.seconds / 3600:.2f}",
        ]
        for run in found
    ]
    return _narrow_table(rows, _RUN_COLUMNS, numbers={2, 3, 5, 6, 7, 8})


_MEAN_COLUMNS = {"network": 18, "recipe\nprecision": 14, "seeds": 10, "train": 16, "val.": 16, "test": 16}


def _mean_rows(means):
    rows = [
        [
            mean.network,
            "\n".join(filter(None, [mean.recipe, mean.precision.removeprefix("mixed_"), mean.strategy])),
            ", ".join(map(str, mean.seeds)),
            *map(_percent_and_spread, (mean.train_error, mean.val_error, mean.test_error)),
        ]
        for mean in means
    ]
    return _narrow_table(rows, _MEAN_COLUMNS, numbers={3, 4, 5})


def _millions(parameters):
    return "" if parameters is None else f"{parameters / 1e6:.2f}M"


def _percent(part):
    return "" if part is None else f"{100 * part:.2f}"


def _percent_and_spread(values):
    return "" if values is None else f"{_percent(values[0])} +/- {_percent(values[1])}"


def _narrow_table(rows, columns, numbers):
    """Show rows whose cells are broken into lines as wide as their column."""
    widths = columns.values()
    rows = [[_folded(str(cell), width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    return _number_table(rows, list(columns), numbers)


_PUBLISHED_COLUMNS = {
    "network": 15,
    "exactly": 16,
    "paper": 12,
    "keras_example": 8,
    "recorded": 12,
    "recipe": 8,
    "data": 11,
}


def published_table():
    """Show the published figures and what ships with the package beside them."""
    widths = _PUBLISHED_COLUMNS.values()
    return table(columns=_PUBLISHED_COLUMNS, tablefmt="simple", widths=widths) + PUBLISHED_NOTE


_RECORD_COLUMNS = {"name": 30, "network\nrecipe": 20, "seed": 5, "data": 14, "test error": 6, "hours": 6}


def records_table(records):
    """Show recorded runs, a line each.

    Args:
        records: a tuple of ``results.Record``.
    """
    rows = [
        [
            record.name,
            f"{record.spec.name}\n{record.recipe['name']}",
            record.seed,
            record.data["source"].partition(":")[0],
            _percent(record.result["test_error"]),
            f"{sum(epoch.seconds for epoch in record.log) / 3600:.2f}",
        ]
        for record in records
    ]
    return _narrow_table(rows, _RECORD_COLUMNS, numbers={2, 4, 5})


def plan_table(plan, standing):
    """Show the runs of a sweep.

    Args:
        plan: a ``sweep.Plan``.
        standing: a dict of run name to ``sweep.Standing``.
    """
    rows = [
        [run.name, run.spec.depth, f"{run.recipe.steps:,}", run.recipe.batch_size, run.seed, standing[run.name].state]
        for run in plan.runs
    ]
    rows = [[_folded(row[0], 44), *row[1:]] for row in rows]
    return "\n" + _number_table(rows, ["run", "layers", "updates", "batch", "seed", "state"], numbers={1, 2, 3, 4})


def paper_table():
    """Show the papers' networks; a line for each figure published for a network."""
    headers = ["family", "layers", "n", "block", "para-\nmeters", "mult-\nadds", "error %", "acc. %", "published in"]
    rows = []
    for family, depth, block in PAPER_NETWORKS:
        spec = Spec(family, depth, block=block)
        figures = published(spec)
        errors = [f"{f.error:.2f}" + (f" +/- {f.spread}" if f.spread else "") for f in figures]
        accuracies = [_accuracy(f) for f in figures]
        sources = [f.source.replace(" et al.", "") for f in figures]
        rows.append([family, depth, spec.n, block, *_cost(spec), *map("\n".join, (errors, accuracies, sources))])
    return _number_table(rows, headers, numbers={1, 2, 4, 5, 7})


def keras_example_table():
    """Show the Keras example's networks, and which network each accuracy that it quotes belongs to."""
    headers = ["its name", "n", "block", "para-\nmeters", "mult-\nadds", "own\n%", "quoted\n%"]
    headers += ["which is the\naccuracy of", "para-\nmeters"]
    rows = []
    for family, depth in KERAS_EXAMPLE_NETWORKS:
        spec = Spec(family, depth, style="keras-example")
        quoted = QUOTED_BY_KERAS_EXAMPLE.get(spec)
        owner = [_accuracy(quoted), quoted.network.name, _cost(quoted.network)[0]] if quoted else ["", "", ""]
        own = "".join(map(_accuracy, published(spec)))
        rows.append([f"ResNet{depth} {family}", spec.n, spec.block, *_cost(spec), own, *owner])
    return _number_table(rows, headers, numbers={1, 3, 4, 5, 6, 8})


def _accuracy(figure):
    return f"{100 - figure.error:.2f}"


def _cost(spec):
    from resnet_lessons.accounting import count  # loads Keras

    cost = count(spec)
    return [f"{cost.parameters:,}", f"{cost.multiply_adds / 1e6:,.1f}M"]


def _number_table(rows, headers, numbers):
    align = ["right" if column in numbers else "left" for column in range(len(headers))]
    return tabulate(rows, headers, colalign=align, disable_numparse=True)


def as_json(records):
    """Show a list of dataclasses, or several by name, as JSON."""
    return json.dumps(_plain(records), indent=1)


def _plain(records):
    if isinstance(records, dict):
        return {name: _plain(some) for name, some in records.items()}
    return [dataclasses.asdict(record) for record in records]


def _wrapped(text):
    """Break lines between words alone, so that a path stays whole."""
    options = {"break_on_hyphens": False, "break_long_words": False}
    return "\n".join(textwrap.fill(line, WIDE, **options) for line in text.splitlines())


def _folded(text, width):
    return "\n".join(textwrap.fill(line, width) for line in text.splitlines())
