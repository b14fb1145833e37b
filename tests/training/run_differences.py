"""Whether two runs that should have ended the same did so: what the kill script and the tests compare."""

import json

import h5py  # comes with Keras

NOT_COMPARED = {"seconds", "peak_memory"}
SETTINGS = ("spec", "recipe", "seed", "precision", "strategy", "deterministic", "data", "command")


def differences(reference, folder):
    """Return in words how the run in ``folder`` ended otherwise than the one in ``reference``; an empty list if not."""
    one, other = (weights(path / "model.weights.h5") for path in (reference, folder))
    found = [f"weights {name}" for name in sorted(one.keys() | other.keys()) if one.get(name) != other.get(name)]
    one, other = (_log(path / "log.jsonl") for path in (reference, folder))
    found += [f"log of {len(other)} lines, not {len(one)}"] if len(one) != len(other) else []
    pairs = enumerate(zip(one, other, strict=False), start=1)
    found += [f"log line {number}" for number, (wanted, line) in pairs if line != wanted]
    one, other = (json.loads((path / "run.json").read_text(encoding="utf-8")) for path in (reference, folder))
    found += [f"run.json {key}" for key in SETTINGS if one[key] != other[key]]
    if _compared(one["result"]) != _compared(other.get("result", {})):
        found.append("run.json result")
    return found


def weights(path):
    """Return every weight of a file as (shape, type, bytes)."""
    found = {}
    with h5py.File(path) as file:

        def take(name, item):
            if isinstance(item, h5py.Dataset):
                found[name] = item.shape, str(item.dtype), item[()].tobytes()

        file.visititems(take)
    return found


def _log(path):
    return [_compared(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def _compared(values):
    return {key: value for key, value in values.items() if key not in NOT_COMPARED}
