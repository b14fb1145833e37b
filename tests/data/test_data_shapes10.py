"""shapes10: the same for the same seed, no clue in colour or mean, and learnable from outlines alone."""

from resnet_lessons.data import shapes10

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression, RidgeClassifier


@settings(max_examples=25, deadline=None)
@given(
    count=st.integers(1, 70), seed=st.one_of(st.integers(0, 2**40), st.tuples(st.integers(0, 99), st.integers(0, 99)))
)
def test_a_draw_is_a_pure_function_of_count_and_seed(count, seed):
    images, labels = shapes10.draw(count, seed)
    assert (images.shape, images.dtype) == ((count, 32, 32, 3), np.uint8)
    assert (labels.shape, labels.dtype) == ((count,), np.int64)
    counts = np.bincount(labels, minlength=10)
    assert counts.max() - counts.min() <= 1
    again_images, again_labels = shapes10.draw(count, seed)
    np.testing.assert_array_equal(images, again_images)
    np.testing.assert_array_equal(labels, again_labels)


def test_another_step_of_the_stream_is_another_batch():
    batches = [shapes10.draw(20, (3, step))[0] for step in range(5)] + [shapes10.draw(20, (4, 0))[0]]
    images = np.concatenate(batches).reshape(120, -1)
    assert len(np.unique(images, axis=0)) == 120


def test_a_draw_leaves_the_global_generator_alone():
    np.random.seed(1)
    expected = np.random.random()
    np.random.seed(1)
    shapes10.draw(5, 0)
    assert np.random.random() == expected


@pytest.mark.parametrize("count", [0, -1, 2.0, "3", True, None])
def test_a_bad_count_is_refused(count):
    with pytest.raises(ValueError, match="Received"):
        shapes10.draw(count, 0)


def test_the_full_set_is_balanced_and_its_parts_differ(monkeypatch):
    assert (shapes10.TRAIN, shapes10.TEST) == (50_000, 10_000)
    monkeypatch.setattr(shapes10, "TRAIN", 1250)
    monkeypatch.setattr(shapes10, "TEST", 500)
    arrays = shapes10.full_set()
    assert arrays.x_train.shape == (1250, 32, 32, 3)
    assert np.bincount(arrays.y_train).tolist() == [125] * 10
    everything = np.concatenate([arrays.x_train, arrays.x_test]).reshape(1750, -1)
    assert len(np.unique(everything, axis=0)) == 1750


def test_each_shape_covers_the_area_of_the_unit_disc():
    # Measured on the templates, which `draw` samples; the scale was found on another grid.
    step = 2 * shapes10.REACH / (shapes10.GRID - 1)
    for name, template in zip(shapes10.CLASS_NAMES, shapes10._templates().reshape(10, -1), strict=True):
        area = np.clip(0.5 - template / step, 0, 1).sum() * step**2  # cells on the outline count in part
        assert area == pytest.approx(np.pi, rel=0.02), name


def test_a_template_holds_distances():
    # The gradient of a distance has length 1 almost everywhere; a crude formula would blur or harden an outline.
    step = 2 * shapes10.REACH / (shapes10.GRID - 1)
    for name, template in zip(shapes10.CLASS_NAMES, shapes10._templates().reshape(10, 128, 128), strict=True):
        slope = np.hypot(*np.gradient(template, step))[np.abs(template) < 0.1]
        assert np.median(slope) == pytest.approx(1, abs=0.1), name


def features(images):
    return images.reshape(len(images), -1) / np.float32(255) - np.float32(0.5)


@pytest.fixture(scope="module")
def drawn():
    return shapes10.draw(10_000, 1), shapes10.draw(2_000, 2)


def test_a_linear_classifier_stays_far_below_half(drawn):
    (images, labels), (held_out, truth) = drawn
    model = RidgeClassifier(alpha=100).fit(features(images), labels)
    assert model.score(features(held_out), truth) < 0.3


def test_colour_and_spread_of_an_image_tell_nothing(drawn):
    (images, labels), (held_out, truth) = drawn

    def summary(images):
        pixels = images.reshape(len(images), -1, 3) / 255
        return np.concatenate([pixels.mean(1), pixels.std(1), pixels.min(1), pixels.max(1)], axis=1)

    model = LogisticRegression(max_iter=300).fit(summary(images), labels)
    assert model.score(summary(held_out), truth) < 0.14  # chance is 0.10, its standard error here 0.007


def test_outlines_do_tell():
    # The area near an outline differs by shape: with noise, ground and clutter gone even a linear classifier sees it,
    # which is the control for the two tests above.
    rng = np.random.Generator(np.random.PCG64(0))
    labels = np.arange(4000) % 10
    cover = shapes10._cover(rng, labels, shapes10.RADIUS, spread=0.0)
    model = RidgeClassifier(alpha=10).fit(cover[:3000], labels[:3000])
    assert model.score(cover[3000:], labels[3000:]) > 0.5
