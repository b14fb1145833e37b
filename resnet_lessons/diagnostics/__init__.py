"""Look inside a network: a model and arrays in, arrays out.

He et al. 2015, Sec. 4.1, argue that plain nets with batch norm do not suffer from vanishing gradients; lesson 01 checks
it with ``gradient_norms``.
"""

from .gradients import gradient_norms

__all__ = ["gradient_norms"]
