"""Exercises: each check takes the learner's own function, calls it, and names the misconception when it is wrong.

A check never looks at the source text or at names, only at what comes back. Before an attempt it says so and raises
nothing. One module a lesson, and three for lesson 06: its MNIST net, and the zoo's networks and training.
"""

from .answers import Verdict
from .bottlenecks import bottleneck_saving, fold_bias, lean_stages, moved_stride
from .cifar import honest_split, learning_rate, multiply_adds, pad_crop_flip, stage_output
from .degradation import diagnose, dirac_kernel, pairs_of, plain_depth, plain_parameters
from .explorer import claim_holds, largest_n, unbeaten, updates_kept
from .full_length import save_checkpoint, seeds_needed, training_hours
from .identity import bottleneck_parameters, gate_bias, passed_share, preactivated
from .inside import gradients_by_length, path_counts, paths_left, pooled_deviation
from .landscapes import filter_normalized, most_moved, slice_width
from .mnist import accuracy, lowest_loss, tutorial_parameters
from .residual import merged_layer, residual_block, residual_of, zero_padded
from .zoo_nets import zoo_norms, zoo_projection, zoo_softmax, zoo_strides
from .zoo_training import zoo_crops, zoo_order, zoo_rates, zoo_report, zoo_validation

__all__ = [
    "Verdict",
    "accuracy",
    "bottleneck_parameters",
    "bottleneck_saving",
    "claim_holds",
    "diagnose",
    "dirac_kernel",
    "filter_normalized",
    "fold_bias",
    "gate_bias",
    "gradients_by_length",
    "honest_split",
    "largest_n",
    "lean_stages",
    "learning_rate",
    "lowest_loss",
    "merged_layer",
    "most_moved",
    "moved_stride",
    "multiply_adds",
    "pad_crop_flip",
    "pairs_of",
    "passed_share",
    "path_counts",
    "paths_left",
    "plain_depth",
    "plain_parameters",
    "pooled_deviation",
    "preactivated",
    "residual_block",
    "residual_of",
    "save_checkpoint",
    "seeds_needed",
    "slice_width",
    "stage_output",
    "training_hours",
    "tutorial_parameters",
    "unbeaten",
    "updates_kept",
    "zero_padded",
    "zoo_crops",
    "zoo_norms",
    "zoo_order",
    "zoo_projection",
    "zoo_rates",
    "zoo_report",
    "zoo_softmax",
    "zoo_strides",
    "zoo_validation",
]
