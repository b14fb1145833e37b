"""Decoded data sets on disk: four ``.npy`` files and a record in one folder, memory-mapped by every process.

An entry is complete or absent: it is written to a temporary folder, flushed, and renamed in one step under a lock.
Reading takes no lock and writes nothing, so that an instructor can share one read-only cache with a whole class.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from resnet_lessons import disk

import filelock
import numpy as np

from .formats import Arrays, DataError, closed

ARRAYS = ("x_train", "y_train", "x_test", "y_test")
RECORD = "entry.json"
FORMAT = 1  # of an entry; another number makes new entries
LOCK_SECONDS = 900


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels, memory-mapped read-only from the cache.

    Attributes:
        name: "cifar10", "mnist" or "shapes10"; what it is, which need not be what was asked for.
        x_train: images (N, H, W, C) uint8.
        y_train: labels (N,) int64, 0 to 9.
        x_test: images (M, H, W, C) uint8.
        y_test: labels (M,) int64.
        class_names: one name per label.
        source: what the data really is, in words: a title, a colon, an explanation.
        digest: SHA-256 of the four arrays, so that a record can name its data.
    """

    name: str
    x_train: np.ndarray = field(repr=False)
    y_train: np.ndarray = field(repr=False)
    x_test: np.ndarray = field(repr=False)
    y_test: np.ndarray = field(repr=False)
    class_names: tuple[str, ...]
    source: str
    digest: str

    @property
    def title(self) -> str:
        """The short form of `source`, for a plot or a table."""
        return self.source.partition(":")[0]


@dataclass(frozen=True, eq=False)
class Content:
    """What goes into an entry."""

    name: str
    arrays: Arrays
    class_names: tuple[str, ...]
    source: str


def key(kind: str, *facts: object) -> str:
    """Return an entry's folder name: its kind and a hash of the facts that must change it."""
    text = json.dumps([FORMAT, kind, *map(str, facts)])
    return f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def file_facts(path: Path) -> tuple[object, ...]:
    """Return what changes when a file, or a file in a folder, does: place, size and time of change (ns)."""
    try:
        path = path.resolve(strict=True)
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    except PermissionError as error:
        raise closed(path, error) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Mend or remove it.") from error
    return (path, *stats)


def entry_for(path: Path, name: str, note: str | None) -> str:
    """Return the entry's folder name for the file or folder at `path`, described by `note`."""
    return key(name, note, *file_facts(path))


def read(cache: Path, entry: str) -> Dataset | None:
    """Return the entry's data set, or None where the cache does not hold it complete."""
    record = _record(cache / entry)
    if record is None:
        return None
    try:
        arrays = {name: np.load(cache / entry / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ARRAYS}
    except (OSError, ValueError) as error:
        remedy = "Remove that folder or ask its owner to make it readable, or set RESNET_LESSONS_CACHE to another one"
        raise DataError(f"The cached data in {cache / entry} cannot be read ({error}). {remedy}.") from error
    return Dataset(
        name=record["name"],
        class_names=tuple(record["class_names"]),
        source=record["source"],
        digest=record["digest"],
        **arrays,
    )


def source_of(cache: Path, entry: str) -> str | None:
    """Return the source words of a complete entry without opening its arrays, or None."""
    record = _record(cache / entry)
    return record and record["source"]


def newest(cache: Path, kind: str) -> str | None:
    """Return the complete entry of `kind` that was made last, or None."""
    try:
        entries = [path for path in cache.glob(f"{kind}-*") if _record(path) is not None]
    except OSError:
        return None  # a cache that cannot be listed holds nothing for us; writing to it will say why
    made = {path.name: (path / RECORD).stat().st_mtime_ns for path in entries}
    return max(made, key=made.get, default=None)


def read_or_make(cache: Path, entry: str, make: Callable[[], Content]) -> Dataset:
    """Return the entry's data set; when absent, make and store it first, once however many processes ask.

    Args:
        cache: the cache folder; made when absent.
        entry: the entry's folder name, from `key`.
        make: reads or draws the data.

    Raises:
        DataError: from `make`, or the cache cannot be written. The cache is then as it was.
    """
    found = read(cache, entry)
    if found is not None:
        return found
    with _writing(cache, entry):
        found = read(cache, entry)  # another process may have made it while this one waited
        if found is None:
            _store(cache, entry, make())
            found = read(cache, entry)
    if found is None:
        raise DataError(f"{cache / entry} was written and cannot be read back. Check the disk, then load again.")
    return found


def _record(folder: Path) -> dict | None:
    """Return an entry's record if every file it lists is there in full, else None."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        whole = all((folder / name).stat().st_size == size for name, size in record["bytes"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # absent or damaged: it will be made anew
    return record if whole and record.get("format") == FORMAT else None


@contextmanager
def _writing(cache: Path, entry: str) -> Iterator[None]:
    """Hold the entry's lock, and name the cache and the way out when it cannot be written."""
    remedy = (
        "Set RESNET_LESSONS_CACHE to a folder you may write with some 250 MB free, "
        "or let the cache's owner load this data set once"
    )
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(cache / f".{entry}.lock", timeout=LOCK_SECONDS)
        with lock:
            yield
    except filelock.Timeout as error:
        what = f"another process has been preparing {entry} for {LOCK_SECONDS} s"
        raise DataError(f"The data cache {cache}: {what}. Wait for it or end it.") from error
    except (OSError, NotImplementedError) as error:
        raise DataError(f"The data cache {cache} cannot be written ({error}). {remedy}.") from error


def _store(cache: Path, entry: str, content: Content) -> None:
    """Write an entry to a temporary folder and rename it into place. The caller holds the lock."""
    for left_over in cache.glob(f".{entry}.tmp-*"):  # of a process that was killed
        shutil.rmtree(left_over)
    folder = Path(tempfile.mkdtemp(prefix=f".{entry}.tmp-", dir=cache))
    try:
        _write(folder, content)
        _make_readable(folder)
        if (cache / entry).exists():  # damaged, or `read` would have taken it
            (cache / entry).rename(folder / "damaged")
        folder.rename(cache / entry)
        disk.flush_folder(cache)
        shutil.rmtree(cache / entry / "damaged", ignore_errors=True)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _make_readable(folder: Path) -> None:
    """Let everyone read an entry, whatever the umask and mkdtemp chose: a class shares one cache."""
    folder.chmod(0o755)
    for file in folder.iterdir():
        file.chmod(0o644)


def _write(folder: Path, content: Content) -> None:
    sizes, digest = {}, hashlib.sha256()
    for name in ARRAYS:
        array = getattr(content.arrays, name)
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(memoryview(array).cast("B"))
        with (folder / f"{name}.npy").open("wb") as file:
            np.save(file, array, allow_pickle=False)
            disk.flush(file)
            sizes[f"{name}.npy"] = file.tell()
    record = {
        "format": FORMAT,
        "name": content.name,
        "class_names": content.class_names,
        "source": content.source,
        "digest": digest.hexdigest(),
        "bytes": sizes,
    }
    with (folder / RECORD).open("w", encoding="utf-8") as file:
        json.dump(record, file, indent=1)
        disk.flush(file)
    disk.flush_folder(folder)
