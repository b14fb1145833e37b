"""The published table with the recorded runs beside it: a row for each network and way of training."""

from dataclasses import dataclass

from resnet_lessons.specs import Spec
from resnet_lessons.tables import html_table

from tabulate import tabulate

from .groups import Group, groups
from .published import KERAS_EXAMPLE, PUBLISHED, Published, published


@dataclass(frozen=True)
class Row:
    """A network, what is published of it, and what is recorded here.

    Attributes:
        spec: the network.
        paper: what the papers print for exactly this network, a tuple of ``Published``, most often of one or none.
        keras_example: what the Keras example's table prints; None for a network that is not that script's.
        group: runs recorded here on CIFAR-10, in whatever form; None if there are none.
    """

    spec: Spec
    paper: tuple[Published, ...]
    keras_example: Published | None
    group: Group | None


def rows(records=None, *, recorded_only=False):
    """Pair the published figures with the recorded runs.

    Args:
        records: some ``Record`` or ``Group``; None: what ships. Those on other data sets than CIFAR-10 are left out.
        recorded_only: leave out what nothing is recorded of.

    Returns:
        A tuple of ``Row``, sorted by family, depth and variant; a network trained in two ways has two.
    """
    recorded = {}
    if records is not None:
        records = [record for item in records for record in (item.records if isinstance(item, Group) else [item])]
    for group in groups(records, data="cifar10"):
        recorded.setdefault(group.spec, []).append(group)
    networks = dict.fromkeys([*recorded, *(() if recorded_only else (figure.network for figure in PUBLISHED))])
    return tuple(_row(spec, group) for spec in sorted(networks, key=_order) for group in recorded.get(spec, [None]))


def _row(spec, group):
    figures = published(spec)
    example = [figure for figure in figures if figure.source == KERAS_EXAMPLE]
    papers = tuple(figure for figure in figures if figure.source != KERAS_EXAMPLE)
    return Row(spec, papers, example[0] if example else None, group)


def _order(spec):
    usual = Spec(spec.family, spec.depth, block=spec.block, style=spec.style)
    return spec.style != "paper", spec != usual, spec.family, spec.depth, spec.name


def table(records=None, *, columns=None, recorded_only=False, tablefmt="github", widths=None):
    """Return the published table with the recorded runs beside it, as text; what is not known is left empty.

    Papers and Keras example report errors on the original CIFAR-10; the column "data" says what the recorded ones are
    on. Several seeds are a mean ± standard deviation (n - 1), with their number in brackets. Where the runs of a row
    had several kinds of machine, seconds and hours are listed in the order of "hardware"; of a run that changed
    machines, each has its part. Hours are the sum of what the epochs took.

    Args:
        records: as for ``rows``.
        columns: some keys of ``COLUMNS``, in this order; None: all of them. ``SHORT`` is a choice.
        recorded_only: as for ``rows``.
        tablefmt: what tabulate calls the format: "github", "html", "plain" and so on.
        widths: the most characters of each column, which longer cells are broken at; None: they are not, as in "html".

    Returns:
        The table. For "html" it shows itself in a notebook.

    Raises:
        ValueError: for an unknown column.
    """
    columns = tuple(COLUMNS if columns is None else columns)
    unknown = [column for column in columns if column not in COLUMNS]
    if unknown or not columns:
        raise ValueError(f"columns must be some of {', '.join(COLUMNS)}. Received: {', '.join(unknown) or 'none'}.")
    shown = rows(records, recorded_only=recorded_only)
    cells = [[_CELLS[column](row) for column in columns] for row in shown]
    align = ["right" if column in _NUMBERS else "left" for column in columns]
    headers = [COLUMNS[column] for column in columns]
    if tablefmt == "html":
        return html_table(cells, headers, align)
    broken = {} if widths is None else {"maxcolwidths": list(widths), "maxheadercolwidths": list(widths)}
    return tabulate(cells, headers, tablefmt, colalign=align if cells else None, disable_numparse=True, **broken)


COLUMNS = {  # key: heading
    "network": "network",
    "exactly": "which one exactly",
    "parameters": "parameters",
    "paper": "paper: test error, %",
    "keras_example": "Keras example: test error, %",
    "recorded": "recorded here: test error, %",
    "train": "recorded here: training error in the last epoch, %",
    "recipe": "recipe",
    "data": "recorded on",
    "precision": "precision",
    "hardware": "hardware",
    "epoch_seconds": "seconds an epoch, recorded",
    "keras_example_seconds": "seconds an epoch, Keras example on a GTX 1080 Ti",
    "hours": "hours a run",
}
SHORT = ("network", "exactly", "parameters", "paper", "keras_example", "recorded", "recipe", "data")
_NUMBERS = {"parameters", "recorded", "train", "keras_example", "epoch_seconds", "keras_example_seconds", "hours"}


def network(spec):
    """Return how a network is called, such as "ResNet-20 v1" or "plain-20"."""
    name = f"plain-{spec.depth}" if spec.family == "plain" else f"ResNet-{spec.depth} {spec.family}"
    return name if spec.style == "paper" else f"{name} of the Keras example"


def exactly(spec):
    """Say what tells a network from others of its name: its units, their widths, shortcuts and variants."""
    widths = "/".join(map(str, spec.inner_widths))
    parts = [f"{'pairs' if spec.family == 'plain' else spec.block} {widths}"]
    parts += [] if spec.shortcut is None else [f"shortcut {spec.shortcut}"]
    parts += ["conv biases, softmax"] if spec.style == "keras-example" else []
    parts += [f"skip: {spec.skip}"] if spec.skip != "identity" else []
    usual = "full-pre" if spec.family == "v2" else "original"
    return ", ".join(parts + ([f"order: {spec.order}"] if spec.order != usual else []))


def percent(error, spread=None, count=None):
    """Write an error in percent, its standard deviation if there is one, and of how many runs if that is given."""
    number = f"{error:.2f}" if spread is None else f"{error:.2f} ± {spread:.2f}"
    return number if count is None else f"{number} ({count})"


def _parameters(row):
    if row.group is not None:
        return f"{row.group.parameters:,}"
    return "".join(dict.fromkeys(figure.parameters for figure in row.paper))


def _paper(row):
    """Several papers' figures, each with its year and table."""
    return ", ".join(f"{percent(one.error, one.spread)} ({one.source[10:]})" for one in row.paper)


def _recorded(value):
    """Return a cell of what is recorded: empty if nothing is."""
    return lambda row: "" if row.group is None else value(row.group)


_CELLS = {  # column: a function of a row
    "network": lambda row: network(row.spec),
    "exactly": lambda row: exactly(row.spec),
    "parameters": _parameters,
    "paper": _paper,
    "keras_example": lambda row: percent(row.keras_example.error) if row.keras_example else "",
    "recorded": _recorded(lambda group: percent(*group.test_error, len(group.records))),
    "train": _recorded(lambda group: percent(*group.train_error, len(group.records))),
    "recipe": _recorded(lambda group: f"{group.recipe['name']}, {group.recipe['steps']:,} updates"),
    "data": _recorded(lambda group: group.data_title),
    "precision": _recorded(lambda group: group.precision.removeprefix("mixed_")),
    "hardware": _recorded(lambda group: group.hardware),
    "epoch_seconds": _recorded(lambda group: "; ".join(f"{seconds:.0f}" for seconds, _ in group.times.values())),
    "keras_example_seconds": lambda row: str(row.keras_example.epoch_seconds) if row.keras_example else "",
    "hours": _recorded(lambda group: "; ".join(f"{hours:.2f}" for _, hours in group.times.values())),
}
