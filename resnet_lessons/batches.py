"""Batches of images whose order and augmentation are a pure function of seed, epoch and index.

Keras's ``fit`` on arrays repeats one order every epoch under a fixed seed, and its random crop draws one crop for a
whole batch. Here every image has its own crop, no two epochs are alike, and any batch can be drawn again.
He et al. 2015, Sec. 4.2, for the augmentation. The lessons train on these.
"""

import mmap

from resnet_lessons import backend  # noqa: F401 - loads Keras without its start-up messages
from resnet_lessons.data import shapes10
from resnet_lessons.recipes.recipe import whole

import keras
import numpy as np

PAD = 4  # pixels on each side
MAX_SHIFT = 0.1  # of height and of width
EVALUATION_BATCH = 500  # images to validate or to test on at once; more need more memory and are no faster
_ORDER_STREAM, _AUGMENT_STREAM = 0, 1  # so that order and augmentation never share random numbers


class _Epochs(keras.utils.PyDataset):
    """Batches by epoch and index, where Keras knows an index alone; a subclass has ``at(epoch, index)``."""

    def __init__(self, steps_per_epoch):
        super().__init__()
        self.steps_per_epoch = steps_per_epoch
        self.start_at(0)

    def __len__(self):
        return self.steps_per_epoch

    def __getitem__(self, index):
        if not 0 <= index < len(self):
            raise IndexError(f"An epoch has the batches 0 to {len(self) - 1}. Received: {index}.")
        return self.at(self.epoch, index)

    def start_at(self, epoch):
        """Serve ``epoch`` now, and in the next epoch of ``fit``."""
        self.epoch = self._coming = epoch

    def on_epoch_begin(self):
        """Turn to the next epoch; called as one begins (``on_epoch_end`` is called before the first, too)."""
        self.epoch, self._coming = self._coming, self._coming + 1


class Batches(_Epochs):
    """Serve ``(images, labels)`` of a data set, batch by batch.

    Images come as float32 of shape (B, H, W, C), divided by 255, less the per-pixel mean; labels as int32 of shape
    (B,). The images on disk stay uint8: no copy of the whole is ever made.

    Args:
        x: (N, H, W, C) uint8.
        y: (N,) labels.
        batch_size: images a batch; the last batch of a pass may be smaller.
        augment: "pad-crop-flip", "shift-flip" or "none".
        seed: a whole number of at least 0; None keeps the order of the data.
        indices: which of the N to serve; None: all.
        mean: (H, W, C) float32, or (C,), one colour for all pixels; subtracted after the division by 255. None: nothing
            is.
        steps_per_epoch: batches in an epoch; None: one pass. Passes go on where an epoch has cut them.

    Raises:
        ValueError: for images, labels, numbers, indices or a mean that are not so, and for an augmentation without
            a seed.
    """

    def __init__(self, x, y, batch_size, augment="none", seed=None, *, indices=None, mean=None, steps_per_epoch=None):
        x, y = np.asarray(x), np.asarray(y)  # views of memory-maps, not copies
        _check_arrays(x, y)
        if augment not in AUGMENT:
            raise ValueError(f"augment must be one of {', '.join(map(repr, AUGMENT))}. Received: {augment!r}.")
        if seed is None and augment != "none":
            raise ValueError(f"augment={augment!r} draws random numbers, so it needs a seed. Received: seed=None.")
        if mean is not None and np.shape(mean) not in (x.shape[1:], x.shape[3:]):
            raise ValueError(f"mean must be of shape {x.shape[1:]} or {x.shape[3:]}. Received: {np.shape(mean)}.")
        self.x, self.y, self.mean, self.augment = x, y, mean, AUGMENT[augment]
        self.seed = None if seed is None else whole("seed", seed, 0)
        self.batch_size = whole("batch_size", batch_size, 1)
        self.indices = _indices(indices, len(x))
        self.batches_per_pass = -(-len(self.indices) // self.batch_size)
        super().__init__(
            self.batches_per_pass if steps_per_epoch is None else whole("steps_per_epoch", steps_per_epoch, 1)
        )
        self._order = (None, None)  # the pass last asked for and its order: a pass is shuffled once, not once a batch

    def at(self, epoch, index):
        """Return batch ``index`` of epoch ``epoch``, whatever was served before."""
        turn, position = divmod(epoch * self.steps_per_epoch + index, self.batches_per_pass)
        chosen = self.order(turn)[position * self.batch_size : (position + 1) * self.batch_size]
        images = self.x[chosen]
        if self.seed is not None:
            images = self.augment(images, np.random.default_rng((self.seed, _AUGMENT_STREAM, turn, position)))
        return normalize(images, self.mean), self.y[chosen].astype("int32")

    def on_epoch_end(self):
        """Keep none of the images that were served resident; called as an epoch ends."""
        _let_go(self.x)

    def order(self, turn):
        """Return the indices of pass number ``turn`` over the data, in the order they are served."""
        if self.seed is None:
            return self.indices
        known, order = self._order  # read once: another thread may be at another pass
        if known != turn:
            order = np.random.default_rng((self.seed, _ORDER_STREAM, turn)).permutation(self.indices)
            self._order = turn, order
        return order


class FreshShapes(_Epochs):
    """Serve ``shapes10`` images drawn on the spot, none of them ever twice: nothing can be learned by heart.

    Images are as in ``Batches``, with 0.5 as the mean.

    Args:
        batch_size: images a batch.
        steps_per_epoch: batches in an epoch.
        seed: a whole number of at least 0.
    """

    def __init__(self, batch_size, steps_per_epoch, seed):
        super().__init__(whole("steps_per_epoch", steps_per_epoch, 1))
        self.batch_size, self.seed = whole("batch_size", batch_size, 1), whole("seed", seed, 0)

    def at(self, epoch, index):
        """Return batch ``index`` of epoch ``epoch``, drawn by the seed (seed, epoch, index)."""
        images, labels = shapes10.draw(self.batch_size, seed=(self.seed, epoch, index))
        return normalize(images, np.float32(0.5)), labels.astype("int32")


def _check_arrays(x, y):
    if x.dtype != np.uint8 or x.ndim != 4 or y.shape != x.shape[:1] or y.dtype.kind not in "iu":
        raise ValueError(
            "x must be uint8 of shape (N, H, W, C) and y whole numbers of shape (N,). "
            f"Received: x {x.dtype} {x.shape}, y {y.dtype} {y.shape}."
        )


def _indices(indices, count):
    """Return which of ``count`` images to serve, as an array; None for all."""
    if indices is None:
        indices = range(count)
    chosen = np.asarray(indices)
    if chosen.ndim != 1 or not len(chosen) or chosen.dtype.kind not in "iu":
        raise ValueError(
            f"indices must be a list of one whole number or more. Received: {chosen.dtype} {chosen.shape}."
        )
    if chosen.min() < 0 or chosen.max() >= count:
        raise ValueError(
            f"indices must be from 0 to {count - 1}, the images there are. Received: {chosen.min()} to {chosen.max()}."
        )
    return chosen


def no_augmentation(images, rng):  # noqa: ARG001 - augmentations share one signature
    """Return the images as they are."""
    return images


def pad_crop_flip(images, rng):
    """Crop each image at random from itself padded by 4 pixels of zeros, and mirror half of them.

    Args:
        images: (B, H, W, C) uint8.
        rng: a numpy.random.Generator.

    Returns:
        (B, H, W, C) uint8.
    """
    count, height, width, channels = images.shape
    padded = np.zeros((count, height + 2 * PAD, width + 2 * PAD, channels), np.uint8)
    padded[:, PAD:-PAD, PAD:-PAD] = images
    top, left = rng.integers(0, 2 * PAD + 1, (2, count))
    return _mirror(_crop(padded, top, left, height, width).reshape(images.shape), rng)


def shift_flip(images, rng):
    """Shift each image up or down and left or right by up to a tenth of its size, and mirror half of them.

    As Keras's example ``cifar10_resnet.py`` does: by parts of pixels, bilinear, with the nearest pixel beyond the edge.
    Two deviations: levels are rounded, and the mean is subtracted after the shift, in the example before it.

    Args:
        images: (B, H, W, C) uint8.
        rng: a numpy.random.Generator.

    Returns:
        (B, H, W, C) uint8.
    """
    count, height, width, _ = images.shape
    down, right = rng.uniform(-MAX_SHIFT, MAX_SHIFT, (2, count)) * [[height], [width]]
    return _mirror(_read_between(images, down, right), rng)


def _crop(images, top, left, height, width):
    """Cut the window at (top[i], left[i]) out of each image; (B, height, width * C)."""
    count, all_rows, _, channels = images.shape
    rows = images.reshape(count, all_rows, -1)  # with W and C as one axis, a row of a window is one run of bytes
    windows = np.lib.stride_tricks.sliding_window_view(rows, (height, width * channels), axis=(1, 2))
    return windows[np.arange(count), top, left * channels]


def _mirror(images, rng):
    """Mirror half of the images, in place."""
    pixels = images.view(f"V{images.shape[-1]}")  # a pixel as one item of C bytes: it moves faster than C of 1
    flipped = rng.random(len(images)) < 0.5
    pixels[flipped] = pixels[flipped, :, ::-1]
    return images


def _read_between(images, down, right):
    """Read each image at the places (row + down[i], column + right[i]), which lie between pixels."""
    count, height, width, channels = images.shape
    pad_rows, pad_columns = int(MAX_SHIFT * height) + 1, int(MAX_SHIFT * width) + 1
    padded = np.pad(images, ((0, 0), (pad_rows, pad_rows), (pad_columns, pad_columns), (0, 0)), mode="edge")
    top, left = np.floor(down).astype(int), np.floor(right).astype(int)
    windows = _crop(padded, top + pad_rows, left + pad_columns, height + 1, width + 1)
    below, beside = (part[:, None, None].astype("float32") for part in (down - top, right - left))
    levels = np.empty((count, height, width * channels), np.uint8)
    for start in range(0, count, 32):  # few enough to stay in a processor's cache
        some = slice(start, start + 32)
        window = windows[some].astype("float32")
        rows = _blend(window[:, :-1], window[:, 1:], below[some])
        blended = _blend(rows[:, :, :-channels], rows[:, :, channels:], beside[some])
        np.add(blended, np.float32(0.5), out=levels[some], casting="unsafe")  # cut off, it is rounded
    return levels.reshape(images.shape)


def _blend(one, other, part):
    """Return ``one + part * (other - one)``, making one new array."""
    blended = other - one
    blended *= part
    blended += one
    return blended


AUGMENT = {"none": no_augmentation, "pad-crop-flip": pad_crop_flip, "shift-flip": shift_flip}


def normalize(images, mean=None):
    """Turn uint8 images into float32, divided by 255, less ``mean``; the shape stays."""
    scaled = np.multiply(images, np.float32(1 / 255), dtype="float32")
    return scaled if mean is None else np.subtract(scaled, mean, out=scaled)


def pixel_mean(x, indices, chunk=5000):
    """Compute the per-pixel mean of some images without a float copy of them.

    Args:
        x: (N, H, W, C) uint8.
        indices: which of the N.
        chunk: images at a time.

    Returns:
        (H, W, C) float32 between 0 and 1.
    """
    total = np.zeros(x.shape[1:], "int64")
    for start in range(0, len(indices), chunk):
        total += x[indices[start : start + chunk]].sum(axis=0, dtype="int64")
        _let_go(x)
    return (total / (255 * len(indices))).astype("float32")


def _let_go(x):
    """Let go of the pages of a memory-mapped array that have been read. They stay in the system's cache of the file.

    Else all of CIFAR-10 would count as this process's memory, 150 MB. A map that is not read-only is left alone: pages
    changed in it may be nowhere else.
    """
    while isinstance(x, np.ndarray) and not isinstance(x, np.memmap):
        x = x.base  # of a view
    if isinstance(x, np.memmap) and x.mode == "r" and hasattr(mmap, "MADV_DONTNEED"):  # Windows has none
        x._mmap.madvise(mmap.MADV_DONTNEED)


def split(y, validation, seed=0):
    """Split a training set in two, as many validation images of each class as its share asks for.

    Args:
        y: (N,) labels.
        validation: images to hold back.
        seed: which images; the same seed gives the same split.

    Returns:
        Two sorted arrays of indices, to train on and to validate on.

    Raises:
        ValueError: if validation is no whole number between 0 and N - 1, or seed none of at least 0.
    """
    y, validation, seed = np.asarray(y), whole("validation", validation, 0), whole("seed", seed, 0)
    if validation >= len(y):
        raise ValueError(f"validation must be at least 0 and below the {len(y)} images. Received: {validation!r}.")
    rng = np.random.default_rng((seed, len(y), validation))
    labels, sizes = np.unique(y, return_counts=True)
    # A class's share is validation * size / N images; what rounding down leaves goes to the largest remainders.
    counts, remainders = np.divmod(validation * sizes, len(y))
    counts[np.argsort(-remainders, kind="stable")[: validation - counts.sum()]] += 1
    members = (rng.permutation(np.flatnonzero(y == label)) for label in labels)
    held_back = np.zeros(len(y), bool)
    for chosen, number in zip(members, counts, strict=True):
        held_back[chosen[:number]] = True
    return np.flatnonzero(~held_back), np.flatnonzero(held_back)


def train_and_validation(dataset, recipe, seed=0):
    """Return the batches a recipe trains on and those it validates on.

    Args:
        dataset: a ``data.Dataset``.
        recipe: a ``recipes.Recipe``.
        seed: of order and augmentation. The split is the same for every seed, so that runs can be compared.

    Returns:
        Two ``Batches``; the second is neither shuffled nor augmented, and None if the recipe holds no images back. Both
        subtract the mean of the training part, if the recipe says so.
    """
    train, validation = split(dataset.y_train, recipe.validation)
    mean = pixel_mean(dataset.x_train, train) if recipe.subtract_mean else None
    common = {"x": dataset.x_train, "y": dataset.y_train, "mean": mean}
    batches = Batches(
        **common,
        batch_size=recipe.batch_size,
        augment=recipe.augment,
        seed=seed,
        indices=train,
        steps_per_epoch=recipe.steps_per_epoch,
    )
    return batches, Batches(**common, batch_size=EVALUATION_BATCH, indices=validation) if len(validation) else None
