"""Look inside a network: a model and arrays in, arrays out.

He et al. 2015, Sec. 4.1, argue that plain nets with batch norm do not suffer from vanishing gradients; lesson 01 checks
it with ``gradient_norms``, which lessons 02, 03 and 05 use too. The rest is for trained nets. Lesson 07: how large the
responses are, what taking out or swapping units does, and through how many branches the gradient comes. Lesson 08: the
loss around the weights.
"""

from .gradients import gradient_norms
from .landscape import Surface, filter_direction, loss_surface, raw_direction, slice_width
from .paths import gradient_by_path_length, path_gradients
from .responses import layer_responses
from .units import lesion, removed, shuffle_blocks, unit_names

__all__ = [
    "Surface",
    "filter_direction",
    "gradient_by_path_length",
    "gradient_norms",
    "layer_responses",
    "lesion",
    "loss_surface",
    "path_gradients",
    "raw_direction",
    "removed",
    "shuffle_blocks",
    "slice_width",
    "unit_names",
]
