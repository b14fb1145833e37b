"""Finished runs as training leaves them, made up without training: plain values whose log and summary agree."""

import json
from fractions import Fraction

from resnet_lessons.specs import Spec

TRAIN, HELD_BACK, TEST, BATCH = 45_000, 5_000, 10_000, 128
PASS = 352  # updates: 351 batches of 128 images and one of 72

SURROUNDINGS = {
    "versions": {
        "resnet-lessons": "0.1.0",
        "python": "3.12.1",
        "keras": "3.15.1",
        "tensorflow": "2.21.0",
        "numpy": "2.4.6",
    },
    "hardware": {"processor": "some processor", "cores": 2, "accelerators": []},
    "git": {"commit": "c0ffee", "changed": False},
}


def log(epochs=2, last=PASS, wrong=9_000, seconds=9.5):
    """Return the lines of a run whose last epoch has ``last`` updates; fewer images are wrong in each.

    Args:
        epochs: their number.
        last: updates of the last one.
        wrong: training images that the first epoch gets wrong; epoch k gets wrong / k.
        seconds: of an epoch; the last takes 0.125 more.
    """
    steps = [*(PASS * epoch for epoch in range(1, epochs)), PASS * (epochs - 1) + last]
    made = []
    for epoch, step in enumerate(steps, start=1):
        images = TRAIN if step % PASS == 0 else (step % PASS) * BATCH
        passed = [part for part in (0.5, 0.75) if step - 1 >= round(part * steps[-1])]
        made.append(
            {
                "epoch": epoch,
                "step": step,
                "train_loss": 1.5 / epoch,
                "train_error": (wrong // epoch * images // TRAIN) / images,
                "val_loss": 1.4 / epoch,
                "val_error": (wrong // epoch // 9 + 50) / HELD_BACK,
                "lr": [0.1, 0.01, 0.001][len(passed)],
                "seconds": seconds + 0.125 * (epoch == epochs),
            }
        )
    return made


def run(lines=None, spec=None, seed=0, test_wrong=1_900, **changes):
    """Return what the ``run.json`` of such a log says; ``changes`` replace some of it."""
    lines = log() if lines is None else lines
    spec = spec or Spec("v1", 20)
    recipe = {
        "name": "short",
        "steps": lines[-1]["step"],
        "batch_size": BATCH,
        "learning_rate": 0.1,
        "drops": [0.5, 0.75],
        "validation": HELD_BACK,
        "steps_per_epoch": None,
    }
    return {
        "spec": spec.to_json(),
        "recipe": recipe,
        "seed": seed,
        "precision": "float32",
        "strategy": None,
        "deterministic": True,
        "data": {
            "name": "cifar10",
            "source": "CIFAR-10, original: told by its checksums",
            "sha256": "0f" * 32,
            "training_images": TRAIN,
            "validation_images": HELD_BACK,
        },
        "command": "resnet-lessons train v1 --n 3 --recipe short",
        **SURROUNDINGS,
        "result": {
            "test_error": test_wrong / TEST,
            "test_loss": 0.7,
            "val_loss": lines[-1]["val_loss"],
            "val_error": lines[-1]["val_error"],
            "seconds": float(sum(Fraction(line["seconds"]) for line in lines)),
            "test_images": TEST,
            "parameters": 269_722,
        },
    } | changes


def write(folder, description=None, lines=None):
    """Write such a run into a new folder and return that."""
    lines = log() if lines is None else lines
    description = run(lines) if description is None else description
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(description), encoding="utf-8")
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return folder
