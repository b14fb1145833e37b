"""Exercises: each check takes the learner's own function, calls it, and names the misconception when it is wrong.

A check never looks at the source text or at names, only at what comes back. Before an attempt it says so and raises
nothing. One module a lesson.
"""

from .answers import Verdict
from .cifar import honest_split, learning_rate, multiply_adds, pad_crop_flip, stage_output
from .degradation import diagnose, dirac_kernel, pairs_of, plain_depth, plain_parameters
from .residual import merged_layer, residual_block, residual_of, zero_padded

__all__ = [
    "Verdict",
    "diagnose",
    "dirac_kernel",
    "honest_split",
    "learning_rate",
    "merged_layer",
    "multiply_adds",
    "pad_crop_flip",
    "pairs_of",
    "plain_depth",
    "plain_parameters",
    "residual_block",
    "residual_of",
    "stage_output",
    "zero_padded",
]
