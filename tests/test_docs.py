"""What the pages in docs/ state holds: networks and their cost, glossary, links, numbers of papers.

Each checker takes the text of a page and returns complaints; each has negative controls, pages it must reject.
"""

import functools
import re
from pathlib import Path

from resnet_lessons import accounting, blocks, models
from resnet_lessons.specs import Spec

import keras
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
READING, GLOSSARY = "docs/reading.md", "docs/glossary.md"
LESSONS = [f"{number:02}" for number in range(11)]

NETWORK = re.compile(r"`((?:Spec|models\.\w+)\([^`]*\))`")
COUNT = re.compile(r"(?<![\d,.])\d{1,3}(?:,\d{3})*,\d{3},\d{3}|\b\d{3},\d{3}\b(?!,)")  # from 100,000 on
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
PAPER = re.compile(r"\d{4}\.\d{5}")
HAN = re.compile(r"[\u4e00-\u9fff]")


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def pages():
    """The pages a reader may open: the README and everything in docs/."""
    return ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]


def passages(page):
    """Split a page into table rows and paragraphs, each a string of one line."""
    spaced = "".join(f"\n{line}\n\n" if line.startswith("|") else f"{line}\n" for line in page.splitlines())
    return [" ".join(part.split()) for part in re.split(r"\n\s*\n", spaced) if part.strip()]


def rows(page, heading):
    """The cells of every table row below a header row that begins with these cells."""
    found, inside = [], False
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if cells[: len(heading)] == heading:
            inside = True
        elif not cells:
            inside = False
        elif inside and set("".join(cells)) - set("-:"):
            found.append(cells)
    return found


# Networks and what they cost


@functools.cache
def cost(expression):
    """Count parameters and multiply-adds of the network that an expression of the package names.

    Raises:
        ValueError: if it names none.
    """
    try:
        network = eval(expression, {"__builtins__": {}}, {"Spec": Spec, "models": models})
    except Exception as error:
        raise ValueError(f"`{expression}` names no network: {error}") from error
    count = accounting.count(network) if isinstance(network, Spec) else accounting.account(network).total
    return count.parameters, count.multiply_adds


def cost_complaints(page):
    """Every network is followed by its parameters and multiply-adds; no such number stands without a network."""
    said = []
    for passage in passages(page):
        before, *named = re.split(r"(?=`(?:Spec|models\.\w+)\()", passage)
        said += [f"{number} stands without a network" for number in COUNT.findall(before)]
        said += [complaint for text in named if (complaint := cost_complaint(text))]
    return said


def cost_complaint(text):
    """Compare a network at the beginning of a text with the numbers after it; return None if they are its cost."""
    expression = NETWORK.match(text)
    if expression is None:
        return f"{text[:40]} is not closed"
    stated = tuple(int(number.replace(",", "")) for number in COUNT.findall(text, expression.end()))
    try:
        true = cost(expression[1])
    except ValueError as error:
        return str(error)
    return None if stated == true else f"`{expression[1]}` has {true[0]:,} and {true[1]:,}, the page says {stated}"


def test_every_network_on_the_page_costs_what_the_page_says():
    assert cost_complaints(read(READING)) == []


def test_the_reading_page_names_networks_in_its_table():
    table = rows(read(READING), ["Network", "Nearest of ours", "Parameters", "Multiply-adds"])
    assert len(table) >= 8
    assert all(NETWORK.fullmatch(row[1]) and len(row) == 5 and all(row) for row in table)


RIGHT = '| a | `Spec("v1", 20)` | 269,722 | 40,551,040 | |'


def test_a_right_row_passes():
    assert cost_complaints(RIGHT) == []
    assert cost_complaints('Its net, `Spec("v1", 20)`, has 269,722\nparameters and 40,551,040 multiply-adds.') == []
    assert cost_complaints("10,000 layers, 64,000 updates and 1,001 are no counts of a network.") == []


@pytest.mark.parametrize(
    ("page", "complaint"),
    [
        (RIGHT.replace("269,722", "269,723"), "has 269,722 and 40,551,040"),
        (RIGHT.replace("40,551,040", "40,551,041"), "has 269,722 and 40,551,040"),
        (RIGHT.replace("269,722 | 40,551,040", "40,551,040 | 269,722"), "the page says (40551040, 269722)"),
        (RIGHT.replace("269,722", ""), "the page says (40551040,)"),
        (RIGHT.replace("20", "21"), "names no network: A v1 net of basic blocks has 6n+2 layers"),
        (RIGHT.replace('Spec("v1", 20)', "models.imagenet(51)"), "names no network: depth must be one of"),
        (RIGHT.replace('Spec("v1", 20)', 'models.nothing("v1")'), "names no network"),
        (RIGHT.replace('Spec("v1", 20)', "Spec(open('/'))"), "names no network: name 'open' is not defined"),
        (RIGHT.replace('`Spec("v1", 20)`', '`Spec("v1", 20)'), "is not closed"),
        ("It has 269,722 parameters.", "269,722 stands without a network"),
        ("It has 1,000,000 parameters.", "1,000,000 stands without a network"),
        (f"{RIGHT}\n\nAnother has 269,722.", "269,722 stands without a network"),
        (f"{RIGHT}\n| b | 269,722 |", "269,722 stands without a network"),
        (f"{RIGHT}\n{RIGHT.replace('269,722', '269,721')}", "has 269,722 and 40,551,040"),
    ],
)
def test_wrong_costs_are_heard(page, complaint):
    (said,) = cost_complaints(page)
    assert complaint in said


# Where strided windows lie


def first_three(layer):
    """Apply a layer of stride 2 to rows of an image that hold their own number; return its first three rows."""
    rows = np.broadcast_to(np.arange(64, dtype="float32")[:, None, None], (1, 64, 64, 1))
    return np.asarray(layer(rows))[0, :3, 16, 0].tolist()


@pytest.mark.parametrize("kernel", [3, 7])
def test_convolutions_are_centred_where_the_page_says(kernel):
    image = keras.Input((64, 64, 1))
    ours = keras.Model(image, blocks.conv(image, 1, kernel, 2, "paper", "conv"))
    same = keras.Sequential([image, keras.layers.Conv2D(1, kernel, 2, padding="same", use_bias=False)])
    centre = np.zeros((kernel, kernel, 1, 1))
    centre[kernel // 2, kernel // 2] = 1
    for model in (ours, same):
        model.set_weights([centre])
    assert first_three(ours) == [0, 2, 4]
    assert first_three(same) == [1, 3, 5]


def test_max_pools_begin_where_the_page_says():
    pad, pool = (
        models.imagenet(18, input_shape=(64, 64, 3)).get_layer(name) for name in ("stem_pool_pad", "stem_pool")
    )
    assert first_three(lambda rows: pool(pad(rows))) == [-1 + 2, 1 + 2, 3 + 2]  # a window's largest row is its last
    assert first_three(keras.layers.MaxPooling2D(3, 2, padding="same")) == [0 + 2, 2 + 2, 4 + 2]


# Lessons and what to read


def lesson_complaints(page):
    """The reading table has one row for each lesson from 01 on, in order, with something to read and a question."""
    table = rows(page, ["Lesson", "Read", "Look at", "Question"])
    said = [f"lesson {row[0]}: no question" for row in table if len(row) != 4 or not row[3].endswith((".", "?", ".)"))]
    said += [f"lesson {row[0]}: nothing to read" for row in table if len(row) > 1 and not row[1]]
    numbers = [row[0] for row in table]
    return said if numbers == LESSONS[1:] else [*said, f"rows for {numbers}, not for lessons 01 to 10 in order"]


def test_there_is_reading_for_every_lesson():
    assert lesson_complaints(read(READING)) == []


def reading_table(numbers=tuple(LESSONS[1:]), read="a", question="Why?"):
    header = "| Lesson | Read | Look at | Question |\n|---|---|---|---|\n"
    return header + "".join(f"| {number} | {read} | b | {question} |\n" for number in numbers)


@pytest.mark.parametrize(
    ("page", "complaint"),
    [
        (reading_table(LESSONS[1:-1]), "not for lessons 01 to 10"),
        (reading_table([*LESSONS[1:], "10"]), "not for lessons 01 to 10"),
        (reading_table(question=""), "lesson 01: no question"),
        (reading_table(read=""), "lesson 01: nothing to read"),
        ("no table", "rows for []"),
    ],
)
def test_missing_reading_is_heard(page, complaint):
    assert lesson_complaints(reading_table()) == []
    assert any(complaint in said for said in lesson_complaints(page))


# Glossary


def glossary_rows(page):
    return rows(page, ["English", "Chinese", "Meaning", "Lesson"])


def variants(cell, mark):
    """The words of a cell, without what stands in brackets."""
    return [word.strip() for word in re.sub(r"（[^）]*）|\([^)]*\)", "", cell).split(mark)]


def row_complaints(english, chinese, meaning, lesson):
    """Each field of a row holds what it is for."""
    said = [f"{english!r}: {word!r} is not Chinese" for word in variants(chinese, "、") if not HAN.search(word)]
    said += [f"{english!r} has a Chinese word"] if HAN.search(english) else []
    said += [f"{english!r}: lesson {lesson!r} is none"] if lesson not in LESSONS else []
    return said + ([] if meaning.endswith(".") else [f"{english!r}: a meaning ends in a full stop"])


def glossary_complaints(page):
    """Every row has its four fields, and no word stands twice, in either language."""
    table = glossary_rows(page)
    whole = [row for row in table if len(row) == 4 and all(row)]
    said = [f"{row[0]!r} has not four fields" for row in table if row not in whole]
    said += [complaint for row in whole for complaint in row_complaints(*row)]
    words = [word for row in whole for word in variants(row[0].lower(), ",") + variants(row[1], "、")]
    return said + [f"{word!r} stands twice" for word in sorted(set(words)) if words.count(word) > 1]


def test_the_glossary_is_whole():
    assert glossary_complaints(read(GLOSSARY)) == []
    assert len(glossary_rows(read(GLOSSARY))) >= 60


def glossary(*lines):
    return "\n".join(["| English | Chinese | Meaning | Lesson |", "|---|---|---|---|", *lines])


DEPTH = "| depth | 深度 | How deep. | 00 |"


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("| width | 宽度 | How wide. |", "'width' has not four fields"),
        ("| width | 宽度 | | 01 |", "'width' has not four fields"),
        ("| width | 宽度 | How wide. | 01 | more |", "'width' has not four fields"),
        ("| Depth | 宽度 | How wide. | 01 |", "'depth' stands twice"),
        ("| width, depth | 宽度 | How wide. | 01 |", "'depth' stands twice"),
        ("| width | 宽度、深度 | How wide. | 01 |", "'深度' stands twice"),
        ("| width | width | How wide. | 01 |", "'width' is not Chinese"),
        ("| width | 宽度、 | How wide. | 01 |", "'' is not Chinese"),
        ("| 宽 | 宽度 | How wide. | 01 |", "'宽' has a Chinese word"),
        ("| width | 宽度 | How wide. | 11 |", "lesson '11' is none"),
        ("| width | 宽度 | How wide. | 1 |", "lesson '1' is none"),
        ("| width | 宽度 | How wide | 01 |", "a meaning ends in a full stop"),
    ],
)
def test_a_broken_glossary_is_heard(row, complaint):
    assert glossary_complaints(glossary(DEPTH, "| width | 宽度 | How wide. | 01 |")) == []
    assert any(complaint in said for said in glossary_complaints(glossary(DEPTH, row)))


def lesson_texts():
    """The source of every lesson that is there, by number."""
    sources = sorted((ROOT / "notebooks" / "src").glob("[0-9][0-9]_*.py"))
    return {path.name[:2]: path.read_text(encoding="utf-8") for path in sources}


def uses(text, term):
    """Tell whether a cell of the lesson has all words of a term, going by five letters: "ablate" for "ablation"."""
    starts = [re.compile(rf"\b{re.escape(word[:5])}") for word in re.split(r"[ -]", term.lower())]
    return any(all(start.search(cell) for start in starts) for cell in text.lower().replace("_", " ").split("# %%"))


def absent_terms(page, lessons):
    """Terms that the lesson named in their row does not use, where that lesson is there."""
    return [
        f"{english!r}: lesson {number} does not use it"
        for english, _, _, number in glossary_rows(page)
        if number in lessons and not any(uses(lessons[number], term) for term in variants(english, ","))
    ]


def test_a_term_is_used_in_the_lesson_that_its_row_names():
    assert absent_terms(read(GLOSSARY), lesson_texts()) == []


def test_a_term_that_its_lesson_does_not_use_is_heard():
    page = glossary("| skip connection, short-cut | 捷径 | Around. | 01 |", "| width | 宽度 | How wide. | 02 |")
    absent = ["'skip connection, short-cut': lesson 01 does not use it"]
    assert absent_terms(page, {}) == absent_terms(page, {"03": "# depth"}) == []
    assert absent_terms(page, {"01": "# It skips: a\n# Connection."}) == []
    assert absent_terms(page, {"01": "# a Short-\n# cut"}) == absent_terms(page, {"01": "short_cut(x)"}) == []
    assert absent_terms(page, {"01": "# skip\n# %%\n# connection"}) == absent
    assert absent_terms(page, {"01": "# an unskipped connection"}) == absent
    assert absent_terms(page, {"02": "# depth"}) == ["'width': lesson 02 does not use it"]


# Links


def link_complaints(page, folder):
    """Links to files lead to files that are there; links to papers have the number that they show."""
    said = []
    for text, target in LINK.findall(" ".join(page.split())):
        if target.startswith("https://arxiv.org/"):
            number = target.removeprefix("https://arxiv.org/abs/")
            if not PAPER.fullmatch(number) or number != text.removeprefix("arXiv "):
                said.append(f"{text!r} leads to {target}")
        elif not re.match(r"\w+:", target) and not (folder / target.split("#")[0]).exists():
            said.append(f"{text!r} leads to {target}, which is not there")
    return said


def paper_complaints(page):
    """Every number of a paper is a link to it, and no paper is linked twice."""
    linked = [text for text, target in LINK.findall(" ".join(page.split())) if "arxiv.org" in target]
    said = [f"{text} is linked twice" for text in sorted({text for text in linked if linked.count(text) > 1})]
    return said + [f"{number} is no link" for number in PAPER.findall(LINK.sub("", page))]


@pytest.mark.parametrize("name", pages())
def test_links_lead_somewhere(name):
    assert link_complaints(read(name), (ROOT / name).parent) == []


def test_every_paper_is_linked_once():
    assert paper_complaints(read(READING)) == []


@pytest.mark.parametrize(
    ("page", "complaint"),
    [
        ("[a](nowhere.md)", "nowhere.md, which is not there"),
        ("![a](docs/nowhere.png)", "nowhere.png, which is not there"),
        ("[a](nowhere.md#here)", "nowhere.md#here, which is not there"),
        ("[arXiv 1512.03385](https://arxiv.org/abs/1512.03358)", "leads to https://arxiv.org/abs/1512.03358"),
        ("[ResNet](https://arxiv.org/abs/1512.03385)", "leads to https://arxiv.org/abs/1512.03385"),
        ("[arXiv 1512.0338](https://arxiv.org/abs/1512.0338)", "leads to https://arxiv.org/abs/1512.0338"),
    ],
)
def test_dead_links_are_heard(page, complaint):
    (said,) = link_complaints(page, ROOT)
    assert complaint in said


def test_right_links_pass():
    right = "[arXiv 1512.03385](https://arxiv.org/abs/1512.03385) [a](README.md#data) [b](docs/) [c](http://a.example)"
    assert link_complaints(right, ROOT) == []
    assert paper_complaints(right) == []


def test_papers_without_a_link_or_linked_twice_are_heard():
    link = "[arXiv 1512.03385](https://arxiv.org/abs/1512.03385)"
    assert paper_complaints("see arXiv 1512.03385") == ["1512.03385 is no link"]
    assert paper_complaints(f"{link} and {link}") == ["arXiv 1512.03385 is linked twice"]
