"""What training starts from: the seed's weights, the loss, the precision; and what the first step costs."""

import contextlib
import dataclasses
import math
import threading
import time

from resnet_lessons import backend, machine, models, training
from resnet_lessons.batches import Batches
from resnet_lessons.specs import Spec

import keras
import numpy as np
import pytest
from at_epoch import AtEpoch
from small_runs import DROPPING, RECIPE, SPEC, array, cross_entropy, same_weights, softmax, train

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


def test_nothing_that_went_before_changes_the_initial_weights(policy):
    """Neither the global policy nor the state of any generator, nor nets that were built before."""
    wanted = weights_of(3)
    for before in (
        lambda: policy("mixed_bfloat16"),
        lambda: keras.utils.set_random_seed(7),
        lambda: np.random.random(5),
        lambda: training.compile_model(Spec("v1", 8, width=5), RECIPE, 1, "float32"),
        keras.utils.clear_session,
    ):
        before()
        assert all(np.array_equal(a, b) for a, b in zip(weights_of(3), wanted, strict=True))


def test_bfloat16_starts_from_the_same_weights():
    model = training.compile_model(SPEC, RECIPE, 3, "mixed_bfloat16")
    assert all(np.array_equal(array(a), b) for a, b in zip(model.weights, weights_of(3), strict=True))


class Enough(Exception):
    pass


def first_weights(**options):
    """Return the weights that ``train`` starts from."""
    found = []

    def take(model):
        found.extend(model.get_weights())
        raise Enough

    with pytest.raises(Enough):
        train(spec=SPEC, callbacks=[AtEpoch(1, take)], **options)
    return found


def test_training_starts_from_the_seeds_weights_in_a_worker_thread_too():
    found = []
    thread = threading.Thread(target=lambda: found.extend(first_weights(seed=3)))
    thread.start()
    thread.join()
    assert all(np.array_equal(a, b) for a, b in zip(found, weights_of(3), strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(first_weights(seed=3), found, strict=True))
    kernels = [number for number, weight in enumerate(found) if weight.ndim > 1]
    other = first_weights(seed=4)
    assert all(not np.array_equal(other[number], found[number]) for number in kernels)


def test_nets_that_are_built_at_once_have_the_weights_of_their_seeds_too(monkeypatch):
    build, both, found = models.build, threading.Barrier(2), {}

    def meet_and_build(spec):
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(1)  # if two may build at once, then both have set their seed
        return build(spec)

    monkeypatch.setattr(models, "build", meet_and_build)
    threads = [threading.Thread(target=lambda seed=seed: found.update({seed: weights_of(seed)})) for seed in (3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    monkeypatch.undo()
    for seed, weights in found.items():
        assert all(np.array_equal(a, b) for a, b in zip(weights, weights_of(seed), strict=True))


def test_a_seed_means_dropout_too():
    spec = dataclasses.replace(DROPPING, input_shape=(8, 8, 3))
    seeds = []
    for seed in (3, 3, 4):
        model = training.compile_model(spec, RECIPE, seed, "float32")
        seeds.append([array(v).tolist() for v in model.non_trainable_variables if "seed" in v.path])
    assert len(seeds[0]) == 3
    assert seeds[0] == seeds[1] != seeds[2]


def test_a_deterministic_run_repeats_to_the_bit(batches):
    backend.make_deterministic()
    runs = [training.fit(SPEC, RECIPE, batches, seed=seed, precision="float32") for seed in (0, 0, 1)]
    assert same_weights(runs[0].model, runs[1].model)
    assert runs[0].step_loss.tobytes() == runs[1].step_loss.tobytes()
    assert not same_weights(runs[0].model, runs[2].model)


# The loss


def first_loss(spec, seed=0, change=None):
    """Return the loss of one batch before the first update, as Keras has it and as NumPy has it."""
    model = training.compile_model(spec, RECIPE, seed, "float32")
    if change:
        change(model)
    rng = np.random.default_rng(0)
    x, y = rng.normal(scale=0.25, size=(100, *spec.input_shape)).astype("float32"), np.arange(100) % 10
    outputs = model(x, training=True)
    found = float(model.compute_loss(x, y.astype("int32"), outputs))
    outputs = keras.ops.convert_to_numpy(outputs)
    return found, cross_entropy(softmax(outputs) if spec.style == "paper" else outputs, y)


def small_classifier(model):
    """Make the classifier's initial kernel as small as the papers' style has it."""
    kernel = model.layers[-1].kernel
    kernel.assign(kernel / 30)


def wrong_loss(model):
    """Take logits for probabilities, or the other way round."""
    right = model.loss.from_logits
    model.compile(optimizer=model.optimizer, loss=keras.losses.SparseCategoricalCrossentropy(from_logits=not right))


PAPER = [Spec(family, 20) for family in ("plain", "v1", "v2")]
KERAS_EXAMPLE = [Spec(family, 20, style="keras-example") for family in ("v1", "v2")]
# Where the losses of three seeds lie, and between which bounds their mean does; ln 10 is 2.303.
GUESSING = (2.28, 2.33, 2.29, 2.32)
STARTS = {"plain-paper": GUESSING, "v1-paper": GUESSING, "v2-paper": GUESSING}
STARTS |= {"v1-keras-example": (3, 9, 3.5, 7), "v2-keras-example": (2.3, 2.8, 2.33, 2.7)}


@pytest.mark.parametrize("spec", PAPER + KERAS_EXAMPLE, ids=lambda spec: f"{spec.family}-{spec.style}")
def test_the_papers_nets_start_by_guessing_and_the_keras_examples_where_it_has_them_start(spec):
    """ResNet-20 v1 of the Keras example starts at about 5, as published; its v2 at about 2.45."""
    losses = [first_loss(spec, seed) for seed in range(3)]
    assert [found for found, _ in losses] == pytest.approx([wanted for _, wanted in losses], rel=1e-3)
    found = [loss for loss, _ in losses]
    lowest, highest, least, most = STARTS[f"{spec.family}-{spec.style}"]
    assert lowest < min(found) < max(found) < highest
    assert least < np.mean(found) < most


def published():
    """Build ResNet-20 v1 of Keras's own layers, step by step as the Keras example does."""

    def layer(x, filters, size=3, strides=1, activation=True, norm=True):
        x = keras.layers.Conv2D(filters, size, strides=strides, padding="same", kernel_initializer="he_normal")(x)
        x = keras.layers.BatchNormalization()(x) if norm else x
        return keras.layers.Activation("relu")(x) if activation else x

    inputs = keras.Input((32, 32, 3))
    x = layer(inputs, 16)
    for stack, filters in enumerate((16, 32, 64)):
        for block in range(3):
            strides = 2 if stack and not block else 1
            y = layer(layer(x, filters, strides=strides), filters, activation=False)
            if strides == 2:
                x = layer(x, filters, 1, strides, activation=False, norm=False)
            x = keras.layers.Activation("relu")(keras.layers.add([x, y]))
    x = keras.layers.Flatten()(keras.layers.AveragePooling2D(8)(x))
    return keras.Model(inputs, keras.layers.Dense(10, activation="softmax", kernel_initializer="he_normal")(x))


def test_the_keras_example_itself_starts_there(monkeypatch):
    """It is the published net that does, seed for seed, and nothing that this package has made of it."""
    ours = first_loss(KERAS_EXAMPLE[0])
    monkeypatch.setattr(models, "build", lambda _: published())
    assert first_loss(KERAS_EXAMPLE[0]) == pytest.approx(ours, rel=1e-3)


@pytest.mark.parametrize("spec", KERAS_EXAMPLE, ids=lambda spec: spec.family)
def test_it_is_the_size_of_the_classifier_that_keeps_the_keras_example_from_guessing(spec):
    found, wanted = first_loss(spec, change=small_classifier)
    assert found == pytest.approx(wanted, rel=1e-3)
    assert found == pytest.approx(math.log(10), abs=0.1)


def test_logits_taken_for_probabilities_would_not_pass():
    """Negative control."""
    found, wanted = first_loss(PAPER[1], change=wrong_loss)
    assert abs(found - math.log(10)) > 1
    assert found != pytest.approx(wanted, rel=0.05)


def test_probabilities_taken_for_logits_would_be_noticed():
    """Negative control: Keras finds the logits behind the softmax itself, and says so; here a warning is an error."""
    with pytest.warns(UserWarning, match="thus does not represent logits"):
        first_loss(KERAS_EXAMPLE[0], change=wrong_loss)


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


@on_tensorflow
@pytest.mark.skipif(len(backend.devices()) > 1, reason="has a GPU, where XLA helps")
def test_xla_is_left_alone_on_a_processor():
    assert training.compile_model(SPEC, RECIPE, 0, "float32").jit_compile is False


@pytest.fixture(scope="module")
def step_on_two_cores():
    """Seconds that an update of ResNet-20 with 128 images takes on two cores, if twice as many halve it."""
    _, seconds = training.time_updates(Spec("v1", 20), 128, updates=3)
    return seconds * max(1, machine.usable_cores() / 2)


@pytest.mark.skipif(len(backend.devices()) > 1, reason="has a GPU, on which an update takes less")
@pytest.mark.parametrize("name", ["pad-crop-flip", "shift-flip"])
def test_augmentation_takes_less_than_a_tenth_of_an_update(step_on_two_cores, name):
    """Measured on a machine with nothing else to do it is half a hundredth and two hundredths."""
    images = np.random.default_rng(0).integers(0, 256, (1280, 32, 32, 3), dtype=np.uint8)

    def seconds(augment):
        stream, times = Batches(images, np.zeros(1280, int), 128, augment, 0), []
        for index in range(10):
            began = time.thread_time()  # not what other processes take
            stream.at(0, index)
            times.append(time.thread_time() - began)
        return np.median(times)

    assert seconds(name) - seconds("none") < step_on_two_cores / 10


def test_timing_gives_seconds():
    first, later = training.time_updates(SPEC, 4, precision="float32", updates=2)
    assert 0 < later < first < 120
    assert type(later) is float


def test_nets_are_timed_in_turns_and_built_once(monkeypatch):
    made, updates = [], []

    class Net:
        def __init__(self, spec):
            self.name = spec.name

        def train_on_batch(self, x, y):
            assert len(x) == len(y) == 4
            updates.append(self.name)

    def compile_model(spec, *_):
        made.append(spec.name)
        return Net(spec)

    monkeypatch.setattr(training.compiled, "compile_model", compile_model)
    times = training.time_in_turns([Spec("plain", 8), Spec("v1", 8)], 4, turns=2, updates=3)
    assert made == ["plain-8", "v1-8"]
    assert updates == ["plain-8", "v1-8", *2 * (3 * ["plain-8"] + 3 * ["v1-8"])]
    assert [len(seconds) for seconds in times] == [2, 2]
    assert min(map(min, times)) > 0


def test_a_slow_net_is_told_from_a_fast_one():
    """With real nets: eight layers against twenty."""
    small, large = training.time_in_turns([Spec("v1", 8), Spec("v1", 20)], 8, precision="float32", turns=3, updates=2)
    assert min(small) < min(large)
