# SPDX-License-Identifier: GPL-3.0-or-later
"""What a WINS server keeps of one name, and its packed form. Read Record.

Records are kept packed: at 100 000 names that is a third of the memory of objects, and nothing the garbage
collector has to walk. The same bytes are in the store on disk. The form with owner and version is that of
servers with partners (see replication); a record without them costs what it did.
"""

from __future__ import annotations

from enum import IntEnum
from itertools import starmap
from struct import Struct
from typing import NamedTuple

from pydaemons.netbios import name
from pydaemons.netbios.codes import GROUP, Suffix
from pydaemons.netbios.winsra import RecordKind
from pydaemons.wire.errors import WireError

HEAD = Struct(">BHI")
MEMBER = Struct(">4sI")
ORIGIN = Struct(">4sQ")
"""Owner and version of a record that has them, behind the head; its members are longer then."""
OWNED_MEMBER = Struct(">4sI4s")
ONE_OWNER = Struct(">BHI4sI")
"""Head and member in one: the whole record of a name with one address."""
ONE_SIZE = ONE_OWNER.size
VERSIONED_OWNER = Struct(">BHI4sQ4sI4s")
ONE_VERSIONED = 0x80
"""The same on a server with partners, and the first byte of one that is active."""
LOCAL = bytes(4)
"""The owner that is this server, whatever its address is."""
STATE, VERSIONED = 0x03, 0x80
_KIND, _STATIC = 0x30, 0x40
"""Bits of a record's first byte."""
UNSTAMPED = -1
"""The kind of a record that has no version yet."""


class State(IntEnum):
    """The state of a record."""

    ACTIVE = 0
    RELEASED = 1
    TOMBSTONE = 2


class Member(NamedTuple):
    """One address of a name and when its registration ends (wall clock seconds)."""

    address: bytes
    expires: int
    owner: bytes = LOCAL
    """The server it was registered with."""


class Record(NamedTuple):
    """What is known of one name."""

    state: int
    flags: int
    expires: int
    """Wall clock seconds at which the state ends; of an active name, when its last member does."""
    members: tuple[Member, ...]
    kind: int = UNSTAMPED
    owner: bytes = LOCAL
    version: int = 0
    """0: none; what is put so gets one if anybody counts."""
    static: bool = False

    @property
    def group(self) -> bool:
        """A group, internet groups included."""
        return self.flags & GROUP != 0

    def has(self, address: bytes) -> bool:
        """Is the address one of the members?"""
        return any(member.address == address for member in self.members)

    def pack(self) -> bytes:
        """The stored form. A record without a version forgets all that only partners want to know."""
        if not self.version:
            return HEAD.pack(self.state, self.flags, self.expires) + b"".join(
                [MEMBER.pack(member.address, member.expires) for member in self.members]
            )
        first = self.state | self.kind << 4 | (_STATIC if self.static else 0) | VERSIONED
        return b"".join(
            [
                HEAD.pack(first, self.flags, self.expires),
                ORIGIN.pack(self.owner, self.version),
                *[OWNED_MEMBER.pack(*member) for member in self.members],
            ]
        )


def unpack(packed: bytes) -> Record:
    """The inverse of Record.pack; WireError for anything else (a store that was tampered with)."""
    size = len(packed)
    if size < HEAD.size:
        raise WireError("not a WINS record", 0)
    first, flags, expires = HEAD.unpack_from(packed)
    if not first & VERSIONED:
        if (size - HEAD.size) % MEMBER.size or first > State.TOMBSTONE:
            raise WireError("not a WINS record", 0)
        return Record(first, flags, expires, tuple(starmap(Member, MEMBER.iter_unpack(packed[HEAD.size :]))))
    at = HEAD.size + ORIGIN.size
    if size < at or (size - at) % OWNED_MEMBER.size:
        raise WireError("not a WINS record", 0)
    owner, version = ORIGIN.unpack_from(packed, HEAD.size)
    if not version or first & STATE == STATE or first & ~(STATE | _KIND | _STATIC | VERSIONED):
        raise WireError("not a WINS record", 0)
    members = tuple(starmap(Member, OWNED_MEMBER.iter_unpack(packed[at:])))
    kind = RecordKind((first & _KIND) >> 4)
    return Record(first & STATE, flags, expires, members, kind, owner, version, bool(first & _STATIC))


def is_sound(packed: bytes) -> bool:
    """Would `unpack` take it? At a fraction of the cost."""
    size = len(packed)
    if size < HEAD.size:
        return False
    first = packed[0]
    if not first & VERSIONED:
        return first <= State.TOMBSTONE and not (size - HEAD.size) % MEMBER.size
    try:
        unpack(packed)
    except WireError:
        return False
    return True


def kind_of(wire: bytes, record: Record) -> RecordKind:
    """What sort of name it is, to partners and to the rules."""
    if record.kind != UNSTAMPED:
        return RecordKind(record.kind)
    if record.group:
        internet = name.suffix_of(wire) == Suffix.DOMAIN_CONTROLLERS
        return RecordKind.SPECIAL_GROUP if internet else RecordKind.GROUP
    return RecordKind.MULTIHOMED if len(record.members) > 1 else RecordKind.UNIQUE
