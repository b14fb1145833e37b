"""Tables of a notebook: each cell as it was written, each column where it was asked for."""

import re

from resnet_lessons import tables

import html_tables
import pytest

ROWS = [["plain-20", "0.27", "<b>"], ["1.0", "1e3", "a & b"]]


def test_cells_are_written_as_they_are():
    found = html_tables.rows(tables.html_table(ROWS, ["net", "number", "text"], ["left", "right", "left"]))
    assert found == [["net", "number", "text"], ["plain-20", "0.27", "&lt;b&gt;"], ["1.0", "1e3", "a &amp; b"]]


@pytest.mark.parametrize("align", [["left", "right", "left"], ["right", "left", "left"], ["right"] * 3, ["left"] * 3])
def test_every_cell_says_where_it_stands(align):
    html = tables.html_table(ROWS, ["net", "number", "text"], align)
    assert re.findall(r"<t[hd] style=\"text-align: (\w+);\">", html) == align * 3
    assert len(re.findall(r"<t[hd]\b", html)) == 9


def test_a_table_without_rows_keeps_its_header():
    assert html_tables.rows(tables.html_table([], ["net", "number"], ["left", "right"])) == [["net", "number"]]


def test_a_notebook_shows_it():
    html = tables.html_table(ROWS, ["net", "number", "text"], ["left"] * 3)
    assert html._repr_html_() == str(html)
