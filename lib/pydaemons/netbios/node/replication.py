# SPDX-License-Identifier: GPL-3.0-or-later
"""WINS replication after [MS-WINSRA]: partners tell each other that there is something new (push) and fetch
it (pull). Read Peer, then Replication.received.

To pull is to ask for the table (which owners a server knows, and up to which version: `owners`) and then for
the names that are not known here (`pulling`; `replicas` takes them). It happens at intervals, and when a
partner informs us. A connection of ours to a partner stays and carries all we ask and say; partners'
connections carry what they ask (`association`, `telling`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from ipaddress import IPv4Address

from pydaemons.engine.effects import Effect, Level
from pydaemons.engine.entropy import Entropy
from pydaemons.engine.protocol import Now
from pydaemons.engine.timers import Timers
from pydaemons.netbios import winsra
from pydaemons.netbios.node.association import Link, Links, Phase
from pydaemons.netbios.node.events import PARTNER_LOST, Say
from pydaemons.netbios.node.owners import Owners
from pydaemons.netbios.node.pulling import Pulling
from pydaemons.netbios.node.replicas import Replicas
from pydaemons.netbios.node.settings import Partner
from pydaemons.netbios.node.telling import Jobs, Telling
from pydaemons.netbios.node.tunables import NetbiosTunables
from pydaemons.netbios.node.winsdb import WinsDb
from pydaemons.netbios.node.winsrecord import LOCAL
from pydaemons.netbios.winsra import Command, Kind, Message, Owner, Start
from pydaemons.wire.errors import WireError

NONSENSE = "sent nonsense"


class Peer:
    """One partner and how we stand with it."""

    __slots__ = (
        "error",
        "inform_wanted",
        "link",
        "partner",
        "patient",
        "pull_wanted",
        "pulled_at",
        "taken",
        "told_at",
    )

    def __init__(self, partner: Partner) -> None:
        self.partner = partner
        self.link: Link | None = None
        """The connection we made."""
        self.pull_wanted = partner.pull
        self.inform_wanted = False
        self.pulled_at = 0.0
        """When a pull last ended well (wall clock)."""
        self.told_at = 0.0
        self.taken = 0
        self.error = ""
        self.patient = False
        """It was not there a moment ago: it is not called again before its time."""


class Replication:
    """The rules."""

    def __init__(
        self,
        db: WinsDb,
        replicas: Replicas,
        tunables: NetbiosTunables,
        *,
        numbers: Iterator[int],
        entropy: Entropy,
        emit: Callable[[Effect], None],
        log: Say,
    ) -> None:
        self.db = db
        self.replicas = replicas
        self.owners = Owners(db, tunables)
        self.peers: dict[str, Peer] = {}
        self.source = ""
        self._tunables = tunables
        self._log = log
        self._links = Links(numbers, entropy=entropy, emit=emit)
        self._timers: Timers[str] = Timers()
        self._telling = Telling(db, replicas, self.owners, self._links)
        self._jobs = Jobs(self._lost)
        self._pulling = Pulling(
            replicas,
            self.owners,
            self._links,
            self._jobs,
            tunables,
            ended=self._pulled,
            settled=partial(self.inform, None),
            log=log,
        )
        self._told = 0
        """Our version that partners were last informed of."""
        self._now = Now(0.0, 0.0)

    # ---- configuration

    def configure(self, partners: tuple[Partner, ...], address: str, now: Now) -> None:
        """Have exactly these partners, and be known to them by `address`."""
        self._now = now
        self.db.count(now.wall)
        self.source = address
        self.owners.address = self.replicas.address = IPv4Address(address).packed
        wanted = {partner.address: partner for partner in partners if partner.address != address}
        for host in [host for host, peer in self.peers.items() if wanted.get(host) != peer.partner]:
            self._dismiss(host)
        for host, partner in wanted.items():
            if host not in self.peers:
                self.peers[host] = Peer(partner)
                self._timers.set(host, now.mono)
        self.look(now)

    def end(self) -> None:
        """There are no partners any more."""
        for host in list(self.peers):
            self._dismiss(host)
        self.replicas.drop_disputes()

    def _dismiss(self, host: str) -> None:
        del self.peers[host]
        self._timers.cancel(host)
        for link in self._links.of(host):
            self._links.hang_up(link)

    def pull(self, host: str | None, now: Now) -> list[str]:
        """Ask one partner, or all, for what is new, now; whom."""
        asked = [peer for name, peer in self.peers.items() if host in (None, name) and peer.partner.pull]
        for peer in asked:
            peer.patient = False
            peer.pull_wanted = True
            self._work(peer, now)
        return [peer.partner.address for peer in asked]

    def inform(self, host: str | None, now: Now) -> list[str]:
        """Tell one partner, or all, that there is something new; whom."""
        told = [peer for name, peer in self.peers.items() if host in (None, name) and peer.partner.push]
        for peer in told:
            peer.inform_wanted = True
            self._work(peer, now)
        return [peer.partner.address for peer in told]

    def table(self) -> list[Owner]:
        """Who owns what we know: us first."""
        return self.owners.table()

    # ---- time

    def retune(self, now: Now) -> None:
        """Tunables changed: no pause is longer than it would be now."""
        tunables = self._tunables
        for key, pause in [
            ("inform", tunables.wins_push_delay),
            *((host, tunables.wins_pull_interval) for host in self.peers),
        ]:
            at = self._timers.at(key)
            if at is not None:
                self._timers.set(key, min(at, now.mono + pause))

    def look(self, now: Now) -> None:
        """Something may have changed: partners are told after a while."""
        if self.db.highest.get(LOCAL, 0) != self._told and "inform" not in self._timers:
            self._timers.set("inform", now.mono + self._tunables.wins_push_delay)

    def tick(self, now: Now) -> None:
        """A slice of work, and what is due."""
        self._now = now
        self._pulling.tick(now)
        self._jobs.go_on()
        for link in self._links.overdue(now):
            self._lost(link, "no answer")
        for key in self._timers.due(now.mono):
            if key == "inform":
                self._told = self.db.highest.get(LOCAL, 0)
                self.inform(None, now)
            elif key in self.peers:
                peer = self.peers[key]
                peer.patient = False
                if peer.partner.pull:
                    peer.pull_wanted = True
                    self._timers.set(key, now.mono + self._tunables.wins_pull_interval)
                self._work(peer, now)

    def deadline(self) -> float | None:
        """When `tick` is wanted."""
        if self._jobs:
            return self._now.mono
        times = (self._timers.deadline(), self._links.deadline(), self._pulling.deadline())
        return min((at for at in times if at is not None), default=None)

    # ---- links

    def opened(self, id_: int, host: str, *, ours: bool, now: Now) -> None:
        """A connection stands."""
        self._now = now
        if ours:
            link = self._links.find(id_)
            if link is None:
                self._links.refuse(id_)
            else:
                self._links.start(link, now)
        elif host in self.peers:
            self._links.accept(id_, host)
        else:
            self._links.refuse(id_)

    def closed(self, id_: int, reason: str, now: Now) -> None:
        """A connection has ended."""
        self._now = now
        link = self._links.find(id_)
        if link is not None:
            self._lost(link, reason, tell=False)

    def progressed(self, id_: int, now: Now) -> None:
        """A part of a long message has come."""
        self._links.go_on(id_, now)

    def received(self, id_: int, data: bytes, now: Now) -> None:
        """A message. What comes unasked, or for another association, is passed over."""
        self._now = now
        link = self._links.find(id_)
        if link is None:
            return
        try:
            if winsra.is_names_reply(data):
                self._pulling.received(link, data, now)
                return
            self._message(link, winsra.unpack(data), now)
        except WireError as error:
            self._lost(link, f"{NONSENSE}: {error}")

    def _message(self, link: Link, message: Message, now: Now) -> None:
        peer = self.peers[link.host]
        body = message.body
        if message.kind == Kind.START and isinstance(body, Start):
            if message.context in (0, link.context):
                self._links.agree(link, body.context)
            return
        if message.context != link.context:
            meant = self._links.find_associated(link.host, message.context)
            if meant is None:
                return
            link = meant
        if message.kind == Kind.START_REPLY and isinstance(body, Start):
            if link.phase is Phase.STARTING:
                link.peer_context = body.context
                self._links.has(link, Phase.RESTING)
                self._work(peer, now)
        elif message.kind == Kind.STOP:
            self._lost(link, "the partner will not" if body else "the partner ended the association")
        elif message.command in winsra.TABLES and isinstance(body, tuple):
            owners = tuple(owner for owner in body if isinstance(owner, Owner))
            self._table_came(link, peer, message.command, owners, now)
        elif not peer.partner.push:
            self._stop(link, winsra.STOPPED_BY_ERROR)
        elif message.command == Command.TABLE_QUERY:
            self._jobs.do(link, self._telling.table(link))
        elif isinstance(body, Owner):
            self._jobs.do(link, self._telling.names(link, body, self._wall))

    def _table_came(self, link: Link, peer: Peer, command: int, owners: tuple[Owner, ...], now: Now) -> None:
        """An answer to our question, or word of something new."""
        if command == Command.TABLE_REPLY:
            if link.phase is Phase.ASKED_TABLE:
                self._pulling.begin(link, owners, now)
        elif not peer.partner.pull:
            self._stop(link, winsra.STOPPED_BY_ERROR)
        elif command in (Command.INFORM, Command.INFORM_ON):
            if self._pulling.wants(owners, now):
                peer.patient = False  # there it is
                peer.pull_wanted = True
                self._work(peer, now)
        elif link.phase is Phase.RESTING:
            link.then_stop = True
            self._pulling.begin(link, owners, now)

    def _pulled(self, link: Link, now: Now) -> None:
        """A pull ended well."""
        peer = self.peers[link.host]
        peer.pulled_at = now.wall
        peer.error = ""
        news, link.news = link.news, 0
        peer.taken += news
        if link.then_stop:
            self._stop(link, winsra.STOPPED)
        if news:
            for other in self.peers.values():
                if other is not peer and other.partner.push:
                    other.inform_wanted = True
                    self._work(other, now)
        self._work(peer, now)

    # ---- ends

    def _work(self, peer: Peer, now: Now) -> None:
        """Do what is wanted with a partner, if nothing else is going on."""
        link = peer.link
        if not peer.pull_wanted and not peer.inform_wanted:
            return
        if link is None:
            if not peer.patient:
                peer.link = self._links.call(peer.partner.address, self.source, now)
            return
        if link.phase is not Phase.RESTING:
            return
        if peer.inform_wanted:
            peer.inform_wanted = False
            peer.told_at = now.wall
            self._links.say(link, Command.INFORM, tuple(self.table()))
        if peer.pull_wanted:
            peer.pull_wanted = False
            self._links.say(link, Command.TABLE_QUERY, None)
            self._links.expect(link, Phase.ASKED_TABLE, now)

    def _stop(self, link: Link, reason: int) -> None:
        """End an association in good order."""
        self._links.stop(link, reason)
        peer = self.peers.get(link.host)
        if peer is not None and peer.link is link:
            peer.link = None

    def _wall(self) -> float:
        return self._now.wall

    def _lost(self, link: Link, reason: str, *, tell: bool = True) -> None:
        """A link is of no use any more; what was wanted is tried again later."""
        busy = link.phase is not Phase.RESTING or bool(link.jobs)
        peer = self.peers.get(link.host)
        self._links.hang_up(link, tell=tell)
        if peer is None:
            return
        if peer.link is link:
            peer.link = None
        if not busy and not reason.startswith(NONSENSE):
            return
        what = reason.partition(":")[0]
        if what != peer.error.partition(":")[0]:
            self._log(Level.WARNING, f"WINS partner {link.host}: {reason}; trying again", PARTNER_LOST)
        peer.error = reason
        if link.ours:
            peer.patient = True
            peer.pull_wanted = peer.partner.pull
        again = self._now.mono + self._tunables.wins_retry_interval
        self._timers.set(link.host, min(again, self._timers.at(link.host) or again))
