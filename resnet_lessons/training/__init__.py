"""Training a ``Spec`` by a ``Recipe``: seed, precision, build, fit.

He et al. 2015, Sec. 4.2: stochastic gradient descent with momentum, and weight decay as a term of the gradient.
Keras's own ``weight_decay`` shrinks every weight beside the update, batch norm's too, which is another method. Lesson
01 trains with ``fit``.
"""

import dataclasses
import time

from resnet_lessons import backend, models
from resnet_lessons.recipes import Recipe
from resnet_lessons.specs import Spec

import keras
import numpy as np

PRECISIONS = ("auto", "float32", "mixed_bfloat16")


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """What one training gave.

    Args:
        spec: the network.
        recipe: how it was trained.
        seed: of the initial weights and of dropout; the batches had one of their own.
        precision: "float32" or "mixed_bfloat16".
        model: the trained keras.Model.
        step_error: (steps,) part of each batch that the net got wrong while it was training, between 0 and 1.
        step_loss: (steps,) its loss.
        epochs: a dict for each epoch, with ``epoch``, ``step``, ``train_loss``, ``train_error``, ``val_loss``,
            ``val_error``, ``lr`` and ``seconds``. Training figures are means over the epoch, as it was running, and
            the rate is that of its last update. Without validation there is no ``val_...``.
        seconds: in all, from building to the last validation.
    """

    spec: Spec
    recipe: Recipe
    seed: int
    precision: str
    model: keras.Model = dataclasses.field(repr=False)
    step_error: np.ndarray = dataclasses.field(repr=False)
    step_loss: np.ndarray = dataclasses.field(repr=False)
    epochs: tuple = dataclasses.field(repr=False)
    seconds: float


@keras.saving.register_keras_serializable(package="resnet_lessons")
class SGD(keras.optimizers.SGD):
    """Gradient descent with momentum whose weight decay is a term of the gradient, on kernels only.

    Args:
        decay: the gradient of a kernel w becomes g + decay * w.
        **kwargs: as for keras.optimizers.SGD.
    """

    def __init__(self, *args, decay=0.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.decay = decay

    def build(self, variables):
        """Create the momenta, and note which variables are kernels."""
        super().build(variables)
        self._is_kernel = [variable.name == "kernel" for variable in variables]

    def update_step(self, gradient, variable, learning_rate):
        """Update one weight. On TensorFlow it comes as a tf.Variable, whose name is another one."""
        if self.decay and self._is_kernel[self._get_variable_index(variable)]:
            gradient = gradient + keras.ops.cast(self.decay, gradient.dtype) * keras.ops.cast(variable, gradient.dtype)
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        """Return what ``__init__`` needs, for saving."""
        return super().get_config() | {"decay": self.decay}


@keras.saving.register_keras_serializable(package="resnet_lessons")
class Images(keras.metrics.Sum):
    """Count the images that the running means of loss and accuracy are over; a pass may end in a smaller batch."""

    def __init__(self, name="images", dtype=None):
        super().__init__(name, dtype)

    def update_state(self, y_true, y_pred, sample_weight=None):  # noqa: ARG002 - Keras's signature
        """Add the images of one batch."""
        super().update_state(keras.ops.ones_like(y_true, dtype=self.dtype))


class Schedule(keras.callbacks.Callback):
    """Set the learning rate before each update: the one owner of the rate."""

    def __init__(self, recipe):
        super().__init__()
        self.recipe = recipe
        self.step = 0

    def on_train_batch_begin(self, batch, logs=None):  # noqa: ARG002 - Keras's signature
        """Set the rate of the update to come."""
        rate = self.recipe.lr_at(self.step)
        if self.step == 0 or rate != self.recipe.lr_at(self.step - 1):
            self.model.optimizer.learning_rate = rate

    def on_train_batch_end(self, batch, logs=None):  # noqa: ARG002
        """Count the update, and stop after the recipe's last."""
        self.step += 1
        if self.step == self.recipe.steps:
            self.model.stop_training = True


class StepLog(keras.callbacks.Callback):
    """Keep each update's own loss and error, and a line for each epoch."""

    def __init__(self):
        super().__init__()
        self.loss, self.error, self.epochs = [], [], []

    def on_epoch_begin(self, epoch, logs=None):  # noqa: ARG002
        """Note when the epoch began."""
        self._began = time.perf_counter()
        self._before = {"loss": 0.0, "accuracy": 0.0, "images": 0.0}

    def on_train_batch_end(self, batch, logs):  # noqa: ARG002
        """Take this batch's own figures from Keras's means over the images of the epoch so far."""
        sums = {key: logs[key] * logs["images"] for key in ("loss", "accuracy")} | {"images": logs["images"]}
        own = {key: sums[key] - self._before[key] for key in sums}
        self.loss.append(own["loss"] / own["images"])
        self.error.append(max(0.0, 1 - own["accuracy"] / own["images"]))  # Keras's means are float32
        self._before = sums

    def on_epoch_end(self, epoch, logs):
        """Write the epoch's line."""
        line = {"epoch": epoch + 1, "step": len(self.loss)}
        line |= {"train_loss": logs["loss"], "train_error": 1 - logs["accuracy"]}
        if "val_loss" in logs:
            line |= {"val_loss": logs["val_loss"], "val_error": 1 - logs["val_accuracy"]}
        rate = float(self.model.optimizer.learning_rate)
        self.epochs.append(line | {"lr": rate, "seconds": time.perf_counter() - self._began})


def choose_precision(precision="auto"):
    """Return the Keras dtype policy to train under.

    Args:
        precision: "float32", "mixed_bfloat16", or "auto" for the faster of the two on this machine: bfloat16 where
            the GPU, or without one the processor, has instructions for it. Weights stay float32 either way.

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


def fit(spec, recipe, batches, validation=None, *, seed=0, precision="auto", callbacks=()):
    """Build ``spec`` from ``seed`` and train it on ``batches``.

    Args:
        spec: the network.
        recipe: how to train it.
        batches: a ``batches.Batches`` or ``batches.FreshShapes``; they start at epoch 0, whatever they served before.
        validation: further batches, looked at after every epoch; None: none are.
        seed: of the initial weights and of dropout. ``batches`` has a seed of its own.
        precision: as for ``choose_precision``.
        callbacks: further Keras callbacks, none of which may set the learning rate.

    Returns:
        A ``Run``.

    Raises:
        ValueError: for a callback that sets the learning rate too.
    """
    _refuse_second_schedule(callbacks)
    began = time.perf_counter()
    precision = choose_precision(precision)
    model = compile_model(spec, recipe, seed, precision)
    log = StepLog()
    batches.start_at(0)
    model.fit(
        batches,
        epochs=-(-recipe.steps // len(batches)),
        validation_data=validation,
        shuffle=False,  # the batches come in their own order already
        callbacks=[Schedule(recipe), log, *callbacks],
        verbose=0,
    )
    return Run(
        spec=spec,
        recipe=recipe,
        seed=seed,
        precision=precision,
        model=model,
        step_error=np.array(log.error, "float32"),
        step_loss=np.array(log.loss, "float32"),
        epochs=tuple(log.epochs),
        seconds=time.perf_counter() - began,
    )


def compile_model(spec, recipe, seed, precision):
    """Build ``spec`` with the initial weights of ``seed`` and give it the recipe's optimizer and the fitting loss.

    Args:
        spec: the network.
        recipe: its momentum and weight decay are used.
        seed: of the initial weights.
        precision: "float32" or "mixed_bfloat16".

    Returns:
        A compiled keras.Model whose metrics are loss, accuracy, and the number of images they are means over.
    """
    keras.utils.set_random_seed(seed)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)  # this thread's alone
    try:
        model = models.build(spec)
    finally:
        keras.config.set_dtype_policy(before)
    model.compile(
        optimizer=SGD(recipe.lr_at(0), momentum=recipe.momentum, decay=recipe.weight_decay),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=spec.style == "paper"),
        metrics=["accuracy", Images()],
        jit_compile="auto",  # XLA on a GPU, not on a CPU, where it halves the speed
    )
    _create_state(model, spec.num_classes)
    return model


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
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch_size, *spec.input_shape)).astype("float32")
    y = rng.integers(spec.num_classes, size=batch_size, dtype="int32")
    times = [time.perf_counter()]
    model = compile_model(spec, Recipe("timing", steps=updates + 1), 0, choose_precision(precision))
    for _ in range(updates + 1):
        model.train_on_batch(x, y)
        times.append(time.perf_counter())
    return times[1] - times[0], float(np.median(np.diff(times[1:])))


def _refuse_second_schedule(callbacks):
    for callback in callbacks:
        if isinstance(callback, (keras.callbacks.LearningRateScheduler, keras.callbacks.ReduceLROnPlateau)):
            raise ValueError(
                f"The recipe sets the learning rate before every update, so a {type(callback).__name__} would either "
                "be overruled or overrule it. Leave it out, or change the recipe."
            )
