"""Order and augmentation as a pure function of (seed, epoch, index), against slow references and under Keras's fit."""

import concurrent.futures
import re
import sys
import tracemalloc
import types
from pathlib import Path

from resnet_lessons import backend, batches, recipes
from resnet_lessons.batches import Batches, FreshShapes
from resnet_lessons.data import shapes10

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from scipy import ndimage


def numbered(count, side=6):
    """Return ``count`` images of one colour each, which tells their number, and labels number % 10."""
    numbers = np.arange(count)
    images = np.zeros((count, side, side, 3), np.uint8)
    images[..., 0], images[..., 1] = (numbers % 256)[:, None, None], (numbers // 256)[:, None, None]
    return images, numbers % 10


def numbers_of(images):
    """Read the numbers of ``numbered`` images off what ``Batches`` serves without augmentation."""
    pixels = np.rint(np.asarray(images)[:, 0, 0] * 255).astype(int)
    return (pixels[:, 0] + 256 * pixels[:, 1]).tolist()


def random_images(count, side=8, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8), rng.integers(0, 10, count)


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


# A pure function of seed, epoch and index


@pytest.mark.parametrize("augment", batches.AUGMENT)
def test_a_batch_is_the_same_whenever_and_wherever_it_is_asked_for(augment):
    x, y = random_images(23)
    make = lambda: Batches(x, y, 4, augment, 5, steps_per_epoch=5)  # noqa: E731
    keys = [(epoch, index) for epoch in range(7) for index in range(5)]
    served = {key: make().at(*key) for key in keys}  # a new instance for each
    shuffled = np.random.default_rng(1).permutation(keys).tolist()
    other = make()
    assert all(same(other.at(*key), served[tuple(key)]) for key in shuffled)
    threaded = make()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for key, batch in zip(shuffled * 3, pool.map(lambda key: threaded.at(*key), shuffled * 3), strict=True):
            assert same(batch, served[tuple(key)])


def test_a_thread_at_another_pass_does_not_change_the_order():
    """Between a look at the remembered order and its use, another thread may have remembered another."""
    x, y = numbered(6)
    wanted = Batches(x, y, 6, seed=0).order(1).tolist()

    class Interrupted(Batches):
        interrupted = False

        def __getattribute__(self, name):
            value = super().__getattribute__(name)
            if name == "_order" and self.interrupted:
                self.interrupted = False
                self.order(2)
            return value

    stream = Interrupted(x, y, 6, seed=0)
    stream.order(1)
    stream.interrupted = True
    assert stream.order(1).tolist() == wanted


def test_another_seed_is_another_order_and_other_crops():
    x, y = random_images(40)
    orders = [Batches(x, y, 8, seed=seed).order(0).tolist() for seed in range(5)]
    assert len(set(map(tuple, orders))) == 5
    alike = np.repeat(x[:1], 40, 0)  # crops and shifts alone can differ
    for augment in ("pad-crop-flip", "shift-flip"):
        one, other = (Batches(alike, y, 40, augment, seed).at(0, 0)[0] for seed in (0, 1))
        assert not np.array_equal(one, other)


def test_order_and_crops_do_not_share_random_numbers():
    x, y = random_images(30)
    plain, augmented = Batches(x, y, 30, seed=3), Batches(x, y, 30, "pad-crop-flip", 3)
    assert plain.order(0).tolist() == augmented.order(0).tolist()
    stream = np.random.default_rng((3, 0, 0))
    assert not np.array_equal(
        augmented.at(0, 0)[0], batches.normalize(batches.pad_crop_flip(x[plain.order(0)], stream))
    )


@given(st.integers(1, 60), st.integers(1, 70), st.integers(0, 2**40), st.data())
def test_every_pass_serves_every_image_once(count, batch_size, seed, data):
    x, y = numbered(count, side=1)
    stream = Batches(x, y, batch_size, seed=seed)
    assert len(stream) == -(-count // batch_size)
    epoch = data.draw(st.integers(0, 1000))
    served = [stream.at(epoch, index) for index in range(len(stream))]
    assert [len(labels) for _, labels in served[:-1]] == [batch_size] * (len(served) - 1)
    numbers = [number for images, _ in served for number in numbers_of(images)]
    assert sorted(numbers) == list(range(count))
    assert [number % 10 for number in numbers] == [label for _, labels in served for label in labels.tolist()]


@given(st.integers(1, 40), st.integers(1, 20), st.integers(1, 12), st.integers(0, 9))
def test_passes_go_on_where_epochs_cut_them(count, batch_size, steps_per_epoch, seed):
    x, y = numbered(count, side=1)
    whole, cut = (
        Batches(x, y, batch_size, seed=seed),
        Batches(x, y, batch_size, seed=seed, steps_per_epoch=steps_per_epoch),
    )
    assert len(cut) == steps_per_epoch
    passes = [numbers_of(whole.at(turn, index)[0]) for turn in range(3) for index in range(len(whole))]
    epochs = -(-len(passes) // steps_per_epoch)
    epochs = [numbers_of(cut.at(epoch, index)[0]) for epoch in range(epochs) for index in range(steps_per_epoch)]
    assert epochs[: len(passes)] == passes


def test_some_of_the_images():
    x, y = numbered(20)
    chosen = [3, 17, 5, 11]
    stream = Batches(x, y, 3, seed=0, indices=chosen)
    assert len(stream) == 2
    assert sorted(numbers_of(stream.at(4, 0)[0]) + numbers_of(stream.at(4, 1)[0])) == sorted(chosen)
    assert numbers_of(Batches(x, y, 4, indices=np.array(chosen)).at(9, 0)[0]) == chosen  # no seed: their own order


def test_no_two_epochs_are_alike():
    x, y = numbered(50)
    stream = Batches(x, y, 10, seed=0)
    orders = {tuple(n for index in range(5) for n in numbers_of(stream.at(epoch, index)[0])) for epoch in range(50)}
    assert len(orders) == 50


def crops_of(images, original):
    """Find each (top, left, flipped) by which a crop of the padded original gives an image; one or more each."""
    size = len(original)
    padded = np.pad(original, ((4, 4), (4, 4), (0, 0)))
    windows = {
        (top, left, flipped): padded[top : top + size, left : left + size][:, :: -1 if flipped else 1]
        for top in range(9)
        for left in range(9)
        for flipped in (False, True)
    }
    return [frozenset(key for key, window in windows.items() if np.array_equal(window, image)) for image in images]


def test_every_image_of_a_batch_has_a_crop_of_its_own_and_a_new_one_every_epoch():
    x, y = random_images(1)
    stream = Batches(np.repeat(x, 64, axis=0), np.repeat(y, 64), 64, "pad-crop-flip", 0)
    epochs = []
    for epoch in range(3):
        images = np.rint(stream.at(epoch, 0)[0] * 255).astype(np.uint8)
        crops = crops_of(images, x[0])
        assert all(len(found) == 1 for found in crops)
        epochs.append([next(iter(found)) for found in crops])
        assert len(set(epochs[-1])) > 30  # of 162
    assert len({tuple(epoch) for epoch in epochs}) == 3


# Augmentation


def slow_pad_crop_flip(images, rng):
    """Crop and mirror image by image and pixel by pixel, drawing in the order that ``pad_crop_flip`` draws."""
    count, height, width, _ = images.shape
    tops, lefts = rng.integers(0, 9, (2, count))
    mirrored = rng.random(count) < 0.5
    out = np.zeros_like(images)
    for number in range(count):
        for row in range(height):
            for column in range(width):
                source_row = tops[number] + row - 4
                source_column = lefts[number] + (width - 1 - column if mirrored[number] else column) - 4
                if 0 <= source_row < height and 0 <= source_column < width:
                    out[number, row, column] = images[number, source_row, source_column]
    return out


@given(st.integers(1, 6), st.integers(1, 7), st.integers(1, 7), st.integers(1, 4), st.integers(0, 99))
def test_pad_crop_flip_equals_a_loop_over_pixels(count, height, width, channels, seed):
    images = np.random.default_rng(seed).integers(0, 256, (count, height, width, channels), dtype=np.uint8)
    before = images.copy()
    found = batches.pad_crop_flip(images, np.random.default_rng(seed))
    np.testing.assert_array_equal(found, slow_pad_crop_flip(images, np.random.default_rng(seed)))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(images, before)


def test_all_crops_and_both_directions_are_equally_frequent():
    x, _ = random_images(1)
    images = batches.pad_crop_flip(np.repeat(x, 8100, axis=0), np.random.default_rng(0))
    crops = [next(iter(found)) for found in crops_of(np.unique(images, axis=0), x[0])]
    assert len(set(crops)) == 9 * 9 * 2
    counts = np.unique(images, axis=0, return_counts=True)[1]
    assert 20 < counts.min() <= counts.max() < 90  # 50 each on average
    flips = sum(count for (_, _, flipped), count in zip(crops, counts, strict=True) if flipped)
    assert abs(flips / 8100 - 0.5) < 0.03


def slow_shift_flip(images, rng):
    """Shift image by image with SciPy, in float64 and not rounded, drawing in the order that ``shift_flip`` draws."""
    count, height, width, _ = images.shape
    down, right = rng.uniform(-0.1, 0.1, (2, count)) * [[height], [width]]
    mirrored = rng.random(count) < 0.5
    shifted = [
        ndimage.shift(image.astype("float64"), (-below, -beside, 0), order=1, mode="nearest")
        for image, below, beside in zip(images, down, right, strict=True)
    ]
    return np.stack([image[:, ::-1] if flip else image for image, flip in zip(shifted, mirrored, strict=True)])


@given(st.integers(1, 70), st.integers(1, 23), st.integers(1, 23), st.integers(1, 4), st.integers(0, 99))
def test_shift_flip_equals_scipy_rounded(count, height, width, channels, seed):
    images = np.random.default_rng(seed).integers(0, 256, (count, height, width, channels), dtype=np.uint8)
    before = images.copy()
    found = batches.shift_flip(images, np.random.default_rng(seed))
    wanted = slow_shift_flip(images, np.random.default_rng(seed))
    assert (found.dtype, found.shape) == (np.uint8, images.shape)
    np.testing.assert_allclose(found, wanted, atol=0.5 + 1e-3, rtol=0)  # float32 may round a half the other way
    np.testing.assert_array_equal(images, before)


@pytest.mark.filterwarnings("ignore:Please import `affine_transform`:DeprecationWarning")  # Keras's own
def test_shift_flip_is_what_the_keras_example_does_to_an_image():
    images, _ = random_images(40, side=32)
    rng = np.random.default_rng(1)
    down, right = rng.uniform(-0.1, 0.1, (2, 40)) * 32
    mirrored = rng.random(40) < 0.5
    generator = ImageDataGenerator(width_shift_range=0.1, height_shift_range=0.1, horizontal_flip=True)
    wanted = [
        generator.apply_transform(
            images[number].astype("float32"),
            {"tx": right[number], "ty": down[number], "flip_horizontal": mirrored[number]},  # tx goes along a row
        )
        for number in range(40)
    ]
    found = batches.shift_flip(images, np.random.default_rng(1))
    np.testing.assert_allclose(found, wanted, atol=0.5 + 1e-3, rtol=0)


def shifts_of(images):
    """Read shifts in pixels and flips off images of ``ramps``; the middle stays where it is under a flip."""
    middle = images[:, 15:17, 15:17].astype("float64").mean(axis=(1, 2))
    down, right = (middle[:, 0] - 124) / 8, (middle[:, 1] - 124) / 8
    return down, right, images[:, 16, 20, 1] < images[:, 16, 12, 1]


def ramps(count):
    """Return images whose first channel is 8 * row and whose second is 8 * column."""
    image = np.zeros((32, 32, 3), np.uint8)
    image[..., 0], image[..., 1] = 8 * np.arange(32)[:, None], 8 * np.arange(32)
    return np.repeat(image[None], count, axis=0)


def test_shifts_are_evenly_spread_over_a_tenth_and_independent():
    down, right, flipped = shifts_of(batches.shift_flip(ramps(8000), np.random.default_rng(0)))
    for shift in (down, right):
        assert 3.1 < np.abs(shift).max() < 3.2 + 1 / 8
        counts, _ = np.histogram(shift, bins=8, range=(-3.2, 3.2))
        assert 850 < counts.min() <= counts.max() < 1150  # 1000 each on average
        assert np.mean(np.abs(shift - np.rint(shift)) > 0.2) > 0.5  # by parts of pixels
    correlations = np.corrcoef([down, right, flipped])
    assert np.abs(correlations - np.eye(3)).max() < 0.05
    assert abs(flipped.mean() - 0.5) < 0.03


def test_whole_shifts_would_be_noticed():
    """Negative control: crops of 4 pixels are no shifts by parts of pixels, and reach further."""
    down, _, _ = shifts_of(batches.pad_crop_flip(ramps(500), np.random.default_rng(0)))
    assert np.abs(down).max() > 3.2 + 1 / 8
    assert np.mean(np.abs(down - np.rint(down)) > 0.2) == 0


@pytest.mark.parametrize("level", [0, 1, 127, 255])
def test_a_shift_leaves_one_colour_as_it_is(level):
    images = np.full((50, 9, 7, 3), level, np.uint8)
    np.testing.assert_array_equal(batches.shift_flip(images, np.random.default_rng(0)), images)


# What is served


def test_images_are_divided_by_255_less_the_mean():
    x, y = random_images(10)
    mean = np.random.default_rng(1).random(x.shape[1:]).astype("float32")
    images, labels = Batches(x, y, 10, mean=mean).at(0, 0)
    assert (images.dtype, images.shape, labels.dtype, labels.shape) == (np.float32, x.shape, np.int32, (10,))
    np.testing.assert_allclose(images, x.astype("float64") / 255 - mean, atol=1e-6)
    np.testing.assert_allclose(Batches(x, y, 10).at(0, 0)[0], x.astype("float64") / 255, atol=1e-6)


def test_no_copy_of_the_whole_is_made(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.full((4000, 32, 32, 3), 51, np.uint8))  # 12 MB, 49 MB as float32
    x, y = np.load(path, mmap_mode="r"), np.zeros(4000, int)
    tracemalloc.start()
    try:
        mean = batches.pixel_mean(x, np.arange(4000), chunk=200)
        stream = Batches(x, y, 16, "pad-crop-flip", 0, mean=mean)
        images, _ = stream.at(0, 0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4e6
    assert np.shares_memory(stream.x, x)
    assert stream.x.dtype == np.uint8
    np.testing.assert_allclose(mean, 0.2, atol=1e-6)
    assert images.shape == (16, 32, 32, 3)


def file_pages():
    """Return how much of files this process has resident, in bytes."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["RssFile"].split()[0]) * 1024


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_images_that_were_read_do_not_stay_resident(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.full((20_000, 32, 32, 3), 51, np.uint8))  # 61 MB
    x = np.load(path, mmap_mode="r")
    before = file_pages()
    x.sum()
    read = file_pages()
    batches.pixel_mean(x, np.arange(20_000))
    assert read - before > 55e6
    assert file_pages() - before < 5e6
    stream = Batches(x, np.zeros(20_000, int), 10_000, seed=0)
    stream[0], stream[1]
    read = file_pages()
    stream.on_epoch_end()
    assert read - before > 55e6
    assert file_pages() - before < 5e6


def test_changes_to_a_private_map_survive_the_mean(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((8, 4, 4, 3), np.uint8))
    x = np.load(tmp_path / "x.npy", mmap_mode="c")
    x[:] = 255
    np.testing.assert_array_equal(batches.pixel_mean(x, np.arange(8), chunk=2), 1)
    assert np.all(x == 255)


@pytest.mark.parametrize("chunk", [1, 7, 5000])
def test_pixel_mean_equals_numpy_in_float64(chunk):
    x, _ = random_images(31)
    chosen = np.random.default_rng(2).permutation(31)[:20]
    mean = batches.pixel_mean(x, chosen, chunk)
    np.testing.assert_array_equal(mean, (x[chosen].astype("float64").mean(axis=0) / 255).astype("float32"))
    assert mean.dtype == np.float32


def test_bad_arguments_are_refused():
    x, y = random_images(10)
    good = {"x": x, "y": y, "batch_size": 4}
    bad = [
        ({"x": x.astype("float32")}, r"x must be uint8 .* Received: x float32 \(10, 8, 8, 3\), y int64 \(10,\)"),
        ({"x": x[0]}, "x must be uint8 of shape"),
        ({"y": y[:9]}, r"y whole numbers of shape \(N,\).* y int64 \(9,\)"),
        ({"y": y.tolist()[:9]}, r"y int64 \(9,\)"),
        ({"y": y[:, None]}, r"y int64 \(10, 1\)"),
        ({"y": y / 2}, r"y float64 \(10,\)"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1. Received: 0"),
        ({"batch_size": 2.5}, "batch_size must be"),
        ({"batch_size": True}, "batch_size must be"),
        ({"seed": -1}, "seed must be a whole number of at least 0. Received: -1"),
        ({"seed": "1"}, "seed must be"),
        ({"augment": "shift-flip"}, "augment='shift-flip' draws random numbers, so it needs a seed"),
        ({"augment": "pad-crop-flip"}, "augment='pad-crop-flip' draws random numbers, so it needs a seed"),
        (
            {"augment": "flip", "seed": 1},
            "augment must be one of 'none', 'pad-crop-flip', 'shift-flip'. Received: 'flip'",
        ),
        ({"indices": [0, 10]}, "indices must be from 0 to 9, .* Received: 0 to 10"),
        ({"indices": [-1, 3]}, "indices must be from 0 to 9"),
        ({"indices": []}, "indices must be a list of one whole number or more"),
        ({"indices": [0.5]}, "indices must be a list"),
        ({"indices": [True] * 10}, "indices must be a list"),
        ({"steps_per_epoch": 0}, "steps_per_epoch must be a whole number of at least 1. Received: 0"),
    ]
    for change, says in bad:
        with pytest.raises(ValueError, match=says):
            Batches(**good | change)
    assert len(Batches(x, y.tolist(), 4)) == 3  # labels may be a list


@pytest.mark.parametrize("index", [-1, 3, 100])
def test_an_epoch_ends_where_it_ends(index):
    x, y = numbered(9)
    with pytest.raises(IndexError, match=f"batches 0 to 2. Received: {index}"):
        Batches(x, y, 3)[index]


def test_a_loop_over_an_epoch_ends():
    x, y = numbered(9)
    assert [len(labels) for _, labels in Batches(x, y, 4)] == [4, 4, 1]


# Splitting


@given(st.lists(st.integers(1, 30), min_size=1, max_size=12), st.integers(0, 5), st.data())
def test_a_split_is_stratified_disjoint_and_complete(sizes, seed, data):
    y = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    validation = data.draw(st.integers(0, len(y) - 1))
    train, held_back = batches.split(y, validation, seed)
    assert len(held_back) == validation
    assert sorted([*train, *held_back]) == list(range(len(y)))
    for part in (train, held_back):
        assert part.tolist() == sorted(part.tolist())
    for label, size in enumerate(sizes):
        assert abs((y[held_back] == label).sum() - validation * size / len(y)) < 1


def test_a_split_of_equal_classes_is_equal():
    y = np.repeat(np.arange(10), 50)
    train, held_back = batches.split(y, 100)
    assert np.bincount(y[held_back]).tolist() == [10] * 10
    assert np.bincount(y[train]).tolist() == [40] * 10


def test_a_split_follows_its_seed_alone():
    y = np.arange(200) % 10
    splits = [tuple(batches.split(y, 50, seed)[1]) for seed in (0, 0, 1, 2)]
    np.random.seed(3)  # the global state must not matter
    assert splits[0] == splits[1] == tuple(batches.split(y.tolist(), 50)[1])
    assert len(set(splits)) == 3


def test_chance_would_not_pass_for_stratified():
    """Negative control: a split by one permutation misses the shares by more than 1."""
    y = np.repeat(np.arange(10), 50)
    held_back = np.random.default_rng(0).permutation(500)[:100]
    assert np.abs(np.bincount(y[held_back], minlength=10) - 10).max() > 1


@pytest.mark.parametrize("validation", [10, 11])
def test_a_split_leaves_something_to_train_on(validation):
    with pytest.raises(ValueError, match=f"at least 0 and below the 10 images. Received: {validation}"):
        batches.split(np.arange(10), validation)


@pytest.mark.parametrize(
    ("validation", "seed", "names"),
    [
        *((value, 0, "validation") for value in (-1, 2.5, True, None)),
        *((2, value, "seed") for value in (-1, 0.5, None)),
    ],
)
def test_a_split_is_of_whole_numbers(validation, seed, names):
    with pytest.raises(ValueError, match=f"^{names} must be a whole number of at least 0. Received: "):
        batches.split(np.arange(10), validation, seed)


@pytest.mark.parametrize("shape", [(), (1,), (8, 8), (8, 3), (8, 8, 1), (1, 8, 8, 3)], ids=str)
def test_a_mean_has_the_shape_of_an_image_or_of_a_colour(shape):
    x, y = random_images(4)
    for allowed in ((8, 8, 3), (3,)):
        assert Batches(x, y, 2, mean=np.zeros(allowed, "float32")).at(0, 0)[0].shape == (2, 8, 8, 3)
    with pytest.raises(ValueError, match=rf"shape \(8, 8, 3\) or \(3,\). Received: {re.escape(str(shape))}"):
        Batches(x, y, 2, mean=np.zeros(shape, "float32"))


def dataset(count=60):
    x, _ = random_images(count)
    return types.SimpleNamespace(x_train=x, y_train=np.arange(count) % 10)


def test_train_and_validation_obey_the_recipe():
    recipe = recipes.Recipe("r", 12, batch_size=7, validation=20, steps_per_epoch=3)
    data = dataset()
    train, validation = batches.train_and_validation(data, recipe, seed=4)
    assert (len(train), train.batch_size, train.seed) == (3, 7, 4)
    assert train.augment is batches.pad_crop_flip
    assert (validation.augment, validation.seed) == (batches.no_augmentation, None)
    assert not set(train.indices) & set(validation.indices)
    mean = data.x_train[train.indices].mean(axis=0) / 255  # of the training part alone
    np.testing.assert_allclose(train.mean, mean, atol=1e-6)
    images, labels = validation.at(0, 0)
    np.testing.assert_allclose(images, data.x_train[validation.indices] / 255 - mean, atol=1e-6)
    assert np.bincount(labels).tolist() == [2] * 10


def test_a_recipe_may_leave_the_mean_in():
    data = dataset()
    recipe = recipes.Recipe("r", 12, validation=20, augment="none", subtract_mean=False)
    for part in batches.train_and_validation(data, recipe):
        assert part.mean is None
        chosen = part.order(0)[: part.batch_size]
        np.testing.assert_allclose(part.at(0, 0)[0], data.x_train[chosen] / 255, atol=1e-6)


@pytest.mark.parametrize("name", recipes.NAMES)
def test_the_recipes_of_the_course_find_their_augmentation(name):
    train, validation = batches.train_and_validation(dataset(), recipes.get(name).resized(10, validation=20))
    assert train.augment is batches.AUGMENT[recipes.get(name).augment]
    assert validation.augment is batches.no_augmentation
    assert train.mean is validation.mean is not None


def test_every_seed_has_the_same_split():
    recipe = recipes.Recipe("r", 12, validation=20)
    one, other = (batches.train_and_validation(dataset(), recipe, seed=seed)[1] for seed in (0, 9))
    assert one.indices.tolist() == other.indices.tolist()


def test_nothing_held_back_is_no_validation():
    train, validation = batches.train_and_validation(dataset(), recipes.Recipe("r", 12, validation=0))
    assert validation is None
    assert len(train.indices) == 60


# Under Keras's fit


class Recorder(keras.Model):
    """Keep the labels of every batch that ``fit`` trains on, and train on nothing."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def call(self, x):
        return x

    def train_step(self, data):
        self.seen.append(keras.ops.convert_to_numpy(data[1]).tolist())
        return {"batches": keras.ops.convert_to_tensor(len(self.seen))}


def seen_by_fit(epochs, *data, **how):
    model = Recorder()
    model.compile(run_eagerly=True, loss=None)
    model.fit(*data, epochs=epochs, verbose=0, **how)
    steps = len(model.seen) // epochs
    return [model.seen[epoch * steps : (epoch + 1) * steps] for epoch in range(epochs)]


on_tensorflow = pytest.mark.skipif(
    backend.BACKEND != "tensorflow", reason="looks at batches by TensorFlow's train_step"
)


@on_tensorflow
@pytest.mark.parametrize("steps_per_epoch", [None, 3, 11])
@pytest.mark.parametrize("served", [lambda batches: batches, backend.pipeline], ids=["Keras's way", "by the pipeline"])
def test_fit_trains_on_the_batches_of_its_epochs(steps_per_epoch, served):
    x, _ = numbered(30)
    stream = Batches(x, np.arange(30), 4, seed=2, steps_per_epoch=steps_per_epoch)
    wanted = [[stream.at(epoch, index)[1].tolist() for index in range(len(stream))] for epoch in range(4)]
    epochs = seen_by_fit(3, served(stream), shuffle=False)
    assert epochs == wanted[:3]  # from epoch 0: what stream[0] showed before
    assert epochs[0] != epochs[1] != epochs[2]
    assert seen_by_fit(1, served(stream), shuffle=False) == wanted[3:]  # a second fit goes on
    stream.start_at(1)
    assert seen_by_fit(2, served(stream), shuffle=False) == wanted[1:3]


@on_tensorflow
def test_fit_on_arrays_repeats_one_order_under_a_seed():
    """Negative control, and the reason that ``Batches`` exists."""
    x, _ = numbered(30)
    keras.utils.set_random_seed(0)
    first, second = seen_by_fit(2, x.astype("float32"), np.arange(30), batch_size=4)
    assert first == second
    assert first != [list(range(30))[start : start + 4] for start in range(0, 30, 4)]  # shuffled, but once


def test_keras_own_random_crop_draws_one_crop_for_a_batch():
    x, _ = random_images(1)
    cropped = keras.layers.RandomCrop(4, 4, seed=0)(np.repeat(x, 16, axis=0).astype("float32"), training=True)
    assert len(np.unique(keras.ops.convert_to_numpy(cropped), axis=0)) == 1


# Fresh shapes


def test_fresh_shapes_are_those_of_shapes10():
    stream = FreshShapes(8, 3, seed=7)
    assert len(stream) == 3
    for epoch, index in [(2, 1), (0, 0), (5, 2)]:
        images, labels = stream.at(epoch, index)
        drawn, drawn_labels = shapes10.draw(8, (7, epoch, index))
        np.testing.assert_allclose(images, drawn / 255 - 0.5, atol=1e-6)
        np.testing.assert_array_equal(labels, drawn_labels)
        assert (images.dtype, labels.dtype) == (np.float32, np.int32)


def test_fresh_shapes_never_repeat():
    stream = FreshShapes(16, 4, seed=0)
    other = FreshShapes(16, 4, seed=1)
    drawn = [stream.at(epoch, index)[0] for epoch in range(5) for index in range(4)] + [other.at(0, 0)[0]]
    images = np.concatenate(drawn)
    assert len(np.unique(images, axis=0)) == len(images)


@on_tensorflow
def test_fit_on_fresh_shapes_sees_new_ones_every_epoch():
    stream = FreshShapes(16, 2, seed=0)
    wanted = [[stream.at(epoch, index)[1].tolist() for index in range(2)] for epoch in range(2)]
    assert seen_by_fit(2, stream, shuffle=False) == wanted


@pytest.mark.parametrize("bad", [{"batch_size": 0}, {"steps_per_epoch": 0}, {"seed": -1}, {"seed": None}])
def test_fresh_shapes_refuse_bad_arguments(bad):
    with pytest.raises(ValueError, match=f"{next(iter(bad))} must be a whole number of at least"):
        FreshShapes(**{"batch_size": 4, "steps_per_epoch": 2, "seed": 0} | bad)
