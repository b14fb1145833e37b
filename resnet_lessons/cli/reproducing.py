"""``reproduce``: train a recorded run again by its ``run.json``, and say how the two compare."""

from dataclasses import replace
from pathlib import Path

from resnet_lessons import results
from resnet_lessons.results import comparison, records

import click

from . import tables
from .program import Command, examples
from .training import DEVICES, RUNS, SOURCE, announce, carry_out, command, engine, named_data, progress, refuse_devices


@click.command(
    "reproduce",
    cls=Command,
    short_help="Train a recorded run again, and compare.",
    epilog=examples(
        "resnet-lessons reproduce",
        "resnet-lessons reproduce v1-20-short-seed0",
        "resnet-lessons reproduce v1-20-short-seed0 --source /data/cifar-10-python.tar.gz",
    ),
)
@click.argument("name", required=False)
@click.option("--list", "listing", is_flag=True, help="List the recorded runs; the same as without NAME.")
@SOURCE
@DEVICES
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="The new run's folder. Default: one below runs/, named after the recorded one.",
)
@click.pass_context
def reproduce(ctx, name, listing, source, devices, out):
    """Train the recorded run NAME again, with all that its run.json sets, on the data that you have.

    NAME is that of a run that ships with the package, or the folder of another finished one; without NAME they are
    listed. At the end stands what came out then and now. On the same data, processor, versions, code and switches a run
    that was deterministic repeats to the bit; on another copy of the data it is a measurement of its own.
    """
    if name is None or listing:
        shipped = results.load()
        click.echo(tables.records_table(shipped) if shipped else "No runs are recorded.")
        return
    recorded = _find(name)
    refuse_devices(devices, recorded.strategy)
    dataset = named_data(recorded.name, recorded.data["name"], source)
    asked_out, out = out, out or RUNS / f"{recorded.name}-again"
    training = engine(devices or recorded.devices)
    folder = training.RunFolder(out)
    settings = training.Settings.from_json(
        {key: getattr(recorded, key) for key in ("recipe", "seed", "precision", "strategy", "deterministic", "devices")}
        | {"spec": recorded.spec.to_json()}
    )
    is_same = dataset.digest == recorded.data["sha256"]
    words = "the same" if is_same else "other data: what comes out is a result of its own"
    then, now = _data(recorded.data["source"], recorded.data["sha256"]), _data(dataset.source, dataset.digest)
    facts = [("recorded on", then), ("now on", f"{now}\n{words}"), *_machines(recorded, training, devices)]
    watch = {"precision": settings.precision, "strategy": settings.strategy, "deterministic": settings.deterministic}
    stored = folder.description()
    if stored is not None:
        wanted = {"spec": settings.spec, "recipe": settings.recipe, "seed": settings.seed, **watch}
        training.refuse_other_run(folder, stored, wanted, dataset)
    click.echo(tables.facts(facts) + "\n")
    announce(settings.spec, settings.recipe, settings.seed, dataset, settings.precision, folder)
    call = (settings.spec, settings.recipe, dataset, out, settings.seed)
    again = command("reproduce", name, source=source, devices=devices, out=asked_out)
    carry_out(ctx, folder, again, lambda: training.train(*call, progress=progress(), **watch))
    click.echo("\n" + tables.facts(_outcome(recorded, results.read(out))))


def _find(name):
    """Return the record of that name, or the one in that folder."""
    for folder in (records.RECORDED / name, Path(name)):
        if (folder / records.RUN).is_file():
            return results.read(folder)
    names = ", ".join(record.name for record in results.load()) or "none"
    raise click.ClickException(f"No run {name!r} is recorded, and it is no run's folder. Recorded are: {names}.")


def _data(source, digest):
    return f"{source} (SHA-256 {digest[:12]})"


def _machines(recorded, training, devices):
    """Return on what the run was trained and will be, and whether it can come out the same to the bit."""
    surroundings = training.provenance.surroundings()
    here = {part: surroundings[part] for part in ("versions", "hardware", "git", "environment")}
    again = replace(recorded, resumed=(), devices=devices or recorded.devices, **here)
    differing = [name for name, *_ in comparison.compare(recorded, again).around]
    before = [_machine(recorded.versions, recorded.hardware)]
    before += [_machine(part["versions"], part["hardware"]) for part in recorded.resumed]
    then, now = "; ".join(dict.fromkeys(before)), _machine(here["versions"], here["hardware"])
    reasons = [f"not known to be the same in {', '.join(differing)}"] * bool(differing)
    reasons += ["the run was not deterministic"] * (not recorded.deterministic)
    verdict = f"{'; '.join(reasons)}, so the log need not repeat to the bit" if reasons else "the same"
    faster = training.choose_precision()
    slow = f"\n{recorded.precision} as recorded, though this machine is faster in {faster}"
    return [("trained with", then), ("now with", f"{now}\n{verdict}{slow if faster != recorded.precision else ''}")]


def _machine(versions, hardware):
    """Name the backend, its version, and what computes."""
    backend = next(name for name in ("jax", "tensorflow") if name in versions)
    return f"{backend} {versions[backend]}, keras {versions['keras']}, on {results.hardware_in_words(hardware)}"


def _outcome(recorded, now):
    """Return what came out, as pairs of a topic and a text."""
    then, again = (100 * record.result["test_error"] for record in (recorded, now))
    found = comparison.compare(recorded, now)
    pairs = [("test error", f"{then:.2f}% recorded, {again:.2f}% now: {again - then:+.2f} points")]
    if not found.same_data:
        pairs += [("data", "not the same, so the two need not agree; the logs are not compared")]
    elif found.first_difference is None:
        pairs += [("log", f"the same in all {len(now.log)} epochs, but for the seconds")]
    else:
        epoch, field, before, after = found.first_difference
        pairs += [("log", f"differs first in epoch {epoch}: {field} {before} recorded, {after} now")]
    if not recorded.deterministic:
        pairs += [("repeats bit for bit", "need not: the recorded run was not asked to")]
    return pairs + [(name, f"{before} recorded, {after} now") for name, before, after in found.around]
