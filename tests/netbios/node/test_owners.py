# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from fakes.claims import wire
from pydaemons.engine.protocol import Now
from pydaemons.netbios.node.owners import BELIEVABLE, VERIFIED_FOR, Owners
from pydaemons.netbios.node.tunables import NetbiosTunables
from pydaemons.netbios.node.winsdb import WinsDb
from pydaemons.netbios.node.winsrecord import LOCAL, Member, Record, State
from pydaemons.netbios.winsra import MOST_OWNERS, Owner, RecordKind

US, THEM, THIRD = b"\x0a\0\0\1", b"\x0a\0\0\2", b"\x0a\0\0\3"
NOW = Now(1000.0, 1_000_000.0)


@pytest.fixture
def owners() -> Owners:
    db = WinsDb()
    db.count(0.0)
    made = Owners(db, NetbiosTunables())
    made.address = US
    return made


def settled(owners: Owners, *told: Owner) -> None:
    for owner in told:
        owners.reached(owner)
    assert not owners.settle({})


def test_names_above_what_is_known_are_wanted_and_no_others(owners):
    assert list(owners.wanted([Owner(THEM, 7)], NOW)) == [Owner(THEM, 7, 1)]
    settled(owners, Owner(THEM, 7))
    assert list(owners.wanted([Owner(THEM, 9), Owner(THIRD, 0)], NOW)) == [Owner(THEM, 9, 8)]
    assert list(owners.wanted([Owner(THEM, 7), Owner(THEM, 3)], NOW)) == []


def test_the_table_begins_with_us(owners):
    settled(owners, Owner(THIRD, 4), Owner(THEM, 7))
    owners._db.raise_version(LOCAL, 12)
    assert owners.table() == [Owner(US, 12), Owner(THEM, 7), Owner(THIRD, 4)]


def test_our_own_versions_go_on_from_the_highest_a_partner_saw(owners):
    owners.wanted([Owner(US, 40)], NOW)
    assert owners._db.next_version() == 41
    owners.wanted([Owner(US, 5)], NOW)
    assert owners._db.next_version() == 42


@pytest.mark.parametrize("address", [bytes(4), b"\xe0\0\0\1", b"\xff\xff\xff\xff"])
def test_nobody_owns_names_from_an_address_no_server_can_have(owners, address):
    assert not owners.wanted([Owner(address, 7)], NOW)


def test_versions_beyond_belief_are_not_believed(owners):
    assert not owners.wanted([Owner(US, BELIEVABLE), Owner(THEM, 2**64 - 1)], NOW)
    assert owners._db.next_version() == 1


def test_there_is_an_end_to_owners(owners):
    told = [Owner(number.to_bytes(4, "big"), 1) for number in range(1 << 24, (1 << 24) + MOST_OWNERS + 10)]
    wanted = owners.wanted(told, NOW)
    assert len(wanted) == MOST_OWNERS
    settled(owners, *wanted)
    assert not owners.wanted([Owner(THEM, 1)], NOW)
    assert len(owners.wanted([wanted[0]._replace(highest=2)], NOW)) == 1, "those known go on"


def test_versions_above_a_disputed_one_are_not_told_before_it_is_settled(owners):
    owners.reached(Owner(THEM, 20))
    assert owners.settle({THEM: 8})
    assert owners.table()[1:] == [Owner(THEM, 7)]
    assert not owners.wanted([Owner(THEM, 20)], NOW), "but they are here and not asked for again"
    assert list(owners.wanted([Owner(THEM, 21)], NOW)) == [Owner(THEM, 21, 21)]
    assert owners.settle({THEM: 15})
    assert owners.table()[1:] == [Owner(THEM, 14)]
    assert not owners.settle({})
    assert owners.table()[1:] == [Owner(THEM, 20)]


def test_a_first_version_in_dispute_leaves_its_owner_unknown_to_others(owners):
    owners.reached(Owner(THEM, 20))
    assert owners.settle({THEM: 1})
    assert owners.table() == [Owner(US, 0)]


def test_records_long_unseen_are_asked_for_again_and_looked_for_once_an_hour(owners):
    half = owners._tunables.wins_verify_interval // 2
    expires = int(NOW.wall) + half - 1
    members = (Member(THIRD, expires),)
    owners._db.keep(wire("OLD#20"), Record(State.ACTIVE, 0, expires, members, RecordKind.UNIQUE, THEM, 3))
    settled(owners, Owner(THEM, 3))
    assert list(owners.wanted([Owner(THEM, 3)], NOW)) == [Owner(THEM, 3, 0)]
    assert not owners.wanted([Owner(THEM, 3)], NOW)
    later = Now(NOW.mono + VERIFIED_FOR, NOW.wall + VERIFIED_FOR)
    assert list(owners.wanted([Owner(THEM, 3)], later)) == [Owner(THEM, 3, 0)]


def test_our_own_names_are_asked_for_while_we_have_nothing_and_only_then(owners):
    assert list(owners.wanted([Owner(US, 40)], NOW)) == [Owner(US, 40, 0)]
    assert not owners.wanted([Owner(US, 0)], NOW), "the partner has none either"
    owners.recovered()
    assert not owners.wanted([Owner(US, 40)], NOW)
    assert owners.table() == [Owner(US, 40)], "they are no replicas of somebody"
