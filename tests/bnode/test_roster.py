# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of bnodes and its lines in the file."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pydaemons.bnode import bosconfig
from pydaemons.bnode.bosconfig import BosConfig, Entry
from pydaemons.bnode.model import Goal
from pydaemons.bnode.roster import Roster


def entry(name, goal=Goal.NORMAL, kind="simple"):
    return Entry(kind, name, goal, ("/bin/x",) * {"simple": 1, "dafs": 4}[kind])


def test_units_lead_to_their_process_until_it_is_removed():
    roster = Roster([entry("a"), entry("d", kind="dafs")])
    assert {
        part: roster.units[f"bos-d-{part}.service"][1].part.name for part in ("file", "vol", "salsrv")
    } == {part: part for part in ("file", "vol", "salsrv")}
    bnode, process = roster.units["bos-a.service"]
    assert bnode is roster.find("a") and process is bnode.processes[0]
    roster.remove(bnode)
    assert "bos-a.service" not in roster.units and "a" not in roster and len(roster) == 1


def test_the_deactivated_are_in_the_file_and_not_in_the_list():
    roster = Roster([entry("a"), entry("b")])
    roster.find("a").active = False
    assert [bnode.name for bnode in roster.active()] == ["b"]
    assert [bnode.name for bnode in roster] == ["a", "b"]
    assert [each.name for each in roster.entries()] == ["a", "b"]


def test_it_may_be_emptied_while_it_is_gone_through():
    roster = Roster([entry("a"), entry("b")])
    for bnode in roster:
        roster.remove(bnode)
    assert len(roster) == 0 and roster.lines() == ""


STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "remove", "goal", "doom", "write"]), st.sampled_from("abcd")),
    max_size=30,
)


@given(STEPS)
def test_the_lines_are_those_of_a_file_written_anew(steps):
    roster = Roster([])
    for what, name in steps:
        bnode = roster.find(name)
        if what == "write":
            roster.lines()
        elif what == "add" and bnode is None:
            roster.add(entry(name))
        elif what == "remove" and bnode is not None:
            roster.remove(bnode)
        elif what == "goal" and bnode is not None:
            bnode.file_goal = Goal(1 - bnode.file_goal)
            roster.changed(bnode)
        elif what == "doom" and bnode is not None:
            bnode.doomed = not bnode.doomed
            roster.changed(bnode)
    head = bosconfig.format_head(BosConfig())
    assert head + roster.lines() == bosconfig.format(BosConfig(entries=roster.entries()))
    assert bosconfig.parse(head + roster.lines(), "f").entries == roster.entries()
