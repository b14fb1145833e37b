"""Download a data set: with progress, resumed after a cut, and checked before anyone can load it.

What has arrived lies in ``<file>.part`` until its checksum is right; then it is renamed in one step. The university's
server is slow at times, so a download may take most of an hour and must survive being interrupted.
"""

import contextlib
import hashlib
import math
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from resnet_lessons import disk

import filelock

from . import formats, places
from .formats import DataError

CHUNK = 2**16  # bytes per read
IDLE_ATTEMPTS = 4  # in a row that bring nothing new, then it gives up
PAUSE_SECONDS = 1.0  # before the next attempt, times the number of idle ones
MB = 10**6
SPARE_BYTES = 10 * MB  # room to leave: other programs write too


@dataclass(frozen=True)
class Remote:
    """A file to download and what it must be."""

    name: str
    url: str
    filename: str
    sha256: str
    size: int  # bytes


REMOTES = {
    "cifar10": Remote(
        "cifar10",
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        "cifar-10-python.tar.gz",
        "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        170_498_071,
    ),
    "mnist": Remote(
        "mnist",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
        "mnist.npz",
        "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
        11_490_434,
    ),
}


class _Interrupted(Exception):
    """An attempt ended early in a way that another one may mend."""


def fetch(
    name: str = "cifar10",
    mirror: str | None = None,
    folder: str | os.PathLike | None = None,
    timeout: float = 60.0,
    progress: bool = True,
) -> Path:
    """Download a data set's file, or go on with a download that was cut.

    Args:
        name: "cifar10" or "mnist".
        mirror: another address, http or https: of the file itself, or of the folder it lies in.
        folder: where to put it; None is the package's cache, where `load` looks.
        timeout: seconds without a byte after which an attempt counts as stalled.
        progress: draw a progress bar on stderr.

    Returns:
        The path of the complete file; its checksum is right.

    Raises:
        ValueError: there is nothing to download under that name, or `mirror` is no web address.
        DataError: the server failed, sent something else, or there is no room. What has arrived is kept, unless it
            is wrong, and the next call resumes it.
    """
    remote = _remote(name, mirror)
    target = (places.folders().cache if folder is None else Path(folder).expanduser()) / remote.filename
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(target.with_name(f".{target.name}.lock"), timeout=0)
        with _bar(remote, progress) as bar:
            if _already_there(target, remote, bar):  # without the lock, for which a reader may lack the permission
                return target
            with lock:
                if not _already_there(target, remote, bar):  # another process may have ended just now
                    _require_room(_part(target), remote, folder)
                    _download(remote, target, timeout, bar)
    except filelock.Timeout as error:
        raise DataError(f"Another process is downloading {target}. Wait for it, or end it and run again.") from error
    except (OSError, NotImplementedError) as error:  # the latter from a file system without locks
        place = "set RESNET_LESSONS_CACHE to one" if folder is None else "name one"
        raise DataError(
            f"{target} cannot be written ({error}). Make room there, or {place} that you may write."
        ) from error
    return target


def _remote(name: str, mirror: str | None) -> Remote:
    if name not in REMOTES:
        raise ValueError(f"There is nothing to download for {name!r}. Choose one of {', '.join(REMOTES)}.")
    remote = REMOTES[name]
    if mirror is None:
        return remote
    parts = urlsplit(mirror)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"A mirror is an address that starts with http:// or https://. Received: {mirror!r}")
    is_file = parts.path.endswith((".gz", ".tgz", ".npz"))
    return replace(remote, url=mirror if is_file else f"{mirror.rstrip('/')}/{remote.filename}")


def _is_complete(path: Path, remote: Remote) -> bool:
    if path.is_dir():
        raise DataError(f"{path} is a folder where the file {remote.filename} should be. Remove or rename it.")
    return path.exists() and path.stat().st_size == remote.size and _sha256(path) == remote.sha256


def _already_there(target: Path, remote: Remote, bar) -> bool:
    """Tell whether the file is complete, and say so on the bar."""
    complete = _is_complete(target, remote)
    if complete:
        bar.set_description(f"{target} is already there")
        bar.update(remote.size)
    return complete


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _part(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def _download(remote: Remote, target: Path, timeout: float, bar) -> None:
    part = _part(target)
    _fill(remote, part, timeout, bar)
    digest = _sha256(part)
    if part.stat().st_size != remote.size or digest != remote.sha256:
        part.unlink()
        raise DataError(
            f"What {remote.url} sent is not {remote.filename}: its SHA-256 is {digest}, it must be {remote.sha256}. "
            f"It was removed. {_again(remote)}"
        )
    part.replace(target)


def _again(remote: Remote) -> str:
    return f"Run again: resnet-lessons data fetch {remote.name}, or name another server with --mirror URL."


def _require_room(part: Path, remote: Remote, folder: str | os.PathLike | None) -> None:
    """Refuse a disk that cannot hold what is missing, and in the package's cache the decoded copy beside it."""
    needed = remote.size - _length(part) + SPARE_BYTES
    what, remedy = "needs", "name another --folder"
    if folder is None:
        needed += formats.LAYOUTS[remote.name].decoded_bytes()
        what, remedy = "and its decoded copy need", "set RESNET_LESSONS_CACHE to a folder on another disk"
    free = shutil.disk_usage(part.parent).free
    if free < needed:
        said = f"{part.parent} has {free // MB} MB free; {remote.filename} {what} {math.ceil(needed / MB)} MB"
        raise DataError(f"{said}. Make room, or {remedy}.")


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@contextlib.contextmanager
def _bar(remote: Remote, progress: bool) -> Iterator:
    from tqdm import tqdm  # here, so that loading data does not import it

    with tqdm(total=remote.size, unit="B", unit_scale=True, desc=remote.filename, disable=not progress) as bar:
        yield bar


def _fill(remote: Remote, part: Path, timeout: float, bar) -> None:
    """Make attempts until `part` is as long as the file, giving up when several in a row bring nothing new."""
    longest, idle = _length(part), 0
    while _length(part) < remote.size:
        try:
            sent_all, reason = _attempt(remote, part, timeout, bar), "it sent too little"
        except _Interrupted as error:
            sent_all, reason = False, str(error)
        idle = 0 if _length(part) > longest else idle + 1
        longest = max(longest, _length(part))
        if idle == IDLE_ATTEMPTS:
            raise _gave_up(remote, part, sent_all, reason)
        time.sleep(PAUSE_SECONDS * idle)


def _gave_up(remote: Remote, part: Path, sent_all: bool, reason: str) -> DataError:
    if sent_all:  # its whole file is too short, so this is another file: a login page, say
        length = _length(part)
        part.unlink()
        return DataError(
            f"{remote.url} sends {length:,} bytes where {remote.filename} has {remote.size:,}. They were removed. "
            f"{_again(remote)}"
        )
    kept = f"{_length(part):,} of {remote.size:,} bytes are kept in {part}"
    return DataError(f"{remote.url}: {reason}; {IDLE_ATTEMPTS} attempts brought nothing new. {kept}. {_again(remote)}")


def _attempt(remote: Remote, part: Path, timeout: float, bar) -> bool:
    """Ask once for what is missing and append it to `part`; tell whether the server sent its whole file."""
    import requests
    import urllib3

    start = _length(part)
    headers = {"Accept-Encoding": "identity"}  # the file's own bytes, not packed once more
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        with requests.get(remote.url, headers=headers, stream=True, timeout=timeout) as response:
            start = _agreed_start(response, remote, part, start)
            _append(response.raw, remote, part, start, bar)
            return start == 0
    except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
        raise _Interrupted(f"stalled: nothing came for {timeout:g} s") from error
    except (requests.ConnectionError, urllib3.exceptions.HTTPError) as error:
        raise _Interrupted(f"the connection failed ({error})") from error
    except requests.RequestException as error:
        raise DataError(f"{remote.url} cannot be fetched ({error}). {_again(remote)}") from error


def _agreed_start(response, remote: Remote, part: Path, start: int) -> int:
    """Return the byte that the answer starts at: `start` if the server resumes, 0 if it sends everything."""
    status, answer = response.status_code, f"the server answered {response.status_code} {response.reason}"
    if status == 200:
        return 0
    if status == 206:
        given = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
        if given and int(given[1]) == start:
            return start
    if status in (206, 416):  # it cannot go on from `start`: the next attempt asks for everything
        part.unlink(missing_ok=True)
        raise _Interrupted(f"{answer} to bytes={start}-")
    if status >= 500 or status in (408, 429):
        raise _Interrupted(answer)
    raise DataError(f"{remote.url}: {answer}. {_again(remote)}")


def _append(raw, remote: Remote, part: Path, start: int, bar) -> None:
    with part.open("r+b" if start else "wb") as file:
        file.seek(start)
        bar.n = start
        bar.refresh()
        while chunk := raw.read1(CHUNK, decode_content=False):
            file.write(chunk)
            bar.update(len(chunk))
            if file.tell() > remote.size:
                break  # it is not our file; the checksum will say so
        disk.flush(file)
