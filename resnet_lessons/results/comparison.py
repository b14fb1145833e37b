"""A recorded run and its repetition: what was different about them, and whether the logs are the same."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Comparison:
    """What came of repeating a run.

    Attributes:
        same_data: whether both were trained on the same arrays.
        around: what was different about versions, hardware, commit and settings, a tuple of (what, recorded, now).
        first_difference: (epoch, field, recorded, now) where the logs first differ, seconds aside; None if they do not.
    """

    same_data: bool
    around: tuple[tuple[str, str, str], ...]
    first_difference: tuple[int, str, object, object] | None


def compare(recorded, now):
    """Compare a run with its repetition.

    Args:
        recorded: a ``Record``.
        now: the ``Record`` of the repetition.

    Returns:
        A ``Comparison``.
    """
    before, after = _around(recorded), _around(now)
    names = [name for name in before | after if before.get(name) != after.get(name)]
    return Comparison(
        same_data=recorded.data["sha256"] == now.data["sha256"],
        around=tuple((name, before.get(name, "none"), after.get(name, "none")) for name in names),
        first_difference=_first_difference(recorded.log, now.log),
    )


def _around(record):
    """Return all that may change what comes out but the data: a dict of texts."""
    told = {"precision": record.precision, "strategy": str(record.strategy), "devices": str(record.devices)}
    told |= {"repeats bit for bit": "yes" if record.deterministic else "no"}
    parts = [(record.versions, record.hardware, record.git, record.environment), *_resumed(record)]
    for versions, hardware, git, environment in parts:
        named = {**versions, "switches": _switches(environment)}
        named |= {key: hardware.get(key) for key in ("processor", "cores", "accelerators", "system")}
        named |= {"commit": git.get("commit") or git.get("release"), "uncommitted changes": git.get("changed", False)}
        for name, value in named.items():
            text = ", ".join(value) or "none" if isinstance(value, list) else str("unknown" if value is None else value)
            if name not in told:
                told[name] = text
            elif text not in told[name].split(", then "):
                told[name] += f", then {text}"
    return told


def _resumed(record):
    return [(part["versions"], part["hardware"], part["git"], part.get("environment")) for part in record.resumed]


def _switches(environment):
    """Name the variables that change how a backend computes; what an older record does not tell is unknown."""
    if environment is None:
        return "unknown"
    return " ".join(f"{name}={value}" for name, value in sorted(environment.items())) or "none"


def _first_difference(before, after):
    for one, other in zip(before, after, strict=False):
        for field, value in asdict(one).items():
            again = asdict(other)[field]
            if field != "seconds" and value != again:
                return one.epoch, field, value, again
    return None if len(before) == len(after) else (min(len(before), len(after)) + 1, "epoch", len(before), len(after))
