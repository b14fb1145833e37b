"""What decides how a run comes out, as plain data that ``run.json`` holds and that needs no Keras."""

import dataclasses

from resnet_lessons.recipes import HIGHEST_SEED, PRECISIONS, STRATEGIES, Recipe
from resnet_lessons.recipes.recipe import whole
from resnet_lessons.specs import Spec

AUTO = ("precision", "auto")


@dataclasses.dataclass(frozen=True)
class Settings:
    """All that decides how a run comes out, but for the data and the machine.

    Args:
        spec: the network.
        recipe: how it is trained.
        seed: of the initial weights, dropout, order and augmentation.
        precision: "float32" or "mixed_bfloat16".
        strategy: None, or "mirrored".
        deterministic: whether operations were asked to repeat bit for bit.
        devices: the parts of a divided processor that "mirrored" was over; None on GPUs, and in an old ``run.json``.

    Raises:
        ValueError: for a value that is not so.
    """

    spec: Spec
    recipe: Recipe
    seed: int
    precision: str
    strategy: str | None
    deterministic: bool
    devices: int | None = None

    def __post_init__(self):
        # The dataclass is frozen, and NumPy's numbers are not JSON.
        object.__setattr__(self, "seed", whole("seed", self.seed, 0, HIGHEST_SEED))
        if self.precision not in PRECISIONS[1:]:
            raise ValueError(f"precision must be one of {PRECISIONS[1:]}. Received: {self.precision!r}.")
        if not isinstance(self.deterministic, bool):
            raise ValueError(f"deterministic must be true or false. Received: {self.deterministic!r}.")
        if self.strategy not in STRATEGIES:
            raise ValueError(f"strategy must be one of {STRATEGIES}. Received: {self.strategy!r}.")
        if self.devices is not None and (type(self.devices) is not int or self.devices < 2 or self.strategy is None):
            raise ValueError(f"devices must be two or more, and with a strategy alone. Received: {self.devices!r}.")

    def to_json(self):
        """Return a dict of plain values that ``from_json`` turns back into these settings."""
        return {
            "spec": self.spec.to_json(),
            "recipe": self.recipe.to_json(),
            "seed": self.seed,
            "precision": self.precision,
            "strategy": self.strategy,
            "deterministic": self.deterministic,
            "devices": self.devices,
        }

    @classmethod
    def from_json(cls, values):
        """Return the settings that a ``run.json`` holds."""
        plain = {key: values[key] for key in ("seed", "precision", "strategy", "deterministic")}
        return cls(Spec(**values["spec"]), Recipe(**values["recipe"]), **plain, devices=values.get("devices"))

    def differing(self, wanted):
        """Say in words how these settings differ from those that are wanted.

        Args:
            wanted: a dict of fields; what it lacks may be anything, and so may precision where "auto" is wanted, for a
                run keeps its own on another machine.

        Returns:
            A list of texts, a field each, empty if nothing differs.
        """
        pairs = {key: (getattr(self, key), value) for key, value in wanted.items() if (key, value) != AUTO}
        return [_in_words(key, was, now) for key, (was, now) in pairs.items() if was != now]


def _in_words(key, was, now):
    """Say how two values differ; of two specs or recipes only the fields that do."""
    if not dataclasses.is_dataclass(was):
        return f"{key} is {was}, asked for is {now}"
    fields = [field.name for field in dataclasses.fields(was) if getattr(was, field.name) != getattr(now, field.name)]
    return "; ".join(_in_words(f"{key}'s {name}", getattr(was, name), getattr(now, name)) for name in fields)
