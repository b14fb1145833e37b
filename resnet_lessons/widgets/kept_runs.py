"""What a folder holds of the run that is chosen: nothing, a part of it or all, another run, or something damaged."""

from pathlib import Path

from resnet_lessons import training
from resnet_lessons.results.records import run_name
from resnet_lessons.training.refusals import understanding

from .run_words import error_words, kept_words, result_words

UNREADABLE = (OSError, KeyError, TypeError, ValueError)  # what a folder that someone has changed can bring about


def run_folder(folder, spec, recipe, seed, data):
    """Return the folder of one run among others: each choice has its own, so that it is found again.

    Args:
        folder: of all runs.
        spec: the network.
        recipe: how it is trained.
        seed: of all that is random.
        data: the name of the data set.
    """
    return Path(folder) / run_name(spec, recipe, seed, data)


def found(out, wanted, dataset):
    """Say what a folder holds of a run.

    Args:
        out: the folder.
        wanted: what tells the run from others, a dict of fields of ``training.Settings``; with ``spec``, ``recipe``,
            ``seed`` and ``precision``. The folder's name does not: it holds only names.
        dataset: the ``data.Dataset`` that the run is to be on.

    Returns:
        A state of ``LiveTrainer``, the epochs that are kept, and one or two sentences.
    """
    folder, recipe = training.RunFolder(out), wanted["recipe"]
    try:
        description = _description(folder, wanted, dataset)
        if description is None:
            return "ready", (), f"Not trained yet, {recipe.steps:,} updates of {recipe.batch_size} images."
        epochs = folder.kept()
        if "result" not in description:
            return "stopped", epochs, f"Begun and not finished. {kept_words(epochs, recipe.steps)}"
        with understanding(folder):
            return "finished", epochs, result_words(description["result"]["test_error"], dataset.title)
    except training.FolderError as error:
        return "failed", (), error_words(error), "On this page: choose another seed, which has a folder of its own."
    except UNREADABLE as error:
        return "failed", (), error_words(error)


def refusal(out, wanted, dataset):
    """Return the exception for a folder that holds another run or is damaged, None for any other; as for ``found``."""
    try:
        _description(training.RunFolder(out), wanted, dataset)
    except UNREADABLE as error:
        return error
    return None


def _description(folder, wanted, dataset):
    """Return what a ``RunFolder`` says of the run that is wanted, None if it holds no run; refuse another run."""
    description = folder.description()
    if description is not None:
        training.refuse_other_run(folder, description, wanted, dataset)
    return description
