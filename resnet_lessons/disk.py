"""Make what was written outlive a power failure.

``data`` leans on it for its cache, ``training`` for a run's folder, ``diagnostics`` for the rows of a loss surface.
"""

import errno
import os
from pathlib import Path
from typing import IO


def flush(file: IO) -> None:
    """Make what has been written to an open file durable.

    Args:
        file: a file opened for writing.

    Raises:
        OSError: the disk cannot take it, because it is full, for example.
    """
    file.flush()
    os.fsync(file.fileno())


def flush_folder(path: Path) -> None:
    """Make a folder's own entries durable, a rename among them, where the system and the disk have a way to.

    Args:
        path: the folder.

    Raises:
        OSError: the disk can flush a folder, and that failed.
    """
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network disks cannot
            raise
    finally:
        os.close(handle)
