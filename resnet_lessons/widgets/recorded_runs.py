"""The runs of a network that ship with the package: a table of them, and their curves; lesson 10."""

from resnet_lessons import plots, results, training
from resnet_lessons.training.progress import duration

import tabulate

MOST = len(plots.DASHES)  # lines that a figure tells apart


def recorded_runs(spec, folder=results.RECORDED):
    """Return the recorded runs of exactly this network, a tuple of ``results.Record``."""
    records = results.load(folder) if folder.is_dir() else ()
    return tuple(record for record in records if record.spec == spec)


def recorded_table(spec, folder=results.RECORDED, tablefmt="html"):
    """Make a table of the recorded runs of a network.

    Args:
        spec: the network.
        folder: of the records.
        tablefmt: of ``tabulate``.

    Returns:
        The table, or a sentence if there are no such runs.
    """
    rows = []
    for record in recorded_runs(spec, folder):
        error, seconds = 100 * record.result["test_error"], sum(epoch.seconds for epoch in record.log)
        recipe = f"{record.recipe['name']}, {record.recipe['steps']:,} updates"
        rows.append([recipe, record.seed, record.data["source"], f"{error:.2f}%", duration(seconds)])
    if not rows:
        return f"No run of {spec.name} ships with the package."
    header = ["recipe", "seed", "data", "recorded: test error", "time"]
    return tabulate.tabulate(rows, header, tablefmt, colalign=["left", "right", "left", "right", "right"])


def recorded_png(spec, folder=results.RECORDED):
    """Return the curves of a network's recorded runs, at most six, as the bytes of a PNG file; b"" without any."""
    records = recorded_runs(spec, folder)[:MOST]
    if not records:
        return b""
    runs = []
    for record in records:
        label = f"{record.recipe['name']}, {record.data['name']}, seed {record.seed}"
        runs.append((label, training.RunFolder(folder / record.name).lines()))
    fig, ax = plots.figure(width=8.0, height=3.4)
    plots.epoch_curves(ax, runs)
    return plots.png(fig)
