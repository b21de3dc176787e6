# SPDX-License-Identifier: GPL-3.0-or-later
"""Name service packets, after RFC 1002 section 4.2. Read Packet first; `unpack` and `pack` are inverse.

Names inside are wire forms (see name): what a packet asks for can be looked up as it stands. The functions at
the end build each packet this daemon sends; the answers to the two frequent requests are built by node.query
from prepared parts instead.
"""

from __future__ import annotations

from struct import Struct
from typing import Annotated, NamedTuple

from pydaemons.netbios import name
from pydaemons.netbios.codes import (
    AUTHORITATIVE,
    BROADCAST,
    CLASS_IN,
    OPCODE_SHIFT,
    RCODE_MASK,
    RECURSION_AVAILABLE,
    RECURSION_DESIRED,
    RESPONSE,
    Opcode,
    Rcode,
    RecordType,
)
from pydaemons.wire.errors import WireError
from pydaemons.wire.record import Codec, Fixed

HEADER = Struct(">HHHHHH")
_QUESTION = Struct(">HH")
_RESOURCE = Struct(">HHIH")
_NB = Struct(">H4s")
_STATUS_NAME = Struct(">16sH")
RECORDS = 64
"""Questions and records one packet may announce; 576 bytes hold no more."""


class Question(NamedTuple):
    """What is asked."""

    name: bytes
    kind: int
    klass: int


class Resource(NamedTuple):
    """One resource record; `data` is not decoded (see unpack_nb, unpack_status)."""

    name: bytes
    kind: int
    klass: int
    ttl: int
    data: bytes


class Packet(NamedTuple):
    """A whole packet; the four record sections in their order."""

    id: int
    flags: int
    questions: tuple[Question, ...] = ()
    answers: tuple[Resource, ...] = ()
    authorities: tuple[Resource, ...] = ()
    additionals: tuple[Resource, ...] = ()

    @property
    def opcode(self) -> int:
        """What it is about (codes.Opcode)."""
        return self.flags >> OPCODE_SHIFT & 15

    @property
    def rcode(self) -> int:
        """How it ended (codes.Rcode)."""
        return self.flags & RCODE_MASK

    @property
    def response(self) -> bool:
        """Is it an answer?"""
        return self.flags & RESPONSE != 0


def unpack(data: bytes) -> Packet:
    """A packet, or WireError. Bytes behind the last announced record are ignored, as every peer does."""
    size = len(data)
    if size < 12:
        raise WireError("shorter than a header", size)
    id_, flags, *counts = HEADER.unpack_from(data)
    if sum(counts) > RECORDS:
        raise WireError(f"{sum(counts)} records announced", 4)
    at = 12
    questions = []
    for _ in range(counts[0]):
        wire, at = name.read(data, at)
        if at + 4 > size:
            raise WireError("a question is cut short", at)
        questions.append(Question(wire, *_QUESTION.unpack_from(data, at)))
        at += 4
    sections: list[tuple[Resource, ...]] = []
    for count in counts[1:]:
        resources = []
        for _ in range(count):
            wire, at = name.read(data, at)
            if at + 10 > size:
                raise WireError("a record is cut short", at)
            kind, klass, ttl, length = _RESOURCE.unpack_from(data, at)
            at += 10
            if at + length > size:
                raise WireError("a record's data is cut short", at)
            resources.append(Resource(wire, kind, klass, ttl, data[at : at + length]))
            at += length
        sections.append(tuple(resources))
    return Packet(id_, flags, tuple(questions), *sections)


def pack(packet: Packet) -> bytes:
    """The wire form. The one compression ever written is the pointer to the question, as RFC 1002 section
    4.2.2 prints it, in the additional record of a request: some peers read nothing else there."""
    parts = [
        HEADER.pack(
            packet.id,
            packet.flags,
            len(packet.questions),
            len(packet.answers),
            len(packet.authorities),
            len(packet.additionals),
        )
    ]
    for question in packet.questions:
        parts += [question.name, _QUESTION.pack(question.kind, question.klass)]
    asked = packet.questions[0].name if packet.questions else None
    for section in packet[3:]:
        for record in section:
            pointed = record.name == asked and section is packet.additionals
            parts += [
                b"\xc0\x0c" if pointed else record.name,
                _RESOURCE.pack(record.kind, record.klass, record.ttl, len(record.data)),
                record.data,
            ]
    return b"".join(parts)


class Nb(NamedTuple):
    """One owner of a name: NB flags and IPv4 address (RFC 1002 section 4.2.1.3)."""

    flags: int
    address: bytes


def unpack_nb(data: bytes) -> tuple[Nb, ...]:
    """The entries of an NB record's data; WireError when there are none or a piece of one."""
    if not data or len(data) % 6:
        raise WireError("NB data is not a number of six-byte entries", 0)
    return tuple(map(Nb._make, _NB.iter_unpack(data)))


def pack_nb(entries: tuple[Nb, ...]) -> bytes:
    """The inverse of unpack_nb."""
    return b"".join([_NB.pack(*entry) for entry in entries])


class StatusName(NamedTuple):
    """One name of a node status answer."""

    label: bytes
    flags: int


class Statistics(NamedTuple):
    """The counters of a node status answer (RFC 1002 section 4.2.18); only the unit id is ever looked at."""

    unit_id: Annotated[bytes, Fixed("6s")] = bytes(6)
    """The MAC address."""
    jumpers: Annotated[int, Fixed("B")] = 0
    test_result: Annotated[int, Fixed("B")] = 0
    version: Annotated[int, Fixed("H")] = 0
    period: Annotated[int, Fixed("H")] = 0
    crcs: Annotated[int, Fixed("H")] = 0
    alignment_errors: Annotated[int, Fixed("H")] = 0
    collisions: Annotated[int, Fixed("H")] = 0
    send_aborts: Annotated[int, Fixed("H")] = 0
    good_sends: Annotated[int, Fixed("I")] = 0
    good_receives: Annotated[int, Fixed("I")] = 0
    retransmits: Annotated[int, Fixed("H")] = 0
    no_resources: Annotated[int, Fixed("H")] = 0
    free_command_blocks: Annotated[int, Fixed("H")] = 0
    command_blocks: Annotated[int, Fixed("H")] = 0
    most_command_blocks: Annotated[int, Fixed("H")] = 0
    pending_sessions: Annotated[int, Fixed("H")] = 0
    most_pending_sessions: Annotated[int, Fixed("H")] = 0
    most_sessions: Annotated[int, Fixed("H")] = 0
    session_packet_size: Annotated[int, Fixed("H")] = 0


STATISTICS = Codec(Statistics)
STATISTICS_SIZE = 46


class Status(NamedTuple):
    """The data of a node status answer."""

    names: tuple[StatusName, ...]
    statistics: Statistics = Statistics()


def unpack_status(data: bytes) -> Status:
    """A node status answer's data, or WireError. Missing statistics read as zeros (old devices cut them)."""
    if not data:
        raise WireError("an empty node status", 0)
    end = 1 + 18 * data[0]
    if end > len(data):
        raise WireError("a node status is cut short", len(data))
    names = tuple(map(StatusName._make, _STATUS_NAME.iter_unpack(data[1:end])))
    rest = data[end : end + STATISTICS_SIZE]
    statistics = STATISTICS.unpack(rest, 0) if len(rest) == STATISTICS_SIZE else Statistics()
    return Status(names, statistics)


def pack_status(status: Status) -> bytes:
    """The inverse of unpack_status."""
    names = b"".join([_STATUS_NAME.pack(*entry) for entry in status.names])
    return bytes([len(status.names)]) + names + STATISTICS.pack(status.statistics)


def flags_of(
    opcode: int,
    *,
    response: bool = False,
    authoritative: bool = False,
    recursion_desired: bool = False,
    recursion_available: bool = False,
    broadcast: bool = False,
    rcode: int = 0,
) -> int:
    """The second header word."""
    return (
        opcode << OPCODE_SHIFT
        | (RESPONSE if response else 0)
        | (AUTHORITATIVE if authoritative else 0)
        | (RECURSION_DESIRED if recursion_desired else 0)
        | (RECURSION_AVAILABLE if recursion_available else 0)
        | (BROADCAST if broadcast else 0)
        | rcode
    )


def query(id_: int, wire: bytes, *, broadcast: bool, recursion_desired: bool = True) -> bytes:
    """NAME QUERY REQUEST (section 4.2.12)."""
    flags = flags_of(Opcode.QUERY, recursion_desired=recursion_desired, broadcast=broadcast)
    return pack(Packet(id_, flags, (Question(wire, RecordType.NB, CLASS_IN),)))


def status_request(id_: int, wire: bytes = name.ANY, *, broadcast: bool = False) -> bytes:
    """NODE STATUS REQUEST (section 4.2.17)."""
    flags = flags_of(Opcode.QUERY, broadcast=broadcast)
    return pack(Packet(id_, flags, (Question(wire, RecordType.NBSTAT, CLASS_IN),)))


def claim(
    opcode: int, id_: int, wire: bytes, nb: Nb, *, ttl: int, broadcast: bool, recursion_desired: bool
) -> bytes:
    """Registration, overwrite demand (no recursion desired), refresh, release: sections 4.2.2 to 4.2.4 and
    4.2.9 all have this one shape."""
    flags = flags_of(opcode, recursion_desired=recursion_desired, broadcast=broadcast)
    record = Resource(wire, RecordType.NB, CLASS_IN, ttl, pack_nb((nb,)))
    question = Question(wire, RecordType.NB, CLASS_IN)
    return pack(Packet(id_, flags, (question,), (), (), (record,)))


def answer(opcode: int, id_: int, wire: bytes, data: bytes, *, ttl: int, rcode: int = Rcode.OK) -> bytes:
    """The answer to a query, registration, refresh or release (sections 4.2.5, 4.2.6, 4.2.10, 4.2.11,
    4.2.13). RD and RA are set but in the answer to a release, whatever the request had."""
    flags = flags_of(
        opcode,
        response=True,
        authoritative=True,
        recursion_desired=opcode != Opcode.RELEASE,
        recursion_available=opcode != Opcode.RELEASE,
        rcode=rcode,
    )
    return pack(Packet(id_, flags, (), (Resource(wire, RecordType.NB, CLASS_IN, ttl, data),)))


def negative_query_answer(
    id_: int, wire: bytes, rcode: int, *, asked: int = 0, server: bool = False
) -> bytes:
    """NEGATIVE NAME QUERY RESPONSE (section 4.2.14): a NULL record; RA says whether a name server speaks."""
    flags = flags_of(
        Opcode.QUERY,
        response=True,
        authoritative=True,
        recursion_desired=bool(asked & RECURSION_DESIRED),
        recursion_available=server,
        rcode=rcode,
    )
    return pack(Packet(id_, flags, (), (Resource(wire, RecordType.NULL, CLASS_IN, 0, b""),)))


def wait(id_: int, wire: bytes, asked: int, ttl: int) -> bytes:
    """WAIT FOR ACKNOWLEDGEMENT RESPONSE (section 4.2.16): the data is the second header word of the request,
    `ttl` how many seconds the answer may take."""
    flags = flags_of(Opcode.WACK, response=True, authoritative=True)
    record = Resource(wire, RecordType.NB, CLASS_IN, ttl, (asked & 0xFFFF).to_bytes(2, "big"))
    return pack(Packet(id_, flags, (), (record,)))
