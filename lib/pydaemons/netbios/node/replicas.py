# SPDX-License-Identifier: GPL-3.0-or-later
"""Records that partners told, taken into the database. Read Replicas.take; conflict says which record counts.

A host of ours that a partner knows with other addresses is asked (a challenge), and a host that lost its name
to a group is told to give it up (a release demand). Neither is waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

from pydaemons.engine.effects import Level
from pydaemons.engine.protocol import Address, Now
from pydaemons.netbios import name, nspacket
from pydaemons.netbios.codes import GROUP, Opcode
from pydaemons.netbios.node.conflict import GROUPS, Action, addresses, decide, merge_groups, merge_hosts
from pydaemons.netbios.node.events import WINS_TAKEN_OVER, Say
from pydaemons.netbios.node.exchange import Exchanges
from pydaemons.netbios.node.tunables import NetbiosTunables
from pydaemons.netbios.node.winsdb import DELETED_AFTER, LOCAL, Member, Record, State, WinsDb, kind_of
from pydaemons.netbios.nspacket import Nb, Packet
from pydaemons.netbios.winsra import NameRecord, OwnedAddress, RecordKind, RecordState
from pydaemons.wire.errors import WireError

TRIES = 3
ASKED_ADDRESSES = 3
PENDING = 1024
"""Challenges at once; further replicas that would need one are not taken, and come again changed or never."""
_SHIFT = 13
"""Of the node type in NB flags."""


class Challenge:
    """A host of ours that is asked whether a partner's record of it is right."""

    __slots__ = ("held", "left", "replica", "wire")

    def __init__(self, wire: bytes, held: Record, replica: Record) -> None:
        self.wire = wire
        self.held = held
        self.replica = replica
        self.left = [member.address for member in held.members[:ASKED_ADDRESSES]]


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
        self._exchanges = exchanges
        self._tunables = tunables
        self._is_ours = is_ours
        self._is_refused = is_refused
        self._log = log
        self._asked: dict[bytes, Challenge] = {}

    def take(self, told: NameRecord, owner: bytes, now: Now) -> bool:
        """A record that `owner` owns, by whomever it was told; did it change anything?"""
        wire = name.key(told.name)
        replica = self._replica(told, owner, now)
        found = self.db.find(wire)
        if self._is_refused(wire) or wire in self._asked:
            self.kept += 1
            return False
        if found is None:
            if replica.kind == RecordKind.SPECIAL_GROUP and not replica.members:
                return False
            if len(self.db) >= self._tunables.max_names:
                self.kept += 1
                return False
            return self._put(wire, replica)
        held = found._replace(kind=kind_of(wire, found))
        if held.state == State.ACTIVE and held.expires <= now.wall:
            held = held._replace(state=State.RELEASED)
        ours = self._is_ours(wire) and held.state == State.ACTIVE
        if ours and held.kind != RecordKind.SPECIAL_GROUP and (not held.group or replica.kind not in GROUPS):
            self._insist(wire, held)
            return False
        match decide(held, replica, owner):
            case Action.KEEP:
                self.kept += 1
                if held.owner == LOCAL and held.state == State.ACTIVE and replica.state != State.ACTIVE:
                    self._insist(wire, held)
                return False
            case Action.REPLACE:
                return self._put(wire, replica)
            case Action.DEMAND:
                self._demand(wire, held.flags, sorted(addresses(held)), now)
                return self._put(wire, replica)
            case Action.MERGE:
                return self._put(wire, merge_groups(held, replica, owner))
            case Action.CHALLENGE:
                self._challenge(wire, held, replica, now)
                return False

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
            for each in told.addresses
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

    def _insist(self, wire: bytes, held: Record) -> None:
        """Ours counts, and partners shall hear of it: it gets a new version."""
        self.db.keep(wire, held._replace(owner=LOCAL, version=self.db.next_version()))

    # ---- asking our hosts

    def _challenge(self, wire: bytes, held: Record, replica: Record, now: Now) -> None:
        challenge = Challenge(wire, held, replica)
        if len(self._asked) >= PENDING or self._exchanges.full() or not challenge.left:
            self.kept += 1
            return
        self._asked[wire] = challenge
        self._ask(challenge, now)

    def _ask(self, challenge: Challenge, now: Now) -> None:
        host = ".".join(map(str, challenge.left.pop(0)))
        self._exchanges.start(
            lambda id_: nspacket.query(id_, challenge.wire, broadcast=False, recursion_desired=False),
            Address(host, self._exchanges.port),
            now,
            source=None,
            tries=TRIES,
            interval=float(self._tunables.challenge_timeout),
            on_answer=partial(self._answered, challenge),
            on_silence=partial(self._silent, challenge),
        )

    def _answered(self, challenge: Challenge, packet: Packet, host: str, now: Now) -> bool:
        listed: set[bytes] = set()
        for record in packet.answers:
            try:
                if record.name == challenge.wire:
                    listed |= {nb.address for nb in nspacket.unpack_nb(record.data)}
            except WireError:
                continue
        if packet.rcode or not listed:
            self._replace(challenge)
            return True
        wire, held, replica = challenge.wire, challenge.held, challenge.replica
        del self._asked[wire]
        if not addresses(replica) <= listed or not self._stands(challenge):
            self.kept += 1  # the host is not the one the partner knows
        elif addresses(held) <= listed:
            self._put(wire, merge_hosts(held, replica))
        else:
            # the host says itself that what we know is not so: it shall register anew
            self._demand(wire, held.flags, sorted(listed), now)
        return True

    def _silent(self, challenge: Challenge, now: Now) -> None:
        if challenge.left:
            self._ask(challenge, now)
        else:
            self._replace(challenge)

    def _replace(self, challenge: Challenge) -> None:
        del self._asked[challenge.wire]
        if not self._stands(challenge):
            return
        self._log(
            Level.NOTICE,
            f"WINS: {name.unpack(challenge.wire)} goes to the host a partner knows: its owner is gone",
            WINS_TAKEN_OVER,
        )
        self._put(challenge.wire, challenge.replica)

    def _stands(self, challenge: Challenge) -> bool:
        """Is the record still the one the host was asked about?"""
        record = self.db.find(challenge.wire)
        return record is not None and record.version == challenge.held.version and record.owner == LOCAL

    def _demand(self, wire: bytes, flags: int, hosts: Collection[bytes], now: Now) -> None:
        """Tell hosts to give a name up (RFC 1002 section 4.2.9)."""
        for address in hosts:
            if self._exchanges.full():
                return
            self._exchanges.start(
                partial(_release_of, wire, Nb(flags, address)),
                Address(".".join(map(str, address)), self._exchanges.port),
                now,
                source=None,
                tries=TRIES,
                interval=float(self._tunables.challenge_timeout),
                on_answer=lambda packet, host, now: True,
                on_silence=lambda now: None,
            )


def _release_of(wire: bytes, nb: Nb, id_: int) -> bytes:
    return nspacket.claim(Opcode.RELEASE, id_, wire, nb, ttl=0, broadcast=False, recursion_desired=False)
