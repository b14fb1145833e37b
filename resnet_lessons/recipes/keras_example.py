"""The faults of a well-known script, and how the recipe "keras-example" mends them, one by one, but for the last.

The script is ``examples/cifar10_resnet.py`` of Keras, as it was last published; what is said of Keras was seen under
Keras 3.15. A lesson prints the table.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Mended:
    """Say of one fault of the Keras example what is wrong, what "keras-example" does instead, and why.

    Args:
        fault: what the script does.
        mended: what the recipe does.
        reason: why that is better, or what it costs.
    """

    fault: str
    mended: str
    reason: str


KERAS_EXAMPLE_MENDED = (
    Mended(
        "LearningRateScheduler and ReduceLROnPlateau both set the rate.",
        "The recipe alone sets the rate.",
        "The scheduler sets back before each epoch what the other has changed, so the other never acts.",
    ),
    Mended(
        "The text has the rate fall after 80, 120, 160 and 180 epochs, the code after 81, 121, 161 and 181.",
        "The rate falls after 81, 121, 161 and 181.",
        "The code is what runs.",
    ),
    Mended(
        "ModelCheckpoint watches 'val_acc', a name that no metric has any more.",
        "No weights are picked by a metric: those after the last update count.",
        "Keras 3 cannot tell whether 'val_acc' should rise or fall, and refuses to train.",
    ),
    Mended(
        "The test images serve as validation, and the weights of the best epoch on them are kept.",
        "5,000 training images are held back for validation, and the test images are read once, at the end.",
        "Weights picked on the test images do better on them than on new images.",
    ),
    Mended(
        "All 50,000 training images are trained on, which leaves none to validate on.",
        "45,000 are trained on, so a pass is 1,407 updates, not 1,563.",
        "It costs a tenth of the images and of the updates, and so, most likely, a little accuracy.",
    ),
    Mended(
        "No seed is set, and four threads draw from one generator.",
        "One seed gives the initial weights, the order of the images and every shift and flip.",
        "Without a seed no run can be repeated.",
    ),
    Mended(
        "The L2 penalty is part of the loss that is reported.",
        "The same decay, 2e-4 * weight, is a term of the gradient, and the loss is the cross-entropy alone.",
        "Losses can be compared between recipes.",
    ),
    Mended(
        "All images are turned into float32, 737 MB of them, less the mean, and then shifted.",
        "Images stay uint8, are shifted and rounded to whole levels, and then lose the mean.",
        "It takes 184 MB. Rounding moves a value by at most 1/510 of its range.",
    ),
    Mended(
        "It calls ImageDataGenerator and fit_generator.",
        "Batches of our own go into fit.",
        "Keras 3 has neither, so the script stops at an import.",
    ),
    Mended(
        "ResNet-20 v1 starts from a loss of about 5, where guessing among ten classes has ln 10, or 2.3.",
        "It stays so: the network is the script's own.",
        "A net with other initial weights would be another one. It begins sure of wrong answers.",
    ),
)
