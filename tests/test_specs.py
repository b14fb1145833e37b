"""What ``specs`` promises: depths, defaults, names, JSON, and errors that say what to do."""

import dataclasses
import itertools
import json
import re
import subprocess
import sys

from resnet_lessons import specs
from resnet_lessons.specs import Spec, blocks_for, depth_for

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spec_strategies import valid_specs

VERSIONS = ("plain", "v1", "v2", 1, 2)


def layers_per_unit(version, block):
    """Weighted layers of one unit in each of three stages, from the papers' figures: 3 x 2 or 3 x 3."""
    own = "bottleneck" if version in ("v2", 2) else "basic"
    return {"basic": 3 * 2, "bottleneck": 3 * 3}[block or own]


# Depths


@pytest.mark.parametrize(
    ("version", "block", "depths"),
    [
        ("plain", None, {3: 20, 5: 32, 7: 44, 9: 56}),
        ("v1", None, {3: 20, 5: 32, 7: 44, 9: 56, 18: 110, 200: 1202}),  # He 2015, Table 6
        ("v1", "bottleneck", {18: 164}),
        ("v2", None, {2: 20, 3: 29, 6: 56, 12: 110, 18: 164, 111: 1001}),  # He 2016, Table 3
        ("v2", "basic", {18: 110}),
    ],
)
def test_depths_of_the_papers(version, block, depths):
    assert {n: depth_for(version, n, block) for n in depths} == depths
    assert {n: blocks_for(version, depth, block) for n, depth in depths.items()} == {n: n for n in depths}


@pytest.mark.parametrize(("number", "name"), [(1, "v1"), (2, "v2")])
def test_a_number_stands_for_its_version(number, name):
    assert depth_for(number, 3) == depth_for(name, 3)
    assert blocks_for(number, 20) == blocks_for(name, 20)


@given(version=st.sampled_from(VERSIONS), block=st.sampled_from((None, *specs.BLOCKS)), n=st.integers(1, 10**40))
def test_blocks_for_inverts_depth_for(version, block, n):
    depth = depth_for(version, n, block)
    assert depth == layers_per_unit(version, block) * n + 2
    assert blocks_for(version, depth, block) == n


@given(
    version=st.sampled_from(VERSIONS),
    block=st.sampled_from((None, *specs.BLOCKS)),
    depth=st.one_of(st.integers(-50, 400), st.integers(-(10**400), 10**400)),
)
def test_a_wrong_depth_is_answered_with_the_nearest_valid_one(version, block, depth):
    step = layers_per_unit(version, block)
    if depth >= step + 2 and (depth - 2) % step == 0:
        assert depth_for(version, blocks_for(version, depth, block), block) == depth
        return
    with pytest.raises(ValueError, match=re.escape(f"Received: depth={depth}.")) as raised:
        blocks_for(version, depth, block)
    assert f"{step}n+2" in str(raised.value)
    nearest, n = map(int, re.search(r"nearest such depth is (\d+) \(n=(\d+)\)", str(raised.value)).groups())
    assert blocks_for(version, nearest, block) == n
    below, above = nearest - step, nearest + step
    assert abs(nearest - depth) <= abs(above - depth)
    assert below < step + 2 or abs(nearest - depth) <= abs(below - depth)


# Defaults


@pytest.mark.parametrize(
    ("spec", "block", "shortcut", "order", "n"),
    [
        (Spec("plain", 20), "basic", None, "original", 3),
        (Spec("plain", 29, block="bottleneck"), "bottleneck", None, "original", 3),
        (Spec("v1", 56), "basic", "A", "original", 9),
        (Spec("v1", 164, block="bottleneck"), "bottleneck", "B", "original", 18),
        (Spec("v2", 164), "bottleneck", "B", "full-pre", 18),
        (Spec("v2", 110, block="basic"), "basic", "A", "full-pre", 18),
        (Spec("v1", 20, style="keras-example"), "basic", "B", "original", 3),
        (Spec("v2", 20, style="keras-example"), "bottleneck", "B", "full-pre", 2),
    ],
    ids=lambda value: value.name if isinstance(value, Spec) else "",
)
def test_defaults_follow_family_and_block(spec, block, shortcut, order, n):
    assert (spec.block, spec.shortcut, spec.order, spec.n) == (block, shortcut, order, n)
    assert (spec.skip, spec.width, spec.input_shape, spec.num_classes) == ("identity", 16, (32, 32, 3), 10)


@pytest.mark.parametrize(
    ("spec", "inner", "outer"),
    [
        (Spec("v1", 20), (16, 32, 64), (16, 32, 64)),
        (Spec("v2", 164), (16, 32, 64), (64, 128, 256)),  # He 2016: what the paper's 1.70M parameters need
        (Spec("v1", 20, style="keras-example"), (16, 32, 64), (16, 32, 64)),
        (Spec("v2", 20, style="keras-example"), (16, 64, 128), (64, 128, 256)),
        (Spec("v2", 20, width=5), (5, 10, 20), (20, 40, 80)),
    ],
    ids=lambda value: value.name if isinstance(value, Spec) else "",
)
def test_widths(spec, inner, outer):
    assert (spec.inner_widths, spec.outer_widths) == (inner, outer)


def test_naming_a_default_changes_nothing():
    assert Spec("v1", 20) == Spec("v1", 20, block="basic", shortcut="A", order="original")
    assert Spec("v2", 20) == Spec("v2", 20, block="bottleneck", shortcut="B", order="full-pre")
    assert hash(Spec("v1", 20)) == hash(Spec("v1", 20, shortcut="A"))


def test_numpy_integers_and_lists_become_plain_values():
    spec = Spec("v1", np.int64(20), width=np.uint8(8), num_classes=np.int32(7), input_shape=list(np.array([16, 8, 1])))
    assert spec == Spec("v1", 20, width=8, num_classes=7, input_shape=(16, 8, 1))
    values = (spec.depth, spec.width, spec.num_classes, *spec.input_shape)
    assert {type(value) for value in values} == {int}
    assert json.loads(json.dumps(spec.to_json())) == spec.to_json()
    assert depth_for("v1", np.int64(3)) == 20
    assert blocks_for("v1", np.int16(20)) == 3


def test_a_spec_cannot_be_changed():
    spec = Spec("v1", 20)
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.depth = 56
    with pytest.raises(ValueError, match="nearest such depth is 20"):
        dataclasses.replace(spec, depth=21)
    assert dataclasses.replace(spec, depth=56) == Spec("v1", 56)


# JSON and names


@given(valid_specs())
def test_json_round_trip(spec):
    assert Spec(**json.loads(json.dumps(spec.to_json()))) == spec


@given(valid_specs(), valid_specs())
def test_distinct_specs_have_distinct_names(one, other):
    assert (one.name == other.name) == (one == other)


def test_every_combination_of_words_has_its_own_name():
    fields = {
        "family": specs.FAMILIES,
        "depth": (20, 56),  # both are 6n+2 and 9n+2
        "block": specs.BLOCKS,
        "shortcut": (None, *specs.SHORTCUTS),
        "style": specs.STYLES,
        "skip": specs.SKIPS,
        "order": specs.ORDERS,
        "width": (16, 8),
        "num_classes": (10, 100),
    }
    found = set()
    for values in itertools.product(*fields.values()):
        try:
            found.add(Spec(**dict(zip(fields, values, strict=True))))
        except ValueError:
            continue  # a combination that no network has
    residual = 2 * 2 * 3 * 6 * 5  # family, block, shortcut, skip, order
    plain, example = 2, 2  # two blocks; two versions
    assert len(found) == (residual + plain + example) * 2 * 2 * 2  # depth, width, num_classes
    assert len({spec.name for spec in found}) == len(found)


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        (Spec("v1", 56), "v1-56"),
        (Spec("plain", 20), "plain-20"),
        (Spec("v2", 110, block="basic"), "v2-110-basic"),
        (Spec("v1", 110, shortcut="B", skip="dropout"), "v1-110-B-dropout"),
        (Spec("v1", 20, width=8, input_shape=(28, 28, 1), num_classes=100), "v1-20-w8-28x28x1-100classes"),
    ],
)
def test_names_are_short(spec, name):
    assert spec.name == name


# Refusals


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        # the argument, then everything that the message must say: received, allowed, what to do
        ({"depth": 21}, ["depth=21", "6n+2", "8, 14, 20", "nearest such depth is 20 (n=3)"]),
        ({"family": "v2", "depth": 21}, ["depth=21", "9n+2", "11, 20, 29", "nearest such depth is 20 (n=2)"]),
        ({"depth": 29, "block": "basic"}, ["depth=29", "6n+2", "nearest such depth is 32 (n=5)"]),
        ({"depth": 2}, ["depth=2", "nearest such depth is 8 (n=1)"]),
        ({"depth": 0}, ["depth=0", "nearest such depth is 8 (n=1)"]),
        ({"depth": -20}, ["depth=-20", "nearest such depth is 8 (n=1)"]),
        ({"depth": "20"}, ["'20' (str)", "whole number", "6n+2", "8, 14, 20"]),
        ({"depth": 20.0}, ["20.0 (float)", "whole number", "6n+2", "8, 14, 20"]),
        ({"depth": True}, ["True (bool)", "whole number", "6n+2"]),
        ({"depth": np.True_}, ["(bool)", "whole number", "6n+2"]),
        ({"depth": None}, ["None (NoneType)", "whole number", "6n+2"]),
        ({"depth": [20]}, ["[20] (list)", "whole number", "6n+2"]),
        ({"family": "v3"}, ["'v3'", "'plain', 'v1', 'v2'"]),
        ({"family": 1}, ["Received: 1", "'plain', 'v1', 'v2'"]),
        ({"family": None}, ["None", "'plain', 'v1', 'v2'"]),
        ({"family": ["v1"]}, ["['v1']", "'plain', 'v1', 'v2'"]),
        ({"block": "wide"}, ["'wide'", "'basic', 'bottleneck'"]),
        ({"shortcut": "D"}, ["'D'", "'A', 'B', 'C'"]),
        ({"shortcut": "a"}, ["'a'", "'A', 'B', 'C'"]),
        ({"style": "torch"}, ["'torch'", "'paper', 'keras-example'"]),
        ({"style": None}, ["None", "'paper', 'keras-example'"]),
        ({"skip": None}, ["None", "'identity'"]),
        ({"skip": "gating"}, ["'gating'", "'exclusive-gating', 'shortcut-gating'"]),
        ({"order": "post"}, ["'post'", "'original'", "'full-pre'"]),
        ({"width": -1}, ["width", "-1", "at least 1"]),
        ({"width": 0}, ["width", "0", "at least 1"]),
        ({"width": "16"}, ["width", "'16' (str)", "whole number"]),
        ({"width": 16.0}, ["width", "16.0 (float)", "whole number"]),
        ({"num_classes": 1}, ["num_classes", "1", "at least 2"]),
        ({"num_classes": True}, ["num_classes", "True (bool)", "whole number"]),
        ({"input_shape": None}, ["input_shape", "None", "(height, width, channels)"]),
        ({"input_shape": 32}, ["input_shape", "32", "(height, width, channels)"]),
        ({"input_shape": (32, 32)}, ["input_shape", "(32, 32)", "(height, width, channels)"]),
        ({"input_shape": (1, 32, 32, 3)}, ["input_shape", "(1, 32, 32, 3)", "(height, width, channels)"]),
        ({"input_shape": (3, 32, 32)}, ["input_shape height", "3", "at least 4"]),
        ({"input_shape": (32, 0, 3)}, ["input_shape width", "0", "at least 4"]),
        ({"input_shape": (32, 32, 0)}, ["input_shape channels", "0", "at least 1"]),
        ({"input_shape": (None, None, 3)}, ["input_shape height", "None", "whole number"]),
        ({"input_shape": "abc"}, ["input_shape height", "'a'", "whole number"]),
        # combinations
        ({"family": "plain", "shortcut": "A"}, ["shortcut='A'", "plain net has no shortcuts", 'family="v1"']),
        ({"family": "plain", "skip": "dropout"}, ["skip='dropout'", "plain net has no shortcuts"]),
        ({"family": "plain", "order": "full-pre"}, ["order='full-pre'", "plain net has no shortcuts"]),
        ({"family": "plain", "style": "keras-example"}, ["family='plain'", "keras-example", 'style="paper"']),
        ({"style": "keras-example", "shortcut": "A"}, ["shortcut='A'", 'shortcut "B"', 'style="paper"']),
        ({"style": "keras-example", "block": "bottleneck"}, ["block='bottleneck'", "v1 with basic", 'style="paper"']),
        ({"style": "keras-example", "skip": "conv"}, ["skip='conv'", 'skip "identity"', 'style="paper"']),
        ({"style": "keras-example", "order": "relu-pre"}, ["order='relu-pre'", "default order", 'style="paper"']),
        ({"style": "keras-example", "input_shape": (28, 28, 1)}, ["(28, 28, 1)", "at least 32x32", 'style="paper"']),
    ],
    ids=str,
)
def test_a_bad_spec_is_refused_with_what_was_received_and_what_is_allowed(arguments, says):
    complete = {"family": "v1", "depth": 20} | arguments
    with pytest.raises(ValueError, match="Received") as raised:
        Spec(**complete)
    assert [text for text in says if text not in str(raised.value)] == []


@pytest.mark.parametrize("function", [depth_for, blocks_for])
@pytest.mark.parametrize("version", [3, 0, "V1", "1", True, 1.0, None, ["v1"]], ids=repr)
def test_an_unknown_version_is_refused(function, version):
    with pytest.raises(ValueError, match=re.escape(f"'plain', 'v1', 'v2', or 1 or 2 for short. Received: {version!r}")):
        function(version, 20)


@pytest.mark.parametrize("n", [0, -1, "3", True, 3.0, None, np.nan], ids=repr)
def test_a_bad_n_is_refused(n):
    with pytest.raises(ValueError, match=r"6n\+2 layers, n = 1, 2, 3, \.\.\.: 8, 14, 20") as raised:
        depth_for("v1", n)
    assert f"Received: {n!r}" in str(raised.value)


@pytest.mark.parametrize("function", [depth_for, blocks_for])
def test_an_unknown_block_is_refused(function):
    with pytest.raises(ValueError, match=r"block must be one of 'basic', 'bottleneck'\. Received: 'wide'"):
        function("v1", 20, "wide")


def test_specs_need_no_keras():
    code = "import sys, resnet_lessons.specs; print({'keras', 'tensorflow', 'jax', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("set()", "")


def test_every_choice_is_a_field_that_refuses_other_values():
    assert set(specs.CHOICES) <= {field.name for field in dataclasses.fields(Spec)}
    for field in specs.CHOICES:
        with pytest.raises(ValueError, match=f"^{field} must be one of"):
            Spec("v1", 20, **{field: "no such choice"})
