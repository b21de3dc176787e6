# SPDX-License-Identifier: GPL-3.0-or-later
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.claims import wire
from fakes.datagrams import golden
from pydaemons.netbios import dgram, name
from pydaemons.netbios.dgram import DATA, FIRST, MORE, QUERIES, Datagram, Error, Kind, Query
from pydaemons.wire.errors import WireError

u8, u16 = st.integers(0, 0xFF), st.integers(0, 0xFFFF)
address = st.binary(min_size=4, max_size=4)
wires = st.builds(
    lambda label, scope: name.pack(name.Name(label, scope)),
    st.binary(min_size=16, max_size=16),
    st.sampled_from([b"", b"scope", b"a.b.c"]),
)
datagrams = st.builds(
    Datagram,
    st.sampled_from(sorted(DATA)),
    u16,
    address,
    u16,
    wires,
    wires,
    st.binary(max_size=600),
    flags=u8,
    offset=u16,
)
errors = st.builds(Error, u16, address, u16, u8, u8)
queries = st.builds(Query, st.sampled_from(sorted(QUERIES)), u16, address, u16, wires, u8)


@given(st.one_of(datagrams, errors, queries))
def test_what_is_packed_is_unpacked(packet):
    assert dgram.unpack(packet.pack()) == packet


@pytest.mark.parametrize("what", golden())
def test_packets_of_real_peers_come_out_byte_for_byte(what):
    packet = dgram.unpack(golden()[what])
    assert packet.pack() == golden()[what]
    assert packet.whole
    assert packet.port == 138


def test_the_fields_are_where_nmbd_has_them():
    packet = dgram.unpack(golden()["host-announcement"])
    assert packet.kind == Kind.DIRECT_GROUP
    assert (packet.address, packet.flags) == (bytes([10, 97, 0, 1]), 0x0A)
    assert (packet.source, packet.destination) == (wire("SUT#00"), wire("TESTGRP#1d"))


def test_an_error_and_a_query_are_as_the_rfc_prints_them():
    assert Error(0x1234, bytes([10, 0, 0, 1]), 138, 0x82).pack().hex() == "130a12340a000001008a82"
    asked = Query(Kind.QUERY_REQUEST, 1, bytes(4), 138, wire("X#20"))
    assert asked.pack() == bytes.fromhex("140a000100000000008a") + wire("X#20")


@given(st.binary(max_size=200))
def test_garbage_is_refused_by_the_one_error(data):
    try:
        dgram.unpack(data)
    except WireError:
        pass


def test_every_cut_and_every_flipped_byte_is_read_or_refused():
    dice = random.Random(6)
    for data in golden().values():
        for end in range(len(data)):
            mutant = bytearray(data[:end])
            for _ in range(2):
                if mutant:
                    mutant[dice.randrange(len(mutant))] = dice.randrange(256)
            try:
                dgram.unpack(bytes(mutant))
            except WireError:
                pass


def test_an_unknown_type_and_a_missing_error_code_are_refused():
    with pytest.raises(WireError):
        dgram.unpack(b"\x17" + golden()["election"][1:])
    with pytest.raises(WireError):
        dgram.unpack(Error(1, bytes(4), 138, 0x82).pack()[:-1])


@given(datagrams, st.integers(200, 600))
def test_pieces_hold_all_of_the_data_in_order(whole, longest):
    whole = whole._replace(flags=FIRST, offset=0)
    pieces = dgram.split(whole, longest)
    assert all(len(piece.pack()) <= longest for piece in pieces)
    assert b"".join(piece.data for piece in pieces) == whole.data
    assert [bool(piece.flags & MORE) for piece in pieces] == [True] * (len(pieces) - 1) + [False]
    assert [bool(piece.flags & FIRST) for piece in pieces] == [True] + [False] * (len(pieces) - 1)
    assert pieces[0].offset == 0
    if len(pieces) == 1:
        assert pieces == [whole]


def test_what_cannot_be_sent_is_refused():
    whole = Datagram(Kind.DIRECT_UNIQUE, 1, bytes(4), 138, wire("A#20"), wire("B#20"), bytes(70000))
    with pytest.raises(WireError):
        whole.pack()
    with pytest.raises(WireError):
        dgram.split(whole, 60)
