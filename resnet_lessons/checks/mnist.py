"""The exercises of lesson 06's first half: a tutorial's network counted, its loss and the accuracy that it lacks."""

import math

from resnet_lessons import accounting, models

import numpy as np

from .answers import Wrong, answer_of, exercise, hint_for, real_number, whole_number


@exercise
def tutorial_parameters(function):
    """Check ``function(units)``: parameters of the tutorial's MNIST net with so many identity bottlenecks."""
    rows = accounting.account(models.mnist_tutorial()).layers
    whole = sum(row.count.parameters for row in rows)
    unit = sum(row.count.parameters for row in rows if row.name.startswith("stage1_block1_"))
    for units in (4, 1, 7):
        answer, right = whole_number(function, units), whole + (units - 4) * unit
        if answer == right:
            continue
        hints = {
            right + 16 * 32: "The projection has no kernel of its own: it reuses that of the third convolution.",
            right + 16 * 32 + 32: "The projection has no weights of its own: it reuses those of the third convolution.",
            right + 32: "The projection has no bias of its own.",
            right - 16 * units - 32: "Each unit has a second bias, after its addition.",
            right - 16 * units: "Each identity bottleneck has a second bias, after its addition.",
            right - 32: "The unit that projects has a second bias too.",
            right + 3 * 49 * 32 * 128: "Two max-poolings halve the map: 7x7 pixels reach the dense layer.",
            right - 49 * 16 * 128: "The dense layer sees 32 channels: the last unit has doubled them.",
            right - unit: "One identity bottleneck is missing.",
            right + unit: "There is one identity bottleneck too many. The unit that projects is counted by itself.",
        }
        off = f"{units} units gave {answer:,}, {abs(answer - right):,} too {'many' if answer > right else 'few'}. "
        raise Wrong(off + hints.get(answer, "Write the kernels and biases down, layer by layer."))
    return f"{unit} for an identity bottleneck; {whole:,} for four of them, as the tutorial's description says."


@exercise
def lowest_loss(function):
    """Check ``function(classes)``: the least cross-entropy that softmax of a softmax can have."""
    for classes in (10, 2, 1000):
        answer = real_number(answer_of(function, classes), f"For {classes} classes it should return one number")
        right = math.log(1 + (classes - 1) / math.e)
        if math.isclose(answer, right, rel_tol=1e-3):
            continue
        hints = [
            (0, "That is so when logits go in. A probability of 1, as a logit, is 1 above the others."),
            (math.log(classes), "That is the loss of a net that does not know. This one is certain, and right."),
            (1 / (1 + (classes - 1) / math.e), "That is the probability of the right class. The loss is its -log."),
            (math.log2(1 + (classes - 1) / math.e), "Cross-entropy here has the natural logarithm."),
            (math.log(classes - 1 + math.e), "The right class's own score, 1, must be taken off."),
        ]
        hint = hint_for(answer, hints, "Put (1, 0, ..., 0) into a softmax.", atol=1e-6)
        raise Wrong(f"{classes} classes gave {answer:.4g}. {hint}")
    return "ln(1 + (n - 1) / e): 1.461 for ten classes, although every answer is certain and right."


@exercise
def accuracy(function):
    """Check ``function(labels, outputs)``: the part of N images whose largest of C outputs is that of their label."""
    rng = np.random.default_rng(0)
    for count, classes in ((40, 10), (7, 3)):
        labels = rng.integers(classes, size=count)
        outputs = rng.normal(size=(count, classes)) + 2 * np.eye(classes)[labels]
        answer = answer_of(function, labels.copy(), outputs.copy(), case=f"{count} labels and outputs")
        answer = real_number(answer, "It should return one number between 0 and 1")
        right = float((outputs.argmax(axis=1) == labels).mean())
        if math.isclose(answer, right, abs_tol=1e-6):
            continue
        hints = [
            (1 - right, "That is the error. The accuracy is 1 minus it."),
            (100 * right, "That is in percent. It should be between 0 and 1."),
            (right * count, "That is how many are right. Divide by how many there are."),
            ((outputs.argmin(axis=1) == labels).mean(), "The prediction is where the output is largest."),
        ]
        otherwise = "The prediction for an image is the place of its largest output: argmax, axis 1."
        hint = hint_for(answer, hints, otherwise, rtol=0, atol=1e-6)
        raise Wrong(f"Of {count} images {round(right * count)} are right; it returned {answer:.4g}. {hint}")
    return "The share of images whose largest output stands at their label."
