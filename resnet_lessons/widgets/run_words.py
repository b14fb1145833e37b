"""What the live trainer says of a run: sentences and a table, from its log and its progress."""

from resnet_lessons import training
from resnet_lessons.tables import html_table
from resnet_lessons.training.progress import duration

SHOWN = 8  # epochs, the last ones
WINDOW = 10  # updates that an error is a mean over
ANOTHER = "On this page: choose another recipe or seed."  # the page has no field for a folder


def epoch_table(epochs):
    """Make a table of the last epochs of a run.

    Args:
        epochs: the lines of its log, as ``training.Run.epochs``.

    Returns:
        The table, HTML that a notebook shows; "" before the first epoch.
    """
    if not epochs:
        return ""
    header = ["epoch", "update", "training error", "validation error", "learning rate", "seconds"]
    rows = []
    for line in epochs[-SHOWN:]:
        validation = f"{100 * line['val_error']:.1f}%" if line.get("val_error") is not None else ""
        made = [line["epoch"], f"{line['step']:,}", f"{100 * line['train_error']:.1f}%", validation]
        rows.append([*made, f"{line['lr']:.3g}", f"{line['seconds']:.1f}"])
    return html_table(rows, header, ["right"] * 6)


def progress_words(progress, steps):
    """Say in a sentence how far a training has come.

    Args:
        progress: a ``training.Progress``.
        steps: updates in all.
    """
    doing = {
        "starting": "Building the network; the first update takes longest.",
        "validating": "Looking at the validation images.",
        "testing": "All updates are made. Reading the test images, once.",
    }
    if progress.phase in doing:
        said = doing[progress.phase]
    else:
        said = f"About {duration(progress.left)} left." if progress.left is not None else ""
    made = f"Update {progress.step:,} of {steps:,}"
    if len(progress.step_error):
        last = progress.step_error[-WINDOW:]
        made += f", training error {100 * last.mean():.1f}% (mean of the last {len(last)})"
    return f"{made}. {said}".strip()


def kept_words(epochs, steps):
    """Say in a sentence what the folder of an unfinished run keeps, and what is left to do.

    Args:
        epochs: the lines that it keeps, as ``training.RunFolder.kept``.
        steps: updates in all.
    """
    if not epochs:
        return f"No epoch was whole yet: Resume begins with update 1 of {steps:,}."
    last = epochs[-1]
    if last["step"] == steps:
        return f"{epochs_are(epochs)} kept, and all updates are made: Resume reads the test images."
    return f"{epochs_are(epochs)} kept: Resume begins with update {last['step'] + 1:,} of {steps:,}."


def result_words(error, title):
    """Say in a sentence or two what came out of a run; ``error`` is a part of 1, ``title`` that of the data set."""
    return f"Finished: test error {100 * error:.1f}% on {title}. It is kept; to train once more, choose another seed."


def epochs_are(epochs):
    """Say how many epochs, in the words before "whole" or "kept": "2 epochs are"."""
    return {0: "no epoch is", 1: "1 epoch is"}.get(len(epochs), f"{len(epochs)} epochs are")


def error_words(error):
    """Say in a sentence what ended a training: the package's own errors say what to do, of others the kind is told."""
    if isinstance(error, training.Diverged):
        return f"{error} {ANOTHER}"
    if isinstance(error, training.FolderError):
        return str(error)
    return f"{type(error).__name__}: {error}"
