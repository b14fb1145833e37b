"""Show lesson 10's explorer as a page of its own, in the browser, to whoever uses this machine, and no other.

    python notebooks/app.py                          # opens a browser
    python notebooks/app.py --no-browser --port 8866  # further options are Voila's

Voila runs a small notebook, which is written anew each time, shows what its cells put out and not its code. Every page
that is opened has a kernel of its own; it ends when the page is closed, and so does its training. Runs are kept in
``runs/explorer``, where lesson 10 keeps its own, and can be resumed.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "build" / "app" / "resnet-lessons.ipynb"
ADDRESS = "127.0.0.1"
SETTINGS = {
    "--Voila.ip": ADDRESS,
    "--Voila.tornado_settings": {
        # A page that is closed asks for the end of its kernel, and Voila 0.5 forgets the token that this check wants.
        # So nothing but the address guards the page: whoever has an account on this machine can open it, and choose,
        # train and stop in a kernel of their own, with the runs of this folder. Voila takes no code from them. Its
        # own token would keep them out, but the browser that Voila opens does not bring it along.
        "disable_check_xsrf": True,
        # Voila's page asks a server far away for icons that are not used here: the browser is told not to.
        "headers": {"Content-Security-Policy": "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob: ws:"},
    },
    # If the page could not ask, for the browser was killed: the kernel ends when nobody looks and nothing trains.
    "--MappingKernelManager.cull_idle_timeout": 60,  # seconds
    "--MappingKernelManager.cull_interval": 20,
}
TITLE = """\
# Residual networks: an explorer

Choose a network and a recipe; see what they cost and what is known of them; press Train. Every number is *computed*
here, *recorded* from a run that ships with the package, or *quoted* from a paper's table. Lesson 10 of the course is
about this page.
"""
CODE = """\
from pathlib import Path
from resnet_lessons import data, widgets

widgets.Explorer(data.load("cifar10"), folder=Path({root!r}, "runs", "explorer"))
"""


def notebook(root=ROOT):
    """Return the notebook of the page; its runs are kept below the folder ``root``."""
    cells = [nbformat.v4.new_markdown_cell(TITLE), nbformat.v4.new_code_cell(CODE.format(root=str(root)))]
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def command(path, options=()):
    """Return the command that serves a notebook on this machine alone.

    Args:
        path: of the notebook.
        options: further ones of Voila.

    Raises:
        ValueError: for an option that would open the page to other machines.
    """
    for option in options:
        name, _, value = option.partition("=")
        if name.lower().endswith("ip") and value not in (ADDRESS, "localhost"):
            raise ValueError(f"The page is for this machine only: leave {option} out. Whoever sees it can train here.")
    return [
        sys.executable,
        "-m",
        "voila",
        *(f"{name}={value}" for name, value in SETTINGS.items()),
        *options,
        str(path),
    ]


def main(options):
    """Write the notebook and serve it until Ctrl-C."""
    NOTEBOOK.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook(), NOTEBOOK)
    try:
        program = command(NOTEBOOK, options)
    except ValueError as error:
        sys.exit(str(error))
    if os.name == "nt":  # there execv quotes no argument, and gives the prompt back at once
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which it reaches by itself
        sys.exit(subprocess.Popen(program).wait())
    os.execv(program[0], program)


if __name__ == "__main__":
    main(sys.argv[1:])
