"""``sweep``: many runs from one file, a line when one begins and when one ends."""

import collections
from pathlib import Path

from resnet_lessons import data
from resnet_lessons.doctor.finding import join

import click

from . import tables
from .program import INTERRUPTED, Command, examples


@click.command(
    "sweep",
    cls=Command,
    short_help="Train many networks and seeds, here or on a cluster.",
    epilog=examples(
        "resnet-lessons sweep degradation.toml --dry-run",
        "resnet-lessons sweep degradation.toml --parallel 2",
        "resnet-lessons sweep degradation.toml --out /shared/runs --address 192.0.2.1:6379",
    ),
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder that gets a folder for each run. Default: out in FILE, or runs/ and the name of FILE.",
)
@click.option(
    "--address",
    metavar="ADDRESS",
    help="Of a Ray cluster: auto, host:port or ray://host:port. Default: this machine alone.",
)
@click.option(
    "--parallel",
    type=click.IntRange(min=1),
    metavar="K",
    help="Runs at once, at the most; they share the cores. Default: one for each GPU, or one for each machine.",
)
@click.option("--dry-run", is_flag=True, help="Check FILE and list the runs; train nothing.")
@click.pass_context
def sweep(ctx, file, out, address, parallel, dry_run):
    """Train every network of FILE with every seed, each run in a process and a folder of its own, spread by Ray.

    Finished runs are skipped and interrupted ones go on: after Ctrl-C or a kill give the same command again. A run
    that fails does not stop the others; exit code 1 if one did. FILE is TOML, such as

    \b
      recipe = "short"         # or he2015, keras-example, fast-accuracy, minute
      seeds = [0, 1, 2]
      [[network]]
      family = "plain"
      n = [3, 9]               # or depth = [20, 56]
      [[network]]
      family = "v1"
      n = [3, 9]
      seeds = [0]              # a network's own word goes before the sweep's

    Beside recipe and seeds, a sweep and a network may have steps, smoke and precision; a network block, shortcut,
    style, skip and order; a sweep out, data, source, and the cores and gpus of each run. On a cluster, out and source
    must be on a disk that all machines share, under the same path, and the package be installed on each. Only
    TensorFlow keeps a run to its cores; on JAX their number decides how many runs have room at once, and each takes
    all the cores there are.
    """  # noqa: D301 - click wants the character that \b stands for
    from resnet_lessons import sweep as sweeps

    sweeps.check_address(address)
    plan = sweeps.read(file, out)
    dataset = data.load(plan.data, plan.source)
    if dataset.name != plan.data:
        raise click.ClickException(
            f"No {plan.data} was found, and a sweep of it must not train on {dataset.name}. "
            f"To get it: resnet-lessons data fetch {plan.data}. "
            f'To train on {dataset.name}, write data = "{dataset.name}" in {file}.'
        )
    held = sweeps.standing(plan, dataset)
    click.echo(_announcement(plan, dataset, held))
    click.echo(f"To watch: resnet-lessons results {join([str(plan.out)])}")  # on a line of its own, to be copied whole
    if dry_run:
        click.echo(tables.plan_table(plan, held))
        return
    try:
        outcomes = sweeps.run(plan, dataset, address=address, parallel=parallel, tell=click.echo)
    except KeyboardInterrupt:
        counts = _counts(sweeps.standing(plan, dataset))
        click.echo(f"Interrupted: {counts}. To go on, give the same command again.", err=True)
        ctx.exit(INTERRUPTED)
    failed = [outcome.name for outcome in outcomes if outcome.state == "failed"]
    if failed:
        count = f"{len(failed)} of {len(outcomes)} runs"
        raise click.ClickException(
            f"{count} failed: {', '.join(failed)}. The same command tries them again; what diverged will do so again."
        )


def _announcement(plan, dataset, standing):
    facts = [
        ("runs", f"{len(plan.runs)}: {_counts(standing)}"),
        ("data", dataset.source),
        ("folder", str(plan.out)),
    ]
    return tables.facts(facts)


def _counts(standing):
    counts = collections.Counter(one.state for one in standing.values())
    return ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
