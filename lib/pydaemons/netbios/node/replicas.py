# SPDX-License-Identifier: GPL-3.0-or-later
"""Records that partners told, taken into the database. Read Replicas.take; conflict says which record counts.

A host of ours that a partner knows with other addresses is asked (a challenge), and a host that lost its name
to a group is told to give it up (a release demand): both are put down with `inquiries` and not waited for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pydaemons.engine.effects import Level
from pydaemons.engine.protocol import Now
from pydaemons.netbios import name
from pydaemons.netbios.codes import GROUP
from pydaemons.netbios.node.conflict import GROUPS, Action, addresses, decide, merge_groups, merge_hosts
from pydaemons.netbios.node.events import WINS_TAKEN_OVER, Say
from pydaemons.netbios.node.exchange import Exchanges
from pydaemons.netbios.node.inquiries import Inquiries
from pydaemons.netbios.node.tunables import NetbiosTunables
from pydaemons.netbios.node.winsdb import DELETED_AFTER, WinsDb
from pydaemons.netbios.node.winsrecord import LOCAL, Member, Record, State, kind_of
from pydaemons.netbios.winsra import MOST_ADDRESSES, NameRecord, OwnedAddress, RecordKind, RecordState

INSIST_AFTER = 600.0
"""Seconds until partners are told once more that a name is ours."""
MOST_INSISTED = 10_000
_SHIFT = 13
"""Of the node type in NB flags."""


CHANGES = frozenset((Action.REPLACE, Action.DEMAND, Action.MERGE))


class Challenge:
    """A host of ours that is asked whether a partner's record of it is right."""

    __slots__ = ("held", "replica")

    def __init__(self, held: Record, replica: Record) -> None:
        self.held = held
        self.replica = replica


class Replicas:
    """What partners know. `is_ours` tells our own names, `is_refused` those nobody may have."""

    def __init__(
        self,
        db: WinsDb,
        exchanges: Exchanges,
        tunables: NetbiosTunables,
        *,
        is_ours: Callable[[bytes], bool],
        is_refused: Callable[[bytes], bool],
        log: Say,
    ) -> None:
        self.db = db
        self.address = LOCAL
        """By which partners know us."""
        self.taken = 0
        self.kept = 0
        """Replicas that were not taken: ours counts."""
        self.left_out = 0
        """Replicas for which there was no room."""
        self.inquiries = Inquiries(exchanges, tunables)
        self._tunables = tunables
        self._is_ours = is_ours
        self._is_refused = is_refused
        self._log = log
        self._challenged: dict[bytes, Challenge] = {}
        self._insisted: dict[bytes, float] = {}

    def take(self, told: NameRecord, owner: bytes, now: Now) -> bool:
        """A record that `owner` owns, by whomever it was told; did it change anything?"""
        wire = name.key(told.name)
        replica = self._replica(told, owner, now)
        if self._is_refused(wire):
            self.kept += 1
            return False
        found = self.db.find(wire)
        if found is None:
            if replica.kind == RecordKind.SPECIAL_GROUP and not replica.members:
                return False
            if len(self.db) >= self._tunables.max_names:
                self.left_out += 1
                return False
            return self._put(wire, replica)
        held = found._replace(kind=kind_of(wire, found))
        if held.state == State.ACTIVE and held.expires <= now.wall:
            held = held._replace(state=State.RELEASED)
        ours = self._is_ours(wire) and held.state == State.ACTIVE
        if ours and held.kind != RecordKind.SPECIAL_GROUP and (not held.group or replica.kind not in GROUPS):
            self._insist(wire, held, now)
            return False
        if held.owner == owner and replica.version < held.version:
            self.kept += 1  # a partner that is behind
            return False
        action = decide(held, replica, owner)
        challenge = self._challenged.get(wire)
        moot = action is Action.KEEP and challenge is not None and challenge.replica.owner == owner
        if moot or action in CHANGES:
            self._challenged.pop(wire, None)  # whatever the host answers now, it is about the past
        match action:
            case Action.KEEP:
                self.kept += 1
                if held.owner == LOCAL and held.state == State.ACTIVE and replica.state != State.ACTIVE:
                    self._insist(wire, held, now)
                return False
            case Action.REPLACE:
                return self._put(wire, replica)
            case Action.DEMAND:
                self.inquiries.demand(wire, held.flags, sorted(addresses(held)))
                return self._put(wire, replica)
            case Action.MERGE:
                return self._put(wire, merge_groups(held, replica, owner))
            case Action.CHALLENGE:
                self._challenge(wire, held, replica)
                return False

    def recover(self, told: NameRecord, now: Now) -> bool:
        """A record of our own as a partner knows it, after we lost our database; is it of use? Nobody knows
        how long its host may take to refresh it: at most so long as any."""
        wire = name.key(told.name)
        if told.state is not RecordState.ACTIVE or self._is_refused(wire) or self.db.find(wire) is not None:
            return False
        if len(self.db) >= self._tunables.max_names or not told.addresses:
            return False
        ends = int(now.wall) + self._tunables.max_wins_ttl
        record = self._replica(told, LOCAL, now)
        members = tuple(member._replace(expires=ends) for member in record.members)
        self.db.keep(wire, record._replace(expires=ends, members=members, version=0))
        return True

    def disputed(self) -> dict[bytes, int]:
        """Owner -> the lowest version of its replicas that hosts are still asked about."""
        found: dict[bytes, int] = {}
        for challenge in self._challenged.values():
            owner, version = challenge.replica.owner, challenge.replica.version
            found[owner] = min(version, found.get(owner, version))
        return found

    def drop_disputes(self) -> None:
        """Partners' word counts no longer."""
        self._challenged.clear()
        self.inquiries.clear()

    def told(self, wire: bytes, record: Record) -> NameRecord:
        """A record of the database as partners are told of it."""
        kind = kind_of(wire, record)
        members = tuple(
            OwnedAddress(self.address if member.owner == LOCAL else member.owner, member.address)
            for member in record.members
        )
        if kind in (RecordKind.UNIQUE, RecordKind.GROUP):
            members = (OwnedAddress(b"", members[0].address if members else LOCAL),)
        state = RecordState(record.state)
        node = record.flags >> _SHIFT & 3
        return NameRecord(name.unpack(wire), kind, state, node, record.static, record.version, members)

    def _replica(self, told: NameRecord, owner: bytes, now: Now) -> Record:
        active = told.state is RecordState.ACTIVE
        expires = int(now.wall) + (self._tunables.wins_verify_interval if active else DELETED_AFTER)
        members = tuple(
            Member(each.address, expires, LOCAL if each.owner == self.address else each.owner or owner)
            for each in told.addresses[:MOST_ADDRESSES]
        )
        return Record(
            State(told.state),
            (GROUP if told.kind in GROUPS else 0) | told.node << _SHIFT,
            expires,
            members,
            told.kind,
            owner,
            max(told.version, 1),
            told.static,
        )

    def _put(self, wire: bytes, record: Record) -> bool:
        self.taken += 1
        self.db.keep(wire, record)
        return True

    def _insist(self, wire: bytes, held: Record, now: Now) -> None:
        """Ours counts, and partners shall hear of it: it gets a new version. But not soon again: two servers
        that have one name for their own would never come to rest."""
        if len(self._insisted) > MOST_INSISTED:
            self._insisted.clear()
        if now.mono - self._insisted.get(wire, float("-inf")) < INSIST_AFTER:
            return
        self._insisted[wire] = now.mono
        self.db.keep(wire, held._replace(owner=LOCAL, version=self.db.next_version()))

    # ---- asking our hosts

    def _challenge(self, wire: bytes, held: Record, replica: Record) -> None:
        challenge = self._challenged.get(wire)
        if challenge is not None:
            challenge.held, challenge.replica = held, replica
            return
        challenge = self._challenged[wire] = Challenge(held, replica)
        self.inquiries.challenge(
            wire, [member.address for member in held.members], partial(self._answered, wire, challenge)
        )

    def _answered(self, wire: bytes, challenge: Challenge, listed: set[bytes], now: Now) -> None:
        """A host said which addresses it has; none: it is gone."""
        if self._challenged.get(wire) is not challenge:
            return  # what partners told since has settled it
        del self._challenged[wire]
        held, replica = challenge.held, challenge.replica
        record = self.db.find(wire)
        if record is None or (record.version, record.owner) != (held.version, LOCAL):
            self.kept += 1  # it registered anew meanwhile
        elif not listed:
            self._log(
                Level.NOTICE,
                f"WINS: {name.unpack(wire)} goes to the host a partner knows: its owner is gone",
                WINS_TAKEN_OVER,
            )
            self._put(wire, replica)
        elif not addresses(replica) <= listed:
            self.kept += 1  # the host is not the one the partner knows
        elif addresses(held) <= listed:
            self._put(wire, merge_hosts(held, replica))
        else:
            # the host says itself that what we know is not so: it shall register anew. Only addresses that
            # servers knew are told so, however many the answer has.
            self.kept += 1
            known = listed & (addresses(held) | addresses(replica))
            self.inquiries.demand(wire, held.flags, sorted(known))
            self.inquiries.start(now)
