"""The exercises of lesson 01: counting plain nets, a convolution that changes nothing, and what degradation is."""

from resnet_lessons import accounting
from resnet_lessons.specs import Spec

import numpy as np

from .answers import Wrong, answer_of, array_answer, exercise, show, whole_number


@exercise
def plain_depth(function):
    """Check ``function(n)``: weighted layers of the CIFAR-10 plain net with n pairs of convolutions a stage."""
    for n in (3, 1, 9, 18):
        answer, right = whole_number(function, n), 6 * n + 2
        if answer == right:
            continue
        hints = {
            6 * n: "The first convolution and the classifier have weights too.",
            6 * n + 1: "Both the first convolution and the classifier count.",
            2 * n + 2: "There are three stages, each with n pairs.",
            3 * n + 2: "A pair is two convolutions.",
            9 * n + 2: "That counts three convolutions in a pair; there are two.",
            12 * n + 3: "Batch norm is not counted as a layer here; only convolutions and the classifier are.",
        }
        raise Wrong(
            f"n = {n} gave {answer}. " + hints.get(answer, "Count the first convolution, three stages, the classifier.")
        )
    return "6n + 2: one convolution first, three stages of n pairs, and the classifier."


@exercise
def pairs_of(function):
    """Check ``function(depth)``: the n of the plain net with that many layers, None where the family has none."""
    for depth in (20, 56, 8, 110, 1202):
        answer, right = whole_number(function, depth), (depth - 2) // 6
        if answer == right:
            continue
        hints = {
            (depth - 2) // 2: "There are three stages, each with n pairs.",
            (depth - 2) // 3: "A pair is two convolutions.",
        }
        hint = hints.get(answer, "Solve depth = 6n + 2 for n.")
        raise Wrong(f"{depth} layers gave n = {answer}. {hint}")
    for depth in (21, 52, 2, 1):
        answer = function(depth)
        if answer is not None:
            hint = "That would need n = 0." if depth == 2 else "Is (depth - 2) / 6 a whole number above 0?"
            raise Wrong(f"No net of the family has {depth} layers, but {depth} gave {show(answer)}. {hint}")
    return "n = (depth - 2) / 6, where that is a whole number of at least 1."


@exercise
def plain_parameters(function):
    """Check ``function(n)``: trainable parameters of the CIFAR-10 plain net with n pairs of convolutions a stage."""
    for n in (3, 1, 9):
        answer, right = whole_number(function, n), accounting.count(Spec("plain", 6 * n + 2)).parameters
        if answer == right:
            continue
        channels = 16 + 2 * n * (16 + 32 + 64)  # of the outputs of all convolutions
        hints = {
            right - 2 * channels: "Batch norm has a scale and a shift for every channel.",
            right - channels: "Batch norm has both a scale and a shift for every channel.",
            right + 2 * channels: "Moving means and variances are not trained by gradient descent.",
            right + channels: "A convolution followed by batch norm has no bias here.",
            right - 10: "The classifier has a bias for each class.",
            right - (64 * 10 + 10): "The classifier is missing: 64 channels to 10 classes, with biases.",
            right - (3 * 3 * 3 * 16 + 2 * 16): "The first convolution is missing, with its batch norm.",
            right + 9 * (16 * 32 + 32 * 64): "The first convolution of stages 2 and 3 takes half as many channels in.",
        }
        off = f"n = {n} gave {answer:,}, which is {abs(answer - right):,} too {'many' if answer > right else 'few'}. "
        raise Wrong(off + hints.get(answer, "Write the sizes of the layers down, stage by stage."))
    return "Kernels, batch norm's scales and shifts, and the classifier: 269,722 for n = 3, 853,018 for n = 9."


@exercise
def dirac_kernel(function):
    """Check ``function(channels)``: a convolution kernel (3, 3, channels, channels) that computes the identity."""
    rng = np.random.default_rng(0)
    for channels in (4, 1, 3):  # not 3 first, whose kernels have one shape in every order of the axes
        kernel = _kernel(function, channels)
        image = rng.normal(size=(6, 7, channels))
        result = convolve(image, kernel)
        if np.allclose(result, image, atol=1e-6):
            continue
        raise Wrong(f"For {channels} channels, " + _kernel_misconception(kernel))
    return "One at the centre, from each channel to itself, zero elsewhere."


def _kernel(function, channels):
    """Return the learner's kernel as float64 (3, 3, in, out); refuse other shapes and what are no numbers."""
    kernel = array_answer(answer_of(function, channels), "It should return an array of real numbers")
    wanted = (3, 3, channels, channels)
    if kernel.shape == (channels, channels, 3, 3) and channels != 3:
        raise Wrong(f"Keras keeps kernels as (height, width, in, out): {wanted}. Yours is {kernel.shape}.")
    if kernel.shape != wanted:
        raise Wrong(f"The kernel must have the shape (3, 3, in, out) = {wanted}. Yours has {kernel.shape}.")
    if not np.isfinite(kernel).all():
        raise Wrong("The kernel holds nan or infinity. All its weights must be finite.")
    return kernel


def convolve(image, kernel):
    """Convolve one (H, W, C) image by a 3x3 kernel with "same" padding, as a sum of shifted images."""
    height, width, _ = image.shape
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)))
    shifts = ((i, j) for i in range(3) for j in range(3))
    return sum(padded[i : i + height, j : j + width] @ kernel[i, j] for i, j in shifts)


def _kernel_misconception(kernel):
    centre, neighbours = kernel[1, 1], kernel.copy()
    neighbours[1, 1] = 0
    identity = np.eye(len(centre))
    if not kernel.any():
        return "all weights are zero, so the output is zero, not the input."
    if not centre.any():
        return "the centre weight is zero, so the image is shifted or blurred. Which of the 9 places is the middle?"
    if neighbours.any():
        return "neighbouring pixels come in as well. All weights but those at the centre must be zero."
    if np.allclose(centre, centre[0, 0] * identity):
        return f"the output is {centre[0, 0]:.3g} times the input. What must the weight be for 1 times?"
    if np.allclose(centre, 1):
        return "every output channel is the sum of all input channels. Each must see its own channel only."
    return "the channels are mixed up. Each output channel must see its own input channel only, with the weight 1."


@exercise
def diagnose(function):
    """Check ``function(shallow_train, shallow_val, deep_train, deep_val)``, four errors in percent.

    It returns "degradation", "overfitting" or "neither"; differences of less than 1 mean nothing.
    """
    cases = [
        ((5.0, 12.0, 9.0, 15.0), "degradation"),
        ((8.0, 12.0, 1.0, 14.5), "overfitting"),
        ((8.0, 12.0, 5.0, 10.0), "neither"),
        ((8.0, 12.0, 8.3, 12.4), "neither"),
        ((8.0, 12.0, 14.0, 12.2), "degradation"),
        ((30.0, 31.0, 60.0, 58.0), "degradation"),
        ((8.0, 12.0, 7.9, 15.0), "overfitting"),
    ]
    hints = {
        ("degradation", "overfitting"): "Its training error is lower or the same, so it fits what it saw: overfitting.",
        ("overfitting", "degradation"): "Overfitting means a low training error. Here the training error itself rose.",
        ("neither", "overfitting"): "The deep net validates worse though it fits the training images as well.",
        ("neither", "degradation"): "The deep net has the higher training error: look there, not at validation alone.",
    }
    for errors, right in cases:
        answer = answer_of(function, *errors)
        if not isinstance(answer, str) or answer not in ("degradation", "overfitting", "neither"):
            raise Wrong(f'It should return "degradation", "overfitting" or "neither". It returned {show(answer)}.')
        if answer == right:
            continue
        hint = hints.get((answer, right), "Against the shallow net, nothing got worse by more than the noise.")
        case = "shallow {} / {}, deep {} / {} (training / validation)".format(*errors)
        raise Wrong(f"For {case} it said {answer!r}. {hint}")
    return "Training error tells them apart: overfitting keeps it low, degradation raises it."
