"""The cache: decoded once, complete or absent, shared, and never harmed by a failure."""

import errno
import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from resnet_lessons import data
from resnet_lessons.data import DataError, cache, formats

import data_samples as samples
import filelock
import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("small")

# What a child process runs first: the small layouts of conftest, in another process.
PRELUDE = f"""
import os, sys, time
from dataclasses import replace
from pathlib import Path
from resnet_lessons import data
from resnet_lessons.data import cache, formats
formats.LAYOUTS["cifar10"] = replace(formats.LAYOUTS["cifar10"], train={samples.TRAIN}, test={samples.TEST})
"""


def start(code, *arguments):
    command = [sys.executable, "-c", PRELUDE + code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def entries(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def left_overs(folder):
    return [path for path in folder.iterdir() if ".tmp-" in path.name]


@pytest.fixture
def npz(tmp_path):
    samples.write_npz(tmp_path / "in" / "cifar10.npz")
    return tmp_path / "in" / "cifar10.npz"


@pytest.fixture
def decodes(monkeypatch):
    """A list that grows with every decoding."""
    calls, read = [], formats.read
    monkeypatch.setattr(formats, "read", lambda *args: calls.append(args) or read(*args))
    return calls


def test_a_file_is_decoded_once_and_anew_when_it_changes(tmp_path, npz, decodes):
    first = data.load(source=npz)
    assert data.load(source=npz).digest == first.digest
    assert len(decodes) == 1
    samples.write_npz(npz, samples.arrays(1))
    os.utime(npz, ns=(1, 1))
    changed = data.load(source=npz)
    assert changed.digest != first.digest
    assert len(decodes) == 2
    assert len(entries(tmp_path / "cache")) == 2, "the other entry stays"


def test_the_digest_names_the_content_not_the_file(tmp_path, npz):
    folder = samples.write_folder(tmp_path / "batches", samples.batches(samples.arrays()))
    assert data.load(source=npz).digest == data.load(source=folder).digest
    other = samples.arrays()
    other["y_test"][0] ^= 1
    samples.write_npz(tmp_path / "other.npz", other)
    assert data.load(source=tmp_path / "other.npz").digest != data.load(source=npz).digest


def test_an_entry_holds_four_arrays_and_a_record(tmp_path, npz):
    dataset = data.load(source=npz)
    (entry,) = entries(tmp_path / "cache")
    files = sorted(path.name for path in (tmp_path / "cache" / entry).iterdir())
    assert files == ["entry.json", "x_test.npy", "x_train.npy", "y_test.npy", "y_train.npy"]
    assert json.loads((tmp_path / "cache" / entry / "entry.json").read_text())["digest"] == dataset.digest


@pytest.mark.parametrize("damage", ["cut", "gone", "record"])
def test_a_damaged_entry_is_made_anew(tmp_path, npz, damage):
    whole = data.load(source=npz)
    (entry,) = entries(tmp_path / "cache")
    folder = tmp_path / "cache" / entry
    if damage == "cut":
        (folder / "x_train.npy").write_bytes((folder / "x_train.npy").read_bytes()[:-1])
    elif damage == "gone":
        (folder / "y_test.npy").unlink()
    else:
        (folder / "entry.json").write_text("{")
    assert cache.read(tmp_path / "cache", entry) is None
    again = data.load(source=npz)
    assert again.digest == whole.digest
    np.testing.assert_array_equal(again.y_test, samples.arrays()["y_test"])
    assert entries(tmp_path / "cache") == [entry]
    assert not (folder / "damaged").exists()


def test_an_array_overwritten_in_place_is_an_error_that_names_the_entry(tmp_path, npz):
    data.load(source=npz)
    (entry,) = entries(tmp_path / "cache")
    array = tmp_path / "cache" / entry / "y_train.npy"
    array.write_bytes(bytes(array.stat().st_size))
    with pytest.raises(DataError, match=f"{entry} cannot be read.*Remove that folder"):
        data.load(source=npz)


def test_a_damaged_source_leaves_the_cache_as_it_was(tmp_path, npz):
    data.load(source=npz)
    before = entries(tmp_path / "cache")
    npz.write_bytes(npz.read_bytes()[:-10])
    with pytest.raises(DataError, match=r"cifar10\.npz"):
        data.load(source=npz)
    assert entries(tmp_path / "cache") == before
    assert not left_overs(tmp_path / "cache")


def test_a_full_disk_is_one_error_and_leaves_nothing_behind(tmp_path, npz, monkeypatch):
    save = np.save

    def full(file, array, **options):
        save(file, array[:5], **options)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(DataError, match=r"cannot be written .*No space left.*RESNET_LESSONS_CACHE"):
        data.load(source=npz)
    assert entries(tmp_path / "cache") == []
    assert not left_overs(tmp_path / "cache")
    monkeypatch.undo()


@pytest.fixture
def folders_fail_to_flush(monkeypatch):
    """A function that lets every flush of a folder fail for a reason, as some network disks do; files are flushed."""

    def fail(number):
        def flush(handle):
            if stat.S_ISDIR(os.fstat(handle).st_mode):
                raise OSError(number, os.strerror(number))
            real(handle)

        monkeypatch.setattr(os, "fsync", flush)

    real = os.fsync
    return fail


@pytest.mark.skipif(os.name != "posix", reason="other systems flush no folders")
@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_a_disk_that_cannot_flush_a_folder_still_holds_a_cache(tmp_path, npz, folders_fail_to_flush, number):
    folders_fail_to_flush(number)
    assert data.load(source=npz).x_train.shape == (samples.TRAIN, 32, 32, 3)
    assert len(entries(tmp_path / "cache")) == 1


@pytest.mark.skipif(os.name != "posix", reason="other systems flush no folders")
def test_a_disk_that_fails_to_flush_a_folder_is_one_error(tmp_path, npz, folders_fail_to_flush):
    folders_fail_to_flush(errno.EIO)
    with pytest.raises(DataError, match=r"cannot be written .*Input/output error"):
        data.load(source=npz)
    assert entries(tmp_path / "cache") == []


def test_a_cache_that_cannot_be_a_folder_is_one_error(tmp_path, npz, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("RESNET_LESSONS_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DataError, match=r"cannot be written .*RESNET_LESSONS_CACHE"):
        data.load(source=npz)


def test_reading_takes_no_lock_and_writes_nothing(tmp_path, npz, monkeypatch):
    data.load(source=npz)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")}

    def forbidden(*_, **__):
        raise AssertionError("a load from a full cache must not lock or write")

    monkeypatch.setattr(filelock, "FileLock", forbidden)
    monkeypatch.setattr(Path, "mkdir", forbidden)
    monkeypatch.setattr(tempfile, "mkdtemp", forbidden)
    data.load(source=npz)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")} == before


READ_ONLY = """
import mmap  # NumPy imports it late, and the interpreter's own folder may be closed to the other user
if os.getuid() == 0:
    os.setgid(65534), os.setuid(65534)  # root may write anywhere
print(data.load(source=sys.argv[1]).digest)
try:
    data.load(source=sys.argv[2])
except data.DataError as error:
    print(error)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions")
def test_a_read_only_cache_serves_what_it_holds_and_refuses_the_rest_clearly(monkeypatch):
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to other users
        folder = Path(name)
        folder.chmod(0o755)
        samples.write_npz(folder / "a.npz")
        samples.write_npz(folder / "b.npz", samples.arrays(1))
        monkeypatch.setenv("RESNET_LESSONS_CACHE", str(folder / "cache"))
        digest = data.load(source=folder / "a.npz").digest
        (folder / "cache").chmod(0o555)
        child = start(READ_ONLY, folder / "a.npz", folder / "b.npz")
        out, err = child.communicate(timeout=60)
        (folder / "cache").chmod(0o755)
    assert child.returncode == 0, err
    first, refusal = out.splitlines()
    assert first == digest
    assert "cannot be written" in refusal
    assert "RESNET_LESSONS_CACHE" in refusal


SLOW_FIRST_LOAD = """
read = formats.read
def slow(path, name):
    with open(sys.argv[2], "a") as log:
        log.write("decoded\\n")
    time.sleep(1)
    return read(path, name)
formats.read = slow
print("ready", flush=True)
while not Path(sys.argv[3]).exists():
    time.sleep(0.01)
print(data.load(source=sys.argv[1]).digest)
"""


def test_two_processes_that_start_at_once_decode_once_and_both_succeed(tmp_path, npz):
    log, go = tmp_path / "log", tmp_path / "go"
    children = [start(SLOW_FIRST_LOAD, npz, log, go) for _ in range(2)]
    assert [child.stdout.readline() for child in children] == ["ready\n", "ready\n"]
    go.touch()
    outputs = [child.communicate(timeout=60) for child in children]
    assert [child.returncode for child in children] == [0, 0], outputs
    assert log.read_text() == "decoded\n"
    assert {out.strip() for out, _ in outputs} == {data.load(source=npz).digest}


HANG_WHILE_WRITING = """
import numpy as np
save = np.save
def hang(file, array, **options):
    save(file, array, **options)
    print("writing", flush=True)
    time.sleep(60)
np.save = hang
data.load(source=sys.argv[1])
"""


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_process_killed_while_writing_leaves_no_entry_and_its_traces_are_removed(tmp_path, npz):
    child = start(HANG_WHILE_WRITING, npz)
    assert child.stdout.readline() == "writing\n"
    os.kill(child.pid, signal.SIGKILL)
    child.communicate(timeout=60)
    assert left_overs(tmp_path / "cache")
    assert entries(tmp_path / "cache") == []
    data.load(source=npz)
    assert len(entries(tmp_path / "cache")) == 1
    assert not left_overs(tmp_path / "cache")


def test_a_lock_held_for_too_long_is_one_error(tmp_path, npz, monkeypatch):
    monkeypatch.setattr(cache, "LOCK_SECONDS", 0.1)
    (tmp_path / "cache").mkdir()
    entry = cache.entry_for(npz, "cifar10", None)
    begun = time.monotonic()
    with filelock.FileLock(tmp_path / "cache" / f".{entry}.lock"), pytest.raises(DataError, match="another process"):
        data.load(source=npz)
    assert time.monotonic() - begun < 30


def test_shapes10_is_cached_by_its_version(tmp_path, monkeypatch):
    first = data.load("shapes10")
    assert data.load("shapes10").digest == first.digest
    assert len(entries(tmp_path / "cache")) == 1
    monkeypatch.setattr(data.shapes10, "VERSION", 99)
    assert "version 99" in data.load("shapes10").source
    assert len(entries(tmp_path / "cache")) == 2
