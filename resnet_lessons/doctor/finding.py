"""What a check returns, and how the commands that mend things are spelled on this system."""

import os
import re
import shlex
import sys
from dataclasses import dataclass

PROJECT = "resnet-lessons"


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        topic: what was looked at.
        value: what was found; a second line says where.
        status: "ok", "note" (lessons run, something could be better) or "problem".
        remedy: the command that mends it, or empty.
    """

    topic: str
    value: str
    status: str = "ok"
    remedy: str = ""

    @property
    def summary(self):
        """The value without the folder it was found in, for pages that others read."""
        return self.value.partition("\n")[0]


def pip_install(*arguments):
    """Return the command that makes pip install something into this very Python."""
    return python_module("pip", "install", *arguments)


def python_module(*arguments):
    """Return the command that runs a module of this very Python."""
    return join([sys.executable, "-m", *arguments])


def join(words):
    """Join words to a command line, quoted for the usual shell of this system."""
    if os.name != "nt":
        return shlex.join(words)
    return " ".join(word if re.fullmatch(r"[\w.:\\/=+-]+", word) else f'"{word}"' for word in words)


def set_variable(name, value):
    """Return the command that sets an environment variable: in PowerShell on Windows, elsewhere in a POSIX shell."""
    return f'$Env:{name} = "{value}"' if os.name == "nt" else f"export {name}={shlex.quote(value)}"


def unset_variable(name):
    """Return the command that unsets an environment variable, spelled as in ``set_variable``."""
    return f"Remove-Item Env:{name}" if os.name == "nt" else f"unset {name}"
