"""Who takes part in the benchmark, and what all of them are given: sizes, images, and the turns they train in.

A contender's ``entry`` is a function (contender, settings, turns) that trains for ever and calls ``turns.tick()`` after
each update. It runs in a process of its own, see ``worker``.
"""

import dataclasses
import importlib.util
import json
import time

from resnet_lessons.recipes import PRECISIONS

import numpy as np

_KERAS, _TORCH = "resnet_lessons.bench.keras_nets", "resnet_lessons.bench.torch_net"
SCIPY = "SciPy, which Keras's image generator needs, is not installed. To get it: python -m pip install scipy"
TORCH = "PyTorch is not installed. To get it: python -m pip install torch"


@dataclasses.dataclass(frozen=True)
class Contender:
    """Say who takes part.

    Args:
        name: short, unique.
        title: what the table calls it.
        entry: "module:function".
        batch_size: images an update; 0 for a matrix product.
        precision: "float32", "bfloat16" or "auto"; what it computes products in.
        style: of the network, as in ``specs.Spec``.
        first: a module to load before this package can set anything for it; it then runs as it comes.
        needs: a module without which it is left out.
        without: what to say then.
    """

    name: str
    title: str
    entry: str
    batch_size: int
    precision: str = "float32"
    style: str = "paper"
    first: str | None = None
    needs: str | None = None
    without: str = ""

    @property
    def missing(self):
        """Why it cannot take part here, or None."""
        installed = self.needs is None or importlib.util.find_spec(self.needs) is not None
        return None if installed else self.without


@dataclasses.dataclass(frozen=True)
class Settings:
    """Sizes that all contenders share.

    Args:
        depth: of the ResNet v1.
        width: channels of its first stage.
        images: 32x32 images in the training set; a part batch at its end is left out.
        matmul: rows and columns of the matrices whose product is timed.
        warmup: updates, or products, before the first turn.
        settle: of them at the start of each turn, before the clock runs: batches that were made in the pause are used
            up, and the caches are the contender's own again.
        precision: what this package's own training is to run in, as in ``training.choose_precision``.
    """

    depth: int = 20
    width: int = 16
    images: int = 50_000
    matmul: int = 2048
    warmup: int = 5
    settle: int = 3
    precision: str = "auto"

    def __post_init__(self):
        for name, least in (("warmup", 1), ("settle", 1), ("matmul", 1), ("images", 128)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"{name} must be a whole number of at least {least}. Received: {value!r}.")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}. Received: {self.precision!r}.")

    def to_json(self):
        """Return a text that ``from_json`` turns back."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text):
        """Return the settings that ``to_json`` wrote."""
        return cls(**json.loads(text))

    def spec(self, style="paper"):
        """Return the network, as a ``specs.Spec``."""
        from resnet_lessons.specs import Spec

        return Spec("v1", self.depth, width=self.width, style=style)

    def arrays(self, batch_size):
        """Draw the training set: images (N, 32, 32, 3) uint8 and labels (N,), N a whole number of batches.

        Noise, because how long an update takes does not depend on what the images show.
        """
        count = self.images - self.images % batch_size
        rng = np.random.default_rng(0)
        x = np.frombuffer(rng.bytes(count * 32 * 32 * 3), np.uint8).reshape(count, 32, 32, 3)
        return x, rng.integers(10, size=count)


_EXAMPLE = {
    "entry": f"{_KERAS}:example",
    "style": "keras-example",
    "first": "keras",
    "needs": "scipy",
    "without": SCIPY,
}
_PYTORCH = {"entry": f"{_TORCH}:train", "batch_size": 128, "needs": "torch", "without": TORCH}
_NETWORKS = (
    Contender("keras-32", "Keras example", batch_size=32, **_EXAMPLE),
    Contender("keras-128", "Keras example, batch 128", batch_size=128, **_EXAMPLE),
    Contender("ours", "this package", f"{_KERAS}:ours", batch_size=128, precision="auto"),
    Contender("torch-float32", "PyTorch, channels-last", **_PYTORCH),
    Contender("torch-bfloat16", "PyTorch, channels-last, autocast", precision="bfloat16", **_PYTORCH),
)
NETWORKS = {contender.name: contender for contender in _NETWORKS}
PEAKS = {
    precision: Contender(f"matmul-{precision}", f"matrix product, {precision}", f"{_KERAS}:matmul", 0, precision)
    for precision in ("float32", "bfloat16")
}


class Turns:
    """Time updates in turns, as asked: the contender's side of the conversation with the benchmark.

    Args:
        ask: a function that waits until a turn is asked for and returns its number of updates.
        answer: a function that takes what to report, a dict.
        settings: its ``warmup`` and ``settle``.
    """

    def __init__(self, ask, answer, settings):
        self.facts = {}
        self._ask, self._answer, self._settle = ask, answer, settings.settle
        self._left, self._timed, self._began = settings.warmup, 0, 0.0

    def tick(self):
        """Count one finished update; at the end of a turn report it and wait for the next."""
        self._left -= 1
        if self._left == self._timed:
            self._began = time.perf_counter()
        if self._left == 0:
            self._answer(self.facts | {"seconds": time.perf_counter() - self._began})
            self._timed = self._ask()
            self._left = self._timed + self._settle
