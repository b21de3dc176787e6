# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lock manager writes down, so that a killed one's successor knows it all. Read
`Journal.take`; records.py has what can be said, replay.py reads it back.

Not the calls are kept but what came of them: a lock taken is a fact, whatever rules the next version has. A
fact is one packed record. Server and Grants note facts as they happen; `take` gives those of a batch, with
the answers that retransmissions must get again, to be appended before the answers leave. When the journal has
grown to more than it says, `snapshot` tells the same anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol
from zlib import crc32

from pydaemons.nlm.hosts import Host, Owner
from pydaemons.nlm.records import (
    EXCLUSIVE,
    FILE,
    GRACE,
    NUMBERED,
    PAIR,
    SHARED,
    TIME,
    UNLOCKED,
    Op,
    nothing_beneath,
    pack_address,
    pack_beneath,
    pack_host,
    pack_key,
    pack_owner,
    pack_range,
    pack_reply,
    pack_share,
    pack_together,
    pack_waiter,
)
from pydaemons.sunrpc.dupcache import ReplyCache

if TYPE_CHECKING:
    from pydaemons.nlm.grace import Grace
    from pydaemons.nlm.grants import Blocked, Grants, Request
    from pydaemons.nlm.locktable import LockTable
    from pydaemons.nlm.shares import Shares
    from pydaemons.nlm.waiters import Waiters

FLOOR = 4 << 20
"""Bytes that may be appended before a rewrite is worth the while,"""
GROWTH = 1.5
"""or this many times what the last one took. Journal and lock table together are to stay below 250 bytes for
a lock held."""
PART = 1 << 14
"""Bytes of a snapshot that are made, and written, at once: packets wait meanwhile."""


class State(Protocol):
    """What a snapshot tells (nlm.server.Server has it)."""

    grace: Grace
    table: LockTable[Owner]
    waiters: Waiters[Owner, Request]
    shares: Shares[tuple[Host, bytes]]
    grants: Grants

    @property
    def hosts(self) -> Iterable[Host]: ...


class Journal:
    """Facts on their way to the journal file. Each method notes one; the order is theirs."""

    __slots__ = ("_appended", "_base", "_grace", "_next", "_notes", "_numbers", "keys", "note")

    def __init__(self, keys: bytes = b"") -> None:
        self.keys = keys
        """How files are found in their handles; another journal's locks mean nothing if it is another way."""
        self._notes: list[bytes] = []
        self.note = self._notes.append
        """Note a lock taken or bytes freed: what `pack_range` makes of it, of an owner that is noted."""
        self._numbers: dict[str, int] = {}
        self._next = 1
        self._grace: tuple[bool, float | None] = (False, None)
        self._appended = 0
        self._base = 0

    # -- the packet path

    def locked(self, owner: Owner, file: bytes, start: int, end: int, exclusive: bool) -> None:
        """A lock was taken."""
        if not (owner.noted and owner.host.noted):
            self._introduce(owner)
        self.note(pack_range(EXCLUSIVE if exclusive else SHARED, owner, file, start, end))

    def unlocked(self, owner: Owner, file: bytes, start: int, end: int) -> None:
        """Bytes were freed."""
        self.note(pack_range(UNLOCKED, owner, file, start, end))

    def together(
        self, op: int, file: bytes, owners: Sequence[bytes], starts: Sequence[int], ends: Sequence[int]
    ) -> None:
        """Locks were taken, or bytes freed, by owners that are noted (`pack_owned` of each)."""
        self.note(pack_together(op, file, owners, starts, ends))

    # -- blocked locks

    def waits(self, blocked: Blocked) -> None:
        """It joined the queue, or is there with another way back."""
        owner = blocked.owner
        if not (owner.noted and owner.host.noted):
            self._introduce(owner)
        self._notes.append(pack_waiter(blocked))

    def cancelled(self, blocked: Blocked) -> None:
        """It left the queue without the lock."""
        self._notes.append(pack_key(Op.CANCELLED, blocked))

    def told(self, blocked: Blocked) -> None:
        """It left the queue with the lock, and its client is being told."""
        self.locked(blocked.owner, blocked.file, blocked.start, blocked.end, blocked.exclusive)
        self._notes.append(pack_key(Op.TOLD, blocked))
        if blocked.beneath != nothing_beneath(blocked):
            self.beneath(blocked)

    def beneath(self, blocked: Blocked) -> None:
        """A refusal would give its bytes back as this says."""
        self._notes.append(pack_beneath(blocked))

    def settled(self, blocked: Blocked) -> None:
        """Its client is told no more."""
        self._notes.append(pack_key(Op.SETTLED, blocked))

    # -- shares

    def shared(self, host: Host, file: bytes, oh: bytes, access: int, deny: int) -> None:
        """A share was granted."""
        self.host(host)
        self._notes.append(pack_share(Op.SHARE, host, file, oh, access << 2 | deny))

    def unshared(self, host: Host, file: bytes, oh: bytes, access: int, deny: int) -> None:
        """A share was given back."""
        self._notes.append(pack_share(Op.UNSHARE, host, file, oh, access << 2 | deny))

    # -- many at once

    def dropped(self, owners: Iterable[Owner]) -> None:
        """All that these hold and wait for is void. Those never noted have nothing."""
        pairs = [PAIR.pack(owner.host.number, owner.svid) for owner in owners if owner.host.number]
        for at in range(0, len(pairs), 10_000):
            some = pairs[at : at + 10_000]
            self._notes.append(NUMBERED.pack(Op.DROPPED, len(some)) + b"".join(some))

    def shares_dropped(self, host: Host) -> None:
        """All shares of a host are void."""
        if host.number:
            self._notes.append(NUMBERED.pack(Op.SHARES_DROPPED, host.number))

    def file_released(self, file: bytes) -> None:
        """All locks and shares on a file are void."""
        self._notes.append(FILE.pack(Op.FILE_RELEASED, len(file)) + file)

    def cleared(self) -> None:
        """Everything is void."""
        self._notes.append(bytes((Op.CLEARED,)))

    # -- hosts

    def host(self, host: Host) -> None:
        """Something about a client is not as it was noted."""
        if not host.noted:
            if not host.number:
                host.number = self._number(host.key)
            host.noted = True
            self._notes.append(pack_host(host))

    def gone(self, host: Host) -> None:
        """A client was forgotten."""
        if host.number:
            self._notes.append(NUMBERED.pack(Op.GONE, host.number))

    def forgotten(self, address: str | None) -> None:
        """The answers given to a host, or to all, mean nothing any more."""
        number = 0 if address is None else self._numbers.get(address)
        if number is not None:
            self._notes.append(NUMBERED.pack(Op.FORGOTTEN, number))

    def known(self, address: str, number: int) -> None:
        """A number given in the last life (replay)."""
        self._numbers[address] = number
        self._next = max(self._next, number + 1)

    # -- towards the file

    def take(self, cache: ReplyCache, grace: Grace) -> bytes:
        """What happened since the last time, and the answers given; empty when that is nothing."""
        notes = self._notes
        if grace.until != self._grace[1] or grace.active != self._grace[0]:
            self._grace = grace.active, grace.until
            notes.append(GRACE.pack(Op.GRACE, grace.active, grace.until or 0.0))
        if cache.fresh:
            fresh, cache.fresh = cache.fresh, []
            note, numbers, last = notes.append, self._numbers, None
            for kept in fresh:
                if kept.mono != last:
                    last = kept.mono
                    note(TIME.pack(Op.TIME, last))
                host = kept.peer.host
                number = numbers.get(host) or self._number(host)
                for data, reply in kept.pairs():
                    note(pack_reply(number, data[:4], crc32(data), reply))
        if not notes:
            return b""
        data = b"".join(notes)
        notes.clear()
        self._appended += len(data)
        return data

    @property
    def overgrown(self) -> bool:
        """Whether a snapshot would do it good."""
        return self._appended > FLOOR and self._appended > GROWTH * self._base

    def snapshot(self, state: State, cache: ReplyCache) -> Iterator[bytes]:
        """All that is true at this moment, in parts, to be taken while the lock manager goes on. What is
        noted from now on goes behind it, and where it went before as well."""
        from pydaemons.nlm.snapshot import frozen  # noqa: PLC0415  # it knows the records from here

        self._notes.clear()
        cache.fresh = []
        self._grace = state.grace.active, state.grace.until
        self._appended = 0
        # what is said of a client that is forgotten introduces it anew
        numbers = {host.key: host.number for host in state.hosts if host.number}
        known = self._numbers
        numbers.update((address, known[address]) for address in cache.hosts() if address in known)
        self._numbers = numbers
        for address in cache.hosts() - numbers.keys():
            self._number(address)
        return self._parts(frozen(state, cache, self._numbers, self.keys))

    def _parts(self, records: Callable[[], Iterator[bytes]]) -> Iterator[bytes]:
        part: list[bytes] = []
        size = base = 0
        for record in records():
            part.append(record)
            size += len(record)
            if size >= PART:
                base += size
                yield b"".join(part)
                part, size = [], 0
        self._base = base + size
        yield b"".join(part)

    def _number(self, address: str) -> int:
        number = self._numbers.get(address)
        if number is None:
            number = self._numbers[address] = self._next
            self._next += 1
            self._notes.append(pack_address(address, number))
        return number

    def _introduce(self, owner: Owner) -> None:
        host = owner.host
        self.host(host)
        if not owner.noted:
            owner.noted = True
            self._notes.append(pack_owner(owner))
