# SPDX-License-Identifier: GPL-3.0-or-later
"""Datagram service packets (port 138), after RFC 1002 section 4.4. Read Datagram first; `unpack` and the
`pack` of each class are inverse.

Names inside are wire forms (see name), as in nspacket. A datagram that is longer than a packet may be travels
in fragments; `split` makes them, node.fragments puts them together again.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from pydaemons.netbios import name
from pydaemons.netbios.codes import LONGEST_DATAGRAM
from pydaemons.wire.enums import OpenEnum
from pydaemons.wire.errors import WireError

HEADER = Struct(">BBH4sH")
_LENGTH_OFFSET = Struct(">HH")
_START = HEADER.size + _LENGTH_OFFSET.size


class Kind(OpenEnum):
    """MSG_TYPE (section 4.4.1)."""

    DIRECT_UNIQUE = 0x10
    DIRECT_GROUP = 0x11
    BROADCAST = 0x12
    ERROR = 0x13
    QUERY_REQUEST = 0x14
    POSITIVE_RESPONSE = 0x15
    NEGATIVE_RESPONSE = 0x16


MORE = 0x01
"""Flag: fragments follow."""
FIRST = 0x02
"""Flag: this is the first (or only) fragment."""
NODE_B = 0x00
NODE_P = 0x04
NODE_M = 0x08
NODE_NBDD = 0x0C
NODE = 0x0C
"""The flags' bits with the sender's node type."""
USUAL = FIRST | NODE_M
"""What Samba's hosts send, whatever kind of node they are."""
DATA = frozenset((Kind.DIRECT_UNIQUE, Kind.DIRECT_GROUP, Kind.BROADCAST))
QUERIES = frozenset((Kind.QUERY_REQUEST, Kind.POSITIVE_RESPONSE, Kind.NEGATIVE_RESPONSE))


class Datagram(NamedTuple):
    """Data for a name, or a fragment of it (section 4.4.2)."""

    kind: int
    id: int
    address: bytes
    """The sender's address as it gives it; where the packet really came from is the transport's to say."""
    port: int
    source: bytes
    """The sender's name, wire form."""
    destination: bytes
    """Whom it is for, wire form."""
    data: bytes
    flags: int = USUAL
    offset: int = 0
    """Where the data of a fragment belongs."""

    @property
    def whole(self) -> bool:
        """Is it all there is?"""
        return self.flags & (FIRST | MORE) == FIRST and self.offset == 0

    def pack(self) -> bytes:
        """The wire form; WireError when the fields cannot hold it."""
        length = len(self.source) + len(self.destination) + len(self.data)
        if length > 0xFFFF or self.offset > 0xFFFF:
            raise WireError(f"{length} bytes are no datagram", 0)
        return b"".join(
            (
                HEADER.pack(self.kind, self.flags, self.id, self.address, self.port),
                _LENGTH_OFFSET.pack(length, self.offset),
                self.source,
                self.destination,
                self.data,
            )
        )


class Error(NamedTuple):
    """A datagram could not be delivered (section 4.4.3)."""

    id: int
    address: bytes
    port: int
    code: int
    flags: int = USUAL

    def pack(self) -> bytes:
        """The wire form."""
        return HEADER.pack(Kind.ERROR, self.flags, self.id, self.address, self.port) + bytes((self.code,))


class Query(NamedTuple):
    """A question to a datagram distribution server, or its answer (section 4.4.4)."""

    kind: int
    id: int
    address: bytes
    port: int
    destination: bytes
    flags: int = USUAL

    def pack(self) -> bytes:
        """The wire form."""
        return HEADER.pack(self.kind, self.flags, self.id, self.address, self.port) + self.destination


def unpack(data: bytes) -> Datagram | Error | Query:
    """Any packet of the datagram service, or WireError.

    The length field is not looked at: it repeats what UDP says, and peers disagree on what it counts.
    """
    size = len(data)
    if size < HEADER.size:
        raise WireError("shorter than a header", size)
    kind, flags, id_, address, port = HEADER.unpack_from(data)
    if kind in DATA:
        if size < _START:
            raise WireError("shorter than a header", size)
        _, offset = _LENGTH_OFFSET.unpack_from(data, HEADER.size)
        source, at = name.read(data, _START)
        destination, at = name.read(data, at)
        return Datagram(kind, id_, address, port, source, destination, data[at:], flags, offset)
    if kind == Kind.ERROR:
        if size <= HEADER.size:
            raise WireError("an error without its code", size)
        return Error(id_, address, port, data[HEADER.size], flags)
    if kind in QUERIES:
        destination, _ = name.read(data, HEADER.size)
        return Query(kind, id_, address, port, destination, flags)
    raise WireError(f"message type {kind:#04x}", 0)


def split(datagram: Datagram, longest: int = LONGEST_DATAGRAM) -> list[Datagram]:
    """The datagram as packets of at most `longest` bytes each, in their order (section 5.3.1): itself alone
    when it fits."""
    room = longest - _START - len(datagram.source) - len(datagram.destination)
    if room <= 0:
        raise WireError(f"names that leave no room within {longest} bytes", _START)
    data = datagram.data
    if len(data) <= room:
        return [datagram]
    base = datagram.flags & ~(FIRST | MORE)
    return [
        datagram._replace(
            data=data[at : at + room],
            offset=at,
            flags=base | (FIRST if at == 0 else 0) | (MORE if at + room < len(data) else 0),
        )
        for at in range(0, len(data), room)
    ]
