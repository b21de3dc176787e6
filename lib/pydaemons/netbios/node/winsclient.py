# SPDX-License-Identifier: GPL-3.0-or-later
"""The WINS client: our names registered with WINS servers and refreshed there (RFC 1002 section 5.1.2). Read
Tag first.

Servers with one tag hold one database and stand in for each other: we use one of them at a time. Each tag is
a world of its own and gets all our names. A server that does not answer is left alone for ten minutes, unless
it is the only one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from pydaemons.engine.effects import Level
from pydaemons.engine.protocol import Address, Now
from pydaemons.engine.timers import Timers
from pydaemons.netbios import name, nspacket
from pydaemons.netbios.codes import Opcode, Rcode
from pydaemons.netbios.node.events import Say
from pydaemons.netbios.node.exchange import Exchanges
from pydaemons.netbios.node.handover import Handover, Registered
from pydaemons.netbios.node.settings import OwnName, Settings
from pydaemons.netbios.nspacket import Nb, Packet
from pydaemons.wire.errors import WireError

TRIES = 3
INTERVAL = 1.5
"""A server in the same site answers within milliseconds; RFC 1002's 5 s would delay a fail-over to 15 s."""
DEAD_FOR = 600.0
ALL_DEAD_RETRY = 60.0
REFRESH_AT_LEAST = 1200.0
REFUSED_RETRY = 1200.0
LAST_WORDS = 0.25
"""Seconds between the releases of a name when we stop: there is no time for more."""

Key = tuple[bytes, bytes]
"""A name in wire form and the address it is registered with."""


class Tag:
    """One group of servers and what we have registered there."""

    __slots__ = ("dead_until", "due", "open", "registered", "server", "servers", "tag")

    def __init__(self, tag: str, servers: tuple[str, ...]) -> None:
        self.tag = tag
        self.servers = servers
        self.server = servers[0]
        self.dead_until: dict[str, float] = {}
        self.registered: dict[Key, int] = {}
        """What the current server granted, with the lifetime."""
        self.due: Timers[Key] = Timers()
        self.open: dict[Key, int] = {}
        """Exchanges under way."""


class WinsClient:
    """Registrations with every tag."""

    def __init__(self, exchanges: Exchanges, *, ttl: Callable[[], int], log: Say) -> None:
        self._exchanges = exchanges
        self._ttl = ttl
        self._log = log
        self._settings: Settings | None = None
        self._own: dict[bytes, OwnName] = {}
        self._addresses: tuple[bytes, ...] = ()
        self.tags: dict[str, Tag] = {}

    def configure(
        self, settings: Settings, addresses: Iterable[bytes], now: Now, *, before: Handover | None = None
    ) -> None:
        """Use these servers for these names and addresses from now on. `before` is what was registered when
        this process began."""
        own = {own.wire: own for own in settings.names()}
        wanted: dict[str, tuple[str, ...]] = {}
        for server in settings.wins_servers:
            wanted[server.tag] = (*wanted.get(server.tag, ()), server.address)
        new_addresses = tuple(addresses)
        changed = self._settings is not None and self._settings.node_type != settings.node_type
        self._settings = settings
        for tag in [tag for tag in self.tags.values() if wanted.get(tag.tag) != tag.servers]:
            self._release(tag, list(tag.registered))
            self._forget(tag)
            del self.tags[tag.tag]
        for label, servers in wanted.items():
            if label not in self.tags:
                self.tags[label] = Tag(label, servers)
                if before is not None:
                    self._inherit(self.tags[label], before, now)
        keys = {(wire, address) for wire in own for address in new_addresses}
        self._own = {**self._own, **own}
        for tag in self.tags.values():
            for key in [key for key in tag.open if key not in keys]:
                self._exchanges.cancel(tag.open.pop(key))
                tag.registered.setdefault(key, 0)  # the request may have been there already
            self._release(tag, [key for key in tag.registered if key not in keys])
            known = set(tag.registered) | set(tag.open)
            for key in sorted(keys if changed else keys - known):
                tag.due.set(key, now.mono)
        self._own = own
        self._addresses = new_addresses
        self.tick(now)

    def registrations(self, now: Now) -> dict[tuple[str, str], Registered]:
        """What stands with which server (see handover)."""
        return {
            (tag.tag, tag.server): {
                key: (ttl, now.wall + (tag.due.at(key) or now.mono) - now.mono)
                for key, ttl in tag.registered.items()
            }
            for tag in self.tags.values()
        }

    def _inherit(self, tag: Tag, before: Handover, now: Now) -> None:
        """Go on with the server the last process used."""
        for server in tag.servers:
            names = before.registered.get((tag.tag, server))
            if names is None:
                continue
            tag.server = server
            for key, (ttl, due) in names.items():
                tag.registered[key] = ttl
                tag.due.set(key, now.mono + min(max(due - now.wall, 0.0), REFRESH_AT_LEAST))

    def release_all(self, now: Now) -> int:
        """We stop: tell every server, and again if it does not answer; how many names that are."""
        count = 0
        for tag in self.tags.values():
            keys = {**tag.registered, **dict.fromkeys(tag.open)}
            count += len(keys)
            self._forget(tag)
            tag.registered.clear()
            tag.due = Timers()
            for key in keys:
                self._exchanges.start(
                    partial(self._request, Opcode.RELEASE, key),
                    Address(tag.server, self._exchanges.port),
                    now,
                    source=None,
                    tries=TRIES,
                    interval=LAST_WORDS,
                    on_answer=lambda packet, host, now: True,
                    on_silence=lambda now: None,
                )
        return count

    def hosts(self) -> Iterator[str]:
        """Every server of every tag."""
        for tag in self.tags.values():
            yield from tag.servers

    def query(
        self,
        wire: bytes,
        now: Now,
        *,
        on_found: Callable[[tuple[Nb, ...], int, Now], None],
        on_missing: Callable[[Now], None],
    ) -> None:
        """Ask the servers of all tags one after the other for a name."""
        self._query(list(self.tags.values()), wire, now, on_found=on_found, on_missing=on_missing)

    def _query(
        self,
        tags: list[Tag],
        wire: bytes,
        now: Now,
        *,
        on_found: Callable[[tuple[Nb, ...], int, Now], None],
        on_missing: Callable[[Now], None],
    ) -> None:
        if not tags or self._exchanges.full():
            on_missing(now)
            return
        tag, *others = tags

        def go_on(now: Now) -> None:
            self._query(others, wire, now, on_found=on_found, on_missing=on_missing)

        def answered(packet: Packet, host: str, now: Now) -> bool:
            for record in packet.answers if not packet.rcode else ():
                try:
                    entries = nspacket.unpack_nb(record.data)
                except WireError:
                    continue
                on_found(entries, record.ttl, now)
                return True
            go_on(now)
            return True

        self._exchanges.start(
            lambda id_: nspacket.query(id_, wire, broadcast=False),
            Address(tag.server, self._exchanges.port),
            now,
            source=None,
            tries=2,
            interval=INTERVAL,
            on_answer=answered,
            on_silence=go_on,
        )

    def tick(self, now: Now) -> None:
        """Register and refresh what is due."""
        for tag in self.tags.values():
            for key in tag.due.due(now.mono):
                if key not in tag.open and key[0] in self._own and key[1] in self._addresses:
                    self._register(tag, key, now)

    def deadline(self) -> float | None:
        """When `tick` is wanted."""
        return min((at for tag in self.tags.values() if (at := tag.due.deadline()) is not None), default=None)

    def _request(self, opcode: Opcode, key: Key, id_: int) -> bytes:
        assert self._settings is not None
        wire, address = key
        ttl = 0 if opcode is Opcode.RELEASE else self._ttl()
        nb = Nb(self._settings.nb_flags(self._own[wire]), address)
        asks = opcode not in (Opcode.RELEASE, Opcode.REFRESH)
        return nspacket.claim(opcode, id_, wire, nb, ttl=ttl, broadcast=False, recursion_desired=asks)

    def _register(self, tag: Tag, key: Key, now: Now) -> None:
        if key in tag.registered:
            opcode = Opcode.REFRESH
        elif len(self._addresses) > 1 and not self._own[key[0]].group:
            opcode = Opcode.MULTIHOMED
        else:
            opcode = Opcode.REGISTRATION
        tag.open[key] = self._exchanges.start(
            partial(self._request, opcode, key),
            Address(tag.server, self._exchanges.port),
            now,
            source=None,
            tries=TRIES,
            interval=INTERVAL,
            on_answer=partial(self._answered, tag, key),
            on_silence=partial(self._silent, tag, key, tag.server),
        )

    def _answered(self, tag: Tag, key: Key, packet: Packet, host: str, now: Now) -> bool:
        record = packet.answers[0] if packet.answers else None
        if packet.opcode == Opcode.WACK:
            wait = record.ttl if record is not None else 60
            self._exchanges.extend(packet.id, float(min(max(wait, 1), 300)), now)
            return False
        tag.open.pop(key, None)
        if tag.dead_until.pop(host, None) is not None:
            self._log(Level.NOTICE, f"WINS server {host} answers again")
        shown = name.unpack(key[0])
        if packet.rcode == Rcode.OK and record is not None:
            if key not in tag.registered:
                self._log(Level.INFO, f"WINS server {host} registered {shown}")
            tag.registered[key] = record.ttl
            pause = min(record.ttl / 2, REFRESH_AT_LEAST) if record.ttl else REFRESH_AT_LEAST
            tag.due.set(key, now.mono + pause)
        elif tag.registered.pop(key, None) is not None:
            # a refresh refused: the server may have lost its database; claim the name as if it were new
            tag.due.set(key, now.mono)
        else:
            reason = Rcode(packet.rcode).name
            self._log(Level.ERROR, f"WINS server {host} refused {shown} ({reason})")
            tag.due.set(key, now.mono + REFUSED_RETRY)
        return True

    def _silent(self, tag: Tag, key: Key, asked: str, now: Now) -> None:
        tag.open.pop(key, None)
        if asked == tag.server:
            self._fail_over(tag, now)
        tag.due.set(key, now.mono + self._pause(tag, now))

    def _fail_over(self, tag: Tag, now: Now) -> None:
        """The current server is dead: every name goes to the next one."""
        dead = tag.server
        known = dead in tag.dead_until
        tag.dead_until[dead] = now.mono + DEAD_FOR
        alive = [server for server in tag.servers if tag.dead_until.get(server, 0.0) <= now.mono]
        tag.server = alive[0] if alive else min(tag.servers, key=lambda server: tag.dead_until[server])
        then = f"using {tag.server}" if alive else "no other is left, trying on"
        if not known:
            self._log(Level.WARNING, f"WINS server {dead} does not answer; {then}")
        for exchange in tag.open.values():
            self._exchanges.cancel(exchange)
        tag.open.clear()
        tag.registered.clear()
        pause = self._pause(tag, now)
        for key in sorted((wire, address) for wire in self._own for address in self._addresses):
            tag.due.set(key, now.mono + pause)

    def _pause(self, tag: Tag, now: Now) -> float:
        return ALL_DEAD_RETRY if tag.dead_until.get(tag.server, 0.0) > now.mono else 0.0

    def _release(self, tag: Tag, keys: list[Key]) -> None:
        for key in keys:
            tag.registered.pop(key, None)
            tag.due.cancel(key)
            if key[0] in self._own:
                request = self._request(Opcode.RELEASE, key, self._exchanges.new_id())
                self._exchanges.send(request, Address(tag.server, self._exchanges.port), source=None)

    def _forget(self, tag: Tag) -> None:
        for exchange in tag.open.values():
            self._exchanges.cancel(exchange)
        tag.open.clear()
