# SPDX-License-Identifier: GPL-3.0-or-later
"""Names, unit names and command lines."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydaemons.bnode.model import Code, bad_name, escape, split_quoted, split_words, unit_name

NAMES = st.text(st.sampled_from("abZ09._-+@:,=~%#"), min_size=1, max_size=63).filter(
    lambda n: not bad_name(n)
)


def test_escaping_is_that_of_systemd_escape():
    for text in ("a", "a-vol", ".hidden", "a.b", "x+y@z", "ä", "a_b:c", "=%#~,"):
        said = subprocess.run(["systemd-escape", text], capture_output=True, text=True, check=True).stdout
        assert escape(text) == said.rstrip("\n")


@given(NAMES, NAMES, st.sampled_from(["", "file", "vol"]), st.sampled_from(["", "file", "vol"]))
def test_two_processes_never_share_a_unit(one, other, part, another):
    if (one, part) != (other, another):
        assert unit_name(one, part) != unit_name(other, another)


@pytest.mark.parametrize("name", ["", "a b", "x" * 64, "a/b", "a\nb", "é", "..", "a\0b", "a'b"])
def test_a_name_the_peer_dies_of_is_refused(name):
    assert bad_name(name)


@pytest.mark.parametrize("name", ["a", "x" * 63, "fs", "salvage-tmp", "up.client_2"])
def test_ordinary_names_are_fine(name):
    assert bad_name(name) is None


def test_words_are_split_at_blank_tab_and_newline_without_quoting():
    assert split_words(" a 'b  c'\td\ne ") == ["a", "'b", "c'", "d", "e"]


def test_127_words_of_255_characters_are_the_most():
    assert len(split_words(" ".join(["w" * 255] * 127))) == 127
    with pytest.raises(ValueError, match="128 words"):
        split_words(" ".join(["w"] * 128))
    with pytest.raises(ValueError, match="256 characters"):
        split_words("a " + "w" * 256)
    with pytest.raises(ValueError, match="empty"):
        split_words(" \t")


def test_quoting_is_a_shells():
    assert list(split_quoted("""a 'b  c' "d'e" f\\ g '' x"y"z""")) == ["a", "b  c", "d'e", "f g", "", "xyz"]
    with pytest.raises(ValueError, match="not closed"):
        list(split_quoted("a 'b"))


def test_the_low_byte_of_a_code_is_what_a_command_exits_with():
    names = {1: "NOENT", 2: "BUSY", 3: "EXISTS", 4: "NOCREATE", 6: "ACCESS", 10: "BADTYPE"}
    assert {number: Code(39424 + number).name for number in names} == names
    assert Code.NOENT & 0xFF == 1
    assert all(code.text for code in Code)
