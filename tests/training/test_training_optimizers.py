"""Weight decay as a term of the gradient, against NumPy."""

from resnet_lessons import training

import keras
import numpy as np
import pytest
from small_runs import RECIPE, SPEC, array

# The optimizer


def optimized(optimizer, gradients, values):
    """Make updates of a kernel, a scale and a bias, and return their values."""
    variables = {name: keras.Variable(value, name=name) for name, value in values.items()}
    optimizer.build(list(variables.values()))
    for gradient in gradients:
        optimizer.apply(list(map(keras.ops.convert_to_tensor, gradient)))
    return {name: array(variable) for name, variable in variables.items()}


@pytest.fixture
def update():
    rng = np.random.default_rng(0)
    values = {"kernel": rng.normal(size=(3, 3, 2, 4)), "gamma": rng.normal(size=4), "bias": rng.normal(size=4)}
    values = {name: value.astype("float32") for name, value in values.items()}
    gradients = [[rng.normal(size=value.shape).astype("float32") for value in values.values()] for _ in range(2)]
    return values, gradients


def numpy_sgd(values, gradients, rate, momentum, decay):
    found = {}
    for number, (name, w) in enumerate(values.items()):
        velocity = np.zeros_like(w)
        for gradient in gradients:
            g = gradient[number] + (decay * w if name == "kernel" else 0)
            velocity = momentum * velocity - rate * g
            w = w + velocity
        found[name] = w
    return found


@pytest.mark.parametrize(("momentum", "decay"), [(0.9, 0.1), (0.0, 0.1), (0.9, 0.0)])
def test_weight_decay_is_a_term_of_a_kernels_gradient_and_of_no_other(update, momentum, decay):
    found = optimized(training.SGD(0.1, momentum=momentum, decay=decay), update[1], update[0])
    for name, wanted in numpy_sgd(*update, 0.1, momentum, decay).items():
        np.testing.assert_allclose(found[name], wanted, rtol=1e-5, atol=1e-6)


def test_keras_own_weight_decay_is_another_method(update):
    """Negative control: it shrinks every weight, and past the momentum."""
    own = optimized(keras.optimizers.SGD(0.1, momentum=0.9, weight_decay=0.1), update[1], update[0])
    wanted = numpy_sgd(*update, 0.1, 0.9, 0.1)
    assert all(np.abs(own[name] - wanted[name]).max() > 1e-3 for name in wanted)


def test_all_kernels_of_a_net_decay_and_nothing_else():
    """With a gradient of zero, what an update changes is what decays."""
    model = training.compile_model(SPEC, RECIPE, 0, "float32")
    before = {v.path: array(v) for v in model.trainable_variables}
    model.optimizer.learning_rate = 1.0
    model.optimizer.apply([keras.ops.zeros(v.shape) for v in model.trainable_variables])
    for variable in model.trainable_variables:
        kept = 1 - RECIPE.weight_decay if len(variable.shape) > 1 else 1
        np.testing.assert_allclose(array(variable), kept * before[variable.path], rtol=1e-5)
