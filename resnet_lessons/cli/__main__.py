"""``python -m resnet_lessons.cli``: the command line where ``resnet-lessons`` is not on the path."""

from . import main

main(prog_name="resnet-lessons")
