"""``train`` and ``resume``: say what will be done, do it, say what came out; after Ctrl-C say how to go on."""

import dataclasses
import io
import sys
from pathlib import Path

from resnet_lessons import data, recipes, specs
from resnet_lessons.doctor.finding import join
from resnet_lessons.results.records import run_name

import click

from . import tables, words
from .program import INTERRUPTED, Command, examples

RUNS = Path("runs")

SOURCE = click.option(
    "--source",
    type=click.Path(path_type=Path),
    help="A file or folder to take the data set from, instead of searching.",
)
DEVICES = click.option(
    "--devices",
    type=click.IntRange(min=2),
    metavar="K",
    help="Divide the processor in K, to try --strategy mirrored without GPUs.",
)


def _network_options(command):
    """Give a command the options that choose a network."""
    for field, values in reversed(specs.CHOICES.items()):  # click shows first what was added last
        command = click.option(f"--{field}", type=click.Choice(values), help=_FIELD_HELP[field])(command)
    command = click.option("--depth", type=int, metavar="LAYERS", help="Its size in layers.")(command)
    return click.option("--n", type=int, metavar="N", help="Its size in residual units a stage; or give --depth.")(
        command
    )


_FIELD_HELP = {
    "block": "Default: basic for plain and v1, bottleneck for v2.",
    "shortcut": "Where dimensions change. Default: A for basic blocks, B for bottlenecks.",
    "style": "Default: paper.",
    "skip": "What happens on the shortcut. Default: identity.",
    "order": "Of normalisation and activation. Default: original, for v2 full-pre.",
}


@click.command(
    "train",
    cls=Command,
    short_help="Train a network; the run is kept in a folder.",
    epilog=examples(
        "resnet-lessons train v1 --n 3 --recipe short --seed 0 --out runs/x",
        "resnet-lessons train v2 --depth 29 --recipe he2015 --steps 16000",
        "resnet-lessons train plain --n 1 --smoke --data shapes10",
        "resnet-lessons train v1 --n 3 --strategy mirrored",
    ),
)
@click.argument("family", type=click.Choice(specs.FAMILIES))
@_network_options
@click.option(
    "--recipe",
    "recipe_name",
    type=click.Choice(recipes.NAMES),
    default="short",
    show_default=True,
    help="How to train.",
)
@click.option(
    "--steps", type=click.IntRange(min=1), metavar="STEPS", help="Updates in all, instead of the recipe's number."
)
@click.option("--smoke", is_flag=True, help="20 updates, to see that everything runs.")
@click.option(
    "--seed",
    type=click.IntRange(0, recipes.HIGHEST_SEED),
    metavar="SEED",
    default=0,
    show_default=True,
    help="Of weights, order and augmentation.",
)
@click.option(
    "--data", "data_name", type=click.Choice(data.NAMES), default="cifar10", show_default=True, help="On what."
)
@SOURCE
@click.option(
    "--precision",
    type=click.Choice(recipes.PRECISIONS),
    default="auto",
    show_default=True,
    help="auto: the faster on this machine.",
)
@click.option(
    "--strategy", type=click.Choice(recipes.STRATEGIES[1:]), help="mirrored: a copy of the network on each GPU."
)
@DEVICES
@click.option(
    "--deterministic/--no-deterministic",
    default=None,
    help="Whether the run repeats bit for bit. Default: on a processor yes, on a GPU no.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="The run's folder. Default: one below runs/, named after network, recipe and seed.",
)
@click.pass_context
def train(ctx, family, n, depth, recipe_name, steps, smoke, data_name, source, strategy, devices, out, **options):
    """Train a network of FAMILY, test it once, and keep all of it in a folder.

    The folder holds run.json (what was run, where, and what came out), log.jsonl (a line an epoch) and the weights.
    Killed at any moment, the run goes on after its last whole epoch: give the same command again, or resume.
    """
    choices = {field: options.pop(field) for field in specs.CHOICES}
    try:
        spec = specs.sized(family, n, depth, **choices)
        recipe = recipes.choose(recipe_name, spec.depth, steps, smoke)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    refuse_devices(devices, strategy, " Or give --strategy mirrored too.")
    dataset = data.load(data_name, source)
    if dataset.name != data_name:
        click.echo(f"note: no {data_name} was found, so this trains on {dataset.name}", err=True)
    spec = dataclasses.replace(spec, input_shape=dataset.x_train.shape[1:], num_classes=len(dataset.class_names))
    out = out or RUNS / run_name(spec, recipe, options["seed"], dataset.name)
    training = engine(devices)
    folder = training.RunFolder(out)
    stored = folder.description()
    if stored is not None:
        wanted = {key: options[key] for key in ("seed", "precision", "deterministic") if options[key] is not None}
        wanted |= {"spec": spec, "recipe": recipe, "strategy": strategy}
        training.refuse_other_run(folder, stored, wanted, dataset)
    precision = training.choose_precision(options["precision"]) if stored is None else stored["precision"]
    announce(spec, recipe, options["seed"], dataset, precision, folder)
    watch = {"strategy": strategy, "progress": progress(), **options}
    again = command("resume", folder.path, source=source, devices=devices)
    carry_out(ctx, folder, again, lambda: training.train(spec, recipe, dataset, out, **watch))


@click.command(
    "resume",
    cls=Command,
    short_help="Go on with a run that was interrupted.",
    epilog=examples("resnet-lessons resume runs/x", "resnet-lessons resume runs/x --source /data/cifar10.npz"),
)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@SOURCE
@DEVICES
@click.pass_context
def resume(ctx, folder, source, devices):
    """Go on with the run in FOLDER after its last whole epoch, as if nothing had interrupted it.

    Everything is as its run.json says. Other data than those it began on are refused.
    """
    training = engine(None)
    run_folder = training.RunFolder(folder)
    settings, data_name = training.run_in(run_folder)
    refuse_devices(devices, settings.strategy)
    began_on = None if "result" in run_folder.description() else settings.devices
    engine(devices or began_on)
    dataset = named_data(folder, data_name, source)
    announce(settings.spec, settings.recipe, settings.seed, dataset, settings.precision, run_folder)
    again = command("resume", run_folder.path, source=source, devices=devices)
    carry_out(ctx, run_folder, again, lambda: training.resume(folder, dataset, progress=progress()))


def refuse_devices(devices, strategy, choice=""):
    """Raise UsageError for a processor to be divided for a run on one device, which would get a part of it."""
    if devices and strategy is None:
        raise click.UsageError(
            "--devices divides the processor for --strategy mirrored, and this run is without it. Leave --devices out."
            + choice
        )


def named_data(run, name, source):
    """Return the data set that a run names, and refuse to take for it what would stand in."""
    dataset = data.load(name, source)
    if dataset.name != name:
        raise click.ClickException(
            f"{run} was trained on {name}, and none was found. To get it: resnet-lessons data fetch {name}; or name "
            "what you have by --source."
        )
    return dataset


def engine(devices):
    """Load what trains, and divide the processor before anything is computed."""
    from resnet_lessons import backend, training  # loads Keras

    if devices:
        backend.divide_processor(devices)
    return training


def progress():
    """Return the kind of progress that suits where the output goes, which is to show each line as it is written."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    return "bar" if sys.stderr.isatty() else "lines"


def announce(spec, recipe, seed, dataset, precision, folder):
    """Print what will be done."""
    from resnet_lessons.accounting import count

    images = len(dataset.y_train) - recipe.validation
    if images < 1:
        return  # training refuses it and says why
    facts = [
        ("network", f"{spec.name}: {spec.depth} layers, {count(spec).parameters:,} parameters"),
        ("recipe", words.recipe(recipe, images)),
        ("seed", str(seed)),
        ("data", dataset.source),
        ("images", words.images(images, recipe.validation, len(dataset.y_test))),
        ("precision", precision),
        ("folder", _place(folder)),
    ]
    click.echo(tables.facts(facts))


def _place(folder):
    if "result" in (folder.description() or {}):
        return f"{folder.path}"
    epoch, step = folder.saved()
    return f"{folder.path}" + (f"\ngoes on after epoch {epoch}, update {step:,}" if epoch else "")


def command(name, what, **options):
    """Return a command of this program as a text to be copied, without the options that are None."""
    given = [word for option, value in options.items() if value is not None for word in (f"--{option}", str(value))]
    return join(["resnet-lessons", name, str(what), *given])


def carry_out(ctx, folder, again, call):
    """Train, and say what came out; after Ctrl-C say what is kept and how to go on.

    Args:
        ctx: click's context, which ends with ``INTERRUPTED`` after Ctrl-C.
        folder: the ``RunFolder``.
        again: the command that goes on.
        call: trains, and returns a ``Run``.
    """
    from resnet_lessons.training.progress import duration

    finished_before = "result" in (folder.description() or {})
    try:
        run = call()
    except KeyboardInterrupt:
        click.echo(_interrupted(folder, again), err=True)
        ctx.exit(INTERRUPTED)
    before = "This run was finished before; nothing was trained now.\n" if finished_before else ""
    click.echo(f"{before}test error {run.test_error:.2%}, after {duration(run.seconds)} of training")


def _interrupted(folder, again):
    description = folder.description()
    if description is None:
        return "Interrupted before the run began; nothing is kept."
    if "result" in description:
        return f"Interrupted. The run in {folder.path} is finished and kept."
    epoch, step = folder.saved()
    kept = f"Kept up to epoch {epoch}, update {step:,}." if epoch else "No epoch was done, so nothing is kept."
    return f"Interrupted. {kept} To go on: {again}"
