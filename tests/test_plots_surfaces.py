"""Surfaces side by side share one scale, and nothing above its top or that is no number spoils them."""

import types

from resnet_lessons import plots

import numpy as np
import pytest
import widget_parts
from matplotlib.colors import to_rgb


def surface(middle=1.0, steep=4.0, points=9):
    alphas = betas = np.linspace(-1, 1, points)
    loss = middle + steep * (alphas[None] ** 2 + 2 * betas[:, None] ** 2)
    return types.SimpleNamespace(alphas=alphas, betas=betas, loss=loss)


@pytest.fixture
def pair():
    return [("flat", surface()), ("sharp", surface(0.5, 20))]


def test_levels_span_all_surfaces_at_equal_ratios(pair):
    levels = plots.loss_levels([s for _, s in pair], count=5)
    assert levels[[0, -1]] == pytest.approx([0.5, 60.5])
    assert np.diff(np.log(levels)) == pytest.approx(np.log(121) / 4)
    assert plots.loss_levels([s for _, s in pair], count=5, top=5)[-1] == pytest.approx(5)
    assert plots.loss_levels([s for _, s in pair], count=5, top=100)[-1] == pytest.approx(60.5)  # a ceiling, no more


def test_a_loss_that_is_no_number_does_not_set_the_levels(pair):
    pair[0][1].loss[0, 0], pair[1][1].loss[1, 1] = np.nan, np.inf
    assert plots.loss_levels([s for _, s in pair])[-1] == pytest.approx(60.5)


@pytest.mark.parametrize(("change", "top", "says"), [(-1.0, None, "above zero"), (1.0, 0.3, "top must lie above")])
def test_levels_refuse_what_no_such_scale_shows(change, top, says):
    bad = surface(0.5)
    bad.loss[0, 0] = change
    with pytest.raises(ValueError, match=says):
        plots.loss_levels([bad], top=top)


def test_maps_share_one_scale_and_one_bar(pair):
    fig, axes = plots.figure(2)
    levels = plots.loss_levels([s for _, s in pair], top=20)
    assert plots.contours(axes, pair, levels) is axes
    assert len(fig.axes) == 3
    filled = [next(c for c in ax.collections if c.filled) for ax in axes]
    assert [c.get_clim() for c in filled] == [pytest.approx((0.5, 20))] * 2
    assert [ax.get_title() for ax in axes] == ["flat", "sharp"]
    assert fig.axes[2].get_yticklabels()[-1].get_text() == "20 or more"
    assert any(ax.texts for ax in axes)  # levels on the lines: nothing is told by colour alone


def luminance(colour):
    """Return the relative luminance of a colour as WCAG 2 defines it."""
    channels = np.array(to_rgb(colour))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_lines_and_their_labels_stand_out_from_the_colours_around_them(pair):
    _, axes = plots.figure(2)
    plots.contours(axes, pair, plots.loss_levels([s for _, s in pair]))
    fill, lines = axes[1].collections[:2]
    found = {label.get_text(): label.get_color() for label in axes[1].texts}
    assert len(set(found.values())) == 2  # both the dark and the light end are there
    for level, colour in zip(lines.levels, lines.get_edgecolor(), strict=True):
        around = luminance(fill.cmap(fill.norm(level)))
        for ink in (colour, found.get(f"{level:.2g}", colour)):
            bright, dark = sorted([luminance(ink), around], reverse=True)
            assert (bright + 0.05) / (dark + 0.05) > 4


@pytest.mark.parametrize(
    ("top", "worst", "says"), [(100, 60.5, "60"), (20, 60.5, "20 or more"), (100, np.nan, "60 or more")]
)
def test_the_bar_says_more_only_where_a_loss_lies_above_its_end(pair, top, worst, says):
    levels = plots.loss_levels([s for _, s in pair], top=top)
    pair[1][1].loss[0, 0] = worst
    fig, axes = plots.figure(2)
    plots.contours(axes, pair, levels)
    assert fig.axes[2].get_yticklabels()[-1].get_text() == says


def test_labels_lie_on_their_lines_and_well_inside_the_map():
    """Of a bowl whose level lines are known."""
    bowl = surface(1.0, 4.0, points=41)
    _, ax = plots.figure()
    plots.contours(ax, [("", bowl)], np.array([1.0, 2.0, 3.0, 11.0, 13.0]))
    assert [text.get_text() for text in ax.texts] == ["2", "3"]  # that of 11 only passes the corners
    for text in ax.texts:
        alpha, beta = text.get_position()
        assert 1 + 4 * (alpha**2 + 2 * beta**2) == pytest.approx(float(text.get_text()), rel=0.1)
        assert max(abs(alpha), abs(beta)) < 0.75


def test_a_map_lies_the_right_way_round():
    """The loss of this surface rises twice as fast with beta, the vertical axis."""
    _, ax = plots.figure()
    plots.contours(ax, [("", surface())], np.array([1.0, 2.0, 20.0]))
    line = next(c for c in ax.collections if not c.filled)
    vertices = line.get_paths()[0].vertices
    assert np.ptp(vertices[:, 0]) > 1.2 * np.ptp(vertices[:, 1])


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
def test_ruined_points_are_drawn_as_the_top(pair, bad):
    pair[1][1].loss[0, 0] = bad
    levels = np.geomspace(0.5, 5, 6)
    fig, axes = plots.figure(2)
    plots.contours(axes, pair, levels)
    hills = plots.hills(pair, levels)
    for figure in (fig, hills):
        assert widget_parts.picture(plots.html_image(figure, "surfaces"))[0] == "surfaces"


def test_hills_share_floor_and_ceiling(pair):
    levels = np.geomspace(0.5, 5, 9)
    fig = plots.hills(pair, levels)
    assert [ax.get_zlim() for ax in fig.axes] == [pytest.approx((np.log(0.5), np.log(5)))] * 2
    assert [ax.get_zlabel() for ax in fig.axes] == ["loss (log)"] * 2
    assert [label.get_text() for label in fig.axes[0].get_zticklabels()] == ["0.5", "0.89", "1.6", "2.8", "5"]
