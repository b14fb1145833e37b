"""Look inside a network: a model and arrays in, arrays out.

He et al. 2015, Sec. 4.1, argue that plain nets with batch norm do not suffer from vanishing gradients; lesson 01 checks
it with ``gradient_norms``. The rest is for trained nets, lesson 07: how large the responses are, what taking out or
swapping units does, and through how many branches the gradient comes.
"""

from .gradients import gradient_norms
from .paths import gradient_by_path_length, path_gradients
from .responses import layer_responses
from .units import lesion, removed, shuffle_blocks, unit_names

__all__ = [
    "gradient_by_path_length",
    "gradient_norms",
    "layer_responses",
    "lesion",
    "path_gradients",
    "removed",
    "shuffle_blocks",
    "unit_names",
]
