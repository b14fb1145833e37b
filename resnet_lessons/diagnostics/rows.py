"""The file that keeps a slice of the loss row by row, so that a computation of hours can be interrupted."""

import contextlib
import hashlib
import os
import zipfile
from pathlib import Path

from resnet_lessons import disk

import numpy as np


def digest(arrays):
    """Return the SHA-256 of some arrays, their types and shapes included, as hexadecimal digits."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.dtype.str} {array.shape} ".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


class Rows:
    """The rows of a slice, (R, P) each of loss and error, and the file that keeps them; rows not yet computed are nan.

    The file is replaced as a whole after each row, so that whoever kills the process finds it as it was before the row
    or after it. ``done`` says which rows are there, so one whose loss is itself not a number is not computed again.
    """

    def __init__(self, path, digests, shape):
        self.path, self.digests = None if path is None else Path(path), digests
        self.loss, self.error = np.full(shape, np.nan), np.full(shape, np.nan)
        self.done = np.zeros(shape[0], bool)
        if self.path is not None and self.path.exists():
            self._load()

    def _load(self):
        try:
            with np.load(self.path, allow_pickle=False) as file:
                stored = {name: str(file[name]) for name in self.digests}
                kept = {name: file[name] for name in ("loss", "error", "done")}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"{self.path} is no file of a slice that loss_surface has written ({type(error).__name__}). Give "
                "another out=, or remove the file."
            ) from error
        if others := [name for name, wanted in self.digests.items() if stored[name] != wanted]:
            raise ValueError(
                f"{self.path} holds a slice of other {', '.join(others)}. Give another out=, or remove the file to "
                "compute this one."
            )
        self.loss, self.error, self.done = kept["loss"], kept["error"], kept["done"]

    def missing(self):
        """List the numbers of the rows that are to be computed."""
        return np.flatnonzero(~self.done).tolist()

    def add(self, row, points):
        """Keep the row's (loss, error) pairs, in the file too."""
        self.loss[row], self.error[row] = np.transpose(points)
        self.done[row] = True
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        half = self.path.with_name(f"{self.path.name}.{os.getpid()}.part")
        try:
            with half.open("wb") as file:
                np.savez(file, loss=self.loss, error=self.error, done=self.done, **self.digests)
                disk.flush(file)
            half.replace(self.path)
            disk.flush_folder(self.path.parent)
        finally:
            with contextlib.suppress(FileNotFoundError):
                half.unlink()
