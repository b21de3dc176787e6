# SPDX-License-Identifier: GPL-3.0-or-later
"""Which bnodes can be made."""

from __future__ import annotations

import pytest

from pydaemons.bnode.bosconfig import BosConfig, Entry
from pydaemons.bnode.kinds import KINDS, find_problems, refuse, words_of
from pydaemons.bnode.model import Code, Goal


def test_there_are_the_peers_four():
    assert list(KINDS) == ["simple", "cron", "fs", "dafs"]


@pytest.mark.parametrize(
    ("kind", "commands", "code"),
    [
        ("simple", ["/x -y"], None),
        ("cron", ["/x", "5:00"], None),
        ("cron", ["/x"], None),
        ("fs", ["/f", "/v", "/s"], None),
        ("dafs", ["/f", "/v", "/ss", "/s"], None),
        ("what", ["/x"], Code.BADTYPE),
        ("simple", [], Code.NOCREATE),
        ("simple", ["/x", "/y"], Code.NOCREATE),
        ("fs", ["/f"], Code.NOCREATE),
        ("dafs", ["/f", "/v", "/s"], Code.NOCREATE),
        ("cron", ["/x", "25:00"], Code.NOCREATE),
        ("simple", ["a\nb"], Code.NOCREATE),
        ("simple", ["w" * 256], Code.NOCREATE),
    ],
)
def test_commands_are_judged_with_a_reason(kind, commands, code):
    refused = refuse(kind, commands, quoting=False)
    assert (refused[0] if refused else None) == code
    assert refused is None or refused[1]


def test_a_time_is_no_command_line():
    assert refuse("cron", ["/x", ""], quoting=False) is None


def test_quoting_is_a_choice():
    assert words_of("a 'b c'", quoting=False) == ["a", "'b", "c'"]
    assert words_of("a 'b c'", quoting=True) == ["a", "b c"]
    assert refuse("simple", ["a 'b"], quoting=True)[0] is Code.NOCREATE
    assert refuse("simple", ["a 'b"], quoting=False) is None


def test_problems_of_a_file_have_its_lines():
    config = BosConfig(
        entries=(
            Entry("simple", "a", Goal.NORMAL, ("/x",), line=4),
            Entry("what", "b", Goal.NORMAL, ("/x",), line=7),
            Entry("fs", "c", Goal.NORMAL, ("/x",), line=10),
        )
    )
    problems = find_problems(config, "F", quoting=False)
    assert [problem.split(": ")[:2] for problem in problems] == [["F:7", "bnode b"], ["F:10", "bnode c"]]
