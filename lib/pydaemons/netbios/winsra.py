# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages between WINS servers, after [MS-WINSRA]: who has which versions of whose names, and the names.

Read Message, then unpack and pack, which are inverse. A message stands in a TCP stream behind its length
(four bytes, which this module neither reads nor writes). Everything is big-endian but two counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from struct import Struct
from typing import NamedTuple

from pydaemons.netbios.name import Name
from pydaemons.wire.enums import OpenEnum
from pydaemons.wire.errors import WireError

PORT = 42
OPCODE = 0x7800
"""Bits every message of Windows has (section 2.2.2); a peer that sets them has its context checked."""
MAJOR, MINOR = 5, 2
"""The version Windows 2000 and later speak; NT 4 says 1.1 and is spoken to all the same."""
START_PADDING = bytes(21)
STOP_PADDING = bytes(24)
STOPPED, STOPPED_BY_ERROR = 0, 4
"""Why an association ends (section 2.2.5)."""

_HEAD = Struct(">III")
_START = Struct(">IHH")
_OWNER = Struct(">4sQQI")
_RECORD = Struct(">I")
_FIXED = Struct(">IBxxxQ")
_LONGEST_NAME = 16 + 255
LONGEST_SCOPE = 237
"""Bytes of a scope that are kept, as Windows does."""
_RESERVED = b"\xff\xff\xff\xff"
_SWAPPED = 0x1B
_REPLICATION = (3).to_bytes(4, "big")
MOST_OWNERS = 4096
"""Owners in a table; a network has a handful."""
MOST_ADDRESSES = 25
"""Addresses of one name, as Windows has it; further ones are not read."""


class Kind(OpenEnum):
    """What a message is (section 2.2.2)."""

    START = 0
    START_REPLY = 1
    STOP = 2
    REPLICATION = 3


class Command(OpenEnum):
    """What a replication message is (section 2.2.6 and on)."""

    TABLE_QUERY = 0
    TABLE_REPLY = 1
    NAMES_REQUEST = 2
    NAMES_REPLY = 3
    UPDATE = 4
    """Come and get what is new, over this connection."""
    UPDATE_ON = 5
    """The same, and tell your partners."""
    INFORM = 8
    """Something is new: get it over a connection of your own; this one stays."""
    INFORM_ON = 9


TABLES = frozenset(
    (Command.TABLE_REPLY, Command.UPDATE, Command.UPDATE_ON, Command.INFORM, Command.INFORM_ON)
)


class RecordKind(IntEnum):
    """What sort of name a record is (section 2.2.10.1)."""

    UNIQUE = 0
    GROUP = 1
    SPECIAL_GROUP = 2
    MULTIHOMED = 3


class RecordState(IntEnum):
    """Its state. Released records stay at home."""

    ACTIVE = 0
    RELEASED = 1
    TOMBSTONE = 2


class Owner(NamedTuple):
    """Whose records, of which versions."""

    address: bytes
    highest: int
    lowest: int = 0


class OwnedAddress(NamedTuple):
    """An address of a name, and the server it was registered with."""

    owner: bytes
    address: bytes


class NameRecord(NamedTuple):
    """A name as one server tells another. Of unique names and groups only the address travels: it belongs to
    the owner who was asked for, and stands here with an empty owner."""

    name: Name
    kind: RecordKind
    state: RecordState
    node: int
    """0 to 3: B, P, M, H."""
    static: bool
    version: int
    addresses: tuple[OwnedAddress, ...]


class Start(NamedTuple):
    """Begin an association; also the answer to that."""

    context: int
    """By which the sender wants to be addressed."""
    major: int = MAJOR
    minor: int = MINOR


class Message(NamedTuple):
    """One message. `body` is what `kind` and `command` say: Start, the reason of a stop, the owners of a
    table, the Owner of a request, or names."""

    kind: int
    context: int
    """The receiver's, as it said in its Start."""
    body: Start | int | tuple[Owner, ...] | Owner | tuple[NameRecord, ...] | None
    command: int = 0
    opcode: int = OPCODE


def start(context: int, ours: int, *, reply: bool = False) -> Message:
    """Begin, or agree to, an association."""
    return Message(Kind.START_REPLY if reply else Kind.START, context, Start(ours))


def stop(context: int, reason: int = STOPPED) -> Message:
    """End one."""
    return Message(Kind.STOP, context, reason)


def replication(
    command: int, context: int, body: tuple[Owner, ...] | Owner | tuple[NameRecord, ...] | None = None
) -> Message:
    """Any other message."""
    return Message(Kind.REPLICATION, context, body, command)


def unpack(data: bytes) -> Message:
    """A message, or WireError. Bytes behind it are padding."""
    if len(data) < _HEAD.size:
        raise WireError("shorter than a header", len(data))
    opcode, context, kind = _HEAD.unpack_from(data)
    match kind:
        case Kind.START | Kind.START_REPLY:
            _want(data, 12, _START.size)
            theirs, minor, major = _START.unpack_from(data, 12)
            return Message(kind, context, Start(theirs, major, minor), 0, opcode)
        case Kind.STOP:
            _want(data, 12, 4)
            return Message(kind, context, int.from_bytes(data[12:16], "big"), 0, opcode)
        case Kind.REPLICATION:
            _want(data, 12, 4)
            command = data[15]  # the three bytes before it are reserved
            return Message(kind, context, _unpack_body(command, data), command, opcode)
        case _:
            raise WireError(f"a message of unknown kind {kind}", 8)


def pack(message: Message) -> bytes:
    """The inverse of unpack."""
    head = _HEAD.pack(message.opcode, message.context, message.kind)
    body = message.body
    if isinstance(body, Start):
        return head + _START.pack(body.context, body.minor, body.major) + START_PADDING
    if isinstance(body, int):
        return head + body.to_bytes(4, "big") + STOP_PADDING
    parts = [head, message.command.to_bytes(4, "big")]
    if isinstance(body, Owner):
        parts.append(_OWNER.pack(*body, 0))
    elif message.command in TABLES:
        owners: tuple[Owner, ...] = body or ()  # type: ignore[assignment]
        parts.append(len(owners).to_bytes(4, "big"))
        parts += [_OWNER.pack(*owner, 1) for owner in owners]
        parts.append(bytes(4))
    elif message.command == Command.NAMES_REPLY:
        records: tuple[NameRecord, ...] = body or ()  # type: ignore[assignment]
        return names_reply(message.context, list(map(pack_record, records)), message.opcode)
    return b"".join(parts)


def names_reply(context: int, packed: list[bytes], opcode: int = OPCODE) -> bytes:
    """A names reply out of packed records."""
    head = _HEAD.pack(opcode, context, Kind.REPLICATION)
    command = Command.NAMES_REPLY.to_bytes(4, "big")
    return b"".join([head, command, len(packed).to_bytes(4, "big"), *packed])


def pack_record(record: NameRecord) -> bytes:
    """One name."""
    label, scope = record.name
    if label[15] == _SWAPPED:
        # Windows has the first byte and the suffix of these change places, and so has everybody
        label = label[15:] + label[1:15] + label[:1]
    named = label + scope + b"\0"
    flags = record.kind | record.state << 2 | record.node << 5 | (0x80 if record.static else 0)
    grouped = record.kind in (RecordKind.GROUP, RecordKind.SPECIAL_GROUP)
    parts = [
        _RECORD.pack(len(named)),
        named,
        bytes(4 - len(named) % 4),  # one to four bytes: never none
        _FIXED.pack(flags, grouped, record.version),
    ]
    if record.kind in (RecordKind.UNIQUE, RecordKind.GROUP):
        parts.append(record.addresses[0].address if record.addresses else bytes(4))
    else:
        parts.append(len(record.addresses).to_bytes(4, "little"))
        parts += [part for pair in record.addresses for part in pair]
    parts.append(_RESERVED)
    return b"".join(parts)


def _unpack_body(command: int, data: bytes) -> tuple[Owner, ...] | Owner | tuple[NameRecord, ...] | None:
    if command in TABLES:
        _want(data, 16, 4)
        count = int.from_bytes(data[16:20], "big")
        if count > MOST_OWNERS:
            raise WireError(f"{count} owners announced", 16)
        _want(data, 20, count * _OWNER.size)
        return tuple(Owner(*_OWNER.unpack_from(data, 20 + at * _OWNER.size)[:3]) for at in range(count))
    if command == Command.NAMES_REQUEST:
        _want(data, 16, _OWNER.size)
        return Owner(*_OWNER.unpack_from(data, 16)[:3])
    if command == Command.NAMES_REPLY:
        return tuple(names_in(data))
    if command == Command.TABLE_QUERY:
        return None
    raise WireError(f"an unknown command {command}", 12)


def is_names_reply(data: bytes) -> bool:
    """Is it a names reply? They can be long: `names_in` reads them bit by bit."""
    return len(data) >= 16 and data[8:12] == _REPLICATION and data[15] == Command.NAMES_REPLY


def names_in(data: bytes) -> Iterator[NameRecord]:
    """The names of a names reply as they are wanted; WireError where the first wrong one stands."""
    _want(data, 16, 4)
    at = 20
    for _ in range(int.from_bytes(data[16:20], "big")):  # a wrong count runs out of bytes soon
        record, at = _unpack_record(data, at)
        yield record


def _unpack_record(data: bytes, at: int) -> tuple[NameRecord, int]:
    _want(data, at, 4)
    size = int.from_bytes(data[at : at + 4], "big")
    if not 16 <= size <= _LONGEST_NAME:
        raise WireError(f"a name of {size} bytes", at)
    at += 4
    _want(data, at, size)
    label, scope = data[at : at + 16], data[at + 16 : at + size].partition(b"\0")[0][:LONGEST_SCOPE]
    if label[0] == _SWAPPED:
        label = label[15:] + label[1:15] + label[:1]
    at += size + 4 - size % 4
    _want(data, at, _FIXED.size)
    flags, _, version = _FIXED.unpack_from(data, at)
    at += _FIXED.size
    if flags >> 2 & 3 == 3:
        raise WireError("a record in a state nobody has defined", at)
    kind = RecordKind(flags & 3)
    addresses: tuple[OwnedAddress, ...]
    if kind in (RecordKind.UNIQUE, RecordKind.GROUP):
        _want(data, at, 8)
        addresses = (OwnedAddress(b"", data[at : at + 4]),)
        at += 8
    else:
        _want(data, at, 4)
        count = int.from_bytes(data[at : at + 4], "little")
        at += 4
        _want(data, at, 8 * count + 4)
        addresses = tuple(
            OwnedAddress(data[here : here + 4], data[here + 4 : here + 8])
            for here in range(at, at + 8 * min(count, MOST_ADDRESSES), 8)
        )
        at += 8 * count + 4
    record = NameRecord(
        Name(label, scope),
        kind,
        RecordState(flags >> 2 & 3),
        flags >> 5 & 3,
        bool(flags & 0x80),
        version,
        addresses,
    )
    return record, at


def _want(data: bytes, at: int, size: int) -> None:
    if at + size > len(data):
        raise WireError("a message is cut short", len(data))
