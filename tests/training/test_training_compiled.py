"""What training starts from: the seed's weights, the loss, the precision; and what the first step costs."""

import dataclasses
import math
import subprocess
import sys
import threading

from resnet_lessons import backend, training
from resnet_lessons.specs import Spec

import keras
import numpy as np
import pytest
from small_runs import RECIPE, SPEC, array, cross_entropy, softmax

on_tensorflow = pytest.mark.skipif(backend.BACKEND != "tensorflow", reason="counts how often TensorFlow traces")


# Seeds


def weights_of(seed):
    return list(map(array, training.compile_model(SPEC, RECIPE, seed, "float32").weights))


def test_a_seed_gives_the_same_initial_weights_each_time():
    keras.utils.set_random_seed(99)
    one, again, other = weights_of(0), weights_of(0), weights_of(1)
    kernels = [number for number, weight in enumerate(one) if weight.ndim > 1]
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert all(not np.array_equal(one[number], other[number]) for number in kernels)


REPEATED = """
import numpy as np
from resnet_lessons import backend, training
from resnet_lessons.batches import Batches
from resnet_lessons.recipes import Recipe
from resnet_lessons.specs import Spec

backend.make_deterministic()
x = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
recipe = Recipe("tiny", steps=5, batch_size=16, validation=0)
batches = Batches(x, np.arange(40) % 10, 16, "pad-crop-flip", 0)
runs = [training.fit(Spec("v1", 8, width=4, input_shape=(8, 8, 3)), recipe, batches, seed=s) for s in (0, 0, 1)]
same = [all(map(np.array_equal, runs[0].model.get_weights(), run.model.get_weights())) for run in runs]
print(*same, np.array_equal(runs[0].step_loss, runs[1].step_loss))
"""


def test_a_deterministic_run_repeats_to_the_bit():
    done = subprocess.run([sys.executable, "-c", REPEATED], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.split() == ["True", "True", "False", "True"]


# The loss


def first_loss(spec):
    """Return the loss of one batch before the first update, as Keras has it and as NumPy has it."""
    model = training.compile_model(spec, RECIPE, 0, "float32")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, *spec.input_shape)).astype("float32"), np.arange(20) % 10
    outputs = keras.ops.convert_to_numpy(model(x, training=True))
    probabilities = softmax(outputs) if spec.style == "paper" else outputs
    return model.train_on_batch(x, y, return_dict=True)["loss"], cross_entropy(probabilities, y)


@pytest.mark.parametrize("family", ["plain", "v1", "v2"])
def test_a_net_in_the_papers_style_starts_by_guessing(family):
    found, wanted = first_loss(Spec(family, {"v2": 11}.get(family, 8), width=4, input_shape=(8, 8, 3)))
    assert found == pytest.approx(wanted, rel=1e-4)
    assert found == pytest.approx(math.log(10), abs=0.1)


@pytest.mark.parametrize(("family", "depth"), [("v1", 8), ("v2", 11)])
def test_a_net_in_the_keras_examples_style_has_its_probabilities_taken_as_such(family, depth):
    found, wanted = first_loss(Spec(family, depth, width=4, style="keras-example"))
    assert found == pytest.approx(wanted, rel=1e-3)
    assert 1 < found < 10


# Precision


@pytest.mark.parametrize(
    ("accelerators", "flags", "chosen"),
    [
        (None, (), "float32"),
        (None, ("avx2", "avx512f"), "float32"),
        (None, ("avx512_bf16",), "mixed_bfloat16"),
        (None, ("amx_bf16", "sse"), "mixed_bfloat16"),
        (True, (), "mixed_bfloat16"),
        (False, ("avx512_bf16",), "float32"),
    ],
)
def test_auto_chooses_by_device_and_instructions(monkeypatch, accelerators, flags, chosen):
    monkeypatch.setattr(backend, "accelerators_have_bfloat16", lambda: accelerators)
    monkeypatch.setattr(backend, "processor_flags", lambda: frozenset(flags))
    assert training.choose_precision() == training.choose_precision("auto") == chosen
    assert training.choose_precision("float32") == "float32"
    assert training.choose_precision("mixed_bfloat16") == "mixed_bfloat16"


@pytest.mark.parametrize("bad", ["float16", "bfloat16", "", None, 32])
def test_another_precision_is_refused(bad):
    with pytest.raises(ValueError, match=r"precision must be one of 'auto', 'float32', 'mixed_bfloat16'\. Received: "):
        training.choose_precision(bad)


def test_bfloat16_computes_so_and_keeps_float32_weights(batches):
    run = training.fit(SPEC, dataclasses.replace(RECIPE, steps=2), batches, precision="mixed_bfloat16")
    assert run.precision == "mixed_bfloat16"
    assert {layer.compute_dtype for layer in run.model.layers[:-1]} == {"bfloat16"}
    assert run.model.layers[-1].compute_dtype == "float32"  # the loss sees all digits
    assert {v.dtype for v in run.model.weights} == {"float32"}
    assert {v.dtype for v in run.model.optimizer.variables if v.name != "iteration"} == {"float32"}
    assert np.isfinite(run.step_loss).all()


@pytest.fixture
def policy():
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("before", ["float32", "mixed_bfloat16"])
def test_the_policy_is_left_as_it_was(policy, before):
    policy(before)
    training.compile_model(SPEC, RECIPE, 0, "mixed_bfloat16")
    training.compile_model(SPEC, RECIPE, 0, "float32")
    assert keras.config.dtype_policy().name == before
    with pytest.raises(TypeError):
        training.compile_model("plain-8", RECIPE, 0, {"float32": "mixed_bfloat16"}.get(before, "float32"))
    assert keras.config.dtype_policy().name == before


def test_in_a_thread_the_threads_own_policy_is_set_and_left(policy):
    policy("mixed_bfloat16")
    seen = []

    def work():
        seen.append(keras.config.dtype_policy().name)
        seen.append(training.compile_model(SPEC, RECIPE, 0, "mixed_bfloat16").layers[1].compute_dtype)
        seen.append(keras.config.dtype_policy().name)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen[0] == seen[2]
    assert seen[1] == "bfloat16"
    assert keras.config.dtype_policy().name == "mixed_bfloat16"


# Cost


def traces(monkeypatch, batches):
    """Count how often the training step is traced: its Python body runs for that alone."""
    count, step = [], keras.Model.train_step
    monkeypatch.setattr(keras.Model, "train_step", lambda self, data: count.append(1) or step(self, data))
    training.fit(SPEC, RECIPE, batches, precision="float32")
    return len(count)


@on_tensorflow
def test_the_training_step_is_traced_once(monkeypatch, batches):
    assert traces(monkeypatch, batches) == 1


@on_tensorflow
def test_without_its_state_created_before_it_would_be_traced_twice(monkeypatch, batches):
    monkeypatch.setattr(training.compiled, "_create_state", lambda *_: None)
    assert traces(monkeypatch, batches) == 2


def test_timing_gives_seconds():
    first, later = training.time_updates(SPEC, 4, precision="float32", updates=2)
    assert 0 < later < first < 120
    assert type(later) is float
