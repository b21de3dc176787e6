# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables line up, stay within a terminal, and are plain everywhere else."""

from __future__ import annotations

import io
import os
import pty

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydaemons.cli.tables import LEAST, Column, Style, cell, render, show, style_of

COLUMNS = [Column("CLIENT"), Column("SVID", right=True), Column("FILE", cut=True)]


def test_columns_are_as_wide_as_their_widest_cell_and_numbers_end_alike():
    assert render(COLUMNS, [("10.0.0.1", 7, "ab"), ("h", 1234567, "abcd")]) == [
        "CLIENT       SVID  FILE",
        "10.0.0.1        7  ab",
        "h         1234567  abcd",
    ]


def test_no_rows_leave_the_headings_and_without_headings_nothing():
    assert render(COLUMNS, []) == ["CLIENT  SVID  FILE"]
    assert render(COLUMNS, [], headings=False) == []


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        ("", "-"),
        (0, "0"),
        (True, "yes"),
        (False, "no"),
        ("\x1b[2J", r"\x1b[2J"),
        ("a\nb", r"a\nb"),
        ("é", "é"),
        ("\u202e", r"\u202e"),
    ],
)
def test_a_cell_is_one_word_the_terminal_does_not_obey(value, shown):
    assert cell(value) == shown


def test_a_cell_too_long_keeps_both_its_ends():
    handle = "".join(f"{n:02x}" for n in range(32))
    (line,) = render([Column("FILE", cut=True)], [(handle,)], Style(width=20), headings=False)
    assert len(line) == 20
    head, tail = line.split("…")
    assert handle.startswith(head)
    assert handle.endswith(tail)


def test_without_a_limit_nothing_is_cut():
    assert "…" not in render(COLUMNS, [("h", 1, "f" * 500)])[1]


@given(
    st.lists(st.tuples(st.text(max_size=30), st.integers(), st.text(max_size=90)), max_size=5),
    st.integers(1, 120),
)
def test_a_line_is_within_the_terminal_unless_what_may_not_be_cut_is_wider(rows, width):
    lines = render(COLUMNS, rows, Style(width))
    fixed = max([len("CLIENT"), *(len(cell(row[0])) for row in rows)])
    fixed += max([len("SVID"), *(len(cell(row[1])) for row in rows)])
    assert all(len(line) <= max(width, fixed + LEAST + 4) for line in lines)
    assert len(lines) == len(rows) + 1
    assert all(line.isprintable() for line in lines)


def test_into_a_file_a_table_is_plain():
    stream = io.StringIO()
    show(COLUMNS, [("h", 1, "f" * 300)], stream)
    assert "\x1b" not in stream.getvalue()
    assert "f" * 300 in stream.getvalue()


@pytest.mark.parametrize(
    ("environ", "color"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_a_terminal_gets_bold_headings_unless_it_asks_for_none(environ, color):
    master, slave = pty.openpty()
    try:
        with open(slave, "w") as terminal:
            style = style_of(terminal, environ)
    finally:
        os.close(master)
    assert style.color is color
    lines = render(COLUMNS, [("h", 1, "f")], style)
    assert lines[0].startswith("\x1b[1m") is color
    assert "\x1b" not in lines[1]
