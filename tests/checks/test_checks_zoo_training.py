"""The zoo's checks of training code: specimens are caught, cures of several kinds pass, and half a cure is told."""

from resnet_lessons import checks

import keras
import numpy as np
import pytest
from learners import disguised, written

# zoo_rates


def scheduler(relative=True, drops=(80, 120)):
    def absolute(epoch):
        return 0.1 / 10 ** sum(epoch >= drop for drop in drops)

    def relatively(epoch, rate):
        return rate / 10 if epoch in drops else rate

    return keras.callbacks.LearningRateScheduler(relatively if relative else absolute)


def half_scheduler():
    """Divide only a rate that no plateau has cut."""
    return keras.callbacks.LearningRateScheduler(
        lambda epoch, rate: rate / 10 if epoch in (80, 120) and rate > 0.005 else rate
    )


def plateau(patience, factor=0.5, **kwargs):
    return keras.callbacks.ReduceLROnPlateau(factor=factor, patience=patience, **kwargs)


class OneOwner(keras.callbacks.Callback):
    """Keep the number of halvings, and set the rate from epoch and halvings alone."""

    def __init__(self, patience):
        super().__init__()
        self.patience, self.best, self.waited, self.halvings = patience, np.inf, 0, 0

    def on_epoch_begin(self, epoch, logs=None):  # noqa: ARG002 - Keras's signature
        drops = (epoch >= 80) + (epoch >= 120)
        self.model.optimizer.learning_rate = 0.1 / 10**drops / 2**self.halvings

    def on_epoch_end(self, epoch, logs):  # noqa: ARG002
        better = logs["val_loss"] < self.best - 1e-4
        self.best, self.waited = min(self.best, logs["val_loss"]), 0 if better else self.waited + 1
        if self.waited >= self.patience:
            self.halvings, self.waited = self.halvings + 1, 0


RATES = [
    lambda patience: [scheduler(), plateau(patience)],
    lambda patience: [plateau(patience), scheduler()],
    lambda patience: (scheduler(), plateau(patience, cooldown=3)),
    lambda patience: [OneOwner(patience)],
]


@pytest.mark.parametrize("function", RATES + disguised(RATES[0]))
def test_rates_on_which_both_act_pass(function):
    verdict = checks.zoo_rates(function)
    assert verdict.passed is True, verdict


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (
            lambda patience: [scheduler(relative=False), plateau(patience)],
            "After epoch 15 the rate was cut to 0.05; before the first update of epoch 16 it was set back to 0.1.",
        ),
        (lambda patience: [plateau(patience), scheduler(relative=False)], "it was set back to 0.1"),
        (lambda _: [scheduler()], "the rate should be halved after 5 more epochs. It first falls in 80."),
        (lambda patience: [plateau(patience)], "the rate of epoch 80 should be 0.01. It is 0.1."),
        (lambda patience: [scheduler(drops=(60, 120)), plateau(patience)], "the rate of epoch 79 should be 0.1"),
        (lambda patience: [scheduler(), plateau(patience - 3)], "halved after 5 more epochs. It first falls in 13."),
        (lambda patience: [scheduler(), plateau(patience + 20)], "It first falls in 36."),
        (
            lambda patience: [scheduler(), plateau(patience, factor=0.1)],
            "the rate should be halved, from 0.1 to 0.05. In epoch 16 it becomes 0.01.",
        ),
        (lambda patience: [scheduler(), plateau(patience, factor=0.95)], "In epoch 16 it becomes 0.095."),
        (lambda patience: [half_scheduler(), plateau(patience)], "still be divided by 10 at epochs 80 and 120"),
        (lambda _: [], "It should return a list of Keras callbacks."),
        (lambda _: scheduler(), "It should return a list of Keras callbacks."),
        (lambda _: [keras.callbacks.LearningRateScheduler], "Your function raised TypeError"),
    ],
)
def test_other_rates_are_told(function, says):
    verdict = checks.zoo_rates(function)
    assert verdict.passed is False
    assert says in verdict.message


# zoo_report


def best_by_validation(val, test):
    best = int(np.argmax(val))
    return best, test[best]


@pytest.mark.parametrize(
    "function",
    [
        best_by_validation,
        lambda val, test: [np.argmax(val), test[np.argmax(val)]],
        lambda val, test: max(enumerate(test), key=lambda pair: val[pair[0]]),
        written("def f(v, t):\n    i = sorted(range(len(v)), key=v.__getitem__)[-1]\n    return i, t[i]", "f"),
        *disguised(best_by_validation),
    ],
)
def test_a_choice_by_validation_passes(function):
    verdict = checks.zoo_report(function)
    assert verdict.passed is True, verdict


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda _, test: best_by_validation(test, test), "the one of 30 that does best on the test images"),
        (lambda val, test: best_by_validation(val + test, test), "is the best on the validation images"),
        (lambda _, test: (len(test) - 1, test[-1]), "It keeps 29."),
        (lambda val, _: best_by_validation(val, val), "It reports the validation accuracy"),
        (lambda val, test: (int(np.argmax(val)), max(test)), "It reports 0."),
        (lambda val, test: best_by_validation(val, test)[1], "It should return an epoch and an accuracy."),
        (lambda val, test: (val, test), "The epoch should be one number."),
    ],
)
def test_another_choice_is_told(function, says):
    verdict = checks.zoo_report(function)
    assert verdict.passed is False
    assert says in verdict.message


# zoo_crops


def cropped(draw):
    """Return a function that crops at the places (B, 2) that ``draw(rng, count)`` gives."""

    def crops(images, rng):
        count, height, width, _ = images.shape
        padded = np.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0)))
        places = np.broadcast_to(draw(rng, count), (count, 2))
        return np.stack([x[i : i + height, j : j + width] for x, (i, j) in zip(padded, places, strict=True)])

    return crops


def one_row(rng, count):
    return np.stack([np.full(count, rng.integers(9)), rng.integers(9, size=count)], axis=1)


def antidiagonal(rng, count):
    top = rng.integers(9, size=count)
    return np.stack([top, 8 - top], axis=1)


def by_windows(images, rng):
    count, height, width, _ = images.shape
    padded = np.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(1, 2))  # (B, 9, 9, C, H, W)
    top, left = rng.integers(9, size=count), rng.integers(9, size=count)
    return windows[np.arange(count), top, left].transpose(0, 2, 3, 1)


@pytest.mark.parametrize(
    "function",
    [
        cropped(lambda rng, count: rng.integers(0, 9, (count, 2))),
        cropped(lambda rng, count: rng.choice(9, (count, 2))),
        lambda images, rng: by_windows(images, rng).astype("float32"),
        *disguised(by_windows),
    ],
)
def test_a_crop_for_each_image_passes(function):
    verdict = checks.zoo_crops(function)
    assert verdict.passed is True, verdict


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (cropped(lambda rng, _: rng.integers(0, 9, 2)), "All 64 images of a batch were cropped at one and the same"),
        (lambda images, _: images, "All 64 images of a batch"),
        (cropped(lambda rng, count: rng.integers(0, 9, (count, 1))), "moved as far down as to the right"),
        (cropped(one_row), "All 64 images of a batch were cropped at one and the same row. Each should have its own."),
        (cropped(lambda *a: one_row(*a)[:, ::-1]), "All 64 images of a batch were cropped at one and the same column."),
        (cropped(antidiagonal), "2048 crops began at only 9 of 81 places. Draw the row and the column for each image"),
        (cropped(lambda rng, count: rng.integers(0, 8, (count, 2))), "none began at row 8 of the padded image"),
        (cropped(lambda rng, count: rng.integers(1, 9, (count, 2))), "none began at row 0"),
        (cropped(lambda rng, count: rng.integers(0, [9, 8], (count, 2))), "none began at column 8"),
        (cropped(lambda _, count: np.random.default_rng().integers(0, 9, (count, 2))), "some draws are not from rng"),
        (lambda images, rng: np.roll(by_windows(images, rng), 1, axis=0), "Image 0 of the result is no window"),
        (lambda images, rng: by_windows(images, rng)[:, :, ::-1], "Image 0 of the result is no window"),
        (lambda images, _: images[:, 1:], "It should return images of the shape (64, 12, 10, 2)."),
        (lambda *_: "crops", "It should return images"),
    ],
)
def test_other_crops_are_told(function, says):
    verdict = checks.zoo_crops(function)
    assert verdict.passed is False
    assert says in verdict.message


# zoo_order


def shuffled(count, seed, epoch):
    return np.random.default_rng((seed, epoch)).permutation(count)


@pytest.mark.parametrize(
    "function",
    [
        shuffled,
        lambda count, seed, epoch: np.random.default_rng(1000 * seed + epoch).permutation(count).tolist(),
        lambda count, seed, epoch: np.argsort(np.random.default_rng((seed, epoch)).random(count)),
        *disguised(shuffled),
    ],
)
def test_an_order_for_each_epoch_passes(function):
    verdict = checks.zoo_order(function)
    assert verdict.passed is True, verdict


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda count, seed, _: shuffled(count, seed, 0), "Two epochs of one run serve the images in the same order"),
        (lambda count, seed, epoch: shuffled(count, seed, epoch // 2), "Two epochs of one run"),
        (lambda count, _, epoch: shuffled(count, 0, epoch), "Runs with the seeds 0 and 1"),
        (lambda count, *_: np.random.default_rng().permutation(count), "The same seed and epoch gave two different"),
        (
            lambda count, seed, epoch: np.random.default_rng(seed + epoch).permutation(count),
            "Seed 0, epoch 1 and seed 1, epoch 0 have the same order. Each epoch of each run should have its own.",
        ),
        (
            lambda count, seed, epoch: np.random.default_rng(seed + 3 * epoch).permutation(count),
            "Seed 0, epoch 1 and seed 3, epoch 0 have the same order.",
        ),
        (
            lambda count, seed, epoch: np.roll(np.arange(count), seed + 3 * epoch + 1),
            "For seed 0, epoch 0 the images come in the order in which they lie, begun at image 49.",
        ),
        (
            lambda count, seed, epoch: np.roll(np.arange(count), seed + 3 * epoch),
            "in which they lie, begun at image 0. They should be shuffled.",
        ),
        (
            lambda count, seed, epoch: np.roll(shuffled(count, seed, 0), epoch),
            "Seed 0, epoch 0 and seed 0, epoch 1 have the same order, begun elsewhere.",
        ),
        (lambda count, *_: np.arange(count), "The images come in the order in which they lie."),
        (
            lambda count, seed, epoch: np.random.default_rng((seed, epoch)).integers(0, count, count),
            "it should return each number from 0 to 49 once",
        ),
        (lambda *arguments: shuffled(*arguments) + 1, "it should return each number from 0 to 49 once"),
        (lambda *arguments: shuffled(*arguments)[:-1], "it should return each number from 0 to 49 once"),
    ],
)
def test_another_order_is_told(function, says):
    verdict = checks.zoo_order(function)
    assert verdict.passed is False
    assert says in verdict.message


# zoo_validation


def split(images, labels, augment, *, train=True, val=False, share=5, overlap=0):
    held_back = len(images) // share
    parts = (images[held_back - overlap :], labels[held_back - overlap :]), (images[:held_back], labels[:held_back])
    return tuple((augment(x) if wanted else x, y) for (x, y), wanted in zip(parts, (train, val), strict=True))


def split_at_random(images, labels, augment):
    order = np.random.default_rng(0).permutation(len(images))
    val, train = np.split(order, [len(images) // 5])
    return [(augment(images[train]), labels[train]), [images[val], labels[val].tolist()]]


@pytest.mark.parametrize("function", [split, split_at_random, *disguised(split)])
def test_a_validation_set_as_it_came_passes(function):
    verdict = checks.zoo_validation(function)
    assert verdict.passed is True, verdict


def misnamed(images, labels, augment):
    (x, y), validation = split(images, labels, augment)
    return (x, y[::-1]), validation


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda x, y, augment: split(augment(x), y, augment, train=False), "20 of 20 validation images had been"),
        (lambda *a: split(*a, val=True), "20 of 20 validation images had been through augment."),
        (lambda *a: split(*a, train=False), "80 of the 80 images to train on were not augmented."),
        (lambda *a: split(*a, share=4), "Of 100 images it trains on 75 and validates on 25, not 20."),
        (lambda *a: split(*a, overlap=3), "Of 100 images it trains on 83 and validates on 20"),
        (lambda x, y, f: ((f(x[:80]), y[:80]), (x[:20], y[:20])), "20 images are among those to train and those to"),
        (misnamed, "Some images have labels that are not theirs."),
        (lambda x, y, augment: (augment(x), y), "It should return two pairs of images and labels."),
        (lambda x, y, _: ((x, y[:3]), (x, y)), "Images should be (N, 4, 4, 1) and labels (N,)."),
    ],
)
def test_another_split_is_told(function, says):
    verdict = checks.zoo_validation(function)
    assert verdict.passed is False
    assert says in verdict.message
