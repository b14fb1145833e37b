"""The exercises of lesson 03: the shape and the work of a CIFAR-10 ResNet, and three pieces of its training recipe.

He et al. 2015, Sec. 4.2, is what the answers are held against.
"""

import collections

from resnet_lessons import accounting
from resnet_lessons.specs import Spec

import numpy as np

from .answers import Wrong, answer_of, array_answer, exercise, real_number, show, whole_number

PAD, SIZE = 4, 32  # pixels: of zeros on each side, and of an image
OFFSETS = 2 * PAD + 1  # places of a window in one direction


@exercise
def stage_output(function):
    """Check ``function(stage)``: side and channels of the feature maps of stage 1, 2 or 3, for a 32x32 image."""
    for stage in (1, 2, 3):
        side, channels = _pair(answer_of(function, stage), f"stage {stage}", "side and channels")
        right = 2 ** (6 - stage), 2 ** (3 + stage)
        if (side, channels) == right:
            continue
        hints = {
            (right[1], right[0]): "First the side in pixels, then the channels.",
            (right[0] // 2, right[1]): "Stage 1 keeps the size of the image.",
            (right[0], right[1] * 2): "Stage 1 has the 16 channels of the first convolution.",
            (32 // stage, 16 * stage): "Each stage halves and doubles what the stage before it had.",
        }
        hint = hints.get((side, channels), "Stage 1 has 32x32 pixels and 16 channels; then the side halves.")
        raise Wrong(f"Stage {stage} gave {side} pixels and {channels} channels. {hint}")
    return "32, 16, 8 pixels with 16, 32, 64 channels: a quarter of the pixels, twice the channels."


@exercise
def multiply_adds(function):
    """Check ``function(n)``: multiply-adds for one image of the v1 net with n basic units a stage, shortcuts A."""
    for n in (3, 1, 9):
        answer, right = whole_number(function, n), accounting.count(Spec("v1", 6 * n + 2)).multiply_adds
        if answer == right:
            continue
        stem, classifier = 9 * 3 * 16 * 32**2, 64 * 10
        full = 9 * 16 * 16 * 32**2  # a convolution between maps of the same size, in any stage
        hints = {
            2 * right: "One multiplication and the addition after it count as one.",
            right + 10: "A bias is added, not multiplied.",
            right - stem: "The first convolution is missing, from 3 channels to 16.",
            right - classifier: "The classifier is missing: 64 features to 10 classes.",
            right - stem - classifier: "The first convolution and the classifier count too.",
            right - 3 * n * full: "A unit has two convolutions.",
            right + full: "The first convolution of stages 2 and 3 takes half as many channels in.",
            right + 3 * full: "A strided convolution is computed at the pixels it puts out, a quarter of the others.",
            right + (8 * n - 2) * full: "The side halves from stage to stage, so the pixels quarter.",
            right + (36 * n - 9) * full: "The feature maps shrink: 32, 16, 8 pixels a side.",
            (right - classifier) // 9 + classifier: "A 3x3 kernel has nine places.",
        }
        ratio = "more" if answer > right else "fewer"
        off = f"n = {n} gave {answer:,}, {abs(answer - right):,} {ratio} than the net has. "
        raise Wrong(off + hints.get(answer, "Kernel weights times output pixels, for each convolution."))
    return "40,551,040 for n = 3. Each full convolution costs 2,359,296, whichever stage it stands in."


@exercise
def learning_rate(function):
    """Check ``function(step, depth)``: the rate of update ``step``, counted from 0 (He et al. 2015, Sec. 4.2).

    A warm-up at 0.01 over the first 400 updates for nets of 110 layers or more.
    """
    for depth in (20, 110, 104, 1202):
        for step in (0, 399, 400, 31_999, 32_000, 47_999, 48_000, 63_999):
            case = f"For update {step:,} of {depth} layers"
            rate = real_number(answer_of(function, step, depth), f"{case} it should return one number")
            right = 0.01 if depth >= 110 and step < 400 else 0.1 / 10 ** (int(step >= 32_000) + int(step >= 48_000))
            if not np.isclose(rate, right, rtol=1e-6):
                said = f"Update {step:,} of a net of {depth} layers gave {rate:.4g}, not {right:.4g}. "
                raise Wrong(said + _rate_hint(step, rate, right))
    return "0.1, 0.01 from update 32,000 on, 0.001 from 48,000 on; very deep nets start at 0.01."


def _rate_hint(step, rate, right):
    if right == 0.01 and step < 400:
        return "Nets of 110 layers or more begin with 400 updates at 0.01."
    if rate == 0.01 and step < 400:
        return "Only nets of 110 layers or more are warmed up."
    if step == 400:
        return "The warm-up is over after the updates 0 to 399."
    if step < 32_000:
        return "It is 0.1 until 32,000 updates have been made."
    return f"Counted from 0, update {step:,} is the one before which {step:,} have been made."


@exercise
def honest_split(function):
    """Check ``function(labels, validation, seed)``: indices to train on and indices to validate on.

    As many validation images of each class, drawn at random but the same for a seed, and no image on both sides.
    """
    labels = np.repeat(np.arange(5), 40)[np.random.default_rng(1).permutation(200)]  # 40 of each of five classes
    train, held_back = _split(function, labels, 50, 0)
    everything = np.sort(np.concatenate([train, held_back]))
    if np.intersect1d(train, held_back).size:
        raise Wrong("Some images are on both sides. What a net has trained on says nothing about new images.")
    if len(held_back) != 50:
        swapped = " Return the images to train on first." if len(train) == 50 else ""
        raise Wrong(f"50 of 200 images were to be held back. It held {len(held_back)} back.{swapped}")
    if not np.array_equal(everything, np.arange(200)):
        raise Wrong(f"Every image belongs on one of the two sides, once. The two hold {len(everything)} indices.")
    counts = np.bincount(labels[held_back], minlength=5)
    if counts.min() != counts.max():
        raise Wrong(f"The classes have {counts.tolist()} validation images. Each should have as many as any other.")
    if not np.array_equal(np.sort(_split(function, labels, 50, 0)[1]), np.sort(held_back)):
        raise Wrong(
            "Two calls with one seed gave two splits, so no run could be repeated. Draw from default_rng(seed)."
        )
    if np.array_equal(np.sort(_split(function, labels, 50, 1)[1]), np.sort(held_back)):
        raise Wrong("Seeds 0 and 1 gave the same split. The first images of a class may be special: draw at random.")
    return "Nothing on both sides, the same share of each class, at random and repeatable."


@exercise
def pad_crop_flip(function):
    """Check ``function(images, rng)``: each image padded by 4 zeros, cropped to 32x32 at random, half of them mirrored.

    Args of the learner's function: images (B, 32, 32, C) uint8, and a numpy.random.Generator.
    """
    images, places = _marked(2000)
    result = _pictures(function, images, np.random.default_rng(0))
    found = _windows(result, places)
    _refuse_fixed(found)
    _refuse_unevenness(found)
    other = _pictures(function, images, np.random.default_rng(1))
    if np.array_equal(other, result):
        raise Wrong("Two generators gave the same crops. Draw from the rng that it is given.")
    if not np.array_equal(_pictures(function, images, np.random.default_rng(0)), result):
        raise Wrong("The same generator gave two results. Draw from the rng that it is given, and from nothing else.")
    _refuse_missing(np.concatenate([found, _windows(other, places)]))
    return "81 windows and a mirror image of each: 162 versions of an image, drawn anew for each image."


def _marked(count):
    """Make images in which a pixel tells its place: channel 0 its row, 1 its column, both from 1, 2 its image."""
    images = np.empty((count, SIZE, SIZE, 3), np.uint8)
    images[..., 0] = np.arange(1, SIZE + 1)[:, None]
    images[..., 1] = np.arange(1, SIZE + 1)
    images[..., 2] = (1 + np.arange(count) % 251)[:, None, None]
    places = np.zeros((SIZE + 2 * PAD, SIZE + 2 * PAD, 2), np.uint8)
    places[PAD:-PAD, PAD:-PAD] = images[0, ..., :2]
    return images, places


def _pictures(function, images, rng):
    """Return what the learner's function makes of the images; refuse what cannot be pictures."""
    given = images.copy()
    answer = answer_of(function, given, rng, case=f"{len(images):,} images and a generator")
    if not np.array_equal(given, images):
        raise Wrong("It changed the images that it was given: the next epoch would start from those. Make a new array.")
    array_answer(answer, "It should return an array of images")
    pictures = np.asarray(answer)  # in the dtype that it has
    if pictures.shape != images.shape:
        raise Wrong(f"Images of shape {images.shape} should keep it. They came back as {pictures.shape}.")
    if pictures.dtype != np.uint8:
        raise Wrong(f"The images should stay uint8. They came back as {pictures.dtype}.")
    return pictures


def _windows(pictures, places):
    """Find (top, left, mirrored) of each picture; raise Wrong for one that is no window of its padded image."""
    known = {}
    for top in range(OFFSETS):
        for left in range(OFFSETS):
            window = places[top : top + SIZE, left : left + SIZE]
            known[window.tobytes()] = top, left, False
            known[window[:, ::-1].tobytes()] = top, left, True
    found = []
    for number, picture in enumerate(pictures):
        window = known.get(np.ascontiguousarray(picture[..., :2]).tobytes())
        own = np.where(picture[..., 0] > 0, 1 + number % 251, 0)
        if window is None or not np.array_equal(picture[..., 2], own):
            raise Wrong(_no_window(picture, known, number))
        found.append(window)
    return np.array(found)  # (B, 3)


def _no_window(picture, known, number):
    """Say why a picture is no window of its own padded image."""
    if np.ascontiguousarray(picture[..., :2]).tobytes() in known:
        return f"Image {number} came back as another one. Labels stay where they are, so images must too."
    if np.ascontiguousarray(picture[::-1, :, :2]).tobytes() in known:
        return "An image was turned upside down. A mirrored car is a car; mirror left and right only."
    if np.ascontiguousarray(picture[..., :2].transpose(1, 0, 2)).tobytes() in known:
        return "Rows and columns were exchanged. An image has the axes (height, width, channels)."
    if (picture[..., 2] == 1 + number % 251).all():
        return "The border holds no zeros though the window was moved. Pad with zeros, not with neighbouring pixels."
    return f"Image {number} is no 32x32 window of itself with {PAD} zeros on each side, mirrored or not."


def _refuse_fixed(found):
    if (found[:, :2] == PAD).all():
        raise Wrong("No image was moved. Cut the window out of the padded image at a random place.")
    if (found[:, :2] == found[0, :2]).all():
        raise Wrong("The whole batch got one crop. Every image needs its own.")
    mirrored = found[:, 2].mean()
    if mirrored in (0, 1):
        which = "All" if mirrored else "None"
        raise Wrong(f"{which} of 2,000 images were mirrored. Decide for each image, so that about half are.")
    if not 0.4 < mirrored < 0.6:
        raise Wrong(f"{mirrored:.0%} of the images were mirrored. It should be about half.")
    if (found[:, 0] == found[:, 1]).all():
        raise Wrong("All windows lie on the diagonal: rows and columns share one random number. Draw two.")


def _refuse_unevenness(found):
    """Raise Wrong unless the places of the window occur about equally often, in either direction."""
    for axis, direction in enumerate(("top", "left")):
        counts = collections.Counter(found[:, axis].tolist())
        missing = [place for place in range(OFFSETS) if not counts[place]]
        if missing:
            raise Wrong(
                f"A window can begin at {OFFSETS} places, 0 to {OFFSETS - 1}. From the {direction} never seen: "
                f"{', '.join(map(str, missing))}. (Does your random number leave out its upper bound?)"
            )
        if max(counts.values()) > 2 * min(counts.values()):
            raise Wrong(f"Some places are far more frequent than others, from the {direction}. Draw them uniformly.")


def _refuse_missing(found):
    """Raise Wrong unless each of the 162 versions occurs; of 4,000 fair draws one in 10^8 lacks any."""
    versions, possible = len(np.unique(found, axis=0)), 2 * OFFSETS**2
    if versions < possible:
        raise Wrong(
            f"{len(found):,} images took only {versions} of the {possible} versions. Draw three numbers for each "
            "image, top, left and whether to mirror it, of which none depends on another."
        )


def _pair(answer, what, wanted):
    """Return the learner's answer as two ints."""
    try:
        values = tuple(answer)
        numbers = [int(value) for value in values]
        whole = len(values) == 2 and all(
            np.ndim(value) == 0 and not isinstance(value, (bool, str, bytes)) and number == value
            for number, value in zip(numbers, values, strict=True)
        )
    except (TypeError, ValueError, OverflowError, RuntimeError):
        whole = False
    if not whole:
        raise Wrong(f"For {what} it should return two whole numbers, {wanted}. It returned {show(answer)}.")
    return tuple(numbers)


def _split(function, labels, validation, seed):
    """Return the learner's two arrays of indices; refuse what is no pair of such."""
    given = labels.copy()
    case = f"{len(labels)} labels, {validation} of them to hold back"
    answer = answer_of(function, given, validation, seed, case=case)
    if not np.array_equal(given, labels):
        raise Wrong("It changed the labels that it was given. Work on indices, or on a copy.")
    try:
        parts = [np.asarray(part) for part in answer]
        usable = len(parts) == 2 and all(part.ndim == 1 and part.dtype.kind in "iu" for part in parts)
    except (TypeError, ValueError, OverflowError):
        usable = False
    if not usable:
        raise Wrong(f"It should return two arrays of indices, whole numbers. It returned {show(answer)}.")
    if any(part.size and not 0 <= part.min() <= part.max() < len(labels) for part in parts):
        raise Wrong(f"Indices go from 0 to {len(labels) - 1}. Some of these lie outside.")
    return parts
