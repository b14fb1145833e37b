"""Widgets of the lessons: thin over pure functions, and never the only way to a result.

Each has a twin in plain functions whose output a lesson shows as well, for readers on paper or on a page without a
kernel. One module a widget.
"""

from .bottleneck import bottleneck_calculator, bottleneck_table
from .explorer import Explorer
from .kept_runs import run_folder
from .live_trainer import LiveTrainer
from .model_picker import ModelPicker, model_table, time_table
from .plain_nets import plain_net_picker, plain_net_table
from .recorded_runs import recorded_image, recorded_table
from .run_words import epoch_table
from .schedule_viewer import ScheduleViewer, recipe_words, schedule_table

__all__ = [
    "Explorer",
    "LiveTrainer",
    "ModelPicker",
    "ScheduleViewer",
    "bottleneck_calculator",
    "bottleneck_table",
    "epoch_table",
    "model_table",
    "plain_net_picker",
    "plain_net_table",
    "recipe_words",
    "recorded_image",
    "recorded_table",
    "run_folder",
    "schedule_table",
    "time_table",
]
