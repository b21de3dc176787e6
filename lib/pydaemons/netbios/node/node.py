# SPDX-License-Identifier: GPL-3.0-or-later
"""A NetBIOS node as an engine: what comes in on ports 137 and 138 goes to its part. Read Node.receive first.

A packet meets, in this order: who may ask at all (sources), the prepared answers about our own names (query),
on a WINS server the two frequent requests as they stand (wins), and only then the full decoding and the rules
for everything else. What comes in on port 138 goes to `mailslots`. The parts are joined in Node.__init__, and
told of a new configuration in Node._configure.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import Protocol

from pydaemons.engine.effects import Effect, Level, Log, Reply
from pydaemons.engine.entropy import Entropy
from pydaemons.engine.events import ClockStepped
from pydaemons.engine.protocol import Now, Origin
from pydaemons.netbios import name
from pydaemons.netbios.codes import GROUP
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
    LinkProgressed,
    LinkReceived,
    Reconfigured,
    Resolved,
    StopRequested,
)
from pydaemons.netbios.node.exchange import Exchanges
from pydaemons.netbios.node.handover import Handover
from pydaemons.netbios.node.lmhosts import Host
from pydaemons.netbios.node.local import Local
from pydaemons.netbios.node.logon import CONTROLLER, Logons
from pydaemons.netbios.node.mailslots import Mailslots
from pydaemons.netbios.node.names import Holding, NameTable
from pydaemons.netbios.node.ownnames import OwnNames
from pydaemons.netbios.node.query import NB_IN, Answers, Prepared
from pydaemons.netbios.node.replication import Replication
from pydaemons.netbios.node.rules import Rules
from pydaemons.netbios.node.settings import Settings
from pydaemons.netbios.node.sources import Sources
from pydaemons.netbios.node.subnet import Standing, Subnets
from pydaemons.netbios.node.tunables import NetbiosTunables
from pydaemons.netbios.node.wins import WinsServer
from pydaemons.netbios.node.winsclient import WinsClient
from pydaemons.netbios.node.winsdb import WinsDb
from pydaemons.netbios.node.winsservice import WinsService
from pydaemons.tunables.declare import TunableChanged

WINS_QUERY = bytes.fromhex("0100 0001 0000 0000 0000")
CLAIM_COUNTS = bytes.fromhex("0001 0000 0000 0001")
CLAIM = Struct(">2sH8s34s4sHHHIHH4s")
"""A registration as every client packs it: the record's name a pointer to the question's."""
POINTED = 0xC00C
FREQUENT_CLAIMS = frozenset((0x2900, 0x4000, 0x4800))
"""Registration, refresh (both numbers), unicast."""


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
        """The service's server, for the packet path."""
        self.hosts: tuple[Host, ...] = ()
        """Names by hand (lmhosts): for our own lookups, never told to others."""
        self.client = WinsClient(self.exchanges, ttl=lambda: tunables.max_ttl, log=self._log)
        self._answers = Answers(self.names, settings)
        self._prepared = Prepared(self._answers)
        self._deadline: float | None = None
        self._deadline_stale = True
        """Gathered anew only when one may have changed: a packet on a short way changes none."""
        self._denying = False
        """An unknown WINS name needs no further look: nobody else is asked."""
        self._effects: list[Effect] = []
        emit = self._effects.append
        self.local = Local(self.subnets, emit=emit)
        self.rules = Rules(
            settings,
            tunables,
            exchanges=self.exchanges,
            subnets=self.subnets,
            names=self.names,
            answers=self._answers,
            client=self.client,
            local=self.local,
            emit=emit,
            log=self._log,
        )
        self.counts = self.rules.counts
        self.mailslots = Mailslots(
            self.subnets,
            self.names,
            port=tunables.dgram_port,
            silent=lambda: self._answers.silent,
            emit=emit,
            entropy=entropy,
        )
        self.logons = Logons(self.mailslots, settings, entropy=entropy, emit=emit, log=self._log)
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
                emit=emit,
                log=self._log,
            ),
            names_changed=lambda subnet, now: self._own.settle(subnet, {}, now),
        )
        self._own = OwnNames(
            settings, self.subnets, self.names, client=self.client, browser=self.browser, emit=emit
        )
        self._service = WinsService(
            self.db, self.subnets, self.exchanges, tunables, entropy=entropy, emit=emit, log=self._log
        )
        self._sources = Sources(
            self.subnets, prepared=self._prepared.of, mailslots=self.mailslots, logons=self.logons
        )
        self._met = self._sources.met
        self._timed: tuple[Timed, ...] = (
            *(self.exchanges, self.names, self.client, self.logons, self.browser),
            *(self._service, self._own),
        )
        self._before = before
        self._stopping = False
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
        source = self._met.get(origin) or self._sources.meet(origin, now)
        counts = self.counts
        counts.packets += 1
        if source.tokens < 1.0 and not self._sources.refill(source, now):
            if source.standing is Standing.OURSELVES:
                counts.ours += 1
            elif source.taker is None and self.exchanges.awaits(data, origin.peer):
                self._deadline_stale = True
                self.rules.answered(data, origin, now)
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
                    answer = wins.queries.answer(data[:2], data[12:-4], now.wall)
                    if answer is None and self._denying:
                        answer = wins.queries.deny(data)
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
        replication = self._service.replication
        if replication is not None:
            replication.look(now)
        if answer is not None:
            counts.answered += 1
        return answer

    # ---- time and events

    def tick(self, now: Now) -> None:
        """The deadline passed."""
        self._deadline_stale = True
        for part in self._timed:
            part.tick(now)

    def deadline(self) -> float | None:
        """When `tick` is wanted."""
        if self._deadline_stale:
            self._deadline_stale = False
            times = [part.deadline() for part in self._timed]
            self._deadline = min((at for at in times if at is not None), default=None)
        return self._deadline

    def handle(self, event: object, now: Now) -> None:
        """Anything that is not a packet."""
        self._deadline_stale = True
        match event:
            case InterfacesChanged() | Reconfigured() if self._stopping:
                pass  # what was given up is not claimed anew
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
                if not self._stopping:
                    self._service.retune(now)
                    self.browser.retune(now)
            case AccountFound():
                self.logons.found(event)
            case Resolved(key, addresses) if key == CONTROLLER:
                self.logons.resolved(addresses, now)
            case Resolved(wire, addresses):
                self.rules.dns.resolved(wire, addresses, now)
            case Asked(verb, arguments, answer):
                answer(views.answer(self, verb, arguments, now))
            case LinkOpened() | LinkProgressed() | LinkReceived() | LinkClosed():
                self._service.linked(event, now)
            case Awaited(ids):
                self.local.awaited = ids
            case ListFetched():
                self.browser.fetched(event, now)
            case StopRequested():
                self._stop(now)
            case ClockStepped(by):
                self._log(Level.NOTICE, f"the clock was set by {by:+.0f} s: WINS lifetimes follow it")
                self._service.clock_stepped(now)
            case _:
                pass

    @property
    def replication(self) -> Replication | None:
        """The exchange with WINS partners, if there are any."""
        return self._service.replication

    def hand_over(self, now: Now) -> Handover:
        """What the process that takes our place should know."""
        return self._own.hand_over(now)

    def drain(self) -> Iterator[Effect]:
        """What the shell must do now."""
        if self._prepared.stale:
            self._prepared.freshen(self.subnets.all)
        found: list[Effect] = []
        if self.db.changed and (names := self._service.store()) is not None:
            found.append(names)
        found += self.exchanges.drain()
        if self._effects:
            names_port = self.exchanges.port
            for effect in self._effects:
                if type(effect) is Reply and effect.origin.local.port == names_port:
                    self.counts.answered += 1
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
        self.wins = self.rules.wins = self._service.configure(settings, now)
        before = self._before
        if before is not None and not before.is_believed(now.wall):
            before = None
        addresses = [subnet.address for subnet in self.subnets.all]
        self.client.configure(settings, addresses, now, before=before)
        inherited = {} if before is None else before.held
        self.browser.configure(settings, inherited, now)
        self._own.configure(settings, inherited, now)
        self._retune()

    def _name_moved(self, holding: Holding, now: Now) -> None:
        self.browser.named(holding, now)

    def _retune(self) -> None:
        """Tunables or what depends on them changed."""
        tunables = self.tunables
        self.names.ttl = self._answers.ttl = tunables.max_ttl
        self._denying = not self.settings.dns_proxy
        self._sources.retune(self.settings, tunables, servers=self.client.hosts())
        self._names_changed()

    def _names_changed(self) -> None:
        self._prepared.stale = True

    # ---- the end

    def _stop(self, now: Now) -> None:
        """Leave in good order."""
        if self._stopping:
            return
        self._stopping = True
        self._service.withdraw(now)
        self._own.leave(now)
        self.browser.farewell()

    def _log(self, level: Level, message: str, message_id: str | None = None) -> None:
        self._effects.append(Log(level, message, message_id=message_id))
