"""Sentences that state what recorded runs came to, each worked out again from the records: plain JSON.

A sentence stands here with a hole for each figure. It fails when a record changes and the sentence does not, and when
the sentence changes and this file does not: in both cases somebody has to look.
"""

import json
import re
import statistics
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "resnet_lessons" / "recorded"


def read(name):
    """Return a record's run.json and the lines of its log."""
    lines = (FOLDER / name / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return json.loads((FOLDER / name / "run.json").read_text(encoding="utf-8")), [json.loads(line) for line in lines]


READ = {path.parent.name: read(path.parent.name) for path in sorted(FOLDER.glob("*/run.json"))}
RUNS, LOGS = ({name: both[which] for name, both in READ.items()} for which in (0, 1))


PLAIN_20, PLAIN_32, PLAIN_44, PLAIN_56 = (f"plain-{depth}-short" for depth in (20, 32, 44, 56))
V1_20, V1_32, V1_44, V1_56 = (f"v1-{depth}-short" for depth in (20, 32, 44, 56))
V2_20, FAST, WHOLE = "v2-20-short", "v1-20-fast-accuracy", "v1-20-he2015"
CONSTANT, EXCLUSIVE, SHORTCUT_ONLY = (
    f"v1-20-skip-{skip}-short" for skip in ("constant-scaling", "exclusive-gating", "shortcut-gating")
)


def seeds(group):
    """List the records of a group of seeds, such as "v1-20-short"."""
    found = [name for name in RUNS if re.fullmatch(re.escape(group) + r"-seed\d+", name)]
    assert found, f"no record of {group}"
    return found


def wrong(group):
    """List the test errors of a group's seeds, in percent."""
    return [100 * RUNS[name]["result"]["test_error"] for name in seeds(group)]


def last(group, key="train_error"):
    """List what the last lines of a group's logs say, in percent."""
    return [100 * LOGS[name][-1][key] for name in seeds(group)]


def mean(values, digits=1):
    """Say a mean, a tie rounded up: 15.35 is 15.4, which the nearest binary fraction is not."""
    exact = statistics.mean(Decimal(str(round(value, 6))) for value in values)
    return str(exact.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP))


def more(ones, others, digits=1):
    """Say by how much the mean of some is above that of others."""
    return f"{statistics.mean(ones) - statistics.mean(others):.{digits}f}"


def spread(values, digits):
    """Say a mean and the standard deviation of a sample."""
    return f"{mean(values, digits)} ± {statistics.stdev(values):.{digits}f}"


def span(values, digits=1):
    """Say how far apart the least and the most are."""
    return f"{max(values) - min(values):.{digits}f}"


def each(values, digits=1):
    """Say every one."""
    return [f"{value:.{digits}f}" for value in values]


def reached(group, goal):
    """List the updates after which the seeds of a group had a training error of ``goal`` percent, inf for never."""
    return [
        next((line["step"] for line in LOGS[name] if 100 * line["train_error"] <= goal), float("inf"))
        for name in seeds(group)
    ]


def ending(group):
    """Return the mean of the training errors with which a group ends."""
    return statistics.mean(last(group))


FIGURES = [
    (
        "01_degradation",
        "{}% against {}%, means of three seeds *(recorded)*",
        lambda: [mean(last(PLAIN_56)), mean(last(PLAIN_20))],
    ),
    (
        "01_degradation",
        "Between them stand {}% with 32 layers and {}% with 44, one seed each.",
        lambda: [mean(last(PLAIN_32)), mean(last(PLAIN_44))],
    ),
    ("01_degradation", "those of plain-56 at {}, {} and {}%", lambda: each(last(PLAIN_56))),
    (
        "01_degradation",
        "after 8,000 updates it is {}% against {}%, means of three seeds; 32 and 44 layers, one seed each, lie between",
        lambda: [mean(last(PLAIN_56)), mean(last(PLAIN_20))],
    ),
    (
        "02_residual_blocks",
        "At 20 layers after {:,} updates with each of three seeds, a little more than half",
        lambda: set(reached(V1_20, ending(PLAIN_20))),
    ),
    ("02_residual_blocks", "At 56 after {:,} or {:,}", lambda: sorted(set(reached(V1_56, ending(PLAIN_56))))),
    (
        "02_residual_blocks",
        "at the error of the best plain seed after {:,} at most",
        lambda: [max(reached(V1_56, min(last(PLAIN_56))))],
    ),
    (
        "02_residual_blocks",
        "What plain-56 ends at after 8,000 updates v1-56 has after {:,} at most; for 20 layers that is {:,}",
        lambda: [max(reached(V1_56, ending(PLAIN_56))), max(reached(V1_20, ending(PLAIN_20)))],
    ),
    (
        "03_resnet_v1",
        "ends {} points above: {}% against {}% of test error *(recorded, three seeds and one)*",
        lambda: [more(wrong(FAST), wrong(WHOLE), 2), spread(wrong(FAST), 2), mean(wrong(WHOLE), 2)],
    ),
    (
        "03_resnet_v1",
        "Without shortcuts 56 layers end with a training error of {}%, 20 layers with {}%.",
        lambda: [mean(last(PLAIN_56)), mean(last(PLAIN_20))],
    ),
    (
        "03_resnet_v1",
        "With shortcuts these are {}% and {}% *(recorded, three seeds of each)*",
        lambda: [mean(last(V1_56)), mean(last(V1_20))],
    ),
    (
        "03_resnet_v1",
        "the gap of {} points shrinks to {}, less than the seeds of either net span",
        lambda: [more(last(PLAIN_56), last(PLAIN_20), 0), more(last(V1_56), last(V1_20))],
    ),
    ("03_resnet_v1", "both ResNets have a test error of {}%", lambda: {mean(wrong(V1_20), 2), mean(wrong(V1_56), 2)}),
    (
        "03_resnet_v1",
        "ResNet-32 and ResNet-44 end with training errors of {} and {}% and test errors of {} and {}%",
        lambda: [mean(last(V1_32)), mean(last(V1_44)), mean(wrong(V1_32)), mean(wrong(V1_44))],
    ),
    (
        "03_resnet_v1",
        "from 32 layers to 56 the training error rises again, by {} points",
        lambda: [more(last(V1_56), last(V1_32))],
    ),
    (
        "05_identity_mappings",
        "At 20 layers version 2 ends at {}%, version 1 at {} *(recorded)*: {} points",
        lambda: [mean(wrong(V2_20), 2), mean(wrong(V1_20), 2), more(wrong(V2_20), wrong(V1_20))],
    ),
    (
        "05_identity_mappings",
        "The identity has the lowest error, as in Table 1: {}%, with a standard deviation of {}.",
        lambda: spread(wrong(V1_20), 2).split(" ± "),
    ),
    (
        "05_identity_mappings",
        "Shortcut-only gating has {} points more.",
        lambda: [more(wrong(SHORTCUT_ONLY), wrong(V1_20))],
    ),
    ("05_identity_mappings", "(that of ResNet-56 is {})", lambda: [f"{statistics.stdev(wrong(V1_56)):.2f}"]),
    (
        "05_identity_mappings",
        "Constant scaling has {} more and exclusive gating {}.",
        lambda: [more(wrong(CONSTANT), wrong(V1_20)), more(wrong(EXCLUSIVE), wrong(V1_20), 0)],
    ),
    (
        "09_full_length",
        "Without shortcuts 56 layers end {} points above 20, with any of their seeds ({}, {} and {}%)",
        lambda: [more(last(PLAIN_56), last(PLAIN_20)), *each(last(PLAIN_56))],
    ),
    (
        "09_full_length",
        "With shortcuts {} points lie between 20 layers and 56, less than the {} and {} that their three seeds span",
        lambda: [more(last(V1_56), last(V1_20)), span(last(V1_20)), span(last(V1_56))],
    ),
    (
        "09_full_length",
        "{}, {} and {}% with 32, 44 and 56 layers (one seed of the first two)",
        lambda: [mean(last(group)) for group in (V1_32, V1_44, V1_56)],
    ),
    (
        "09_full_length",
        '"fast-accuracy" ends {} points above it after 22% of its updates',
        lambda: [more(wrong(FAST), wrong(WHOLE), 2)],
    ),
    (
        "09_full_length",
        "plain-56 has a training error of {}%, plain-20 of {}%, ResNet-20 of {}% and ResNet-56 of {}%",
        lambda: [mean(last(group)) for group in (PLAIN_56, PLAIN_20, V1_20, V1_56)],
    ),
    (
        "10_explorer",
        "in the end training is at {}% and validation at {}%",
        lambda: [mean(last(V1_20)), mean(last(V1_20, "val_error"))],
    ),
    (
        "10_explorer",
        "settles too, but higher: {}% and {}%. These are means of three seeds.",
        lambda: [mean(last(FAST)), mean(last(FAST, "val_error"))],
    ),
    (
        "10_explorer",
        "By `he2015`, one seed, they end at {}% and {}%",
        lambda: [mean(last(WHOLE)), mean(last(WHOLE, "val_error"))],
    ),
    (
        "README.md",
        "test error {} points above that of `he2015` (recorded, one seed of the latter)",
        lambda: [more(wrong(FAST), wrong(WHOLE), 2)],
    ),
    ("docs/performance.md", "{}% test error, three seeds (recorded, on one H200)", lambda: [spread(wrong(FAST), 2)]),
    ("docs/performance.md", "By `short`, 8,000 updates, it is {}%.", lambda: [spread(wrong(V1_20), 2)]),
    (
        "docs/performance.md",
        "`he2015` reaches {}% on the same data in its 64,000 updates (one seed), so this schedule ends {} points above",
        lambda: [mean(wrong(WHOLE), 2), more(wrong(FAST), wrong(WHOLE), 2)],
    ),
    (
        "docs/performance.md",
        "On the images held back it is {}% against {}%.",
        lambda: [spread(last(FAST, "val_error"), 1), mean(last(WHOLE, "val_error"))],
    ),
    (
        "docs/performance.md",
        "the shipped weights of ResNet-20, trained with TensorFlow on a processor, were tested on the card: 16.14% of "
        "the test images wrong, in float32 and in bfloat16 alike, where the record says {}%.",
        lambda: [f"{100 * RUNS['v1-20-short-seed0']['result']['test_error']:.2f}"],
    ),
]


def prose(place):
    """Return a page's prose in one line: a file of Markdown, or the text cells of a lesson's source."""
    if place.endswith(".md"):
        return " ".join((ROOT / place).read_text(encoding="utf-8").split())
    source = (ROOT / "notebooks" / "src" / f"{place}.py").read_text(encoding="utf-8")
    texts = [cell.removeprefix(" [markdown]") for cell in source.split("# %%") if cell.startswith(" [markdown]")]
    words = (word for text in texts for line in text.splitlines() for word in line.removeprefix("#").split())
    return " ".join(words)


def stands(place, sentence, figures):
    """Return whether a page has the sentence, once, with these figures in its holes, one for each."""
    if len(figures) != len(re.findall(r"\{[^}]*\}", sentence)):
        return False
    said = re.escape(sentence.format(*figures))
    return len(re.findall(rf"(?<![\d.]){said}", prose(place))) == 1


@pytest.mark.parametrize(("place", "sentence", "figures"), FIGURES, ids=[sentence for _, sentence, _ in FIGURES])
def test_what_is_said_of_recorded_runs_is_what_they_came_to(place, sentence, figures):
    assert stands(place, sentence, list(figures()))


def places_that_are_wrong():
    """Return the pages of which a sentence does not hold."""
    return {place for place, sentence, figures in FIGURES if not stands(place, sentence, list(figures()))}


def test_another_test_error_is_noticed(monkeypatch):
    """Negative control: a tenth of a percent more in one seed, and these pages are wrong."""
    run = RUNS["v1-20-fast-accuracy-seed0"]
    changed = run | {"result": run["result"] | {"test_error": run["result"]["test_error"] + 0.001}}
    monkeypatch.setitem(RUNS, "v1-20-fast-accuracy-seed0", changed)
    assert places_that_are_wrong() == {"03_resnet_v1", "09_full_length", "README.md", "docs/performance.md"}


def test_two_nets_that_no_longer_have_one_error_are_noticed(monkeypatch):
    """Negative control: lesson 03 says that both ResNets have the same."""
    run = RUNS["v1-56-short-seed1"]
    changed = run | {"result": run["result"] | {"test_error": run["result"]["test_error"] + 0.001}}
    monkeypatch.setitem(RUNS, "v1-56-short-seed1", changed)
    assert "03_resnet_v1" in places_that_are_wrong()


def test_another_log_is_noticed(monkeypatch):
    """Negative control: one seed with two points more of training error, all along."""
    name = "v1-20-short-seed1"
    monkeypatch.setitem(LOGS, name, [line | {"train_error": line["train_error"] + 0.02} for line in LOGS[name]])
    assert places_that_are_wrong() >= {"02_residual_blocks", "03_resnet_v1", "09_full_length", "10_explorer"}
