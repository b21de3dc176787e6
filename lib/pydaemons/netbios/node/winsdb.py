# SPDX-License-Identifier: GPL-3.0-or-later
"""The WINS server's names: one dictionary from wire form to a few packed bytes. Read Record first.

A query looks its name up as it stands in the packet, whatever the number of names. Records are packed bytes
and not objects: at 100 000 names that is a third of the memory, and nothing the garbage collector has to
walk. The packed form is also what the store on disk keeps.

Life of a name (RFC 1001 section 15.5.1 as NT's WINS extends it): active until it is released or expires; then
released for four days, in which nobody is told of it but its owner is remembered; then a tombstone for one
day, so that a partner would hear of the end; then gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from itertools import islice
from struct import Struct
from typing import NamedTuple

from pydaemons.netbios import name
from pydaemons.netbios.codes import GROUP, Suffix
from pydaemons.wire.errors import WireError

HEAD = Struct(">BHI")
MEMBER = Struct(">4sI")
TOMBSTONE_AFTER = 4 * 86400
DELETED_AFTER = 86400
SWEEP_EVERY = 20.0
SWEEP_CHUNK = 2000
"""Records looked at per tick: a sweep of 100 000 never holds an answer up for more than a millisecond."""
SWEEP_PAUSE = 0.1


class State(IntEnum):
    """The first byte of a record."""

    ACTIVE = 0
    RELEASED = 1
    TOMBSTONE = 2


class Member(NamedTuple):
    """One address of a name and when its registration ends (wall clock seconds)."""

    address: bytes
    expires: int


class Record(NamedTuple):
    """What is known of one name."""

    state: int
    flags: int
    expires: int
    """Wall clock seconds at which the state ends; of an active name, when its last member does."""
    members: tuple[Member, ...]

    @property
    def group(self) -> bool:
        """A group, internet groups included."""
        return self.flags & GROUP != 0

    def has(self, address: bytes) -> bool:
        """Is the address one of the members?"""
        return any(member.address == address for member in self.members)

    def pack(self) -> bytes:
        """The stored form."""
        return HEAD.pack(self.state, self.flags, self.expires) + b"".join(
            [MEMBER.pack(*member) for member in self.members]
        )


def unpack(packed: bytes) -> Record:
    """The inverse of Record.pack; WireError for anything else (a store that was tampered with)."""
    if len(packed) < HEAD.size or (len(packed) - HEAD.size) % MEMBER.size:
        raise WireError("not a WINS record", 0)
    state, flags, expires = HEAD.unpack_from(packed)
    members = tuple(map(Member._make, MEMBER.iter_unpack(packed[HEAD.size :])))
    return Record(state, flags, expires, members)


class WinsDb:
    """All names, and which of them changed since the store last heard of it."""

    def __init__(self) -> None:
        self.records: dict[bytes, bytes] = {}
        self.changed: dict[bytes, bytes | None] = {}
        """What the store must be told; emptied by whoever tells it."""
        self.masters: dict[bytes, None] = {}
        """Names with the suffix <1b>, whatever their state, in the order they came."""
        self._sweep: Iterator[bytes] | None = None
        self._sweep_at: float | None = None

    def __len__(self) -> int:
        return len(self.records)

    def load(self, records: dict[bytes, bytes]) -> None:
        """Start with what the store kept."""
        self.records = records
        self.masters = dict.fromkeys(wire for wire in records if name.suffix_of(wire) == Suffix.DOMAIN_MASTER)

    def find(self, wire: bytes) -> Record | None:
        """The record, in any state."""
        packed = self.records.get(wire)
        return None if packed is None else unpack(packed)

    def find_live(self, wire: bytes, wall: float) -> Record | None:
        """The record if it is active now. One whose time is up counts as released even before a sweep says
        so."""
        packed = self.records.get(wire)
        if packed is None or packed[0] != State.ACTIVE:
            return None
        record = unpack(packed)
        return record if record.expires > wall else None

    def put(self, wire: bytes, packed: bytes) -> None:
        """Keep a record, new or changed."""
        self.records[wire] = packed
        self.changed[wire] = packed
        if wire[31:33] == b"BL":  # <1b> in half-ASCII
            self.masters[wire] = None

    def delete(self, wire: bytes) -> bool:
        """Forget a name at once."""
        if self.records.pop(wire, None) is None:
            return False
        self.changed[wire] = None
        self.masters.pop(wire, None)
        return True

    def release(self, wire: bytes, record: Record, wall: float) -> None:
        """End a name's active time; its members stay known."""
        ended = Record(State.RELEASED, record.flags, int(wall) + TOMBSTONE_AFTER, record.members)
        self.put(wire, ended.pack())

    def deadline(self) -> float | None:
        """When the next piece of a sweep is due."""
        return self._sweep_at if self.records else None

    def tick(self, mono: float, wall: float) -> list[bytes]:
        """Sweep on, if it is time; names that expired come back."""
        if self._sweep_at is None:
            self._sweep_at = mono + SWEEP_EVERY
            return []
        if mono < self._sweep_at:
            return []
        if self._sweep is None:
            self._sweep = iter(list(self.records))
        chunk = list(islice(self._sweep, SWEEP_CHUNK))
        if len(chunk) < SWEEP_CHUNK:
            self._sweep = None
            self._sweep_at = mono + SWEEP_EVERY
        else:
            self._sweep_at = mono + SWEEP_PAUSE
        return [wire for wire in chunk if self._age(wire, wall)]

    def _age(self, wire: bytes, wall: float) -> bool:
        """Take a record to its next state if its time is up; did its active time end?"""
        packed = self.records.get(wire)
        if packed is None:
            return False
        state, flags, expires = HEAD.unpack_from(packed)
        if expires > wall:
            return False
        match state:
            case State.ACTIVE:
                self.release(wire, unpack(packed), wall)
                return True
            case State.RELEASED:
                self.put(wire, HEAD.pack(State.TOMBSTONE, flags, int(wall) + DELETED_AFTER) + packed[7:])
            case _:
                self.delete(wire)
        return False
