"""Training against loops written out: losses, rates, weight decay, seeds, precision, and where it stops."""

import dataclasses
import math
import subprocess
import sys
import threading

from resnet_lessons import backend, models, results, training
from resnet_lessons.batches import Batches
from resnet_lessons.recipes import Recipe
from resnet_lessons.specs import Spec

import keras
import numpy as np
import pytest

on_tensorflow = pytest.mark.skipif(backend.BACKEND != "tensorflow", reason="counts how often TensorFlow traces")

SPEC = Spec("plain", 8, width=4, input_shape=(8, 8, 3))
# 22 images in batches of 8 end each pass in one of 6; epochs of 2 updates cut the passes of 3; 7 updates end amid one.
RECIPE = Recipe(
    "tiny",
    steps=7,
    batch_size=8,
    learning_rate=0.5,
    drops=(0.5, 0.75),
    warmup_steps=1,
    weight_decay=1e-2,
    validation=0,
    steps_per_epoch=2,
)


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (22, 8, 8, 3), dtype=np.uint8), np.arange(22) % 10


@pytest.fixture
def batches(images):
    return Batches(*images, RECIPE.batch_size, "pad-crop-flip", 3, steps_per_epoch=RECIPE.steps_per_epoch)


class Rates(keras.callbacks.Callback):
    """Keep the learning rate and the number of updates made, as each update ends."""

    def __init__(self):
        super().__init__()
        self.rates, self.updates = [], []

    def on_train_batch_end(self, batch, logs=None):  # noqa: ARG002
        self.rates.append(float(self.model.optimizer.learning_rate))
        self.updates.append(int(self.model.optimizer.iterations))


@pytest.fixture(scope="module")
def trained(images):
    """One run with everything on, and the rates it used."""
    stream = Batches(*images, RECIPE.batch_size, "pad-crop-flip", 3, steps_per_epoch=RECIPE.steps_per_epoch)
    for _ in range(5):
        stream.on_epoch_begin()  # it has served five epochs before
    rates = Rates()
    held_back = Batches(*images, 5, indices=range(12))
    run = training.fit(SPEC, RECIPE, stream, held_back, seed=1, precision="float32", callbacks=[rates])
    return run, rates, held_back


def array(variable):
    return keras.ops.convert_to_numpy(variable + 0)  # a tensor: converting the variable itself warns


def cross_entropy(probabilities, labels):
    return -np.log(np.asarray(probabilities, "float64")[np.arange(len(labels)), labels]).mean()


def softmax(logits):
    logits = np.asarray(logits, "float64")
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


# What a run gives


@pytest.fixture(scope="module")
def by_hand(images):
    """The same training as a loop over NumPy weights: forward pass, gradient and update of each batch in turn."""
    model = training.compile_model(SPEC, RECIPE, 1, "float32")
    stream = Batches(*images, RECIPE.batch_size, "pad-crop-flip", 3)
    weights, losses, errors = model.trainable_variables, [], []
    velocity = [np.zeros(w.shape) for w in weights]
    for step in range(RECIPE.steps):
        x, y = stream.at(*divmod(step, len(stream)))
        before = [array(v) for v in model.non_trainable_variables]
        probabilities = softmax(keras.ops.convert_to_numpy(model(x, training=True)))  # updates moving statistics
        after = [array(v) for v in model.non_trainable_variables]
        losses.append(cross_entropy(probabilities, y))
        errors.append(np.mean(probabilities.argmax(axis=1) != y))
        for variable, value in zip(model.non_trainable_variables, before, strict=True):
            variable.assign(value)
        _, gradients = backend.gradients(model, x, y, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        for variable, value in zip(model.non_trainable_variables, after, strict=True):
            variable.assign(value)
        for number, (variable, gradient) in enumerate(zip(weights, gradients, strict=True)):
            w = array(variable)
            decay = RECIPE.weight_decay if w.ndim > 1 else 0  # kernels have 2 or 4 axes; scales, shifts, biases 1
            velocity[number] = RECIPE.momentum * velocity[number] - RECIPE.lr_at(step) * (gradient + decay * w)
            variable.assign(w + velocity[number])
    return model, losses, errors


def test_losses_and_errors_are_those_of_a_loop_by_hand(trained, by_hand):
    run, _, _ = trained
    _, losses, errors = by_hand
    np.testing.assert_allclose(run.step_loss, losses, rtol=2e-3)
    np.testing.assert_allclose(run.step_error, errors, atol=1e-5)
    assert run.step_loss.dtype == run.step_error.dtype == np.float32


def test_final_weights_are_those_of_a_loop_by_hand(trained, by_hand):
    for found, wanted in zip(trained[0].model.weights, by_hand[0].weights, strict=True):
        np.testing.assert_allclose(array(found), array(wanted), rtol=2e-2, atol=2e-3)


def test_means_of_batches_of_equal_weight_would_miss_the_small_ones():
    """Negative control: Keras's means are over images, so differences of mean * batches are not a batch's own."""
    log = training.StepLog()
    log.on_epoch_begin(0)
    own, sizes = [2.0, 3.0, 1.0], np.array([8, 6, 8])
    means = [np.dot(own[:n], sizes[:n]) / sizes[:n].sum() for n in (1, 2, 3)]
    for batch, mean in enumerate(means):
        log.on_train_batch_end(batch, {"loss": mean, "accuracy": mean / 10, "images": sizes[: batch + 1].sum()})
    assert log.loss == pytest.approx(own)
    assert log.error == pytest.approx([0.8, 0.7, 0.9])
    assert np.diff([mean * (batch + 1) for batch, mean in enumerate([0, *means])])[1] != pytest.approx(own[1], rel=0.01)


def test_it_stops_after_the_recipes_last_update_amid_an_epoch(trained):
    run, rates, _ = trained
    assert len(run.step_loss) == len(run.step_error) == RECIPE.steps == 7
    assert rates.updates == [1, 2, 3, 4, 5, 6, 7]
    assert [line["step"] for line in run.epochs] == [2, 4, 6, 7]
    assert [line["epoch"] for line in run.epochs] == [1, 2, 3, 4]


def test_batches_are_served_in_their_own_order(images):
    served = []

    class Watched(Batches):
        def at(self, epoch, index):
            served.append((epoch, index))
            return super().at(epoch, index)

    stream = Watched(*images, 4, seed=0, steps_per_epoch=9)
    training.fit(SPEC, dataclasses.replace(RECIPE, steps=18), stream, precision="float32")
    assert served[-18:] == [(epoch, index) for epoch in range(2) for index in range(9)]  # Keras looks at two before


def test_every_update_has_the_recipes_rate(trained):
    run, rates, _ = trained
    wanted = [RECIPE.lr_at(step) for step in range(7)]
    assert len(set(wanted)) == 4
    assert rates.rates == pytest.approx(wanted)
    assert [line["lr"] for line in run.epochs] == pytest.approx([wanted[step] for step in (1, 3, 5, 6)])


def test_the_lines_of_the_log_are_means_over_their_images(trained):
    run, _, _ = trained
    sizes = np.array([8, 8, 6, 8, 8, 6, 8])
    for line, chunk in zip(run.epochs, (slice(0, 2), slice(2, 4), slice(4, 6), slice(6, 7)), strict=True):
        mean = np.average(run.step_loss[chunk], weights=sizes[chunk])
        assert line["train_loss"] == pytest.approx(mean, rel=1e-4)
        assert line["train_error"] == pytest.approx(np.average(run.step_error[chunk], weights=sizes[chunk]), abs=1e-5)
        assert 0 < line["seconds"] <= run.seconds


def test_validation_is_the_nets_own_after_the_epoch(trained):
    run, _, held_back = trained
    x, y = (np.concatenate(part) for part in zip(*held_back, strict=True))
    probabilities = softmax(keras.ops.convert_to_numpy(run.model(x, training=False)))
    assert run.epochs[-1]["val_loss"] == pytest.approx(cross_entropy(probabilities, y), rel=1e-4)
    assert run.epochs[-1]["val_error"] == pytest.approx(np.mean(probabilities.argmax(axis=1) != y), abs=1e-6)


def test_a_line_of_the_log_is_what_records_hold(trained):
    for line in trained[0].epochs:
        fields = {key: value for key, value in line.items() if key != "step"}
        assert dataclasses.asdict(results.Epoch(**fields)) == fields


def test_a_run_says_what_was_run(trained):
    run, _, _ = trained
    assert (run.spec, run.recipe, run.seed, run.precision) == (SPEC, RECIPE, 1, "float32")
    assert "array" not in repr(run)
    assert run == run != dataclasses.replace(run)  # comparing arrays would raise


def test_without_validation_there_is_none(batches):
    run = training.fit(SPEC, dataclasses.replace(RECIPE, steps=2), batches, precision="float32")
    assert set(run.epochs[0]) == {"epoch", "step", "train_loss", "train_error", "lr", "seconds"}


def test_a_saved_net_comes_back_with_its_decay(trained, tmp_path, images):
    run, _, _ = trained
    run.model.save(tmp_path / "net.keras")
    again = keras.models.load_model(tmp_path / "net.keras")
    x = Batches(*images, 22).at(0, 0)[0]
    np.testing.assert_allclose(again.predict(x, verbose=0), run.model.predict(x, verbose=0), rtol=1e-4, atol=1e-5)
    assert (again.optimizer.decay, again.optimizer.momentum) == (RECIPE.weight_decay, RECIPE.momentum)
    for found, wanted in zip(again.optimizer.variables, run.model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(array(found), array(wanted))


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


# The optimizer


def optimized(optimizer, gradients, values):
    """Make updates of a kernel, a scale and a bias, and return their values."""
    variables = {name: keras.Variable(value, name=name) for name, value in values.items()}
    optimizer.build(list(variables.values()))
    for gradient in gradients:
        optimizer.apply(list(map(keras.ops.convert_to_tensor, gradient)))
    return {name: array(variable) for name, variable in variables.items()}


@pytest.fixture
def update():
    rng = np.random.default_rng(0)
    values = {"kernel": rng.normal(size=(3, 3, 2, 4)), "gamma": rng.normal(size=4), "bias": rng.normal(size=4)}
    values = {name: value.astype("float32") for name, value in values.items()}
    gradients = [[rng.normal(size=value.shape).astype("float32") for value in values.values()] for _ in range(2)]
    return values, gradients


def numpy_sgd(values, gradients, rate, momentum, decay):
    found = {}
    for number, (name, w) in enumerate(values.items()):
        velocity = np.zeros_like(w)
        for gradient in gradients:
            g = gradient[number] + (decay * w if name == "kernel" else 0)
            velocity = momentum * velocity - rate * g
            w = w + velocity
        found[name] = w
    return found


@pytest.mark.parametrize(("momentum", "decay"), [(0.9, 0.1), (0.0, 0.1), (0.9, 0.0)])
def test_weight_decay_is_a_term_of_a_kernels_gradient_and_of_no_other(update, momentum, decay):
    found = optimized(training.SGD(0.1, momentum=momentum, decay=decay), update[1], update[0])
    for name, wanted in numpy_sgd(*update, 0.1, momentum, decay).items():
        np.testing.assert_allclose(found[name], wanted, rtol=1e-5, atol=1e-6)


def test_keras_own_weight_decay_is_another_method(update):
    """Negative control: it shrinks every weight, and past the momentum."""
    own = optimized(keras.optimizers.SGD(0.1, momentum=0.9, weight_decay=0.1), update[1], update[0])
    wanted = numpy_sgd(*update, 0.1, 0.9, 0.1)
    assert all(np.abs(own[name] - wanted[name]).max() > 1e-3 for name in wanted)


def test_all_kernels_of_a_net_decay_and_nothing_else():
    """With a gradient of zero, what an update changes is what decays."""
    model = training.compile_model(SPEC, RECIPE, 0, "float32")
    before = {v.path: array(v) for v in model.trainable_variables}
    model.optimizer.learning_rate = 1.0
    model.optimizer.apply([keras.ops.zeros(v.shape) for v in model.trainable_variables])
    for variable in model.trainable_variables:
        kept = 1 - RECIPE.weight_decay if len(variable.shape) > 1 else 1
        np.testing.assert_allclose(array(variable), kept * before[variable.path], rtol=1e-5)


@pytest.mark.parametrize(
    "schedule",
    [
        keras.callbacks.LearningRateScheduler(float),
        keras.callbacks.ReduceLROnPlateau(),
        type("Mine", (keras.callbacks.ReduceLROnPlateau,), {})(),
    ],
)
def test_a_second_schedule_is_refused_before_anything_is_built(monkeypatch, batches, schedule):
    monkeypatch.setattr(models, "build", lambda _: pytest.fail("it was built"))
    with pytest.raises(ValueError, match=f"The recipe sets the learning rate.* a {type(schedule).__name__} would"):
        training.fit(SPEC, RECIPE, batches, callbacks=[Rates(), schedule])


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
    monkeypatch.setattr(training, "_create_state", lambda *_: None)
    assert traces(monkeypatch, batches) == 2


def test_timing_gives_seconds():
    first, later = training.time_updates(SPEC, 4, precision="float32", updates=2)
    assert 0 < later < first < 120
    assert type(later) is float
