"""The runs of a network that ship with the package: a table of them, and their curves; lesson 10."""

import functools
import statistics

from resnet_lessons import plots, results
from resnet_lessons.tables import html_table

from .model_picker import quoted

MOST = len(plots.DASHES)  # lines that a figure tells apart


def recorded_groups(spec, folder=None):
    """Return the recorded runs of exactly this network, a list of ``results.Group``."""
    records = _shipped() if folder is None else results.load(folder)
    return list(results.groups([record for record in records if record.spec == spec]))


@functools.cache
def _shipped():
    """Load the records of the package once: they do not change, and a slider asks for them at every step."""
    return results.load()


def recorded_table(spec, folder=None):
    """Make a table of the recorded runs of a network, runs that differ in the seed alone in one row.

    Args:
        spec: the network.
        folder: of the records; None: those that ship with the package.

    Returns:
        The table, HTML that a notebook shows, or a sentence if there are no such runs.
    """
    rows = []
    for group in recorded_groups(spec, folder):
        mean, deviation = group.test_error
        error = f"{mean:.2f}%" if deviation is None else f"{mean:.2f} ± {deviation:.2f}%"
        rows.append([f"{group.recipe['name']}, {group.recipe['steps']:,} updates", group.data_title])
        rows[-1] += [", ".join(map(str, group.seeds)), error, group.hardware]
    if not rows:
        return f"No run of {spec.name} ships with the package."
    header = ["recipe", "data", "seeds", "recorded: test error", "hardware"]
    return html_table(rows, header, ["left"] * 3 + ["right", "left"])


def published_words(spec):
    """Say in a sentence what was published for a network, which no curve beside the recorded ones can show."""
    return f"Quoted, for the original CIFAR-10: {quoted(spec)}. The papers' curves are not at hand."


def recorded_image(spec, folder=None):
    """Return the curves of a network's recorded runs, the first six rows of its table, as HTML; "" without any."""
    found = recorded_groups(spec, folder)
    labels = [f"{one.recipe['name']}, {one.data['name']}" for one in found[:MOST]]
    if len(set(labels)) < len(labels):  # copies of one data set, or precisions
        labels = [f"{one.recipe['name']}, {one.data_title}, {one.precision}" for one in found[:MOST]]
    groups = list(zip(labels, found, strict=False))
    if not groups:
        return ""
    fig, ax = plots.figure(width=8.0, height=3.4)
    plots.recorded_curves(ax, groups, validation=True)
    if len(found) > MOST:
        ax.set_title(f"the first {MOST} of {len(found)}", loc="left", fontsize=9)
    ends = "; ".join(f"{label}: {_ends(group)}" for label, group in groups)
    data = "; ".join(dict.fromkeys(group.data_title for _, group in groups))
    return plots.html_image(fig, f"Errors against updates of the recorded runs of {spec.name}. {ends}.", data)


def _ends(group):
    """Say where the curves of a group begin and end."""
    first, last = 100 * statistics.mean(record.log[0].train_error for record in group.records), group.train_error[0]
    validation = "" if group.val_error is None else f", validation error in the end {group.val_error[0]:.1f}%"
    return f"training error {first:.1f}% in the first epoch, {last:.1f}% in the last{validation}"
