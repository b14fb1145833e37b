"""``strategy="mirrored"`` on two parts of one processor: the devices decide where something is computed, not what."""

import json
import subprocess
import sys
import types
from pathlib import Path

from resnet_lessons import backend, training

import pytest
from small_runs import dataset

on_tensorflow = pytest.mark.skipif(backend.BACKEND != "tensorflow", reason="mirrors on TensorFlow")

# One process, since a processor can be divided only before its first computation, and a process takes seconds to start.
COMPARED = f"""
import dataclasses, json, sys
sys.path[:0] = [{str(Path(__file__).parent)!r}]
from pathlib import Path
from resnet_lessons import backend
backend.divide_processor(2)
import numpy as np
from small_runs import DROPPING, HELD_BACK, AfterUpdates, dataset, same_weights, train

def far(one, other):
    pairs = zip(one.model.weights, other.model.weights, strict=True)
    return {{a.path: float(np.abs(np.asarray(a + 0) - np.asarray(b + 0)).max()) for a, b in pairs}}

folder, spec = Path(sys.argv[1]) / "run", dataclasses.replace(DROPPING, skip="identity")  # dropout differs by device
recipe = dataclasses.replace(HELD_BACK, weight_decay=1e-2)  # 40 images in batches of 16: the last of a pass has 8
options = {{"spec": spec, "recipe": recipe, "images": dataset(test=21)}}
one = train(**options)

def refused(**change):
    try:
        train(folder.with_name("refused"), strategy="mirrored", **options | change)
    except ValueError as error:
        return str(error)

uneven = {{
    "batch": refused(recipe=dataclasses.replace(recipe, batch_size=15)),
    "training": refused(images=dataset(train=53)),
    "validation": refused(recipe=dataclasses.replace(recipe, validation=11)),
}}
begun = train(folder, strategy="mirrored", stop=AfterUpdates(6), **options)
two = train(folder, strategy="mirrored", **options)
read = train(folder, strategy="mirrored", **options)
steps = lambda run: [float(loss) for loss in run.step_loss]
figures = ("train_loss", "train_error", "val_loss", "val_error")
epochs = lambda run: [[line[key] for key in figures] for line in run.epochs]
print(json.dumps({{
    "devices": len(two.model.distribute_strategy.extended.worker_devices),
    "uneven": uneven,
    "left": folder.with_name("refused").exists(),
    "finished": [begun.finished, two.finished],
    "step_losses": [steps(one), steps(begun)[:4] + steps(two)],
    "epochs": [sum(epochs(run), []) for run in (one, two)],
    "tests": [[run.test_loss, run.test_error] for run in (one, two)],
    "far": far(one, two),
    "read": same_weights(two.model, read.model),
    "apart": [float(np.std([part.numpy() for part in v.value.values], axis=0).max()) for v in two.model.weights],
}}))
"""


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mirrored")
    done = subprocess.run(
        [sys.executable, "-c", COMPARED, folder], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), folder


@on_tensorflow
@pytest.mark.parametrize("figures", ["step_losses", "epochs", "tests"])
def test_losses_and_errors_are_those_of_one_device(compared, figures):
    found, _ = compared
    assert found["devices"] == 2
    one, two = found[figures]
    assert two == pytest.approx(one, rel=1e-3)


@on_tensorflow
def test_weights_and_moving_statistics_are_those_of_one_device(compared):
    far = compared[0]["far"]
    assert any(path.endswith("moving_variance") for path in far)
    assert max(far.values()) < 1e-3


@on_tensorflow
def test_all_copies_are_the_same(compared):
    assert max(compared[0]["apart"]) == 0


@on_tensorflow
def test_batches_that_cannot_be_shared_evenly_are_refused(compared):
    """The test images are an odd number; one device reads them."""
    found, _ = compared
    start = "strategy='mirrored' gives each of 2 devices an equal share of every batch. Received: "
    end = ". Choose numbers that 2 divides, or another number of devices."
    assert found["uneven"] == {
        "batch": f"{start}batch_size 15{end}",
        "training": f"{start}training images 43{end}",
        "validation": f"{start}training images 39, validation images 11, images validated at a time 11{end}",
    }
    assert not found["left"]


@on_tensorflow
def test_it_goes_on_and_is_read(compared):
    found, folder = compared
    assert found["finished"] == [False, True]
    assert found["read"]
    described = json.loads((folder / "run" / "run.json").read_text())
    assert (described["strategy"], described["devices"]) == ("mirrored", 2)
    assert described["command"].startswith("backend.divide_processor(2); training.train(")
    assert len(described["resumed"]) == 1


@on_tensorflow
def test_a_machine_with_one_device_reads_what_several_have_trained(compared):
    found, folder = compared
    run = training.resume(folder / "run", dataset(test=21))
    assert run.finished
    assert run.test_loss == found["tests"][1][0]


def test_other_strategies_are_refused():
    with pytest.raises(ValueError, match=r"strategy must be one of None, 'mirrored'\. Received: 'multi-worker'"):
        backend.scope("multi-worker")


@pytest.mark.skipif(len(backend.devices()) > 1, reason="has several devices")
def test_one_device_is_refused_with_what_to_do():
    if backend.BACKEND != "tensorflow":
        pytest.skip("mirrors on TensorFlow")
    words = (
        r"needs two devices or more. Received: .*CPU:0. .* divide the processor first: backend.divide_processor\(2\)"
    )
    with pytest.raises(ValueError, match=words):
        backend.scope("mirrored")


def test_on_jax_it_is_refused(monkeypatch):
    monkeypatch.setattr(backend.strategies, "BACKEND", "jax")
    with pytest.raises(ValueError, match=r"strategy='mirrored' needs the TensorFlow backend\. .* KERAS_BACKEND='jax'"):
        backend.scope("mirrored")
    with pytest.raises(ValueError, match="Only TensorFlow's processor can be divided"):
        backend.divide_processor(2)


@pytest.mark.parametrize("count", [0, 1, 2.0, True, "2"], ids=repr)
def test_a_processor_is_divided_in_two_or_more(count):
    with pytest.raises(ValueError, match=rf"count must be a whole number of at least 2\. Received: {count!r}"):
        backend.divide_processor(count)


@on_tensorflow
def test_a_processor_beside_a_gpu_cannot_be_divided(monkeypatch):
    gpu = types.SimpleNamespace(name="/physical_device:GPU:0")
    monkeypatch.setattr(
        backend.strategies.tf.config, "list_physical_devices", lambda kind: [gpu] if kind == "GPU" else []
    )
    with pytest.raises(ValueError, match=r"Received: a machine with /physical_device:GPU:0\."):
        backend.divide_processor(2)


@on_tensorflow
def test_a_processor_that_has_computed_cannot_be_divided():
    import keras

    keras.ops.ones(1)
    with pytest.raises(ValueError, match=r"only before the first computation\. Restart Python or the kernel"):
        backend.divide_processor(2)
