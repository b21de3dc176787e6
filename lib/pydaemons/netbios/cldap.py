# SPDX-License-Identifier: GPL-3.0-or-later
"""The LDAP ping: the one question over UDP by which hosts find out about a domain controller, after [MS-ADTS]
section 6.3.3 and RFC 4511 section 4.5. Read Ping and unpack.

Just as much BER (X.690) as that takes: a search of the root entry for the attribute Netlogon, and the entry
that comes back, whose value is a logon.SamAnswerEx or one of its elders.
"""

from __future__ import annotations

from typing import NamedTuple

from pydaemons.wire.cursor import Reader
from pydaemons.wire.errors import WireError

PORT = 389
ATTRIBUTE = b"Netlogon"

_BOOLEAN, _INTEGER, _OCTETS, _ENUMERATED, _SEQUENCE, _SET = 0x01, 0x02, 0x04, 0x0A, 0x30, 0x31
_SEARCH, _ENTRY, _DONE = 0x63, 0x64, 0x65
_AND, _EQUALS = 0xA0, 0xA3


class Ping(NamedTuple):
    """The question."""

    id: int
    """Message id, 31 bits; the answer has the same."""
    host: str
    """Who asks."""
    user: str = ""
    """The account the controller should know; empty: any will do."""
    account_control: int = 0
    version: int = 0
    """logon.NtVersion: the form of the answer."""

    def pack(self) -> bytes:
        """The wire form."""
        terms = [(b"Host", self.host.encode()), (b"NtVer", self.version.to_bytes(4, "little"))]
        if self.user:
            terms.append((b"User", self.user.encode()))
            terms.append((b"AAC", self.account_control.to_bytes(4, "little")))
        equal = [_put(_EQUALS, _put(_OCTETS, name) + _put(_OCTETS, value)) for name, value in terms]
        search = b"".join(
            (
                _put(_OCTETS, b""),  # the root entry
                _put(_ENUMERATED, b"\0"),  # itself
                _put(_ENUMERATED, b"\0"),  # aliases as they are
                _put(_INTEGER, b"\0"),  # no limit of size
                _put(_INTEGER, b"\0"),  # or time
                _put(_BOOLEAN, b"\0"),  # values too
                _put(_AND, b"".join(equal)),
                _put(_SEQUENCE, _put(_OCTETS, ATTRIBUTE)),
            )
        )
        return _put(_SEQUENCE, _put(_INTEGER, _integer(self.id)) + _put(_SEARCH, search))


class Pong(NamedTuple):
    """The answer."""

    id: int
    netlogon: bytes | None
    """None: the controller has nothing to say about what was asked."""


def unpack(data: bytes) -> Pong:
    """The answer in a packet, or WireError. Entry and end of the search come in one packet, or the end alone
    when nothing was found."""
    message = _expect(Reader(data), _SEQUENCE)
    id_ = int.from_bytes(_expect(message, _INTEGER).rest(), "big", signed=True)
    tag, body = _get(message)
    if tag == _DONE:
        return Pong(id_, None)
    if tag != _ENTRY:
        raise WireError(f"operation {tag:#04x} is no search result", message.offset)
    _expect(body, _OCTETS)
    attributes = _expect(body, _SEQUENCE)
    while attributes.remaining():
        attribute = _expect(attributes, _SEQUENCE)
        name = _expect(attribute, _OCTETS).rest()
        values = _expect(attribute, _SET)
        if name.lower() == ATTRIBUTE.lower() and values.remaining():
            return Pong(id_, _expect(values, _OCTETS).rest())
    return Pong(id_, None)


def _put(tag: int, value: bytes) -> bytes:
    size = len(value)
    if size < 0x80:
        return bytes((tag, size)) + value
    count = (size.bit_length() + 7) // 8
    return bytes((tag, 0x80 | count)) + size.to_bytes(count, "big") + value


def _integer(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


def _get(reader: Reader) -> tuple[int, Reader]:
    """The next element: its tag and what is in it."""
    at = reader.offset
    tag, size = reader.u8(), reader.u8()
    if size >= 0x80:
        count = size & 0x7F
        if not 1 <= count <= 4:
            raise WireError("a length in no definite form", at)
        size = int.from_bytes(reader.take(count), "big")
    return tag, reader.restrict(size)


def _expect(reader: Reader, tag: int) -> Reader:
    at = reader.offset
    found, body = _get(reader)
    if found != tag:
        raise WireError(f"element {found:#04x} where {tag:#04x} is due", at)
    return body
