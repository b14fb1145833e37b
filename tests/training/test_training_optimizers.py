"""Weight decay as a term of the gradient, against NumPy."""

import dataclasses

from resnet_lessons import recipes, training
from resnet_lessons.specs import Spec

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


def numpy_adam(values, gradients, rate, decay):
    """Kingma and Ba 2015, Algorithm 1, with Keras's epsilon of 1e-7; Keras computes it in float32, less exactly."""
    found = {}
    for number, (name, w) in enumerate(values.items()):
        first, second = np.zeros_like(w), np.zeros_like(w)
        for step, gradient in enumerate(gradients, start=1):
            g = gradient[number] + (decay * w if name == "kernel" else 0)
            first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g**2
            w = w - rate * first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + 1e-7)
        found[name] = w
    return found


@pytest.mark.parametrize("decay", [0.5, 0.0])
def test_adam_with_decay_as_a_term_of_the_gradient(update, decay):
    found = optimized(training.Adam(0.1, decay=decay), update[1], update[0])
    for name, wanted in numpy_adam(*update, 0.1, decay).items():
        np.testing.assert_allclose(found[name], wanted, atol=5e-4)


def test_adam_with_keras_own_decay_is_another_method(update):
    """Negative control."""
    own = optimized(keras.optimizers.Adam(0.1, weight_decay=0.5), update[1], update[0])
    wanted = numpy_adam(*update, 0.1, 0.5)
    assert all(np.abs(own[name] - wanted[name]).max() > 1e-3 for name in wanted)


def test_nesterov_looks_ahead(update):
    """Sutskever et al. 2013: the momentum is applied once more to the step."""
    values, gradients = update
    found = optimized(training.SGD(0.1, momentum=0.9, nesterov=True, decay=0.5), gradients, values)
    for number, (name, w) in enumerate(values.items()):
        velocity = np.zeros_like(w)
        for gradient in gradients:
            g = gradient[number] + (0.5 * w if name == "kernel" else 0)
            velocity = 0.9 * velocity - 0.1 * g
            w = w + 0.9 * velocity - 0.1 * g
        np.testing.assert_allclose(found[name], w, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("optimizer", [training.SGD, training.Adam])
@pytest.mark.parametrize(("decay_on", "classifier_decays"), [("kernels", True), ("convolutions", False)])
def test_the_classifier_decays_or_not(optimizer, decay_on, classifier_decays):
    """By hand: two steps on a dense and a convolution kernel, each beside the same without decay."""
    rng = np.random.default_rng(0)
    values = {"dense": rng.normal(size=(3, 4)), "convolution": rng.normal(size=(3, 3, 2, 4))}
    gradients = [[rng.normal(size=value.shape).astype("float32") for value in values.values()] for _ in range(2)]
    steps = {}
    for decay in (0.0, 0.5):
        variables = [keras.Variable(value.astype("float32"), name="kernel") for value in values.values()]
        made = optimizer(0.1, decay=decay, decay_on=decay_on)
        made.build(variables)
        for gradient in gradients:
            made.apply(list(map(keras.ops.convert_to_tensor, gradient)))
        steps[decay] = dict(zip(values, map(array, variables), strict=True))
    assert not np.allclose(steps[0.0]["convolution"], steps[0.5]["convolution"])
    assert np.array_equal(steps[0.0]["dense"], steps[0.5]["dense"]) != classifier_decays


@pytest.mark.parametrize("style", ["paper", "keras-example"])
def test_convolutions_of_a_net_decay_and_nothing_else(style):
    """With a gradient of zero, what an update changes is what decays."""
    side = {"paper": 8, "keras-example": 32}[style]
    recipe = dataclasses.replace(RECIPE, decay_on="convolutions")
    spec = Spec("v1", 8, width=4, style=style, shortcut="B", input_shape=(side, side, 3))
    model = training.compile_model(spec, recipe, 0, "float32")
    before = {v.path: array(v) for v in model.trainable_variables}
    model.optimizer.learning_rate = 1.0
    model.optimizer.apply([keras.ops.zeros(v.shape) for v in model.trainable_variables])
    for variable in model.trainable_variables:
        kept = 1 - recipe.weight_decay if len(variable.shape) == 4 else 1
        np.testing.assert_allclose(array(variable), kept * before[variable.path], rtol=1e-5)


def test_a_recipe_says_which_optimizer():
    found = training.optimizers.optimizer_for(recipes.get("keras-example"))
    assert isinstance(found, training.Adam)
    assert (found.decay, found.decay_on, float(found.learning_rate)) == (2e-4, "convolutions", pytest.approx(1e-3))
    found = training.optimizers.optimizer_for(recipes.get("fast-accuracy"))
    assert isinstance(found, training.SGD)
    assert (found.decay, found.decay_on, found.momentum, found.nesterov) == (5e-4, "kernels", 0.9, True)


@pytest.mark.parametrize("optimizer", [training.SGD, training.Adam])
def test_other_words_for_what_decays_are_refused(optimizer):
    with pytest.raises(ValueError, match=r"decay_on must be one of 'kernels', 'convolutions'\. Received: 'biases'"):
        optimizer(0.1, decay=0.1, decay_on="biases")
