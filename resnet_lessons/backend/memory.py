"""Give memory that has been freed back to the system, which glibc would keep for the process."""

import contextlib
import ctypes
import sys


def give_back():
    """Return what is free to the system; after a training that is hundreds of MB. Off Linux and glibc do nothing."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def give_back_after_cells():
    """Have every cell of the notebook that this kernel runs, if it runs one, end with ``give_back``."""
    ipython = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    if shell:
        shell.events.register("post_run_cell", _after_cell)


def _after_cell(result):  # noqa: ARG001 - what IPython hands over
    give_back()
