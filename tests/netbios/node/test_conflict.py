# SPDX-License-Identifier: GPL-3.0-or-later
"""The table follows Microsoft's articles and what smbtorture expects of Windows; tests/e2e runs that."""

import pytest

from pydaemons.netbios.node.conflict import Action, decide, merge_groups, merge_hosts
from pydaemons.netbios.node.winsrecord import LOCAL, Member, Record, State
from pydaemons.netbios.winsra import RecordKind

A, B, C = b"\x0a\0\0\1", b"\x0a\0\0\2", b"\x0a\0\0\3"
KINDS = {
    "U": RecordKind.UNIQUE,
    "G": RecordKind.GROUP,
    "S": RecordKind.SPECIAL_GROUP,
    "M": RecordKind.MULTIHOMED,
}
STATES = {"A": State.ACTIVE, "R": State.RELEASED, "T": State.TOMBSTONE}
ACTIONS = {
    "k": Action.KEEP,
    "r": Action.REPLACE,
    "d": Action.DEMAND,
    "c": Action.CHALLENGE,
    "m": Action.MERGE,
}
COLUMNS = ("UA", "UT", "GA", "GT", "SA", "ST", "MA", "MT")

REPLICA_AGAINST_REPLICA = """
UA  r k r k k k r k
UR  r r r r r r r r
UT  r r r r r r r r
GA  k k k k k k k k
GR  k k r r k k k k
GT  k k r r r r r r
SA  k k k k m r k k
SR  r r r r r r r r
ST  r r r r r r r r
MA  r k r k k k r k
MR  r r r r r r r r
MT  r r r r r r r r
"""
OWN_AGAINST_REPLICA = """
UA  c k d k d k c k
UR  r r r r r r r r
UT  r r r r r r r r
GA  k k r k k k k k
GR  k k r r k k k k
GT  k k r r k k k k
SA  k k k k m k k k
SR  r r r r r r r r
ST  r r r r r r r r
MA  c k d k d k c k
MR  r r r r r r r r
MT  r r r r r r r r
"""


def record(what: str, *members: tuple[bytes, int], owner: bytes = LOCAL, static: bool = False) -> Record:
    """`UA` with the given (owner, last byte of the address)."""
    kind, state = what
    found = tuple(Member(bytes((10, 9, 0, last)), 5, by) for by, last in members)
    return Record(STATES[state], 0, 5, found, KINDS[kind], owner, 7, static)


def cells(table: str) -> list[tuple[str, str, Action]]:
    return [
        (line.split()[0], column, ACTIONS[letter])
        for line in table.strip().splitlines()
        for column, letter in zip(COLUMNS, line.split()[1:], strict=True)
    ]


@pytest.mark.parametrize(("held", "replica", "action"), cells(REPLICA_AGAINST_REPLICA))
def test_another_servers_record_against_a_third_ones(held, replica, action):
    assert decide(record(held, (A, 1), owner=A), record(replica, (B, 2), owner=B), B) is action


@pytest.mark.parametrize(("held", "replica", "action"), cells(OWN_AGAINST_REPLICA))
def test_a_record_of_ours_against_a_partners(held, replica, action):
    assert decide(record(held, (LOCAL, 1)), record(replica, (B, 2), owner=B), B) is action


@pytest.mark.parametrize("held", ["UA", "GA", "SA", "MA", "GT", "UR"])
@pytest.mark.parametrize("replica", COLUMNS)
def test_an_owner_is_always_right_about_its_records(held, replica):
    assert decide(record(held, (B, 1), owner=B), record(replica, (B, 2), owner=B), B) is Action.REPLACE


@pytest.mark.parametrize("replica", COLUMNS)
def test_a_static_record_gives_way_to_nobody_but_its_owner(replica):
    for owner in (LOCAL, A):
        held = record("UA", (owner, 1), owner=owner, static=True)
        assert decide(held, record(replica, (B, 2), owner=B), B) is Action.KEEP


@pytest.mark.parametrize(("held", "replica"), [("UA", "UA"), ("UA", "MA"), ("MA", "UA"), ("MA", "MA")])
def test_a_host_of_ours_whose_addresses_the_partner_knows_too_goes_to_it(held, replica):
    theirs = record(replica, (B, 1), (B, 2), owner=B)
    assert decide(record(held, (LOCAL, 1)), theirs, B) is Action.REPLACE
    assert decide(record(held, (LOCAL, 1), (LOCAL, 3)), theirs, B) is Action.CHALLENGE


GROUPS = [
    # held by us: its owner and members; told by B: members; what comes of it, and whose it is
    (A, [(A, 3), (A, 4)], [(A, 3), (A, 4)], Action.KEEP, None),
    (A, [(A, 3), (A, 4)], [], Action.KEEP, None),
    (A, [(A, 3), (A, 4), (C, 3), (C, 5)], [(A, 3), (A, 4)], Action.KEEP, None),
    (A, [(B, 3), (B, 4)], [(A, 3), (A, 4)], Action.REPLACE, None),
    (A, [(A, 3), (A, 4)], [(B, 3), (B, 4)], Action.REPLACE, None),
    (A, [(A, 3), (A, 4)], [(B, 13), (B, 14)], Action.MERGE, LOCAL),
    (A, [(B, 13), (C, 23)], [(A, 3)], Action.MERGE, B),
    (A, [(C, 23), (C, 24)], [(A, 3), (A, 4)], Action.MERGE, LOCAL),
    (A, [(A, 3), (A, 4), (C, 23)], [(B, 3), (B, 4)], Action.MERGE, B),
    (A, [(B, 13), (C, 23)], [(B, 13), (C, 21)], Action.MERGE, LOCAL),
    (A, [(B, 13), (B, 14), (C, 23)], [], Action.MERGE, B),
    (A, [(B, 13)], [], Action.MERGE, LOCAL),
    (B, [(B, 13), (C, 23)], [], Action.MERGE, LOCAL),
    (B, [(C, 23)], [], Action.KEEP, None),
    (A, [], [(B, 13)], Action.REPLACE, None),
    (A, [], [], Action.KEEP, None),
    (LOCAL, [(LOCAL, 3)], [(B, 3)], Action.MERGE, LOCAL),
    (LOCAL, [(LOCAL, 3), (B, 4)], [(B, 4)], Action.KEEP, None),
]


@pytest.mark.parametrize(("holder", "held", "told", "action", "owner"), GROUPS)
def test_special_groups_are_merged(holder, held, told, action, owner):
    ours, theirs = record("SA", *held, owner=holder), record("SA", *told, owner=B)
    assert decide(ours, theirs, B) is action
    if action is not Action.MERGE:
        return
    merged = merge_groups(ours, theirs, B)
    addresses = {last for _, last in told} | {last for by, last in held if by != B}
    assert {member.address[3] for member in merged.members} == addresses
    assert {(m.owner, m.address[3]) for m in merged.members} >= set(told), "with the owners told last"
    assert merged.owner == owner
    assert merged.version == (0 if owner == LOCAL else theirs.version)


def test_a_merged_group_has_no_more_than_25_members():
    ours = record("SA", *[(LOCAL, last) for last in range(20)])
    theirs = record("SA", *[(B, last) for last in range(100, 120)], owner=B)
    merged = merge_groups(ours, theirs, B)
    assert len(merged.members) == 25
    assert set(theirs.members) <= set(merged.members)


def test_two_servers_that_merged_a_group_come_to_rest():
    """Each takes what the other has until neither hears anything new."""
    ours = record("SA", (LOCAL, 1))
    theirs = record("SA", (B, 2), owner=B)
    merged = merge_groups(ours, theirs, B)
    seen_there = record("SA", (A, 1), (LOCAL, 2), owner=A)
    held_there = record("SA", (LOCAL, 2))
    assert decide(held_there, seen_there, A) is Action.MERGE
    back = merge_groups(held_there, seen_there, A)
    told_back = back._replace(
        owner=B, members=tuple(m._replace(owner={LOCAL: B, A: LOCAL}[m.owner]) for m in back.members)
    )
    assert decide(merged._replace(version=9), told_back, B) is Action.KEEP


def test_a_host_with_addresses_at_both_servers_is_multihomed_and_the_partners():
    merged = merge_hosts(record("UA", (LOCAL, 1)), record("UA", (B, 2), owner=B))
    assert merged.kind == RecordKind.MULTIHOMED
    assert [(m.owner, m.address[3]) for m in merged.members] == [(B, 2), (LOCAL, 1)]
    assert (merged.owner, merged.version) == (B, 7)
