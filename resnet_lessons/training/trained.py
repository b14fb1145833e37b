"""Networks that ship trained: their weights lie beside the record of the run that made them, and are checked."""

import hashlib
from pathlib import Path

from resnet_lessons import models, results
from resnet_lessons.results import records
from resnet_lessons.results.records import SUMS, WEIGHTS

from .folder import FolderError, put_weights


def trained(spec, data="cifar10", folder=None):
    """Return the network ``spec`` with the weights that a recorded run ended with.

    It takes what ``batches.Batches`` makes of images, with the mean of the training part of the same data set if the
    record's recipe subtracts it; ``batches.train_and_validation`` gives that mean.

    Args:
        spec: the network.
        data: the name of the data set it was trained on, such as a ``data.Dataset`` has: "cifar10" or "shapes10".
        folder: holds one folder a run, and SHA256SUMS; None: what ships with the package.

    Returns:
        A keras.Model, of the precision that is set, float32 unless you set another.

    Raises:
        FolderError: if the file of weights is missing, or is not the one that was recorded.
        ValueError: if no recorded run of this network on this data set ships its weights; the message
            names those that do.
    """
    folder = Path(records.RECORDED if folder is None else folder)
    try:
        sums = records.read_sums(folder / SUMS)
    except results.RecordError as error:
        raise FolderError(str(error)) from error
    shipped = [record for record in (results.load(folder) if sums else ()) if f"{record.name}/{WEIGHTS}" in sums]
    for record in shipped:
        if (record.spec, record.data["name"]) == (spec, data):
            weights = _checked(folder / record.name / WEIGHTS, sums[f"{record.name}/{WEIGHTS}"])
            model = models.build(spec)
            put_weights(model, weights)
            return model
    names = ", ".join(f"{record.spec.name} on {record.data['name']}" for record in shipped) or "none"
    raise ValueError(f"There are no trained weights of {spec.name} on {data} in {SUMS}. Those that ship: {names}.")


def _checked(path, digest):
    """Return the bytes of a file whose SHA-256 is ``digest``."""
    try:
        contents = path.read_bytes()
    except OSError as error:
        raise FolderError(f"{path} cannot be read ({error.strerror}). {RESTORE}") from error
    found = hashlib.sha256(contents).hexdigest()
    if found != digest:
        raise FolderError(
            f"{path} is not the file that was recorded: its SHA-256 begins with {found[:12]}, in {SUMS} with "
            f"{digest[:12]}. {RESTORE}"
        )
    return contents


RESTORE = "Restore it from the repository, or install the package again."
