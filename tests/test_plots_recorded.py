"""Curves of recorded runs: the mean over seeds, the band that they span, and a legend that says how many."""

from resnet_lessons import plots, results
from resnet_lessons.specs import Spec

import numpy as np
import pytest
import recorded_runs


@pytest.fixture
def groups(tmp_path):
    """A function that makes groups, one of so many seeds for each argument; seed k gets 900 more images wrong."""

    def make(*counts, validation=True):
        for number, count in enumerate(counts):
            for seed in range(count):
                lines = recorded_runs.log(epochs=3, wrong=9_000 + 900 * seed)
                run = recorded_runs.run(lines, spec=Spec("plain", 8 + 6 * number), seed=seed)
                if not validation:
                    lines = [{key: line[key] for key in line if not key.startswith("val_")} for line in lines]
                    run["recipe"] |= {"validation": 0}
                    run["data"] |= {"validation_images": 0}
                recorded_runs.write(tmp_path / f"{number}-{seed}", run, lines)
        return [(group.spec.name, group) for group in results.groups(results.load(tmp_path))]

    return make


@pytest.fixture
def ax():
    return plots.figure()[1]


def band(collection):
    """Return the lowest and the highest value of a band at each update."""
    corners = {}
    for step, error in collection.get_paths()[0].vertices:
        corners.setdefault(step, []).append(error)
    return {step: (min(errors), max(errors)) for step, errors in corners.items()}


def test_the_line_is_the_mean_and_the_band_what_the_seeds_span(ax, groups):
    assert plots.recorded_curves(ax, groups(3)) is ax
    [line], [area] = ax.get_lines(), ax.collections
    assert line.get_xdata().tolist() == [352, 704, 1056]
    wrong = np.array([[(9_000 + 900 * seed) // epoch for epoch in (1, 2, 3)] for seed in range(3)])
    assert line.get_ydata() == pytest.approx(100 * wrong.mean(axis=0) / 45_000)
    spanned = {352.0 * k: (100 * w.min() / 45_000, 100 * w.max() / 45_000) for k, w in enumerate(wrong.T, start=1)}
    assert {step: pytest.approx(ends) for step, ends in band(area).items()} == spanned
    assert line.get_label() == "plain-8, 3 seeds"
    assert ax.get_legend().get_title().get_text() == "line: training error, mean over seeds\nband: lowest to highest"


def test_one_seed_has_no_band_and_says_so(ax, groups):
    plots.recorded_curves(ax, groups(1))
    assert len(ax.collections) == 0
    assert ax.get_lines()[0].get_label() == "plain-8, one seed"
    assert ax.get_legend().get_title().get_text() == "line: training error"


def test_validation_is_drawn_as_marks_if_asked_for(ax, groups):
    plots.recorded_curves(ax, groups(2), validation=True)
    line, marks = ax.get_lines()
    assert (marks.get_linestyle(), marks.get_marker()) == ("None", plots.MARKERS[0])
    wrong = np.array([[(9_000 + 900 * seed) // epoch // 9 + 50 for epoch in (1, 2, 3)] for seed in range(2)])
    assert marks.get_ydata() == pytest.approx(100 * wrong.mean(axis=0) / 5_000)
    assert marks.get_color() == line.get_color()


def test_what_held_no_images_back_has_no_marks(ax, groups):
    plots.recorded_curves(ax, groups(1, validation=False), validation=True)
    assert len(ax.get_lines()) == 1


@pytest.mark.parametrize(("epochs", "scale", "label"), [(8, "linear", "update"), (9, "log", "update (logarithmic)")])
def test_updates_have_a_logarithmic_scale_if_one_run_is_over_four_times_as_long(ax, tmp_path, epochs, scale, label):
    for depth, count in ((20, 2), (32, epochs)):
        lines = recorded_runs.log(epochs=count)
        recorded_runs.write(tmp_path / str(depth), recorded_runs.run(lines, spec=Spec("v1", depth)), lines)
    plots.recorded_curves(ax, [(group.spec.name, group) for group in results.groups(results.load(tmp_path))])
    assert (ax.get_xscale(), ax.get_xlabel()) == (scale, label)


def test_six_groups_differ_in_dashes_and_the_legend_covers_none(ax, groups):
    plots.recorded_curves(ax, groups(*[1] * 6))
    dashes = {(line.get_linestyle(), tuple(line._dash_pattern[1] or ())) for line in ax.get_lines()}
    assert len(dashes) == 6
    ax.figure.canvas.draw()
    assert ax.get_legend().get_window_extent().x0 >= ax.get_window_extent().x1


def test_a_seventh_group_is_refused(ax, groups):
    with pytest.raises(ValueError, match="6 lines apart"):
        plots.recorded_curves(ax, groups(*[1] * 7))


def test_nothing_recorded_leaves_the_axes_empty(ax):
    plots.recorded_curves(ax, [])
    assert not ax.get_lines()
