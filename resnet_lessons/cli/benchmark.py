"""``bench``: training speed beside other programs', measured side by side."""

import click

from .program import Command, examples


def _names(_context, _parameter, value):
    from resnet_lessons.bench import NETWORKS

    names = tuple(NETWORKS) if value is None else tuple(name.strip() for name in value.split(","))
    unknown = [name for name in names if name not in NETWORKS]
    if unknown or len(set(names)) < len(names):
        raise click.BadParameter(f"{value!r} is not one or more of {', '.join(NETWORKS)}, each named once.")
    return names


@click.command(
    "bench",
    cls=Command,
    short_help="Measure training speed beside the Keras example and PyTorch.",
    epilog=examples("resnet-lessons bench", "resnet-lessons bench --rounds 3 --contenders keras-128,ours"),
)
@click.option("--rounds", type=click.IntRange(min=1), default=10, show_default=True, help="Turns of each contender.")
@click.option("--updates", type=click.IntRange(min=1), default=20, show_default=True, help="Training steps of a turn.")
@click.option("--contenders", callback=_names, metavar="NAME,...", help="Who takes part. Default: all.")
def bench(rounds, updates, contenders):
    """Train ResNet-20 in turns: as the Keras example does, as this package does, and as PyTorch does if it is there.

    All wait in processes of their own and train one after the other in random order, so that what else the machine
    does slows all of them. Takes some minutes and some gigabytes of memory. The contenders are keras-32, keras-128,
    ours, torch-float32 and torch-bfloat16.
    """
    from resnet_lessons import bench as benchmark

    report = benchmark.run(contenders, rounds=rounds, updates=updates, progress=_say)
    click.echo(benchmark.table(report))


def _say(text):
    click.echo(text, err=True)
