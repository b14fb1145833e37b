"""Figures of the lessons: arrays in, matplotlib Axes out, and ``show`` to put a figure into a notebook."""

from .counts import number_grid, stacked_bars
from .curves import error_curves, layer_profile, learning_rates, loss_curves
from .diagrams import chain_diagram, unit_diagram
from .figures import COLOURS, DASHES, MARKERS, figure, html_image, line, show
from .networks import network_diagram, network_in_words
from .pictures import images
from .progress import training_progress
from .recorded import recorded_curves
from .surfaces import contours, hills, loss_levels

__all__ = [
    "COLOURS",
    "DASHES",
    "MARKERS",
    "chain_diagram",
    "contours",
    "error_curves",
    "figure",
    "hills",
    "html_image",
    "images",
    "layer_profile",
    "learning_rates",
    "line",
    "loss_curves",
    "loss_levels",
    "network_diagram",
    "network_in_words",
    "number_grid",
    "recorded_curves",
    "show",
    "stacked_bars",
    "training_progress",
    "unit_diagram",
]
