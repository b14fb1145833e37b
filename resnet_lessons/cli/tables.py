"""What the commands print, as text of at most 100 columns that reads the same in a terminal and in a file."""

import dataclasses
import json
import textwrap

from resnet_lessons.results import QUOTED_BY_KERAS_EXAMPLE, published
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


def data_table(rows):
    """Show the rows of ``data.status``."""
    table = [(row.dataset, f"{row.size / 1e6:.1f} MB" if row.size else "", _data_cell(row)) for row in rows]
    return _number_table(table, ["data set", "size", "what it is and where"], numbers={1})


def _data_cell(row):
    mend = f"to {'mend' if row.problem else 'get'} it: {row.mend}" if row.mend else ""
    return "\n".join(_wrapped(line) for line in (row.source, row.where, row.problem, mend) if line)


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
    """Show dataclasses as JSON."""
    return json.dumps([dataclasses.asdict(record) for record in records], indent=1)


def _wrapped(text):
    return "\n".join(textwrap.fill(line, WIDE, break_on_hyphens=False) for line in text.splitlines())
