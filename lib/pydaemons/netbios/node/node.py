# SPDX-License-Identifier: GPL-3.0-or-later
"""A NetBIOS node as an engine: what comes in on ports 137 and 138 goes to its part. Read Node.receive first.

A packet meets, in this order: who may ask at all (subnet), the prepared answers about our own names (query),
on a WINS server the two frequent requests as they stand (wins), and only then the full decoding and the rules
for everything else. What comes in on port 138 goes to `mailslots`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Network
from struct import Struct
from typing import Protocol

from pydaemons.engine.effects import Effect, Leave, Level, Log
from pydaemons.engine.entropy import Entropy
from pydaemons.engine.events import ClockStepped
from pydaemons.engine.protocol import Now, Origin
from pydaemons.netbios import name
from pydaemons.netbios.codes import GROUP, Opcode
from pydaemons.netbios.node import views
from pydaemons.netbios.node.browseground import Ground
from pydaemons.netbios.node.browser import Browser
from pydaemons.netbios.node.browsesync import ListFetched
from pydaemons.netbios.node.events import (
    AccountFound,
    Asked,
    Awaited,
    InterfacesChanged,
    LinkClosed,
    LinkOpened,
    LinkReceived,
    Reconfigured,
    Resolved,
    StopRequested,
    StoreNames,
)
from pydaemons.netbios.node.exchange import Exchanges
from pydaemons.netbios.node.handover import BELIEVED_FOR, Handover
from pydaemons.netbios.node.lmhosts import Host
from pydaemons.netbios.node.local import Local
from pydaemons.netbios.node.logon import CONTROLLER, Logons
from pydaemons.netbios.node.mailslots import Mailslots
from pydaemons.netbios.node.names import Holding, NameTable, State
from pydaemons.netbios.node.query import NB_IN, Answers
from pydaemons.netbios.node.replicas import Replicas
from pydaemons.netbios.node.replication import Replication
from pydaemons.netbios.node.rules import Rules
from pydaemons.netbios.node.settings import Settings
from pydaemons.netbios.node.subnet import Source, Standing, Subnet, Subnets
from pydaemons.netbios.node.tunables import NetbiosTunables
from pydaemons.netbios.node.wins import WinsServer
from pydaemons.netbios.node.winsclient import WinsClient
from pydaemons.netbios.node.winsdb import WinsDb
from pydaemons.tunables.declare import TunableChanged

SOURCES = 16384
"""Sources remembered; forged ones in number make us look again at each, they do not make us grow."""
WINS_QUERY = bytes.fromhex("0100 0001 0000 0000 0000")
CLAIM_COUNTS = bytes.fromhex("0001 0000 0000 0001")
CLAIM = Struct(">2sH8s34s4sHHHIHH4s")
"""A registration as every client packs it: the record's name a pointer to the question's."""
POINTED = 0xC00C
FREQUENT_CLAIMS = frozenset((0x2900, 0x4000, 0x4800))
"""Registration, refresh (both numbers), unicast."""
_CLAIMS = frozenset((Opcode.REGISTRATION, Opcode.MULTIHOMED, Opcode.REFRESH, Opcode.REFRESH_9))
_REFRESHES = frozenset((Opcode.REFRESH, Opcode.REFRESH_9))
STOP_REPEATS = 3
STOP_INTERVAL = 0.25
"""A release is broadcast as often as a registration (RFC 1002 section 5.1.1.4)."""


class Timed(Protocol):
    """A part of a node that has deadlines."""

    def tick(self, now: Now) -> None: ...
    def deadline(self) -> float | None: ...


class Node:
    """One node; satisfies engine.protocol.Engine. `db` may come filled from the store; `before` is what the
    process told whose place this one takes."""

    def __init__(
        self,
        settings: Settings,
        tunables: NetbiosTunables,
        *,
        entropy: Entropy,
        db: WinsDb | None = None,
        before: Handover | None = None,
    ) -> None:
        self.settings = settings
        self.tunables = tunables
        self.subnets = Subnets()
        self._entropy = entropy
        self.exchanges = Exchanges(entropy)
        self.exchanges.port = tunables.nmb_port  # a new one takes effect at restart, as the socket does
        self.names = NameTable(
            self.exchanges,
            changed=self._names_changed,
            log=self._log,
            moved=self._name_moved,
        )
        self.db = WinsDb() if db is None else db
        self.wins: WinsServer | None = None
        self.replication: Replication | None = None
        self.hosts: tuple[Host, ...] = ()
        """Names by hand (lmhosts): for our own lookups, never told to others."""
        self.client = WinsClient(self.exchanges, ttl=lambda: tunables.max_ttl, log=self._log)
        self._answers = Answers(self.names, settings)
        self._prepared: dict[Subnet, dict[bytes, bytes]] = {}
        self._stale = False
        self._deadline: float | None = None
        self._deadline_stale = True
        """Gathered anew only when one may have changed: a packet on a short way changes none."""
        self._sources: dict[Origin, Source] = {}
        self._allow: tuple[IPv4Network, ...] = ()
        self._wins_allow: tuple[IPv4Network, ...] = ()
        self._dgram_allow: tuple[IPv4Network, ...] = ()
        self._denying = False
        """An unknown WINS name needs no further look: nobody else is asked."""
        self._rate = 1.0
        self._burst = 1.0
        self._effects: list[Effect] = []
        self.local = Local(self.subnets, emit=self._effects.append)
        self.rules = Rules(
            settings,
            tunables,
            exchanges=self.exchanges,
            subnets=self.subnets,
            names=self.names,
            answers=self._answers,
            client=self.client,
            local=self.local,
            emit=self._effects.append,
            log=self._log,
        )
        self.counts = self.rules.counts
        self.mailslots = Mailslots(
            self.subnets,
            self.names,
            port=tunables.dgram_port,
            silent=lambda: self._answers.silent,
            emit=self._effects.append,
            entropy=entropy,
        )
        self.logons = Logons(
            self.mailslots, settings, entropy=entropy, emit=self._effects.append, log=self._log
        )
        self.browser = Browser(
            Ground(
                settings,
                tunables,
                entropy=entropy,
                subnets=self.subnets,
                names=self.names,
                exchanges=self.exchanges,
                client=self.client,
                mailslots=self.mailslots,
                wins=lambda: self.wins,
                emit=self._effects.append,
                log=self._log,
            ),
            names_changed=lambda subnet, now: self._claim_wanted(subnet, now, {}),
        )
        self._timed: list[Timed] = [self.exchanges, self.names, self.client, self.logons, self.browser]
        self._before = before
        self._stop_at: float | None = None
        self._stop_left = STOP_REPEATS
        self._stopping: list[Holding] = []
        self._retune()
        tunables.bind(
            names=lambda: len(self.names),
            wins_names=lambda: len(self.db),
            packets=lambda: self.counts.packets,
            answers=lambda: self.counts.answered,
            bad_packets=lambda: self.counts.bad,
            refused_packets=lambda: self.counts.refused,
            datagrams=lambda: self.mailslots.counts.received,
            datagrams_sent=lambda: self.mailslots.counts.sent,
            bad_datagrams=lambda: self.mailslots.counts.bad,
            browse_entries=lambda: int(self.browser.stats()["servers known"]),
            masterships=self.browser.masterships,
            elections=lambda: int(self.browser.stats()["elections"]),
            browser_frames=lambda: self.browser.hearing.counts.frames,
        )

    # ---- the packet path

    def receive(self, data: bytes, origin: Origin, now: Now) -> bytes | None:
        """A datagram on the name port or the datagram port."""
        source = self._sources.get(origin) or self._meet(origin, now)
        counts = self.counts
        counts.packets += 1
        if source.tokens < 1.0 and not self._refill(source, now):
            if source.standing is Standing.OURSELVES:
                counts.ours += 1
            elif source.taker is not None or not self.local.awaited or not self.local.take(data, origin):
                counts.refused += 1
            return None
        source.tokens -= 1.0
        tail = source.answers.get(data[2:])
        if tail is not None:
            counts.answered += 1
            return data[:2] + tail
        if source.taker is not None:
            self._deadline_stale = True
            source.taker(data, origin, source, now)
            return None
        wins = self.wins
        answer: bytes | None
        if wins is not None:
            head = data[2:12]
            if head == WINS_QUERY:
                if data[-4:] == NB_IN:
                    answer = wins.answer_query(data[:2], data[12:-4], now.wall)
                    if answer is None and self._denying:
                        answer = wins.deny(data)
                    if answer is not None:
                        counts.answered += 1
                        return answer
            elif head[2:] == CLAIM_COUNTS and len(data) == CLAIM.size:
                _, flags, _, wire, asked, pointer, kind, klass, ttl, _, nb_flags, address = CLAIM.unpack(data)
                if (
                    flags in FREQUENT_CLAIMS
                    and pointer == POINTED
                    and asked == NB_IN
                    and kind == 32
                    and klass == 1
                    and not nb_flags & GROUP
                    and name.is_plain(wire)
                    and data[60:62] == b"\0\6"
                ):
                    answer = wins.claim_new(data, wire, ttl, nb_flags, address, now)
                    if answer is not None:
                        counts.answered += 1
                        return answer
        self._deadline_stale = True  # nothing on the short ways above sets a deadline
        answer = self.rules.receive(data, origin, source, now)
        if self.replication is not None:
            self.replication.look(now)
        if answer is not None:
            counts.answered += 1
        return answer

    def _meet(self, origin: Origin, now: Now) -> Source:
        """Decide about a source on its first packet."""
        datagrams = origin.local.port == self.mailslots.port
        standing, subnet = self.subnets.admit(
            origin,
            port=origin.local.port,
            allow=self._allow,
            wins_allow=self._dgram_allow if datagrams else self._wins_allow,
        )
        source = Source(standing, subnet, 0.0 if standing <= Standing.REFUSED else self._burst, now.mono)
        if datagrams:
            source.taker = self.mailslots.receive
        elif self.logons.is_controller(origin):
            source = Source(Standing.FULL, subnet, self._burst, now.mono)
            source.taker = self.logons.pong
        elif standing is Standing.FULL and subnet is not None:
            source.answers = self._prepared_for(subnet)
        if len(self._sources) >= SOURCES:
            self._sources.clear()
        self._sources[origin] = source
        return source

    def _refill(self, source: Source, now: Now) -> bool:
        """The bucket is dry: what has time brought?"""
        if source.standing <= Standing.REFUSED:
            return False
        source.tokens = min(self._burst, source.tokens + (now.mono - source.filled) * self._rate)
        source.filled = now.mono
        return source.tokens >= 1.0

    # ---- time and events

    def tick(self, now: Now) -> None:
        """The deadline passed."""
        self._deadline_stale = True
        for part in self._timed:
            part.tick(now)
        if self.wins is not None:
            self.wins.tick(now)
        if self.replication is not None:
            self.replication.tick(now)
            self.replication.look(now)
        if self._stop_at is not None and now.mono >= self._stop_at:
            self._stop_on(now)

    def deadline(self) -> float | None:
        """When `tick` is wanted."""
        if self._deadline_stale:
            self._deadline_stale = False
            times = [part.deadline() for part in self._timed]
            times += (
                self.wins.deadline() if self.wins is not None else None,
                self.replication.deadline() if self.replication is not None else None,
                self._stop_at,
            )
            self._deadline = min((at for at in times if at is not None), default=None)
        return self._deadline

    def handle(self, event: object, now: Now) -> None:
        """Anything that is not a packet."""
        self._deadline_stale = True
        match event:
            case InterfacesChanged(interfaces):
                gone, new = self.subnets.replace(interfaces)
                for subnet in gone:
                    self.exchanges.cancel_from(subnet.interface.address)
                    self.names.forget(subnet)
                    self._log(Level.INFO, f"off network {subnet.network} ({subnet.interface.name})")
                for subnet in new:
                    self._log(Level.INFO, f"on network {subnet.network} ({subnet.interface.name})")
                if gone or new:
                    self._configure(now)
                    self._before = None  # it knew these networks; those that come later it did not
            case Reconfigured(settings):
                self.settings = settings
                self._configure(now)
            case TunableChanged():
                self._retune()
            case AccountFound():
                self.logons.found(event)
            case Resolved(key, addresses) if key == CONTROLLER:
                self.logons.resolved(addresses, now)
            case Resolved(wire, addresses):
                self.rules.dns.resolved(wire, addresses, now)
            case Asked(verb, arguments, answer):
                answer(views.answer(self, verb, arguments, now))
            case LinkOpened() | LinkReceived() | LinkClosed():
                self._link(event, now)
            case Awaited(ids):
                self.local.awaited = ids
            case ListFetched():
                self.browser.fetched(event, now)
            case StopRequested():
                self._stop(now)
            case ClockStepped(by):
                self._log(Level.NOTICE, f"the clock was set by {by:+.0f} s: WINS lifetimes follow it")
            case _:
                pass

    def _link(self, event: LinkOpened | LinkReceived | LinkClosed, now: Now) -> None:
        if self.replication is None:
            return
        match event:
            case LinkOpened(link, host, ours):
                self.replication.opened(link, host, ours=ours, now=now)
            case LinkReceived(link, data):
                self.replication.received(link, data, now)
            case LinkClosed(link, reason):
                self.replication.closed(link, reason, now)

    def drain(self) -> Iterator[Effect]:
        """What the shell must do now."""
        if self._stale:
            self._prepare()
        found: list[Effect] = []
        if self.db.changed:
            changed, self.db.changed = self.db.changed, {}
            if self.wins is not None:
                found.append(StoreNames("wins", None, changed))
        found += self.exchanges.drain()
        if self._effects:
            found += self._effects
            self._effects.clear()
        return iter(found)

    # ---- configuration

    def _configure(self, now: Now) -> None:
        """Settings or networks changed: claim what is new, release what is gone."""
        settings = self.settings
        self.names.settings = settings
        self._answers.configure(settings)
        self.rules.settings = settings
        self.logons.configure(settings)
        addresses = [subnet.address for subnet in self.subnets.all]
        if settings.wins_support:
            if self.wins is None:
                self.wins = WinsServer(
                    self.db, self.exchanges, self.tunables, emit=self._effects.append, log=self._log
                )
            self.wins.configure(settings, addresses, now)
        else:
            self.wins = None
        self.rules.wins = self.wins
        self._replicate(now)
        before = self._before
        if before is not None and not 0 <= now.wall - before.at <= BELIEVED_FOR:
            before = None
        self.client.configure(settings, addresses, now, before=before)
        inherited = {} if before is None else before.held
        self.browser.configure(settings, inherited, now)
        for subnet in self.subnets.all:
            self._claim_wanted(subnet, now, inherited)
        self._retune()

    def _replicate(self, now: Now) -> None:
        """Have partners, or none."""
        settings, wins = self.settings, self.wins
        address = settings.wins_address or next((net.interface.address for net in self.subnets.all), "")
        if wins is None or not settings.partners or not address:
            if self.replication is not None:
                self.replication.end()
                self.replication = None
            return
        if self.replication is None:
            replicas = Replicas(
                self.db,
                self.exchanges,
                self.tunables,
                is_ours=wins.is_own,
                is_refused=wins.is_refused,
                log=self._log,
            )
            self.replication = Replication(
                self.db,
                replicas,
                self.tunables,
                entropy=self._entropy,
                emit=self._effects.append,
                log=self._log,
            )
        self.replication.configure(settings.partners, address, now)

    def _claim_wanted(
        self, subnet: Subnet, now: Now, inherited: Mapping[tuple[str, bytes], tuple[bool, float]]
    ) -> None:
        """Claim and release until our names on a network are those we shall have there."""
        settings = self.settings
        names = (*settings.names(), *self.browser.wanted(subnet)) if settings.broadcast else ()
        wanted = {own.wire: own for own in names if not own.wins_only}
        held = {holding.own.wire: holding.own for holding in self.names.on(subnet)}
        for wire in held.keys() - wanted.keys():
            self.names.release(subnet, wire)
        for wire, own in wanted.items():
            was_group, since = inherited.get((subnet.interface.address, wire), (None, 0.0))
            if was_group is own.group and wire not in held:
                self.names.inherit(subnet, own, since)
            elif held.get(wire) != own:
                self.names.claim(subnet, own, now)

    def _name_moved(self, holding: Holding, now: Now) -> None:
        self.browser.named(holding, now)

    def hand_over(self, now: Now) -> Handover:
        """What the process that takes our place should know."""
        held = {
            (holding.subnet.interface.address, holding.own.wire): (holding.own.group, holding.since)
            for holding in self.names
            if holding.state is State.OWNED
        }
        return Handover(now.wall, held, self.client.registrations(now))

    def _retune(self) -> None:
        """Tunables or what depends on them changed."""
        tunables = self.tunables
        self.names.ttl = self._answers.ttl = tunables.max_ttl
        self._denying = not self.settings.dns_proxy
        self._rate = float(tunables.query_rate)
        self._burst = float(tunables.query_burst)
        # our WINS servers challenge us as well as answer us, wherever they are
        self._allow = _networks(tunables.allow) + _networks(self.client.hosts())
        self._wins_allow = _networks(tunables.wins_allow) if self.settings.wins_support else ()
        self._dgram_allow = _networks(tunables.dgram_allow)
        if self.settings.browsing.domain_master and not self.settings.wins_support:
            self._wins_allow = self._dgram_allow  # far masters ask who the domain master is (rules)
        if self.wins is not None:
            self.wins.retune()
        self._sources.clear()
        self._names_changed()

    def _names_changed(self) -> None:
        self._stale = True

    def _prepared_for(self, subnet: Subnet) -> dict[bytes, bytes]:
        prepared = self._prepared.get(subnet)
        if prepared is None:
            prepared = self._prepared[subnet] = self._answers.prepare(subnet)
        return prepared

    def _prepare(self) -> None:
        """Make the answers anew, in place: sources share the dictionaries."""
        self._stale = False
        for subnet in self._prepared.keys() - set(self.subnets.all):
            self._prepared.pop(subnet).clear()
        for subnet, prepared in self._prepared.items():
            fresh = self._answers.prepare(subnet)
            prepared.clear()
            prepared.update(fresh)

    # ---- the end

    def _stop(self, now: Now) -> None:
        if self._stop_at is not None:
            return
        told = self.client.release_all()
        if self.replication is not None:
            self.replication.end()
        if self.wins is not None:
            self.wins.withdraw(now)
        self._stopping = [
            holding for holding in self.names if self.names.find(holding.subnet, holding.own.wire)
        ]
        for subnet in self.subnets.all:
            for holding in list(self.names.on(subnet)):
                self.names.release(subnet, holding.own.wire)
        self.browser.farewell()
        self._stop_left -= 1
        self._stop_at = now.mono + (STOP_INTERVAL if self._stopping or told else 0.0)

    def _stop_on(self, now: Now) -> None:
        if self._stop_left > 0 and self._stopping:
            self._stop_left -= 1
            for holding in self._stopping:
                self.names.say_released(holding)
            self._stop_at = now.mono + STOP_INTERVAL
        else:
            self._stop_at = None
            self._effects.append(Leave(0, "names released"))

    def _log(self, level: Level, message: str, message_id: str | None = None) -> None:
        self._effects.append(Log(level, message, message_id=message_id))


def _networks(patterns: Iterable[str]) -> tuple[IPv4Network, ...]:
    """The IPv4 networks among client patterns; `*` is all of them, names are not looked up."""
    found = []
    for pattern in patterns:
        try:
            found.append(IPv4Network("0.0.0.0/0" if pattern == "*" else pattern))
        except ValueError:
            continue
    return tuple(found)
