"""Interrupts of the kernel: each stops every training, whether a cell runs or none does; for ``LiveTrainer``.

The kernel hands an interrupt to the cell that runs, and ignores it if none does.
"""

import asyncio
import signal
import weakref

from IPython import get_ipython

running = weakref.WeakSet()  # trainers that train, or show what another one trains


def under_way():
    """List the trainers whose training has not ended."""
    found = [(trainer, trainer._training) for trainer in list(running)]
    return [trainer for trainer, training in found if training is not None and not training.done]


def _interrupted(*_):
    """Stop every training; as a signal handler it may stand amid a drawing, so it draws nothing itself."""
    for trainer in list(running):
        if trainer.ask_to_stop():
            trainer.ask_to_redraw()


def _after_cell(result):
    """Stop every training if the cell that has just ended was interrupted."""
    if isinstance(getattr(result, "error_in_exec", None), KeyboardInterrupt | asyncio.CancelledError):
        _interrupted()


def listen():
    """Have the kernel tell of interrupts, in a cell and between cells; elsewhere ``wait`` hears of them itself."""
    shell = get_ipython()
    if shell is None:
        return
    if _after_cell not in shell.events.callbacks["post_run_cell"]:
        shell.events.register("post_run_cell", _after_cell)
    kernel = getattr(shell, "kernel", None)
    # The kernel puts this handler back once the message that it is working on is done.
    if getattr(kernel, "saved_sigint_handler", None) is signal.SIG_IGN:
        kernel.saved_sigint_handler = _interrupted
