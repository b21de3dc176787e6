# SPDX-License-Identifier: GPL-3.0-or-later
"""The WINS server: who gets which name, after RFC 1001 section 15.5 and RFC 1002 section 5.1.4, with the
answers Windows and Samba clients are used to. Read WinsServer.claim, then `_register`.

Every change is in the database, and through StoreNames on disk, before its answer leaves. A name somebody has
is not given away on request: its owner is asked first (challenges). Queries are answered by winsqueries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pydaemons.engine.effects import Effect, Level, Reply
from pydaemons.engine.protocol import Now
from pydaemons.netbios import name
from pydaemons.netbios.codes import GROUP, MEANINGS, NODE_MASK, Opcode, Rcode, Suffix
from pydaemons.netbios.node.challenges import Challenges
from pydaemons.netbios.node.claim import Claim
from pydaemons.netbios.node.events import WINS_DEFENDED, WINS_REFUSED_NAME, WINS_TAKEN_OVER, Say
from pydaemons.netbios.node.exchange import Exchanges
from pydaemons.netbios.node.settings import Settings
from pydaemons.netbios.node.tunables import NetbiosTunables
from pydaemons.netbios.node.winsdb import DELETED_AFTER, WinsDb
from pydaemons.netbios.node.winshook import Hook
from pydaemons.netbios.node.winsown import OwnRecords
from pydaemons.netbios.node.winsqueries import NB_RECORD, WinsQueries
from pydaemons.netbios.node.winsrecord import (
    LOCAL,
    ONE_OWNER,
    ONE_SIZE,
    UNSTAMPED,
    Member,
    Record,
    State,
    kind_of,
)
from pydaemons.netbios.winsra import RecordKind

MEMBERS = 25
"""Addresses of an internet group (RFC 1001 section 15.1.1 has no limit; NT's WINS set this one)."""
KNOWN_SUFFIXES = frozenset(suffix for suffix, _ in MEANINGS)
GRANTED = bytes.fromhex("ad80 0000 0001 0000 0000")
_REFRESHES = frozenset((Opcode.REFRESH, Opcode.REFRESH_9))
_NO_HOST = frozenset((0, 127, *range(224, 256)))
"""First bytes of addresses that are no host's: this network, the loopback, multicast, everybody."""


class WinsServer:
    """The rules. `emit` takes effects, `log` lines for people."""

    def __init__(
        self,
        db: WinsDb,
        exchanges: Exchanges,
        tunables: NetbiosTunables,
        *,
        emit: Callable[[Effect], None],
        log: Say,
    ) -> None:
        self.db = db
        self._records = db.records
        self.queries = WinsQueries(db, tunables)
        self.own = OwnRecords(db, tunables)
        self._tunables = tunables
        self._emit = emit
        self._log = log
        self._challenges = Challenges(exchanges, tunables, decided=self._decided)
        self._challenged = self._challenges.open
        self._own = self.own.names
        self._hook = Hook(emit=emit, log=log)
        self._refused: frozenset[bytes] = frozenset()
        self.retune()

    def configure(self, settings: Settings, addresses: Iterable[bytes], now: Now) -> None:
        """Our own names and addresses are these from now on: they are registered here as anybody's are."""
        self._hook.command = settings.wins_hook
        self.own.configure(settings, addresses, now)
        self._sweep(now)

    def retune(self) -> None:
        """Tunables changed."""
        self._refused = frozenset(
            name.pack(name.make(text, 0))[1:31] for text in self._tunables.refused_names
        )

    def withdraw(self, now: Now) -> None:
        """We stop: our own names are free."""
        self.own.withdraw(now)

    def is_own(self, wire: bytes) -> bool:
        """Is it a name of ours?"""
        return wire in self._own

    def is_refused(self, wire: bytes) -> bool:
        """May nobody have it?"""
        return wire[1:31] in self._refused

    # ---- claims

    def claim(self, claim: Claim, now: Now) -> bytes | None:
        """A registration or refresh; None when the answer comes later or never."""
        wire = claim.wire
        record = self.db.find_live(wire, now.wall)
        own = self._own.get(wire)
        if own is not None and not own.group and claim.address not in self.own.addresses:
            # nmbd says RFS_ERR to a registration; a refresh is refused as RFC 1002 section 4.2.9 has it
            return claim.answer(Rcode.ACT_ERR if claim.opcode in _REFRESHES else Rcode.RFS_ERR)
        if claim.opcode in _REFRESHES and record is not None:
            if record.group is not claim.group and not _unreachable(record):
                return claim.answer(Rcode.RFS_ERR)  # as nmbd: else any member could have the group for itself
            if record.has(claim.address):
                return self._grant(claim, record, "refresh", now)
            if (record.group and claim.group) or _unreachable(record):
                return self._register(claim, record, now)
            return claim.answer(Rcode.RFS_ERR)
        return self._register(claim, record, now)

    def claim_new(  # noqa: PLR0917  # the packet path: keywords cost
        self, data: bytes, wire: bytes, ttl: int, nb_flags: int, address: bytes, now: Now
    ) -> bytes | None:
        """The frequent case without detours: a unique name nobody has, or that its only owner refreshes.
        None: it is another case, take the claim apart."""
        if self.db.counting:
            return None
        packed = self._records.get(wire)
        if packed is None:
            if wire[1:31] in self._refused or len(self._records) >= self._tunables.max_names:
                return None
            event = "add"
        elif len(packed) == ONE_SIZE and packed[7:11] == address and not packed[0] | packed[1] & 0x80:
            event = "refresh"
        else:
            return None
        if wire in self._own or wire[31:33] == b"BN" or wire in self._challenged:
            return None
        tunables = self._tunables
        ttl = min(max(ttl, tunables.min_wins_ttl), tunables.max_wins_ttl)
        expires = int(now.wall) + ttl
        kept = nb_flags & NODE_MASK
        self.db.put(wire, ONE_OWNER.pack(State.ACTIVE, kept, expires, address, expires))
        if self._hook.command:
            self._hook.run(event, wire, ttl, (address,))
        return data[:2] + GRANTED + wire + NB_RECORD.pack(32, 1, ttl, 6, nb_flags, address)

    def _register(self, claim: Claim, record: Record | None, now: Now) -> bytes | None:
        suffix = name.suffix_of(claim.wire)
        if suffix == Suffix.MASTER:
            # each network has its own: there is nothing a server for many of them could tell
            return claim.answer(Rcode.OK, self._ttl(claim))
        if record is None or _unreachable(record):
            return self._new(claim, now)
        if claim.group:
            if record.group:
                return self._grant(claim, record, "refresh", now)
            if record.has(claim.address):
                return self._grant(claim, None, "add", now)
            return self._challenges.begin(claim, record, now)
        if record.static and not record.has(claim.address):
            return claim.answer(Rcode.ACT_ERR)  # somebody's administrator wants it so
        if record.group:
            # nmbd says RFS_ERR; smbtorture wants ACT_ERR, and asks with a suffix nobody gave a meaning to
            return claim.answer(Rcode.RFS_ERR if suffix in KNOWN_SUFFIXES else Rcode.ACT_ERR)
        if record.has(claim.address):
            return self._grant(claim, record, "refresh", now)
        return self._challenges.begin(claim, record, now)

    def _new(self, claim: Claim, now: Now) -> bytes:
        if claim.wire[1:31] in self._refused:
            self._log(
                Level.WARNING,
                f"WINS: {claim.origin.peer.host} may not register {name.unpack(claim.wire)}: "
                "it is one of net.netbios.refused_names",
                WINS_REFUSED_NAME,
            )
            return claim.answer(Rcode.RFS_ERR)
        full = claim.wire not in self.db.records and len(self.db) >= self._tunables.max_names
        if full or len(claim.wire) > name.LONGEST_KEPT:
            return claim.answer(Rcode.SRV_ERR)
        return self._grant(claim, None, "add", now)

    def _ttl(self, claim: Claim) -> int:
        return min(max(claim.ttl, self._tunables.min_wins_ttl), self._tunables.max_wins_ttl)

    def _grant(self, claim: Claim, record: Record | None, event: str, now: Now) -> bytes:
        """Give the name to the claimer; with `record`, along with the members it has."""
        ttl = self._ttl(claim)
        expires = int(now.wall) + ttl
        if record is not None and record.owner != LOCAL and kind_of(claim.wire, record) is RecordKind.GROUP:
            # whoever tells of it first has it: taking it over at each refresh would keep partners busy
            later = record._replace(expires=max(record.expires, expires))
            self.db.keep(claim.wire, later)
            return claim.answer(Rcode.OK, ttl)
        kept: list[Member] = []
        internet_group = claim.group and _is_internet_group(claim.wire, record)
        if record is not None and (internet_group or not claim.group):
            kept = [m for m in record.members if m.address != claim.address and m.expires > now.wall]
            if len(kept) >= MEMBERS:
                kept.remove(self._to_evict(claim.wire, kept, now))
        members = (*kept, Member(claim.address, expires))
        flags = claim.nb_flags & (GROUP | NODE_MASK)
        kind = RecordKind.SPECIAL_GROUP if internet_group else UNSTAMPED
        granted = Record(State.ACTIVE, flags, max(member.expires for member in members), members, kind)
        self.db.keep(claim.wire, granted)
        self._hook.run(event, claim.wire, ttl, [member.address for member in members])
        return claim.answer(Rcode.OK, ttl)

    def _to_evict(self, wire: bytes, members: list[Member], now: Now) -> Member:
        """Who must leave a full internet group: the one that ends first, but never the domain master."""
        master = self.db.find_live(name.with_suffix(wire, Suffix.DOMAIN_MASTER), now.wall)
        others = [member for member in members if master is None or not master.has(member.address)]
        return min(others or members, key=lambda member: member.expires)

    def _decided(self, claim: Claim, asked: Record, listed: set[bytes], host: str, now: Now) -> None:
        """The owner of a claimed name was asked: the addresses it says it has."""
        shown, claimer = name.unpack(claim.wire), claim.origin.peer.host
        if self._has_moved(claim, asked, now):
            answer = claim.answer(Rcode.ACT_ERR)
        elif not listed:
            message = f"WINS: {shown} goes to {claimer}: its owner is gone"
            self._log(Level.NOTICE, message, WINS_TAKEN_OVER)
            answer = self._grant(claim, None, "add", now)
        elif claim.address in listed and not claim.group:
            # one host with several addresses: it says itself that the claimed one is its own
            answer = self._grant(claim, self.db.find_live(claim.wire, now.wall), "refresh", now)
        else:
            message = f"WINS: {claimer} claims {shown}, which {host} defends"
            self._log(Level.NOTICE, message, WINS_DEFENDED)
            answer = claim.answer(Rcode.ACT_ERR)
        self._emit(Reply(claim.origin, answer))

    def _has_moved(self, claim: Claim, asked: Record, now: Now) -> bool:
        """Has somebody else the name by now than who was asked?"""
        if claim.wire in self._own:
            return True
        record = self.db.find_live(claim.wire, now.wall)
        return record is not None and not any(record.has(member.address) for member in asked.members)

    # ---- release, expiry, administration

    def release(self, claim: Claim, now: Now) -> bytes:
        """A release. A name that is not there is as released as it can be; a group outlives its members."""
        record = self.db.find_live(claim.wire, now.wall)
        if record is None:
            return claim.answer(Rcode.OK)
        if claim.wire in self._own and claim.address in self.own.addresses:
            return claim.answer(Rcode.ACT_ERR)  # we would know of it
        internet_group = _is_internet_group(claim.wire, record)
        if record.group and not internet_group and not (self.db.counting and record.has(claim.address)):
            # others may be in it: it ends when nobody refreshes it. Windows' servers, who tell each other of
            # groups, have it end with the host they know of.
            return claim.answer(Rcode.OK)
        if not record.has(claim.address):
            return claim.answer(Rcode.NAM_ERR)
        members = tuple(member for member in record.members if member.address != claim.address)
        if members:
            expires = max(member.expires for member in members)
            kept = record._replace(expires=expires, members=members, owner=LOCAL, version=0)
            self.db.keep(claim.wire, kept)
            event = "refresh"
        else:
            self.db.release(claim.wire, record, now.wall)
            event = "delete"
        self._hook.run(event, claim.wire, 0, [member.address for member in members or record.members])
        return claim.answer(Rcode.OK)

    def add(self, wire: bytes, record: Record, now: Now) -> None:
        """Put a record in by hand."""
        self.db.keep(wire, record)
        addresses = [member.address for member in record.members]
        self._hook.run("add", wire, max(0, record.expires - int(now.wall)), addresses)

    def delete(self, wire: bytes, now: Now) -> bool:
        """Take a record out by hand, at once; was there one? Partners are told by a tombstone."""
        record = self.db.find(wire)
        if record is None:
            return False
        if self.db.counting and record.state != State.TOMBSTONE:
            ends = int(now.wall) + DELETED_AFTER
            self.db.keep(wire, record._replace(state=State.TOMBSTONE, expires=ends, version=0))
        else:
            self.db.delete(wire)
        self._hook.run("delete", wire, 0, [member.address for member in record.members])
        return True

    def tick(self, now: Now) -> None:
        """Expire names, renew our own."""
        self._sweep(now)
        self.own.tick(now)

    def deadline(self) -> float | None:
        """When `tick` is wanted."""
        times = [at for at in (self.db.deadline(), self.own.deadline()) if at is not None]
        return min(times, default=None)

    def _sweep(self, now: Now) -> None:
        for wire in self.db.tick(now.mono, now.wall):
            record = self.db.find(wire)
            self._hook.run("delete", wire, 0, [member.address for member in record.members] if record else ())


def _is_internet_group(wire: bytes, record: Record | None) -> bool:
    """A group whose members are kept one by one."""
    if record is not None and record.group:
        return kind_of(wire, record) is RecordKind.SPECIAL_GROUP
    return name.suffix_of(wire) == Suffix.DOMAIN_CONTROLLERS


def _unreachable(record: Record) -> bool:
    """Has it no address at which an owner could be asked? Such a name is anybody's. Who registers the address
    of a multicast group, or of everybody, does not have us ask there either. (A group nobody is left in stays
    a group; a host without an address is something only partners tell of.)"""
    if record.group and not record.members:
        return False
    return all(member.address[0] in _NO_HOST for member in record.members)
