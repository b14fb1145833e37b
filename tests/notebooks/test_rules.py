"""Negative controls: each rule rejects copies of a good lesson that break it, and accepts the lesson itself."""

import nbformat
import pytest
import rules
from hypothesis import given
from hypothesis import strategies as st
from rules import IGNORED


def code(notebook, number):
    """The code cell of this number: 1 prints, 2 is ignored, 3 asserts and shows, 4 draws, 5 is a widget."""
    return rules.code_cells(notebook)[number - 1][1]


def printed(text):
    def put(notebook):
        code(notebook, 1).outputs[0].text = text

    return put


def put_out(**output):
    def put(notebook):
        code(notebook, 3).outputs.append(nbformat.v4.new_output(**output))

    return put


def source(text):
    def put(notebook):
        code(notebook, 3).source = text

    return put


def tagged(*tags):
    def put(notebook):
        code(notebook, 3).metadata["tags"] = list(tags)

    return put


def caption(text):
    def put(notebook):
        place = next(number for number, cell in rules.code_cells(notebook) if cell is code(notebook, 4))
        notebook.cells[place] = nbformat.v4.new_markdown_cell(text)

    return put


def alt(text):
    def put(notebook):
        code(notebook, 4).outputs[0].metadata = {"image/png": {"alt": text}} if text is not None else {}

    return put


def prose(text):
    def put(notebook):
        notebook.cells[0].source += text

    return put


def drop_count(notebook):
    code(notebook, 2).execution_count = None


def swap_counts(notebook):
    code(notebook, 1).execution_count, code(notebook, 2).execution_count = 2, 1


def run_again(notebook):
    code(notebook, 5).execution_count = 6


def ignore_half(notebook):
    for number in (1, 3, 4):
        code(notebook, number).metadata["tags"] = [IGNORED]


def forget_widget_state(notebook):
    notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"].pop("state")


def forget_widgets(notebook):
    del notebook.metadata["widgets"]


def path_in_widget(notebook):
    state = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"].state
    next(iter(state.values())).state["description"] = "in /home/someone/data"


def drop_caption(notebook):
    notebook.cells = [cell for cell in notebook.cells if not cell.source.startswith("**Figure")]


def code_below_figure(notebook):
    drop_caption(notebook)
    code(notebook, 5).source = "# **Figure.** A line that rises from one to two."


BREAKS = {
    rules.counts_run_from_one: [drop_count, swap_counts, run_again],
    rules.no_errors: [put_out(output_type="error", ename="ValueError", evalue="no", traceback=[])],
    rules.no_stderr: [put_out(output_type="stream", name="stderr", text="a warning")],
    rules.no_absolute_paths: [
        printed("saved to /home/someone/run"),
        printed("'/tmp/x/y'"),
        printed("in C:\\Users\\someone"),
        printed("file:///data"),
        put_out(output_type="display_data", data={"text/html": "<p>/root/data/file</p>"}),
        put_out(output_type="error", ename="E", evalue="", traceback=["File /usr/lib/x.py:3"]),
        path_in_widget,
    ],
    rules.no_memory_addresses: [
        printed("<object at 0x7f0a1b2c3d4e>"),
        put_out(output_type="execute_result", data={"text/plain": "<function f at 0x10a2b3c40>"}, execution_count=3),
    ],
    rules.short_cells: [source("\n".join(["1"] * 26))],
    rules.figures_have_alt_text: [
        alt(None),
        alt(""),
        alt("a plot"),
        alt(" " * 40),
        put_out(output_type="display_data", data={"image/svg+xml": "<svg/>"}),
    ],
    rules.figures_have_a_sentence: [
        drop_caption,
        code_below_figure,
        caption("A line that rises from one to two."),
        caption("**Figure.** A line."),
        caption("**Figure.** A line that rises from one to two"),
        caption("## Next\n\n**Figure.** A line that rises from one to two."),
    ],
    rules.images_in_text_have_alt_text: [prose("![](block.png)"), prose('<img src="a.png">'), prose('<img alt="">')],
    rules.known_tags: [
        tagged("nbval-skip"),
        tagged("raises-exception"),
        source("# NBVAL_IGNORE_OUTPUT\nprint(1)"),
        source("print(1)  #nbval_skip"),
        lambda notebook: code(notebook, 2).outputs.clear(),
    ],
    rules.few_ignored_cells: [ignore_half],
    rules.ignored_cells_assert: [source("print(1)"), source("assert True"), source("assert 1 < 2, 'always'")],
    rules.no_shell: [source("!ls"), source("%pip install x"), source("  !pip install x"), source("%%bash\nls")],
    rules.widgets_have_state: [forget_widget_state, forget_widgets],
}
CASES = [(rule, broken) for rule, all_broken in BREAKS.items() for broken in all_broken]


def test_a_good_lesson_keeps_every_rule(small_notebook):
    assert rules.complaints(small_notebook) == []


def test_every_rule_has_a_negative_control():
    assert set(BREAKS) == set(rules.RULES)
    assert all(BREAKS.values())


@pytest.mark.parametrize(("rule", "broken"), CASES, ids=[f"{r.__name__}-{i}" for i, (r, _) in enumerate(CASES)])
def test_a_rule_rejects_a_broken_lesson(rule, broken, small_notebook):
    broken(small_notebook)
    assert rule(small_notebook) != []


@pytest.mark.parametrize(
    "accepted",
    [
        caption("**Figure 12.** A line that rises\nfrom one to two.\n\nMore prose."),
        printed("1,400 images/s, and/or 3/4/5; see https://example.org/a/b and ~/.keras/datasets"),
        printed("notebooks/src/00_small.py, 0xff, N/A, </b></td>, 2026/11/22"),
        source("assert (await f()) > 0"),
        source("\n".join(["assert start"] + ["1"] * 24)),
        prose('![two blocks](block.png) <img src="a.png" alt="two blocks">'),
    ],
)
def test_no_rule_is_too_strict(accepted, small_notebook):
    accepted(small_notebook)
    assert rules.complaints(small_notebook) == []


names = st.text("abcdefghijklmnopqrstuvwxyz0123456789_.-", min_size=1, max_size=12)


def printing(text):
    output = nbformat.v4.new_output("stream", name="stdout", text=text)
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("f()", execution_count=1, outputs=[output])])


@given(st.lists(names, min_size=2, max_size=6), st.sampled_from(["", "in ", "'", "(", "\n", "path="]))
def test_any_absolute_path_is_found(parts, before):
    assert rules.no_absolute_paths(printing(before + "/" + "/".join(parts)))


@given(st.lists(names, min_size=1, max_size=6), st.sampled_from(["", "in ", "'", "(", "\n"]))
def test_no_relative_path_is_taken_for_one(parts, before):
    assert not rules.no_absolute_paths(printing(before + "/".join(parts)))


@given(st.integers(2**32, 2**48))
def test_any_memory_address_is_found(address):
    assert rules.no_memory_addresses(printing(repr(object()).split("0x")[0] + hex(address) + ">"))


def test_a_picture_in_a_text_is_no_text_and_what_stands_beside_it_is():
    picture = '<img alt="a" src="data:image/png;base64,iVBORw0KGgo/home/someone/x0x7fdae7d6c9d0">'
    assert not rules.no_absolute_paths(printing(picture))
    assert rules.no_absolute_paths(printing(picture + " /home/someone/x"))
