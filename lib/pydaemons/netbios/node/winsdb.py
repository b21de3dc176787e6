# SPDX-License-Identifier: GPL-3.0-or-later
"""The WINS server's names: one dictionary from wire form to a record's packed bytes. Read WinsDb, then _age.

A query looks its name up as it stands in the packet, whatever the number of names. What is known of one is
winsrecord's business; here is which names there are, how they age, and which changed.

Life of a name (RFC 1001 section 15.5.1 as NT's WINS extends it): active until it is released or expires; then
released for four days, in which nobody is told of it but its owner is remembered; then a tombstone for one
day, so that a partner hears of the end; then gone.

A server with partners (see replication) also counts versions: every change that partners must hear of gets
the next number. Without partners all this costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from pydaemons.netbios.codes import GROUP
from pydaemons.netbios.node.winsrecord import (
    HEAD,
    LOCAL,
    ORIGIN,
    STATE,
    UNSTAMPED,
    VERSIONED,
    Record,
    State,
    is_sound,
    kind_of,
    unpack,
)
from pydaemons.netbios.winsra import RecordKind

REPLICA_GONE_AFTER = 86400
MASTER = b"BL"
"""<1b> in half-ASCII, which is the end of a label."""
_SHORTEST = 34
"""Bytes of a name in wire form at least."""
_META = 5
"""Bytes of the keys under which the highest versions of owners are kept: a zero and the owner."""
A_SECOND = 1_000_000
"""Versions in a second: at each start they begin at the time of day, so that none is given twice. The last
rows may be missing after a power failure, or a whole database; partners have seen versions then that we
know nothing of, and a change under such a number they would never fetch."""
LEFT_OUT = 1_000_000
"""Versions left out at a start when the clock is wrong."""
TOMBSTONE_AFTER = 4 * 86400
DELETED_AFTER = 86400
SWEEP_EVERY = 20.0
SWEEP_CHUNK = 2000
"""Records looked at per tick: a sweep of 100 000 never holds an answer up for more than a millisecond."""
SWEEP_PAUSE = 0.1


class WinsDb:
    """All names, and which of them changed since the store last heard of it."""

    def __init__(self) -> None:
        self.records: dict[bytes, bytes] = {}
        """Never replaced: the packet path keeps it."""
        self.changed: dict[bytes, bytes | None] = {}
        """What the store must be told (see take_changed)."""
        self.revision = 0
        """Counts how often it was."""
        self.masters: dict[bytes, None] = {}
        """Names with the suffix <1b> that a host has, or had until a moment ago, in the order they came."""
        self.highest: dict[bytes, int] = {}
        """Owner -> highest version of its records known; LOCAL -> last number given."""
        self.by_version: dict[bytes, dict[int, bytes]] = {}
        """Owner -> version -> name, while versions are counted."""
        self.counting = False
        self.empty_handed = False
        """No name of ours had a number when counting began: a new server, or one that lost its database."""
        self._first = 1
        """The first version given by this process."""
        self._sweep: Iterator[bytes] | None = None
        self._sweep_at: float | None = None

    def __len__(self) -> int:
        return len(self.records)

    def load(self, rows: dict[bytes, bytes]) -> int:
        """Start with what the store kept; how many rows were no records. They are left out, or every sweep
        would stumble over them."""
        for key in [key for key in rows if len(key) == _META]:
            self.highest[key[1:]] = int.from_bytes(rows.pop(key), "big")
        lost = [key for key, row in rows.items() if len(key) < _SHORTEST or not is_sound(row)]
        for key in lost:
            del rows[key]
        self.records.update(rows)
        for wire, packed in rows.items():
            if wire[31:33] == MASTER:
                self._note_master(wire, packed)
        return len(lost)

    def find(self, wire: bytes) -> Record | None:
        """The record, in any state."""
        packed = self.records.get(wire)
        return None if packed is None else unpack(packed)

    def find_live(self, wire: bytes, wall: float) -> Record | None:
        """The record if it is active now. One whose time is up counts as released even before a sweep says
        so."""
        packed = self.records.get(wire)
        if packed is None or packed[0] & STATE != State.ACTIVE:
            return None
        record = unpack(packed)
        return record if record.expires > wall else None

    def keep(self, wire: bytes, record: Record) -> None:
        """Keep a record, new or changed; one of ours gets a version if anybody counts."""
        self._put(wire, (self._stamp(wire, record) if self.counting else record).pack())

    def put(self, wire: bytes, packed: bytes) -> None:
        """The same for a packed record: the frequent one, without partners."""
        if self.counting:
            packed = self._stamp(wire, unpack(packed)).pack()
        self._put(wire, packed)

    def _put(self, wire: bytes, packed: bytes) -> None:
        self.records[wire] = packed
        self.changed[wire] = packed
        if wire[31:33] == MASTER:
            self._note_master(wire, packed)

    def _note_master(self, wire: bytes, packed: bytes) -> None:
        first, flags, _ = HEAD.unpack_from(packed)
        if first & STATE or flags & GROUP:
            self.masters.pop(wire, None)
        else:
            self.masters[wire] = None

    def take_changed(self) -> dict[bytes, bytes | None]:
        """What changed since this was last asked."""
        changed = self.changed
        if changed:
            self.changed = {}
            self.revision += 1
        return changed

    def delete(self, wire: bytes) -> bool:
        """Forget a name at once."""
        packed = self.records.pop(wire, None)
        if packed is None:
            return False
        if self.counting:
            self._unlist(wire, unpack(packed))
        self.changed[wire] = None
        self.masters.pop(wire, None)
        return True

    def release(self, wire: bytes, record: Record, wall: float) -> None:
        """End a name's active time; its members stay known."""
        self.keep(
            wire,
            record._replace(
                state=State.RELEASED, expires=int(wall) + TOMBSTONE_AFTER, owner=LOCAL, version=0
            ),
        )

    # ---- versions

    def count(self, wall: float) -> None:
        """Number changes from now on, and all records that have no number."""
        if self.counting:
            return
        self.counting = True
        versioned, others = [], []
        for wire, packed in self.records.items():
            if packed[0] & VERSIONED:
                owner, version = ORIGIN.unpack_from(packed, HEAD.size)
                versioned.append((version, owner, wire))
            else:
                others.append(wire)
        # how far others are known their rows tell: where a pull was cut short, lower versions are missing
        for version, owner, wire in sorted(versioned):
            self.by_version.setdefault(owner, {})[version] = wire
        given = max(self.highest.get(LOCAL, 0), *self.by_version.get(LOCAL, ()), 0)
        self.raise_version(LOCAL, max(given + LEFT_OUT if given else 0, int(wall) * A_SECOND))
        self._first = given + 1
        self.empty_handed = not given
        for wire in others:
            self.put(wire, self.records[wire])

    def outnumber(self, version: int) -> None:
        """A partner has seen this version of ours, and we have not come so far: our database was lost. What
        was numbered since is numbered anew, or that partner would never ask for it."""
        if version <= self.highest.get(LOCAL, 0):
            return
        again = self.of_owner(LOCAL, self._first, version)
        self.raise_version(LOCAL, version)
        for _, wire in again:
            record = self.find(wire)
            if record is not None:
                self.keep(wire, record._replace(version=self.next_version()))

    def next_version(self) -> int:
        """A number no record of ours ever had."""
        version = self.highest.get(LOCAL, 0) + 1
        self.raise_version(LOCAL, version)
        return version

    def raise_version(self, owner: bytes, version: int) -> None:
        """Versions of this owner up to that one are known (LOCAL: were given)."""
        if version > self.highest.get(owner, 0):
            self.highest[owner] = version
            self.changed[b"\0" + owner] = version.to_bytes(8, "big")

    def of_owner(self, owner: bytes, lowest: int, highest: int) -> list[tuple[int, bytes]]:
        """Versions and names of an owner's records in a range of versions, in their order."""
        listed = self.by_version.get(owner, {})
        found = []
        for version in reversed(listed):
            if version < lowest and owner == LOCAL:
                break  # ours were listed as they were numbered; what partners tell comes in any order
            if lowest <= version <= highest:
                found.append((version, listed[version]))
        found.sort()
        return found

    def ends_before(self, owner: bytes, wall: float) -> bool:
        """Has an owner an active record that ends before then?"""
        for wire in self.by_version.get(owner, {}).values():
            packed = self.records.get(wire)
            if packed is not None and packed[0] & STATE == State.ACTIVE:
                _, _, expires = HEAD.unpack_from(packed)
                if expires < wall:
                    return True
        return False

    def forget_owner(self, owner: bytes) -> int:
        """Drop all records of an owner that is no longer there; how many."""
        names = list(self.by_version.get(owner, {}).values())
        for wire in names:
            self.delete(wire)
        self.by_version.pop(owner, None)
        if self.highest.pop(owner, None) is not None:
            self.changed[b"\0" + owner] = None
        return len(names)

    def _stamp(self, wire: bytes, record: Record) -> Record:
        """A record of ours with its version: a new one if partners must hear of the change."""
        before = self.records.get(wire)
        old = None if before is None else unpack(before)
        if not record.version:
            ours = old is not None and old.owner == LOCAL and old.version
            kind = record.kind if record.kind == RecordKind.SPECIAL_GROUP else UNSTAMPED
            if old is not None and record.group and old.kind == RecordKind.SPECIAL_GROUP:
                kind = old.kind
            record = record._replace(kind=kind)
            record = record._replace(kind=kind_of(wire, record), owner=LOCAL)
            if old is not None and ours and (record.state == State.RELEASED or _same(old, record)):
                version = old.version
            else:
                version = self.next_version()
            record = record._replace(version=version)
        if old is not None and (old.version, old.owner) != (record.version, record.owner):
            self._unlist(wire, old)  # else it keeps its place: of_owner reads from the end
        self.by_version.setdefault(record.owner, {})[record.version] = wire
        return record

    def _unlist(self, wire: bytes, record: Record) -> None:
        listed = self.by_version.get(record.owner)
        if listed is not None and listed.get(record.version) == wire:
            del listed[record.version]

    # ---- time

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
        first, _, expires = HEAD.unpack_from(packed)
        if expires > wall:
            return False
        state = first & STATE
        record = unpack(packed)
        if record.owner != LOCAL:
            # a replica nobody has confirmed: its owner is gone, or it is and we did not hear of it
            if state == State.ACTIVE:
                ends = int(wall) + REPLICA_GONE_AFTER
                self.keep(wire, record._replace(state=State.TOMBSTONE, expires=ends))
                return True
            self.delete(wire)
            return False
        match state:
            case State.ACTIVE:
                self.release(wire, record, wall)
                return True
            case State.RELEASED:
                ends = int(wall) + DELETED_AFTER
                self.keep(wire, record._replace(state=State.TOMBSTONE, expires=ends, version=0))
            case _:
                self.delete(wire)
        return False


def _same(old: Record, new: Record) -> bool:
    """Is there nothing in the change that a partner has to know?"""
    return (
        old.state == new.state
        and old.flags == new.flags
        and old.kind == new.kind
        and old.static == new.static
        and {(m.address, m.owner) for m in old.members} == {(m.address, m.owner) for m in new.members}
    )
