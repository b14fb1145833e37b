"""Gradients against finite differences, determinism, devices, and a silent start."""

import os
import platform
import subprocess
import sys

from resnet_lessons import backend

import keras
import numpy as np
import pytest
from keras import layers

on_tensorflow = pytest.mark.skipif(backend.BACKEND != "tensorflow", reason="the fused kernel is TensorFlow's")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def as_numpy(tensor):
    return keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32"))


# Gradients


def small_model(dropout=0.0):
    """Build conv, batch norm, tanh, dropout, dense: (B, 5, 5, 2) to (B, 2). Smooth, so that differences converge."""
    keras.utils.set_random_seed(1)
    x = inputs = keras.Input((5, 5, 2))
    x = backend.BatchNormalization(momentum=0.9)(layers.Conv2D(3, 3)(x))
    x = layers.Dropout(dropout, seed=2)(layers.Activation("tanh")(x))
    return keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))


def values(variables):
    return [as_numpy(v.value) for v in variables]


def squared_error(y, outputs):
    return keras.ops.square(y - outputs)


@pytest.fixture
def batch(rng):
    return rng.normal(3.0, size=(6, 5, 5, 2)).astype("float32"), rng.normal(size=(6, 2)).astype("float32")


def central_difference(model, weight, direction, batch, step=1e-2):
    """Differentiate the loss along ``direction`` of one weight, numerically."""
    start = as_numpy(weight.value)
    losses = []
    for sign in (1, -1):
        weight.assign(start + sign * step * direction)
        losses.append(backend.gradients(model, *batch, squared_error)[0])
    weight.assign(start)
    return (losses[0] - losses[1]) / (2 * step)


def test_gradients_agree_with_finite_differences(rng, batch):
    model = small_model()
    _, gradient = backend.gradients(model, *batch, squared_error)
    assert [g.shape for g in gradient] == [v.shape for v in model.trainable_variables]
    slopes, differences = [], []
    for weight, g in zip(model.trainable_variables, gradient, strict=True):
        for _ in range(3):
            direction = rng.choice([-1.0, 1.0], size=weight.shape) / np.sqrt(g.size)
            slopes.append(np.vdot(g, direction))
            differences.append(central_difference(model, weight, direction, batch))
    np.testing.assert_allclose(slopes, differences, rtol=0.01, atol=2e-3)
    with pytest.raises(AssertionError):  # negative control
        np.testing.assert_allclose(np.multiply(slopes, 1.05), differences, rtol=0.01, atol=2e-3)


def test_the_loss_is_the_mean_over_the_batch_in_training_mode(batch):
    model, (x, y) = small_model(), batch
    loss, _ = backend.gradients(model, x, y, squared_error)
    inference, training = (np.mean((y - as_numpy(model(x, training=mode))) ** 2) for mode in (False, True))
    assert loss == pytest.approx(training, rel=1e-5)
    assert loss != pytest.approx(inference, rel=1e-2)


def test_gradients_leave_the_model_as_it_was(batch):
    model = small_model(dropout=0.5)
    before = values(model.variables)
    first, _ = backend.gradients(model, *batch, squared_error)
    again, _ = backend.gradients(model, *batch, squared_error)
    assert first == again  # the seed of the dropout, too, is where it was
    for found, kept in zip(values(model.variables), before, strict=True):
        np.testing.assert_array_equal(found, kept)
    model(batch[0], training=True)  # negative control: an ordinary call moves the statistics and the seed
    assert any((now != kept).any() for now, kept in zip(values(model.variables), before, strict=True))


def test_a_failing_loss_leaves_the_model_as_it_was(batch):
    model = small_model()
    before = values(model.variables)

    def wrong(*_):
        raise RuntimeError("no such loss")

    with pytest.raises(RuntimeError, match="no such loss"):
        backend.gradients(model, *batch, wrong)
    for found, kept in zip(values(model.variables), before, strict=True):
        np.testing.assert_array_equal(found, kept)


def test_a_weight_that_the_loss_does_not_see_has_gradient_zero(rng):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, [layers.Dense(2)(inputs), layers.Dense(2)(inputs)])
    x = rng.normal(size=(4, 3)).astype("float32")
    _, gradient = backend.gradients(model, x, None, lambda _, outputs: outputs[0])
    assert [bool(np.any(g)) for g in gradient] == [True, True, False, False]
    assert [g.shape for g in gradient] == [v.shape for v in model.trainable_variables]


def test_a_pulled_back_gradient_is_that_of_finite_differences(rng, batch):
    model, x = small_model(), batch[0]
    upstream = rng.normal(size=model(x).shape).astype("float32")
    pulled = backend.pull_back(model, x, upstream)
    assert pulled.shape == x.shape
    slopes, differences = [], []
    for _ in range(6):
        direction = rng.choice([-1.0, 1.0], size=x.shape).astype("float32") / np.sqrt(x.size)
        outputs = [as_numpy(model(x + sign * 0.01 * direction, training=True)) for sign in (1, -1)]
        differences.append(np.vdot(upstream, outputs[0] - outputs[1]) / 0.02)
        slopes.append(np.vdot(pulled, direction))
    np.testing.assert_allclose(slopes, differences, rtol=0.02, atol=0.02)
    with pytest.raises(AssertionError):  # negative control
        np.testing.assert_allclose(np.multiply(slopes, 1.2), differences, rtol=0.02, atol=0.02)


def test_through_a_linear_layer_a_gradient_is_pulled_back_by_its_transpose(rng):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layers.Dense(2)(inputs))
    x, upstream = rng.normal(size=(4, 3)).astype("float32"), rng.normal(size=(4, 2)).astype("float32")
    pulled = backend.pull_back(model, x, upstream)
    np.testing.assert_allclose(pulled, upstream @ as_numpy(model.layers[-1].kernel).T, rtol=1e-5)


def test_pulling_back_leaves_the_model_as_it_was(batch):
    model, x = small_model(dropout=0.5), batch[0]
    before = values(model.variables)
    upstream = np.ones(model(x).shape, "float32")
    np.testing.assert_array_equal(backend.pull_back(model, x, upstream), backend.pull_back(model, x, upstream))
    for found, kept in zip(values(model.variables), before, strict=True):
        np.testing.assert_array_equal(found, kept)


@pytest.mark.parametrize("shape", [(4, 3), (3, 2), (1, 2), (4, 2, 1), (4,), (2,), ()])
def test_an_upstream_gradient_in_another_shape_than_the_outputs_is_refused(shape):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layers.Dense(2)(inputs))
    with pytest.raises(ValueError, match="upstream must have the shape of the model's output") as refused:
        backend.pull_back(model, np.ones((4, 3), "float32"), np.ones(shape, "float32"))
    assert f"output, (4, 2). Received: {shape}." in str(refused.value)


def test_a_refused_gradient_leaves_the_model_as_it_was(batch):
    model = small_model(dropout=0.5)
    before = values(model.variables)
    with pytest.raises(ValueError, match="upstream must have"):
        backend.pull_back(model, batch[0], np.ones((1, 2), "float32"))
    for found, kept in zip(values(model.variables), before, strict=True):
        np.testing.assert_array_equal(found, kept)


# Devices, versions, start-up


def test_a_compiled_function_gives_what_the_function_gives(rng):
    lists = [rng.normal(size=shape).astype("float32") for shape in ((2, 3), (3,))]
    arguments = ([keras.ops.convert_to_tensor(array) for array in lists], keras.ops.convert_to_tensor(np.int32(2)))

    def function(arrays, factor):
        total = keras.ops.sum(arrays[0] @ keras.ops.reshape(arrays[1], (3, 1)))
        return total * keras.ops.cast(factor, "float32"), keras.ops.mean(arrays[1])

    compiled = backend.compiled(function, *arguments)
    found = [float(value) for value in compiled(*arguments)]
    assert found == pytest.approx([2 * np.sum(lists[0] @ lists[1]), lists[1].mean()], rel=1e-5)
    other = ([2 * array for array in arguments[0]], arguments[1])
    assert float(compiled(*other)[0]) == pytest.approx(4 * found[0], rel=1e-5)


def test_compiling_time_and_again_warns_of_nothing(caplog):
    """tf.function's own count of tracings warns at the fifth."""
    for size in range(1, 9):
        x = keras.ops.ones((size,))
        assert float(backend.compiled(lambda x: keras.ops.sum(x), x)(x)) == size
    assert not caplog.records


def test_devices_and_versions():
    found = backend.devices()
    assert "CPU" in {kind for kind, _ in found} or {"GPU", "TPU"} & {kind for kind, _ in found}
    assert all(isinstance(name, str) and name for _, name in found)
    assert backend.versions()["keras"] == keras.__version__
    assert set(backend.versions()) == {"keras", backend.BACKEND}


def test_float32_is_not_shortened_to_tf32():
    if backend.BACKEND == "tensorflow":
        assert not backend.loading.tf.config.experimental.tensor_float_32_execution_enabled()
    else:
        assert backend.loading.jax.config.jax_default_matmul_precision == "highest"


@on_tensorflow
@pytest.mark.parametrize(
    ("capabilities", "answer"), [((), None), (((8, 0),), True), (((9, 0), (7, 5)), False), ((None,), False)]
)
def test_a_gpu_without_bfloat16_is_known(monkeypatch, capabilities, answer):
    details = [{} if capability is None else {"compute_capability": capability} for capability in capabilities]
    config = backend.loading.tf.config
    monkeypatch.setattr(config, "list_physical_devices", lambda kind: list(range(len(details))))  # noqa: ARG005
    monkeypatch.setattr(config.experimental, "get_device_details", details.__getitem__)
    assert backend.accelerators_have_bfloat16() is answer


def python(code, **environment):
    """Run ``code`` in a fresh Python with ``environment`` on top of this one's."""
    noisy = {key: value for key, value in os.environ.items() if not key.startswith(("TF_CPP", "KERAS_BACKEND"))}
    wanted = {"KERAS_BACKEND": backend.BACKEND} | environment
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=noisy | wanted, check=False)


ONEDNN = """
import os
from tensorflow.python.util import _pywrap_util_port
print(_pywrap_util_port.IsMklEnabled(), os.environ.get("TF_ENABLE_ONEDNN_OPTS"))
"""
LOAD = "from resnet_lessons import backend"


@on_tensorflow
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="set on x86 alone, where it was measured")
@pytest.mark.parametrize(
    ("first", "chosen", "told"),
    [
        (LOAD, {}, "True 1"),
        (LOAD, {"TF_ENABLE_ONEDNN_OPTS": "0"}, "False 0"),
        (f"import keras; {LOAD}", {}, "None"),  # too late: whether oneDNN computes is TensorFlow's own choice
    ],
)
def test_onednn_computes_unless_the_user_says_no_or_tensorflow_is_loaded(first, chosen, told, monkeypatch):
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    done = python(first + ONEDNN, **chosen)
    assert done.stdout.strip().endswith(told), done.stderr


def test_importing_and_first_use_print_nothing():
    done = python("from resnet_lessons import backend; import keras; keras.ops.ones(3) + 1; backend.devices()")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_is_held_back_is_shown_when_the_block_fails():
    code = """
import os, sys
from resnet_lessons.backend.loading import quiet_stderr
with quiet_stderr():
    os.write(2, b"held back")
print("between", file=sys.stderr)
try:
    with quiet_stderr():
        os.write(2, b"shown: a library is missing ")
        raise OSError("no such library")
except OSError as error:
    print(error, file=sys.stderr)
os.write(2, b"after")
"""
    done = python(code)
    assert done.stderr == "between\nshown: a library is missing no such library\nafter"


@pytest.mark.parametrize("name", ["numpy", "nonsense"])
def test_another_backend_is_refused_with_what_to_set(name):
    done = python("from resnet_lessons import backend", KERAS_BACKEND=name)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: The lessons run on Keras's TensorFlow or JAX backend. Received: ")
    assert "Set the environment variable KERAS_BACKEND to 'tensorflow' or 'jax'" in last


def test_images_with_channels_first_are_refused_with_what_to_set(tmp_path):
    (tmp_path / "keras.json").write_text('{"image_data_format": "channels_first"}')
    done = python("from resnet_lessons import backend", KERAS_HOME=str(tmp_path))
    assert done.returncode == 1
    assert "Set it to 'channels_last' in keras.json" in done.stderr.strip().splitlines()[-1]


@on_tensorflow
def test_deterministic_runs_refuse_unseeded_randomness_and_repeat_bit_by_bit():
    code = """
import numpy as np
from resnet_lessons import backend, models
import keras
import tensorflow as tf
tf.random.normal([1])  # allowed until now
backend.make_deterministic()
try:
    tf.random.normal([1])
except RuntimeError as error:
    print("seed" in str(error))
def once():
    keras.utils.set_random_seed(0)
    model = models.resnet_v1(8, width=4)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    rng = np.random.default_rng(0)
    model.fit(rng.normal(size=(64, 32, 32, 3)), rng.integers(0, 10, 64), batch_size=32, verbose=0, shuffle=False)
    return np.concatenate([w.ravel() for w in model.get_weights()])
print((once() == once()).all())
"""
    done = python(code)
    assert done.stdout.split() == ["True", "True"], done.stderr
