# SPDX-License-Identifier: GPL-3.0-or-later
"""The WINS server: who gets which name, after RFC 1001 section 15.5 and RFC 1002 section 5.1.4, with the
answers Windows and Samba clients are used to. Read WinsServer.claim, then `_register`.

Every change is in the database, and through StoreNames on disk, before its answer leaves. A name somebody has
is not given away on request: its owner is asked first, and the claimer told to wait (a *challenge*).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from struct import Struct

from pydaemons.engine.effects import Effect, Level, Reply
from pydaemons.engine.protocol import Address, Now
from pydaemons.netbios import name, nspacket
from pydaemons.netbios.codes import GROUP, MEANINGS, NODE_MASK, Opcode, Rcode, Suffix
from pydaemons.netbios.node.claim import Challenge, Claim
from pydaemons.netbios.node.events import (
    WINS_DEFENDED,
    WINS_NO_HOOK,
    WINS_REFUSED_NAME,
    WINS_TAKEN_OVER,
    RunHook,
    Say,
)
from pydaemons.netbios.node.exchange import Exchanges
from pydaemons.netbios.node.settings import OwnName, Settings
from pydaemons.netbios.node.tunables import NetbiosTunables
from pydaemons.netbios.node.winsdb import (
    DELETED_AFTER,
    LOCAL,
    UNSTAMPED,
    Member,
    Record,
    State,
    WinsDb,
    kind_of,
)
from pydaemons.netbios.nspacket import Packet
from pydaemons.netbios.winsra import RecordKind
from pydaemons.wire.errors import WireError

MEMBERS = 25
"""Addresses of an internet group (RFC 1001 section 15.1.1 has no limit; NT's WINS set this one)."""
WAIT = 60
"""Seconds a claimer is told to wait while the owner is asked (nmbd's figure)."""
CHALLENGES = 3
CHALLENGED_ADDRESSES = 3
"""Addresses of a multi-homed owner that are tried before it counts as gone."""
PENDING = 1024
"""Challenges at once; further claimers of taken names hear nothing and come again."""
OWN_RENEWAL = 1200.0
KNOWN_SUFFIXES = frozenset(suffix for suffix, _ in MEANINGS)
LIMITED_BROADCAST = b"\xff\xff\xff\xff"
_HOOKABLE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
"""The only bytes of a name that ever reach a hook: anything else could mean something to a shell further down
(CVE-2025-10230)."""
GRANTED = bytes.fromhex("ad80 0000 0001 0000 0000")
POSITIVE = bytes.fromhex("8580 0000 0001 0000 0000")
NEGATIVE = bytes.fromhex("8583 0000 0001 0000 0000")
NULL_RECORD = bytes.fromhex("000a 0001 00000000 0000")
NB_RECORD = Struct(">HHIHH4s")
"""Type, class, ttl, length, NB flags and address: an answer behind its name."""
ONE_OWNER = Struct(">BHI4sI")
"""The whole packed record of a name with one address."""
VERSIONED_OWNER = Struct(">BHI4sQ4sI4s")
ONE_VERSIONED = 0x80
"""The same on a server with partners, and the first byte of one that is active."""
NB_IN = b"\0\x20\0\1"
ALL_MASTERS = b"\x20CK" + b"AA" * 14 + b"BL"
"""How the wire form of `*`<1b> begins, whatever its scope."""
_REFRESHES = frozenset((Opcode.REFRESH, Opcode.REFRESH_9))


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
        self._exchanges = exchanges
        self._tunables = tunables
        self._emit = emit
        self._log = log
        self._challenges: dict[bytes, Challenge] = {}
        self._own: dict[bytes, OwnName] = {}
        self._own_addresses: tuple[bytes, ...] = ()
        self._own_at: float | None = None
        self._refused: frozenset[bytes] = frozenset()
        self._hook: tuple[str, ...] = ()
        self._node_type = 0
        self.retune()

    def configure(self, settings: Settings, addresses: Iterable[bytes], now: Now) -> None:
        """Our own names and addresses are these from now on: they are registered here as anybody's are."""
        own = {own.wire: own for own in settings.names()}
        for wire in self._own.keys() - own.keys():
            self._drop_own(wire, now)
        self._own = own
        self._own_addresses = tuple(addresses)
        self._hook = settings.wins_hook
        self._node_type = settings.node_type
        self._register_own(now)

    def retune(self) -> None:
        """Tunables changed."""
        self._refused = frozenset(
            name.pack(name.make(text, 0))[1:31] for text in self._tunables.refused_names
        )

    def withdraw(self, now: Now) -> None:
        """We stop: our own names are free."""
        for wire in self._own:
            self._drop_own(wire, now)
        self._own_at = None

    def is_own(self, wire: bytes) -> bool:
        """Is it a name of ours?"""
        return wire in self._own

    def is_refused(self, wire: bytes) -> bool:
        """May nobody have it?"""
        return wire[1:31] in self._refused

    # ---- queries

    def answer_query(self, id_: bytes, wire: bytes, wall: float) -> bytes | None:
        """The positive answer, or None when there is no such name. `id_` is the transaction id as it came,
        `wire` what stands where a name should."""
        packed = self.db.records.get(wire)
        if packed is None:
            return self._answer_masters(id_, wire, wall) if wire.startswith(ALL_MASTERS) else None
        if len(packed) == ONE_OWNER.size:
            state, flags, expires, address, _ = ONE_OWNER.unpack(packed)
            if state or expires <= wall:
                return None
            if flags & GROUP and wire[31:33] != b"BM":
                address = LIMITED_BROADCAST
            ttl = expires - int(wall)
            return id_ + POSITIVE + wire + NB_RECORD.pack(32, 1, ttl, 6, flags, address)
        if packed[0] == ONE_VERSIONED and len(packed) == VERSIONED_OWNER.size:
            _, flags, expires, _, _, address, _, _ = VERSIONED_OWNER.unpack(packed)
            if expires <= wall:
                return None
            return id_ + POSITIVE + wire + NB_RECORD.pack(32, 1, expires - int(wall), 6, flags, address)
        record = self.db.find_live(wire, wall)
        if record is None:
            return None
        addresses = [member.address for member in record.members if member.expires > wall]
        if kind_of(wire, record) is RecordKind.GROUP:
            addresses = [LIMITED_BROADCAST]
        return self._answer(id_, wire, record.expires - int(wall), record.flags, addresses)

    def deny(self, data: bytes) -> bytes | None:
        """The negative answer to a plain query for a name in capitals; None: take the packet apart."""
        wire = data[12:-4]
        if not name.is_plain(wire) or name.upper(wire) != wire:
            return None
        return data[:2] + NEGATIVE + wire + NULL_RECORD

    def _answer(self, id_: bytes, wire: bytes, ttl: int, flags: int, addresses: list[bytes]) -> bytes | None:
        if not addresses:
            return None
        data = b"".join([flags.to_bytes(2, "big") + address for address in addresses])
        head = b"".join([NB_IN, ttl.to_bytes(4, "big"), len(data).to_bytes(2, "big")])
        return id_ + POSITIVE + wire + head + data

    def _answer_masters(self, id_: bytes, wire: bytes, wall: float) -> bytes | None:
        """`*`<1b>: where all domain master browsers are (Samba's way to learn of other workgroups)."""
        if not name.is_valid(wire):
            return None
        found: dict[bytes, None] = {}
        for master in self.db.masters:
            record = self.db.find_live(master, wall)
            if record is not None and not record.group:
                found.update(dict.fromkeys(member.address for member in record.members))
        return self._answer(id_, wire, self._tunables.max_ttl, 0, list(found)[:MEMBERS])

    # ---- claims

    def claim(self, claim: Claim, now: Now) -> bytes | None:
        """A registration or refresh; None when the answer comes later or never."""
        wire = claim.wire
        record = self.db.find_live(wire, now.wall)
        own = self._own.get(wire)
        if own is not None and not own.group and claim.address not in self._own_addresses:
            # nmbd says RFS_ERR to a registration; a refresh is refused as RFC 1002 section 4.2.9 has it
            return claim.answer(Rcode.ACT_ERR if claim.opcode in _REFRESHES else Rcode.RFS_ERR)
        if claim.opcode in _REFRESHES and record is not None:
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
        packed = self.db.records.get(wire)
        if packed is None:
            if wire[1:31] in self._refused or len(self.db.records) >= self._tunables.max_names:
                return None
            event = "add"
        elif len(packed) == ONE_OWNER.size and packed[7:11] == address and not packed[0] | packed[1] & 0x80:
            event = "refresh"
        else:
            return None
        if wire in self._own or wire[31:33] == b"BN" or wire in self._challenges:
            return None
        tunables = self._tunables
        ttl = min(max(ttl, tunables.min_wins_ttl), tunables.max_wins_ttl)
        expires = int(now.wall) + ttl
        kept = nb_flags & NODE_MASK
        self.db.put(wire, ONE_OWNER.pack(State.ACTIVE, kept, expires, address, expires))
        if self._hook:
            self._run_hook(event, wire, ttl, (address,))
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
            return self._challenge(claim, record, now)
        if record.static and not record.has(claim.address):
            return claim.answer(Rcode.ACT_ERR)  # somebody's administrator wants it so
        if record.group:
            # nmbd says RFS_ERR; smbtorture wants ACT_ERR, and asks with a suffix nobody gave a meaning to
            return claim.answer(Rcode.RFS_ERR if suffix in KNOWN_SUFFIXES else Rcode.ACT_ERR)
        if record.has(claim.address):
            return self._grant(claim, record, "refresh", now)
        return self._challenge(claim, record, now)

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
        if self._hook:
            self._run_hook(event, claim.wire, ttl, [member.address for member in members])
        return claim.answer(Rcode.OK, ttl)

    def _to_evict(self, wire: bytes, members: list[Member], now: Now) -> Member:
        """Who must leave a full internet group: the one that ends first, but never the domain master."""
        master = self.db.find_live(name.with_suffix(wire, Suffix.DOMAIN_MASTER), now.wall)
        others = [member for member in members if master is None or not master.has(member.address)]
        return min(others or members, key=lambda member: member.expires)

    # ---- challenges

    def _challenge(self, claim: Claim, record: Record, now: Now) -> bytes | None:
        under_way = self._challenges.get(claim.wire)
        if under_way is not None:
            if under_way.claim.origin is not claim.origin or under_way.claim.id == claim.id:
                # a repetition of what was told to wait: Samba's clients take a second WACK for an error
                return None
            under_way.claim.id = claim.id
            return nspacket.wait(claim.id, claim.wire, claim.flags, WAIT)
        if len(self._challenges) >= PENDING or self._exchanges.full():
            return None
        addresses = [member.address for member in record.members[:CHALLENGED_ADDRESSES]]
        challenge = self._challenges[claim.wire] = Challenge(claim, addresses)
        self._ask_owner(challenge, now)
        return nspacket.wait(claim.id, claim.wire, claim.flags, WAIT)

    def _ask_owner(self, challenge: Challenge, now: Now) -> None:
        wire = challenge.claim.wire
        host = ".".join(map(str, challenge.addresses.pop(0)))
        challenge.exchange = self._exchanges.start(
            lambda id_: nspacket.query(id_, wire, broadcast=False, recursion_desired=False),
            Address(host, self._exchanges.port),
            now,
            source=None,
            tries=CHALLENGES,
            interval=float(self._tunables.challenge_timeout),
            on_answer=partial(self._owner_answered, challenge),
            on_silence=partial(self._owner_silent, challenge),
        )

    def _owner_answered(self, challenge: Challenge, packet: Packet, host: str, now: Now) -> bool:
        claim = challenge.claim
        listed: set[bytes] = set()
        for record in packet.answers:
            try:
                if record.name == claim.wire:
                    listed |= {nb.address for nb in nspacket.unpack_nb(record.data)}
            except WireError:
                continue
        if packet.rcode or not listed:
            self._take_over(challenge, now)
            return True
        del self._challenges[claim.wire]
        if claim.address in listed and not claim.group:
            # one host with several addresses: it says itself that the claimed one is its own
            answer = self._grant(claim, self.db.find_live(claim.wire, now.wall), "refresh", now)
        else:
            self._log(
                Level.NOTICE,
                f"WINS: {claim.origin.peer.host} claims {name.unpack(claim.wire)}, which {host} defends",
                WINS_DEFENDED,
            )
            answer = claim.answer(Rcode.ACT_ERR)
        self._emit(Reply(claim.origin, answer))
        return True

    def _owner_silent(self, challenge: Challenge, now: Now) -> None:
        if challenge.addresses:
            self._ask_owner(challenge, now)
        else:
            self._take_over(challenge, now)

    def _take_over(self, challenge: Challenge, now: Now) -> None:
        claim = challenge.claim
        del self._challenges[claim.wire]
        self._log(
            Level.NOTICE,
            f"WINS: {name.unpack(claim.wire)} goes to {claim.origin.peer.host}: its owner is gone",
            WINS_TAKEN_OVER,
        )
        self._emit(Reply(claim.origin, self._grant(claim, None, "add", now)))

    # ---- release, expiry, administration

    def release(self, claim: Claim, now: Now) -> bytes:
        """A release. A name that is not there is as released as it can be; a group outlives its members."""
        record = self.db.find_live(claim.wire, now.wall)
        if record is None:
            return claim.answer(Rcode.OK)
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
        self._run_hook(event, claim.wire, 0, [member.address for member in members or record.members])
        return claim.answer(Rcode.OK)

    def add(self, wire: bytes, record: Record, now: Now) -> None:
        """Put a record in by hand."""
        self.db.keep(wire, record)
        addresses = [member.address for member in record.members]
        self._run_hook("add", wire, max(0, record.expires - int(now.wall)), addresses)

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
        self._run_hook("delete", wire, 0, [member.address for member in record.members])
        return True

    def tick(self, now: Now) -> None:
        """Expire names, renew our own."""
        for wire in self.db.tick(now.mono, now.wall):
            record = self.db.find(wire)
            self._run_hook("delete", wire, 0, [member.address for member in record.members] if record else ())
        if self._own_at is not None and now.mono >= self._own_at:
            self._register_own(now)

    def deadline(self) -> float | None:
        """When `tick` is wanted."""
        times = [at for at in (self.db.deadline(), self._own_at) if at is not None]
        return min(times, default=None)

    def _register_own(self, now: Now) -> None:
        expires = int(now.wall) + self._tunables.max_ttl
        members = tuple(Member(address, expires) for address in self._own_addresses)
        self._own_at = now.mono + min(OWN_RENEWAL, self._tunables.max_ttl / 2)
        self.db.tick(now.mono, now.wall)  # has it begin to sweep
        if not members:
            return
        for wire, own in self._own.items():
            flags = self._node_type | (GROUP if own.group else 0)
            if own.group and self.db.counting:
                known = self.db.find_live(wire, now.wall)
                if known is not None and known.owner != LOCAL:
                    continue  # a partner tells of it already
            self.db.keep(wire, Record(State.ACTIVE, flags, expires, members))

    def _drop_own(self, wire: bytes, now: Now) -> None:
        record = self.db.find_live(wire, now.wall)
        if record is not None and not record.group:
            self.db.release(wire, record, now.wall)

    def _run_hook(self, event: str, wire: bytes, ttl: int, addresses: Iterable[bytes]) -> None:
        if not self._hook:
            return
        label = name.label_of(wire)
        raw = label[:15].rstrip(b" ")
        if not raw or not _HOOKABLE.issuperset(raw) or raw[:1] == b"-":
            self._log(
                Level.NOTICE,
                f"WINS: no hook for {name.unpack(wire)}: only A-Z a-z 0-9 . _ - are passed on",
                WINS_NO_HOOK,
            )
            return
        shown = [".".join(map(str, address)) for address in addresses]
        self._emit(RunHook((*self._hook, event, raw.decode("ascii"), f"{label[15]:02x}", str(ttl), *shown)))


def _is_internet_group(wire: bytes, record: Record | None) -> bool:
    """A group whose members are kept one by one."""
    if record is not None and record.group:
        return kind_of(wire, record) is RecordKind.SPECIAL_GROUP
    return name.suffix_of(wire) == Suffix.DOMAIN_CONTROLLERS


def _unreachable(record: Record) -> bool:
    """Addresses no owner could be asked at: the loopback network. Such a name is anybody's."""
    return bool(record.members) and all(member.address[0] == 127 for member in record.members)
