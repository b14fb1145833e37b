"""From a ``Spec`` and a ``Recipe`` to a compiled keras.Model: seed, precision, strategy, then the build.

In this order, so that a seed means the initial weights too. Also times how long the updates of a net take here.
"""

import contextlib
import gc
import threading
import time

from resnet_lessons import backend, models
from resnet_lessons.recipes import PRECISIONS, Recipe

import keras
import numpy as np

from .optimizers import optimizer_for

_BUILDING = threading.Lock()  # the generators that a seed sets are the process's, and a build draws from them


@keras.saving.register_keras_serializable(package="resnet_lessons")
class Images(keras.metrics.Sum):
    """Count the images that the running means of loss and accuracy are over; a pass may end in a smaller batch."""

    def __init__(self, name="images", dtype=None):
        super().__init__(name, dtype)

    def update_state(self, y_true, y_pred, sample_weight=None):  # noqa: ARG002 - Keras's signature
        """Add the images of one batch."""
        super().update_state(keras.ops.ones_like(y_true, dtype=self.dtype))


def choose_precision(precision="auto"):
    """Return the Keras dtype policy to train under.

    Args:
        precision: "float32", "mixed_bfloat16", or "auto" for the faster of the two on this machine: bfloat16 where
            the GPU, or without one the x86 processor, has instructions for it. Weights stay float32 either way.

    Returns:
        "float32" or "mixed_bfloat16".

    Raises:
        ValueError: for anything else.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(map(repr, PRECISIONS))}. Received: {precision!r}.")
    if precision != "auto":
        return precision
    has_bfloat16 = backend.accelerators_have_bfloat16()
    if has_bfloat16 is None:
        has_bfloat16 = {"avx512_bf16", "amx_bf16"} & backend.processor_flags()
    return "mixed_bfloat16" if has_bfloat16 else "float32"


def compile_model(spec, recipe, seed, precision, strategy=None):
    """Build ``spec`` with the initial weights of ``seed`` and give it the recipe's optimizer and the fitting loss.

    Args:
        spec: the network.
        recipe: its optimizer, momentum and weight decay are used.
        seed: of the initial weights.
        precision: "float32" or "mixed_bfloat16".
        strategy: None, or "mirrored" for all devices at once (``backend.scope``).

    Returns:
        A compiled keras.Model whose metrics are loss, accuracy, and the number of images they are means over.
    """
    with _BUILDING, backend.scope(strategy), _policy(precision):
        keras.utils.set_random_seed(seed)
        model = models.build(spec)
        model.compile(
            optimizer=optimizer_for(recipe),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=spec.style == "paper"),
            metrics=["accuracy", Images()],
            jit_compile="auto",  # XLA on a GPU, not on a CPU, where it halves the speed
        )
        _create_state(model, spec.num_classes)
    return model


def refuse_uneven(strategy, batches, validation):
    """Raise ValueError if ``strategy`` cannot share every batch evenly: Keras weighs images unequally then, or fails.

    Args:
        strategy: as for ``compile_model``.
        batches: a ``batches.Batches`` to train on.
        validation: another one, or None.
    """
    shares = backend.shares(strategy)
    numbers = {"batch_size": batches.batch_size, "training images": len(batches.indices)}
    if validation:
        held_back = len(validation.indices)
        numbers["validation images"] = held_back
        numbers["images validated at a time"] = min(validation.batch_size, held_back)
    uneven = ", ".join(f"{what} {number}" for what, number in numbers.items() if number % shares)
    if uneven:
        raise ValueError(
            f"strategy={strategy!r} gives each of {shares} devices an equal share of every batch. Received: {uneven}. "
            f"Choose numbers that {shares} divides, or another number of devices."
        )


@contextlib.contextmanager
def _policy(precision):
    """Set Keras's dtype policy, this thread's alone, while the block runs."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _create_state(model, num_classes):
    """Create optimizer, loss and metric variables now: made inside the traced step, they would have it traced twice."""
    model.optimizer.build(model.trainable_variables)
    labels, outputs = np.zeros(1, "int32"), np.full((1, num_classes), 1 / num_classes, "float32")
    model.compute_loss(y=labels, y_pred=outputs)
    model.compute_metrics(None, labels, outputs)
    model.reset_metrics()


def time_updates(spec, batch_size, *, precision="auto", updates=5):
    """Measure how long ``spec`` takes on this machine, on random images.

    Args:
        spec: the network.
        batch_size: images an update.
        precision: as for ``choose_precision``.
        updates: how many to time, after a first.

    Returns:
        Seconds to build the net and make its first update, and the median seconds of an update after it.
    """
    began = time.perf_counter()
    update = _first_update(spec, batch_size, precision)
    start, seconds = time.perf_counter() - began, _median_seconds(update, updates)
    del update  # nets that are timed one after the other would else pile up
    free()
    return start, seconds


def time_in_turns(specs, batch_size, *, precision="auto", turns=5, updates=5):
    """Measure how long updates of some networks take, in turns: what else the machine does hits all of them.

    Args:
        specs: the networks. All are built first, and stay in memory until the last turn.
        batch_size: images an update.
        precision: as for ``choose_precision``.
        turns: how often each is timed.
        updates: how many updates are timed in a turn.

    Returns:
        A list for each network, in their order: the median seconds of an update in each turn.
    """
    nets = [_first_update(spec, batch_size, precision) for spec in specs]
    rounds = [[_median_seconds(update, updates) for update in nets] for _ in range(turns)]
    nets.clear()
    free()
    return [list(times) for times in zip(*rounds, strict=True)]


def _first_update(spec, batch_size, precision):
    """Build a net and make an update on random images; return a function that makes another."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch_size, *spec.input_shape)).astype("float32")
    y = rng.integers(spec.num_classes, size=batch_size, dtype="int32")
    model = compile_model(spec, Recipe("timing", steps=1), 0, choose_precision(precision))
    model.train_on_batch(x, y)
    return lambda: model.train_on_batch(x, y)


def _median_seconds(update, updates):
    times = [time.perf_counter()]
    for _ in range(updates):
        update()
        times.append(time.perf_counter())
    return float(np.median(np.diff(times)))


def free():
    """Free what nobody refers to any more, nets and graphs in circles of references too, and give it back."""
    gc.collect()
    backend.give_back()
