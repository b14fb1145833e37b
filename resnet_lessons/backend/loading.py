"""Load Keras and its backend without their start-up messages, and set what holds for all that they compute.

A backend or a setting of Keras that cannot serve is refused.
"""

import contextlib
import os
import platform
import sys
import tempfile


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
    # Of a GPU's memory leave what other kernels may need: TensorFlow takes all of it at first, JAX three quarters.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    # oneDNN's convolutions on every x86 processor. On Linux TensorFlow takes them only where the processor has VNNI or
    # 16-bit instructions; elsewhere it trains half as fast without them (docs/performance.md). It reads the variable
    # when it is loaded: to set it later would only claim, in a run's provenance, what is not so.
    wanted = os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow" and "tensorflow" not in sys.modules
    if wanted and platform.machine() in ("x86_64", "AMD64"):
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    try:
        import keras
    except (ImportError, ValueError) as error:  # a backend that is not installed, or that Keras does not know
        raise ImportError(_NEEDED.format(f"a Keras that does not load ({error})")) from error

    tf = jax = None  # the one that is not the backend stays so
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


def make_deterministic():
    """Ask, for as long as the process lasts, for bit-identical repeats of seeded runs; on a GPU that is slower.

    On TensorFlow only; JAX repeats exactly on a CPU as it is.
    """
    if BACKEND == "tensorflow":
        tf.config.experimental.enable_op_determinism()
