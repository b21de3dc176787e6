# SPDX-License-Identifier: GPL-3.0-or-later
"""Rx packets, against bytes of OpenAFS 1.8.9 and against an independent packer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosts import rx as other
from pydaemons.rx.packet import (
    HEADER_SIZE,
    JUMBO_PAYLOAD,
    Ack,
    Flag,
    Header,
    Piece,
    Reason,
    Type,
    pack_ack,
    pack_code,
    pack_header,
    split,
    unpack_ack,
    unpack_code,
    unpack_header,
)
from pydaemons.wire.errors import WireError

# what bos sent and bosserver answered
REQUEST = bytes.fromhex(
    "93074c6b 044fb530 00000002 00000001 00000003 01 05 00 00 0000 0001 00000055 00000001 61000000"
)
CLIENTS_ACK = bytes.fromhex(
    "92acaaa5 28f1074c 00000001 00000000 00000003 02 21 00 00 0000 0001"
    "0000 0000 00000002 00000002 00000002 01 01 01 000000 0000163c 000005a4 00000020 00000004"
)
ABORT = bytes.fromhex("a12e9849 44fd9a68 00000001 00000000 00000001 04 01 00 00 0000 0001 fffffe3e")

HEADERS = st.builds(
    Header,
    *(st.integers(0, 0xFFFF_FFFF) for _ in range(5)),
    *(st.integers(0, 0xFF) for _ in range(4)),
    *(st.integers(0, 0xFFFF) for _ in range(2)),
)


def test_a_request_of_bos_is_read() -> None:
    header = unpack_header(REQUEST)
    assert header == Header(0x93074C6B, 0x044FB530, 2, 1, 3, Type.DATA, Flag.CLIENT | Flag.LAST, 0, 0, 0, 1)
    assert split(header, REQUEST) == [Piece(1, 3, 5, bytes.fromhex("00000055 00000001 61000000"))]


def test_an_acknowledgement_of_bos_is_read_and_written_alike() -> None:
    ack = unpack_ack(CLIENTS_ACK)
    assert ack == Ack(2, 2, 2, Reason.REQUESTED, b"\1", 5692, 1444, 32, 4)
    assert pack_ack(ack) == CLIENTS_ACK[HEADER_SIZE:]


def test_a_code_has_a_sign_or_not() -> None:
    assert unpack_code(ABORT) == -450
    assert unpack_code(bytes(HEADER_SIZE) + pack_code(-1)) == -1
    assert pack_code(0xFFFF_FFFE) == pack_code(-2)


@given(HEADERS)
def test_headers_survive_the_journey(header: Header) -> None:
    assert unpack_header(pack_header(header)) == header


@given(
    st.builds(
        Ack,
        *(st.integers(0, 0xFFFF_FFFF) for _ in range(3)),
        st.integers(0, 255),
        st.binary(max_size=255),
        *(st.integers(0, 0xFFFF_FFFF) for _ in range(4)),
    )
)
def test_acknowledgements_survive_the_journey_and_others_read_the_same(ack: Ack) -> None:
    packed = pack_ack(ack)
    assert unpack_ack(bytes(HEADER_SIZE) + packed) == ack
    theirs = other.parse_ack(packed)
    assert (theirs.first, theirs.serial, theirs.acks, theirs.trailer) == (
        ack.first,
        ack.serial,
        ack.acks,
        (ack.interface, ack.longest, ack.window, ack.datagram),
    )


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (0, (1444, 1444, 15, 1)),
        (4, (9, 1444, 15, 1)),
        (12, (9, 8, 7, 1)),
        (15, (9, 8, 7, 1)),
        (16, (9, 8, 7, 6)),
    ],
)
def test_old_peers_leave_trailing_fields_out(size: int, said: tuple[int, ...]) -> None:
    whole = pack_ack(Ack(1, 0, 0, Reason.PING, b"\0\1", 9, 8, 7, 6))
    ack = unpack_ack(bytes(HEADER_SIZE) + whole[: len(whole) - 16 + size])
    assert ack[5:] == said and ack.acks == b"\0\1"


def test_a_jumbogram_is_taken_apart() -> None:
    first, second, third = b"a" * JUMBO_PAYLOAD, b"b" * JUMBO_PAYLOAD, b"c" * 7
    header = Header(1, 4, 1, 5, 50, Type.DATA, Flag.CLIENT | Flag.JUMBO, 0, 0, 0, 1)
    data = pack_header(header) + first
    data += bytes((Flag.JUMBO, 0, 0, 0)) + second + bytes((Flag.LAST | Flag.WANT_ACK, 0, 0, 0)) + third
    assert split(header, data) == [
        Piece(5, 50, Flag.CLIENT, first),
        Piece(6, 51, Flag.CLIENT, second),
        Piece(7, 52, Flag.CLIENT | Flag.LAST | Flag.WANT_ACK, third),
    ]


def test_a_jumbogram_cut_short_is_malformed() -> None:
    header = Header(1, 4, 1, 5, 50, Type.DATA, Flag.CLIENT | Flag.JUMBO, 0, 0, 0, 1)
    with pytest.raises(WireError):
        split(header, pack_header(header) + bytes(JUMBO_PAYLOAD + 3))


@given(st.binary(max_size=3000))
def test_garbage_is_decoded_or_malformed_and_nothing_else(data: bytes) -> None:
    for read in (unpack_header, unpack_ack, unpack_code, lambda d: split(unpack_header(d), d)):
        try:
            read(data)
        except WireError:
            pass
