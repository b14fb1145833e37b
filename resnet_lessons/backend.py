"""What differs between TensorFlow and JAX, and nothing else: the only module that imports either.

It loads Keras's backend without its start-up messages, and offers a batch normalization that uses TensorFlow's fused
kernel, gradients, determinism and a look at the devices. Lessons 01, 05 and 07 to 09 use it; ``blocks`` builds every
batch normalization from here.
"""

import contextlib
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path


@contextlib.contextmanager
def quiet_stderr():
    """Hold back what native libraries write to the standard error while the block runs; show it if the block fails.

    TensorFlow's C++ start-up lines go to file descriptor 2, below Python, where no logging setting reaches them
    all. Switching oneDNN off would silence one of them and cost speed.
    """
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        except Exception:  # not Ctrl-C, which is no failure to explain
            held_back.seek(0)
            os.write(saved, held_back.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)


_NEEDED = (
    "The lessons run on Keras's TensorFlow or JAX backend. Received: {}. "
    "Set the environment variable KERAS_BACKEND to 'tensorflow' or 'jax' before Python starts, and have it installed."
)
_START_UP = quiet_stderr() if "keras" not in sys.modules else contextlib.nullcontext()
with _START_UP:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # later C++ chatter: errors only
    try:
        import keras
    except (ImportError, ValueError) as error:  # a backend that is not installed, or that Keras does not know
        raise ImportError(_NEEDED.format(f"a Keras that does not load ({error})")) from error

    BACKEND = keras.backend.backend()
    if BACKEND == "tensorflow":
        import tensorflow as tf

        tf.config.list_physical_devices()  # loads the device libraries now, while their messages are held back
        # float32 means float32: TF32, the default on newer GPUs, keeps 10 bits of the mantissa, too few for the
        # lessons' comparisons. Training there runs in bfloat16 anyway.
        tf.config.experimental.enable_tensor_float_32_execution(False)
    elif BACKEND == "jax":
        import jax

        jax.config.update("jax_default_matmul_precision", "highest")  # as above
    else:
        raise ImportError(_NEEDED.format(repr(BACKEND)))
    if keras.config.image_data_format() != "channels_last":
        raise ImportError(
            "The lessons' tensors are (B, H, W, C). Received: image_data_format 'channels_first' in Keras's settings. "
            "Set it to 'channels_last' in keras.json, or remove that line."
        )


def _fused(inputs, gamma, beta, mean, variance, epsilon, training):
    """Call the fused kernel: (B, H, W, C) in and out; the statistics are float32 of shape (C,)."""
    return tf.raw_ops.FusedBatchNormV3(
        x=inputs, scale=gamma, offset=beta, mean=mean, variance=variance, epsilon=epsilon, is_training=training
    )


@keras.saving.register_keras_serializable(package="resnet_lessons")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's batch normalization on TensorFlow's fused kernel, which Keras's own layer does not use.

    Same weights, same results to float tolerance, trains ResNet-20 about 1.5 times as fast on a CPU. Inputs that the
    kernel does not take (not four-dimensional, masked, another axis, float64) and other backends go to Keras's own
    layer.
    """

    def build(self, input_shape):
        """Create the weights. Copies of a model on several devices share one batch, and its statistics."""
        super().build(input_shape)
        if BACKEND == "tensorflow" and tf.distribute.get_strategy().num_replicas_in_sync > 1:
            self.synchronized = True

    def call(self, inputs, training=None, mask=None):
        """Normalize ``inputs`` (B, H, W, C) per channel; in training by the batch, updating the moving statistics."""
        if mask is not None or not self._kernel_takes(inputs):
            return super().call(inputs, training=training, mask=mask)
        gamma, beta = tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta)
        if training and self.trainable:
            empty = tf.zeros([0])  # the kernel computes the statistics itself
            outputs, mean, variance, *_ = _fused(inputs, gamma, beta, empty, empty, self.epsilon, True)
            self._update_moving_statistics(mean, variance, tf.size(inputs) // tf.shape(inputs)[-1])
            return outputs
        mean, variance = tf.convert_to_tensor(self.moving_mean), tf.convert_to_tensor(self.moving_variance)
        return _fused(inputs, gamma, beta, mean, variance, self.epsilon, False)[0]

    def _kernel_takes(self, inputs):
        plain = self.scale and self.center and not self.renorm and not self.synchronized
        images = len(inputs.shape) == 4 and self.axis in (-1, 3)
        dtypes = self.variable_dtype == "float32" and self.compute_dtype in ("float32", "bfloat16", "float16")
        return BACKEND == "tensorflow" and plain and images and dtypes

    def _update_moving_statistics(self, mean, variance, samples):
        # The kernel returns the unbiased variance, m/(m-1) times the batch's own that Keras averages.
        m = tf.cast(samples, "float32")
        variance = variance * (m - 1) / m
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + batch * (1 - self.momentum))


def gradients(model, x, y, loss):
    """Return the loss of one batch in training mode, and its gradient for each trainable weight.

    The model is left as it was, moving statistics included. Weight decay and other penalties are not part of the loss.

    Args:
        model: a built keras.Model.
        x: inputs, (B, ...).
        y: labels, as ``loss`` takes them.
        loss: a function (y, outputs) -> scalar or per-example losses; their mean is differentiated.

    Returns:
        The loss, a float, and a list of arrays in the order of ``model.trainable_variables``.
    """
    value, gradient = (_tensorflow_gradients if BACKEND == "tensorflow" else _jax_gradients)(model, x, y, loss)
    return float(value), [keras.ops.convert_to_numpy(g) for g in gradient]


@contextlib.contextmanager
def _put_back(model):
    """Give a model back the moving statistics, and the state of dropout, that it had before."""
    before = [v.numpy() for v in model.non_trainable_variables]
    try:
        yield
    finally:
        for variable, saved in zip(model.non_trainable_variables, before, strict=True):
            variable.assign(saved)


def _tensorflow_gradients(model, x, y, loss):
    with _put_back(model), tf.GradientTape() as tape:
        value = tf.reduce_mean(loss(y, model(x, training=True)))
    weights = [v.value for v in model.trainable_variables]
    return value, tape.gradient(value, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def _jax_gradients(model, x, y, loss):
    state = [v.value for v in model.non_trainable_variables]

    def value(trainable):
        outputs, _ = model.stateless_call(trainable, state, x, training=True)
        return keras.ops.mean(loss(y, outputs))

    return jax.value_and_grad(value)([v.value for v in model.trainable_variables])


def pull_back(model, x, upstream, *, training=True):
    """Return ``upstream`` times the Jacobian of the model's output by its input, as an array.

    If ``upstream`` is the gradient of a loss by the output, this is its gradient by the input. The model is left as it
    was, moving statistics included.

    Args:
        model: a built keras.Model of one input and one output.
        x: its input, (B, ...).
        upstream: an array in the shape of its output.
        training: the mode; in training mode a batch norm's statistics depend on the input too.

    Returns:
        An array in the shape of ``x``.

    Raises:
        ValueError: for an ``upstream`` of another shape than the output.
    """
    x, upstream = keras.ops.convert_to_tensor(x), keras.ops.convert_to_tensor(upstream)
    pulled = (_tensorflow_pull_back if BACKEND == "tensorflow" else _jax_pull_back)(model, x, upstream, training)
    return keras.ops.convert_to_numpy(pulled)


def _tensorflow_pull_back(model, x, upstream, training):
    with _put_back(model), tf.GradientTape() as tape:
        tape.watch(x)
        output = model(x, training=training)
    _check_upstream(upstream, output)
    return tape.gradient(output, x, output_gradients=upstream)


def _jax_pull_back(model, x, upstream, training):
    weights, state = ([v.value for v in some] for some in (model.trainable_variables, model.non_trainable_variables))
    output, pull = jax.vjp(lambda inputs: model.stateless_call(weights, state, inputs, training=training)[0], x)
    _check_upstream(upstream, output)
    return pull(upstream)[0]


def _check_upstream(upstream, output):
    received, allowed = tuple(upstream.shape), tuple(output.shape)
    if received != allowed:
        raise ValueError(f"upstream must have the shape of the model's output, {allowed}. Received: {received}.")


def compiled(function, *examples):
    """Return ``function`` of tensors, compiled for arguments like ``examples``.

    It must be pure: a model inside it is called by ``stateless_call``, which takes the weights as arguments. XLA is for
    JAX alone: on a processor it makes TensorFlow's convolutions slower.

    Args:
        function: of tensors, or lists of them; it returns tensors.
        examples: arguments of the shapes and dtypes that it will be given.
    """
    if BACKEND == "jax":
        return jax.jit(function)
    # Traced here, once: tf.function counts its tracings by line of code, and warns at the fifth slice of a lesson.
    specs = tf.nest.map_structure(lambda tensor: tf.TensorSpec(tensor.shape, tensor.dtype), examples)
    return tf.function(function, autograph=False).get_concrete_function(*specs)


def make_deterministic():
    """Ask for bit-identical repeats of seeded runs; costs some speed and lasts as long as the process.

    On TensorFlow only; JAX repeats exactly on a CPU as it is.
    """
    if BACKEND == "tensorflow":
        tf.config.experimental.enable_op_determinism()


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
        ValueError: on JAX, with a GPU, or after TensorFlow has begun to compute.
    """
    if BACKEND != "tensorflow" or tf.config.list_physical_devices("GPU"):
        raise ValueError("Only TensorFlow's processor can be divided, and only where there is no GPU.")
    processor = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * count)
    except RuntimeError as error:
        raise ValueError(
            "The processor can be divided only before the first computation. Restart Python or the kernel, and divide "
            "it first."
        ) from error


def devices():
    """Return the devices computations can run on, as a tuple of (kind, name): kind is "CPU", "GPU" or "TPU"."""
    if BACKEND == "jax":
        return tuple((d.platform.upper(), d.device_kind) for d in jax.devices())
    found = tf.config.list_physical_devices()
    return tuple((d.device_type, _tensorflow_device_name(d)) for d in found)


def _tensorflow_device_name(device):
    details = tf.config.experimental.get_device_details(device)
    return details.get("device_name", device.name.removeprefix("/physical_device:"))


def accelerators_have_bfloat16():
    """Return whether every GPU computes in bfloat16 (NVIDIA: compute capability 8.0, Ampere); None without a GPU."""
    if BACKEND == "jax":
        found = [d for d in jax.devices() if d.platform != "cpu"]
        capabilities = [float(getattr(d, "compute_capability", 8.0)) for d in found]  # a TPU has none, and has bfloat16
    else:
        found = tf.config.list_physical_devices("GPU")
        details = (tf.config.experimental.get_device_details(d) for d in found)
        capabilities = [float("{}.{}".format(*d.get("compute_capability", (0, 0)))) for d in details]
    return min(capabilities) >= 8.0 if found else None


def versions():
    """Return the versions that decide what a computation gives: a dict of package name to version."""
    module = tf if BACKEND == "tensorflow" else jax
    return {"keras": keras.__version__, BACKEND: module.__version__}


def processor_flags():
    """Return the instruction sets of the processor in Linux's spelling, such as "avx512_bf16", as a frozenset.

    Empty where the system does not tell, which includes Windows.
    """
    if platform.system() == "Linux":
        return _flags_of_cpuinfo(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace"))
    if platform.system() == "Darwin":
        told = subprocess.run(["sysctl", "hw.optional", "machdep.cpu"], capture_output=True, text=True, check=False)
        return _flags_of_sysctl(told.stdout)
    return frozenset()


def _flags_of_cpuinfo(text):
    """Read "flags : fpu vme ..." (x86) or "Features : fp asimd ..." (ARM), the same for every core."""
    lines = (line.partition(":") for line in text.splitlines())
    return frozenset(next((flags.split() for key, _, flags in lines if key.strip() in ("flags", "Features")), ()))


def _flags_of_sysctl(text):
    """Read "hw.optional.arm.FEAT_BF16: 1" and, on Intel, "machdep.cpu.leaf7_features: AVX2 AVX512F ..."."""
    found = set()
    for key, _, value in (line.partition(":") for line in text.splitlines()):
        if key.startswith("machdep.cpu.") and key.endswith("features"):
            found.update(value.lower().split())
        elif key.startswith("hw.optional.") and value.strip() == "1":
            found.add(key.rpartition(".")[2].lower().removeprefix("feat_"))
    return frozenset(found)
