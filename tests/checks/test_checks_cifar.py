"""Lesson 03's exercises: correct answers written differently pass, wrong ones hear their own misconception."""

import functools
import itertools
import re

from resnet_lessons import batches, checks, recipes

import keras
import numpy as np
import pytest
from learners import disguised, written

# stage_output


def output_by_table(stage):
    return {1: (32, 16), 2: (16, 32), 3: (8, 64)}[stage]


@pytest.mark.parametrize(
    "function",
    [
        output_by_table,
        lambda stage: (32 // 2 ** (stage - 1), 16 * 2 ** (stage - 1)),
        lambda stage: [64 / 2**stage, 8 * 2**stage],
        lambda stage: np.array([64, 8]) * [0.5**stage, 2**stage],
        written("def f(stage): return 64 >> stage, np.int64(8 << stage)", "f"),
        *disguised(output_by_table),
    ],
)
def test_a_stages_output_passes_however_it_is_written(function):
    verdict = checks.stage_output(function)
    assert verdict.passed is True, verdict


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda s: output_by_table(s)[::-1], "Stage 1 gave 16 pixels and 32 channels. First the side in pixels"),
        (lambda s: (32 // 2**s, 8 * 2**s), "Stage 1 gave 16 pixels and 16 channels. Stage 1 keeps the size"),
        (lambda s: (64 // 2**s, 16 * 2**s), "Stage 1 gave 32 pixels and 32 channels. Stage 1 has the 16 channels"),
        (lambda s: (32 // s, 16 * s), "Stage 3 gave 10 pixels and 48 channels. Each stage halves and doubles"),
        (lambda s: (s, s), "Stage 1 gave 1 pixels and 1 channels. Stage 1 has 32x32 pixels"),
        (lambda _: (32, 32, 16), "For stage 1 it should return two whole numbers, side and channels"),
        (lambda _: "32", "For stage 1 it should return two whole numbers"),
        (lambda _: (31.5, 16), "For stage 1 it should return two whole numbers"),
        (lambda _: (True, 16), "For stage 1 it should return two whole numbers"),
    ],
)
def test_a_wrong_output_hears_why(function, says):
    verdict = checks.stage_output(function)
    assert verdict.passed is False
    assert verdict.message.startswith(says)


# multiply_adds


def work(n, *, stem=True, classifier=640, convs=2, halved=True, strided=True, sides=(32, 16, 8), taps=9):
    """Count layer by layer, with what learners forget or add as arguments."""
    total = classifier + stem * taps * 3 * 16 * 32**2
    for stage, side in enumerate(sides):
        filters = 16 * 2**stage
        for number in range(convs * n):
            first = number == 0 and stage > 0
            channels = filters // 2 if first and halved else filters
            area = (2 * side) ** 2 if first and not strided else side**2
            total += taps * channels * filters * area
    return int(total)


def work_by_keras(n):
    """Build the convolutions with Keras's own layers and read the shapes off them."""
    x = inputs = keras.Input((32, 32, 3))
    total = 640
    for filters in [16] + [16] * 2 * n + [32] * 2 * n + [64] * 2 * n:
        conv = keras.layers.Conv2D(filters, 3, strides=2 if 16 < filters != x.shape[-1] else 1, padding="same")
        x = conv(x)
        total += np.prod(x.shape[1:3]) * np.prod(conv.kernel.shape)
    assert keras.Model(inputs, x).output_shape == (None, 8, 8, 64)
    return total


@pytest.mark.parametrize(
    "function",
    [
        work,
        work_by_keras,
        lambda n: 27 * 16 * 1024 + (6 * n - 1) * 2_359_296 + 640,
        lambda n: float(work(n)),
        *disguised(work),
    ],
)
def test_multiply_adds_pass_however_they_are_counted(function):
    verdict = checks.multiply_adds(function)
    assert verdict.passed is True, verdict
    assert "40,551,040" in verdict.message


@pytest.mark.parametrize(
    ("mistake", "says"),
    [
        ({"stem": False}, "The first convolution is missing, from 3 channels to 16."),
        ({"classifier": 0}, "The classifier is missing: 64 features to 10 classes."),
        ({"stem": False, "classifier": 0}, "The first convolution and the classifier count too."),
        ({"classifier": 650}, "A bias is added, not multiplied."),
        ({"convs": 1}, "A unit has two convolutions."),
        ({"halved": False}, "The first convolution of stages 2 and 3 takes half as many channels in."),
        ({"strided": False}, "A strided convolution is computed at the pixels it puts out, a quarter of the others."),
        ({"sides": (32, 32 / 2**0.5, 16)}, "The side halves from stage to stage, so the pixels quarter."),
        ({"sides": (32, 32, 32)}, "The feature maps shrink: 32, 16, 8 pixels a side."),
        ({"taps": 1}, "A 3x3 kernel has nine places."),
        ({"convs": 3}, "Kernel weights times output pixels, for each convolution."),
    ],
)
def test_wrong_multiply_adds_hear_what_they_forgot(mistake, says):
    verdict = checks.multiply_adds(functools.partial(work, **mistake))
    answer, right = work(3, **mistake), work(3)
    off = f"{abs(answer - right):,} {'more' if answer > right else 'fewer'} than the net has. "
    assert verdict == checks.Verdict(False, f"n = 3 gave {answer:,}, {off}{says}")


def test_counting_both_operations_is_told():
    verdict = checks.multiply_adds(lambda n: 2 * work(n))
    assert verdict.message.endswith("One multiplication and the addition after it count as one.")


def test_work_right_for_one_net_only_is_found_out():
    verdict = checks.multiply_adds(lambda n: 40_551_040 if n == 3 else work(n, stem=False))
    assert verdict.passed is False
    assert verdict.message.startswith("n = 1 gave ")


# learning_rate


def rate_by_table(step, depth):
    if depth >= 110 and step < 400:
        return 0.01
    return [0.1, 0.01, 0.001][np.searchsorted([32_000, 48_000], step, side="right")]


@pytest.mark.parametrize(
    "function",
    [
        rate_by_table,
        lambda step, depth: recipes.get("he2015", depth).lr_at(step),
        lambda step, depth: np.float32(rate_by_table(step, depth)),
        written(
            "def f(step, depth):\n"
            "    rate = 0.1 if step < 32000 else 0.01 if step < 48000 else 0.001\n"
            "    return min(rate, 0.01) if depth > 108 and step < 400 else rate",
            "f",
        ),
        *disguised(rate_by_table),
    ],
)
def test_a_schedule_passes_however_it_is_written(function):
    verdict = checks.learning_rate(function)
    assert verdict.passed is True, verdict


def late(step, depth, *, by=1, drops=(32_000, 48_000), rate=0.1, warmup=400, deep=110):
    """Be late by one update, or have other drops, another rate or another warm-up."""
    if depth >= deep and step < warmup:
        return 0.01
    return rate / 10 ** sum(step >= drop + by for drop in drops)


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (
            late,
            "32,000 of a net of 20 layers gave 0.1, not 0.01. Counted from 0, update 32,000 is the one before which",
        ),
        (
            functools.partial(late, by=-1),
            "31,999 of a net of 20 layers gave 0.01, not 0.1. It is 0.1 until 32,000 updates",
        ),
        (functools.partial(late, by=0, drops=(32_000,)), "48,000 of a net of 20 layers gave 0.01, not 0.001. Counted"),
        (functools.partial(late, by=0, deep=20), "0 of a net of 20 layers gave 0.01, not 0.1. Only nets of 110"),
        (functools.partial(late, by=0, deep=100), "0 of a net of 104 layers gave 0.01, not 0.1. Only nets of 110"),
        (functools.partial(late, by=0, deep=1000), "0 of a net of 110 layers gave 0.1, not 0.01. Nets of 110 layers"),
        (lambda s, d: 0.01 if d == 110 and s < 400 else late(s, 20, by=0), "0 of a net of 1202 layers gave 0.1, not"),
        (functools.partial(late, by=0, warmup=0), "0 of a net of 110 layers gave 0.1, not 0.01. Nets of 110 layers"),
        (functools.partial(late, by=0, warmup=399), "399 of a net of 110 layers gave 0.1, not 0.01. Nets of 110"),
        (
            functools.partial(late, by=0, warmup=401),
            "400 of a net of 110 layers gave 0.01, not 0.1. The warm-up is over",
        ),
        (functools.partial(late, by=0, rate=0.3), "0 of a net of 20 layers gave 0.3, not 0.1. It is 0.1 until 32,000"),
        (lambda *_: [0.1], "For update 0 of 20 layers it should return one number"),
        (lambda *_: "0.1", "For update 0 of 20 layers it should return one number"),
        (lambda *_: np.nan, "For update 0 of 20 layers it should return one number"),
    ],
)
def test_a_wrong_schedule_hears_where(function, says):
    verdict = checks.learning_rate(function)
    assert verdict.passed is False
    assert verdict.message.removeprefix("Update ").startswith(says)


# honest_split


def split_by_class(labels, validation, seed, *, replace=False):
    rng = np.random.default_rng(seed)
    share = validation // len(np.unique(labels))
    chosen = [rng.choice(np.flatnonzero(labels == c), share, replace=replace) for c in np.unique(labels)]
    held_back = np.concatenate(chosen)
    return np.setdiff1d(np.arange(len(labels)), held_back), held_back


def split_by_loop(labels, validation, seed):
    order = np.random.default_rng(seed).permutation(len(labels)).tolist()
    train, held_back, left = [], [], dict.fromkeys(set(labels.tolist()), validation // len(set(labels.tolist())))
    for index in order:
        side = held_back if left[labels[index]] else train
        left[labels[index]] -= side is held_back
        side.append(index)
    return train, held_back


@pytest.mark.parametrize(
    "function", [split_by_class, split_by_loop, lambda *a: batches.split(*a), *disguised(split_by_class)]
)
def test_a_split_passes_however_it_is_made(function):
    verdict = checks.honest_split(function)
    assert verdict.passed is True, verdict


def split_at_random(labels, validation, seed):
    order = np.random.default_rng(seed).permutation(len(labels))
    return order[validation:], order[:validation]


def first_of_each(labels, validation, _):
    held_back = np.concatenate([np.flatnonzero(labels == c)[: validation // 5] for c in range(5)])
    return np.setdiff1d(np.arange(len(labels)), held_back), held_back


def sorting(labels, validation, seed):
    result = split_by_class(labels, validation, seed)
    labels.sort()
    return result


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda y, v, s: (np.arange(len(y)), split_by_class(y, v, s)[1]), "Some images are on both sides."),
        (split_at_random, "The classes have ["),
        (first_of_each, "Seeds 0 and 1 gave the same split."),
        (lambda y, v, _: split_by_class(y, v, None), "Two calls with one seed gave two splits"),
        (
            lambda y, v, s: split_by_class(y, v, s)[::-1],
            "50 of 200 images were to be held back. It held 150 back. Return the images to train on first.",
        ),
        (lambda y, v, s: (split_by_class(y, v, s)[0][:100], split_by_class(y, v, s)[1]), "Every image belongs on one"),
        (lambda y, v, s: split_by_class(y, v - 5, s), "50 of 200 images were to be held back. It held 45 back."),
        (lambda y, v, _: (np.argsort(y), np.argsort(y)[:v]), "Some images are on both sides."),
        (lambda y, v, _: np.split(np.argsort(y)[::-1], [len(y) - v]), "The classes have [40, 10, 0, 0, 0] validation"),
        (sorting, "It changed the labels that it was given."),
        (lambda y, *_: (y[:150] > 2, y[150:] > 2), "It should return two arrays of indices"),
        (lambda y, v, s: split_by_class(y, v, s)[0], "It should return two arrays of indices"),
        (lambda y, v, s: [part + 1 for part in split_by_class(y, v, s)], "Indices go from 0 to 199."),
    ],
)
def test_a_wrong_split_hears_why(function, says):
    verdict = checks.honest_split(function)
    assert verdict.passed is False
    assert verdict.message.startswith(says)


def test_an_image_held_back_twice_is_found():
    def twice(labels, validation, seed):
        train, held_back = split_by_class(labels, validation, seed, replace=True)
        return train, held_back

    assert checks.honest_split(twice).message.startswith("Every image belongs on one of the two sides, once.")


# pad_crop_flip


def augmented(images, rng, *, high=9, pad=4, share=0.5, mode="constant", axis=1, flip_all=False):
    """Treat image by image, with what learners get wrong as arguments."""
    result = np.empty_like(images)
    padded = np.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode=mode)
    for number, image in enumerate(padded):
        top, left = rng.integers(0, high, 2)
        window = image[top : top + 32, left : left + 32]
        result[number] = np.flip(window, axis) if flip_all or rng.random() < share else window
    return result


def indexed(*, left=None, mirrored=None):
    """Return an augmentation by indices; ``left`` and ``mirrored`` compute column and mirroring from the row."""

    def augment(images, rng):
        count = len(images)
        padded = np.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0)))
        top = rng.integers(0, 9, count)
        columns = (left(top) if left else rng.integers(0, 9, count))[:, None] + np.arange(32)
        flipped = mirrored(top) if mirrored else rng.random(count) < 0.5
        columns[flipped] = columns[flipped, ::-1]
        return padded[np.arange(count)[:, None, None], (top[:, None] + np.arange(32))[:, :, None], columns[:, None, :]]

    return augment


@pytest.mark.parametrize(
    "function",
    [augmented, indexed(), batches.pad_crop_flip, lambda x, rng: augmented(x[:, :, ::-1], rng)],
)
def test_an_augmentation_passes_however_it_is_written(function):
    verdict = checks.pad_crop_flip(function)
    assert verdict.passed is True, verdict


def one_crop(images, rng, mirror=0.5):
    top, left = rng.integers(0, 9, 2)
    result = np.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0)))[:, top : top + 32, left : left + 32].copy()
    flipped = rng.random(len(images)) < mirror
    result[flipped] = result[flipped, :, ::-1]
    return result


def mirrored_alone(images, rng):
    flipped = rng.random((len(images), 1, 1, 1)) < 0.5
    return np.where(flipped, images[:, :, ::-1], images)


def diagonal(images, rng):
    result = np.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0)))
    windows = [
        image[place : place + 32, place : place + 32]
        for image, place in zip(result, rng.integers(9, size=2000), strict=True)
    ]
    return mirrored_alone(np.stack(windows), rng)


def mirrored_in_place(images, rng):
    result = augmented(images, rng)
    images[::2] = images[::2, :, ::-1]
    return result


def mostly_central(images, rng):
    class Binomial:
        random = rng.random
        integers = staticmethod(lambda *_: rng.binomial(8, 0.5, 2))

    return augmented(images, Binomial)


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda x, _: x, "No image was moved."),
        (mirrored_alone, "No image was moved."),
        (one_crop, "The whole batch got one crop."),
        (lambda x, rng: augmented(x, rng, share=0), "None of 2,000 images were mirrored."),
        (lambda x, rng: augmented(x, rng, flip_all=True), "All of 2,000 images were mirrored."),
        (lambda x, rng: augmented(x, rng, axis=0), "An image was turned upside down."),
        (lambda x, rng: augmented(x, rng).transpose(0, 2, 1, 3), "Rows and columns were exchanged."),
        (lambda x, rng: augmented(x, rng, mode="edge"), "The border holds no zeros"),
        (lambda x, rng: augmented(x, rng, mode="reflect"), "The border holds no zeros"),
        (
            lambda x, rng: augmented(x, rng, high=8),
            "A window can begin at 9 places, 0 to 8. From the top never seen: 8.",
        ),
        (lambda x, rng: augmented(x, rng, high=5, pad=2), "A window can begin at 9 places"),
        (diagonal, "All windows lie on the diagonal"),
        (mostly_central, "Some places are far more frequent than others"),
        (
            indexed(mirrored=lambda top: top < 5),
            "4,000 images took only 81 of the 162 versions. Draw three numbers for each image",
        ),
        (indexed(left=lambda top: 8 - top), "4,000 images took only 18 of the 162 versions."),
        (mirrored_in_place, "It changed the images that it was given"),
        (lambda x, _: augmented(x, np.random.default_rng(0)), "Two generators gave the same crops."),
        (lambda x, _: augmented(x, np.random.default_rng()), "The same generator gave two results."),
        (lambda x, rng: rng.permutation(augmented(x, rng)), "Image 0 came back as another one."),
        (lambda x, rng: 255 - augmented(x, rng), "Image 0 is no 32x32 window of itself"),
        (
            lambda x, rng: augmented(x, rng) / np.float32(255),
            "The images should stay uint8. They came back as float32.",
        ),
        (lambda x, rng: augmented(x, rng)[:, :28], "Images of shape (2000, 32, 32, 3) should keep it."),
        (lambda *_: "crop", "It should return an array of images."),
    ],
)
def test_a_wrong_augmentation_hears_why(function, says):
    verdict = checks.pad_crop_flip(function)
    assert verdict.passed is False
    assert verdict.message.startswith(says)


def test_too_few_mirrored_images_are_counted():
    message = checks.pad_crop_flip(lambda x, rng: augmented(x, rng, share=0.2)).message
    assert re.fullmatch(r"(1[5-9]|2[0-5])% of the images were mirrored. It should be about half.", message)


def test_every_one_of_the_162_versions_is_recognised():
    """The check's list of versions against windows cut out here, one by one."""
    from resnet_lessons.checks import cifar

    images, places = cifar._marked(162)
    padded = np.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0)))
    versions = list(itertools.product(range(9), range(9), (False, True)))
    cut = [
        window[:, ::-1] if mirrored else window
        for (top, left, mirrored), image in zip(versions, padded, strict=True)
        for window in [image[top : top + 32, left : left + 32]]
    ]
    assert cifar._windows(np.stack(cut), places).tolist() == [list(version) for version in versions]
