"""Slices of the loss: against losses of models whose weights were set by hand, which share no code with them."""

import gc
import math
import os
import subprocess
import sys
import time
import weakref
from pathlib import Path

from resnet_lessons import diagnostics, models
from resnet_lessons.diagnostics import landscape
from resnet_lessons.specs import Spec

import keras
import numpy as np
import pytest
from filled_models import in_bfloat16
from hypothesis import given
from hypothesis import strategies as st

ALPHAS, BETAS = (-0.5, 0.0, 1.0), (0.0, 0.25)


def small(family="v1", **kwargs):
    keras.utils.set_random_seed(0)
    return models.build(Spec(family, 8, **{"width": 4, "input_shape": (8, 8, 3)} | kwargs))


def array(variable):
    return keras.ops.convert_to_numpy(variable + 0)


def seasoned(model):
    """Give every variable values of its own: scales off 1, shifts and statistics off 0."""
    rng = np.random.default_rng(5)
    for variable in model.variables:
        if len(variable.shape) == 1 and "seed" not in variable.path:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    return model


@pytest.fixture(scope="module")
def shared():
    """A net that is compiled once for all tests, and its variables' values."""
    net = seasoned(small())
    return net, [array(variable) for variable in net.variables]


@pytest.fixture
def model(shared):
    """The shared net, which a test may change: its values are put back."""
    net, values = shared
    for variable, value in zip(net.variables, values, strict=True):
        variable.assign(value)
    return net


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return rng.normal(size=(12, 8, 8, 3)).astype("float32"), np.arange(12) % 10


@pytest.fixture
def directions(model):
    return [diagnostics.filter_direction(model, seed) for seed in (0, 1)]


def by_hand(copy, x, y, weights, training, probabilities=False):
    """Return loss and error of a model that is given these weights, in float64 from its outputs."""
    for variable, value in zip(copy.trainable_variables, weights, strict=True):
        variable.assign(value)
    outputs = keras.ops.convert_to_numpy(copy(x, training=training)).astype("float64")
    if not probabilities:
        outputs = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    return -np.log(outputs[np.arange(len(y)), y]).mean(), np.mean(outputs.argmax(axis=1) != y)


# the measured values


@pytest.mark.parametrize("statistics", ["batch", "moving"])
def test_a_grid_holds_the_losses_of_models_with_those_weights(model, images, directions, statistics):
    surface = diagnostics.loss_surface(model, *images, directions, ALPHAS, BETAS, statistics=statistics)
    assert surface.loss.shape == surface.error.shape == (2, 3)
    centre = [array(v) for v in model.trainable_variables]
    for i, beta in enumerate(BETAS):  # the model is no longer needed as it was
        for j, alpha in enumerate(ALPHAS):
            moved = [w + alpha * a + beta * b for w, a, b in zip(centre, *directions, strict=True)]
            loss, error = by_hand(model, *images, moved, training=statistics == "batch")
            assert surface.loss[i, j] == pytest.approx(loss, rel=1e-4), (alpha, beta)
            assert surface.error[i, j] == pytest.approx(error), (alpha, beta)
    assert np.ptp(surface.loss) > 0.01


def test_the_two_kinds_of_statistics_are_told_apart(model, images, directions):
    """Negative control: the comparison above would notice the other kind."""
    batch, moving = (
        diagnostics.loss_surface(model, *images, directions[:1], ALPHAS, statistics=kind).loss
        for kind in ("batch", "moving")
    )
    assert np.abs(batch - moving).min() > 1e-3


def test_along_one_direction_it_is_the_row_of_the_grid(model, images, directions):
    line = diagnostics.loss_surface(model, *images, directions[:1], ALPHAS)
    grid = diagnostics.loss_surface(model, *images, directions, ALPHAS, BETAS)
    assert line.betas is None
    np.testing.assert_allclose(line.loss, grid.loss[0], rtol=1e-5)
    np.testing.assert_array_equal(line.error, grid.error[0])


def test_a_net_that_ends_in_probabilities_is_measured_as_such(images):
    model = small(style="keras-example", input_shape=(32, 32, 3))
    x, y = np.random.default_rng(0).normal(size=(6, 32, 32, 3)).astype("float32"), images[1][:6]
    surface = diagnostics.loss_surface(model, x, y, [diagnostics.filter_direction(model, 0)], [0.0])
    weights = [array(v) for v in model.trainable_variables]
    right, wrong = (by_hand(model, x, y, weights, training=True, probabilities=p)[0] for p in (True, False))
    assert surface.loss[0] == pytest.approx(right, rel=1e-4)
    assert right != pytest.approx(wrong, rel=0.01)


def test_each_batch_has_its_own_statistics_and_all_images_weigh_alike(model, images, directions):
    x, y = images
    whole = diagnostics.loss_surface(model, x, y, directions[:1], ALPHAS, batch_size=4)
    parts = [
        diagnostics.loss_surface(model, x[i : i + 4], y[i : i + 4], directions[:1], ALPHAS, batch_size=4)
        for i in (0, 4, 8)
    ]
    np.testing.assert_allclose(whole.loss, np.mean([part.loss for part in parts], axis=0), rtol=1e-5)
    together = diagnostics.loss_surface(model, x, y, directions[:1], ALPHAS)
    assert np.abs(whole.loss - together.loss).max() > 1e-3


# the model


def test_the_model_is_left_as_it_was(model, images, directions):
    before = [array(v) for v in model.variables]
    diagnostics.loss_surface(model, *images, directions, ALPHAS, BETAS)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(array(variable), value)


def test_a_net_is_compiled_once_and_its_new_weights_and_statistics_are_seen(images, directions, monkeypatch):
    model = seasoned(small())
    made, compiled = [], landscape.backend.compiled
    monkeypatch.setattr(landscape.backend, "compiled", lambda *args: made.append(1) or compiled(*args))
    for statistics in ("batch", "moving"):
        first = diagnostics.loss_surface(model, *images, directions[:1], [0.0], statistics=statistics)
        model.get_layer("stem_bn1").gamma.assign([3.0, 0.1, 0.2, 0.3])
        model.get_layer("stem_bn1").moving_mean.assign(np.full(4, 2.0))
        second = diagnostics.loss_surface(model, *images, directions[:1], [0.0], statistics=statistics)
        weights = [array(v) for v in model.trainable_variables]
        state = [array(v) for v in model.non_trainable_variables]
        right = by_hand(model, *images, weights, training=statistics == "batch")[0]
        assert second.loss[0] == pytest.approx(right, rel=1e-4)
        assert abs(first.loss[0] - right) > 1e-3
        for variable, value in zip(model.non_trainable_variables, state, strict=True):
            variable.assign(value)
        seasoned(model)
    assert len(made) == 2


def test_no_net_is_kept_because_it_was_compiled(images):
    net = small()
    diagnostics.loss_surface(net, *images, [diagnostics.filter_direction(net, 0)], [0.0])
    gone = weakref.ref(net)
    assert gone() in landscape._COMPILED
    del net
    gc.collect()
    assert gone() is None


def test_the_model_is_left_as_it_was_when_a_row_fails(model, images, directions, monkeypatch):
    before = [array(v) for v in model.variables]
    rows = landscape.Rows.add

    def fails(self, row, points):
        rows(self, row, points)
        raise KeyboardInterrupt

    monkeypatch.setattr(landscape.Rows, "add", fails)
    with pytest.raises(KeyboardInterrupt):
        diagnostics.loss_surface(model, *images, directions, ALPHAS, BETAS)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(array(variable), value)


# directions


def norms(kernel):
    """Return the norm of each filter, one by one."""
    return [math.sqrt(sum(float(w) ** 2 for w in kernel[..., c].ravel())) for c in range(kernel.shape[-1])]


@pytest.mark.parametrize(
    ("family", "kwargs"),
    [("plain", {}), ("v1", {"shortcut": "B"}), ("v1", {"style": "keras-example", "input_shape": (32, 32, 3)})],
)
def test_each_filter_of_a_direction_is_as_long_as_the_models(family, kwargs):
    model = seasoned(small(family, **kwargs))
    for variable, part in zip(model.trainable_variables, diagnostics.filter_direction(model, 3), strict=True):
        if variable.path.endswith("kernel"):
            assert norms(part) == pytest.approx(norms(array(variable)), rel=1e-5), variable.path
        else:
            assert not part.any(), variable.path
        assert part.dtype == np.float32


def test_a_raw_direction_is_as_long_as_all_kernels_together(model):
    kernels = [array(v) for v in model.trainable_variables if v.path.endswith("kernel")]
    direction = diagnostics.raw_direction(model, 3)
    assert landscape._norm(direction) == pytest.approx(landscape._norm(kernels), rel=1e-5)
    parts = [part for part in direction if part.any()]
    spread = [part.std() for part in parts if part.size > 100]
    assert len(parts) == len(kernels)
    assert max(spread) < 1.3 * min(spread)  # no layer's own scale is in it


@pytest.mark.parametrize("draw", [diagnostics.filter_direction, diagnostics.raw_direction])
def test_a_direction_is_a_function_of_seed_and_weights(model, draw):
    np.random.seed(0)
    first = draw(model, 7)
    keras.utils.set_random_seed(99)
    np.random.normal(size=5)
    twin = seasoned(small())
    for part, again, other in zip(first, draw(twin, 7), draw(twin, 8), strict=True):
        np.testing.assert_array_equal(part, again)
        assert not part.any() or not np.allclose(part, other)


@given(st.integers(0, 2**32), st.lists(st.sampled_from([0.25, 2.0, 8.0]), min_size=4, max_size=4))
def test_a_filter_direction_grows_with_the_filters_it_belongs_to(seed, scales):
    """Scales are powers of two, which change no other digit."""
    model = _rescaled_once()
    kernel = model.get_layer("stem_conv1").kernel
    before = array(kernel)
    plain = diagnostics.filter_direction(model, seed)[0]
    kernel.assign(before * np.array(scales, "float32"))
    try:
        np.testing.assert_allclose(diagnostics.filter_direction(model, seed)[0], plain * scales, rtol=1e-5)
    finally:
        kernel.assign(before)


_KEPT = []


def _rescaled_once():
    if not _KEPT:
        _KEPT.append(small())
    return _KEPT[0]


def rescale(model, factor):
    """Multiply every convolution's kernel by a factor; the batch norm behind it undoes that up to its epsilon."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            layer.kernel.assign(array(layer.kernel) * factor)
    return model


def outspoken(factor=1):
    """Return a small net whose logits are far from zero, its convolutions multiplied by a factor."""
    model = rescale(small(), factor)
    kernel = model.layers[-1].kernel
    kernel.assign(np.random.default_rng(4).normal(size=kernel.shape))
    return model


def test_same_seed_same_picture_and_rescaled_filters_the_same_picture(images):
    once, again, rescaled = (
        diagnostics.loss_surface(net, *images, [diagnostics.filter_direction(net, 0)], ALPHAS).loss
        for net in (outspoken(), outspoken(), outspoken(4))
    )
    np.testing.assert_allclose(again, once, rtol=1e-6)
    np.testing.assert_allclose(rescaled, once, rtol=1e-2)
    assert np.ptp(once) > 0.1 * once.mean()


def test_a_raw_slice_changes_with_the_scale_of_the_filters(images):
    """Negative control for the test above."""
    net = outspoken()
    direction = [diagnostics.raw_direction(net, 0)]
    plain = diagnostics.loss_surface(net, *images, direction, ALPHAS).loss
    scaled = diagnostics.loss_surface(rescale(net, 4), *images, direction, ALPHAS).loss
    assert plain[1] == pytest.approx(scaled[1], rel=1e-2)
    assert np.abs(plain - scaled).max() > 0.05 * plain[1]


# the file


@pytest.fixture
def counted(monkeypatch):
    """Count the points that are computed; ``stop`` ends the process's work after so many rows."""

    class Count:
        points, stop = 0, None

    made, add = landscape._measure, landscape.Rows.add

    def measure(*arguments):
        inner = made(*arguments)

        def counting(weights):
            Count.points += 1
            return inner(weights)

        return counting

    def stopping(self, row, points):
        add(self, row, points)
        if row == Count.stop:
            raise KeyboardInterrupt

    monkeypatch.setattr(landscape, "_measure", measure)
    monkeypatch.setattr(landscape.Rows, "add", stopping)
    return Count


def test_a_slice_cut_short_goes_on_where_it_was(model, images, directions, counted, tmp_path):
    out = tmp_path / "new" / "slice.npz"
    counted.stop = 0
    with pytest.raises(KeyboardInterrupt):
        diagnostics.loss_surface(model, *images, directions, ALPHAS, BETAS, out=out)
    assert counted.points == 3
    counted.stop = None
    resumed = diagnostics.loss_surface(model, *images, directions, ALPHAS, BETAS, out=out)
    assert counted.points == 6
    whole = diagnostics.loss_surface(model, *images, directions, ALPHAS, BETAS)
    np.testing.assert_allclose(resumed.loss, whole.loss, rtol=1e-6)
    counted.points = 0
    read = diagnostics.loss_surface(model, *images, directions, ALPHAS, BETAS, out=out)
    assert counted.points == 0
    np.testing.assert_array_equal(read.loss, resumed.loss)
    np.testing.assert_array_equal(read.error, resumed.error)
    assert [path.name for path in out.parent.iterdir()] == ["slice.npz"]


def test_a_whole_file_is_read_without_compiling_the_net(model, images, directions, monkeypatch, tmp_path):
    out = tmp_path / "slice.npz"
    made = diagnostics.loss_surface(model, *images, directions[:1], ALPHAS, out=out)
    landscape._COMPILED.clear()  # as in another kernel
    monkeypatch.setattr(landscape.backend, "compiled", lambda *_: pytest.fail("it was compiled"))
    read = diagnostics.loss_surface(model, *images, directions[:1], ALPHAS, out=out)
    np.testing.assert_array_equal(read.loss, made.loss)
    with pytest.raises(pytest.fail.Exception, match="it was compiled"):  # the negative control
        diagnostics.loss_surface(model, *images, directions[:1], ALPHAS)


def test_along_one_direction_each_point_is_kept(model, images, directions, counted, tmp_path):
    counted.stop = 1
    with pytest.raises(KeyboardInterrupt):
        diagnostics.loss_surface(model, *images, directions[:1], ALPHAS, out=tmp_path / "line.npz")
    counted.stop = None
    diagnostics.loss_surface(model, *images, directions[:1], ALPHAS, out=tmp_path / "line.npz")
    assert counted.points == 3


def test_a_loss_that_is_no_number_is_not_computed_again(model, images, directions, counted, tmp_path):
    model.layers[-1].bias.assign(np.full(10, np.nan))
    for _ in range(2):
        surface = diagnostics.loss_surface(model, *images, directions[:1], ALPHAS, out=tmp_path / "line.npz")
        assert np.isnan(surface.loss).all()
    assert counted.points == 3


def test_a_write_that_fails_leaves_the_rows_before_it(model, images, directions, monkeypatch, tmp_path):
    out = tmp_path / "slice.npz"
    save, calls = np.savez, []

    def full_disk(file, **arrays):
        calls.append(1)
        if len(calls) == 2:
            file.write(b"half a file")
            raise OSError("No space left on device")
        save(file, **arrays)

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="No space"):
        diagnostics.loss_surface(model, *images, directions, ALPHAS, BETAS, out=out)
    with np.load(out) as file:
        assert file["done"].tolist() == [True, False]
    assert [path.name for path in tmp_path.iterdir()] == ["slice.npz"]


KILLED = """
import sys
import numpy as np
import test_landscape as t
from resnet_lessons import diagnostics
model = t.seasoned(t.small())
images = np.random.default_rng(0).normal(size=(12, 8, 8, 3)).astype("float32"), np.arange(12) % 10
directions = [diagnostics.filter_direction(model, seed) for seed in (0, 1)]
diagnostics.loss_surface(model, *images, directions, np.linspace(-1, 1, 9), np.linspace(-1, 1, 2001), out=sys.argv[1])
"""


def test_a_killed_process_leaves_a_file_that_can_be_read(tmp_path):
    out = tmp_path / "slice.npz"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    process = subprocess.Popen([sys.executable, "-c", KILLED, out], env=environment)
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            if out.exists():
                time.sleep(0.3)
                break
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    with np.load(out) as file:
        done, loss = file["done"], file["loss"]
    assert 0 < done.sum() < len(done)
    np.testing.assert_array_equal(np.isfinite(loss).all(axis=1), done)


CHANGES = {
    "weights": lambda a: a["model"].layers[-1].bias.assign(np.ones(10)),
    "directions": lambda a: a.update(directions=a["directions"][::-1]),
    "images": lambda a: a.update(x=a["x"] + 1),
    "labels": lambda a: a.update(y=a["y"][::-1]),
    "alphas": lambda a: a.update(alphas=(0.0, 1.0, 2.0)),
    "betas": lambda a: a.update(betas=(0.0, 0.5)),
    "statistics": lambda a: a.update(statistics="moving"),
    "batch size": lambda a: a.update(batch_size=6),
    "precision": lambda a: a.update(model=in_bfloat16(small, a["model"])),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_of_another_slice_is_refused(model, images, directions, tmp_path, change):
    arguments = {"model": model, "x": images[0], "y": images[1], "directions": directions}
    arguments |= {"alphas": ALPHAS, "betas": BETAS, "out": tmp_path / "slice.npz"}
    first = diagnostics.loss_surface(**arguments)
    before = arguments["out"].read_bytes()
    CHANGES[change](arguments)
    with pytest.raises(ValueError, match=f"slice.npz holds a slice of other {change}\\."):
        diagnostics.loss_surface(**arguments)
    assert arguments["out"].read_bytes() == before
    assert np.isfinite(first.loss).all()


def test_a_file_of_another_backend_is_refused(model, images, directions, tmp_path, monkeypatch):
    diagnostics.loss_surface(model, *images, directions[:1], [0.0], out=tmp_path / "slice.npz")
    monkeypatch.setattr(landscape.backend, "BACKEND", "another")
    with pytest.raises(ValueError, match="holds a slice of other backend"):
        diagnostics.loss_surface(model, *images, directions[:1], [0.0], out=tmp_path / "slice.npz")


def test_moving_statistics_are_among_the_weights(model, images, directions, tmp_path):
    diagnostics.loss_surface(model, *images, directions[:1], [0.0], out=tmp_path / "slice.npz")
    model.get_layer("stem_bn1").moving_mean.assign(np.ones(4))
    with pytest.raises(ValueError, match="other weights"):
        diagnostics.loss_surface(model, *images, directions[:1], [0.0], out=tmp_path / "slice.npz")


@pytest.mark.parametrize("content", [b"", b"no slice at all", None])
def test_what_is_no_slice_is_refused_and_left(model, images, directions, tmp_path, content):
    out = tmp_path / "notes.npz"
    if content is None:
        np.savez(out, other=np.zeros(3))
    else:
        out.write_bytes(content)
    before = out.read_bytes()
    with pytest.raises(ValueError, match=r"notes.npz is no file of a slice .* Give another out="):
        diagnostics.loss_surface(model, *images, directions[:1], [0.0], out=out)
    assert out.read_bytes() == before


# bad input


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"directions": []}, "Received: 0 directions"),
        ({"betas": BETAS}, "Received: 1 directions, betas=given"),
        ({"directions": [[np.zeros(3)]]}, r"trainable variables, in its shape. Received: 1 arrays; number 0 is \(3,\)"),
        ({"alphas": []}, "alphas must be a list of one finite number or more"),
        ({"alphas": [0.0, math.nan]}, r"alphas must be .* Received: an array \(2,\) with nan or infinity in it"),
        ({"statistics": "fresh"}, "statistics must be one of 'batch', 'moving'. Received: 'fresh'"),
        ({"batch_size": 5}, "multiple of batch_size, or not more than it. Received: 12 images, batch_size=5"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"y": np.zeros(3)}, r"Received: x \(12, 8, 8, 3\), y \(3,\)"),
    ],
)
def test_bad_input_is_told(model, images, directions, changes, says):
    arguments = {"x": images[0], "y": images[1], "directions": directions[:1], "alphas": ALPHAS} | changes
    with pytest.raises(ValueError, match=says):
        diagnostics.loss_surface(model, **arguments)


# the width


def test_a_width_is_measured_on_straight_lines():
    assert diagnostics.slice_width([-1, 0, 0.5, 1], [3, 1, 1.5, 5], rise=1) == pytest.approx(
        0.5 + 0.5 + 0.5 * 0.5 / 3.5
    )
    assert diagnostics.slice_width([-1, 0, 1], [3, 1, math.nan], rise=1) == pytest.approx(0.5)
    assert diagnostics.slice_width([-1, 0, 1], [2, 1, 2], rise=0) == 0


@pytest.mark.parametrize(
    ("losses", "rise", "says"),
    [
        ([2, math.nan, 2], 0.5, "The loss at 0 must be a finite number. Received: nan"),
        ([2, math.inf, 2], 0.5, "The loss at 0 must be a finite number. Received: inf"),
        ([2, 1, 2], -0.5, "rise must be a number of at least 0. Received: -0.5"),
        ([2, 1, 2], math.nan, "rise must be a number of at least 0. Received: nan"),
    ],
)
def test_no_width_is_made_up(losses, rise, says):
    with pytest.raises(ValueError, match=says):
        diagnostics.slice_width([-1, 0, 1], losses, rise)


def test_a_width_needs_the_middle():
    with pytest.raises(ValueError, match="0 must be among the alphas"):
        diagnostics.slice_width([-1, 1], [2, 2], rise=1)
    with pytest.raises(ValueError, match=r"Received: 0 of them, \[\] first"):
        diagnostics.slice_width([], [], rise=1)
