"""Say what a data set really is: the original, a copy that differs from it, or a JPEG re-encoding.

Accuracies measured on a copy must not stand beside published ones, so the words made here travel with every record
and plot. Originals are recognised by published checksums: the MD5 of the six CIFAR-10 batch files, the channel sums
of the CIFAR-10 training images, and the SHA-256 of the MNIST arrays in the form of their four original files.
"""

import hashlib
import struct
from pathlib import Path

import numpy as np

from .formats import Arrays, DataError, closed

CIFAR10_MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}
# The widely printed mean of the training images, (125.3069, 122.9504, 113.8654), times 50,000 x 32 x 32: exact sums.
CIFAR10_CHANNEL_SUMS = (6_415_714_204, 6_295_060_180, 5_829_907_619)
MNIST_SHA256 = {
    "x_train": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "y_train": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "x_test": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "y_test": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


def describe(arrays: Arrays, path: Path, name: str, note: str | None = None) -> str:
    """Return what the arrays are, in words: a title, a colon, and how that is known.

    Args:
        arrays: the whole data set.
        path: the file or folder they were read from.
        name: "cifar10" or "mnist".
        note: what the folder's own note says of them (`note_beside`), kept in the words.
    """
    title, reason = (_cifar10 if name == "cifar10" else _mnist)(arrays)
    said = f"; {name}.source.txt says: {note}" if note else ""
    return f"{title}: {reason} (from {path.name}){said}"


def note_beside(path: Path, name: str) -> str | None:
    """Return the first line of ``<name>.source.txt`` beside the data, where a provider may say what the copy is.

    Raises:
        DataError: the note is not text, or may not be read.
    """
    note = path.parent / f"{name}.source.txt"
    try:
        lines = note.read_text(encoding="utf-8").strip().splitlines() if note.is_file() else []
    except PermissionError as error:
        raise closed(note, error) from error
    except (OSError, UnicodeDecodeError) as error:
        said = f"{note}: cannot be read as text ({error}). Write it in UTF-8, or remove it."
        raise DataError(said, mend=f"mend or remove {note}") from error
    return lines[0].strip() if lines else None


def _cifar10(arrays: Arrays) -> tuple[str, str]:
    if arrays.batch_md5 == CIFAR10_MD5:
        return "CIFAR-10, original", "the batch files have the published checksums"
    sums = arrays.x_train.reshape(-1, 3).sum(axis=0, dtype=np.int64)  # (N*H*W, C) to (C,)
    if tuple(sums.tolist()) == CIFAR10_CHANNEL_SUMS:
        return "CIFAR-10, original", "the training images have the published channel means"
    if is_jpeg(arrays.x_test[:2000]):
        return "CIFAR-10, JPEG re-encoding", "harder than the original, do not compare with published accuracies"
    return "CIFAR-10, altered copy", "its pixels differ from the original's, do not compare with published accuracies"


def _mnist(arrays: Arrays) -> tuple[str, str]:
    if all(_idx_sha256(getattr(arrays, key)) == digest for key, digest in MNIST_SHA256.items()):
        return "MNIST, original", "all images and labels have the published checksums"
    return "MNIST, altered copy", "its contents differ from the original's, do not compare with published accuracies"


def _idx_sha256(array: np.ndarray) -> str:
    """Return the SHA-256 that images (N, H, W, 1) or labels (N,) have as an IDX file, the original's form."""
    dims = array.shape[:3]
    header = struct.pack(f">{1 + len(dims)}i", 0x0800 + len(dims), *dims)  # magic: unsigned bytes, number of axes
    return hashlib.sha256(header + array.astype(np.uint8).tobytes()).hexdigest()


def is_jpeg(images: np.ndarray) -> bool:
    """Tell whether images (N, 32, 32, 3) were decoded from JPEG, by the gap its quantisation leaves.

    JPEG rounds each 8x8 block's DCT coefficients to multiples of a step, 15 to 50 at middling quality for the higher
    frequencies, so the decoded values are either near 0 or large, and few lie between 3 and 9. In camera images that
    were only shrunk about half of those above 3 do. Fails to see very low and very high qualities.
    """
    count, height, width, _ = images.shape
    luma = images.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)  # (N, H, W)
    blocks = luma.reshape(count, height // 8, 8, width // 8, 8).swapaxes(2, 3)  # (N, H/8, W/8, 8, 8)
    k = np.arange(8)
    dct = 0.5 * np.cos(np.pi / 16 * np.outer(k, 2 * k + 1))  # rows 1 to 7 orthonormal; row 0 is not used
    high = np.abs(dct[3:] @ blocks @ dct[3:].T)
    between, above = np.mean((high >= 3) & (high < 9)), np.mean(high >= 3)
    return bool(between < 0.15 * above and between < 0.03)
