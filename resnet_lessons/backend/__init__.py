"""What differs between TensorFlow and JAX, and nothing else: the only package that imports either.

It loads Keras's backend without its start-up messages, has a notebook's cells give back what memory they have freed,
and offers a batch normalization that uses TensorFlow's fused kernel, a pipeline for batches, gradients, determinism and
a look at the devices.
Lessons 05 to 10 use it; ``blocks`` builds every batch normalization from here.
"""

from .batch_norm import BatchNormalization
from .functions import compiled, gradients, pull_back
from .hardware import accelerators_have_bfloat16, devices, processor_flags, threads, versions
from .loading import BACKEND, make_deterministic
from .memory import give_back, give_back_after_cells
from .pipelines import pipeline
from .strategies import STRATEGIES, check_strategy, divide_processor, processor_parts, scope, shares

__all__ = [
    "BACKEND",
    "STRATEGIES",
    "BatchNormalization",
    "accelerators_have_bfloat16",
    "check_strategy",
    "compiled",
    "devices",
    "divide_processor",
    "give_back",
    "gradients",
    "make_deterministic",
    "pipeline",
    "processor_flags",
    "processor_parts",
    "pull_back",
    "scope",
    "shares",
    "threads",
    "versions",
]

give_back_after_cells()
