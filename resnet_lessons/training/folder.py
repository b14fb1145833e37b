"""A run on disk: a folder that a kill at any moment leaves in a state to go on from.

``run.json`` says what the run is and, once finished, what came out. ``log.jsonl`` has a line for each epoch.
``checkpoint.npz`` holds the state after the last whole epoch, ``model.weights.h5`` the final weights. Every file but
the log is written beside its place, flushed, and moved there in one step; the log is appended to, and on resume cut
back to the epochs that the checkpoint has. A lock keeps a second process out; it ends with the process that holds it,
except where the file system has no locks: there the file itself is the lock, and a kill can leave it behind.
"""

import contextlib
import hashlib
import io
import json
import os
import struct
import zipfile
import zlib
from pathlib import Path

from resnet_lessons import disk, results
from resnet_lessons.results.records import LOG, RUN, WEIGHTS, WEIGHTS_HASH

import filelock
import numpy as np

LOCK = ".lock"
CHECKPOINT = "checkpoint.npz"
PARTIALS = {name: name.replace(".", ".partial.", 1) for name in (RUN, LOG, CHECKPOINT, WEIGHTS)}  # being written


class FolderError(OSError):
    """A run's folder cannot be written, is damaged, is in use or holds another run; the message says what to do."""


class RunFolder:
    """The files of one run.

    Args:
        path: the folder; made when the run starts.
    """

    def __init__(self, path):
        self.path = Path(path)

    @contextlib.contextmanager
    def locked(self):
        """Hold the folder against other processes while the block runs. One made for nothing goes again at its end.

        Raises:
            FolderError: if another one holds it, the folder cannot be made, or it holds something else.
        """
        self.description()  # what is no run's folder is refused before a file is made in it
        made = [place for place in (self.path / LOCK, self.path, *self.path.parents) if not place.exists()]
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(self.path / LOCK, timeout=0)
            lock.acquire()
        except filelock.Timeout:
            left = ""
            if isinstance(lock, filelock.SoftFileLock):  # what a lock becomes where the file system has none
                left = f" If no process is, one that was killed has left {self.path / LOCK} behind: remove that file."
            raise FolderError(
                f"Another process is training in {self.path}. Wait for it to end, or choose another folder.{left}"
            ) from None
        except OSError as error:
            _remove(made)
            raise FolderError(f"{self.path} cannot be a run's folder ({error}). Choose another one.") from error
        try:
            for partial in PARTIALS.values():
                (self.path / partial).unlink(missing_ok=True)  # left by a process that was killed while it wrote
            yield self
        finally:
            if not (self.path / RUN).exists():
                _remove(made)
            lock.release()

    def description(self):
        """Return what ``run.json`` says, or None if the folder holds no run.

        Raises:
            FolderError: if it is damaged, or the folder holds something else.
        """
        path = self.path / RUN
        if not path.exists():
            found = [file.name for file in self.path.iterdir()] if self.path.is_dir() else []
            strange = sorted(name for name in found if name[0] != "." and name not in PARTIALS.values())
            if strange:
                raise FolderError(f"{self.path} holds {', '.join(strange)} but no {RUN}. Choose another folder.")
            return None
        try:
            description = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise FolderError(f"{path} cannot be read ({error}). Restore it, or choose another folder.") from error
        if not isinstance(description, dict):
            raise FolderError(f"{path} does not describe a run. Restore it, or choose another folder.")
        return description

    def describe(self, description):
        """Write ``run.json``."""
        text = json.dumps(description, indent=1, allow_nan=False) + "\n"
        with self._replacing(RUN) as partial:
            _write(partial, lambda file: file.write(text.encode()))

    def append(self, line):
        """Add an epoch's line to the log, whole or not at all."""
        path = self.path / LOG
        size = path.stat().st_size if path.exists() else 0
        try:
            with path.open("ab") as file:
                file.write((json.dumps(line, allow_nan=False) + "\n").encode())
                disk.flush(file)
        except OSError as error:
            if path.exists():
                os.truncate(path, size)
            raise self._not_written(LOG, error) from error

    def save(self, arrays, epoch, step):
        """Replace the checkpoint by the state after ``epoch`` epochs and ``step`` updates.

        Args:
            arrays: a list of arrays.
            epoch: whole epochs made.
            step: updates made.
        """
        named = {f"array{number:05}": array for number, array in enumerate(arrays)}
        with self._replacing(CHECKPOINT) as partial:
            _write(partial, lambda file: np.savez(file, progress=np.array([epoch, step]), **named))

    def restore(self):
        """Return the checkpoint: its arrays, epochs and updates; ([], 0, 0) if there is none yet.

        Raises:
            FolderError: if it is damaged.
        """
        path = self.path / CHECKPOINT
        if not path.exists():
            return [], 0, 0
        try:
            named = _read_arrays(path)
            epoch, step = map(int, named.pop("progress"))
        except _DAMAGE as error:
            raise self.damaged_checkpoint(error) from error
        return [named[name] for name in sorted(named)], epoch, step

    def kept(self):
        """Return those lines of the log whose epochs are not made again: of an unfinished run, the checkpoint's.

        A kill between the two leaves the log one line longer.

        Raises:
            FolderError: if the log or the checkpoint is damaged.
        """
        lines = self.lines()
        return lines if "result" in (self.description() or {}) else lines[: self.saved()[0]]

    def saved(self):
        """Return the epochs and updates that the checkpoint has, without reading its arrays, which can be large.

        Raises:
            FolderError: if that much of it is damaged.
        """
        path = self.path / CHECKPOINT
        if not path.exists():
            return 0, 0
        try:
            with zipfile.ZipFile(path) as stored:
                epoch, step = map(int, np.load(io.BytesIO(stored.read("progress.npy"))))
        except _DAMAGE as error:
            raise self.damaged_checkpoint(error) from error
        return epoch, step

    def damaged_checkpoint(self, error):
        """Return the FolderError for a checkpoint that cannot be read, or does not fit the run."""
        path = self.path / CHECKPOINT
        return FolderError(f"{path} is damaged ({error}). Remove it to start this run over, or restore it.")

    def lines(self):
        """Return the log, a list with a dict for each whole line.

        Raises:
            FolderError: if it is damaged.
        """
        path = self.path / LOG
        whole, _, _ = path.read_bytes().rpartition(b"\n") if path.exists() else (b"", b"", b"")
        lines = whole.splitlines()
        for number, line in enumerate(lines, start=1):
            try:
                results.Epoch.from_line(line, number)
            except ValueError as error:
                raise FolderError(
                    f"{path} is damaged (line {number}: {error}). Restore it, or choose another folder."
                ) from error
        return [json.loads(line) for line in lines]

    def rewind(self, epochs):
        """Cut the log back to its first ``epochs`` lines, those that the checkpoint has, and return them.

        Raises:
            FolderError: if it has fewer.
        """
        path = self.path / LOG
        lines = self.lines()
        if len(lines) < epochs:
            raise FolderError(
                f"{path} has {len(lines)} lines and {CHECKPOINT} {epochs} epochs. Restore both, or remove both to "
                "start this run over."
            )
        if path.exists():
            kept = path.read_bytes().splitlines(keepends=True)[:epochs]
            with self._replacing(LOG) as partial:
                _write(partial, lambda file: file.writelines(kept))
        return lines[:epochs]

    def finish(self, write_weights, description):
        """Write the final weights, then the description with its result and their hash, then remove the checkpoint.

        Args:
            write_weights: writes them to the file that it is given, whose name ends in ".weights.h5".
            description: with "result".
        """
        weights = _InMemory()
        write_weights(weights)
        with self._replacing(WEIGHTS) as partial:
            _write(partial, lambda file: file.write(weights.getbuffer()))
        self.describe(description | {WEIGHTS_HASH: hashlib.sha256(weights.getbuffer()).hexdigest()})
        self.drop_checkpoint()

    def drop_checkpoint(self):
        """Remove the checkpoint of a finished run, which a kill may have left."""
        (self.path / CHECKPOINT).unlink(missing_ok=True)

    def load_weights(self, model):
        """Put a finished run's weights into its model.

        Raises:
            FolderError: if they are missing or damaged.
        """
        path, recorded = self.path / WEIGHTS, (self.description() or {}).get(WEIGHTS_HASH)
        try:
            weights = path.read_bytes()
            found = hashlib.sha256(weights).hexdigest()
            if recorded not in (None, found):  # an older run does not say
                raise ValueError(f"its SHA-256 begins with {found[:12]}, in {RUN} with {str(recorded)[:12]}")
            put_weights(model, weights)
        except (OSError, ValueError, KeyError) as error:
            raise FolderError(
                f"{path} is missing, damaged or not what the run ended with ({error}). Restore it."
            ) from error

    @contextlib.contextmanager
    def _replacing(self, name):
        """Give a path to write to, and move it to ``name`` once that is done; until then nothing has changed."""
        partial = self.path / PARTIALS[name]
        try:
            yield partial
            partial.replace(self.path / name)
        except OSError as error:
            raise self._not_written(name, error) from error
        finally:
            partial.unlink(missing_ok=True)
        try:
            disk.flush_folder(self.path)
        except OSError as error:
            raise FolderError(
                f"{self.path / name} is written, but the disk does not confirm it ({error.strerror or error}). Mend "
                f"it, then: resnet-lessons resume {self.path}"
            ) from error

    def _not_written(self, name, error):
        reason = error.strerror or error
        return FolderError(
            f"{self.path / name} could not be written ({reason}). What it held before is kept, and so is every earlier "
            f"epoch; make room or mend the disk, then: resnet-lessons resume {self.path}"
        )


def _remove(places):
    """Remove a lock and folders that hold nothing else, the innermost first."""
    for place in places:
        # The disk may have been too full to make it, Windows keeps a file that is open, another process may have come.
        with contextlib.suppress(OSError):
            place.unlink() if place.name == LOCK else place.rmdir()


def put_weights(model, weights):
    """Put the bytes of a weights file into a model. HDF5 never sees the file: it would lock it, even to read it."""
    model.load_weights(_InMemory(weights))


class _InMemory(io.BytesIO):
    """A file in memory, by the name that Keras asks for: on a full disk, HDF5 itself can crash the whole process."""

    def __str__(self):
        return WEIGHTS


_DAMAGE = (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error, struct.error)


def _read_arrays(path):
    """Return the arrays of an .npz, name to array, once each has been compared with its checksum."""
    with path.open("rb") as file:
        with zipfile.ZipFile(file) as stored:
            damaged = stored.testzip()  # reading an array alone does not always get as far as its checksum
        if damaged:
            raise zipfile.BadZipFile(f"{damaged} has another checksum")
        file.seek(0)
        with np.load(file) as stored:
            return {name: stored[name] for name in stored.files}


def _write(path, write):
    with path.open("wb") as file:
        write(file)
        disk.flush(file)
