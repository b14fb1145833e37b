"""The command line ``resnet-lessons``: a function for each command, which imports what is slow only when it runs.

Exit codes: 0, 1 for a problem or an error, 2 for a wrong call, 130 after Ctrl-C, 141 for a pipe that was closed. An
error is one line on stderr; with ``--debug`` it is Python's traceback. Lesson 00 uses ``doctor`` and ``data``.
"""

import sys
from pathlib import Path

from resnet_lessons import __version__

import click

from . import benchmark, reproducing, sweeping, tables, training
from .program import Program, examples


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples("resnet-lessons doctor", "resnet-lessons train v1 --n 3 --recipe short --seed 0 --out runs/x"),
)
@click.version_option(__version__, prog_name="resnet-lessons", message="%(prog)s %(version)s")
def main():
    """Deep residual networks in lessons: check this machine, get data, train networks and compare them.

    Exit codes: 0; 1 for a problem or an error, which is one line; 2 for a wrong call; 130 after Ctrl-C.
    """


for command in (training.train, training.resume, reproducing.reproduce, sweeping.sweep, benchmark.bench):
    main.add_command(command)


@main.command("doctor", short_help="Check this machine and the installation.", epilog=examples("resnet-lessons doctor"))
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@click.pass_context
def doctor_command(ctx, as_json):
    """Look at this machine and the installation, and name the command that mends each problem.

    Takes some seconds, because it loads TensorFlow. Exit code 1 when there is a problem.
    """
    from resnet_lessons import doctor

    findings = doctor.examine()
    click.echo(tables.as_json(findings) if as_json else tables.report(findings))
    ctx.exit(any(finding.status == "problem" for finding in findings))


@main.group(epilog=examples("resnet-lessons data status", "resnet-lessons data fetch cifar10"))
def data():
    """List the data sets at hand, and download one."""


@data.command("status", short_help="List the data sets at hand.", epilog=examples("resnet-lessons data status"))
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@click.pass_context
def data_status(ctx, as_json):
    """List the data sets at hand, what each really is, and where it lies. Downloads nothing.

    Exit code 1 when one of them is damaged.
    """
    from resnet_lessons.data import status

    rows = status()
    click.echo(tables.as_json(rows) if as_json else tables.data_table(rows))
    ctx.exit(any(row.problem for row in rows))


@data.command(
    "fetch",
    short_help="Download CIFAR-10 or MNIST.",
    epilog=examples(
        "resnet-lessons data fetch cifar10",
        "resnet-lessons data fetch cifar10 --mirror https://example.org/cifar-10-python.tar.gz",
    ),
)
@click.argument("name", type=click.Choice(["cifar10", "mnist"]), default="cifar10")
@click.option("--mirror", metavar="URL", help="Another address of the same file; its checksum is tested.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to put it, instead of the package's cache.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a silent server is waited for.",
)
def data_fetch(name, mirror, folder, timeout):
    """Download CIFAR-10 (170 MB) or MNIST (11 MB) with a checksum; go on where a download was cut.

    Prints the path of the file. CIFAR-10's own server can take most of an hour.
    """
    from resnet_lessons.data import fetch
    from resnet_lessons.doctor.finding import set_variable

    path = fetch(name, mirror=mirror, folder=folder, timeout=timeout, progress=sys.stderr.isatty())
    click.echo(path)
    if folder is not None:
        setting = set_variable("RESNET_LESSONS_DATA", str(path.parent.resolve()))  # lessons run in notebooks/
        click.echo(f"The lessons find it there after: {setting}", err=True)


@main.command(
    "results",
    short_help="List runs and what came out.",
    epilog=examples(
        "resnet-lessons results",
        "resnet-lessons results runs/degradation --json",
        "resnet-lessons results --published",
    ),
)
@click.argument("folders", nargs=-1, type=click.Path(file_okay=False, path_type=Path), metavar="[FOLDER]...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@click.option("--published", is_flag=True, help="Print what is published, the recorded runs beside it; no FOLDER.")
@click.pass_context
def results_command(ctx, folders, as_json, published):
    """List the runs at and below each FOLDER: finished, unfinished and damaged, with means over seeds.

    Without FOLDER these are the runs below runs/ and the recorded ones that ship with the package. Runs on different
    data, by different recipes or on different numbers of training images are never averaged. Exit code 1 when a run is
    damaged.
    """
    from resnet_lessons.results import records

    from . import runs

    if published:
        if folders or as_json:
            raise click.UsageError("--published shows what ships with the package. Leave FOLDER and --json out.")
        click.echo(tables.published_table())
        return

    found = runs.find(folders or [folder for folder in (training.RUNS, records.RECORDED) if folder.is_dir()])
    if folders and not found:
        places = ", ".join(map(str, folders))
        raise click.ClickException(f"No run is in {places}. A run is a folder with a {records.RUN}.")
    means = runs.means(found)
    if as_json:
        click.echo(tables.as_json({"runs": found, "means": means}))
    else:
        click.echo(tables.runs_table(found, means) or "No runs yet. To train one: resnet-lessons train --help")
    ctx.exit(any(run.state == runs.DAMAGED for run in found))


@main.command(short_help="Compare networks: cost, published accuracy.", epilog=examples("resnet-lessons models"))
def models():
    """Print the networks of both papers and of the Keras example, with their cost and published accuracy.

    The Keras example's table quotes the papers beside networks that are not the papers': the last columns say which
    network each number belongs to. Takes some seconds, because it loads Keras.
    """
    from resnet_lessons import backend  # noqa: F401 - comes first: it loads Keras without start-up messages

    click.echo(tables.PAPER_CAPTION)
    click.echo(tables.paper_table())
    click.echo(tables.KERAS_EXAMPLE_CAPTION)
    click.echo(tables.keras_example_table())
