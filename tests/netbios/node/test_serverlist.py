# SPDX-License-Identifier: GPL-3.0-or-later
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydaemons.netbios.node.serverlist import (
    LIFETIMES,
    LONGEST_PERIOD,
    MOST_GROUPS,
    ServerList,
    Told,
    clean_comment,
    clean_name,
)


def servers(most: int = 100) -> ServerList:
    return ServerList(lambda: most)


def hear(known: ServerList, name: str, mono: float = 0.0, **how) -> bool:
    how = {"type_": 3, "comment": "", "version": (6, 1), "period": 60.0, "source": "10.0.0.1"} | how
    return known.hear_server("GRP", name, mono=mono, **how)


def names(known: ServerList) -> list[str]:
    return sorted(server for group in known for server in group.servers)


def test_a_host_is_listed_until_three_announcements_are_missing():
    known = servers()
    assert hear(known, "A", 0.0)
    assert not known.expire(LIFETIMES * 60 - 1)
    assert names(known) == ["A"]
    assert known.expire(LIFETIMES * 60)
    assert names(known) == []
    assert known.groups == {}


def test_the_same_again_is_no_news_but_lives_on():
    known = servers()
    assert hear(known, "A", 0.0)
    assert not hear(known, "A", 100.0)
    known.expire(LIFETIMES * 60 + 50)
    assert names(known) == ["A"]
    assert hear(known, "A", 200.0, comment="new")


def test_type_0_removes_it_at_once():
    known = servers()
    hear(known, "A")
    assert hear(known, "A", 1.0, type_=0)
    assert len(known) == 0
    assert not hear(known, "NEVER", 1.0, type_=0)


def test_nobody_changes_or_removes_the_entry_of_another_host():
    known = servers()
    hear(known, "A", comment="mine")
    assert not hear(known, "A", 1.0, comment="forged", source="10.0.0.66")
    assert not hear(known, "A", 1.0, type_=0, source="10.0.0.66")
    assert known.find("GRP", "A").comment == "mine"
    assert known.refused == 2


def test_a_host_that_moved_is_believed_once_its_old_address_is_overdue():
    known = servers()
    hear(known, "A")
    assert hear(known, "A", 61.0, comment="moved", source="10.0.0.2")
    assert known.find("GRP", "A").source == "10.0.0.2"


def test_there_is_room_for_so_many_only():
    known = servers(10)
    for number in range(50):
        hear(known, f"H{number}")
    assert len(known) == 10
    assert known.refused == 40
    hear(known, "H3", 1.0, type_=0)
    assert hear(known, "LATE", 2.0)
    for number in range(2 * MOST_GROUPS):
        known.hear_group(f"G{number}", type_=0, master="M", period=60.0, source="1.1.1.1", mono=0.0)
    assert len(known.groups) == MOST_GROUPS


def test_nobody_stays_for_years():
    known = servers()
    hear(known, "A", period=4e6)
    known.expire(LIFETIMES * LONGEST_PERIOD)
    assert names(known) == []


def test_a_group_is_known_by_its_master_and_forgotten_with_it():
    known = servers()
    heard = {"type_": 0x1000, "master": "M", "period": 60.0, "source": "10.0.0.1"}
    assert known.hear_group("OTHER", mono=0.0, **heard)
    assert not known.hear_group("OTHER", mono=1.0, **heard)
    assert not known.hear_group("OTHER", mono=2.0, **(heard | {"master": "EVIL", "source": "10.0.0.66"}))
    assert known.groups["OTHER"].master == "M"
    assert known.expire(LIFETIMES * 60 + 1)
    assert known.groups == {}


def test_what_a_master_tells_replaces_what_it_told_before():
    known = servers()
    told = {"GRP": [Told("A", 3, "a"), Told("B", 3, "b")]}
    assert known.learn("10.0.0.9", servers=told, groups=[Told("FAR", 0, "FM")], lifetime=100.0, mono=0.0)
    assert names(known) == ["A", "B"]
    assert known.groups["FAR"].master == "FM"
    known.learn("10.0.0.9", servers={"GRP": [Told("B", 3, "b")]}, groups=[], lifetime=100.0, mono=50.0)
    assert names(known) == ["B"]
    assert "FAR" not in known.groups
    known.expire(151.0)
    assert len(known) == 0


def test_what_one_master_told_outlives_another_masters_silence():
    known = servers()
    known.learn("1.1.1.1", servers={"GRP": [Told("A", 3, "")]}, groups=[], lifetime=100.0, mono=0.0)
    known.learn("2.2.2.2", servers={"GRP": [Told("B", 3, "")]}, groups=[], lifetime=100.0, mono=0.0)
    assert known.forget("1.1.1.1")
    assert names(known) == ["B"]


@given(st.integers())
def test_the_count_is_right_whatever_happens(seed):
    dice, known, mono = random.Random(seed), servers(30), 0.0
    for _ in range(200):
        mono += dice.uniform(0, 40)
        match dice.randrange(4):
            case 0 | 1:
                hear(
                    known, f"H{dice.randrange(40)}", mono, type_=dice.choice((0, 3)), source=dice.choice("ab")
                )
            case 2:
                told = [Told(f"H{dice.randrange(40)}", 3, "") for _ in range(dice.randrange(20))]
                known.learn(dice.choice("xy"), servers={"GRP": told}, groups=told, lifetime=60.0, mono=mono)
            case 3:
                known.expire(mono)
        assert len(known) == len(names(known)) <= 30
        assert all(group.servers or group.type for group in known)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [(b"alpha  ", "ALPHA"), (b"a\x01b", "AB"), (b'q"x', "Q'X"), (b"   ", ""), (b"\xff" * 20, None)],
)
def test_a_name_out_of_a_frame_can_stand_in_a_file(raw, shown):
    found = clean_name(raw, "cp850")
    assert found.isprintable()
    assert '"' not in found
    assert len(found) <= 15
    if shown is not None:
        assert found == shown


def test_a_comment_keeps_its_case_and_its_letters():
    assert clean_comment("Größe \n 1".encode("cp850"), "cp850") == "Größe  1"
    assert len(clean_comment(b"x" * 300, "cp850")) == 48


def test_a_host_that_announces_no_period_stays_like_one_that_announces_the_longest():
    """As nmbd has it; else it would come and go every few seconds."""
    known = servers()
    assert hear(known, "A", 0.0, period=0.0)
    assert known.hear_group("G", type_=1, master="M", period=0.0, source="10.0.0.1", mono=0.0)
    assert not known.expire(LONGEST_PERIOD)
    assert known.expire(LIFETIMES * LONGEST_PERIOD)
    assert known.groups == {}
