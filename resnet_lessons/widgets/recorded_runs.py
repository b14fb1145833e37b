"""The runs of a network that ship with the package: a table of them, and their curves; lesson 10."""

from resnet_lessons import plots, results

import tabulate

MOST = len(plots.DASHES)  # lines that a figure tells apart


def recorded_groups(spec, folder=None):
    """Return the recorded runs of exactly this network, a list of ``results.Group``."""
    return list(results.groups([record for record in results.load(folder) if record.spec == spec]))


def recorded_table(spec, folder=None, tablefmt="html"):
    """Make a table of the recorded runs of a network, runs that differ in the seed alone in one row.

    Args:
        spec: the network.
        folder: of the records; None: those that ship with the package.
        tablefmt: of ``tabulate``.

    Returns:
        The table, or a sentence if there are no such runs.
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
    return tabulate.tabulate(rows, header, tablefmt, colalign=["left"] * 3 + ["right", "left"], disable_numparse=True)


def recorded_png(spec, folder=None):
    """Return the curves of a network's recorded runs, at most six, as the bytes of a PNG file; b"" without any."""
    groups = recorded_groups(spec, folder)[:MOST]
    if not groups:
        return b""
    fig, ax = plots.figure(width=8.0, height=3.0)
    plots.recorded_curves(ax, [(f"{one.recipe['name']}, {one.data['name']}", one) for one in groups], validation=True)
    return plots.png(fig)
