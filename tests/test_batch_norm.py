"""The fused batch normalization against the formula and Keras's own layer."""

from resnet_lessons import backend

import keras
import numpy as np
import pytest
from keras import layers

on_tensorflow = pytest.mark.skipif(backend.BACKEND != "tensorflow", reason="the fused kernel is TensorFlow's")
MOMENTUM, EPSILON = 0.9, 1e-5


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(autouse=True)
def restored_policy():
    before = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(before)


def build_with(cls, weights, shape, **kwargs):
    """Build a batch normalization for inputs of ``shape`` with the given gamma, beta, mean and variance."""
    layer = cls(momentum=MOMENTUM, epsilon=EPSILON, **kwargs)
    layer.build((None, *shape[1:]))
    layer.set_weights(weights[: len(layer.weights)])
    return layer


def random_weights(rng, channels):
    """Gamma, beta, moving mean and moving variance, none of them trivial."""
    draw = rng.normal(size=(4, channels)).astype("float32")
    return [draw[0], draw[1], draw[2], np.exp(draw[3])]


def both(rng, shape, **kwargs):
    weights = random_weights(rng, shape[-1])
    return [
        build_with(cls, weights, shape, **kwargs) for cls in (backend.BatchNormalization, layers.BatchNormalization)
    ]


def as_numpy(tensor):
    return keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32"))


def numpy_batch_norm(x, gamma, beta, mean, variance):
    return (x - mean) / np.sqrt(variance + EPSILON) * gamma + beta


@pytest.mark.parametrize("shape", [(4, 5, 6, 3), (1, 2, 1, 7), (2, 8, 8, 16)])
@pytest.mark.parametrize("training", [True, False, None])
def test_batch_norm_equals_the_formula_and_keras_own(rng, shape, training):
    ours, keras_own = both(rng, shape)
    gamma, beta, mean, variance = ours.get_weights()
    x = rng.normal(2.0, 3.0, size=shape).astype("float32")
    y = as_numpy(ours(x, training=training))
    if training:
        batch_mean, batch_variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
        expected = numpy_batch_norm(x, gamma, beta, batch_mean, batch_variance)
        mean = MOMENTUM * mean + (1 - MOMENTUM) * batch_mean
        variance = MOMENTUM * variance + (1 - MOMENTUM) * batch_variance
    else:
        expected = numpy_batch_norm(x, gamma, beta, mean, variance)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(y, as_numpy(keras_own(x, training=training)), rtol=1e-4, atol=1e-4)
    for found, wanted, own in zip(ours.get_weights()[2:], (mean, variance), keras_own.get_weights()[2:], strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found, own, rtol=1e-5, atol=1e-6)


@on_tensorflow
def test_images_do_take_the_fused_kernel(rng, monkeypatch):
    calls = []
    fused = backend.batch_norm._fused
    monkeypatch.setattr(backend.batch_norm, "_fused", lambda *args: calls.append(args[-1]) or fused(*args))
    layer, _ = both(rng, (2, 4, 4, 3))
    x = rng.normal(size=(2, 4, 4, 3)).astype("float32")
    layer(x, training=True)
    layer(x, training=False)
    assert calls == [True, False]


@on_tensorflow
def test_without_the_correction_the_moving_variance_would_differ(rng):
    """Negative control: for 4 samples the kernel's variance is 4/3 of the batch's, and the comparison above sees it."""
    shape = (1, 2, 2, 3)
    ours, keras_own = both(rng, shape)
    x = rng.normal(size=shape).astype("float32")
    gamma, beta, _, before = ours.get_weights()
    empty = np.zeros(0, "float32")
    _, _, kernel_variance, *_ = backend.batch_norm._fused(x, gamma, beta, empty, empty, EPSILON, True)
    np.testing.assert_allclose(kernel_variance, x.var((0, 1, 2)) * 4 / 3, rtol=1e-5)
    keras_own(x, training=True)
    uncorrected = before * MOMENTUM + np.asarray(kernel_variance) * (1 - MOMENTUM)
    assert np.abs(uncorrected / keras_own.get_weights()[3] - 1).max() > 1e-3


def test_one_sample_has_variance_zero(rng):
    ours, keras_own = both(rng, (1, 1, 1, 3))
    x = rng.normal(size=(1, 1, 1, 3)).astype("float32")
    for layer in (ours, keras_own):
        before = layer.get_weights()
        np.testing.assert_allclose(as_numpy(layer(x, training=True))[0, 0, 0], before[1], atol=1e-5)  # beta
        np.testing.assert_allclose(layer.get_weights()[3], before[3] * MOMENTUM, rtol=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_gradients_equal_keras_own(rng, training):
    shape = (3, 4, 4, 2)
    x = rng.normal(size=shape).astype("float32")
    direction = rng.normal(size=shape).astype("float32")
    weights = random_weights(rng, 2)
    weight_gradients, input_gradients = [], []
    for cls in (backend.BatchNormalization, layers.BatchNormalization):
        inputs = keras.Input(shape[1:])
        model = keras.Model(inputs, cls(momentum=MOMENTUM, epsilon=EPSILON)(inputs, training=training))
        model.set_weights(weights)
        weight_gradients.append(backend.gradients(model, x, direction, lambda y, z: y * z))
        input_gradients.append(backend.pull_back(model, x, direction, training=training))
    (loss, gradient), (own_loss, own_gradient) = weight_gradients
    assert loss == pytest.approx(own_loss, rel=1e-4)
    assert len(gradient) == 2
    for ours, own in zip(gradient, own_gradient, strict=True):
        np.testing.assert_allclose(ours, own, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(*input_gradients, rtol=1e-3, atol=1e-5)
    assert np.all(input_gradients[0])  # nothing is dropped


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("training", [True, False])
def test_half_precision_inputs_keep_float32_statistics(rng, dtype, training):
    ours, keras_own = both(rng, (4, 6, 6, 3), dtype=dtype)
    x = rng.normal(1.0, 2.0, size=(4, 6, 6, 3)).astype("float32")
    y = ours(x, training=training)
    assert keras.backend.standardize_dtype(y.dtype) == dtype.removeprefix("mixed_")
    np.testing.assert_allclose(as_numpy(y), as_numpy(keras_own(x, training=training)), rtol=0.02, atol=0.02)
    assert {w.dtype for w in ours.get_weights()} == {np.dtype("float32")}
    for found, own in zip(ours.get_weights(), keras_own.get_weights(), strict=True):
        np.testing.assert_allclose(found, own, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("shape", "kwargs"),
    [
        ((8, 3), {}),
        ((4, 6, 3), {}),
        ((2, 2, 4, 4, 3), {}),
        ((2, 3, 4, 3), {"axis": 1}),
        ((2, 4, 4, 3), {"scale": False}),
        ((2, 4, 4, 3), {"center": False}),
        ((2, 4, 4, 3), {"dtype": "bfloat16"}),
    ],
    ids=str,
)
def test_what_the_kernel_does_not_take_goes_to_keras_own(rng, shape, kwargs, monkeypatch):
    monkeypatch.setattr(backend.batch_norm, "_fused", None)  # a call would fail
    x = rng.normal(size=shape).astype("float32")
    layers_ = [cls(**kwargs) for cls in (backend.BatchNormalization, layers.BatchNormalization)]
    for training in (True, False):
        ours, own = (as_numpy(layer(x, training=training)) for layer in layers_)
        np.testing.assert_array_equal(ours, own)


@on_tensorflow
def test_float64_goes_to_keras_own(rng):
    x = rng.normal(size=(2, 4, 4, 3))
    y = backend.BatchNormalization(dtype="float64", epsilon=EPSILON)(x, training=True)
    np.testing.assert_allclose(y, numpy_batch_norm(x, 1, 0, x.mean((0, 1, 2)), x.var((0, 1, 2))), rtol=1e-9)


def test_a_mask_is_honoured(rng):
    x = rng.normal(size=(2, 4, 4, 3)).astype("float32")
    mask = rng.random((2, 4, 4)) < 0.5
    y = as_numpy(backend.BatchNormalization(epsilon=EPSILON)(x, training=True, mask=mask))
    seen = x[mask]
    expected = numpy_batch_norm(x, 1, 0, seen.mean(0), seen.var(0))
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


def test_a_frozen_batch_norm_uses_and_keeps_its_statistics(rng):
    layer, _ = both(rng, (2, 4, 4, 3))
    layer.trainable = False
    before = layer.get_weights()
    x = rng.normal(size=(2, 4, 4, 3)).astype("float32")
    np.testing.assert_allclose(as_numpy(layer(x, training=True)), numpy_batch_norm(x, *before), rtol=1e-4, atol=1e-4)
    for found, kept in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, kept)


@on_tensorflow
@pytest.mark.parametrize("jit_compile", [False, True])
def test_the_kernel_works_in_a_compiled_graph_with_an_unknown_batch_size(rng, jit_compile):
    import tensorflow as tf

    ours, keras_own = both(rng, (3, 4, 4, 2))
    signature = [tf.TensorSpec([None, 4, 4, 2])]
    step = tf.function(lambda x: ours(x, training=True), input_signature=signature, jit_compile=jit_compile)
    for batch in (3, 1):
        x = rng.normal(size=(batch, 4, 4, 2)).astype("float32")
        np.testing.assert_allclose(step(x), keras_own(x, training=True), rtol=1e-4, atol=1e-4)
    for found, own in zip(ours.get_weights(), keras_own.get_weights(), strict=True):
        np.testing.assert_allclose(found, own, rtol=1e-5, atol=1e-6)


def test_batch_norm_is_saved_and_loaded_without_naming_it(rng, tmp_path):
    inputs = keras.Input((4, 4, 3))
    model = keras.Model(inputs, backend.BatchNormalization(momentum=0.8, epsilon=1e-4, name="bn")(inputs))
    model.set_weights(random_weights(rng, 3))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    bn = loaded.get_layer("bn")
    assert (type(bn), bn.momentum, bn.epsilon) == (backend.BatchNormalization, 0.8, 1e-4)
    x = rng.normal(size=(2, 4, 4, 3)).astype("float32")
    np.testing.assert_array_equal(as_numpy(loaded(x)), as_numpy(model(x)))
