"""Look inside a network: a model and arrays in, arrays out.

He et al. 2015, Sec. 4.1, argue that plain nets with batch norm do not suffer from vanishing gradients; lesson 01 checks
it with ``gradient_norms``.
"""

from .gradients import gradient_norms
from .landscape import Surface, filter_direction, loss_surface, raw_direction, slice_width

__all__ = ["Surface", "filter_direction", "gradient_norms", "loss_surface", "raw_direction", "slice_width"]
