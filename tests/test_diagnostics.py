"""Gradient norms against finite differences of the loss, which share no code with them."""

from resnet_lessons import diagnostics, models
from resnet_lessons.specs import Spec

import keras
import numpy as np
import pytest
from filled_models import in_bfloat16


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    return rng.normal(size=(12, 8, 8, 3)).astype("float32"), np.arange(12) % 10


def small(family="plain", depth=8, **kwargs):
    keras.utils.set_random_seed(0)
    return models.build(Spec(family, depth, **{"width": 4, "input_shape": (8, 8, 3)} | kwargs))


def array(variable):
    return keras.ops.convert_to_numpy(variable + 0)


def loss_by_hand(model, x, y, probabilities=False):
    """Cross-entropy in float64 from the outputs in training mode; moving statistics are put back."""
    before = [array(v) for v in model.non_trainable_variables]
    outputs = keras.ops.convert_to_numpy(model(x, training=True)).astype("float64")
    for variable, value in zip(model.non_trainable_variables, before, strict=True):
        variable.assign(value)
    if not probabilities:
        outputs = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    return -np.log(outputs[np.arange(len(y)), y]).mean()


def norm_by_differences(model, kernel, x, y, probabilities=False, step=3e-3):
    """Compute the norm of the loss's gradient for one kernel from losses alone.

    The slopes in orthogonal directions of length 1 are the gradient's parts in them. Random directions spread it, so
    that no slope is lost in rounding.
    """
    start = array(kernel)
    directions = np.linalg.qr(np.random.default_rng(0).normal(size=(start.size, start.size)))[0]
    slopes = []
    for direction in directions.reshape(start.size, *start.shape):
        losses = []
        for sign in (1, -1):
            kernel.assign(start + (sign * step * direction).astype("float32"))
            losses.append(loss_by_hand(model, x, y, probabilities))
        slopes.append((losses[0] - losses[1]) / (2 * step))
    kernel.assign(start)
    return np.linalg.norm(slopes)


@pytest.mark.parametrize(
    ("family", "kwargs"),
    [
        ("plain", {}),
        ("v1", {}),
        ("v1", {"style": "keras-example", "input_shape": (32, 32, 3)}),
    ],
)
def test_norms_equal_finite_differences_of_the_loss(family, kwargs):
    model = small(family, width=1, **kwargs)
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(12, *model.input_shape[1:])).astype("float32"), np.arange(12) % 10
    names, norms = diagnostics.gradient_norms(model, x, y)
    for name, norm in list(zip(names, norms, strict=True))[:3:2]:  # kernels of 27 and of 9 weights
        found = norm_by_differences(model, model.get_layer(name).kernel, x, y, "style" in kwargs)
        assert norm == pytest.approx(found, rel=0.05), name
        assert norm > 1e-3


def test_probabilities_taken_for_logits_would_give_other_norms():
    """Negative control: the comparison above tells the two losses apart."""
    model = small("v1", width=1, style="keras-example", input_shape=(32, 32, 3))
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(12, 32, 32, 3)).astype("float32"), np.arange(12) % 10
    wrong = norm_by_differences(model, model.get_layer("stage1_block1_conv1").kernel, x, y, probabilities=False)
    names, norms = diagnostics.gradient_norms(model, x, y)
    assert norms[names.index("stage1_block1_conv1")] != pytest.approx(wrong, rel=0.5)


def test_it_leaves_the_model_as_it_was(batch):
    model = small("v1", shortcut="B", skip="dropout")
    model.compile("sgd", "mse")
    rng = np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    before = [array(v) for v in model.variables]
    diagnostics.gradient_norms(model, *batch)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(array(variable), value)


def expected_names(stages, units, convs):
    units = [(stage, unit) for stage in range(1, stages + 1) for unit in range(1, units + 1)]
    return ["stem_conv1"] + [f"stage{s}_block{b}_conv{c}" for s, b in units for c in range(1, convs + 1)]


@pytest.mark.parametrize(
    ("family", "depth", "kwargs", "names"),
    [
        ("plain", 14, {}, expected_names(3, 2, 2)),
        ("v1", 14, {"shortcut": "B"}, expected_names(3, 2, 2)),
        ("v1", 14, {"shortcut": "C"}, expected_names(3, 2, 2)),
        ("v1", 8, {"skip": "exclusive-gating"}, expected_names(3, 1, 2)),
        ("v1", 8, {"skip": "conv"}, expected_names(3, 1, 2)),
        ("v2", 11, {}, expected_names(3, 1, 3)),
    ],
)
def test_names_run_from_first_to_last_without_shortcuts(batch, family, depth, kwargs, names):
    found, norms = diagnostics.gradient_norms(small(family, depth, **kwargs), *batch)
    assert found == names
    assert (norms.shape, norms.dtype) == ((len(names),), np.float64)
    assert np.isfinite(norms).all()
    assert (norms > 0).all()


def test_norms_are_those_of_the_loss_so_a_hundredth_of_the_loss_has_a_hundredth_of_them(batch):
    """With all labels' logits scaled down near zero, the loss's gradient scales with the last kernel."""
    model = small()
    _, norms = diagnostics.gradient_norms(model, *batch)
    last = model.layers[-1].kernel
    last.assign(array(last) / 100)
    _, scaled = diagnostics.gradient_norms(model, *batch)
    np.testing.assert_allclose(scaled, norms / 100, rtol=0.1)


def test_under_bfloat16_norms_are_nearly_those_of_float32(batch):
    model = small()
    other = in_bfloat16(small, model)
    np.testing.assert_allclose(
        diagnostics.gradient_norms(other, *batch)[1], diagnostics.gradient_norms(model, *batch)[1], rtol=0.1
    )
