"""shapes10 is an honest stand-in: hard for a linear classifier (tests/data), learnt by ResNet-20 in half a minute."""

import dataclasses

from resnet_lessons import batches, recipes, training
from resnet_lessons.data import shapes10
from resnet_lessons.specs import Spec

import numpy as np


def test_resnet_20_passes_90_percent_on_images_it_has_never_seen():
    recipe = dataclasses.replace(recipes.get("short").resized(500), batch_size=64)
    stream = batches.FreshShapes(recipe.batch_size, recipe.steps_per_epoch, seed=0)
    model = training.fit(Spec("v1", 20), recipe, stream).model
    images, labels = shapes10.draw(2000, seed=(1, 0, 0))  # the stream's seeds begin with 0
    predicted = model.predict(batches.normalize(images, np.float32(0.5)), batch_size=500, verbose=0).argmax(axis=1)
    assert np.mean(predicted == labels) > 0.9
