# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from fakes.claims import wire
from pydaemons.netbios.node import winsdb
from pydaemons.netbios.node.winsdb import SWEEP_CHUNK, SWEEP_EVERY, WinsDb
from pydaemons.netbios.node.winsrecord import LOCAL, Member, Record, State
from pydaemons.netbios.winsra import RecordKind

OTHER = b"\x0a\0\0\2"


def active(expires: int) -> bytes:
    return Record(State.ACTIVE, 0, expires, (Member(b"\n\0\0\1", expires),)).pack()


def test_a_record_whose_time_is_up_is_not_live_even_before_a_sweep():
    db = WinsDb()
    db.put(wire("A#20"), active(1000))
    assert db.find_live(wire("A#20"), 999.0) is not None
    assert db.find_live(wire("A#20"), 1000.0) is None


def test_a_sweep_goes_in_pieces_and_reaches_every_record():
    db = WinsDb()
    total = 2 * SWEEP_CHUNK + 5
    for i in range(total):
        db.put(wire(f"N{i}#00"), active(1000))
    mono, found, most = 0.0, 0, 0
    db.tick(mono, 2000.0)
    while (at := db.deadline()) is not None and at < 3 * SWEEP_EVERY:
        mono = at
        expired = len(db.tick(mono, 2000.0))
        found += expired
        most = max(most, expired)
    assert found == total
    assert most == SWEEP_CHUNK
    assert all(packed[0] == State.RELEASED for packed in db.records.values())


def test_names_that_come_and_go_during_a_sweep_do_no_harm():
    db = WinsDb()
    for i in range(SWEEP_CHUNK + 10):
        db.put(wire(f"N{i}#00"), active(1000))
    db.tick(0.0, 2000.0)
    db.tick(SWEEP_EVERY, 2000.0)
    for i in range(SWEEP_CHUNK, SWEEP_CHUNK + 10):
        assert db.delete(wire(f"N{i}#00"))
        db.put(wire(f"M{i}#00"), active(5000))
    db.tick(SWEEP_EVERY + 1, 2000.0)
    assert len(db) == SWEEP_CHUNK + 10


@pytest.mark.parametrize(("text", "known"), [("A#1b", True), ("A#1c", False)])
def test_domain_masters_are_known_apart(text, known):
    db = WinsDb()
    db.put(wire(text), active(1000))
    assert (wire(text) in db.masters) is known
    again = WinsDb()
    again.load(dict(db.records))
    assert again.masters == db.masters
    db.delete(wire(text))
    assert not db.masters


def test_the_store_is_told_of_the_last_state_of_each_name_and_of_deletions():
    db = WinsDb()
    db.put(wire("A#20"), active(1000))
    db.put(wire("A#20"), active(2000))
    db.put(wire("B#20"), active(1000))
    db.delete(wire("B#20"))
    assert db.changed == {wire("A#20"): active(2000), wire("B#20"): None}
    assert not db.delete(wire("C#20"))


def replica(owner: bytes, version: int, expires: int = 9000, state: State = State.ACTIVE) -> Record:
    members = (Member(b"\x0a\0\0\x63", expires, owner),)
    return Record(state, 0, expires, members, RecordKind.UNIQUE, owner, version)


def test_after_a_restart_only_the_stored_rows_tell_how_far_others_are_known():
    """A pull that was cut short has left high versions behind, and lower ones are missing."""
    db = WinsDb()
    db.count(0.0)
    db.keep(wire("A#20"), replica(OTHER, 40))
    db.put(wire("B#20"), active(9000))
    db.raise_version(OTHER, 12)
    rows = dict(db.changed)
    again = WinsDb()
    again.load({key: value for key, value in rows.items() if value is not None})
    again.count(0.0)
    assert again.highest[OTHER] == 12
    assert again.of_owner(OTHER, 0, 100) == [(40, wire("A#20"))]


def test_an_owner_may_have_a_record_that_ends_soon():
    db = WinsDb()
    db.count(0.0)
    db.keep(wire("A#20"), replica(OTHER, 1, expires=5000))
    db.keep(wire("B#20"), replica(OTHER, 2, expires=100, state=State.TOMBSTONE))
    assert not db.ends_before(OTHER, 5000.0)
    assert db.ends_before(OTHER, 5000.5)
    assert not db.ends_before(b"\x0a\0\0\x09", 9e9)


def test_two_names_told_under_one_version_do_not_unlist_each_other():
    db = WinsDb()
    db.count(0.0)
    db.keep(wire("A#20"), replica(OTHER, 7))
    db.keep(wire("B#20"), replica(OTHER, 7))
    db.delete(wire("A#20"))
    assert db.of_owner(OTHER, 0, 100) == [(7, wire("B#20"))]


def test_after_a_restart_numbers_begin_where_no_partner_can_have_seen_one():
    """After a power failure the last rows may be missing."""
    db = WinsDb()
    db.count(0.0)
    assert db.next_version() == 1, "a new server has no past"
    db.put(wire("A#20"), active(9000))
    for rows in (dict(db.changed), {key: value for key, value in db.changed.items() if len(key) > 5}):
        again = WinsDb()
        again.load(rows)
        again.count(0.0)
        assert again.next_version() == 2 + winsdb.LEFT_OUT + 1


def test_numbers_begin_at_the_time_of_day_so_that_a_lost_database_does_no_harm():
    before, after = WinsDb(), WinsDb()
    before.count(1_700_000_000.0)
    for number in range(1000):
        before.put(wire(f"N{number}#20"), active(9000))
    after.count(1_700_000_001.5)
    assert after.next_version() > before.highest[LOCAL]
    again = WinsDb()
    again.load(dict(before.changed))
    again.count(5.0)
    assert again.next_version() > before.highest[LOCAL], "the clock is wrong"


def test_names_without_a_number_get_one_above_those_that_have():
    db = WinsDb()
    db.count(0.0)
    db.put(wire("A#20"), active(9000))
    again = WinsDb()
    again.load({**db.changed, wire("B#20"): active(9000)})
    again.count(0.0)
    assert again.of_owner(LOCAL, 0, 1 << 30) == [(1, wire("A#20")), (2 + winsdb.LEFT_OUT, wire("B#20"))]


def test_what_was_numbered_since_the_database_was_lost_is_numbered_again_above_what_partners_saw():
    db = WinsDb()
    db.count(0.0)
    for text in ("A#20", "B#20"):
        db.put(wire(text), active(9000))
    db.outnumber(500)
    db.outnumber(400)
    assert db.of_owner(LOCAL, 0, 1000) == [(501, wire("A#20")), (502, wire("B#20"))]
    assert db.find(wire("A#20")).version == 501
    assert db.next_version() == 503


def test_what_was_numbered_before_the_start_keeps_its_number():
    db = WinsDb()
    db.count(0.0)
    db.put(wire("A#20"), active(9000))
    again = WinsDb()
    again.load(dict(db.changed))
    again.count(0.0)
    again.put(wire("B#20"), active(9000))
    again.outnumber(1 << 40)
    assert [version for version, _ in again.of_owner(LOCAL, 0, 1 << 50)] == [1, (1 << 40) + 1]


def test_a_refresh_of_an_old_name_hides_no_newer_one():
    db = WinsDb()
    db.count(0.0)
    for text in ("OLD#20", "NEW#20"):
        db.put(wire(text), active(9000))
    db.put(wire("OLD#20"), active(9999))
    assert db.of_owner(LOCAL, 2, 9) == [(2, wire("NEW#20"))]
    again = WinsDb()
    again.load(dict(db.changed))
    again.count(0.0)
    again.put(wire("OLD#20"), active(9999))
    again.put(wire("NEWEST#20"), active(9999))
    again.put(wire("OLD#20"), active(9999))
    assert [found for _, found in again.of_owner(LOCAL, 2, 1 << 30)] == [wire("NEW#20"), wire("NEWEST#20")]


@pytest.mark.parametrize(
    ("key", "row"),
    [
        (wire("B#20"), b"rubbish!!"),
        (wire("B#20"), b"\3" + active(9000)[1:]),
        (b"no name", active(9000)),
        (b"", active(9000)),
    ],
)
def test_a_row_that_makes_no_sense_is_left_out_and_the_others_are_there(key, row):
    db = WinsDb()
    assert db.load({wire("A#20"): active(9000), key: row}) == 1
    assert set(db.records) == {wire("A#20")}
