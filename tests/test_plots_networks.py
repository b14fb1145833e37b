"""The drawing of a network: boxes in proportion, one arc a shortcut, and the same in words."""

import itertools

from resnet_lessons import models, plots
from resnet_lessons.specs import Spec

import pytest
from matplotlib.patches import Arc, Rectangle


def drawn(spec):
    """Draw a network; return the rectangles from left to right and the arcs from left to right."""
    _, ax = plots.figure(width=8.5, height=2.2)
    assert plots.network_diagram(ax, spec) is ax
    ax.figure.canvas.draw()
    boxes = sorted((p for p in ax.patches if isinstance(p, Rectangle)), key=lambda box: box.get_x())
    return ax, boxes, sorted((p for p in ax.patches if isinstance(p, Arc)), key=lambda arc: arc.center[0])


def added_by_projection(spec):
    """List of each unit of a built net whether its shortcut is a layer of its own, or x itself."""
    names = {layer.name for layer in models.build(spec).layers}
    units = sorted({tuple(name.split("_")[:2]) for name in names if name.startswith("stage")}, key=_place)
    return [any(name.startswith(f"{stage}_{block}_shortcut") for name in names) for stage, block in units]


def _place(unit):
    return [int("".join(filter(str.isdigit, part))) for part in unit]


@pytest.mark.parametrize(
    "spec",
    [
        Spec("v1", 20),
        Spec("v1", 8),
        Spec("v1", 14, shortcut="C"),
        Spec("v1", 29, block="bottleneck"),
        Spec("v2", 29),
        Spec("v2", 20, block="basic"),
        Spec("v1", 14, skip="conv"),
    ],
    ids=lambda spec: spec.name,
)
def test_an_arc_is_dotted_where_the_built_net_has_a_layer_on_the_shortcut(spec):
    _, _, arcs = drawn(spec)
    assert [arc.get_linestyle() == ":" for arc in arcs] == added_by_projection(spec)


def test_a_plain_net_has_no_arcs_and_a_deep_one_no_units():
    assert drawn(Spec("plain", 20))[2] == []
    ax, _, arcs = drawn(Spec("v1", 1202))
    assert arcs == []
    assert sum(text.get_text() == "200 units" for text in ax.texts) == 3


def test_boxes_are_as_tall_as_their_feature_maps():
    _, boxes, _ = drawn(Spec("v1", 20))
    image, conv, *stages, last = [box.get_height() for box in boxes]
    assert image == conv == stages[0]
    assert [height / image for height in stages] == pytest.approx([1, 1 / 2, 1 / 4])
    assert last < stages[2]


def test_boxes_stand_side_by_side_on_the_page_and_so_do_their_texts():
    ax, boxes, _ = drawn(Spec("v2", 164))
    ends = [(box.get_x(), box.get_x() + box.get_width()) for box in boxes]
    assert all(one[1] < other[0] for one, other in itertools.pairwise(ends))
    page = ax.figure.bbox
    texts = [text.get_window_extent() for text in ax.texts if text.get_text()]
    assert all(page.x0 <= text.x0 and text.x1 <= page.x1 for text in texts)
    assert not any(one.overlaps(other) for number, one in enumerate(texts) for other in texts[number + 1 :])


@pytest.mark.parametrize(
    "spec",
    [Spec("v1", 20), Spec("v2", 29), Spec("v1", 8, width=8), Spec("v1", 8, input_shape=(28, 20, 1))],
    ids=lambda s: s.name,
)
def test_the_shapes_are_those_of_the_built_net(spec):
    ax, _, _ = drawn(spec)
    said = [text.get_text() for text in ax.texts]
    layers = {layer.name: layer.output.shape[1:] for layer in models.build(spec).layers if hasattr(layer, "output")}
    outputs = [layers["image"], layers["stem_conv1"], *(layers[f"stage{stage}_block1_add"] for stage in (1, 2, 3))]
    assert ["x".join(map(str, shape)) for shape in outputs] == [text for text in said if text.count("x") == 2]


def test_in_words():
    assert plots.network_in_words(Spec("v1", 20)) == (
        "v1-20: three stages of 3 basic units on feature maps of 32x32x16, 16x16x32, 8x8x64, 7 solid shortcuts and 2 "
        "dotted."
    )
    assert plots.network_in_words(Spec("v2", 29)).endswith("6 solid shortcuts and 3 dotted.")
    assert plots.network_in_words(Spec("plain", 8)).endswith(
        "pairs of convolutions on feature maps of 32x32x16, 16x16x32, 8x8x64."
    )
    assert "three stages of 3 triples of convolutions on" in plots.network_in_words(
        Spec("plain", 29, block="bottleneck")
    )
