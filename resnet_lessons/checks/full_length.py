"""The exercises of lesson 09: the hours of a training, a checkpoint that survives a kill, the seeds of a comparison."""

import math
import tempfile
from pathlib import Path

from .answers import Unattempted, Wrong, answer_of, exercise, hint_for, real_number, show, whole_number


@exercise
def training_hours(function):
    """Check ``function(updates, batch_size, images_per_second)``: hours that so many updates take."""
    for updates, batch_size, rate in ((64_000, 128, 1300), (281_400, 32, 450.0), (8_000, 128, 20_000)):
        case = f"{updates:,} updates of {batch_size} images at {rate:,g} a second"
        answer = answer_of(function, updates, batch_size, rate, case=case)
        answer = real_number(answer, f"For {case} it should return one number")
        right = updates * batch_size / rate / 3600
        if math.isclose(answer, right, rel_tol=1e-3):
            continue
        hints = [
            (3600 * right, "That is in seconds."),
            (60 * right, "That is in minutes."),
            (right / batch_size, "An update takes a whole batch of images, not one."),
            (updates * batch_size * rate / 3600, "More images a second take less time: divide by the rate."),
            (1 / right, "That is trainings an hour. Turn it over."),
        ]
        hint = hint_for(answer, hints, "How many images are seen in all, and how many seconds is that?")
        raise Wrong(f"{case} came out as {answer:.4g} hours. {hint}")
    return "he2015 at 1,300 images a second: 1.75 hours."


OLD, NEW = b"old" * 1000, b"new" * 2000


@exercise
def save_checkpoint(function):
    """Check ``function(path, write)``: whenever it is stopped, ``path`` holds the old content or the new, whole."""
    with tempfile.TemporaryDirectory() as folder:
        seen = _saved(function, Path(folder) / "checkpoint.npz")
        _look_while_writing(seen)
        _fails_half_way(function, Path(folder) / "another.npz")
        _first_of_all(function, Path(folder) / "first.npz")
    return "The old content stays until the new one is complete, and one move puts it in place."


def _saved(function, path):
    """Have the learner's function replace a file, and note what lies at ``path`` while it writes and after."""
    path.write_bytes(OLD)
    seen = []

    def write(file):
        file.write(NEW[:2500])
        file.flush()
        seen.append(_content(path))  # what a kill at this moment would leave
        file.write(NEW[2500:])

    try:
        answer = function(path, write)
    except NotImplementedError:
        answer = None
    if not seen and _content(path) == OLD:
        if answer is None or answer is Ellipsis:
            raise Unattempted("a checkpoint to replace")
        raise Wrong(f"It did not call write(file). It returned {show(answer)}.")
    if _content(path) != NEW:
        raise Wrong("After a save that nothing disturbed, path does not hold the new content.")
    return seen


def _look_while_writing(seen):
    for content in seen:
        if content is None:
            raise Wrong("While it writes there is no file at path. A kill then leaves nothing to go on from.")
        if content != OLD:
            raise Wrong(
                "While it writes, path holds neither the old content nor the whole new one. "
                "A kill then leaves half a checkpoint. Write to another name first."
            )


def _fails_half_way(function, path):
    """Let ``write`` fail, as on a full disk."""
    path.write_bytes(OLD)

    def write(file):
        file.write(NEW[:2500])
        raise OSError(28, "No space left on device")

    try:
        function(path, write)
    except OSError:
        pass
    else:
        raise Wrong("When write fails, the caller hears nothing of it. Let the exception through.")
    if _content(path) != OLD:
        raise Wrong("When write fails half way, as on a full disk, path no longer holds the old content.")


def _first_of_all(function, path):
    """Save where nothing lies yet."""
    try:
        function(path, lambda file: file.write(NEW))
    except FileNotFoundError as error:
        raise Wrong("The first checkpoint of a run finds no old one. It must be written too.") from error
    if _content(path) != NEW:
        raise Wrong("The first checkpoint of a run, where none was before, is not written.")


def _content(path):
    """Return what a file holds; None if there is none."""
    return path.read_bytes() if path.exists() else None


@exercise
def seeds_needed(function):
    """Check ``function(difference, spread)``: the least n with difference >= 2 * spread * sqrt(2 / n)."""
    for difference, spread in ((0.1, 0.16), (0.24, 0.16), (0.5, 0.1), (0.3, 0.45)):
        answer = whole_number(function, difference, spread)
        exact = 8 * (spread / difference) ** 2
        right = max(1, math.ceil(exact))
        if answer == right:
            continue
        hints = {
            math.floor(exact): "Round up: with fewer seeds the difference is too small.",
            math.ceil(exact / 2): "Both means scatter, so the root is over 2/n.",
            math.ceil(exact / 4): "The rule asks for twice the scatter.",
            math.ceil(math.sqrt(exact)): "The root is over 2/n: square to get at n.",
            2 * right: "That is for both networks together. The question is for each.",
        }
        told = hints.get(answer, "Solve difference = 2 * spread * sqrt(2 / n) for n, and round up.")
        raise Wrong(f"A difference of {difference} at a spread of {spread} gave {answer}. {told}")
    return "Four seeds of each for 0.24 at a spread of 0.16; half the difference takes four times the seeds."
