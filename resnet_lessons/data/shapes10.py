"""shapes10: 32x32 colour images of ten shapes, drawn with NumPy when no CIFAR-10 is at hand.

An image holds one shape at a random place, size, angle and colour on a coloured, uneven ground, with two scraps of
clutter, one of which may hide a part, and noise. All ten shapes cover the same area and all colours are drawn alike,
so neither the colour nor the mean of an image tells its class; the outline does. Lesson 01 also uses it as an endless
stream of images that never repeat.

The same seed draws the same images on every platform, but for an occasional rounding difference of one grey level
(NumPy's PCG64 stream is fixed; sums in matrix products are not ordered the same everywhere).
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from .formats import Arrays

VERSION = 1  # raise it whenever the images change: cached copies are then drawn anew
CLASS_NAMES = ("disc", "ring", "triangle", "square", "frame", "star", "cross", "crescent", "bar", "hourglass")
SIZE = 32  # pixels
TRAIN, TEST, CHUNK = 50_000, 10_000, 500
SET_SEED = 20151210  # of the 60,000 images that `full_set` draws

GRID = 128  # samples per side of a template
REACH = 2.0  # a template spans [-REACH, REACH], in units of the radius of a disc of the same area
RADIUS = (6.5, 8.5)  # of that disc, in pixels
SCRAP_RADIUS = (1.5, 3.0)
NOISE = 20  # uniform in [-NOISE, NOISE), grey levels


def draw(count: int, seed: int | Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Draw images and labels; the same count and seed always give the same.

    Args:
        count: how many, 1 or more. Classes are as equally frequent as `count` allows.
        seed: a whole number or several; ``(seed, step)`` makes an endless stream that can be entered anywhere.

    Returns:
        Images (count, 32, 32, 3) uint8 and labels (count,) int64.

    Raises:
        ValueError: `count` is not a whole number above 0.
    """
    if not isinstance(count, int | np.integer) or isinstance(count, bool) or count < 1:
        raise ValueError(f"count must be a whole number, 1 or more. Received: {count!r}")
    rng = np.random.Generator(np.random.PCG64(seed))
    labels = rng.permutation((np.arange(count) + rng.integers(10)) % 10)
    ground, paint = _colours(rng, count)
    image = _uneven(rng, ground)  # (count, 3, pixels)
    for scrap in range(2):
        if scrap == 1:
            _lay(image, paint, _cover(rng, labels, RADIUS, spread=5.0))
        kinds = rng.integers(10, size=count)
        _lay(image, rng.random((count, 3), np.float32) * 255, _cover(rng, kinds, SCRAP_RADIUS, spread=14.0))
    noise = np.frombuffer(rng.bytes(image.size), np.uint8).reshape(image.shape)
    image += noise * np.float32(2 * NOISE / 256) - NOISE
    np.clip(image, 0, 255, out=image)
    images = image.astype(np.uint8).reshape(count, 3, SIZE, SIZE).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), labels


def full_set() -> Arrays:
    """Draw the 50,000 training and 10,000 test images that ``load("shapes10")`` gives."""
    x_train, y_train = _split(0, TRAIN)
    x_test, y_test = _split(1, TEST)
    return Arrays(x_train, y_train, x_test, y_test)


def _split(split: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    images, labels = np.empty((count, SIZE, SIZE, 3), np.uint8), np.empty(count, np.int64)
    for start in range(0, count, CHUNK):
        chunk = slice(start, start + CHUNK)
        size = len(labels[chunk])
        images[chunk], labels[chunk] = draw(size, (SET_SEED, split, start))
    return images, labels


def _colours(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return ground and paint (count, 3), each uniform, at least 64 apart in every channel."""
    ground = rng.random((count, 3), np.float32) * 256
    paint = (ground + 64 + 128 * rng.random((count, 3), np.float32)) % 256
    return ground, paint


def _uneven(rng: np.random.Generator, ground: np.ndarray) -> np.ndarray:
    """Return a ground (count, 3, pixels) that drifts by up to 40 grey levels around its colour."""
    coarse = ground[:, :, np.newaxis] + 80 * rng.random((len(ground), 3, 16), np.float32) - 40
    return coarse @ _interpolation()


@lru_cache(maxsize=1)
def _interpolation() -> np.ndarray:
    """Return the matrix (16, pixels) that interpolates a 4x4 grid bilinearly."""
    place = np.linspace(0, 3, SIZE)
    line = np.clip(1 - np.abs(place - np.arange(4)[:, np.newaxis]), 0, 1)  # (4, SIZE)
    return np.kron(line, line).astype(np.float32)


def _lay(image: np.ndarray, colour: np.ndarray, cover: np.ndarray) -> None:
    """Paint `colour` (count, 3) over the image (count, 3, pixels) where `cover` (count, pixels) is 1, in place."""
    for channel in range(3):
        under = image[:, channel]
        under += cover * (colour[:, channel, np.newaxis] - under)


def _cover(rng: np.random.Generator, kinds: np.ndarray, radius: tuple[float, float], spread: float) -> np.ndarray:
    """Return how much of each pixel (count, pixels) shapes at random places, sizes and angles cover, 0 to 1."""
    size, angle, shift_x, shift_y = rng.random((4, len(kinds), 1), np.float32)
    size = radius[0] + (radius[1] - radius[0]) * size
    step = (GRID - 1) / (2 * REACH) / size  # template samples per pixel
    cos, sin = np.cos(2 * np.pi * angle) * step, np.sin(2 * np.pi * angle) * step
    line = np.arange(SIZE, dtype=np.float32) - (SIZE - 1) / 2
    x = line - (2 * shift_x - 1) * spread  # (count, SIZE), pixels from the shape's centre
    y = line - (2 * shift_y - 1) * spread
    middle = np.float32(GRID / 2)
    column = _grid_index((cos * x + middle)[:, np.newaxis] - (sin * y)[:, :, np.newaxis])
    row = _grid_index((sin * x + middle)[:, np.newaxis] + (cos * y)[:, :, np.newaxis])
    sample = (row * GRID + column).reshape(len(kinds), -1) + kinds[:, np.newaxis] * (GRID * GRID)
    distance = np.take(_templates(), sample.astype(np.intp)) * size
    return np.clip(0.5 - distance, 0, 1)  # anti-aliased over one pixel


def _grid_index(place: np.ndarray) -> np.ndarray:
    return np.clip(place, 0, GRID - 1, out=place).astype(np.int32)


@lru_cache(maxsize=1)
def _templates() -> np.ndarray:
    """Return the signed distance to each shape's outline, negative inside, flat (10 * GRID * GRID,) float32.

    Each shape is scaled to the area of the unit disc.
    """
    line = np.linspace(-REACH, REACH, GRID)
    templates = []
    for shape in SHAPES.values():
        scale = np.sqrt(np.pi / _area(shape))
        templates.append(shape(*np.meshgrid(line / scale, line / scale)) * scale)
    return np.concatenate([template.ravel() for template in templates]).astype(np.float32)


def _area(shape) -> float:
    step = 0.01
    line = np.arange(-3, 3, step)
    return np.clip(0.5 - shape(*np.meshgrid(line, line)) / step, 0, 1).sum() * step**2  # outline cells count in part


def _box(x, y, half_width, half_height):
    return np.maximum(np.abs(x) - half_width, np.abs(y) - half_height)


def _triangle(x, y):
    return np.maximum(-y - 0.5, 0.5 * y + np.sqrt(0.75) * np.abs(x) - 0.5)


def _star(x, y):
    """Five points; by symmetry each is one edge from its tip (radius 1) to the notch beside it (radius 0.45)."""
    sector = np.pi / 5
    angle = np.abs((np.arctan2(x, y) + sector) % (2 * sector) - sector)  # 0 at a tip, `sector` at a notch
    along, across = np.hypot(x, y) * np.cos(angle), np.hypot(x, y) * np.sin(angle)
    run, rise = 1 - 0.45 * np.cos(sector), 0.45 * np.sin(sector)
    return (rise * (along - 1) + run * across) / np.hypot(run, rise)


def _crescent(x, y):
    return np.maximum(np.hypot(x, y) - 1, 0.8 - np.hypot(x - 0.55, y))


def _hourglass(x, y):
    return np.maximum(np.abs(y) - 1, 0.8 * (np.abs(x) - np.abs(y) * 0.9 - 0.08))


SHAPES = {
    "disc": lambda x, y: np.hypot(x, y) - 1,
    "ring": lambda x, y: np.abs(np.hypot(x, y) - 0.75) - 0.25,
    "triangle": _triangle,
    "square": lambda x, y: _box(x, y, 1, 1),
    "frame": lambda x, y: np.abs(_box(x, y, 0.75, 0.75)) - 0.25,
    "star": _star,
    "cross": lambda x, y: np.minimum(_box(x, y, 1, 0.33), _box(x, y, 0.33, 1)),
    "crescent": _crescent,
    "bar": lambda x, y: _box(x, y, 1, 0.36),
    "hourglass": _hourglass,
}
