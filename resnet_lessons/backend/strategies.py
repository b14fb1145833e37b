"""Training on several devices, and a processor that is divided to try it."""

import contextlib
import numbers

from resnet_lessons.backend.loading import BACKEND, tf

STRATEGIES = (None, "mirrored")


def check_strategy(strategy):
    """Raise ValueError for a strategy that there is not."""
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy must be one of {', '.join(map(repr, STRATEGIES))}. Received: {strategy!r}.")


def scope(strategy):
    """Return the context in which a model is built and compiled to be trained on several devices.

    Args:
        strategy: None for Keras's own choice of one device; "mirrored" for a copy of the model on each GPU, or on each
            part of a processor that ``divide_processor`` has divided. Every copy takes its share of a batch, and batch
            normalization is over the whole batch, so that the devices decide where something is computed, not what.

    Raises:
        ValueError: for another strategy, and for "mirrored" with fewer than two devices or on JAX.
    """
    check_strategy(strategy)
    if strategy is None:
        return contextlib.nullcontext()
    return tf.distribute.MirroredStrategy(_mirrored()).scope()


def shares(strategy):
    """Return in how many shares a batch is divided; the arguments and errors are those of ``scope``."""
    check_strategy(strategy)
    return 1 if strategy is None else len(_mirrored())


def processor_parts():
    """Return in how many parts the processor is divided, 1 if it is whole; None on JAX, and where there is a GPU."""
    if BACKEND != "tensorflow" or tf.config.list_logical_devices("GPU"):
        return None
    return len(tf.config.list_logical_devices("CPU"))


def _mirrored():
    """Return the names of the devices that "mirrored" is over."""
    if BACKEND != "tensorflow":
        raise ValueError(f"strategy='mirrored' needs the TensorFlow backend. Received: KERAS_BACKEND={BACKEND!r}.")
    found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(found) < 2:
        raise ValueError(
            f"strategy='mirrored' needs two devices or more. Received: {found[0].name}. Leave the strategy out, or, to "
            "try it without several GPUs, divide the processor first: backend.divide_processor(2), or --devices 2."
        )
    return [device.name for device in found]


def divide_processor(count):
    """Make the processor look like several devices, to try what several GPUs do; nothing gets faster by it.

    Args:
        count: devices, 2 or more.

    Raises:
        ValueError: for another count, on JAX, with a GPU, or after TensorFlow has begun to compute.
    """
    if isinstance(count, bool) or not isinstance(count, numbers.Integral) or count < 2:
        raise ValueError(f"count must be a whole number of at least 2. Received: {count!r}.")
    gpus = tf.config.list_physical_devices("GPU") if BACKEND == "tensorflow" else []
    if BACKEND != "tensorflow" or gpus:
        found = f"a machine with {gpus[0].name}" if gpus else f"the backend {BACKEND}"
        raise ValueError(
            f"Only TensorFlow's processor can be divided, and only where there is no GPU. Received: {found}. "
            "Set KERAS_BACKEND=tensorflow and CUDA_VISIBLE_DEVICES=-1 before Python starts."
        )
    processor = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * count)
    except RuntimeError as error:
        raise ValueError(
            "The processor can be divided only before the first computation. Restart Python or the kernel, and divide "
            "it first."
        ) from error
