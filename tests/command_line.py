"""The command line as tests call it: in this process, or in one of its own."""

import subprocess
import sys

from resnet_lessons.cli import main

from click.testing import CliRunner

WIDTH = 100
# A shell that begins a job in the background has it, and all that it starts, ignore Ctrl-C.
HEARING = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
START = f"{HEARING}; import sys; from resnet_lessons.cli import main; main()"


def run(*arguments):
    """Call the program in this process; return click's result."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments], prog_name="resnet-lessons")


def process(*arguments, **options):
    """Start the program in a process of its own."""
    command = [sys.executable, "-c", START, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def refused(result, code=1):
    """Return the one line on stderr by which a call was refused."""
    assert (result.exit_code, result.stderr.count("\n")) == (code, 1), result.output
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.output
    return result.stderr
