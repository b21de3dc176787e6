# SPDX-License-Identifier: GPL-3.0-or-later
"""Being a WINS server: the server itself and the exchange with partners, each there while the configuration
wants it. Read WinsService.configure."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import assert_never

from pydaemons.engine.effects import Effect
from pydaemons.engine.entropy import Entropy
from pydaemons.engine.protocol import Now
from pydaemons.netbios.node.events import (
    LinkClosed,
    LinkOpened,
    LinkProgressed,
    LinkReceived,
    Say,
    StoreNames,
)
from pydaemons.netbios.node.exchange import Exchanges
from pydaemons.netbios.node.replicas import Replicas
from pydaemons.netbios.node.replication import Replication
from pydaemons.netbios.node.settings import Settings
from pydaemons.netbios.node.subnet import Subnets
from pydaemons.netbios.node.tunables import NetbiosTunables
from pydaemons.netbios.node.wins import WinsServer
from pydaemons.netbios.node.winsdb import WinsDb


class WinsService:
    """`server` and `replication` are None while they are not wanted."""

    def __init__(
        self,
        db: WinsDb,
        subnets: Subnets,
        exchanges: Exchanges,
        tunables: NetbiosTunables,
        *,
        entropy: Entropy,
        emit: Callable[[Effect], None],
        log: Say,
    ) -> None:
        self.server: WinsServer | None = None
        self.replication: Replication | None = None
        self._numbers = count(-1, -1)
        """Of links; the shell may still be ending those of an exchange before."""
        self._db = db
        self._subnets = subnets
        self._exchanges = exchanges
        self._tunables = tunables
        self._entropy = entropy
        self._emit = emit
        self._log = log

    def configure(self, settings: Settings, now: Now) -> WinsServer | None:
        """Settings or networks changed; the server, if we are one now."""
        if settings.wins_support:
            if self.server is None:
                self.server = WinsServer(
                    self._db, self._exchanges, self._tunables, emit=self._emit, log=self._log
                )
            self.server.configure(settings, [subnet.address for subnet in self._subnets.all], now)
        elif self.server is not None:
            self.server.withdraw(now)
            self.server = None
        self._replicate(settings, now)
        return self.server

    def _replicate(self, settings: Settings, now: Now) -> None:
        """Have partners, or none."""
        address = settings.wins_address or next((net.interface.address for net in self._subnets.all), "")
        if self.server is None or not settings.partners or not address:
            self._part()
            return
        if self.replication is None:
            replicas = Replicas(
                self._db,
                self._exchanges,
                self._tunables,
                is_ours=self.server.is_own,
                is_refused=self.server.is_refused,
                log=self._log,
            )
            self.replication = Replication(
                self._db,
                replicas,
                self._tunables,
                numbers=self._numbers,
                entropy=self._entropy,
                emit=self._emit,
                log=self._log,
            )
        self.replication.configure(settings.partners, address, now)

    def _part(self) -> None:
        if self.replication is not None:
            self.replication.end()
            self.replication = None

    def linked(self, event: LinkOpened | LinkProgressed | LinkReceived | LinkClosed, now: Now) -> None:
        """Something happened on a partner's connection."""
        if self.replication is None:
            return
        match event:
            case LinkOpened(link, host, ours):
                self.replication.opened(link, host, ours=ours, now=now)
            case LinkProgressed(link):
                self.replication.progressed(link, now)
            case LinkReceived(link, data):
                self.replication.received(link, data, now)
            case LinkClosed(link, reason):
                self.replication.closed(link, reason, now)
            case _:
                assert_never(event)

    def store(self) -> Effect | None:
        """What changed since it was last asked, to be written down."""
        changed = self._db.take_changed()
        return StoreNames("wins", None, changed) if changed else None

    def retune(self, now: Now) -> None:
        """Tunables changed."""
        if self.server is not None:
            self.server.retune()
        if self.replication is not None:
            self.replication.retune(now)

    def clock_stepped(self, now: Now) -> None:
        """The wall clock was set: the names of others end when it says so, ours do not."""
        if self.server is not None:
            self.server.own.renew(now)

    def withdraw(self, now: Now) -> None:
        """We stop: partners are left, and our own names are free."""
        self._part()
        if self.server is not None:
            self.server.withdraw(now)

    def tick(self, now: Now) -> None:
        """What is due."""
        if self.server is not None:
            self.server.tick(now)
        if self.replication is not None:
            self.replication.tick(now)
            self.replication.look(now)

    def deadline(self) -> float | None:
        """When `tick` is wanted."""
        at = None if self.server is None else self.server.deadline()
        partners = None if self.replication is None else self.replication.deadline()
        return partners if at is None else at if partners is None else min(at, partners)
