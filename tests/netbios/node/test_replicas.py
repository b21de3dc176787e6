# SPDX-License-Identifier: GPL-3.0-or-later
"""What is taken from partners and what is told to them; how it travels is in test_replication."""

import random

import pytest

from fakes.claims import wire
from fakes.ether import Ether
from pydaemons.netbios import name, nspacket
from pydaemons.netbios.codes import NODE_H, Opcode
from pydaemons.netbios.node.exchange import Exchanges
from pydaemons.netbios.node.replicas import Replicas
from pydaemons.netbios.node.tunables import NetbiosTunables
from pydaemons.netbios.node.winsdb import WinsDb
from pydaemons.netbios.node.winsrecord import LOCAL, Member, Record, State
from pydaemons.netbios.nspacket import Nb
from pydaemons.netbios.winsra import NameRecord, OwnedAddress, RecordKind, RecordState

US, THEM, THIRD, HOST = b"\x0a\0\0\1", b"\x0a\0\0\2", b"\x0a\0\0\3", b"\x0a\0\0\x63"
NOW = Ether().now


@pytest.fixture
def replicas() -> Replicas:
    db = WinsDb()
    db.count(0.0)
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
    assert replicas.left_out == 1


def test_an_emptied_group_is_no_group(replicas):
    assert not replicas.take(told(addresses=()), THEM, NOW)
    assert replicas.db.find(wire("X#1c")) is None


def test_a_released_record_is_remembered_and_forgotten_soon(replicas):
    replicas.take(told(state=RecordState.RELEASED), THEM, NOW)
    record = replicas.db.find(wire("X#1c"))
    assert record.state == State.RELEASED
    assert record.expires - NOW.wall <= 86400


class Asked:
    """A name of ours, and what its host is asked and says."""

    def __init__(self, replicas: Replicas, *held: bytes) -> None:
        self.replicas = replicas
        self.exchanges = replicas.inquiries._exchanges
        members = tuple(Member(address, 2**32 - 2) for address in held)
        replicas.db.keep(wire("PC#20"), Record(State.ACTIVE, NODE_H, 2**32 - 2, members))

    def told(self, *addresses: bytes, owner: bytes = THEM, version: int = 5, **changes: object) -> bool:
        kind = RecordKind.MULTIHOMED if len(addresses) > 1 else RecordKind.UNIQUE
        owned = tuple(OwnedAddress(owner if len(addresses) > 1 else b"", each) for each in addresses)
        record = told("PC#20", kind=kind, version=version, addresses=owned)._replace(**changes)
        return self.replicas.take(record, owner, NOW)

    def sent(self) -> list[nspacket.Packet]:
        return [nspacket.unpack(send.data) for send in self.exchanges.drain()]

    def asks(self) -> nspacket.Packet:
        self.replicas.inquiries.start(NOW)
        (packet,) = self.sent()
        assert packet.opcode == Opcode.QUERY
        return packet

    def says(self, question: nspacket.Packet, *addresses: bytes, host: bytes = HOST) -> None:
        data = nspacket.pack_nb(tuple(Nb(NODE_H, each) for each in addresses))
        answer = nspacket.answer(
            Opcode.QUERY, question.id, wire("PC#20"), data, ttl=0, rcode=0 if addresses else 3
        )
        self.exchanges.receive(nspacket.unpack(answer), ".".join(map(str, host)), NOW)

    @property
    def record(self) -> Record:
        found = self.replicas.db.find(wire("PC#20"))
        assert found is not None
        return found


NEW, OTHER = b"\x0a\0\0\x70", b"\x0a\0\0\x71"


def test_a_disputed_name_stays_as_it_is_until_its_host_has_spoken(replicas):
    asked = Asked(replicas, HOST)
    assert not asked.told(NEW)
    assert asked.sent() == [], "and nobody is asked before the pull is over"
    question = asked.asks()
    assert asked.record.owner == LOCAL
    asked.says(question)
    assert (asked.record.owner, asked.record.members[0].address) == (THEM, NEW)


def test_a_host_that_has_neither_of_the_partners_addresses_keeps_its_name(replicas):
    asked = Asked(replicas, HOST)
    asked.told(NEW)
    asked.says(asked.asks(), HOST)
    assert (asked.record.owner, asked.record.members[0].address) == (LOCAL, HOST)
    assert asked.sent() == []


def test_a_host_with_both_addresses_becomes_multihomed(replicas):
    asked = Asked(replicas, HOST)
    asked.told(NEW)
    asked.says(asked.asks(), HOST, NEW)
    assert (asked.record.kind, asked.record.owner) == (RecordKind.MULTIHOMED, THEM)
    assert {member.address for member in asked.record.members} == {HOST, NEW}


def test_a_host_that_moved_to_the_partners_address_is_told_to_register_anew_there_and_nowhere_else(replicas):
    asked = Asked(replicas, HOST)
    asked.told(NEW)
    asked.says(asked.asks(), NEW, *(bytes((192, 0, 2, last)) for last in range(50)))
    (demand,) = asked.sent()
    assert demand.opcode == Opcode.RELEASE
    assert nspacket.unpack_nb(demand.additionals[0].data) == (Nb(NODE_H, NEW),)
    assert asked.record.owner == LOCAL
    assert len(replicas.inquiries) == 1, "the addresses only the answer knew are left in peace"


def test_what_the_owner_says_later_counts_and_not_what_the_host_was_first_asked_about(replicas):
    asked = Asked(replicas, HOST)
    asked.told(NEW, version=5)
    question = asked.asks()
    asked.told(OTHER, version=6)
    assert not replicas.inquiries.waiting, "it is asked already"
    asked.says(question)
    assert (asked.record.version, asked.record.members[0].address) == (6, OTHER)


def test_a_host_whose_rival_ended_meanwhile_keeps_its_name(replicas):
    asked = Asked(replicas, HOST)
    asked.told(NEW, version=5)
    question = asked.asks()
    asked.told(NEW, version=6, state=RecordState.TOMBSTONE)
    asked.says(question)
    assert (asked.record.owner, asked.record.members[0].address) == (LOCAL, HOST)


def test_a_host_that_registered_anew_while_it_was_asked_keeps_its_name(replicas):
    asked = Asked(replicas, HOST)
    asked.told(NEW)
    question = asked.asks()
    replicas.db.keep(wire("PC#20"), Record(State.ACTIVE, NODE_H, 2**32 - 2, (Member(OTHER, 2**32 - 2),)))
    asked.says(question)
    assert (asked.record.owner, asked.record.members[0].address) == (LOCAL, OTHER)


def test_thousands_of_disputed_names_are_all_asked_about(replicas):
    for number in range(3000):
        held = Record(State.ACTIVE, NODE_H, 2**32 - 2, (Member(HOST, 2**32 - 2),))
        replicas.db.keep(wire(f"N{number}#20"), held)
        record = told(f"N{number}#20", kind=RecordKind.UNIQUE, addresses=(OwnedAddress(b"", NEW),))
        replicas.take(record, THEM, NOW)
    assert len(replicas.inquiries) == 3000
