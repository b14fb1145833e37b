"""Make what was written outlive a power failure.

``data`` leans on it for its cache, ``training`` for a run's folder.
"""

import errno
import os
from pathlib import Path


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
