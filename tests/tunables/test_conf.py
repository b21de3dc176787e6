# SPDX-License-Identifier: GPL-3.0-or-later
from hypothesis import given
from hypothesis import strategies as st

from pydaemons.tunables.conf import Assignment, parse


def said(text: str) -> list[str]:
    return [str(problem) for problem in parse(text, "f")[1]]


def test_every_value_keeps_its_file_and_line() -> None:
    text = "# head\n[pylockd]\n\nmode = serve   # words\n[fs.nfs]\nnlm_timeout=5\n"
    assert parse(text, "/etc/pylockd.conf") == (
        [
            Assignment("pylockd", "mode", "serve", "/etc/pylockd.conf:4"),
            Assignment("fs.nfs", "nlm_timeout", "5", "/etc/pylockd.conf:6"),
        ],
        [],
    )


def test_only_the_equals_sign_delimits_and_nothing_is_interpolated() -> None:
    assert parse("[a]\nhost:x = 50%(y)s\n", "f")[0] == [Assignment("a", "host:x", "50%(y)s", "f:2")]


def test_a_hash_inside_a_word_is_no_comment() -> None:
    assert parse("[a]\nx = a#b #c\n", "f")[0][0].text == "a#b"


def test_an_indented_line_continues_the_value() -> None:
    found = parse("[a]\nx = 1,\n  2\ny = 3\n", "f")[0]
    assert [(a.name, a.text, a.where) for a in found] == [("x", "1,\n2", "f:2"), ("y", "3", "f:4")]


def test_a_key_named_in_two_sections_keeps_both_lines() -> None:
    found = parse("[a]\nmode = 1\n[b]\nmode = 2\n", "f")[0]
    assert [(a.section, a.where) for a in found] == [("a", "f:2"), ("b", "f:4")]


def test_all_problems_of_a_file_are_said_and_the_rest_is_still_read() -> None:
    text = "lost\n[a]\nx = 1\nx = 2\n   more\nwhat\n[b]\ny = 1\n[a]\nz = 3\n"
    assert said(text) == [
        "f:1: text before the first section, want [section]",
        "f:4: x: given already in line 3, leave one of the two",
        "f:6: 'what' is no setting, want KEY = VALUE",
        "f:9: section [a] stands in the file already, put its keys together",
    ]
    assert [(a.section, a.name, a.text) for a in parse(text, "f")[0]] == [
        ("a", "x", "1"),
        ("b", "y", "1"),
        ("a", "z", "3"),
    ]


def test_a_key_without_value_is_said() -> None:
    assert said("[a]\nx\n") == ["f:2: 'x' is no setting, want KEY = VALUE"]


def test_a_byte_order_mark_does_not_hurt() -> None:
    assert parse("\ufeff[a]\nx = 1\n", "f")[0][0].text == "1"


def test_a_section_named_default_is_a_section_like_others() -> None:
    assert parse("[DEFAULT]\nx = 1\n[a]\ny = 2\n", "f")[0][0].section == "DEFAULT"
    assert len(parse("[DEFAULT]\nx = 1\n[a]\ny = 2\n", "f")[0]) == 2


def test_a_file_of_garbage_says_a_bounded_number_of_problems() -> None:
    assert 0 < len(parse("rubbish\n" * 5000, "f")[1]) <= 60


@given(st.text(alphabet="[]=#; \t\n\r\0abx", max_size=60))
def test_any_text_gives_assignments_or_problems_and_never_raises(text: str) -> None:
    assignments, problems = parse(text, "f")
    for assignment in assignments:
        line = int(assignment.where.removeprefix("f:"))
        assert 1 <= line <= text.count("\n") + 1
    for problem in problems:
        assert str(problem).startswith("f:")
