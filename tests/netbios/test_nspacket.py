# SPDX-License-Identifier: GPL-3.0-or-later
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydaemons.netbios import name, nspacket
from pydaemons.netbios.codes import NODE_H, Opcode, RecordType
from pydaemons.netbios.nspacket import Nb, Packet, Question, Resource, Statistics, Status, StatusName
from pydaemons.wire.errors import WireError

u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFFFFFF)
wires = st.builds(
    lambda label, scope: name.pack(name.Name(label, b".".join(scope))),
    st.binary(min_size=16, max_size=16),
    st.lists(st.binary(min_size=1, max_size=8).filter(lambda label: b"." not in label), max_size=3),
)
questions = st.lists(st.builds(Question, wires, u16, u16), max_size=2).map(tuple)
resources = st.lists(st.builds(Resource, wires, u16, u16, u32, st.binary(max_size=60)), max_size=3).map(tuple)
packets = st.builds(Packet, u16, u16, questions, resources, resources, resources)

SRV = name.pack(name.make("SRV", 0x20))
SRV_HEX = "20 4644464346474341434143414341434143414341434143414341434143414341 00"

# As printed by RFC 1002 for each packet; the header words spelled out by hand.
KNOWN = {
    "name query": (
        nspacket.query(0x1234, SRV, broadcast=True),
        f"1234 0110 0001 0000 0000 0000 {SRV_HEX} 0020 0001",
    ),
    "node status": (
        nspacket.status_request(0x1234, SRV),
        f"1234 0000 0001 0000 0000 0000 {SRV_HEX} 0021 0001",
    ),
    "registration": (
        nspacket.claim(
            Opcode.REGISTRATION,
            7,
            SRV,
            Nb(NODE_H, bytes([10, 0, 0, 1])),
            ttl=300000,
            broadcast=False,
            recursion_desired=True,
        ),
        f"0007 2900 0001 0000 0000 0001 {SRV_HEX} 0020 0001 c00c 0020 0001 000493e0 0006 6000 0a000001",
    ),
    "negative registration": (
        nspacket.answer(Opcode.REGISTRATION, 7, SRV, bytes.fromhex("60000a000001"), ttl=0, rcode=6),
        f"0007 ad86 0000 0001 0000 0000 {SRV_HEX} 0020 0001 00000000 0006 6000 0a000001",
    ),
    "positive release": (
        nspacket.answer(Opcode.RELEASE, 7, SRV, bytes.fromhex("60000a000001"), ttl=0),
        f"0007 b400 0000 0001 0000 0000 {SRV_HEX} 0020 0001 00000000 0006 6000 0a000001",
    ),
    "negative query": (
        nspacket.negative_query_answer(7, SRV, 3, asked=0x0100, server=True),
        f"0007 8583 0000 0001 0000 0000 {SRV_HEX} 000a 0001 00000000 0000",
    ),
    "wait": (
        nspacket.wait(7, SRV, 0x2900, 60),
        f"0007 bc00 0000 0001 0000 0000 {SRV_HEX} 0020 0001 0000003c 0002 2900",
    ),
}


@pytest.mark.parametrize("kind", KNOWN)
def test_each_packet_has_the_bytes_of_the_standard(kind: str) -> None:
    built, printed = KNOWN[kind]
    assert built == bytes.fromhex(printed)


@given(packets)
def test_packing_and_unpacking_are_inverse(packet: Packet) -> None:
    assert nspacket.unpack(nspacket.pack(packet)) == packet


@given(packets, st.binary(min_size=1, max_size=10))
def test_bytes_behind_the_last_record_are_ignored(packet: Packet, surplus: bytes) -> None:
    assert nspacket.unpack(nspacket.pack(packet) + surplus) == packet


@given(packets)
def test_every_truncation_is_a_wire_error(packet: Packet) -> None:
    packed = nspacket.pack(packet)
    for size in range(len(packed)):
        with pytest.raises(WireError):
            nspacket.unpack(packed[:size])


@given(st.binary(max_size=600))
def test_any_bytes_decode_or_raise_wire_error(data: bytes) -> None:
    try:
        packet = nspacket.unpack(data)
    except WireError:
        return
    assert nspacket.unpack(nspacket.pack(packet)) == packet


def test_mutated_packets_decode_or_raise_wire_error() -> None:
    dice = random.Random(1002)
    seeds = [built for built, _ in KNOWN.values()]
    outcomes = {"decoded": 0, "refused": 0}
    for _ in range(20_000):
        data = bytearray(dice.choice(seeds))
        for _ in range(dice.randint(1, 6)):
            data[dice.randrange(len(data))] = dice.choice((0, 1, 0x20, 0x3F, 0xC0, 0xFF, dice.randrange(256)))
        del data[dice.randint(0, len(data)) if dice.random() < 0.3 else len(data) :]
        try:
            packet = nspacket.unpack(bytes(data))
        except WireError:
            outcomes["refused"] += 1
            continue
        outcomes["decoded"] += 1
        for record in packet.answers + packet.additionals:
            for decode in (nspacket.unpack_nb, nspacket.unpack_status):
                try:
                    decode(record.data)
                except WireError:
                    pass
    assert min(outcomes.values()) > 1000


def test_a_header_that_announces_more_than_a_datagram_holds_costs_nothing() -> None:
    with pytest.raises(WireError, match="announced"):
        nspacket.unpack(bytes.fromhex("0001 0000 ffff ffff ffff ffff") + SRV)


@given(st.lists(st.builds(Nb, u16, st.binary(min_size=4, max_size=4)), min_size=1, max_size=25).map(tuple))
def test_nb_entries_round_trip(entries: tuple[Nb, ...]) -> None:
    assert nspacket.unpack_nb(nspacket.pack_nb(entries)) == entries


@pytest.mark.parametrize("size", [0, 1, 5, 7, 13])
def test_nb_data_of_an_odd_size_is_refused(size: int) -> None:
    with pytest.raises(WireError):
        nspacket.unpack_nb(bytes(size))


@given(st.lists(st.builds(StatusName, st.binary(min_size=16, max_size=16), u16), max_size=25).map(tuple))
def test_a_node_status_round_trips(names: tuple[StatusName, ...]) -> None:
    status = Status(names, Statistics(unit_id=bytes(range(6)), session_packet_size=3))
    packed = nspacket.pack_status(status)
    assert len(packed) == 1 + 18 * len(names) + 46
    assert nspacket.unpack_status(packed) == status
    assert nspacket.unpack_status(packed[:-46]).names == names
    if names:
        with pytest.raises(WireError):
            nspacket.unpack_status(packed[: 18 * len(names)])


def test_the_flags_say_what_a_packet_is() -> None:
    packet = nspacket.unpack(KNOWN["negative registration"][0])
    assert packet.response
    assert packet.opcode == Opcode.REGISTRATION
    assert packet.rcode == 6
    assert packet.answers[0].kind == RecordType.NB
