"""A disk that is full while something is written: the last good state stays, the message says so, the run goes on.

The kernel's own errors: a file system of a few kilobytes where one can be mounted, and a limit on the size of files.
"""

import contextlib
import errno
import os
import re
import subprocess
import sys

from resnet_lessons import training
from resnet_lessons.training import folder as run_folder

import pytest
import run_differences
from small_runs import files, same_weights, train

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits disks in Linux's ways")

ADVICE = "What it held before is kept, and so is every earlier epoch; make room or mend the disk, then: resnet-lessons"


@pytest.fixture
def mounted(tmp_path):
    """A file system of 2 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place]
    try:
        subprocess.run(mount, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system can be mounted here ({getattr(error, 'stderr', None) or error})")
    yield place
    subprocess.run(["umount", place], check=True)


@contextlib.contextmanager
def full(place, left=0):
    """Fill the file system at ``place`` up to some free bytes while the block runs."""
    filler = place / "filler"
    system = os.statvfs(place)
    with filler.open("wb") as file:
        file.write(bytes(max(0, system.f_bavail * system.f_bsize - left)))
    try:
        yield
    finally:
        filler.unlink()


@contextlib.contextmanager
def limited(size):
    """Let no file of this process grow beyond ``size`` bytes while the block runs."""
    import resource  # not on Windows

    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


class WhileWriting:
    """Make room scarce for one writing of one file, by wrapping the method of ``RunFolder`` that writes it."""

    def __init__(self, monkeypatch, method, scarce, number=1):
        self.before = None
        write, calls = getattr(run_folder.RunFolder, method), []

        def wrapped(folder, *arguments):
            calls.append(1)
            if len(calls) != number:
                return write(folder, *arguments)
            self.before = files(folder.path)
            with scarce(folder.path):
                return write(folder, *arguments)

        monkeypatch.setattr(run_folder.RunFolder, method, wrapped)


# What the last call of a run writes, one after the other: the method, the how manyth call of it, the file, and a size
# that is too small for it.
RUN, LINE, CHECKPOINT, WEIGHTS = "describe", "append", "save", "finish"
LAST = (
    (LINE, 1, "log.jsonl", 400),
    (CHECKPOINT, 1, "checkpoint.npz", 20_000),
    (WEIGHTS, 1, "model.weights.h5", 20_000),
    (RUN, 2, "run.json", 500),  # the first tells of the call itself
)


def check(folder, wrapped, name, reason):
    """Train until the disk is full, and look at what there is."""
    with pytest.raises(
        training.FolderError, match=re.escape(f"{folder / name} could not be written ({reason}")
    ) as error:
        train(folder)
    assert ADVICE in str(error.value)
    assert str(error.value).endswith(f"resume {folder}")
    found, before = files(folder), wrapped.before
    if name == "log.jsonl" and name not in before:
        assert found.pop(name) == b""
    assert found == before
    kept_arrays, epoch, _ = training.RunFolder(folder).restore()
    assert bool(kept_arrays) == bool(epoch) == ("checkpoint.npz" in before)


def check_end(reference, folder):
    """Go on once there is room, to the end of a run that was left alone."""
    run = train(folder)
    assert same_weights(run.model, reference[0].model)
    assert run_differences.differences(reference[1], folder) == []


def test_no_file_may_grow(monkeypatch, reference, unfinished):
    """One run, which goes on each time from what the failure before has left to the next thing that it writes."""
    for method, number, name, size in LAST:
        with monkeypatch.context() as patched:
            wrapped = WhileWriting(patched, method, lambda _, size=size: limited(size), number)
            check(unfinished, wrapped, name, "File too large")
    check_end(reference, unfinished)


def test_no_space_is_left(monkeypatch, reference, mounted):
    """For the first line of the log, as later ones fit the part of the file system that it takes; for a checkpoint."""
    folder, reason = mounted / "run", "No space left on device"
    with monkeypatch.context() as patched:
        wrapped = WhileWriting(patched, LINE, lambda folder: full(folder.parent))
        check(folder, wrapped, "log.jsonl", reason)
    with monkeypatch.context() as patched:
        wrapped = WhileWriting(patched, CHECKPOINT, lambda folder: full(folder.parent, 16 * 1024), 3)
        check(folder, wrapped, "checkpoint.npz", reason)
    check_end(reference, folder)


def test_a_disk_that_does_not_confirm_a_file_is_not_told_as_one_that_kept_the_one_before(monkeypatch, tmp_path):
    folder = training.RunFolder(tmp_path)
    folder.describe({"run": 1})

    def fail(_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(run_folder.disk, "flush_folder", fail)
    with pytest.raises(training.FolderError, match=r"run\.json is written, but .* confirm it \(Input/output error\)"):
        folder.describe({"run": 2})
    assert folder.description() == {"run": 2}
    assert set(files(tmp_path)) == {"run.json"}


def test_a_full_disk_is_full_and_then_not(mounted):
    """Negative control: what the tests lean on does what they think."""
    with full(mounted, 4096), pytest.raises(OSError, match="No space left"):
        (mounted / "file").write_bytes(bytes(10_000))
    (mounted / "file").write_bytes(bytes(10_000))


def test_a_limit_is_kept_and_then_not(tmp_path):
    """Negative control, as above; Python ignores the signal that comes with it."""
    with limited(100), pytest.raises(OSError, match="File too large"):
        (tmp_path / "file").write_bytes(bytes(101))
    (tmp_path / "file").write_bytes(bytes(101))


def test_the_final_weights_are_a_file_as_keras_writes_it(reference, tmp_path):
    """They pass through memory, since HDF5 itself crashes on a full disk."""
    run, folder = reference
    run.model.save_weights(tmp_path / "model.weights.h5")
    assert run_differences.weights(tmp_path / "model.weights.h5") == run_differences.weights(
        folder / "model.weights.h5"
    )
