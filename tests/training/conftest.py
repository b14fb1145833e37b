from resnet_lessons.batches import Batches

import numpy as np
import pytest
import small_runs


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (22, 8, 8, 3), dtype=np.uint8), np.arange(22) % 10


@pytest.fixture
def batches(images):
    recipe = small_runs.RECIPE
    return Batches(*images, recipe.batch_size, "pad-crop-flip", 3, steps_per_epoch=recipe.steps_per_epoch)
