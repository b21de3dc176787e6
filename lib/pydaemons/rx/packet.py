# SPDX-License-Identifier: GPL-3.0-or-later
"""Rx packets as bytes and back. After Zeldovich, "Rx protocol specification draft" (2002), sections "Packet
Formats", "Call Layer" and "Jumbograms", and what OpenAFS 1.8.9 was seen to send.

A datagram is a header and, by its type, call data, an acknowledgement, an error code, or something of the
security layer. Several DATA packets may share a datagram (a jumbogram): `split` takes it apart.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple

from pydaemons.wire.enums import OpenEnum
from pydaemons.wire.errors import WireError

HEADER_SIZE = 28
CHANNELS = 4
"""Calls at a time on one connection; the last bits of its id say which."""
CHANNEL_MASK = CHANNELS - 1
LONGEST_PACKET = 1444
"""Header and payload, so that UDP and IP fit on an Ethernet."""
LONGEST_PAYLOAD = LONGEST_PACKET - HEADER_SIZE
JUMBO_PAYLOAD = 1412
"""Of every packet of a jumbogram but the last."""
MOST_ACKS = 255
EPOCH_ALONE = 0x8000_0000
"""In an epoch: the connection is its epoch and id, whatever address its packets come from."""

HEADER = Struct("!IIIIIBBBBHH")
_ACK = Struct("!HHIIIBB")
_TRAILER = Struct("!IIII")
_SHORT = Struct("!BBH")
_CODE = Struct("!i")


class Type(OpenEnum):
    """What a packet is."""

    DATA = 1
    ACK = 2
    BUSY = 3
    ABORT = 4
    ACKALL = 5
    CHALLENGE = 6
    RESPONSE = 7
    DEBUG = 8
    VERSION = 13


class Flag:
    """Bits of a header: plain numbers, as every packet is asked for them. The last two are one bit: in an ACK
    the one, in DATA the other."""

    CLIENT: Final = 1
    WANT_ACK: Final = 2
    LAST: Final = 4
    MORE: Final = 8
    SLOW_START: Final = 32
    JUMBO: Final = 32


class Reason(OpenEnum):
    """Why an acknowledgement was sent."""

    REQUESTED = 1
    DUPLICATE = 2
    OUT_OF_SEQUENCE = 3
    EXCEEDS_WINDOW = 4
    NO_SPACE = 5
    PING = 6
    PING_RESPONSE = 7
    DELAY = 8
    IDLE = 9


class Failure(IntEnum):
    """Abort codes of Rx and its call stubs themselves; all other codes are the service's."""

    CALL_DEAD = -1
    INVALID_OPERATION = -2
    """no such service or security here (seen)"""
    PROTOCOL_ERROR = -5
    SERVER_MARSHAL = -452
    SERVER_UNMARSHAL = -453
    """the arguments cannot be read"""
    DECODE = -454
    """there is not even a procedure number"""
    OPCODE = -455
    """no such procedure"""


class Header(NamedTuple):
    """The 28 bytes before everything."""

    epoch: int
    id: int
    """of the connection; the last two bits are the channel"""
    call: int
    """0: about the connection"""
    seq: int
    """of a DATA packet in its call, from 1"""
    serial: int
    """of a packet in its connection, whatever it is: no two transmissions have the same"""
    type: int
    flags: int
    status: int
    security: int
    checksum: int
    service: int


class Piece(NamedTuple):
    """One DATA packet, alone in its datagram or one of several."""

    seq: int
    serial: int
    flags: int
    payload: bytes


class Ack(NamedTuple):
    """An acknowledgement."""

    first: int
    """everything before it has been read by the application and may be forgotten"""
    previous: int
    """the packet that came last; only for show"""
    serial: int
    """of the packet that made it, 0 when it was delayed"""
    reason: int
    acks: bytes = b""
    """from `first` on: 1 has come, 0 has not"""
    interface: int = LONGEST_PACKET
    """the longest packet the sender can take, by its network"""
    longest: int = LONGEST_PACKET
    """the longest it wants"""
    window: int = 15
    """packets from `first` on it has room for; 15 where nothing is said"""
    datagram: int = 1
    """packets it takes in one datagram"""


def unpack_header(data: bytes) -> Header:
    """Raises WireError when there is none."""
    if len(data) < HEADER_SIZE:
        raise WireError("shorter than a header", len(data))
    return Header._make(HEADER.unpack_from(data))


def pack_header(header: Header) -> bytes:
    return HEADER.pack(*header)


def unpack_ack(data: bytes) -> Ack:
    """The acknowledgement behind the header. Older peers leave the trailing fields out, from the end."""
    if len(data) < HEADER_SIZE + _ACK.size:
        raise WireError("an ACK cut short", len(data))
    _space, _skew, first, previous, serial, reason, count = _ACK.unpack_from(data, HEADER_SIZE)
    start = HEADER_SIZE + _ACK.size
    acks = data[start : start + count]
    if len(acks) != count:
        raise WireError("fewer acknowledgements than counted", len(data))
    at = start + count + 3
    if len(data) >= at + _TRAILER.size:
        return Ack(first, previous, serial, reason, acks, *_TRAILER.unpack_from(data, at))
    said = [int.from_bytes(data[n : n + 4], "big") for n in range(at, len(data) - 3, 4)]
    return Ack(first, previous, serial, reason, acks, *said)


def pack_ack(ack: Ack) -> bytes:
    """Without the header."""
    return b"".join(
        (
            _ACK.pack(0, 0, ack.first, ack.previous, ack.serial, ack.reason, len(ack.acks)),
            ack.acks,
            b"\0\0\0",
            _TRAILER.pack(ack.interface, ack.longest, ack.window, ack.datagram),
        )
    )


def unpack_code(data: bytes) -> int:
    """The code of an ABORT."""
    if len(data) < HEADER_SIZE + 4:
        raise WireError("an ABORT without a code", len(data))
    code: int = _CODE.unpack_from(data, HEADER_SIZE)[0]
    return code


def pack_code(code: int) -> bytes:
    """Any 32 bits will do: some services' codes have no sign."""
    return (code & 0xFFFF_FFFF).to_bytes(4, "big")


def split(header: Header, data: bytes) -> list[Piece]:
    """The DATA packets of a datagram. What is left of a jumbogram that ends too early still counts."""
    seq, serial, flags = header.seq, header.serial, header.flags
    at, pieces = HEADER_SIZE, []
    while flags & Flag.JUMBO:
        end = at + JUMBO_PAYLOAD
        if len(data) < end + _SHORT.size:
            raise WireError("a jumbogram cut short", len(data))
        pieces.append(Piece(seq, serial, flags & ~Flag.JUMBO, data[at:end]))
        flags = _SHORT.unpack_from(data, end)[0] | flags & Flag.CLIENT
        at, seq, serial = end + _SHORT.size, seq + 1 & 0xFFFF_FFFF, serial + 1 & 0xFFFF_FFFF
    pieces.append(Piece(seq, serial, flags, data[at:]))
    return pieces
