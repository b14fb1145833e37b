"""Draw valid specs for hypothesis."""

from resnet_lessons import specs

from hypothesis import strategies as st


@st.composite
def valid_specs(draw, max_n=40, max_width=64, max_side=70):
    """Draw any valid ``Spec``: every family, block, shortcut, skip, order and style, within the given sizes."""
    family = draw(st.sampled_from(specs.FAMILIES))
    style = draw(st.sampled_from(specs.STYLES)) if family != "plain" else "paper"
    own = "bottleneck" if family == "v2" else "basic"
    fields = {"family": family, "style": style, "block": own}
    if style == "paper":
        fields["block"] = draw(st.sampled_from(specs.BLOCKS))
    if style == "paper" and family != "plain":
        fields["shortcut"] = draw(st.sampled_from((None, *specs.SHORTCUTS)))
        fields["skip"] = draw(st.sampled_from(specs.SKIPS))
        fields["order"] = draw(st.sampled_from((None, *specs.ORDERS)))
    sides = st.integers(32 if style == "keras-example" else 4, max_side)
    fields["depth"] = {"basic": 6, "bottleneck": 9}[fields["block"]] * draw(st.integers(1, max_n)) + 2
    fields["width"] = draw(st.integers(1, max_width))
    fields["input_shape"] = draw(st.tuples(sides, sides, st.integers(1, 4)))
    fields["num_classes"] = draw(st.integers(2, 1000))
    return specs.Spec(**fields)
