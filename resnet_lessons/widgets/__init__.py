"""Widgets of the lessons: thin over pure functions, and never the only way to a result.

Each has a twin in plain functions whose output a lesson shows as well, for readers on paper or on a page without a
kernel. One module a widget.
"""

from .bottleneck import bottleneck_calculator, bottleneck_table
from .model_picker import ModelPicker, model_table, time_table
from .plain_nets import plain_net_picker, plain_net_table

__all__ = [
    "ModelPicker",
    "bottleneck_calculator",
    "bottleneck_table",
    "model_table",
    "plain_net_picker",
    "plain_net_table",
    "time_table",
]
