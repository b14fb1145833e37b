"""A network, recipes and images so small that a run takes a second, and what several tests look at a run with."""

import hashlib
import json

from resnet_lessons import data, training
from resnet_lessons.recipes import Recipe
from resnet_lessons.specs import Spec

import keras
import numpy as np

SPEC = Spec("plain", 8, width=4, input_shape=(8, 8, 3))
# 22 images in batches of 8 end each pass in one of 6; epochs of 2 updates cut the passes of 3; 7 updates end amid one.
RECIPE = Recipe(
    "tiny",
    steps=7,
    batch_size=8,
    learning_rate=0.5,
    drops=(0.5, 0.75),
    warmup_steps=1,
    weight_decay=1e-2,
    validation=0,
    steps_per_epoch=2,
)
# For ``train``: a net with random state of its own; passes of 3 updates over 40 images, epochs of 4 and a last of 2.
DROPPING = Spec("v1", 8, width=4, input_shape=(8, 8, 3), skip="dropout")
HELD_BACK = Recipe("tiny", steps=10, batch_size=16, learning_rate=0.1, validation=10, steps_per_epoch=4)


def dataset(shape=(8, 8, 3), train=50, test=20, seed=0):
    """Return a ``data.Dataset`` of noise whose labels can be learned: each class has a brightness of its own."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for part, count in (("train", train), ("test", test)):
        labels = np.arange(count) % 10
        arrays[f"x_{part}"] = rng.integers(0, 128 + 12 * labels[:, None, None, None], (count, *shape), dtype=np.uint8)
        arrays[f"y_{part}"] = labels
    digest = hashlib.sha256(b"".join(array.tobytes() for array in arrays.values())).hexdigest()
    names = tuple(f"brightness {label}" for label in range(10))
    return data.Dataset("bright", **arrays, class_names=names, source="bright: noise of ten kinds", digest=digest)


def train(out=None, spec=DROPPING, recipe=HELD_BACK, images=None, **options):
    """Call ``training.train`` on small things, silently, and so that it repeats bit for bit."""
    options = {"precision": "float32", "progress": None, "deterministic": True} | options
    return training.train(spec, recipe, images or dataset(), out, **options)


def files(folder):
    """Return what a folder holds, name to bytes, its lock aside."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != ".lock"}


def log_of(folder):
    """Return the log's lines without ``seconds``."""
    lines = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in lines]


def same_weights(one, other):
    """Return whether two models have the same weights, bit for bit."""
    return all(a.tobytes() == b.tobytes() for a, b in zip(one.get_weights(), other.get_weights(), strict=True))


def array(variable):
    """Return a variable's value as an array; converting the variable itself warns."""
    return keras.ops.convert_to_numpy(variable + 0)


def cross_entropy(probabilities, labels):
    """Return the mean loss, computed by NumPy in float64."""
    return -np.log(np.asarray(probabilities, "float64")[np.arange(len(labels)), labels]).mean()


def softmax(logits):
    """Return probabilities in float64."""
    logits = np.asarray(logits, "float64")
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


BEFORE = 2  # looks before the first update: when the net is built, and when ``fit`` begins


class AfterUpdates:
    """An event that is set after so many updates of ``HELD_BACK``: every fifth look is at a batch of validation."""

    def __init__(self, updates):
        self.left, self.looks = updates, -BEFORE

    def is_set(self):
        """Count a look."""
        self.looks += 1
        if self.looks > 0 and self.looks % (HELD_BACK.steps_per_epoch + 1):
            self.left -= 1
        return self.left <= 0


class AtLook:
    """An event that is set from its look number ``look`` on: one after each batch of training, validation and test.

    The looks before the first update are 1 - ``BEFORE`` to 0.
    """

    def __init__(self, look):
        self.left = look + BEFORE

    def is_set(self):
        """Count a look."""
        self.left -= 1
        return self.left <= 0
