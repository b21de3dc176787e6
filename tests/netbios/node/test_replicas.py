# SPDX-License-Identifier: GPL-3.0-or-later
"""What is taken from partners and what is told to them; how it travels is in test_replication."""

import random

import pytest

from fakes.claims import wire
from fakes.ether import Ether
from pydaemons.netbios import name
from pydaemons.netbios.node.exchange import Exchanges
from pydaemons.netbios.node.replicas import Replicas
from pydaemons.netbios.node.tunables import NetbiosTunables
from pydaemons.netbios.node.winsdb import LOCAL, State, WinsDb
from pydaemons.netbios.winsra import NameRecord, OwnedAddress, RecordKind, RecordState

US, THEM, THIRD, HOST = b"\x0a\0\0\1", b"\x0a\0\0\2", b"\x0a\0\0\3", b"\x0a\0\0\x63"
NOW = Ether().now


@pytest.fixture
def replicas() -> Replicas:
    db = WinsDb()
    db.count()
    made = Replicas(
        db,
        Exchanges(random.Random(1)),
        NetbiosTunables(),
        is_ours=lambda wire: False,
        is_refused=lambda wire: False,
        log=lambda level, message, message_id=None: None,
    )
    made.address = US
    return made


def told(text: str = "X#1c", **changes: object) -> NameRecord:
    record = NameRecord(
        name.parse(text),
        RecordKind.SPECIAL_GROUP,
        RecordState.ACTIVE,
        3,
        static=False,
        version=5,
        addresses=(OwnedAddress(THEM, HOST), OwnedAddress(US, b"\x0a\0\0\x64")),
    )
    return record._replace(**changes)


def test_what_is_taken_is_told_again_as_it_was(replicas):
    for static in (True, False):
        for state in (RecordState.ACTIVE, RecordState.TOMBSTONE):
            record = told(f"{state.name}{static}#1c", static=static, state=state)
            assert replicas.take(record, THEM, NOW)
            key = name.key(record.name)
            assert replicas.told(key, replicas.db.find(key)) == record


def test_members_registered_with_us_are_known_as_ours(replicas):
    replicas.take(told(), THEM, NOW)
    assert [member.owner for member in replicas.db.find(wire("X#1c")).members] == [THEM, LOCAL]


def test_a_name_no_packet_can_ask_for_is_kept_for_others(replicas):
    record = told()._replace(name=name.Name(b"X" * 15 + b"\x1c", b"0123456789" * 20))
    assert replicas.take(record, THEM, NOW)
    key = name.key(record.name)
    assert name.unpack(key) == record.name
    assert replicas.told(key, replicas.db.find(key)) == record


def test_a_full_database_takes_no_new_names_but_changes(replicas):
    replicas._tunables.set("max_names", "100", "test")
    for number in range(100):
        assert replicas.take(told(f"N{number}#1c"), THEM, NOW)
    assert not replicas.take(told("ONEMORE#1c"), THEM, NOW)
    assert replicas.take(told("N7#1c", version=6, state=RecordState.TOMBSTONE), THEM, NOW)
    assert replicas.db.find(wire("N7#1c")).state == State.TOMBSTONE
    assert replicas.kept == 1


def test_an_emptied_group_is_no_group(replicas):
    assert not replicas.take(told(addresses=()), THEM, NOW)
    assert replicas.db.find(wire("X#1c")) is None


def test_a_released_record_is_remembered_and_forgotten_soon(replicas):
    replicas.take(told(state=RecordState.RELEASED), THEM, NOW)
    record = replicas.db.find(wire("X#1c"))
    assert record.state == State.RELEASED
    assert record.expires - NOW.wall <= 86400
