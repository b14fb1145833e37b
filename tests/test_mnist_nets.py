"""The nets for MNIST: the tutorial's, faults included, and the mended one."""

import itertools

from resnet_lessons import accounting, models

import hand_counts as hand
import keras
import numpy as np
import pytest
from filled_models import randomize

# The tutorial's convolutions: (kernel size, input channels, output channels, side of the output map).
IDENTITY_UNIT = [(1, 16, 8, 14), (3, 8, 8, 14), (1, 8, 16, 14)]
PROJECTING_UNIT = [(1, 16, 16, 14), (3, 16, 16, 14), (1, 16, 32, 14)]
TUTORIAL_CONVS = [(3, 1, 16, 28), *IDENTITY_UNIT * 4, *PROJECTING_UNIT]
REUSED = (1, 16, 32, 14)  # the third kernel of the last unit, on its shortcut
TUTORIAL_DENSE = [(7 * 7 * 32, 128), (128, 10)]

MENDED_CONVS = [
    *[(3, 1, 16, 28), (3, 16, 16, 14), (3, 16, 16, 14)],
    *[(3, 16, 32, 7), (3, 32, 32, 7), (1, 16, 32, 7)],
    *[(3, 32, 64, 4), (3, 64, 64, 4), (1, 32, 64, 4)],
]


@pytest.fixture(scope="module")
def tutorial():
    return models.mnist_tutorial()


def digits(count=3, seed=0):
    return np.random.default_rng(seed).uniform(size=(count, 28, 28, 1)).astype("float32")


# Counts


def tutorial_by_hand(second_biases):
    kernels = sum(kernel**2 * inputs * outputs for kernel, inputs, outputs, _ in TUTORIAL_CONVS)
    biases = sum(hand.outputs(TUTORIAL_CONVS)) + sum(second_biases)
    return kernels + biases + sum((inputs + 1) * outputs for inputs, outputs in TUTORIAL_DENSE)


def test_the_tutorials_parameters_are_the_208970_that_the_tutorial_is_known_by(tutorial):
    by_hand = tutorial_by_hand(second_biases=[16, 16, 16, 16, 32])
    assert by_hand == tutorial.count_params() == accounting.account(tutorial).total.parameters == 208_970


def test_no_other_set_of_second_biases_gives_that_count():
    """The description leaves open which units have one; only all five fit."""
    fits = [
        present
        for present in itertools.product([0, 1], repeat=5)
        if tutorial_by_hand(np.multiply(present, [16, 16, 16, 16, 32]).tolist()) == 208_970
    ]
    assert fits == [(1, 1, 1, 1, 1)]


def test_the_tutorials_multiply_adds_count_the_reused_kernel_twice(tutorial):
    total = accounting.account(tutorial).total
    convs = sum(k * k * i * o * side**2 for k, i, o, side in [*TUTORIAL_CONVS, REUSED])
    assert total.multiply_adds == convs + sum(i * o for i, o in TUTORIAL_DENSE)
    assert total.statistics == 0


def test_the_mended_net_counted_by_hand():
    total = accounting.account(models.mnist()).total
    by_hand = hand.parameters(MENDED_CONVS, hand.outputs(MENDED_CONVS), (64, 10))
    assert (total.parameters, total.parameters + total.statistics) == by_hand
    assert total.multiply_adds == hand.multiply_adds(MENDED_CONVS, (64, 10))


# What the tutorial's net computes, against the same in NumPy


def convolved(x, kernel):
    """Convolve (B, H, W, C) by a kernel of side 1 or 3 with zeros around."""
    side, (_, height, width, _) = len(kernel), x.shape
    x = np.pad(x, ((0, 0), (side // 2, side // 2), (side // 2, side // 2), (0, 0)))
    places = itertools.product(range(side), repeat=2)
    return sum(x[:, i : i + height, j : j + width] @ kernel[i, j] for i, j in places)


def halved(x):
    batch, height, width, channels = x.shape
    return x.reshape(batch, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))


def relu(x):
    return np.maximum(x, 0)


def unit_in_numpy(x, weights, projects):
    kernel1, bias1, kernel2, bias2, kernel3, bias3, second_bias = weights
    y = relu(convolved(x, kernel1) + bias1)
    y = relu(convolved(y, kernel2) + bias2)
    y = relu(convolved(y, kernel3) + bias3)
    return relu((convolved(x, kernel3) if projects else x) + y + second_bias)


def tutorial_in_numpy(x, weights):
    weights = [weight.astype("float64") for weight in weights]
    x = halved(relu(convolved(x, weights[0]) + weights[1]))
    for number in range(5):
        x = unit_in_numpy(x, weights[2 + 7 * number : 9 + 7 * number], projects=number == 4)
    kernel1, bias1, kernel2, bias2 = weights[37:]
    hidden = relu(halved(x).reshape(len(x), -1) @ kernel1 + bias1)
    scores = np.exp(hidden @ kernel2 + bias2)
    return scores / scores.sum(axis=1, keepdims=True)


def test_the_tutorials_net_computes_what_its_description_says(tutorial):
    order = [weight.path for weight in tutorial.weights]
    assert [path.split("/")[0] for path in order[2:9]] == [
        f"stage1_block1_{part}" for part in ("conv1", "conv1", "conv2", "conv2", "conv3", "bias3", "bias4")
    ]
    images = digits()
    outputs = keras.ops.convert_to_numpy(tutorial(images))
    np.testing.assert_allclose(outputs, tutorial_in_numpy(images, tutorial.get_weights()), atol=1e-4)


def test_the_numpy_version_tells_a_projection_of_its_own_apart(tutorial):
    weights = tutorial.get_weights()
    changed = [weight.copy() for weight in weights]
    changed[34] = changed[34] + 0.1  # kernel 3 of the last unit
    assert changed[34].shape == (1, 1, 16, 32)
    assert not np.allclose(tutorial_in_numpy(digits(), changed), tutorial_in_numpy(digits(), weights), atol=1e-4)


# What is wrong with it


def values_of(model, name, x):
    part = keras.Model(model.input, model.get_layer(name).output)
    return keras.ops.convert_to_numpy(part(x))


def test_a_branch_of_the_tutorial_can_only_add(tutorial):
    x, added = (values_of(tutorial, name, digits()) for name in ("stage1_block1_relu4", "stage1_block2_add"))
    assert (added >= x).all()
    assert (added > x + 1e-3).any()


def test_each_layer_of_the_tutorial_begins_with_numbers_of_its_own():
    model = models.mnist_tutorial()
    kernels = [model.get_layer(f"stage1_block{number}_conv2").kernel for number in (1, 2)]
    assert np.abs(keras.ops.convert_to_numpy(kernels[0] - kernels[1])).max() > 0.05


def test_seeds_give_the_initial_weights():
    def kernel(seed):
        keras.utils.set_random_seed(seed)
        return models.mnist_tutorial().get_weights()[0]

    assert np.array_equal(kernel(1), kernel(1))
    assert not np.array_equal(kernel(1), kernel(2))


def test_the_mended_net_puts_out_logits_and_starts_undecided():
    logits = keras.ops.convert_to_numpy(models.mnist()(digits()))
    assert logits.shape == (3, 10)
    assert not np.allclose(logits.sum(axis=1), 1)
    assert np.ptp(logits) < 20


@pytest.mark.parametrize("make", [models.mnist_tutorial, models.mnist])
def test_a_net_survives_saving(make, tmp_path):
    model = make()
    randomize(model, np.random.default_rng(0))
    model.save(tmp_path / "net.keras")
    again = keras.saving.load_model(tmp_path / "net.keras")
    np.testing.assert_array_equal(again(digits()), model(digits()))
