"""shapes10 is an honest stand-in: hard for a linear classifier (tests/data), learnt by a ResNet-20."""

from resnet_lessons import batches, training
from resnet_lessons.data import shapes10
from resnet_lessons.specs import Spec

import numpy as np
import pytest
from filled_models import output


@pytest.fixture(scope="module")
def drawn():
    """Images that no net has seen, and their labels: by a seed that neither the data set nor a stream begins with."""
    images, labels = shapes10.draw(500, seed=(1, 0, 0))
    return batches.normalize(images, np.float32(0.5)), labels


def right(images, labels):
    """Return the part of the images that the ResNet-20 that ships, trained on shapes10, gets right."""
    model = training.trained(Spec("v1", 20), "shapes10")
    return np.mean(output(model, images).argmax(axis=1) == labels)


def test_resnet_20_passes_90_percent_on_images_it_has_never_seen(drawn):
    """It ships with the record of its training, so what it has learnt can be learnt; training it here takes minutes."""
    assert right(*drawn) > 0.9


def test_a_drawing_that_has_changed_would_be_noticed(drawn):
    """Negative control: the same images without their outlines, each 8x8 square in its mean colour."""
    images, labels = drawn
    means = images.reshape(-1, 4, 8, 4, 8, 3).mean(axis=(2, 4))
    assert right(means.repeat(8, axis=1).repeat(8, axis=2), labels) < 0.5
