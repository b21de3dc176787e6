# SPDX-License-Identifier: GPL-3.0-or-later
"""WINS replication after [MS-WINSRA]: partners tell each other that there is something new (push) and fetch
it (pull). Read Phase, then Replication.received.

To pull is to ask for the table (which owners a server knows, and up to which version) and then, owner by
owner, for the names with versions above what is known here. It happens at intervals, and when a partner
informs us. A connection of ours to a partner stays and carries all we ask and say; partners' connections
carry what they ask. Names are taken and told in slices between packets, however many there are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from enum import Enum, auto
from ipaddress import IPv4Address

from pydaemons.engine.effects import Effect, Level
from pydaemons.engine.entropy import Entropy
from pydaemons.engine.protocol import Now
from pydaemons.engine.timers import Timers
from pydaemons.netbios import winsra
from pydaemons.netbios.node.events import PARTNER_LOST, CloseLink, OpenLink, Say, SendLink
from pydaemons.netbios.node.replicas import Replicas
from pydaemons.netbios.node.settings import Partner
from pydaemons.netbios.node.tunables import NetbiosTunables
from pydaemons.netbios.node.winsdb import LOCAL, State, WinsDb
from pydaemons.netbios.winsra import Command, Kind, Message, Owner, Start
from pydaemons.wire.errors import WireError

PATIENCE = 30.0
"""Seconds a partner may take to answer."""
SLICE = 500
"""Names taken or told between two looks at the network: a few milliseconds."""
LINKS = 4
"""Connections of one partner; it gets along with two."""
OWNERS = 4096
"""Owners known; a network has a handful."""
ASK_AFTER = 0.25
"""Seconds from the end of a pull to the first question to hosts whose names are disputed: what comes next may
settle it (another partner's word), and a partner that lent us its connection has it back by then."""
ASK_AGAIN = 1.0
"""Seconds until those are begun with for which there was no room."""
BELIEVABLE = 1 << 62
"""A version of ours that partners may claim to have seen: after it there must be room."""
_ANY = 0xFFFFFFFFFFFFFFFF

Job = Iterator[None]


class Phase(Enum):
    """What happens on a link."""

    OPENING = auto()
    STARTING = auto()
    RESTING = auto()
    ASKED_TABLE = auto()
    ASKED_NAMES = auto()
    TAKING = auto()
    """Names came and are being taken."""


class Link:
    """One connection."""

    __slots__ = (
        "asked",
        "context",
        "host",
        "id",
        "news",
        "ours",
        "peer_context",
        "phase",
        "then_stop",
        "wanted",
    )

    def __init__(self, id_: int, host: str, *, ours: bool, context: int) -> None:
        self.id = id_
        self.host = host
        self.ours = ours
        self.context = context
        """What the partner calls this association, and we."""
        self.peer_context = 0
        self.phase = Phase.OPENING if ours else Phase.RESTING
        self.wanted: deque[Owner] = deque()
        self.asked = Owner(LOCAL, 0)
        self.then_stop = False
        """The partner lent us its connection for one pull."""
        self.news = 0


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
    """The rules. Links are numbered by the shell, those we open by us, downwards from -1."""

    def __init__(
        self,
        db: WinsDb,
        replicas: Replicas,
        tunables: NetbiosTunables,
        *,
        entropy: Entropy,
        emit: Callable[[Effect], None],
        log: Say,
    ) -> None:
        self.db = db
        self.replicas = replicas
        self.peers: dict[str, Peer] = {}
        self.source = ""
        self._address = LOCAL
        self._tunables = tunables
        self._entropy = entropy
        self._emit = emit
        self._log = log
        self._links: dict[int, Link] = {}
        self._timers: Timers[object] = Timers()
        self._jobs: deque[tuple[Link, Job]] = deque()
        self._opened = 0
        self._told = 0
        """Our version that partners were last informed of."""
        self._verified: dict[bytes, float] = {}
        self._now = Now(0.0, 0.0)

    # ---- configuration

    def configure(self, partners: tuple[Partner, ...], address: str, now: Now) -> None:
        """Have exactly these partners, and be known to them by `address`."""
        self._now = now
        self.db.count()
        self.source = address
        self._address = self.replicas.address = IPv4Address(address).packed
        wanted = {partner.address: partner for partner in partners if partner.address != address}
        for host in [host for host, peer in self.peers.items() if wanted.get(host) != peer.partner]:
            del self.peers[host]
            self._timers.cancel(host)
            for link in [link for link in self._links.values() if link.host == host]:
                self._hang_up(link)
        for host, partner in wanted.items():
            if host not in self.peers:
                self.peers[host] = Peer(partner)
                self._timers.set(host, now.mono)
        self.look(now)

    def end(self) -> None:
        """There are no partners any more."""
        for link in list(self._links.values()):
            self._hang_up(link)
        self.peers.clear()

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
        highest = self.db.highest
        others = [Owner(owner, version) for owner, version in sorted(highest.items()) if owner != LOCAL]
        return [Owner(self._address, highest.get(LOCAL, 0)), *others]

    # ---- time

    def look(self, now: Now) -> None:
        """Something may have changed: partners are told after a while."""
        if self.db.highest.get(LOCAL, 0) != self._told and "inform" not in self._timers:
            self._timers.set("inform", now.mono + self._tunables.wins_push_delay)

    def tick(self, now: Now) -> None:
        """A slice of work, and what is due."""
        self._now = now
        if self._jobs:
            self._run(*self._jobs.popleft())
        for key in self._timers.due(now.mono):
            if isinstance(key, int):
                link = self._links.get(key)
                if link is not None:
                    self._lost(link, "no answer")
            elif key == "ask":
                self.replicas.inquiries.start(now)
                if self.replicas.inquiries.waiting:
                    self._timers.set("ask", now.mono + ASK_AGAIN)
            elif key == "inform":
                self._told = self.db.highest.get(LOCAL, 0)
                self.inform(None, now)
            elif isinstance(key, str) and key in self.peers:
                peer = self.peers[key]
                peer.patient = False
                if peer.partner.pull:
                    peer.pull_wanted = True
                    self._timers.set(key, now.mono + self._tunables.wins_pull_interval)
                self._work(peer, now)

    def deadline(self) -> float | None:
        """When `tick` is wanted."""
        return self._now.mono if self._jobs else self._timers.deadline()

    # ---- links

    def opened(self, id_: int, host: str, *, ours: bool, now: Now) -> None:
        """A connection stands."""
        self._now = now
        if ours:
            link = self._links.get(id_)
            if link is None:
                self._emit(CloseLink(id_))
                return
            link.phase = Phase.STARTING
            self._send(link, winsra.pack(winsra.start(0, link.context)))
            self._timers.set(link.id, now.mono + PATIENCE)
            return
        if host not in self.peers:
            self._emit(CloseLink(id_))
            return
        theirs = [link for link in self._links.values() if link.host == host and not link.ours]
        if len(theirs) >= LINKS:
            self._hang_up(theirs[0])
        self._links[id_] = Link(id_, host, ours=False, context=self._new_context())

    def closed(self, id_: int, reason: str, now: Now) -> None:
        """A connection has ended."""
        self._now = now
        link = self._links.get(id_)
        if link is not None:
            self._lost(link, reason, tell=False)

    def received(self, id_: int, data: bytes, now: Now) -> None:
        """A message. What comes unasked, or for another association, is passed over."""
        self._now = now
        link = self._links.get(id_)
        if link is None:
            return
        try:
            if winsra.is_names_reply(data):
                if link.phase is Phase.ASKED_NAMES:
                    self._timers.cancel(link.id)
                    link.phase = Phase.TAKING
                    self._run(link, self._take(link, data))
                return
            self._message(link, winsra.unpack(data), now)
        except WireError as error:
            self._lost(link, f"sent nonsense: {error}")

    def _message(self, link: Link, message: Message, now: Now) -> None:
        peer = self.peers[link.host]
        body = message.body
        if message.kind == Kind.START and isinstance(body, Start):
            if message.context in (0, link.context):
                link.peer_context = body.context
                self._send(link, winsra.pack(winsra.start(body.context, link.context, reply=True)))
            return
        if message.context != link.context:
            # an association may be spoken to over any connection of its partner, and answers over its own
            others = self._links.values()
            found = [each for each in others if each.host == link.host and each.context == message.context]
            if not found:
                return
            link = found[0]
        if message.kind == Kind.START_REPLY and isinstance(body, Start):
            if link.phase is Phase.STARTING:
                link.peer_context = body.context
                self._rest(link)
                self._work(peer, now)
        elif message.kind == Kind.STOP:
            self._lost(link, "the partner will not" if body else "the partner ended the association")
        elif message.command in winsra.TABLES and isinstance(body, tuple):
            owners = tuple(owner for owner in body if isinstance(owner, Owner))
            self._table_came(link, peer, message.command, owners, now)
        elif not peer.partner.push:
            self._refuse(link)
        elif message.command == Command.TABLE_QUERY:
            self._say(link, Command.TABLE_REPLY, tuple(self.table()))
        elif isinstance(body, Owner):
            self._run(link, self._tell(link, body))

    def _table_came(self, link: Link, peer: Peer, command: int, owners: tuple[Owner, ...], now: Now) -> None:
        """An answer to our question, or word of something new."""
        if command == Command.TABLE_REPLY:
            if link.phase is Phase.ASKED_TABLE:
                self._timers.cancel(link.id)
                link.wanted = self._wants(owners)
                self._next_names(link, now)
        elif not peer.partner.pull:
            self._refuse(link)
        elif command in (Command.INFORM, Command.INFORM_ON):
            if self._wants(owners):
                peer.patient = False  # there it is
                peer.pull_wanted = True
                self._work(peer, now)
        elif link.phase is Phase.RESTING:
            link.then_stop = True
            link.wanted = self._wants(owners)
            self._next_names(link, now)

    def _wants(self, owners: tuple[Owner, ...]) -> deque[Owner]:
        """What of a partner's table we do not have."""
        wanted: deque[Owner] = deque()
        for owner in owners:
            known = self.db.highest.get(owner.address, 0)
            if owner.address == self._address:
                if self.db.highest.get(LOCAL, 0) < owner.highest < BELIEVABLE:
                    # we lost our database: numbers start where partners saw them last
                    self.db.raise_version(LOCAL, owner.highest)
            elif not int.from_bytes(owner.address, "big") or owner.address[0] >= 224:
                continue
            elif owner.highest > known and (known or len(self.db.highest) < OWNERS):
                wanted.append(Owner(owner.address, owner.highest, known + 1))
            elif owner.highest == known and self._is_stale(owner.address):
                wanted.append(Owner(owner.address, owner.highest, 0))
        return wanted

    def _is_stale(self, owner: bytes) -> bool:
        """Is it long ago that all of an owner's records were seen? Looked up once an hour."""
        now, half = self._now, self._tunables.wins_verify_interval / 2
        if now.mono - self._verified.get(owner, float("-inf")) < 3600.0:
            return False
        self._verified[owner] = now.mono
        for wire in self.db.by_version.get(owner, {}).values():
            record = self.db.find(wire)
            if record is not None and record.state == State.ACTIVE and record.expires < now.wall + half:
                return True
        return False

    def _next_names(self, link: Link, now: Now) -> None:
        """Ask for the next owner's names; or that was all."""
        if link.wanted:
            link.asked = link.wanted.popleft()
            link.phase = Phase.ASKED_NAMES
            self._say(link, Command.NAMES_REQUEST, link.asked)
            self._timers.set(link.id, now.mono + PATIENCE)
            return
        self._ask_soon()
        peer = self.peers[link.host]
        peer.pulled_at = now.wall
        peer.error = ""
        news, link.news = link.news, 0
        if link.then_stop:
            self._send(link, winsra.pack(winsra.stop(link.peer_context)))
            self._hang_up(link)
        else:
            self._rest(link)
        if news:
            for other in self.peers.values():
                if other is not peer and other.partner.push:
                    other.inform_wanted = True
                    self._work(other, now)
        self._work(peer, now)

    def _ask_soon(self) -> None:
        if self.replicas.inquiries.waiting:
            self._timers.set("ask", self._now.mono + ASK_AFTER)

    # ---- jobs

    def _run(self, link: Link, job: Job) -> None:
        """A slice of a job; the rest follows at the next ticks."""
        try:
            for _ in job:
                self._jobs.append((link, job))
                return
        except WireError as error:
            self._lost(link, f"sent nonsense: {error}")

    def _take(self, link: Link, data: bytes) -> Job:
        """Take the names that came."""
        peer = self.peers.get(link.host)
        owner = link.asked
        for number, told in enumerate(winsra.names_in(data), 1):
            if self.replicas.take(told, owner.address, self._now):
                link.news += 1
                if peer is not None:
                    peer.taken += 1
            if number % SLICE == 0:
                yield
        self.db.raise_version(owner.address, owner.highest)
        if link.id in self._links:
            self._next_names(link, self._now)

    def _tell(self, link: Link, asked: Owner) -> Job:
        """Answer a names request. Released names stay here: they may come back any moment."""
        owner = LOCAL if asked.address == self._address else asked.address
        packed = []
        found = self.db.of_owner(owner, asked.lowest, asked.highest or _ANY)
        for number, (version, wire) in enumerate(found, 1):
            record = self.db.find(wire)
            if record is None or record.version != version or record.state == State.RELEASED:
                continue
            if record.state == State.TOMBSTONE or record.expires > self._now.wall:
                packed.append(winsra.pack_record(self.replicas.told(wire, record)))
            if number % SLICE == 0:
                yield
        if link.id in self._links:
            self._send(link, winsra.names_reply(link.peer_context, packed))

    # ---- ends

    def _work(self, peer: Peer, now: Now) -> None:
        """Do what is wanted with a partner, if nothing else is going on."""
        link = peer.link
        if not peer.pull_wanted and not peer.inform_wanted:
            return
        if link is None:
            if peer.patient:
                return
            self._opened -= 1
            host = peer.partner.address
            link = peer.link = Link(self._opened, host, ours=True, context=self._new_context())
            self._links[link.id] = link
            self._timers.set(link.id, now.mono + PATIENCE)
            self._emit(OpenLink(link.id, host, self.source))
            return
        if link.phase is not Phase.RESTING:
            return
        if peer.inform_wanted:
            peer.inform_wanted = False
            peer.told_at = now.wall
            self._say(link, Command.INFORM, tuple(self.table()))
        if peer.pull_wanted:
            peer.pull_wanted = False
            link.phase = Phase.ASKED_TABLE
            self._say(link, Command.TABLE_QUERY, None)
            self._timers.set(link.id, now.mono + PATIENCE)

    def _rest(self, link: Link) -> None:
        link.phase = Phase.RESTING
        self._timers.cancel(link.id)

    def _refuse(self, link: Link) -> None:
        """What it wants is not configured."""
        self._send(link, winsra.pack(winsra.stop(link.peer_context, winsra.STOPPED_BY_ERROR)))
        self._hang_up(link)

    def _lost(self, link: Link, reason: str, *, tell: bool = True) -> None:
        """A link is of no use any more; what was wanted is tried again later."""
        self._ask_soon()
        busy = link.phase is not Phase.RESTING
        peer = self.peers.get(link.host)
        self._hang_up(link, tell=tell)
        if peer is None or not busy:
            return
        if reason != peer.error:
            self._log(Level.WARNING, f"WINS partner {link.host}: {reason}; trying again", PARTNER_LOST)
        peer.error = reason
        if link.ours:
            peer.patient = True
            peer.pull_wanted = peer.partner.pull
            self._timers.set(link.host, self._now.mono + self._tunables.wins_retry_interval)

    def _hang_up(self, link: Link, *, tell: bool = True) -> None:
        self._links.pop(link.id, None)
        self._timers.cancel(link.id)
        peer = self.peers.get(link.host)
        if peer is not None and peer.link is link:
            peer.link = None
        if tell:
            self._emit(CloseLink(link.id))

    def _say(self, link: Link, command: int, body: tuple[Owner, ...] | Owner | None) -> None:
        self._send(link, winsra.pack(winsra.replication(command, link.peer_context, body)))

    def _send(self, link: Link, data: bytes) -> None:
        self._emit(SendLink(link.id, data))

    def _new_context(self) -> int:
        return self._entropy.getrandbits(31) | 1
