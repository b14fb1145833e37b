"""What ``train`` refuses before anything is built: a network that does not fit the data, a folder of another run."""

import contextlib

from resnet_lessons import backend
from resnet_lessons.results import Settings

from .folder import FolderError


@contextlib.contextmanager
def understanding(folder):
    """Turn what ``run.json`` lacks into a FolderError."""
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        raise FolderError(f"{folder.path}/run.json does not describe a run ({error!r}). Restore it.") from error


def stored_settings(folder, description):
    """Return the ``Settings`` of the run in a folder, from what its ``run.json`` says."""
    with understanding(folder):
        return Settings.from_json(description)


def run_in(folder):
    """Return what is needed to go on with the run in a folder.

    Args:
        folder: a ``RunFolder``.

    Returns:
        Its ``Settings`` and the name of its data set.

    Raises:
        FolderError: if the folder holds no run, or its ``run.json`` does not describe one.
    """
    description = folder.description()
    if description is None:
        raise FolderError(f"{folder.path} holds no run to go on with. To begin one there: resnet-lessons train --help")
    with understanding(folder):
        return Settings.from_json(description), description["data"]["name"]


def refuse_misfit(spec, recipe, dataset):
    """Raise ValueError if the network does not take the data set's images, or the recipe holds too many back."""
    images, classes = dataset.x_train.shape[1:], len(dataset.class_names)
    if spec.input_shape != images or spec.num_classes != classes:
        raise ValueError(
            f"The network takes images of {spec.input_shape} and tells {spec.num_classes} classes apart; "
            f"{dataset.name} has images of {images} and {classes} classes. "
            f"Make the Spec with input_shape={images}, num_classes={classes}."
        )
    if not recipe.validation < len(dataset.y_train):
        raise ValueError(
            f"The recipe holds {recipe.validation:,} images back and {dataset.name} has {len(dataset.y_train):,} to "
            "train on. Choose a recipe that holds fewer back, such as recipe.smoke()."
        )


def refuse_other_run(folder, description, wanted, dataset):
    """Refuse a folder whose run is not the one that is wanted.

    Args:
        folder: a ``RunFolder``.
        description: what its ``run.json`` says.
        wanted: a dict of fields of ``Settings``, as for ``Settings.differing``.
        dataset: the ``data.Dataset`` that the run is to be on.

    Raises:
        FolderError: which says what differs, and what to do.
    """
    found = stored_settings(folder, description).differing(wanted)
    data = _other_data(folder, description, dataset)
    if data:
        found.append(f"data is {data[0]}, asked for is {data[1]}")
    if found:
        raise FolderError(
            f"{folder.path} holds another run: {'; '.join(found)}. Choose another folder, or go on with that run: "
            f"resnet-lessons resume {folder.path}"
        )


def refuse_other_data(folder, description, dataset):
    """Raise FolderError unless ``dataset`` is what the folder's run began on, where all else is the run's own."""
    data = _other_data(folder, description, dataset)
    if data:
        raise FolderError(
            f"{folder.path} is a run on other data: it began on {data[0]}, given is {data[1]}. Give it those that it "
            "began on; on the command line, --source names where they lie."
        )


def refuse_other_devices(folder, settings):
    """Raise FolderError if the folder's run was begun on a processor that was divided otherwise than it is now."""
    now = settings.devices and backend.processor_parts()
    if settings.devices and now is None:
        raise FolderError(
            f"{folder.path} was begun on a processor divided in {settings.devices}, which only TensorFlow can divide, "
            "and only where it sees no GPU. Set KERAS_BACKEND=tensorflow and CUDA_VISIBLE_DEVICES=-1 to go on with it."
        )
    if now != settings.devices:
        raise FolderError(
            f"{folder.path} was begun on a processor divided in {settings.devices}, and its parts decide the last "
            f"digits of what comes out. Received: devices={now}. To go on with it: resnet-lessons resume {folder.path} "
            f"--devices {settings.devices}, or in Python backend.divide_processor({settings.devices}) before all else."
        )


def _other_data(folder, description, dataset):
    """Return in words what the run began on and what it is given, or None if they are the same arrays."""
    with understanding(folder):
        digest, source = description["data"]["sha256"], description["data"]["source"]
    if digest == dataset.digest:
        return None
    return f"{source} ({digest[:12]})", f"{dataset.source} ({dataset.digest[:12]})"
